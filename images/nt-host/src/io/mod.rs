//! The I/O manager: devices and their stacks, request packets, work items, DMA adapters, names, registry.

pub mod device;
pub mod dma;
pub mod error_log;
pub mod file;
pub mod irp;
pub mod names;
pub mod object;
pub mod power;
pub mod property;
pub mod registry;
pub mod registry_query;
pub mod remove_lock;
pub mod timer;
pub mod work_item;

use crate::contract::export::Export;

/// What the I/O manager exports.
pub static EXPORTS: &[&[Export]] = &[
    device::EXPORTS,
    dma::EXPORTS,
    error_log::EXPORTS,
    file::EXPORTS,
    irp::EXPORTS,
    names::EXPORTS,
    object::EXPORTS,
    power::EXPORTS,
    property::EXPORTS,
    registry::EXPORTS,
    registry_query::EXPORTS,
    remove_lock::EXPORTS,
    timer::EXPORTS,
    work_item::EXPORTS,
];
