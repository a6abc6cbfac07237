//! Confines the process once it is set up: what attacks it from a guest or a file finds nothing to open, start or reach.
//!
//! Three means, each of which stands when another fails: a seccomp filter for each [`Role`], whose lists of calls are in
//! [`calls`]; Landlock, which takes what a list cannot see, namely the paths that a call names; and limits of the process.
//! A thread enters its role when it starts, and a thread that it starts later begins with the same restrictions. A call
//! outside the list ends the process with [`ExitCode::Violation`] and a line on standard error.
//!
//! Source: Linux, `Documentation/userspace-api/seccomp_filter.rst` and `landlock.rst`.

mod allocator;
pub mod calls;
pub mod descriptors;
pub mod error;
mod filter;
pub mod folders;
mod limits;
pub mod role;
pub mod table;
mod violation;

use std::io::{self, Write, stderr};
use std::panic::resume_unwind;
use std::sync::OnceLock;

use card_control::{ExitCode, PROGRAM};

pub use error::SandboxError;
pub use folders::Folders;
use role::Reach;
pub use role::Role;

/// The sandbox of the process, from when it is prepared.
static SANDBOX: OnceLock<Sandbox> = OnceLock::new();

#[derive(Debug)]
struct Sandbox {
    filters: filter::Filters,
    folders: Folders,
    nothing: folders::Nothing,
    /// Set once the log says what the kernel enforces.
    described: OnceLock<()>,
}

/// Prepares the sandbox of this process: its limits, the report of refused calls, and the filters, so that [`enter`] has
/// nothing left that can fail but the host, and a thread without reach needs no descriptor to be confined. From here on
/// there are no backtraces. To be called before the first thread starts. `descriptors` is the number that the process needs
/// at most, if it is known. A second call changes nothing.
///
/// # Errors
/// Every [`SandboxError`] but [`SandboxError::Descriptors`] and [`SandboxError::Folders`], when the host or the processor
/// has no such sandbox.
pub fn prepare(folders: Folders, descriptors: Option<u64>) -> Result<(), SandboxError> {
    limits::no_core_dumps()?;
    if let Some(most) = descriptors {
        limits::descriptors(most)?;
    }
    allocator::open_no_files();
    allocator::show_no_backtraces();
    violation::install()?;
    let filters = filter::Filters::compile()?;
    filters.without_clone3()?;
    let nothing = folders::Nothing::prepare()?;
    let _ = SANDBOX.set(Sandbox { filters, folders, nothing, described: OnceLock::new() });
    Ok(())
}

/// Puts the calling thread into its role, for good; a thread that is in it already stays so. Without a prepared sandbox it does nothing. Where the host refuses
/// the role the process ends with [`ExitCode::Sandbox`]: no thread goes on without its restrictions.
pub fn enter(role: Role) {
    let Some(sandbox) = SANDBOX.get() else { return };
    if !violation::note(role) {
        return;
    }
    let restricted = match role.reach() {
        Reach::Nothing => sandbox.nothing.restrict(),
        reach => sandbox.folders.restrict(reach).map(|status| {
            if sandbox.described.set(()).is_ok() {
                log::debug!("sandbox: system calls are filtered; {}", folders::describe(&status));
            }
        }),
    };
    let entered = restricted.and_then(|()| {
        log::debug!("sandbox: this thread enters the role {}", role.name());
        sandbox.filters.enter(role)
    });
    if let Err(error) = entered {
        let _ = writeln!(stderr(), "{PROGRAM}: {}", unavailable(&error));
        signal_hook::low_level::exit(ExitCode::Sandbox.number().into());
    }
}

/// Executes `act` on a thread of its own in a role, and returns its result. Without a prepared sandbox there is no thread.
///
/// # Errors
/// The host's error, when it has no more threads.
pub fn on_a_thread<T: Send>(role: Role, act: impl FnOnce() -> T + Send) -> io::Result<T> {
    if SANDBOX.get().is_none() {
        return Ok(act());
    }
    std::thread::scope(|scope| {
        let confined = move || {
            enter(role);
            act()
        };
        let thread = std::thread::Builder::new().name(role.name().into()).spawn_scoped(scope, confined)?;
        Ok(thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

/// Returns the sentence for a process that cannot be confined.
#[must_use]
pub fn unavailable(error: &SandboxError) -> String {
    format!("the sandbox cannot be set up: {error}; --sandbox off runs without one")
}
