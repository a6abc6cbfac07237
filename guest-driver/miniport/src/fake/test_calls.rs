//! The calls that a system makes to a driver, for tests.

use super::kernel::FakeKernel;
use crate::card::Card;
use crate::irql::{AtMostDispatch, Passive};

/// Makes a token for tests, which run at no interrupt request level.
#[must_use]
pub fn passive() -> Passive {
    #[allow(unsafe_code, reason = "the host has no levels to be wrong about")]
    // SAFETY: tests may wait and allocate.
    unsafe {
        Passive::assume()
    }
}

/// Makes a token for tests, which run at no interrupt request level.
#[must_use]
pub fn dispatch() -> AtMostDispatch {
    passive().into()
}

/// Runs the service routine and the deferred procedure call for as long as the card raises its interrupt. Returns how
/// often that was.
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
