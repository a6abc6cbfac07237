//! What no driver should do to the card, done to it through a real PCI function: QEMU under `qtest`, without a guest's
//! code.
//!
//! The [table](faults::all) has a row for each fault. [`Suite`](suite::Suite) runs rows and says of each whether card and
//! QEMU live, and what the card has found wrong with the driver, beside what it should have found; [`soak`] draws rows at
//! random for minutes, and bounds what the card may hold and log meanwhile.
//!
//! The card is a program here, its command line, its two sockets and its PCI function; nothing in this crate knows what
//! it is made of.

pub mod card;
pub mod driver;
pub mod failure;
pub mod fault;
pub mod faults;
mod judge;
pub mod machine;
pub mod process;
pub mod qemu;
pub mod ram;
pub mod ring;
pub mod soak;
pub mod suite;
pub mod table;

pub use judge::{RECOVERY_LIMIT, RESET_LIMIT};
