//! Confines the guard's process once it is set up: a front-end or a back-end that takes it over finds nothing to open, start or
//! reach.
//!
//! Three means, each of which stands when another fails: a seccomp filter with the calls of [`calls`]; Landlock, where the
//! kernel has it, which takes what the filter cannot see, namely the paths that a call names; and limits of the process. The
//! guard has one thread, so there is one list. A call outside of it ends the process with [`error::VIOLATION`] and a line on standard
//! error.
//!
//! Source: Linux, `Documentation/userspace-api/seccomp_filter.rst` and `landlock.rst`.

mod calls;
mod descriptors;
mod error;
mod filter;
mod violation;

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, RestrictionStatus, Ruleset, RulesetAttr,
    RulesetCreatedAttr, Scope,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use vhost_user_guard::{Limits, RINGS_MAX, TABLE_REGIONS_MAX};

pub(crate) use descriptors::close_inherited;
pub(crate) use error::{SandboxError, UNAVAILABLE};

/// The newest version of Landlock whose restrictions are used: the newest that the guard was run with. An older kernel enforces
/// what it has. Version 9 can restrict connections to sockets in the file system, which the guard makes.
const NEWEST: ABI = ABI::V7;

/// Descriptors that do not depend on a front-end: standard streams, listeners, pipes, connections. There are some 20.
const OWN_DESCRIPTORS: usize = 64;

/// Returns how many descriptors the guard holds at most: for each ring a kick and its copy, a call and an error counter; memory
/// regions twice, because a front-end replaces all of them at once; those of one message; its own.
fn descriptors_max(limits: &Limits) -> u64 {
    let most = 4 * RINGS_MAX + TABLE_REGIONS_MAX + OWN_DESCRIPTORS;
    limits.regions.saturating_mul(2).saturating_add(most) as u64
}

/// Confines the process, for good. To be called when all that it opens is open, in its only thread. `sockets` are the paths of
/// its sockets, which it removes at the end; `connects` says that it connects to an abstract socket of another process; `limits` are
/// those of the guard.
///
/// # Errors
/// [`SandboxError`], when the host or the processor has no such sandbox.
pub(crate) fn enter(sockets: &[PathBuf], connects: bool, limits: &Limits) -> Result<(), SandboxError> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    // Guest memory would be in them.
    setrlimit(Resource::Core, none).map_err(|error| SandboxError::host("to turn core dumps off", error))?;
    limit_descriptors(descriptors_max(limits))?;
    violation::install()?;
    // The standard library's shows a backtrace, for which it opens files.
    std::panic::set_hook(Box::new(|panic| {
        log::error!("{panic}; this is a defect of the guard, please report it; --sandbox off shows a backtrace");
    }));
    let status = restrict(sockets, connects)?;
    log::debug!("sandbox: system calls are filtered; Landlock: {:?}, {:?}", status.landlock, status.ruleset);
    filter::enter()
}

fn limit_descriptors(most: u64) -> Result<(), SandboxError> {
    let limit = getrlimit(Resource::Nofile);
    let current = Some(limit.current.map_or(most, |current| current.min(most)));
    setrlimit(Resource::Nofile, Rlimit { current, ..limit })
        .map_err(|error| SandboxError::host("to lower the number of descriptors", error))
}

/// Takes the process every right to the file system but that to remove entries of the sockets' folders, and to the network.
fn restrict(sockets: &[PathBuf], connects: bool) -> Result<RestrictionStatus, SandboxError> {
    let scopes: BitFlags<Scope> = if connects { Scope::Signal.into() } else { Scope::from_all(NEWEST) };
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(scopes)?
        .create()?;
    // A folder that is not there has no entries.
    let folders = sockets.iter().filter_map(|path| PathFd::new(folder_of(path)).ok());
    let rules = folders.map(|folder| PathBeneath::new(folder, AccessFs::RemoveFile));
    Ok(rules.into_iter().try_fold(ruleset, RulesetCreatedAttr::add_rule)?.restrict_self()?)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{self, Write};
    use std::net::TcpStream;
    use std::os::unix::net::UnixListener;
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::{Command, Output};

    use rustix::process::{Pid, Signal, kill_process};

    use super::error::VIOLATION;
    use super::*;

    /// Tells a test of this program what to do as a process of its own: a refused call ends it.
    const TASK: &str = "GUARD_SANDBOX_TEST_TASK";

    fn as_a_process(name: &str, task: &str) -> Output {
        let name = format!("sandbox::tests::{name}");
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", &name, "--nocapture", "--test-threads=1"]).env(TASK, task).output().unwrap()
    }

    fn task() -> Option<String> {
        std::env::var(TASK).ok()
    }

    #[test]
    fn refuses_programs_files_the_network_code_and_signals_and_names_the_call() {
        if let Some(task) = task() {
            enter(&[], false, &Limits::default()).unwrap();
            match task.as_str() {
                "openat" => drop(fs::File::open("/etc/passwd")),
                "socket" => drop(TcpStream::connect("127.0.0.1:9")),
                "execve" => drop(Command::new("/bin/true").exec()),
                "mmap" => {
                    let (prot, flags) = (libc::PROT_READ | libc::PROT_EXEC, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
                    drop(vm_memory::MmapRegion::<()>::build(None, 4096, prot, flags));
                }
                "bind" => drop(UnixListener::bind("/tmp/a-name-that-is-never-bound")),
                "kill" => drop(kill_process(Pid::INIT, Signal::CONT)),
                other => panic!("{other}"),
            }
            return;
        }
        for call in ["openat", "socket", "execve", "mmap", "bind", "kill"] {
            let name = "refuses_programs_files_the_network_code_and_signals_and_names_the_call";
            let output = as_a_process(name, call);
            let error = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(VIOLATION.into()), "{call}: {error}");
            assert!(error.contains(&format!("refused the system call {call}")), "{call}: {error}");
            assert!(error.contains("--sandbox off") && error.contains("report"), "{error}");
        }
    }

    /// The C library blocks all signals while it starts a thread or a process, so that the kernel ends the guard.
    #[test]
    fn starts_no_threads_and_no_processes() {
        if let Some(task) = task() {
            enter(&[], false, &Limits::default()).unwrap();
            match task.as_str() {
                "thread" => drop(std::thread::Builder::new().spawn(|| {})),
                _ => drop(Command::new("/bin/true").spawn()),
            }
            return;
        }
        for task in ["thread", "process"] {
            let output = as_a_process("starts_no_threads_and_no_processes", task);
            let refused =
                output.status.code() == Some(VIOLATION.into()) || output.status.signal() == Some(libc::SIGSYS);
            assert!(refused, "{task}: {:?}", output.status);
        }
    }

    #[test]
    fn a_panic_is_named_and_shows_no_backtrace() {
        if task().is_some() {
            let _ = env_logger::try_init();
            enter(&[], false, &Limits::default()).unwrap();
            assert!(std::panic::catch_unwind(|| panic!("on purpose")).is_err());
            signal_hook::low_level::exit(3);
        }
        let name = "sandbox::tests::a_panic_is_named_and_shows_no_backtrace";
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(TASK, "panic");
        let output = command.env("RUST_BACKTRACE", "1").env("RUST_LOG", "error").output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{error}");
        assert!(error.contains("on purpose") && error.contains("--sandbox off"), "{error}");
    }

    /// Returns whether this kernel has Landlock.
    fn has_landlock() -> bool {
        use landlock::{CompatLevel, Compatible};
        let ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        ruleset.handle_access(AccessFs::from_all(ABI::V1)).and_then(Ruleset::create).is_ok()
    }

    #[test]
    fn removes_its_own_sockets_and_nothing_elsewhere() {
        if let Some(folder) = task() {
            let [inside, outside] = ["inside", "outside"].map(|name| Path::new(&folder).join(name).join("socket"));
            enter(std::slice::from_ref(&inside), false, &Limits::default()).unwrap();
            let outcome = (fs::remove_file(inside).is_ok(), fs::remove_file(outside).is_ok());
            let _ = writeln!(io::stderr(), "removed: {outcome:?}");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        for name in ["inside", "outside"] {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join("socket"), "").unwrap();
        }
        let output = as_a_process("removes_its_own_sockets_and_nothing_elsewhere", folder.path().to_str().unwrap());
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains(&format!("removed: (true, {})", !has_landlock())), "{error}");
    }

    /// The manual says what the list says.
    #[test]
    fn the_manual_lists_every_call() {
        if cfg!(not(all(target_arch = "x86_64", target_env = "gnu"))) {
            return;
        }
        let mut table = String::from(
            "# The calls of the guard's sandbox\n\nWritten by `UPDATE_SANDBOX=1 cargo test -p vhost-user-guard --bin \
             vhost-user-guard` from `src/sandbox/calls.rs`,\nfor x86-64; on other architectures a call that does the same \
             stands in place of one that does not exist.\n\nA call that is not here ends the guard with exit code 71 and a \
             line that names it.\n\n| call | only | for |\n|---|---|---|\n",
        );
        for calls::Allowed { call, only, why } in calls::CALLS {
            table += &format!("| `{call}` | {} | {why} |\n", only.map_or("", |only| only.text));
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("SANDBOX.md");
        if std::env::var_os("UPDATE_SANDBOX").is_some() {
            fs::write(&path, &table).unwrap();
        }
        assert!(
            fs::read_to_string(&path).unwrap_or_default() == table,
            "SANDBOX.md is not what the list says; UPDATE_SANDBOX=1 cargo test -p vhost-user-guard --bin vhost-user-guard"
        );
    }

    #[test]
    fn the_folder_of_a_bare_name_is_the_one_that_the_process_is_in() {
        assert_eq!(folder_of(Path::new("socket")), Path::new("."));
        assert_eq!(folder_of(Path::new("/run/socket")), Path::new("/run"));
    }
}
