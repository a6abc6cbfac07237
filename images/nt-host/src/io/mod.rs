//! The I/O manager: devices and their stacks, request packets, work items, DMA adapters, names, registry.

pub mod csq;
pub mod device;
pub mod dma;
pub mod dma_functions;
mod dma_later;
pub mod error_log;
pub mod file;
pub mod irp;
pub mod named_event;
pub mod names;
pub mod notification;
pub mod object;
pub mod object_callback;
pub mod power;
pub mod property;
pub mod registry;
pub mod registry_query;
pub mod remove_lock;
pub mod request_attributes;
pub mod share_access;
pub mod timer;
pub mod wmi;
pub mod work_item;

use crate::contract::export::Export;

/// What the I/O manager exports.
pub static EXPORTS: &[&[Export]] = &[
    csq::EXPORTS,
    dma_functions::EXPORTS,
    named_event::EXPORTS,
    notification::EXPORTS,
    object_callback::EXPORTS,
    request_attributes::EXPORTS,
    share_access::EXPORTS,
    wmi::EXPORTS,
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
