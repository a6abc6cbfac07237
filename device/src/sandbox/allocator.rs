#![allow(
    unsafe_code,
    reason = "the C library's allocator and the environment are changed by functions of no thread safety"
)]
//! Keeps the C library and the standard library from opening files.

/// Has every thread allocate from one heap. That of glibc looks into `/sys` when it decides on a further heap for a thread
/// (before 2.35), and into `/proc/sys/vm` when it first gives memory of such a heap back. Small allocations stay without
/// a lock, because each thread has a cache of its own. To be called before the first thread starts.
pub(super) fn open_no_files() {
    // SAFETY: mallopt has no preconditions; the caller has no other thread yet.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Has panics and the end of memory show no backtrace, for which the standard library opens files. To be called before
/// the first thread starts.
pub(super) fn show_no_backtraces() {
    for name in ["RUST_BACKTRACE", "RUST_LIB_BACKTRACE"] {
        // SAFETY: the caller has no other thread yet, so that none reads the environment.
        unsafe { std::env::remove_var(name) };
    }
}
