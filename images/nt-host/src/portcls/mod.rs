//! This guest's own `portcls.sys`: the DMus port driver with everything that its documentation promises a miniport, and
//! checks of everything that it demands of one.
//!
//! | what | where |
//! |---|---|
//! | the adapter driver's services | [`adapter`], [`resources`], [`interrupt_sync`], [`service_group`], [`power`] |
//! | the port and its streams | [`port`], [`pin`], [`allocator`], [`event_pool`], [`capture`], [`clock`] |
//! | data on its way to a stream | [`unpack`], [`sequencer`], [`delivery`] |
//! | kernel streaming properties and events | [`property`], [`answers`], [`events`], [`formats`], [`descriptor`] |
//! | services that not every miniport takes | [`services`], [`registry_key`], [`unregister`], [`dma_channel`], [`content`], [`new_miniport`] |
//! | how drivers' objects are called, and ours are made | [`slots`], [`com`], [`abi`], [`guids`] |
//! | the contract, and what puts a driver to the test | [`rules`], [`probe`], [`patience`], [`exam`] |

#![cfg(any(test, target_os = "none"))]
#![cfg_attr(
    test,
    allow(dead_code, unused_imports, reason = "tests on the build machine reach what needs no machine of its own")
)]

mod abi;
#[cfg(target_os = "none")]
pub(crate) mod adapter;
pub(crate) mod allocator;
mod answers;
mod capture;
pub(crate) mod clock;
mod com;
#[cfg(target_os = "none")]
mod content;
mod delivery;
mod descriptor;
#[cfg(target_os = "none")]
mod dma_channel;
mod event_pool;
pub(crate) mod events;
pub(crate) mod exam;
pub(crate) mod formats;
pub(crate) mod guids;
mod interrupt_sync;
mod intersection;
#[cfg(target_os = "none")]
mod io_timeout;
#[cfg(target_os = "none")]
pub(crate) mod irp;
mod irql;
mod kernel;
mod lock;
#[cfg(target_os = "none")]
mod new_miniport;
mod new_stream;
pub(crate) mod patience;
pub(crate) mod pin;
mod port;
#[cfg(target_os = "none")]
mod power;
mod probe;
pub(crate) mod property;
#[cfg(target_os = "none")]
pub(crate) mod registry_key;
mod resources;
mod sequencer;
mod service_group;
mod slots;
pub(crate) mod statistics;
#[cfg(test)]
mod tests;
mod unpack;
#[cfg(target_os = "none")]
pub(crate) mod unregister;

use crate::contract::rules;
use crate::contract::violation::{Violation, violation};

pub(crate) use abi::{KsState, event_type, property_type};
pub(crate) use capture::Captured;
pub(crate) use com::{Com, leftovers};
pub(crate) use descriptor::{Event as EventOfDriver, Pin as PinFactory};
pub(crate) use intersection::check as check_intersections;
pub(crate) use kernel::pause;
pub(crate) use port::Port;
pub(crate) use unpack::{Malformed, Message};

/// The module that drivers import PortCls from.
#[cfg(target_os = "none")]
pub const MODULE: &str = "portcls.sys";

/// What drivers import from `portcls.sys`.
#[cfg(target_os = "none")]
pub static EXPORT_TABLES: &[&[crate::contract::export::Export]] = &[
    adapter::EXPORTS,
    content::EXPORTS,
    dma_channel::EXPORTS,
    interrupt_sync::EXPORTS,
    io_timeout::EXPORTS,
    new_miniport::EXPORTS,
    port::EXPORTS,
    power::EXPORTS,
    property::EXPORTS,
    registry_key::EXPORTS,
    resources::EXPORTS,
    service_group::EXPORTS,
];

/// Checks, when a driver has been unloaded, that it left none of PortCls' objects behind (rule 82).
pub(crate) fn check_nothing_left() {
    #[cfg_attr(test, allow(unused_mut, reason = "nothing more is left in a test"))]
    let mut left = com::leftovers();
    #[cfg(target_os = "none")]
    left.extend(crate::ks::leftovers());
    if !left.is_empty() {
        violation(
            "DriverUnload",
            Violation::new(
                rules::NOTHING_LEFT,
                alloc::format!("the driver is unloaded and still holds {}", left.join(", ")),
                "release every object that a Pc function gave, at the latest in the miniport's destructor",
            ),
        )
    }
    rules::NOTHING_LEFT.held();
}

/// Interrupts while the device's registers read all ones are not the device's (rule 80).
pub(crate) fn check_all_ones() {
    const INTERRUPTS: u32 = 100;
    let claimed = interrupt_sync::storm(INTERRUPTS);
    if claimed > 0 {
        violation(
            "IInterruptSync",
            Violation::new(
                rules::SURPRISE_REMOVAL,
                alloc::format!(
                    "the device is gone and reads all ones, and the service routines claim {claimed} interrupts of {INTERRUPTS}"
                ),
                "take a status of all ones for a device that is not there: return STATUS_UNSUCCESSFUL",
            ),
        )
    }
}
