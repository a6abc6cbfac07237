//! A machine with the card in it, driven without a guest's code: the card's process, QEMU under `qtest`, the card's PCI
//! function, and a driver for it.
//!
//! The card is a program here, its command line, its two sockets and its PCI function; nothing in this crate knows what
//! it is made of.

pub mod card;
pub mod driver;
pub mod failure;
pub mod machine;
pub mod process;
pub mod qemu;
pub mod ram;
pub mod ring;
