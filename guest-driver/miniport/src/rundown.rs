//! Rundown protection: what it guards is used by several processors, and goes away only when none of them uses it.
//!
//! The operations are those of the kernel's rundown protection (`ExAcquireRundownProtection`), which the host's tests
//! do not have.

use crate::sync::{AtomicU32, Ordering};

/// Protection is not given any more.
const RUN_DOWN: u32 = 1 << 31;

/// Counts the users of an object, and bars new ones while it is away.
#[derive(Debug)]
pub struct Rundown {
    /// [`RUN_DOWN`], and the number of guards.
    word: AtomicU32,
}

/// Holds protection until it is dropped. The object is used for a few accesses only, or for one call.
#[derive(Debug)]
pub struct RundownGuard<'a>(&'a Rundown);

impl Rundown {
    /// Makes protection that can be acquired.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "the state that a default would have is not obvious")]
    pub fn new() -> Self {
        Self { word: AtomicU32::new(0) }
    }

    /// Acquires protection. `None`: the object is run down. Any IRQL.
    pub fn acquire(&self) -> Option<RundownGuard<'_>> {
        let guard = RundownGuard(self);
        if self.word.fetch_add(1, Ordering::Acquire) & RUN_DOWN == 0 { Some(guard) } else { None }
    }

    /// Returns whether the object is run down.
    pub fn is_run_down(&self) -> bool {
        self.word.load(Ordering::Acquire) & RUN_DOWN != 0
    }

    /// Returns whether there is a guard.
    pub fn is_held(&self) -> bool {
        self.word.load(Ordering::Acquire) & !RUN_DOWN != 0
    }

    /// Runs the object down without waiting: guards stay, and no new one is given.
    pub fn begin(&self) {
        self.word.fetch_or(RUN_DOWN, Ordering::AcqRel);
    }

    /// Runs the object down and waits until no guard is left. `pause` lets some time pass.
    pub fn wait_for_release(&self, mut pause: impl FnMut()) {
        self.begin();
        while self.is_held() {
            pause();
        }
    }

    /// Lets protection be acquired again.
    pub fn reinitialize(&self) {
        self.word.fetch_and(!RUN_DOWN, Ordering::Release);
    }
}

impl Drop for RundownGuard<'_> {
    fn drop(&mut self) {
        self.0.word.fetch_sub(1, Ordering::Release);
    }
}
