//! This guest's own `portcls.sys`: the DMus port driver with everything that its documentation promises a miniport, and
//! checks of everything that it demands of one. From the top down:
//!
//! | what | where |
//! |---|---|
//! | the adapter driver's frame: devices, requests of the system, power, registry keys | `adapter` |
//! | requests of clients: properties, events, data intersections | `request` |
//! | a stream: allocator, clock, sequencer, render, wave, capture | `pin` |
//! | streams of bytes: `IMiniportMidiStream` | `midi` |
//! | the port and its miniport | `port` |
//! | the miniports that come with the system | `miniports` |
//! | resource lists, interrupts, service groups | `services` |
//! | descriptors, formats, events and pending requests of kernel streaming | `ks` |
//! | how drivers' objects are called, and how ours are made | `com` |
//! | what all of it uses of the kernel | `kernel` |

#![cfg(any(test, target_os = "none"))]
#![cfg_attr(
    test,
    allow(dead_code, unused_imports, reason = "tests on the build machine reach what needs no machine of its own")
)]

#[cfg(target_os = "none")]
pub(crate) mod adapter;
pub(crate) mod com;
pub(crate) mod kernel;
pub(crate) mod ks;
pub(crate) mod midi;
pub(crate) mod miniports;
pub(crate) mod pin;
pub(crate) mod port;
pub(crate) mod request;
pub(crate) mod services;
#[cfg(test)]
mod tests;

/// The module that drivers import PortCls from.
#[cfg(target_os = "none")]
pub const MODULE: &str = "portcls.sys";

/// What drivers import from `portcls.sys`.
#[cfg(target_os = "none")]
pub static EXPORT_TABLES: &[&[crate::contract::export::Export]] = &[
    adapter::EXPORTS,
    adapter::connections::EXPORTS,
    adapter::pnp::EXPORTS,
    adapter::stream_resource::EXPORTS,
    services::content::EXPORTS,
    adapter::dma_channel::EXPORTS,
    services::interrupt_sync::EXPORTS,
    adapter::io_timeout::EXPORTS,
    miniports::EXPORTS,
    port::EXPORTS,
    adapter::power::EXPORTS,
    request::property::EXPORTS,
    adapter::registry_key::EXPORTS,
    services::resources::EXPORTS,
    services::service_group::EXPORTS,
];

/// Makes the ports belong to the adapters. Before a driver is loaded.
#[cfg(target_os = "none")]
pub(crate) fn init() {
    port::adapter::set_services(&adapter::Services);
}
