//! Memory as drivers know it: pool, device registers, contiguous memory, memory descriptor lists, user memory; and what
//! a fault says about it.

pub mod address;
pub mod address_kind;
pub mod contiguous;
pub mod exposed;
pub mod fault;
pub mod io_space;
pub mod mapping_address;
pub mod mdl;
pub mod pool;
pub mod quarantine;
pub mod section;
pub mod system;
pub mod user;

use alloc::string::String;
use alloc::vec::Vec;

use crate::contract::export::Export;
use crate::pci::registers;

/// What the memory manager exports.
pub static EXPORTS: &[&[Export]] = &[
    io_space::EXPORTS,
    address::EXPORTS,
    contiguous::EXPORTS,
    mdl::EXPORTS,
    mapping_address::EXPORTS,
    section::EXPORTS,
    system::EXPORTS,
];

/// Returns the memory that the driver has not given back, pool aside, a line each.
#[must_use]
pub fn outstanding() -> Vec<String> {
    let mut left = registers::outstanding();
    left.extend(contiguous::outstanding());
    left.extend(mdl::outstanding());
    left.extend(mapping_address::outstanding());
    left
}
