//! Does to the card what no driver should do, through a real PCI function: QEMU under `qtest`, without a guest's code.
//!
//! The [table](faults::all) has a row for each error of a driver. [`Suite`](suite::Suite) runs rows and reports of each
//! whether card and QEMU still run, and the card's diagnosis beside the expected one; [`soak`] draws rows at random for
//! minutes, and bounds the memory and the log of the card meanwhile.
//!
//! The card is a program here, with its command line, its two sockets and its PCI function; nothing in this crate knows
//! its parts.

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
