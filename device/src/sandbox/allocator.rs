#![allow(unsafe_code, reason = "the C library's allocator is configured by a C function")]
//! Keeps the C library's allocator from opening files.

/// Has every thread allocate from one heap. That of glibc looks into `/sys` when it decides on a further heap for a thread
/// (before 2.35), and into `/proc/sys/vm` when it first gives memory of such a heap back. Small allocations stay without
/// a lock, because each thread has a cache of its own.
pub(super) fn open_no_files() {
    // SAFETY: mallopt has no preconditions; the caller has no other thread yet.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}
