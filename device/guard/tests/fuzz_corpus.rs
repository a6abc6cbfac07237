//! The fuzz target under an ordinary test: every seed, and the minimised corpus.

#[allow(unreachable_pub, reason = "this is the library of the fuzz target")]
#[path = "../fuzz/src/lib.rs"]
mod target;

use std::path::Path;

#[test]
fn survives_every_kept_input_of_the_fuzz_target() {
    let _ = env_logger::try_init();
    let mut count = 0;
    for kind in ["seeds", "minimised"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(kind).join("messages");
        let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            println!("{}", path.display());
            target::drive(&std::fs::read(&path).unwrap());
            count += 1;
        }
    }
    assert!(count > 14, "the folders of inputs are not where they should be");
}
