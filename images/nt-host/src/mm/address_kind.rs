//! What an address that faulted, or that a driver gave, most likely is: for messages.

use core::fmt;

use super::pool;
use crate::arch::window;
use crate::bugcheck::modules::{self, Place};

/// Shows what an address could mean.
pub struct AddressKind(pub u64);

impl fmt::Display for AddressKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NULL_PAGES: u64 = 64 << 10;
        let address = self.0;
        if let Some(name) = modules::unloaded(address) {
            write!(f, "in {name}, which is unloaded")
        } else if address < NULL_PAGES {
            f.write_str("a null pointer, or a field of one")
        } else if address < 1 << 47 {
            f.write_str("a user-mode address, or an uninitialised pointer; no user process exists here")
        } else if address < 0xffff_8000_0000_0000 {
            f.write_str("a non-canonical address")
        } else if let Some(what) = pool::describe(address) {
            f.write_str(&what)
        } else if modules::in_driver(address) {
            write!(f, "in the driver's image at {}", Place(address))
        } else if window::DEVICE.contains(address) {
            f.write_str("device registers that are not mapped any more, or beyond their end")
        } else if window::STACK.contains(address) {
            f.write_str("beyond a kernel stack")
        } else {
            f.write_str("not mapped")
        }
    }
}
