//! The system calls of the card, in groups, each call with the reason for which it is made.
//!
//! A call that exists on one architecture only stands behind a `cfg`; on the others one that does the same stands beside
//! it. The numbers are those of the Linux manual pages, section 2.

use rustix::fs::{AtFlags, OFlags};
use syscalls::Sysno;

/// A system call that is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// The call.
    pub call: Sysno,
    /// The condition on one of its arguments, if there is one. A call that stands in several rows is allowed under any of
    /// their conditions.
    pub only: Option<Only>,
    /// The reason for which it is made.
    pub why: &'static str,
}

/// What an argument of a call must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Only {
    /// Number of the argument, from 0.
    pub argument: u8,
    /// The bits that are compared, of the lower 32.
    pub mask: u32,
    /// Their value.
    pub value: Value,
    /// The condition, for people.
    pub text: &'static str,
}

/// The value that an argument is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// This number.
    Number(u32),
    /// The number of this process.
    ThisProcess,
}

const fn bits(argument: u8, mask: u32, value: u32, text: &'static str) -> Only {
    Only { argument, mask, value: Value::Number(value), text }
}

const fn equals(argument: u8, value: u32, text: &'static str) -> Only {
    bits(argument, u32::MAX, value, text)
}

/// Memory that holds no code.
const NO_CODE: Only = bits(2, libc::PROT_EXEC as u32, 0, "without PROT_EXEC");

/// A thread of this process, and no process.
const THREAD: Only = bits(0, libc::CLONE_THREAD as u32, libc::CLONE_THREAD as u32, "with CLONE_THREAD");

/// A file that was not there before. `O_EXCL` without `O_CREAT` has no effect on a file.
const NEW_FILE: u32 = OFlags::CREATE.union(OFlags::EXCL).bits();
const CREATES: Only = bits(2, NEW_FILE, NEW_FILE, "with O_CREAT and O_EXCL");

/// A file without a name.
const NAMELESS: Only = bits(2, OFlags::TMPFILE.bits(), OFlags::TMPFILE.bits(), "with O_TMPFILE");

/// Makes a list of calls: `name [condition]: "reason";`.
macro_rules! calls {
    ($($(#[$cfg:meta])* $call:ident $([$only:expr])? : $why:literal;)*) => {
        &[$($(#[$cfg])* Allowed { call: Sysno::$call, only: calls!(@ $($only)?), why: $why },)*]
    };
    (@) => { None };
    (@ $only:expr) => { Some($only) };
}

/// What every thread may do: memory, locks, clocks, signals, the log, and its own end.
pub const ANY_THREAD: &[Allowed] = calls! {
    brk: "the allocator's heap";
    mmap [NO_CODE]: "large allocations, the allocator's arenas, guest memory, memory in place of guest memory that was cut short";
    munmap: "as for mmap; a thread's stack at its end";
    mremap: "allocations that grow";
    mprotect [NO_CODE]: "the allocator's arenas, guard pages of stacks";
    madvise: "memory given back, a thread's stack at its end";
    futex: "locks, channels, joins, parking";
    sched_yield: "locks that are free soon";
    clock_gettime: "time, where the kernel's shared page does not give it";
    clock_nanosleep: "pauses";
    nanosleep: "pauses, with musl";
    restart_syscall: "a wait goes on after the process was stopped";
    getrandom: "seeds of hash tables";
    #[cfg(target_arch = "x86_64")]
    poll: "waits; whether standard error takes a line";
    ppoll: "waits; whether standard error takes a line";
    write: "the log, event counters, wake-ups, files that are open";
    close: "descriptors that are out of use";
    fcntl [equals(1, libc::F_GETFD as u32, "F_GETFD")]: "as for close, in debug builds";
    rt_sigreturn: "the end of a signal handler";
    rt_sigprocmask: "abort, the start and the end of a thread";
    rt_sigaction: "abort, and bus errors outside guest memory";
    sigaltstack: "the start and the end of a thread";
    getpid: "abort";
    gettid: "abort";
    tgkill [Only { argument: 0, mask: u32::MAX, value: Value::ThisProcess, text: "this process" }]: "abort";
    #[cfg(target_env = "musl")]
    tkill: "abort, with musl";
    exit: "the end of a thread";
    exit_group: "the end of the process";
};

/// What threads do that start others. A new thread begins with the filters of the one that starts it.
pub const STARTS_THREADS: &[Allowed] = calls! {
    clone [THREAD]: "starts a thread";
    clone3: "answered with ENOSYS, so that the C library uses clone, whose flags a filter sees";
    set_robust_list: "the start of a thread";
    set_tid_address: "the start of a thread, with musl";
    rseq: "the start of a thread";
    sched_getaffinity: "the C library's look at a new thread's stack";
    prctl [equals(0, libc::PR_SET_NAME as u32, "PR_SET_NAME")]: "the name of a thread";
    prctl [equals(0, libc::PR_SET_NO_NEW_PRIVS as u32, "PR_SET_NO_NEW_PRIVS")]: "a new thread enters its role";
    seccomp [equals(0, libc::SECCOMP_SET_MODE_FILTER, "SECCOMP_SET_MODE_FILTER")]: "a new thread enters its role";
    landlock_create_ruleset: "a new thread enters its role";
    landlock_restrict_self: "a new thread enters its role";
};

/// What threads do that accept connections.
pub const ACCEPTS: &[Allowed] = calls! {
    accept4: "the next connection";
};

/// What threads do that talk over a connection.
pub const TALKS: &[Allowed] = calls! {
    recvfrom: "what the peer says";
    sendto: "answers";
    shutdown: "the end of a connection";
};

/// What a thread does that stands between a front-end and the back-end.
pub const GUARDS: &[Allowed] = calls! {
    socket [equals(0, libc::AF_UNIX as u32, "AF_UNIX")]: "the private connection to the back-end";
    bind: "the private name of the back-end, which is no path";
    listen: "as for bind";
    connect: "as for bind";
    pipe2: "the request that the back-end ends";
};

/// What a thread does that receives descriptors of a front-end, and looks at what they are.
pub const DESCRIBES: &[Allowed] = calls! {
    recvmsg: "messages and the descriptors that come with them";
    sendmsg: "answers, and descriptors that are handed on";
    getsockopt: "the kind of a socket that is handed on";
    fstat: "the kind and length of a memory file, the kind of a descriptor";
    lseek: "the length of a memory file";
    dup3: "a descriptor put where its description is open";
    pread64: "the description of a descriptor; the index at which a ring goes on";
};

/// What a thread does that serves a connection by the framework.
pub const SERVES_A_BACKEND: &[Allowed] = calls! {
    epoll_create1: "the doorbells of a connection";
    eventfd2: "the end of a worker, calls";
    fcntl [equals(1, libc::F_DUPFD_CLOEXEC as u32, "F_DUPFD_CLOEXEC")]: "a second descriptor of a socket or a counter";
    #[cfg(target_env = "musl")]
    fcntl [equals(1, libc::F_SETFD as u32, "F_SETFD")]: "as for F_DUPFD_CLOEXEC, with musl";
    #[cfg(target_arch = "x86_64")]
    epoll_wait: "as for epoll_pwait";
    epoll_pwait: "doorbells and the end of the worker";
};

/// What a thread does that serves QEMU as a PCI function.
pub const SERVES_A_FUNCTION: &[Allowed] = calls! {
    pipe2: "the request that a connection ends";
    memfd_create: "the page of registers that a guest maps";
    ftruncate: "the length of that page";
    fcntl [equals(1, libc::F_ADD_SEALS as u32, "F_ADD_SEALS")]: "that length, for ever";
    statx [equals(2, AtFlags::EMPTY_PATH.bits(), "AT_EMPTY_PATH")]: "the length of guest memory";
};

/// What a thread does that ends a connection when the process is to end.
pub const ENDS_A_CONNECTION: &[Allowed] = calls! {
    shutdown: "the end of a connection";
};

/// What a thread does that waits for doorbells.
pub const EVENTS: &[Allowed] = calls! {
    #[cfg(target_arch = "x86_64")]
    epoll_wait: "as for epoll_pwait";
    epoll_pwait: "doorbells and the end of the worker";
};

/// What threads do with the event counters of rings.
pub const RINGS: &[Allowed] = calls! {
    read: "event counters, before Linux 5.8";
    preadv2: "event counters, without waiting";
    ioctl [equals(1, libc::FIONBIO as u32, "FIONBIO")]: "event counters that do not block";
    epoll_ctl: "doorbells that are watched from now on, or no longer";
};

/// What a thread does that writes sound files which are open.
pub const SOUND_FILE: &[Allowed] = calls! {
    lseek: "the header of the sound file";
};

/// What a thread does that begins a sound file beside the first one, for another sample rate.
pub const NEXT_SOUND_FILE: &[Allowed] = calls! {
    openat [CREATES]: "the sound file for another sample rate";
    #[cfg(target_arch = "x86_64")]
    unlink: "a file of the same name from before";
    unlinkat: "a file of the same name from before";
};

/// What a thread does that removes the paths of sockets.
pub const SOCKET_PATHS: &[Allowed] = calls! {
    #[cfg(target_arch = "x86_64")]
    newfstatat: "whether the path still leads to the socket";
    #[cfg(not(target_arch = "x86_64"))]
    fstatat: "whether the path still leads to the socket";
    #[cfg(target_arch = "x86_64")]
    unlink: "the path of a socket";
    unlinkat: "the path of a socket";
};

/// What an offline command does: it reads inputs and writes outputs that are open, and names the outputs.
pub const OFFLINE: &[Allowed] = calls! {
    read: "inputs that are open";
    lseek: "the header of a sound file, the length of an input";
    fstat: "the length of an input";
    statx [equals(2, AtFlags::EMPTY_PATH.bits(), "AT_EMPTY_PATH")]: "the length of an input";
    ioctl [equals(1, libc::TCGETS as u32, "TCGETS")]: "whether progress is shown on a terminal";
    #[cfg(target_env = "musl")]
    ioctl [equals(1, libc::TIOCGWINSZ as u32, "TIOCGWINSZ")]: "as for TCGETS, with musl";
    linkat: "the name of a complete output";
    #[cfg(target_arch = "x86_64")]
    rename: "a complete output in place of a file";
    #[cfg(not(target_arch = "riscv64"))]
    renameat: "a complete output in place of a file";
    renameat2: "a complete output in place of a file";
    #[cfg(target_arch = "x86_64")]
    unlink: "an output that is not completed";
    #[cfg(target_arch = "x86_64")]
    rmdir: "a folder that was made for outputs";
    unlinkat: "as for unlink and rmdir";
};

/// What `render --stems` does besides: it knows its outputs when it has read the events.
pub const STEMS: &[Allowed] = calls! {
    #[cfg(target_arch = "x86_64")]
    open [Only { argument: 1, ..NAMELESS }]: "an output";
    openat [NAMELESS]: "an output";
    openat [CREATES]: "an output, where a file system has no nameless files";
    #[cfg(target_arch = "x86_64")]
    readlink: "whether the kernel shows open files by number";
    readlinkat: "whether the kernel shows open files by number";
    faccessat: "whether the file at the path of an output may be written";
    #[cfg(target_arch = "x86_64")]
    newfstatat: "what stands at the path of an output";
    #[cfg(not(target_arch = "x86_64"))]
    fstatat: "what stands at the path of an output";
    statx: "what stands at the path of an output";
};

/// What a thread does that removes unfinished outputs at a signal.
pub const ABANDONS: &[Allowed] = calls! {
    #[cfg(target_arch = "x86_64")]
    unlink: "an output that is not complete";
    #[cfg(target_arch = "x86_64")]
    rmdir: "a folder that was made for outputs";
    unlinkat: "as for unlink and rmdir";
};
