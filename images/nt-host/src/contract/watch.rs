//! Whether drivers are watched: the one switch of the checks that cost time, so that their cost can be measured.
//!
//! With option `verifier=off` the host does what Windows does without Driver Verifier.
//!
//! * **No rule and no check is judged**: what the host happens to see of one (a status, a descriptor, what comes back to an
//!   allocator) neither stops it nor is reported. It goes on as where the rule is waived, and says at the end how often.
//! * **The driver is not tried out**: no interface is asked for that PortCls does not use, no range intersected, no stream
//!   made or played with before its client gets it, no interrupt raised that no device raised.
//! * **Nothing is watched**: pool comes from the heap, without guard pages and unpoisoned, and what is freed is used again at
//!   once; events and buffers are not poisoned. Levels, the order of locks, the counts of references, the length of service
//!   routines and pageable code are not looked at.
//! * **What stays**: the bug checks that Windows itself makes, and stops where no system can go on, such as a fault, a lock
//!   acquired twice, an object that is called after its end, a descriptor that cannot be read.

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
