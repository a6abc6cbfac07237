//! Host state: reached by one processor at a time, while nothing can interrupt it.
#![allow(unsafe_code, reason = "a cell shared with interrupt handlers")]

use core::cell::{Cell, UnsafeCell};

use super::cpu::exclusively;

/// A value that is reached exclusively. Not re-entrant: reaching it from within itself is a bug of the
/// host and panics.
#[derive(Debug)]
pub struct Uninterrupted<T> {
    value: UnsafeCell<T>,
    held: Cell<bool>,
}

// SAFETY: `exclusively` lets one processor at a time to the value, with interrupts off.
unsafe impl<T: Send> Sync for Uninterrupted<T> {}

impl<T> Uninterrupted<T> {
    /// Wraps `value`.
    pub const fn new(value: T) -> Self {
        Self { value: UnsafeCell::new(value), held: Cell::new(false) }
    }

    /// Runs `body` on the value.
    #[track_caller]
    pub fn with<R>(&self, body: impl FnOnce(&mut T) -> R) -> R {
        exclusively(|| {
            assert!(!self.held.replace(true), "host state is reached from within itself");
            // SAFETY: exclusive, and `held` was false, so this is the only reference.
            let result = body(unsafe { &mut *self.value.get() });
            self.held.set(false);
            result
        })
    }
}
