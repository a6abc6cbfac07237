//! Physical connections: which bridge pin of a filter is wired to which pin of another, of this adapter or another's.

#![allow(unsafe_code, reason = "names of filters are strings of the Windows ABI")]

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{port_of, subdevice_of, with};
use crate::contract::note::note;
use crate::contract::violation::{Violation, violation};
use crate::contract::{ports, rules};
use crate::nt::status::{STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER, STATUS_SUCCESS};
use crate::nt::{DEVICE_OBJECT, NTSTATUS, PVOID, UNICODE_STRING};
use crate::portcls::com::abi::data_flow;
use crate::portcls::services::call_faults;
use crate::rtl::string::text;

/// One end of a connection: a bridge pin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Of a subdevice, by its port's address.
    Port(usize, u32),
    /// Of another adapter's filter, by its symbolic link.
    External(String, u32),
}

impl End {
    fn is_at(&self, port: PVOID) -> bool {
        matches!(self, Self::Port(address, _) if *address == port as usize)
    }
}

/// A connection between bridge pins.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Connection {
    from: End,
    to: End,
    /// A subdevice at one of its ends was unregistered.
    orphaned: bool,
}

/// The connections of an adapter.
#[derive(Default)]
pub(super) struct Connections(Vec<Connection>);

impl Connections {
    /// Notes that a subdevice is unregistered.
    pub(super) fn orphan(&mut self, port: PVOID) {
        let of_port = self.0.iter_mut().filter(|connection| connection.from.is_at(port) || connection.to.is_at(port));
        of_port.for_each(|connection| connection.orphaned = true);
    }

    /// Forgets all. Returns those whose subdevice was unregistered before them.
    fn end(&mut self) -> Vec<Connection> {
        let mut orphaned = core::mem::take(&mut self.0);
        orphaned.retain(|connection| connection.orphaned);
        orphaned
    }
}

/// Forgets an adapter's connections, and checks that none has outlived its subdevice (rule 325).
pub(super) fn end(fdo: *mut DEVICE_OBJECT) {
    let Some(orphaned) = with(fdo, |adapter| adapter.connections.end()) else { return };
    for Connection { from, to, .. } in orphaned {
        violation(
            "IUnregisterSubdevice::UnregisterSubdevice",
            Violation::new(
                ports::CONNECTION_LEFT,
                format!("a subdevice was unregistered, and its connection from {from:?} to {to:?} never"),
                "unregister the physical connections of a subdevice by IUnregisterPhysicalConnection too",
            ),
        );
    }
}

/// Forgets a connection. Returns whether there was one.
pub(super) fn disconnect(fdo: *mut DEVICE_OBJECT, from: &End, to: &End) -> bool {
    let removed = with(fdo, |adapter| {
        let all = &mut adapter.connections.0;
        let index = all.iter().position(|connection| connection.from == *from && connection.to == *to)?;
        Some(all.swap_remove(index))
    });
    if removed.flatten().is_none() {
        return false;
    }
    ports::CONNECTION_LEFT.held();
    true
}

/// Returns what a pin of a port is connected to: the other pin, and the symbolic link of its filter.
pub(super) fn of_pin(port: PVOID, pin: u32) -> Option<(u32, String)> {
    let own = End::Port(port as usize, pin);
    super::ADAPTERS.with(|adapters| {
        adapters.iter().find_map(|adapter| {
            let found = adapter
                .connections
                .0
                .iter()
                .find(|connection| !connection.orphaned && (connection.from == own || connection.to == own))?;
            match if found.from == own { &found.to } else { &found.from } {
                End::External(link, pin) => Some((*pin, link.clone())),
                End::Port(address, pin) => {
                    Some((*pin, subdevice_of(adapter, *address as PVOID)?.links.first()?.clone()))
                }
            }
        })
    })
}

/// Returns why a pin is no end of a physical connection, with data that flows in this direction.
fn unfit(fdo: *mut DEVICE_OBJECT, port: PVOID, pin: u32, flow: u32) -> Option<String> {
    let Some(filter) = port_of(fdo, port).and_then(|port| port.filter()) else {
        return Some(format!("{port:p} is the port of no registered subdevice of this device"));
    };
    let Some(factory) = filter.pins.get(pin as usize) else {
        return Some(format!("the filter has {} pins, and pin {pin} is not among them", filter.pins.len()));
    };
    if factory.data_flow != flow {
        let (is, wanted) = if flow == data_flow::OUT { ("IN", "OUT") } else { ("OUT", "IN") };
        return Some(format!("pin {pin} has flow {is}, and this end takes one with {wanted}"));
    }
    (factory.max_filter != 0)
        .then(|| format!("pin {pin} can be instantiated {} times, and is no bridge pin", factory.max_filter))
}

/// Checks an end of a connection that is a pin of a subdevice (rule 16).
fn fits(function: &str, fdo: *mut DEVICE_OBJECT, port: PVOID, pin: u32, flow: u32) -> bool {
    if let Some(what) = unfit(fdo, port, pin, flow) {
        violation(
            function,
            Violation::new(
                rules::PHYSICAL_CONNECTION,
                what,
                "call it after PcRegisterSubdevice of each end, from an OUT bridge pin to an IN bridge pin",
            ),
        );
        return false;
    }
    rules::PHYSICAL_CONNECTION.held();
    true
}

/// Notes a connection; a second time is one of the driver's notes (rule 324).
fn connect(function: &'static str, fdo: *mut DEVICE_OBJECT, from: End, to: End) -> NTSTATUS {
    if call_faults::must_fail(function) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    let again = with(fdo, |adapter| {
        let new = Connection { from: from.clone(), to: to.clone(), orphaned: false };
        let again = adapter.connections.0.contains(&new);
        if !again {
            adapter.connections.0.push(new);
        }
        again
    });
    match again {
        None => return STATUS_INVALID_PARAMETER,
        Some(true) => note(
            ports::CONNECTION_ONCE,
            function,
            format!("the connection from {from:?} to {to:?} is registered already"),
        ),
        Some(false) => ports::CONNECTION_ONCE.held(),
    }
    STATUS_SUCCESS
}

crate::export_functions! {
    /// Physical connections.
    pub(crate) static EXPORTS;

    /// Notes that two subdevices are connected on the card.
    [PASSIVE] fn PcRegisterPhysicalConnection(fdo: *mut DEVICE_OBJECT, from: PVOID, from_pin: u32, to: PVOID, to_pin: u32) -> NTSTATUS {
        const NAME: &str = "PcRegisterPhysicalConnection";
        if !fits(NAME, fdo, from, from_pin, data_flow::OUT) || !fits(NAME, fdo, to, to_pin, data_flow::IN) {
            return STATUS_INVALID_PARAMETER;
        }
        connect(NAME, fdo, End::Port(from as usize, from_pin), End::Port(to as usize, to_pin))
    }

    /// Notes that a subdevice is connected to another adapter's filter.
    [PASSIVE] fn PcRegisterPhysicalConnectionToExternal(fdo: *mut DEVICE_OBJECT, from: PVOID, from_pin: u32, to: *const UNICODE_STRING, to_pin: u32) -> NTSTATUS {
        const NAME: &str = "PcRegisterPhysicalConnectionToExternal";
        if to.is_null() || !fits(NAME, fdo, from, from_pin, data_flow::OUT) {
            return STATUS_INVALID_PARAMETER;
        }
        connect(NAME, fdo, End::Port(from as usize, from_pin), End::External(text(&*to), to_pin))
    }

    /// Notes that another adapter's filter is connected to a subdevice.
    [PASSIVE] fn PcRegisterPhysicalConnectionFromExternal(fdo: *mut DEVICE_OBJECT, from: *const UNICODE_STRING, from_pin: u32, to: PVOID, to_pin: u32) -> NTSTATUS {
        const NAME: &str = "PcRegisterPhysicalConnectionFromExternal";
        if from.is_null() || !fits(NAME, fdo, to, to_pin, data_flow::IN) {
            return STATUS_INVALID_PARAMETER;
        }
        connect(NAME, fdo, End::External(text(&*from), from_pin), End::Port(to as usize, to_pin))
    }
}
