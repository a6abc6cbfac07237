//! Replays the seeds of the fuzz target and what a fuzzer has found worth keeping, with the code of the target.

#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "a library of its own elsewhere, where these are public")]
mod fuzz;

use std::path::{Path, PathBuf};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name).join("messages")
}

#[test]
fn the_seeds_are_what_their_program_makes() {
    for (name, input) in fuzz::seeds() {
        let path = folder("seeds").join(name);
        if std::env::var_os("WRITE_SEEDS").is_some() {
            std::fs::create_dir_all(folder("seeds")).unwrap();
            std::fs::write(&path, &input).unwrap();
        }
        assert!(std::fs::read(&path).is_ok_and(|found| found == input), "{}: set WRITE_SEEDS=1", path.display());
    }
}

#[test]
fn the_server_comes_through_every_input() {
    let mut count = 0;
    for folder in [folder("seeds"), folder("minimised")] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            fuzz::messages(&std::fs::read(path).unwrap());
            count += 1;
        }
    }
    assert!(count >= 5, "{count} inputs");
}
