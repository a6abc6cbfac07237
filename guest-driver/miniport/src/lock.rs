//! Values behind locks, reached only while the lock is held.
#![allow(unsafe_code, reason = "a lock is what makes a shared cell sound")]

use core::cell::UnsafeCell;

use crate::irql::{AtMostDispatch, Passive};
use crate::kernel::{Kernel, RawMutex, RawSpinLock};

/// A value behind a spin lock. It is held for a few accesses only: other processors spin meanwhile.
pub struct Spin<K: Kernel, T> {
    raw: K::SpinLock,
    value: UnsafeCell<T>,
}

// SAFETY: the value is only reached under the lock, by one processor at a time.
unsafe impl<K: Kernel, T: Send> Sync for Spin<K, T> {}

impl<K: Kernel, T> Spin<K, T> {
    /// Puts a value behind a new spin lock.
    pub fn new(kernel: &K, value: T) -> Self {
        Self { raw: kernel.spin_lock(), value: UnsafeCell::new(value) }
    }

    /// Calls `work` with the value while the lock is held.
    pub fn with<R>(&self, level: AtMostDispatch, work: impl FnOnce(&mut T) -> R) -> R {
        let saved = self.raw.acquire(level);
        // SAFETY: the lock is held, so this is the only reference.
        let result = work(unsafe { &mut *self.value.get() });
        // SAFETY: taken above.
        unsafe { self.raw.release(saved) };
        result
    }
}

/// A value behind a mutex. Its holder may wait.
pub struct Gate<K: Kernel, T> {
    raw: K::Mutex,
    value: UnsafeCell<T>,
}

// SAFETY: the value is only reached under the lock, by one thread at a time.
unsafe impl<K: Kernel, T: Send> Sync for Gate<K, T> {}

impl<K: Kernel, T> Gate<K, T> {
    /// Puts a value behind a new mutex. `None`: no memory.
    pub fn new(kernel: &K, level: Passive, value: T) -> Option<Self> {
        Some(Self::behind(kernel.mutex(level)?, value))
    }

    /// Puts a value behind a mutex that the caller has made.
    pub const fn behind(raw: K::Mutex, value: T) -> Self {
        Self { raw, value: UnsafeCell::new(value) }
    }

    /// Calls `work` with the value while the lock is held.
    pub fn with<R>(&self, level: Passive, work: impl FnOnce(&mut T) -> R) -> R {
        self.raw.acquire(level);
        // SAFETY: the lock is held, so this is the only reference.
        let result = work(unsafe { &mut *self.value.get() });
        // SAFETY: taken above.
        unsafe { self.raw.release(level) };
        result
    }
}
