//! A front-end and a driver in this process, so that tests can do to the card what guests do.
//!
//! [`Machine`] stands for QEMU and speaks vhost-user through crate `vhost`, an implementation that is not the card's.
//! [`DriverRing`] is the driver's side of a virtqueue, and can do everything that a driver must not. [`Driver`] speaks [`card_spec`].
//!
//! ```
//! use card_control::Clock;
//! use dmus_card::fake::{Driver, Machine};
//! use card_spec::control::Status;
//!
//! let mut driver = Driver::new(Machine::with_card(Clock::Lockstep));
//! assert_eq!(driver.open().status, Status::OK);
//! driver.play(48_000);
//! driver.send(0, &[(0, 1, &[0x90, 60, 100])]);
//! let wave = driver.record(480);
//! assert!(wave.pcm.iter().any(|frame| *frame != [0, 0]));
//! ```
//!
//! Everything in here panics when the card does not do what it must: it is for tests.

mod board;
mod driver;
mod machine;
mod ram;
mod ring;
mod wire;

pub use board::Board;
pub use driver::{Driver, NOTICE_BYTES, Response, STREAM_RENDER, STREAM_WAVE, Wave, no_parameters};
pub use machine::{Machine, RingPlan, USER_ADDRESS};
pub use ram::Ram;
pub use ring::{Descriptor, DriverRing, Piece, flag};
pub use wire::{HEADER_BYTES, encode};
