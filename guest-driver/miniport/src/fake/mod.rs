//! A fake card and a fake kernel, for tests of this crate and of its users.
//!
//! The card speaks `card-spec` over rings in the driver's memory. It works when its doorbell is rung, on the caller's
//! thread, and as [`Behaviour`] says: not at all, late, or wrong. No function sleeps: waiting moves a clock and lets
//! the card serve the kicks that it has put off.

mod allocator;
mod behaviour;
mod card;
mod kernel;
mod outlet;
mod pending_request;
mod queue;
mod records;
mod registers;
mod service;
mod state;
mod test_calls;

pub use allocator::FakeAllocator;
pub use behaviour::Behaviour;
pub use card::FakeCard;
pub use kernel::{FakeDma, FakeKernel, spin_locks_taken};
pub use outlet::{CapturedEvent, FakeOutlet};
pub use pending_request::FakePendingRequest;
pub use records::{Batch, PlayedEvent, Request};
pub use registers::FakeRegisters;
pub use state::FakeCardState;
pub use test_calls::{deliver_interrupts, dispatch, passive};
