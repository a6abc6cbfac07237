//! The fuzz targets under an ordinary test: every seed, and the minimised corpus.

#[allow(unreachable_pub, reason = "this is the library of the fuzz targets")]
#[path = "../fuzz/src/lib.rs"]
mod targets;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use targets::seeds::{self, Seed};

/// The environment variable with which the seeds are written instead of compared.
const WRITE: &str = "DMUS_WRITE_SEEDS";

/// The environment variable that names the only files to replay: a part of their paths.
const ONLY: &str = "DMUS_FUZZ_ONLY";

fn folder(kind: &str, target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(kind).join(target)
}

/// Returns the files of a folder, by name.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

/// Replays the seeds and the minimised corpus of a target.
fn replay(target: &str, drive: fn(&[u8])) {
    let inputs = ["seeds", "minimised"].map(|kind| files(&folder(kind, target)));
    let only = std::env::var(ONLY).unwrap_or_default();
    for (path, input) in inputs.into_iter().flatten().filter(|(path, _)| path.to_string_lossy().contains(&only)) {
        // Past the harness, which keeps what is printed: an input may end the process.
        if !only.is_empty() {
            let _ = writeln!(std::io::stderr(), "{}", path.display());
        }
        println!("{} ...", path.display());
        drive(&input);
        println!("{}: longest wait {:?}", path.display(), targets::longest_wait());
    }
}

#[test]
fn survives_every_kept_input_of_target_messages() {
    replay("messages", targets::messages);
}

#[test]
fn survives_every_kept_input_of_target_rings() {
    replay("rings", targets::rings);
}

#[test]
fn survives_every_kept_input_of_target_registers() {
    replay("registers", targets::registers);
}

/// Compares the files with what the programs make, or writes them.
fn compare(target: &str, seeds: Vec<Seed>) {
    let folder = folder("seeds", target);
    let wanted: BTreeMap<PathBuf, Vec<u8>> =
        seeds.into_iter().map(|(name, bytes)| (folder.join(name), bytes)).collect();
    if std::env::var_os(WRITE).is_some() {
        std::fs::create_dir_all(&folder).unwrap();
        files(&folder)
            .keys()
            .filter(|path| !wanted.contains_key(*path))
            .for_each(|path| std::fs::remove_file(path).unwrap());
        wanted.iter().for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
    }
    let found = files(&folder);
    for path in found.keys().chain(wanted.keys()) {
        let same = found.get(path) == wanted.get(path);
        assert!(same, "{} is not what its program makes: run this test with {WRITE}=1", path.display());
    }
}

#[test]
fn the_seeds_equal_what_their_programs_encode_to() {
    assert!(seeds::layout_is_known(), "the seeds place the guest's rings where they are not");
    compare("messages", seeds::messages());
    compare("registers", seeds::registers());
    compare("rings", seeds::rings());
}
