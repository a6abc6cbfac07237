//! A spin lock around data of PortCls: held at `DISPATCH_LEVEL`, by one processor at a time.

#![allow(unsafe_code, reason = "the lock gives out a reference to what it protects")]

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicUsize, Ordering};

use super::irql::Raised;
use crate::portcls::kernel;

/// Data behind a spin lock.
pub(crate) struct Lock<T> {
    /// The processor that has it, its number plus one, or 0.
    holder: AtomicUsize,
    value: UnsafeCell<T>,
}

// SAFETY: `with` lets one caller at a time to the value.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    /// Makes a free lock.
    pub(crate) const fn new(value: T) -> Self {
        Self { holder: AtomicUsize::new(0), value: UnsafeCell::new(value) }
    }

    /// Calls `body` with the value, at `DISPATCH_LEVEL`. Callable up to there. `body` calls no driver.
    ///
    /// # Panics
    /// When this processor holds the lock already: that is this thread itself, for no other runs here at
    /// `DISPATCH_LEVEL`.
    pub(crate) fn with<R>(&self, body: impl FnOnce(&mut T) -> R) -> R {
        let raised = Raised::to_dispatch();
        let me = kernel::processor() + 1;
        while let Err(holder) = self.holder.compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed) {
            assert!(holder != me, "a lock of PortCls is taken twice");
            kernel::while_spinning();
        }
        // SAFETY: it was free, and it is ours until it is given back below.
        let result = body(unsafe { &mut *self.value.get() });
        self.holder.store(0, Ordering::Release);
        drop(raised);
        result
    }
}
