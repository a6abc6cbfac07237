//! A fake card and a fake kernel, for tests of this crate and of its users.
//!
//! The card speaks `card-spec` over rings in the driver's memory. It works when it is kicked, on the caller's thread,
//! and does what [`Behaviour`] says: nothing, late, or wrong. Nothing sleeps: waiting moves a clock and lets the card
//! work on what it has put off.

mod allocator;
mod card;
mod client;
mod kernel;
mod outlet;
mod queue;

pub use allocator::{Allocator, Home};
pub use card::{Batch, Behaviour, FakeCard, Inside, PlayedEvent, Request};
pub use client::Client;
pub use kernel::{FakeDma, FakeKernel, FakeRegisters};
pub use outlet::{CapturedEvent, FakeOutlet};

use crate::card::Card;
use crate::irql::{AtMostDispatch, Passive};

/// A token for tests, which run at no level in particular.
#[must_use]
pub fn passive() -> Passive {
    #[allow(unsafe_code, reason = "the host has no levels to be wrong about")]
    // SAFETY: tests may wait and allocate.
    unsafe {
        Passive::assume()
    }
}

/// A token for tests.
#[must_use]
pub fn dispatch() -> AtMostDispatch {
    passive().into()
}

/// Runs the service routine and the deferred procedure call for as long as the card has its interrupt raised. How often
/// that was.
///
/// # Panics
/// When the interrupt is still raised after a thousand rounds: a storm.
pub fn deliver_interrupts(card: &Card<FakeKernel>) -> usize {
    for round in 0..1000 {
        if !card.interrupt() {
            return round;
        }
        card.service(dispatch());
    }
    panic!("the interrupt storms");
}
