//! Whether the card's registers may be touched, and who is touching them.
//!
//! The service routine and everybody who kicks may run on another processor while the card loses its power. So each
//! visit to the registers is announced, and whoever takes the power away first bars new visits, then waits for those
//! under way: after that nobody touches a register until the card is back.

use crate::sync::{AtomicU32, Ordering};

/// The registers are not to be touched.
const AWAY: u32 = 1 << 31;

/// The guard of the registers.
#[derive(Debug)]
pub struct Presence {
    /// [`AWAY`], and how many visits there are.
    word: AtomicU32,
}

/// A visit to the registers: as short as a few accesses.
#[derive(Debug)]
pub struct Visit<'a>(&'a Presence);

impl Presence {
    /// A card that is there.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "what is there by default is nothing to guess at")]
    pub fn new() -> Self {
        Self { word: AtomicU32::new(0) }
    }

    /// Begins a visit; `None` while the card is away. Any IRQL.
    pub fn enter(&self) -> Option<Visit<'_>> {
        let visit = Visit(self);
        if self.word.fetch_add(1, Ordering::Acquire) & AWAY == 0 { Some(visit) } else { None }
    }

    /// The card is away.
    pub fn is_away(&self) -> bool {
        self.word.load(Ordering::Acquire) & AWAY != 0
    }

    /// Bars new visits. Those under way go on.
    pub fn bar(&self) {
        self.word.fetch_or(AWAY, Ordering::AcqRel);
    }

    /// Bars new visits, and waits until there are none. `pause` lets some time pass.
    pub fn leave(&self, mut pause: impl FnMut()) {
        self.bar();
        while self.word.load(Ordering::Acquire) & !AWAY != 0 {
            pause();
        }
    }

    /// The card is there again.
    pub fn come_back(&self) {
        self.word.fetch_and(!AWAY, Ordering::Release);
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.0.word.fetch_sub(1, Ordering::Release);
    }
}
