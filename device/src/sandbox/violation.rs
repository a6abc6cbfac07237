#![allow(unsafe_code, reason = "a signal handler, and what the kernel passes to it")]
//! Reports a call that a filter refuses, and ends the process.

use std::cell::Cell;
use std::io;

use card_control::{ExitCode, PROGRAM};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use syscalls::Sysno;
use vmm_sys_util::signal::register_signal_handler;

use super::error::SandboxError;
use super::role::Role;

/// Place of the call's number in the kernel's `siginfo_t` for `SIGSYS`, in words of 32 bits: behind three words, a word
/// of padding and the address of the call (Linux, `include/uapi/asm-generic/siginfo.h`, `_sigsys`).
const CALL: usize = 6;

/// Code of a `SIGSYS` that a filter has raised (the same file, `SYS_SECCOMP`).
const BY_A_FILTER: i32 = 1;

/// Longest report in bytes. Names of calls and roles are shorter than a tenth of it.
const REPORT_BYTES_MAX: usize = 512;

thread_local! {
    // Without a destructor and without lazy initialisation, so that a signal handler may read it.
    static ROLE: Cell<Option<Role>> = const { Cell::new(None) };
}

/// Notes the role of the calling thread, for reports. False when it was that before.
pub(super) fn note(role: Role) -> bool {
    ROLE.replace(Some(role)) != Some(role)
}

/// Installs the handler for the process.
///
/// # Errors
/// [`SandboxError::Handler`], when the host refuses it.
pub(super) fn install() -> Result<(), SandboxError> {
    register_signal_handler(libc::SIGSYS, on_refused_call)
        .map_err(|error| SandboxError::Handler(io::Error::from_raw_os_error(error.errno())))
}

/// Runs in signal context: it reads the thread's role, polls, writes and ends the process, and takes no lock.
extern "C" fn on_refused_call(_signal: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid siginfo to a handler that was registered with SA_SIGINFO.
    let by_a_filter = unsafe { (*info).si_code } == BY_A_FILTER;
    // SAFETY: as above; the structure has 128 bytes, and for a SIGSYS of a filter this word is the number of the call.
    let number = if by_a_filter { Some(unsafe { info.cast::<i32>().add(CALL).read() }) } else { None };
    let mut report = Report::new();
    report.text(PROGRAM).text(": the sandbox has refused the system call ");
    match number {
        Some(number) => {
            let name = usize::try_from(number).ok().and_then(Sysno::new).map_or("of unknown name", |call| call.name());
            report.text(name).text(" (").number(number).text(")");
        }
        None => _ = report.text("of a SIGSYS that no filter has raised"),
    }
    report.text(" of a thread in the role ").text(ROLE.get().map_or("of the thread that has started it", Role::name));
    report.text(
        "; this is a defect of the card, or an attack on it: please report this line with what the guest or the file did; \
         until it is settled, --sandbox off runs the card without the sandbox\n",
    );
    // Where standard error takes nothing, the exit code says it.
    let error_output = rustix::stdio::stderr();
    let mut ready = [PollFd::from_borrowed_fd(error_output, PollFlags::OUT)];
    if poll(&mut ready, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) == Ok(1) && ready[0].revents() == PollFlags::OUT {
        let _ = rustix::io::write(error_output, report.bytes());
    }
    signal_hook::low_level::exit(ExitCode::Violation.number().into())
}

/// A report that is put together without an allocator.
struct Report {
    bytes: [u8; REPORT_BYTES_MAX],
    length: usize,
}

impl Report {
    const fn new() -> Self {
        Self { bytes: [0; REPORT_BYTES_MAX], length: 0 }
    }

    fn text(&mut self, text: &str) -> &mut Self {
        for (to, from) in self.bytes.iter_mut().skip(self.length).zip(text.bytes()) {
            *to = from;
            self.length += 1;
        }
        self
    }

    fn number(&mut self, number: i32) -> &mut Self {
        let mut digits = [0; 10];
        let mut left = number.unsigned_abs();
        let mut at = digits.len();
        while left > 0 || at == digits.len() {
            at -= 1;
            digits[at] = b'0' + (left % 10) as u8;
            left /= 10;
        }
        if number < 0 {
            self.text("-");
        }
        self.text(std::str::from_utf8(&digits[at..]).unwrap_or_default())
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_cut_where_there_is_no_room() {
        let mut report = Report::new();
        report.text("call ").number(0).text(" ").number(257).text(" ").number(-1);
        assert_eq!(report.bytes(), b"call 0 257 -1");
        report.text(&"x".repeat(REPORT_BYTES_MAX));
        assert_eq!(report.bytes().len(), REPORT_BYTES_MAX);
    }
}
