#![allow(unsafe_code, reason = "a signal handler, and what the kernel passes to it")]
//! Reports a call that the filter refuses, and ends the process.

use std::io::{self, Write};

use syscalls::Sysno;
use vmm_sys_util::signal::register_signal_handler;

use super::error::{SandboxError, VIOLATION};

/// Place of the call's number in the kernel's `siginfo_t` for `SIGSYS`, in words of 32 bits: behind three words, a word
/// of padding and the address of the call (Linux, `include/uapi/asm-generic/siginfo.h`, `_sigsys`).
const CALL: usize = 6;

/// Code of a `SIGSYS` that a filter has raised (the same file, `SYS_SECCOMP`).
const BY_A_FILTER: i32 = 1;

/// Longest report in bytes: it is put together without an allocator.
const REPORT_BYTES_MAX: usize = 512;

/// Installs the handler.
///
/// # Errors
/// [`SandboxError::Host`], when the host refuses it.
pub(super) fn install() -> Result<(), SandboxError> {
    register_signal_handler(libc::SIGSYS, on_refused_call).map_err(|error| {
        SandboxError::host("the handler of refused system calls", io::Error::from_raw_os_error(error.errno()))
    })
}

/// Runs in signal context: it writes and ends the process, and takes no lock.
extern "C" fn on_refused_call(_signal: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid siginfo to a handler that was registered with SA_SIGINFO.
    let by_a_filter = unsafe { (*info).si_code } == BY_A_FILTER;
    // SAFETY: as above; the structure has 128 bytes, and for a SIGSYS of a filter this word is the number of the call.
    let number = if by_a_filter { unsafe { info.cast::<i32>().add(CALL).read() } } else { -1 };
    let name = usize::try_from(number).ok().and_then(Sysno::new).map_or("of unknown name", |call| call.name());
    let mut report = [0; REPORT_BYTES_MAX];
    let mut rest = &mut report[..];
    let _ = writeln!(
        rest,
        "vhost-user-guard: the sandbox has refused the system call {name} ({number}); this is a defect of the guard, or an \
         attack on it: please report this line with what front-end and back-end did; until it is settled, --sandbox off runs \
         the guard without the sandbox"
    );
    let length = REPORT_BYTES_MAX - rest.len();
    // Where standard error takes nothing, the exit code says it.
    let _ = rustix::io::write(rustix::stdio::stderr(), &report[..length]);
    signal_hook::low_level::exit(VIOLATION.into())
}
