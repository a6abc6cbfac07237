//! Whether drivers are watched: the one switch of the checks that cost time, so that their cost can be measured.
//!
//! With option `verifier=off` the host does what Windows does without Driver Verifier. Pool comes from the heap,
//! without guard pages and unpoisoned; events and buffers are not poisoned either. Levels, the order of locks, the
//! counts of references, the length of service routines and pageable code are not looked at; what is freed is used
//! again at once, and a stream is not tried out before its client gets it. What stays are the rules about values that
//! the host holds in its hands anyway (status codes, descriptors, what comes back to an allocator), the books of pool
//! and objects, in which every system writes, and the stops for what no system survives.

use core::sync::atomic::{AtomicBool, Ordering};

static ON: AtomicBool = AtomicBool::new(true);

/// Watches drivers, or not. Before a driver is loaded: what one allocates under a watch must be freed under it.
pub fn set(on: bool) {
    ON.store(on, Ordering::Relaxed);
}

/// Returns whether drivers are watched.
#[inline]
#[must_use]
pub fn is_on() -> bool {
    ON.load(Ordering::Relaxed)
}
