//! A spin lock around data of PortCls: held at `DISPATCH_LEVEL`, on this guest's one processor.

#![allow(unsafe_code, reason = "the lock gives out a reference to what it protects")]

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

use super::irql::Raised;

/// Data behind a spin lock.
pub(crate) struct Lock<T> {
    held: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: `with` lets one caller at a time to the value.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    /// A free lock.
    pub(crate) const fn new(value: T) -> Self {
        Self { held: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// Calls `body` with the value, at `DISPATCH_LEVEL`. Callable up to there. `body` calls no driver.
    ///
    /// # Panics
    /// When the lock is held already: on one processor that is this thread itself, for nobody else runs at
    /// `DISPATCH_LEVEL`.
    pub(crate) fn with<R>(&self, body: impl FnOnce(&mut T) -> R) -> R {
        let raised = Raised::to_dispatch();
        #[cfg(target_os = "none")]
        assert!(!self.held.swap(true, Ordering::Acquire), "a lock of PortCls is taken twice");
        // Tests run on several processors.
        #[cfg(test)]
        while self.held.swap(true, Ordering::Acquire) {
            core::hint::spin_loop();
        }
        // SAFETY: `held` was free and is ours until it is stored below.
        let result = body(unsafe { &mut *self.value.get() });
        self.held.store(false, Ordering::Release);
        drop(raised);
        result
    }
}
