//! Bounds what runs keep under `target/dmus/runs`, and removes it on request.
//!
//! A run that passes keeps text and hashes; its sound files, which are most of its bytes, can be made again. Of all runs, the
//! oldest are removed when there are too many or they hold too much. A run folder that a process still writes is never
//! touched: its owner holds the lock of its mark.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::cache::{CACHE_LOCK, try_lock};
use super::mark::{Mark, Owner};

/// Most bytes that all run folders hold before the oldest are removed: some hundred failed runs with their sound.
pub const RUNS_BYTES_MAX: u64 = 512 << 20;

/// Most run folders before the oldest are removed: three runs of the whole suite, of some three hundred each.
pub const RUNS_MAX: usize = 1000;

/// The folder of all runs in the cache.
const RUNS: &str = "runs";

/// The verdict's file in a run folder.
pub(super) const VERDICT: &str = "verdict.json";

/// The extensions of large files: sound files, traces of the card, and the disks and variables of a guest that starts from a disk.
const LARGE: [&str; 6] = ["wav", "pcm", TRACE, "qcow2", "img", "fd"];

/// The extension of traces.
const TRACE: &str = "trace";

/// The age at which an empty run folder without mark is removed: its owner may be about to mark it.
const UNMARKED_AGE: Duration = Duration::from_secs(60);

/// A removed file or folder, or several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// A file or folder, by its path, or several, by a count.
    pub what: String,
    /// Run folders among it.
    pub runs: usize,
    /// Bytes that its files held.
    pub bytes: u64,
}

/// The result of [`clean`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cleaned {
    /// The removed files and folders.
    pub removed: Vec<Removed>,
    /// The files and folders that were kept, with the reason, one entry each.
    pub kept: Vec<String>,
}

impl Cleaned {
    /// Returns how many bytes all removed files held.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.removed.iter().map(|removed| removed.bytes).sum()
    }
}

/// Removes the sound files, the traces and the disks of a run that passed, also those in folders below; returns how many bytes they held. What cannot be
/// removed stays.
pub fn remove_large_files(run: &Path) -> u64 {
    let is_large = |path: &Path| path.extension().is_some_and(|found| LARGE.iter().any(|large| found == *large));
    let files = files_below(run).into_iter().filter(|(path, _)| is_large(path));
    files.filter(|(path, _)| fs::remove_file(path).is_ok()).map(|(_, bytes)| bytes).sum()
}

/// Removes the traces that one test bed has left in a run folder, by the label of its logs; without a label, those of the test bed that has
/// none. What cannot be removed stays.
pub fn remove_traces(run: &Path, label: Option<&str>) {
    let label = label.map_or_else(String::new, |label| format!("-{label}"));
    let begins = ["card", "device", "guest"].map(|part| format!("{part}{label}."));
    let is_one = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        path.extension().is_some_and(|found| found == TRACE) && begins.iter().any(|begin| name.starts_with(begin))
    };
    let entries = fs::read_dir(run).into_iter().flatten().flatten().map(|entry| entry.path());
    // What stays costs some megabytes until the folder goes.
    entries.filter(|path| is_one(path)).for_each(|path| _ = fs::remove_file(path));
}

/// Removes the oldest run folders until at most [`RUNS_MAX`] with [`RUNS_BYTES_MAX`] are left; `None` where there were not
/// too many.
#[must_use]
pub fn prune(cache: &Path) -> Option<Removed> {
    let removed = prune_to(&cache.join(RUNS), RUNS_MAX, RUNS_BYTES_MAX);
    (removed.runs > 0).then_some(removed)
}

fn prune_to(runs: &Path, runs_max: usize, bytes_max: u64) -> Removed {
    let folders: Vec<(PathBuf, u64)> = run_folders(runs)
        .into_iter()
        .map(|path| {
            let bytes = bytes_below(&path);
            (path, bytes)
        })
        .collect();
    let (mut count, mut bytes) = (folders.len(), folders.iter().map(|(_, bytes)| bytes).sum::<u64>());
    let mut removed = Removed::default();
    for (path, held) in folders {
        if count <= runs_max && bytes <= bytes_max {
            break;
        }
        if remove_run(&path).is_ok() {
            count -= 1;
            bytes -= held;
            removed.runs += 1;
            removed.bytes += held;
        }
    }
    removed.what = format!("{} run folders", removed.runs);
    removed
}

/// Removes every run folder of the cache that no process writes and, with `all`, everything that was provisioned.
#[must_use]
pub fn clean(cache: &Path, all: bool) -> Cleaned {
    let mut cleaned = Cleaned::default();
    let runs = cache.join(RUNS);
    let mut removed = Removed::default();
    for path in run_folders(&runs) {
        let bytes = bytes_below(&path);
        match remove_run(&path) {
            Ok(()) => {
                removed.runs += 1;
                removed.bytes += bytes;
            }
            Err(error) => cleaned.kept.push(format!("{}: {error}", path.display())),
        }
    }
    if removed.runs > 0 {
        let plural = if removed.runs == 1 { "" } else { "s" };
        removed.what = format!("{} run folder{plural} in {}", removed.runs, runs.display());
        cleaned.removed.push(removed);
    }
    if all {
        clean_provisioned(cache, &mut cleaned);
    }
    cleaned
}

/// Removes everything of the cache but runs and the lock.
fn clean_provisioned(cache: &Path, cleaned: &mut Cleaned) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(cache).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.retain(|path| !path.ends_with(CACHE_LOCK) && !path.ends_with(RUNS));
    entries.sort();
    if entries.is_empty() {
        return;
    }
    let Some(_locked) = try_lock(cache) else {
        cleaned.kept.push(format!("{}: another process provisions now", cache.display()));
        return;
    };
    for path in entries {
        let bytes = bytes_below(&path);
        let ended = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match ended {
            Ok(()) => cleaned.removed.push(Removed { what: path.display().to_string(), runs: 0, bytes }),
            Err(error) => cleaned.kept.push(format!("{}: {error}", path.display())),
        }
    }
}

/// Lists the run folders that runs have named, oldest first: their names begin with the time. A folder of another name is
/// the user's, and so is what is below it.
fn run_folders(runs: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(runs).into_iter().flatten().flatten();
    // A link is no folder: what it points at stays.
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let folders = folders.filter(|entry| begins_with_time(&entry.file_name().to_string_lossy()));
    let mut folders: Vec<PathBuf> = folders.map(|entry| entry.path()).collect();
    folders.sort();
    folders
}

/// Returns whether a name begins with a date and a time, as in `20260102T030405678Z-demo-tide`.
fn begins_with_time(name: &str) -> bool {
    const FORM: &[u8] = b"00000000T000000000Z-";
    let fits = |(byte, form): (u8, &u8)| if *form == b'0' { byte.is_ascii_digit() } else { byte == *form };
    name.len() >= FORM.len() && name.bytes().zip(FORM).all(fits)
}

/// Removes a run folder that no process writes.
fn remove_run(path: &Path) -> io::Result<()> {
    let busy = || io::Error::new(io::ErrorKind::ResourceBusy, "a run still writes it");
    match Mark::owner_of(path) {
        Owner::Alive => Err(busy()),
        // The mark is held until the folder is gone.
        Owner::Gone(_mark) => fs::remove_dir_all(path),
        Owner::Unknown if is_empty(path) && is_young(path) => Err(busy()),
        Owner::Unknown => fs::remove_dir_all(path),
    }
}

fn is_empty(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

fn is_young(path: &Path) -> bool {
    let modified = fs::metadata(path).and_then(|found| found.modified()).ok();
    let age = modified.and_then(|at| SystemTime::now().duration_since(at).ok());
    age.is_none_or(|age| age < UNMARKED_AGE)
}

/// Lists the files in a folder and below, with their bytes; a file stands for itself. Links are not followed.
fn files_below(path: &Path) -> Vec<(PathBuf, u64)> {
    let Ok(found) = fs::symlink_metadata(path) else { return Vec::new() };
    if !found.is_dir() {
        return vec![(path.to_owned(), found.len())];
    }
    fs::read_dir(path).into_iter().flatten().flatten().flat_map(|entry| files_below(&entry.path())).collect()
}

fn bytes_below(path: &Path) -> u64 {
    files_below(path).iter().map(|(_, bytes)| bytes).sum()
}

#[cfg(test)]
mod tests {
    use super::super::mark::RunMark;
    use super::super::scratch::Scratch;
    use super::*;

    /// What the names of run folders begin with.
    const TIME: &str = "20260102T030405678Z-";

    /// Creates a run folder with a verdict and a sound file of some bytes.
    fn run(runs: &Path, name: &str, bytes: usize) -> PathBuf {
        let folder = runs.join(format!("{TIME}{name}"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(VERDICT), "{}").unwrap();
        fs::write(folder.join("guest.wav"), vec![0; bytes]).unwrap();
        folder
    }

    #[test]
    fn removes_the_traces_of_one_label_and_nothing_else() {
        let scratch = Scratch::new().unwrap();
        let names = ["card-a.trace", "card-a.2.trace", "guest-a.trace", "card-b-a.trace", "card.trace", "card-a.log"];
        names.iter().for_each(|name| fs::write(scratch.path().join(name), []).unwrap());
        remove_traces(scratch.path(), Some("a"));
        let left = names.map(|name| scratch.path().join(name).exists());
        assert_eq!(left, [false, false, false, true, true, true]);
        remove_traces(scratch.path(), None);
        let left = names.map(|name| scratch.path().join(name).exists());
        assert_eq!(left, [false, false, false, true, false, true]);
    }

    #[test]
    fn removes_sound_and_traces_of_a_run_and_keeps_its_text() {
        let runs = Scratch::new().unwrap();
        let folder = run(runs.path(), "1", 1000);
        fs::create_dir(folder.join("run")).unwrap();
        fs::write(folder.join("run/offline.wav"), [0; 10]).unwrap();
        fs::write(folder.join("card.trace"), [0; 5]).unwrap();
        assert_eq!(remove_large_files(&folder), 1015);
        assert!(folder.join(VERDICT).is_file() && !folder.join("guest.wav").exists());
    }

    #[test]
    fn removes_the_oldest_runs_beyond_either_bound() {
        let runs = Scratch::new().unwrap();
        let folders: Vec<PathBuf> = (1..=4).map(|number| run(runs.path(), &number.to_string(), 998)).collect();
        assert_eq!(prune_to(runs.path(), 4, 4000).runs, 0);
        let removed = prune_to(runs.path(), 3, 4000);
        assert_eq!((removed.runs, removed.bytes), (1, 1000));
        let removed = prune_to(runs.path(), 3, 1999);
        assert_eq!((removed.runs, removed.bytes), (2, 2000));
        let left: Vec<bool> = folders.iter().map(|folder| folder.exists()).collect();
        assert_eq!(left, [false, false, false, true]);
    }

    #[test]
    fn never_removes_a_run_that_is_still_written() {
        let cache = Scratch::new().unwrap();
        let runs = cache.path().join(RUNS);
        let (marked, complete, new) = (run(&runs, "1", 10), run(&runs, "2", 10), runs.join(format!("{TIME}3")));
        fs::create_dir(&new).unwrap();
        let mark = RunMark::put(&marked, None).unwrap();
        assert_eq!(prune_to(&runs, 0, 0).runs, 1);
        assert!(marked.exists() && !complete.exists() && new.exists());
        let cleaned = clean(cache.path(), false);
        assert_eq!((cleaned.removed.len(), cleaned.kept.len()), (0, 2), "{cleaned:?}");
        // A probe's run has logs and no verdict, and its mark goes with its end.
        fs::write(new.join("console.log"), "").unwrap();
        assert_eq!(clean(cache.path(), false).removed[0].runs, 1);
        assert!(!new.exists());
        drop(mark);
        let cleaned = clean(cache.path(), false);
        assert_eq!((cleaned.removed[0].runs, cleaned.bytes()), (1, 12));
    }

    #[test]
    fn never_removes_a_folder_that_the_user_named() {
        let cache = Scratch::new().unwrap();
        let runs = cache.path().join(RUNS);
        let named = runs.join("mine/20260102T030405678Z-demo");
        fs::create_dir_all(&named).unwrap();
        fs::write(runs.join("mine").join(VERDICT), "{}").unwrap();
        assert_eq!(prune_to(&runs, 0, 0).runs, 0);
        assert_eq!(clean(cache.path(), false), Cleaned::default());
        assert!(named.exists());
    }

    #[test]
    fn removes_what_was_provisioned_only_on_request_and_only_under_the_lock() {
        let cache = Scratch::new().unwrap();
        fs::create_dir_all(cache.path().join("qemu/root")).unwrap();
        fs::write(cache.path().join("qemu/root/file"), [0; 100]).unwrap();
        let lock = fs::File::create(cache.path().join(CACHE_LOCK)).unwrap();
        lock.lock().unwrap();
        assert_eq!(clean(cache.path(), false), Cleaned::default());
        let cleaned = clean(cache.path(), true);
        assert_eq!((cleaned.bytes(), cleaned.kept.len()), (0, 1));
        drop(lock);
        let cleaned = clean(cache.path(), true);
        assert!(cleaned.bytes() >= 100 && !cache.path().join("qemu").exists(), "{cleaned:?}");
    }
}
