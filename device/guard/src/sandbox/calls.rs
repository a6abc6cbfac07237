//! The system calls of the guard's thread, each with the reason for which it is made.
//!
//! A call that exists on one architecture only stands behind a `cfg`. The numbers are those of the Linux manual pages, section 2.

use syscalls::Sysno;

/// A system call that is allowed.
pub(super) struct Allowed {
    pub(super) call: Sysno,
    /// The condition on one of its arguments, if there is one.
    pub(super) only: Option<Only>,
    /// The reason for which it is made.
    #[cfg_attr(not(test), expect(dead_code, reason = "it is for the manual, which a test writes"))]
    pub(super) why: &'static str,
}

/// What an argument of a call must be.
#[derive(Clone, Copy)]
pub(super) struct Only {
    /// Number of the argument, from 0.
    pub(super) argument: u8,
    /// The bits that are compared, of the lower 32.
    pub(super) mask: u32,
    /// Their value.
    pub(super) value: Value,
    /// The condition, for people.
    #[cfg_attr(not(test), expect(dead_code, reason = "it is for the manual, which a test writes"))]
    pub(super) text: &'static str,
}

/// The value that an argument is compared with.
#[derive(Clone, Copy)]
pub(super) enum Value {
    /// This number.
    Number(u32),
    /// The number of this process.
    ThisProcess,
}

const fn equals(argument: u8, value: u32, text: &'static str) -> Only {
    Only { argument, mask: u32::MAX, value: Value::Number(value), text }
}

/// Memory that holds no code.
const NO_CODE: Only =
    Only { argument: 2, mask: libc::PROT_EXEC as u32, value: Value::Number(0), text: "without PROT_EXEC" };

/// This process.
const THIS_PROCESS: Only = Only { argument: 0, mask: u32::MAX, value: Value::ThisProcess, text: "this process" };

/// Makes the list: `name [condition]: "reason";`.
macro_rules! calls {
    ($($(#[$cfg:meta])* $call:ident $([$only:expr])? : $why:literal;)*) => {
        &[$($(#[$cfg])* Allowed { call: Sysno::$call, only: calls!(@ $($only)?), why: $why },)*]
    };
    (@) => { None };
    (@ $only:expr) => { Some($only) };
}

/// Every call of the guard, once it is set up.
pub(super) const CALLS: &[Allowed] = calls! {
    brk: "the allocator's heap";
    mmap [NO_CODE]: "large allocations; whether guest memory can be mapped";
    munmap: "as for mmap";
    mremap: "allocations that grow";
    mprotect [NO_CODE]: "the allocator's arenas";
    madvise: "memory given back";
    futex: "locks";
    clock_gettime: "time, where the kernel's shared page does not give it";
    clock_nanosleep: "pauses";
    nanosleep: "pauses, with musl";
    restart_syscall: "a wait goes on after the process was stopped";
    getrandom: "seeds of hash tables";
    #[cfg(target_arch = "x86_64")]
    poll: "waits";
    ppoll: "waits";
    accept4: "the next front-end, or back-end";
    socket [equals(0, libc::AF_UNIX as u32, "AF_UNIX")]: "the private connection to the back-end";
    connect: "as for socket";
    recvmsg: "messages and the descriptors that come with them";
    sendmsg: "answers, and descriptors that are handed on";
    recvfrom: "whether a connection has ended";
    sendto: "the request to stop, by the handler of a signal";
    shutdown: "the end of a connection";
    getsockopt: "the kind of a socket that is handed on";
    write: "the log, findings, event counters";
    read: "event counters";
    close: "descriptors that are out of use";
    fcntl [equals(1, libc::F_GETFD as u32, "F_GETFD")]: "as for close, in debug builds";
    fcntl [equals(1, libc::F_DUPFD_CLOEXEC as u32, "F_DUPFD_CLOEXEC")]: "a second descriptor of a counter or of memory";
    #[cfg(target_env = "musl")]
    fcntl [equals(1, libc::F_SETFD as u32, "F_SETFD")]: "as for F_DUPFD_CLOEXEC, with musl";
    ioctl [equals(1, libc::FIONBIO as u32, "FIONBIO")]: "sockets and event counters that do not block";
    fstat: "the kind and length of a memory file, the kind of a descriptor";
    lseek: "the length of a memory file";
    pread64: "the description of a descriptor; the index at which a ring goes on";
    dup3: "a descriptor put where its description is open";
    #[cfg(target_arch = "x86_64")]
    unlink: "the path of a socket, at the end";
    unlinkat: "the path of a socket, at the end";
    rt_sigreturn: "the end of a signal handler";
    rt_sigprocmask: "abort";
    rt_sigaction: "abort";
    sigaltstack: "the end of the thread";
    getpid: "abort";
    gettid: "abort";
    tgkill [THIS_PROCESS]: "abort";
    #[cfg(target_env = "musl")]
    tkill: "abort, with musl";
    exit: "the end of the thread";
    exit_group: "the end of the process";
};
