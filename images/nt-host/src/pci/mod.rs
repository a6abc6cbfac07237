//! The PCI bus: configuration space, functions, base addresses, interrupts, and what of these drivers reach.
//!
//! Specification: PCI Local Bus 3.0, chapter 6. Firmware that does not place base addresses (qboot) leaves that to this
//! module; what firmware placed (SeaBIOS) stays.

pub mod bar;
pub mod config;
pub mod function;
pub mod interrupts;
pub mod message;
pub mod reach;
pub mod registers;
pub mod routing;

use alloc::vec::Vec;

pub use function::{Address, Function};

use crate::arch::uninterrupted::Uninterrupted;

static FUNCTIONS: Uninterrupted<Vec<Function>> = Uninterrupted::new(Vec::new());

/// Finds all functions, places base addresses, prepares interrupt routing.
pub fn init() {
    let functions = function::enumerate();
    let functions = bar::place(functions);
    for f in &functions {
        crate::debug!(
            "{} {:04x}:{:04x} class {:06x} pin {} bars {:x?}",
            f.address,
            f.vendor,
            f.device,
            f.class,
            f.pin,
            f.bars
        );
    }
    FUNCTIONS.with(|all| *all = functions);
}

/// Returns a function other addresses, as a system does between `IRP_MN_STOP_DEVICE` and `IRP_MN_START_DEVICE`.
/// Returns it as it is now; where nothing else is free, an address stays.
#[must_use]
pub fn relocate(function: &Function) -> Function {
    let moved = bar::relocate(function, &functions());
    FUNCTIONS.with(|all| {
        for known in all.iter_mut().filter(|known| known.address == moved.address) {
            known.clone_from(&moved);
        }
    });
    moved
}

/// Returns all functions.
#[must_use]
pub fn functions() -> Vec<Function> {
    FUNCTIONS.with(|all| all.clone())
}
