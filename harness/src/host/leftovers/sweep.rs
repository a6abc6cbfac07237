//! Removes what a run has left that was ended by force: processes, temporary folders, half of a download, a missing verdict.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::process::{Pid, PidfdFlags, Signal, getuid, pidfd_open, pidfd_send_signal};
use serde_json::{Value, json};

use super::cache::try_lock;
use super::mark::{ELSEWHERE, MARK_NEW, Mark, Owner};
use super::owner::{namespace, owner_of_process, stat};
use super::runs::VERDICT;
use super::scratch::{PREFIX, places};
use crate::host::failure::Class;

/// The age at which a temporary folder without a mark is left over: its owner ended between two calls, or it would have
/// a mark by now.
const UNMARKED_AGE: Duration = Duration::from_secs(60);

/// The extension of what is provisioned until it is complete.
const PARTIAL: &str = "partial";

/// Removes everything that runs have left that were ended by force. Returns what was removed, a line each.
///
/// What cannot be removed stays, and is tried again at the next start. `cache` is `target/dmus`.
#[must_use]
pub fn sweep(cache: Option<&Path>) -> Vec<String> {
    let mut swept = sweep_processes();
    for place in places() {
        swept.extend(sweep_temporary(&place));
    }
    if let Some(cache) = cache {
        swept.extend(sweep_partial(cache));
        swept.extend(sweep_runs(&cache.join("runs")));
    }
    swept
}

/// Ends processes whose owner has ended. The harness's own children end with it; what a compiler or a build script has
/// started in turn may not. A service that has left the owner's session on purpose, such as a compiler's cache, stays.
fn sweep_processes() -> Vec<String> {
    let own_namespace = namespace();
    let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let mut swept = Vec::new();
    for pid in numbers.filter_map(Pid::from_raw) {
        // The descriptor first: what is read below is then about the process that it stands for.
        let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
        let number = pid.as_raw_nonzero().get();
        let Some(owner) = owner_of_process(number) else { continue };
        let same_session = stat(number).is_some_and(|found| found.session == owner.session && !found.ended);
        if owner.namespace != own_namespace || !same_session || owner.lives() {
            continue;
        }
        let name = fs::read_to_string(format!("/proc/{number}/comm")).unwrap_or_default();
        if pidfd_send_signal(process, Signal::KILL).is_ok() {
            swept.push(format!("process {number} ({}), whose owner {} has ended", name.trim(), owner.pid));
        }
    }
    swept
}

/// Removes temporary folders without a living owner.
fn sweep_temporary(parent: &Path) -> Vec<String> {
    let mut swept = Vec::new();
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        // A link is no folder: what it points at stays.
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_ours || !is_folder || !entry.metadata().is_ok_and(|found| found.uid() == getuid().as_raw()) {
            continue;
        }
        let path = entry.path();
        let removed = match Mark::owner_of(&path) {
            Owner::Alive => false,
            // The mark is held until the folder is gone.
            Owner::Gone(_mark) => fs::remove_dir_all(&path).is_ok(),
            Owner::Unknown => {
                is_abandoned(&path) && {
                    let _ = fs::remove_file(path.join(MARK_NEW));
                    fs::remove_dir(&path).is_ok()
                }
            }
        };
        if removed {
            swept.push(format!("folder {}", path.display()));
        }
    }
    swept
}

/// Returns whether a folder without a mark is left over: nothing was ever put into it, and nothing will be.
fn is_abandoned(path: &Path) -> bool {
    let age = fs::metadata(path)
        .and_then(|found| found.modified())
        .ok()
        .and_then(|at| SystemTime::now().duration_since(at).ok());
    let mut entries = fs::read_dir(path).into_iter().flatten().flatten();
    age.is_some_and(|age| age > UNMARKED_AGE) && entries.all(|entry| entry.file_name() == MARK_NEW)
}

/// Removes what was being provisioned, unless another process provisions now: that process holds the cache's lock.
fn sweep_partial(cache: &Path) -> Vec<String> {
    let Some(_locked) = try_lock(cache) else { return Vec::new() };
    let mut swept = Vec::new();
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == PARTIAL) && fs::remove_dir_all(&path).is_ok() {
            swept.push(format!("folder {}", path.display()));
        }
    }
    swept
}

/// Writes the verdict of runs that were ended by force.
fn sweep_runs(runs: &Path) -> Vec<String> {
    let mut swept = Vec::new();
    for entry in fs::read_dir(runs).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == ELSEWHERE) {
            let Ok(folder) = fs::read(&path).map(|bytes| PathBuf::from(OsString::from_vec(bytes))) else { continue };
            match Mark::owner_of(&folder) {
                Owner::Alive => continue,
                Owner::Gone(mark) => swept.extend(interrupted(&folder, &mark)),
                Owner::Unknown => {}
            }
            let _ = fs::remove_file(&path);
        } else if let Owner::Gone(mark) = Mark::owner_of(&path) {
            swept.extend(interrupted(&path, &mark));
        }
    }
    swept
}

/// Writes into a run folder that its run was ended by force.
fn interrupted(folder: &Path, mark: &Mark) -> Option<String> {
    let verdict = folder.join(VERDICT);
    let mut marked = None;
    if !verdict.exists() {
        let command: Value = fs::read(folder.join("command.json"))
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        let text = json!({
            "passed": false,
            "class": Class::Interrupted,
            "error": "the harness was ended by force before it had a verdict",
            "reproduce": command["reproduce"],
        });
        if fs::write(&verdict, format!("{text:#}\n")).is_err() {
            return None;
        }
        marked = Some(format!("run folder {} is marked as interrupted", folder.display()));
    }
    mark.remove();
    marked
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::process::Command;

    use super::super::cache::CACHE_LOCK;
    use super::super::mark::{MARK, RunMark};
    use super::super::owner::{Identity, OWNER_VARIABLE, owner};
    use super::super::scratch::Scratch;
    use super::*;

    /// Makes a folder's mark look as if its owner had been killed.
    fn abandon(folder: &Path) {
        fs::write(folder.join(MARK), "{}").unwrap();
    }

    #[test]
    fn removes_a_folder_with_its_value() {
        let parent = Scratch::new().unwrap();
        let inner = Scratch::under(parent.path()).unwrap();
        let path = inner.path().to_owned();
        assert!(path.join(MARK).is_file());
        // A process that reaches a socket in it controls the card.
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        drop(inner);
        assert!(!path.exists());
    }

    #[test]
    fn keeps_the_folder_of_a_living_owner() {
        let parent = Scratch::new().unwrap();
        let inner = Scratch::under(parent.path()).unwrap();
        assert_eq!(sweep_temporary(parent.path()), Vec::<String>::new());
        assert!(inner.path().is_dir());
    }

    #[test]
    fn removes_the_folder_of_an_ended_owner_with_its_contents() {
        let parent = Scratch::new().unwrap();
        let left = parent.path().join("dmus-left");
        fs::create_dir_all(left.join("deeper")).unwrap();
        fs::write(left.join("deeper/file"), "x").unwrap();
        abandon(&left);
        assert_eq!(sweep_temporary(parent.path()).len(), 1);
        assert!(!left.exists());
    }

    #[test]
    fn keeps_folders_without_a_mark() {
        let parent = Scratch::new().unwrap();
        let (notes, other, link) =
            (parent.path().join("dmus-notes"), parent.path().join("other"), parent.path().join("dmus-link"));
        fs::create_dir(&notes).unwrap();
        fs::write(notes.join("file"), "mine").unwrap();
        fs::create_dir(&other).unwrap();
        abandon(&other);
        std::os::unix::fs::symlink(&other, &link).unwrap();
        // It has just been made: its owner may be about to mark it.
        fs::create_dir(parent.path().join("dmus-new")).unwrap();
        assert_eq!(sweep_temporary(parent.path()), Vec::<String>::new());
        assert!(notes.join("file").is_file() && other.is_dir() && parent.path().join("dmus-new").is_dir());
    }

    #[test]
    fn writes_a_verdict_for_a_run_that_was_ended_by_force() {
        let runs = Scratch::new().unwrap();
        let (ended, complete, running) =
            (runs.path().join("ended"), runs.path().join("complete"), runs.path().join("running"));
        for folder in [&ended, &complete, &running] {
            fs::create_dir(folder).unwrap();
        }
        fs::write(ended.join("command.json"), r#"{"reproduce": "cargo dmus demo"}"#).unwrap();
        abandon(&ended);
        fs::write(complete.join(VERDICT), r#"{"passed": true}"#).unwrap();
        abandon(&complete);
        let alive = RunMark::put(&running, None).unwrap();
        assert_eq!(sweep_runs(runs.path()).len(), 1);
        let verdict: Value = serde_json::from_slice(&fs::read(ended.join(VERDICT)).unwrap()).unwrap();
        assert_eq!((&verdict["class"], &verdict["reproduce"]), (&json!("interrupted"), &json!("cargo dmus demo")));
        assert!(!ended.join(MARK).exists() && ended.join("command.json").exists());
        assert_eq!(fs::read_to_string(complete.join(VERDICT)).unwrap(), r#"{"passed": true}"#);
        assert!(!complete.join(MARK).exists());
        assert!(!running.join(VERDICT).exists());
        drop(alive);
        assert!(!running.join(MARK).exists());
    }

    #[test]
    fn finds_a_run_folder_that_the_user_named() {
        let folder = Scratch::new().unwrap();
        let (runs, named) = (folder.path().join("runs"), folder.path().join("named"));
        fs::create_dir(&runs).unwrap();
        fs::create_dir(&named).unwrap();
        let mark = RunMark::put(&named, Some(&runs.join("1-named"))).unwrap();
        assert_eq!(sweep_runs(&runs), Vec::<String>::new());
        let pointer = runs.join("1-named.elsewhere");
        assert!(pointer.is_file());
        drop(mark);
        assert!(!pointer.exists());
        fs::write(&pointer, named.as_os_str().as_encoded_bytes()).unwrap();
        abandon(&named);
        assert_eq!(sweep_runs(&runs).len(), 1);
        assert!(named.join(VERDICT).is_file() && !pointer.exists());
    }

    #[test]
    fn removes_partial_provisioning_unless_the_cache_is_locked() {
        let cache = Scratch::new().unwrap();
        let partial = cache.path().join("qemu.partial");
        fs::create_dir_all(partial.join("root")).unwrap();
        let lock = File::create(cache.path().join(CACHE_LOCK)).unwrap();
        lock.lock().unwrap();
        assert_eq!(sweep_partial(cache.path()), Vec::<String>::new());
        assert!(partial.is_dir());
        drop(lock);
        assert_eq!(sweep_partial(cache.path()).len(), 1);
        assert!(!partial.exists());
    }

    #[test]
    fn ends_a_process_only_when_its_owner_has_ended() {
        // An owner that has ended: its number is taken from a child that was waited for.
        let mut ended = Command::new("true").spawn().unwrap();
        let mut gone = Identity::parse(owner()).unwrap();
        gone.pid = ended.id() as i32;
        ended.wait().unwrap();
        let sleeper = |owner: &str| Command::new("sleep").arg("1000").env(OWNER_VARIABLE, owner).spawn().unwrap();
        let (mut left, mut kept) = (sleeper(&gone.to_string()), sleeper(owner()));
        let swept = sweep_processes();
        // Another harness on this host may have swept it at the same time.
        let named = swept.iter().any(|line| line.contains(&format!("process {} ", left.id())));
        assert!(named || left.try_wait().unwrap().is_some(), "{swept:?}");
        assert!(!left.wait().unwrap().success());
        assert!(kept.try_wait().unwrap().is_none(), "it was ended, and its owner lives");
        kept.kill().unwrap();
        kept.wait().unwrap();
    }
}
