//! Event requests: an event that a client enables on a filter or a pin, or disables again.

#![allow(unsafe_code, reason = "handlers and entries are addresses shared with the driver and its clients")]

use alloc::format;

use super::Target;
use crate::contract::services;
use crate::contract::violation::{Violation, violation};
use crate::ks::layout::{KSEVENT_ENTRY, KSEVENTDATA, entry_flag};
use crate::nt::status::{
    STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER, STATUS_NOT_FOUND,
    STATUS_PROPSET_NOT_FOUND, STATUS_SUCCESS, success,
};
use crate::nt::{NTSTATUS, PVOID};
use crate::portcls::com::abi::{event_type, event_verb};
use crate::portcls::com::guids::{self, GUID};
use crate::portcls::com::object::Com;
use crate::portcls::kernel::{self, irql};
use crate::portcls::ks::descriptor::Event;
use crate::portcls::ks::event_list::{self, Enabled, EntryState};
use crate::portcls::port::Port;

/// A request as a client makes it.
#[derive(Clone, Copy)]
pub(crate) struct Request {
    /// The node, if the request has `KSEVENT_TYPE_TOPOLOGY`.
    pub(crate) node: Option<u32>,
    /// The event set.
    pub(crate) set: GUID,
    /// The event.
    pub(crate) id: u32,
    /// One of [`event_type`]'s.
    pub(crate) verb: u32,
}

fn owner(target: Target<'_>) -> usize {
    match target {
        Target::Filter(port) => port.as_raw() as usize,
        Target::Pin(pin) => pin.minor_target() as usize,
    }
}

/// Calls the handler of an event's item.
unsafe fn call_handler(
    target: Target<'_>,
    node: Option<u32>,
    item: &Event,
    entry: *mut KSEVENT_ENTRY,
    verb: u32,
    irp: PVOID,
) -> NTSTATUS {
    let (port, stream) = match target {
        Target::Filter(port) => (port, core::ptr::null_mut()),
        Target::Pin(pin) => (pin.port(), pin.minor_target()),
    };
    let Some(major) = port.major_target() else { return STATUS_INVALID_DEVICE_REQUEST };
    // SAFETY: the item is the driver's, read at Init and constant since; the request lives as long as the call.
    unsafe { event_list::call(major.as_raw(), stream, node, item, entry, verb, irp) }
}

/// Enables an event, or answers whether it is there (`IOCTL_KS_ENABLE_EVENT`).
///
/// # Safety
/// `client` is where the data is, which stays there as long as the event is enabled.
pub(crate) unsafe fn request(target: Target<'_>, request: &Request, client: *mut KSEVENTDATA, irp: PVOID) -> NTSTATUS {
    irql::passive("PCEVENT_REQUEST", "Handler");
    let port = match target {
        Target::Filter(port) => port,
        Target::Pin(pin) => pin.port(),
    };
    let Some(filter) = port.filter() else { return STATUS_INVALID_DEVICE_REQUEST };
    let (table, pin) = match (request.node, target) {
        (Some(node), _) => match filter.nodes.get(node as usize) {
            Some(node) => (&node.events, None),
            None => return STATUS_INVALID_PARAMETER,
        },
        (None, Target::Pin(pin)) => (&filter.pins[pin.id() as usize].events, Some(pin.id())),
        (None, Target::Filter(_)) => (&filter.events, None),
    };
    let Some(item) = table.iter().find(|event| event.set == request.set && event.id == request.id) else {
        let knows_set = table.iter().any(|event| event.set == request.set);
        return if knows_set { STATUS_NOT_FOUND } else { STATUS_PROPSET_NOT_FOUND };
    };
    // SAFETY: as `call_handler` demands, and the client's data by the caller.
    unsafe {
        if request.verb == event_type::BASIC_SUPPORT {
            if item.flags & event_type::BASIC_SUPPORT == 0 {
                return STATUS_SUCCESS;
            }
            return call_handler(target, request.node, item, core::ptr::null_mut(), event_verb::SUPPORT, irp);
        }
        if request.verb & item.flags == 0 || client.is_null() {
            return STATUS_INVALID_DEVICE_REQUEST;
        }
        let data = client.read_unaligned();
        let usable = kernel::check_notification(&data);
        if !success(usable) {
            return usable;
        }
        if kernel::allocation_fails("KsEnableEvent") {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
        let flags = if request.verb == event_type::ONESHOT { entry_flag::ONESHOT } else { 0 };
        let entry = kernel::create_event(&data, flags);
        event_list::offer(Enabled {
            entry: entry as usize,
            port: port.as_raw() as usize,
            owner: owner(target),
            pin,
            node: request.node,
            set: request.set,
            id: request.id,
            item: *item,
            client: client as usize,
            state: EntryState::Offered,
        });
        let status = call_handler(target, request.node, item, entry, event_verb::ADD, irp);
        let state = event_list::settle(entry);
        if !success(status) {
            event_list::forget(entry);
        } else if state == Some(EntryState::Offered) {
            violation(
                "PCPFNEVENT_HANDLER",
                Violation::new(
                    services::EVENT_ADDED,
                    format!(
                        "the handler accepts event {} of {} and has put its entry nowhere",
                        request.id,
                        guids::Printed(&request.set)
                    ),
                    "on PCEVENT_VERB_ADD call IPortEvents::AddEventToEventList with EventEntry, then return STATUS_SUCCESS",
                ),
            );
            event_list::forget(entry);
        }
        status
    }
}

/// Disables the event that was enabled with this data, or all of the handle's with none (`IOCTL_KS_DISABLE_EVENT`).
pub(crate) fn disable(target: Target<'_>, client: *const KSEVENTDATA) -> NTSTATUS {
    irql::passive("PCEVENT_REQUEST", "Handler");
    let (port, stream) = match target {
        Target::Filter(port) => (port, core::ptr::null_mut()),
        Target::Pin(pin) => (pin.port(), pin.minor_target()),
    };
    let Some(major) = port.major_target() else { return STATUS_INVALID_DEVICE_REQUEST };
    if client.is_null() {
        event_list::end_all(owner(target), major.as_raw(), stream);
        return STATUS_SUCCESS;
    }
    match event_list::take(owner(target), client as usize) {
        Some(enabled) => {
            event_list::end(&enabled, major.as_raw(), stream);
            STATUS_SUCCESS
        }
        None => STATUS_NOT_FOUND,
    }
}

/// Ends every event of a filter whose last handle is closed.
pub(crate) fn close_filter(port: &Com<Port>) {
    if let Some(major) = port.major_target() {
        event_list::end_all(port.as_raw() as usize, major.as_raw(), core::ptr::null_mut());
    }
}
