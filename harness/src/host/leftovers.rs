//! What a run makes and takes away again, and what the next start takes away after a run that was ended by force.
//!
//! A harness that is killed runs no destructor. So everything that it makes is marked with its owner: a folder holds a file
//! that the owner keeps locked (the kernel lets go of the lock when the owner ends, however it ends), and a process carries
//! the owner in its environment. What is marked and has no living owner is left over.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use rustix::process::{Pid, PidfdFlags, Signal, getpid, getuid, pidfd_open, pidfd_send_signal};
use serde_json::{Value, json};

use crate::host::failure::Class;
use crate::host::file_error::FileError;

/// What the names of all temporary folders begin with.
const PREFIX: &str = "dmus-";

/// The file in a folder that its owner holds locked, and its name until it is locked.
const MARK: &str = "dmus-owner";
const MARK_NEW: &str = "dmus-owner.new";

/// The variable that names the owner to every process that the harness starts, and to those that these start.
pub(crate) const OWNER_VARIABLE: &str = "DMUS_OWNER";

/// How old a temporary folder without a mark must be to be left over: its owner ended between two calls, or it would have a
/// mark by now.
const UNMARKED_AGE: Duration = Duration::from_secs(60);

/// The file in the cache that is locked by the process that provisions.
pub(crate) const CACHE_LOCK: &str = "lock";

/// What the names of things end with that are brought in and are not complete yet.
const PARTIAL: &str = "partial";

/// What a run folder's verdict is called.
const VERDICT: &str = "verdict.json";

/// What points from the folder of all runs to a run folder elsewhere.
const ELSEWHERE: &str = "elsewhere";

/// A lock on a folder that is held as long as this lives.
#[derive(Debug)]
pub(crate) struct Mark {
    path: PathBuf,
    _locked: File,
}

/// Whether a folder's owner lives.
enum Owner {
    /// The folder has no mark.
    Unknown,
    /// It lives, or cannot be asked about.
    Alive,
    /// It has ended; the mark is the caller's now.
    Gone(Mark),
}

impl Mark {
    /// Marks a folder as this process's.
    ///
    /// # Errors
    /// The file's.
    pub(crate) fn put(folder: &Path) -> Result<Self, FileError> {
        let (new, path) = (folder.join(MARK_NEW), folder.join(MARK));
        let mark = || {
            let mut file = File::create(&new)?;
            // Locked before it has its name: whoever finds the name finds it locked.
            file.lock()?;
            let text = json!({ "owner": owner(), "arguments": std::env::args().collect::<Vec<_>>() });
            file.write_all(text.to_string().as_bytes())?;
            fs::rename(&new, &path)?;
            Ok(file)
        };
        let file = mark().map_err(FileError::own("create", &path))?;
        Ok(Self { path, _locked: file })
    }

    /// Asks whether a folder's owner lives.
    fn owner_of(folder: &Path) -> Owner {
        let path = folder.join(MARK);
        let file = match File::options().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Owner::Unknown,
            Err(_) => return Owner::Alive,
        };
        if file.try_lock().is_err() {
            return Owner::Alive;
        }
        // Another sweeper may have taken it away between the two calls.
        let same = |found: fs::Metadata| file.metadata().is_ok_and(|own| own.ino() == found.ino());
        if fs::metadata(&path).is_ok_and(same) { Owner::Gone(Self { path, _locked: file }) } else { Owner::Alive }
    }

    /// Takes the mark away: what the folder holds is complete.
    pub(crate) fn remove(&self) {
        // A mark that stays is only looked at again.
        let _ = fs::remove_file(&self.path);
    }
}

/// A temporary folder, private to this user, that goes with this value; or, after a kill, with the next start.
#[derive(Debug)]
pub struct Scratch {
    folder: tempfile::TempDir,
    _mark: Mark,
}

impl Scratch {
    /// Makes one under `TMPDIR`.
    ///
    /// # Errors
    /// The folder cannot be made or written.
    pub fn new() -> Result<Self, FileError> {
        Self::under(&std::env::temp_dir())
    }

    /// Makes one under a folder.
    ///
    /// # Errors
    /// The folder cannot be made or written.
    pub fn under(parent: &Path) -> Result<Self, FileError> {
        let private = fs::Permissions::from_mode(0o700);
        let made = tempfile::Builder::new().prefix(PREFIX).permissions(private).tempdir_in(parent);
        let folder = made.map_err(FileError::own("create a folder in", parent))?;
        let mark = Mark::put(folder.path())?;
        Ok(Self { folder, _mark: mark })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// A process, told from others that had or will have its number.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    pid: i32,
    /// In the kernel's ticks since its start.
    started: u64,
    session: i32,
    /// In which numbers of processes mean something.
    namespace: String,
}

impl Identity {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, ' ');
        Some(Self {
            pid: parts.next()?.parse().ok()?,
            started: parts.next()?.parse().ok()?,
            session: parts.next()?.parse().ok()?,
            namespace: parts.next()?.to_owned(),
        })
    }

    /// It runs: there is a process of this number that started at the same time and has not ended.
    fn lives(&self) -> bool {
        stat(self.pid).is_some_and(|found| found.started == self.started && !found.ended)
    }
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {} {}", self.pid, self.started, self.session, self.namespace)
    }
}

/// What `/proc/PID/stat` says.
struct Stat {
    session: i32,
    started: u64,
    ended: bool,
}

fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name comes before, in parentheses, and may hold any character.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    Some(Stat {
        ended: matches!(*fields.first()?, "Z" | "X"),
        session: fields.get(3)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

fn namespace() -> String {
    fs::read_link("/proc/self/ns/pid").map(|link| link.to_string_lossy().into_owned()).unwrap_or_default()
}

/// This process, for the marks of what it makes.
pub(crate) fn owner() -> &'static str {
    static OWNER: OnceLock<String> = OnceLock::new();
    OWNER.get_or_init(|| {
        let pid = getpid().as_raw_nonzero().get();
        let found = stat(pid).unwrap_or(Stat { session: 0, started: 0, ended: false });
        Identity { pid, started: found.started, session: found.session, namespace: namespace() }.to_string()
    })
}

/// Takes away everything that runs have left that were ended by force. Gives what it was, a line each.
///
/// What cannot be taken away stays, and is tried again at the next start.
#[must_use]
pub fn sweep(cache: Option<&Path>) -> Vec<String> {
    let mut swept = sweep_processes();
    swept.extend(sweep_temporary(&std::env::temp_dir()));
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
        // The descriptor first: what is found out below is then about the process that it stands for.
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

/// The owner that a process of this user carries in its environment.
fn owner_of_process(pid: i32) -> Option<Identity> {
    let path = format!("/proc/{pid}");
    if fs::metadata(&path).ok()?.uid() != getuid().as_raw() {
        return None;
    }
    let environment = fs::read(format!("{path}/environ")).ok()?;
    let value = environment
        .split(|byte| *byte == 0)
        .find_map(|variable| variable.strip_prefix(OWNER_VARIABLE.as_bytes())?.strip_prefix(b"="))?;
    Identity::parse(std::str::from_utf8(value).ok()?)
}

/// The processes that carry a process as their owner and have not ended.
#[must_use]
pub(crate) fn processes_of(owner: u32) -> Vec<i32> {
    let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
    numbers
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| owner_of_process(*pid).is_some_and(|found| u32::try_from(found.pid) == Ok(owner)))
        .filter(|pid| stat(*pid).is_some_and(|found| !found.ended))
        .collect()
}

/// Of a folder of runs, and another run folder, those that are still marked as a process's.
pub(crate) fn marks_of(owner: u32, runs: &Path, folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(runs).into_iter().flatten().flatten().map(|entry| entry.path());
    let owned = |path: &PathBuf| {
        let text = fs::read(path.join(MARK)).unwrap_or_default();
        let mark: Value = serde_json::from_slice(&text).unwrap_or_default();
        let found = mark["owner"].as_str().and_then(Identity::parse);
        found.is_some_and(|found| u32::try_from(found.pid) == Ok(owner))
    };
    entries.chain([folder.to_owned()]).filter(owned).map(|path| path.join(MARK)).collect()
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

/// A folder without a mark is left over only if nothing was ever put into it, and nothing will be.
fn is_abandoned(path: &Path) -> bool {
    let age = fs::metadata(path)
        .and_then(|found| found.modified())
        .ok()
        .and_then(|at| SystemTime::now().duration_since(at).ok());
    let mut entries = fs::read_dir(path).into_iter().flatten().flatten();
    age.is_some_and(|age| age > UNMARKED_AGE) && entries.all(|entry| entry.file_name() == MARK_NEW)
}

/// Removes what was being brought in, unless somebody is still at it: who brings things in holds the cache's lock.
fn sweep_partial(cache: &Path) -> Vec<String> {
    let Ok(lock) = File::options().read(true).write(true).open(cache.join(CACHE_LOCK)) else { return Vec::new() };
    if lock.try_lock().is_err() {
        return Vec::new();
    }
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
            let Ok(folder) = fs::read_to_string(&path).map(PathBuf::from) else { continue };
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

/// Says in a run folder that its run was ended by force.
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

/// A run folder's mark, and the pointer to it where it lies elsewhere. Both go when the run has ended.
#[derive(Debug)]
pub(crate) struct RunMark {
    mark: Mark,
    pointer: Option<PathBuf>,
}

impl RunMark {
    /// Marks a run folder; `pointer` is where to note a folder that the user has named.
    ///
    /// # Errors
    /// A file's.
    pub(crate) fn put(folder: &Path, pointer: Option<&Path>) -> Result<Self, FileError> {
        // Of an earlier run in the same folder.
        if let Owner::Gone(mark) = Mark::owner_of(folder) {
            mark.remove();
        }
        let pointer = pointer.map(|pointer| pointer.with_extension(ELSEWHERE));
        if let Some(pointer) = &pointer {
            fs::write(pointer, folder.as_os_str().as_encoded_bytes()).map_err(FileError::own("write", pointer))?;
        }
        Ok(Self { mark: Mark::put(folder)?, pointer })
    }
}

impl Drop for RunMark {
    fn drop(&mut self) {
        self.mark.remove();
        if let Some(pointer) = &self.pointer {
            let _ = fs::remove_file(pointer);
        }
    }
}

/// Tries to write in a folder, or in the nearest one above it that exists, by writing.
///
/// # Errors
/// Why nothing can be written there.
pub fn try_writing(folder: &Path) -> Result<PathBuf, FileError> {
    /// More than a file system keeps beside a file's name: a full disk takes an empty file.
    const BYTES: usize = 64 << 10;
    let place = folder.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/")).to_path_buf();
    let write = || {
        let mut file = tempfile::Builder::new().prefix(".dmus-").tempfile_in(&place)?;
        file.write_all(&[0; BYTES])?;
        file.as_file().sync_data()
    };
    write().map_err(FileError::own("write in", &place))?;
    Ok(place)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Makes a folder's mark look as if its owner had been killed.
    fn abandon(folder: &Path) {
        fs::write(folder.join(MARK), "{}").unwrap();
    }

    #[test]
    fn a_folder_goes_with_its_value() {
        let parent = Scratch::new().unwrap();
        let inner = Scratch::under(parent.path()).unwrap();
        let path = inner.path().to_owned();
        assert!(path.join(MARK).is_file());
        // Whoever reaches a socket in it speaks with the card.
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        drop(inner);
        assert!(!path.exists());
    }

    #[test]
    fn a_living_owners_folder_is_never_swept() {
        let parent = Scratch::new().unwrap();
        let inner = Scratch::under(parent.path()).unwrap();
        assert_eq!(sweep_temporary(parent.path()), Vec::<String>::new());
        assert!(inner.path().is_dir());
    }

    #[test]
    fn a_folder_whose_owner_has_ended_is_swept_whatever_it_holds() {
        let parent = Scratch::new().unwrap();
        let left = parent.path().join("dmus-left");
        fs::create_dir_all(left.join("deeper")).unwrap();
        fs::write(left.join("deeper/file"), "x").unwrap();
        abandon(&left);
        assert_eq!(sweep_temporary(parent.path()).len(), 1);
        assert!(!left.exists());
    }

    #[test]
    fn what_is_not_marked_stays() {
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
    fn a_run_that_was_ended_by_force_gets_a_verdict_and_keeps_its_files() {
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
    fn a_run_folder_that_the_user_named_is_found_again() {
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
    fn what_was_being_brought_in_is_swept_unless_it_still_is() {
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
    fn a_process_without_an_owner_is_ended_and_one_with_an_owner_is_not() {
        // An owner that has ended: its number is taken from a child that was waited for.
        let mut ended = Command::new("true").spawn().unwrap();
        let mut gone = Identity::parse(owner()).unwrap();
        gone.pid = ended.id() as i32;
        ended.wait().unwrap();
        let sleeper = |owner: &str| Command::new("sleep").arg("1000").env(OWNER_VARIABLE, owner).spawn().unwrap();
        let (mut left, mut kept) = (sleeper(&gone.to_string()), sleeper(owner()));
        let swept = sweep_processes();
        assert!(swept.iter().any(|line| line.contains(&format!("process {} ", left.id()))), "{swept:?}");
        assert!(!left.wait().unwrap().success());
        assert!(kept.try_wait().unwrap().is_none(), "it was ended, and its owner lives");
        kept.kill().unwrap();
        kept.wait().unwrap();
    }

    #[test]
    fn a_folder_that_takes_no_file_is_named() {
        let folder = Scratch::new().unwrap();
        assert_eq!(try_writing(&folder.path().join("not/yet/there")).unwrap(), folder.path());
        let error = try_writing(Path::new("/proc/self/fdinfo")).unwrap_err();
        assert!(error.to_string().contains("/proc/self/fdinfo"), "{error}");
    }
}
