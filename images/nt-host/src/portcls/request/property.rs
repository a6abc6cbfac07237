//! Property requests: found in the automation tables, handed to the driver's handler, checked, and answered.
//!
//! A request for a node goes to that node's table, one on a pin handle to the pin's, one on a filter handle to the
//! filter's. What no table has, the port answers itself (the page "audio property handlers").
//!
//! A handler may keep a request (`STATUS_PENDING`): its packet is then pending too, until the driver completes the
//! request, perhaps before the handler has returned.

#![allow(unsafe_code, reason = "requests and handlers are the driver's structures and code")]

use alloc::boxed::Box;
use alloc::format;
use alloc::vec;

use super::{Target, intersection};
use crate::contract::rules;
use crate::contract::violation::{Violation, violation};
use crate::nt::irql::PASSIVE_LEVEL;
use crate::nt::status::{
    STATUS_BUFFER_OVERFLOW, STATUS_BUFFER_TOO_SMALL, STATUS_CANCELLED, STATUS_INVALID_DEVICE_REQUEST,
    STATUS_INVALID_PARAMETER, STATUS_NOT_FOUND, STATUS_PENDING, STATUS_PROPSET_NOT_FOUND, STATUS_SUCCESS, success,
};
use crate::nt::{NTSTATUS, PVOID};
use crate::portcls::com::abi::{PropertyRequest, property_type};
use crate::portcls::com::guids::{self, GUID};
use crate::portcls::com::slots;
use crate::portcls::kernel::deadline::Deadline;
use crate::portcls::kernel::{self, irql};
use crate::portcls::ks::answers::{self, Answer};
use crate::portcls::ks::descriptor::{Filter, Property};
use crate::portcls::ks::formats;
use crate::portcls::ks::pending::{self, Entry, State};
use crate::portcls::pin::clock;
use crate::portcls::port::adapter;

/// Bytes behind the value that a handler may not touch. More than the longest value of the property sets has, for a
/// handler that does not look at the room at all.
const GUARD_BYTES: usize = 1024;

/// What they hold.
const GUARD: u8 = 0xB7;

/// How long a handler may keep a request, in 100 ns units: longer than the longest release of a note.
const PENDING_LIMIT: i64 = 100_000_000;

/// `KSPROPERTY_CONNECTION_STATE` in KSPROPSETID_Connection (ks.h).
const CONNECTION_STATE: u32 = 0;

/// `KSPROPERTY_SYNTH_MASTERCLOCK` in KSPROPSETID_SynthClock (dmusprop.h).
const SYNTH_MASTERCLOCK: u32 = 0;

/// A request as a client makes it.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    /// The node, if the request has `KSPROPERTY_TYPE_TOPOLOGY`.
    pub(crate) node: Option<u32>,
    /// The property set.
    pub(crate) set: GUID,
    /// The property.
    pub(crate) id: u32,
    /// One of [`property_type`]'s GET, SET and BASIC_SUPPORT.
    pub(crate) verb: u32,
    /// What follows the header.
    pub(crate) instance: &'a [u8],
}

/// What is requested, for messages.
#[derive(Clone, Copy)]
struct Requested {
    set: GUID,
    id: u32,
    verb: u32,
}

/// A request in a driver's hands. The driver knows it by the address of its first member.
#[repr(C)]
struct Held {
    request: PropertyRequest,
    value: Box<[u8]>,
    room: usize,
    requested: Requested,
    /// Where the client wants the value, as long as `room` says.
    out: *mut u8,
    /// What follows the header, as the driver sees it: aligned, and gone after the request.
    _instance: Box<[u64]>,
}

/// The outcome of a request.
pub(crate) enum Sent {
    /// It is answered.
    Answered(Answer),
    /// The driver keeps it: its packet is completed later, and perhaps was already.
    Pending,
}

/// Sends a request. `irp` is what the driver finds in the request for its own look at the requestor, and what stays
/// pending with it; with none, a request that the driver keeps is waited for.
pub(crate) fn send(target: Target<'_>, request: &Request<'_>, value: &mut [u8], irp: PVOID) -> Sent {
    irql::passive("PCPROPERTY_REQUEST", "Handler");
    let Some(filter) = target.port().filter() else { return Sent::Answered((STATUS_INVALID_DEVICE_REQUEST, 0)) };
    let table = match (request.node, target) {
        (Some(node), _) => match filter.nodes.get(node as usize) {
            Some(node) => &node.properties,
            None => return Sent::Answered((STATUS_INVALID_PARAMETER, 0)),
        },
        (None, Target::Pin(pin)) => &filter.pins[pin.id() as usize].properties,
        (None, Target::Filter(_)) => &filter.properties,
    };
    Sent::Answered(match table.iter().find(|property| property.set == request.set && property.id == request.id) {
        Some(property) if property.flags & request.verb != 0 => {
            let mut content = formats::aligned(request.instance);
            let address = if request.instance.is_empty() { core::ptr::null_mut() } else { content.as_mut_ptr().cast() };
            let instance = Instance { address, bytes: request.instance.len() as u32 };
            return call(target, property, request, (instance, content), value, irp);
        }
        Some(property) if request.verb == property_type::BASIC_SUPPORT => answers::basic_support(property.flags, value),
        Some(_) => answers::WRONG_VERB,
        None if request.node.is_some() => {
            if table.iter().any(|property| property.set == request.set) {
                (STATUS_NOT_FOUND, 0)
            } else {
                (STATUS_PROPSET_NOT_FOUND, 0)
            }
        }
        None => own(target, &filter, request, value),
    })
}

/// Where a request's instance data is.
#[derive(Clone, Copy)]
pub(crate) struct Instance {
    pub(crate) address: PVOID,
    pub(crate) bytes: u32,
}

/// Calls the driver's handler with a verb that its item need not have, and instance data that need not be there. A
/// request that the driver keeps is waited for.
pub(crate) fn call_with(
    target: Target<'_>,
    property: &Property,
    request: &Request<'_>,
    instance: Instance,
    value: &mut [u8],
) -> Answer {
    match call(target, property, request, (instance, Box::default()), value, core::ptr::null_mut()) {
        Sent::Answered(answer) => answer,
        // Only what has a packet stays pending.
        Sent::Pending => (STATUS_PENDING, 0),
    }
}

/// Calls the driver's handler. The instance comes with the memory that it is in, if that is to live as long as the
/// request.
fn call(
    target: Target<'_>,
    property: &Property,
    request: &Request<'_>,
    (instance, content): (Instance, Box<[u64]>),
    value: &mut [u8],
    irp: PVOID,
) -> Sent {
    let refused = Sent::Answered((STATUS_INVALID_DEVICE_REQUEST, 0));
    let port = target.port();
    let Some(major) = port.major_target() else { return refused };
    let stream = match target {
        Target::Pin(pin) => pin.minor_target(),
        Target::Filter(_) => core::ptr::null_mut(),
    };
    let mut held = Box::new(Held {
        request: PropertyRequest {
            major_target: major.as_raw(),
            minor_target: stream,
            node: request.node.unwrap_or(u32::MAX),
            item: property.item,
            verb: request.verb,
            instance_size: instance.bytes,
            instance: instance.address,
            value_size: value.len() as u32,
            value: core::ptr::null_mut(),
            irp,
        },
        value: guarded(value),
        room: value.len(),
        requested: Requested { set: request.set, id: request.id, verb: request.verb },
        out: value.as_mut_ptr(),
        _instance: content,
    });
    // Not null even without room: a handler that writes all the same is then caught and not merely faults.
    held.request.value = held.value.as_mut_ptr().cast();
    // SAFETY: the item is the driver's, read at Init and constant since.
    let Some(handler) = (unsafe { property.item.read() }).handler else { return refused };
    let held = Box::into_raw(held);
    pending::with(|all| all.insert(held as usize, Entry { state: State::Called, stream: stream as usize }));
    // SAFETY: the request lives until it is taken back below, or until it is completed.
    let status = slots::at_same_level("PCPFNPROPERTY_HANDLER", PASSIVE_LEVEL, || unsafe { handler(held.cast()) });
    if status == STATUS_PENDING {
        return if keep(held as usize, irp) { Sent::Pending } else { Sent::Answered(wait_for(held)) };
    }
    if pending::with(|all| all.remove(&(held as usize))).is_none_or(|entry| entry.state != State::Called) {
        broken_pending("the handler completed a request and then returned another status than STATUS_PENDING");
    }
    // SAFETY: it came from a box, and the handler did not keep it.
    let held = unsafe { Box::from_raw(held) };
    Sent::Answered(finish(&held, status))
}

/// Makes the packet of a request pending whose handler has returned `STATUS_PENDING`. Returns `false` if it has none,
/// or the request is complete already.
fn keep(held: usize, irp: PVOID) -> bool {
    pending::with(|all| match all.get_mut(&held) {
        Some(entry) if entry.state == State::Called => {
            entry.state = State::Pending;
            if !irp.is_null() {
                kernel::mark_pending(irp);
            }
            !irp.is_null()
        }
        _ => false,
    })
}

/// Waits until the driver completes a request that it kept.
fn wait_for(held: *mut Held) -> Answer {
    let mut ended = None;
    let completed = await_driver(|| {
        ended = pending::with(|all| match all.get(&(held as usize)).map(|entry| entry.state) {
            Some(State::Completed(status)) => all.remove(&(held as usize)).map(|_| status),
            _ => None,
        });
        ended.is_some()
    });
    if !completed {
        // What the driver may still complete stays where it is.
        return (STATUS_CANCELLED, 0);
    }
    rules::PROPERTY_PENDING.held();
    // SAFETY: it came from a box, and the driver has given it up.
    let held = unsafe { Box::from_raw(held) };
    finish(&held, ended.unwrap_or(STATUS_PENDING))
}

/// Waits for a driver that keeps a request, for as long as a client would (rule 74). Returns whether it has completed it.
pub(crate) fn await_driver(mut is_over: impl FnMut() -> bool) -> bool {
    let deadline = Deadline::after(PENDING_LIMIT);
    while !is_over() {
        if deadline.has_passed() {
            deadline.note_missed();
            broken_pending("a request was kept for 10 s and not completed");
            return false;
        }
        kernel::pause();
    }
    true
}

/// Checks that the driver keeps no request of a device that goes.
#[cfg(target_os = "none")]
pub(crate) fn expect_none() {
    if pending::with(|all| !all.is_empty()) {
        broken_pending("the device is stopped or removed, and a request is still kept");
    }
}

/// Checks what came back (rule 66) and copies the value.
fn finish(held: &Held, status: NTSTATUS) -> Answer {
    let says = held.request.value_size;
    let request = held.requested;
    let name = || format!("property {} of {}", request.id, guids::Printed(&request.set));
    let what = if held.value[held.room..].iter().any(|&byte| byte != GUARD) {
        Some(format!("the handler of {} writes behind a value of {} bytes", name(), held.room))
    } else if success(status) && request.verb != property_type::SET && says as usize > held.room {
        Some(format!("the handler of {} says {says} bytes were written into {}", name(), held.room))
    } else if status == STATUS_BUFFER_TOO_SMALL && held.room == 0 && request.verb == property_type::GET {
        Some(format!(
            "the handler of {} answers a value of 0 bytes, which asks for the size, with STATUS_BUFFER_TOO_SMALL",
            name()
        ))
    } else if status == STATUS_BUFFER_OVERFLOW && says == 0 {
        Some(format!("the handler of {} returns STATUS_BUFFER_OVERFLOW and no size", name()))
    } else {
        None
    };
    if let Some(what) = what {
        violation(
            "PCPFNPROPERTY_HANDLER",
            Violation::new(
                rules::PROPERTY_SIZES,
                what,
                "ValueSize 0: set the needed size, return STATUS_BUFFER_OVERFLOW; too small: STATUS_BUFFER_TOO_SMALL; else set what was written",
            ),
        );
    } else {
        rules::PROPERTY_SIZES.held();
    }
    // SAFETY: the client's memory lives as long as its request, and has that much room.
    unsafe { core::ptr::copy_nonoverlapping(held.value.as_ptr(), held.out, held.room) };
    (status, says)
}

fn broken_pending(what: &'static str) {
    violation(
        "PcCompletePendingPropertyRequest",
        Violation::new(
            rules::PROPERTY_PENDING,
            what,
            "return STATUS_PENDING from the handler, then complete exactly once with a final status",
        ),
    );
}

/// Returns a value with guard bytes behind it, which the driver may not touch.
fn guarded(value: &[u8]) -> Box<[u8]> {
    let mut bytes = vec![GUARD; value.len() + GUARD_BYTES];
    bytes[..value.len()].copy_from_slice(value);
    bytes.into_boxed_slice()
}

/// Answers a request for which the driver's tables have no item.
fn own(target: Target<'_>, filter: &Filter, request: &Request<'_>, value: &mut [u8]) -> Answer {
    let port = target.port();
    let get = request.verb == property_type::GET;
    let found = match (request.set, target) {
        (guids::KSPROPSETID_PIN, Target::Filter(_)) if get && request.id == answers::pin::DATAINTERSECTION => {
            return intersection::property(port, filter, request.instance, value);
        }
        (guids::KSPROPSETID_PIN, Target::Filter(_)) if get && request.id == answers::pin::PHYSICALCONNECTION => {
            let Some(pin) = answers::pin_id(request.instance).filter(|&pin| (pin as usize) < filter.pins.len()) else {
                return (STATUS_INVALID_PARAMETER, 0);
            };
            return answers::physical_connection(adapter::services().physical_connection(port.as_raw(), pin), value);
        }
        (guids::KSPROPSETID_PIN, Target::Filter(_)) => get.then(|| {
            let instances = |pin| port.instances(pin).unwrap_or_default();
            answers::pin_property(filter, instances, request.id, request.instance, value)
        }),
        (guids::KSPROPSETID_TOPOLOGY, Target::Filter(_)) => {
            get.then(|| answers::topology_property(filter, request.id, request.instance, value))
        }
        (guids::KSPROPSETID_CONNECTION, Target::Pin(pin)) if request.id == CONNECTION_STATE => {
            get.then(|| answers::fixed(&(pin.state() as u32).to_le_bytes(), value))
        }
        (guids::KSPROPSETID_SYNTHCLOCK, Target::Filter(_)) if !port.kind().is_music() => {
            return (STATUS_PROPSET_NOT_FOUND, 0);
        }
        (guids::KSPROPSETID_SYNTHCLOCK, Target::Filter(_)) if request.id == SYNTH_MASTERCLOCK => {
            get.then(|| answers::fixed(&clock::now().to_le_bytes(), value))
        }
        (guids::KSPROPSETID_CONNECTION, Target::Pin(_)) | (guids::KSPROPSETID_SYNTHCLOCK, Target::Filter(_)) => {
            return (STATUS_NOT_FOUND, 0);
        }
        _ => return (STATUS_PROPSET_NOT_FOUND, 0),
    };
    match found {
        Some(answer) => answer,
        None if request.verb == property_type::BASIC_SUPPORT => answers::basic_support(property_type::GET, value),
        None => answers::WRONG_VERB,
    }
}

#[cfg(target_os = "none")]
crate::export_functions! {
    /// What completes property requests.
    pub(crate) static EXPORTS;

    /// Completes a request whose handler returned `STATUS_PENDING`.
    [DISPATCH] fn PcCompletePendingPropertyRequest(request: *mut PropertyRequest, status: NTSTATUS) -> NTSTATUS {
        if status == STATUS_PENDING {
            broken_pending("a request is completed with STATUS_PENDING");
            return STATUS_INVALID_PARAMETER;
        }
        let held = request.cast::<Held>();
        let completes = pending::with(|all| {
            let has_packet = |held: *mut Held| !(*held).request.irp.is_null();
            match all.get_mut(&(held as usize)).map(|entry| &mut entry.state) {
                None => Err("a request is completed that is not pending: a second time, or after its handler returned something else"),
                Some(State::Completed(_)) => Err("a request is completed a second time"),
                Some(State::Pending) if has_packet(held) => Ok(all.remove(&(held as usize)).is_some()),
                Some(state) => {
                    *state = State::Completed(status);
                    Ok(false)
                }
            }
        });
        let completes = match completes {
            Ok(completes) => completes,
            Err(what) => {
                broken_pending(what);
                return STATUS_INVALID_PARAMETER;
            }
        };
        if completes {
            rules::PROPERTY_PENDING.held();
            let held = Box::from_raw(held);
            let (status, length) = finish(&held, status);
            kernel::irp::complete_with(held.request.irp.cast(), status, length);
        }
        kernel::wake();
        STATUS_SUCCESS
    }
}
