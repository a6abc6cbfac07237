//! Property requests: found in the automation tables, handed to the driver's handler, checked, and answered.
//!
//! A request for a node goes to that node's table, one on a pin handle to the pin's, one on a filter handle to the
//! filter's. What no table has, the port answers itself (the page "audio property handlers").

#![allow(unsafe_code, reason = "requests and handlers are the driver's structures and code")]

use alloc::boxed::Box;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use super::abi::{PropertyRequest, property_type};
use super::answers::{self, Answer};
use super::clock;
use super::com::Com;
use super::descriptor::{Filter, Property};
use super::formats;
use super::guids::{self, GUID};
use super::intersection;
use super::irql;
use super::lock::Lock;
use super::pin::Pin;
use super::port::Port;
use super::rules::{self, Broken};
use super::slots;
use super::violation;
use crate::nt::irql::PASSIVE_LEVEL;
use crate::nt::status::{
    STATUS_BUFFER_OVERFLOW, STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER,
    STATUS_NOT_FOUND, STATUS_PENDING, STATUS_PROPSET_NOT_FOUND, STATUS_SUCCESS, success,
};
use crate::nt::{NTSTATUS, PVOID};

/// Bytes behind the value that a handler may not touch. More than the longest value of the property sets has, for a
/// handler that does not look at the room at all.
const GUARD_BYTES: usize = 1024;

/// What they hold.
const GUARD: u8 = 0xB7;

/// How long a handler may keep a request, in 100 ns units: longer than the longest release of a note.
const PATIENCE: i64 = 100_000_000;

/// `KSPROPERTY_CONNECTION_STATE` in KSPROPSETID_Connection (ks.h).
const CONNECTION_STATE: u32 = 0;

/// `KSPROPERTY_SYNTH_MASTERCLOCK` in KSPROPSETID_SynthClock (dmusprop.h).
const SYNTH_MASTERCLOCK: u32 = 0;

/// What a request is sent to.
#[derive(Clone, Copy)]
pub(crate) enum Target<'a> {
    /// A filter handle.
    Filter(&'a Com<Port>),
    /// A pin handle.
    Pin(&'a Pin),
}

impl Target<'_> {
    fn port(&self) -> &Com<Port> {
        match self {
            Self::Filter(port) => port,
            Self::Pin(pin) => pin.port(),
        }
    }
}

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

/// A request in a driver's hands. The driver knows it by the address of its first member.
#[repr(C)]
struct Held {
    request: PropertyRequest,
    value: Box<[u8]>,
    room: usize,
    completed: bool,
}

/// Requests that handlers have and have not given up, by address.
static PENDING: Lock<Vec<usize>> = Lock::new(Vec::new());

/// The end of a pending request: what `PcCompletePendingPropertyRequest` said.
static COMPLETED: Lock<Vec<(usize, NTSTATUS)>> = Lock::new(Vec::new());

/// Sends a request. `irp` is what the driver finds in the request for its own look at the requestor.
pub(crate) fn send(target: Target<'_>, request: &Request<'_>, value: &mut [u8], irp: PVOID) -> (NTSTATUS, u32) {
    irql::passive("PCPROPERTY_REQUEST", "Handler");
    let Some(filter) = target.port().filter() else { return (STATUS_INVALID_DEVICE_REQUEST, 0) };
    let table = match (request.node, target) {
        (Some(node), _) => match filter.nodes.get(node as usize) {
            Some(node) => &node.properties,
            None => return (STATUS_INVALID_PARAMETER, 0),
        },
        (None, Target::Pin(pin)) => &filter.pins[pin.id() as usize].properties,
        (None, Target::Filter(_)) => &filter.properties,
    };
    match table.iter().find(|property| property.set == request.set && property.id == request.id) {
        Some(property) if property.flags & request.verb != 0 => call(target, property, request, value, irp),
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
    }
}

/// Calls the driver's handler.
fn call(target: Target<'_>, property: &Property, request: &Request<'_>, value: &mut [u8], irp: PVOID) -> Answer {
    // As the driver sees it: aligned, and gone after the request.
    let mut instance = formats::aligned(request.instance);
    let instance = Instance {
        address: if request.instance.is_empty() { core::ptr::null_mut() } else { instance.as_mut_ptr().cast() },
        bytes: request.instance.len() as u32,
    };
    call_with(target, property, request, instance, value, irp)
}

/// Where a request's instance data lies.
#[derive(Clone, Copy)]
pub(crate) struct Instance {
    pub(crate) address: PVOID,
    pub(crate) bytes: u32,
}

/// Calls the driver's handler with a verb that its item need not have, and instance data that need not be there.
pub(crate) fn call_with(
    target: Target<'_>,
    property: &Property,
    request: &Request<'_>,
    instance: Instance,
    value: &mut [u8],
    irp: PVOID,
) -> Answer {
    let port = target.port();
    let Some(major) = port.major_target() else { return (STATUS_INVALID_DEVICE_REQUEST, 0) };
    let mut held = Box::new(Held {
        request: PropertyRequest {
            major_target: major.as_raw(),
            minor_target: match target {
                Target::Pin(pin) => pin.minor_target(),
                Target::Filter(_) => core::ptr::null_mut(),
            },
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
        completed: false,
    });
    // Not null even without room: a handler that writes all the same is then caught and not merely faults.
    held.request.value = held.value.as_mut_ptr().cast();
    // SAFETY: the item is the driver's, read at Init and constant since.
    let Some(handler) = (unsafe { property.item.read() }).handler else { return (STATUS_INVALID_DEVICE_REQUEST, 0) };
    let held = Box::into_raw(held);
    PENDING.with(|pending| pending.push(held as usize));
    // SAFETY: the request lives until it is taken back below, or until it is completed.
    let status = slots::at_same_level("PCPFNPROPERTY_HANDLER", PASSIVE_LEVEL, || unsafe { handler(held.cast()) });
    if status == STATUS_PENDING {
        return wait_for(held, request, value);
    }
    PENDING.with(|pending| pending.retain(|&entry| entry != held as usize));
    // SAFETY: it came from a box, and the handler did not keep it.
    let held = unsafe { Box::from_raw(held) };
    if COMPLETED.with(|completed| completed.iter().any(|&(address, _)| address == core::ptr::from_ref(&*held) as usize))
    {
        broken_pending("the handler completed a request and then returned another status than STATUS_PENDING");
    }
    finish(&held, status, request, value)
}

/// Waits until the driver completes a request that it kept.
fn wait_for(held: *mut Held, request: &Request<'_>, value: &mut [u8]) -> Answer {
    let deadline = clock::now().saturating_add(PATIENCE);
    loop {
        if clock::now() > deadline {
            broken_pending("a request was kept for 10 s and not completed");
        }
        let done = COMPLETED.with(|completed| {
            let index = completed.iter().position(|&(address, _)| address == held as usize)?;
            Some(completed.swap_remove(index).1)
        });
        if let Some(status) = done {
            PENDING.with(|pending| pending.retain(|&entry| entry != held as usize));
            rules::PROPERTY_PENDING.held();
            // SAFETY: it came from a box, and the driver has given it up.
            let held = unsafe { Box::from_raw(held) };
            return finish(&held, status, request, value);
        }
        super::kernel::pause();
    }
}

/// Checks what came back (rule 66) and copies the value.
fn finish(held: &Held, status: NTSTATUS, request: &Request<'_>, value: &mut [u8]) -> Answer {
    let says = held.request.value_size;
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
            Broken::new(
                rules::PROPERTY_SIZES,
                what,
                "ValueSize 0: set the needed size, return STATUS_BUFFER_OVERFLOW; too small: STATUS_BUFFER_TOO_SMALL; else set what was written",
            ),
        )
    }
    rules::PROPERTY_SIZES.held();
    value.copy_from_slice(&held.value[..held.room]);
    (status, says)
}

fn broken_pending(what: &'static str) -> ! {
    violation(
        "PcCompletePendingPropertyRequest",
        Broken::new(
            rules::PROPERTY_PENDING,
            what,
            "return STATUS_PENDING from the handler, then complete exactly once with a final status",
        ),
    )
}

/// A value with bytes behind it that nobody may touch.
fn guarded(value: &[u8]) -> Box<[u8]> {
    let mut bytes = vec![GUARD; value.len() + GUARD_BYTES];
    bytes[..value.len()].copy_from_slice(value);
    bytes.into_boxed_slice()
}

/// What the port answers itself.
fn own(target: Target<'_>, filter: &Filter, request: &Request<'_>, value: &mut [u8]) -> Answer {
    let port = target.port();
    let get = request.verb == property_type::GET;
    let found = match (request.set, target) {
        (guids::KSPROPSETID_PIN, Target::Filter(_)) if get && request.id == answers::pin::DATAINTERSECTION => {
            return intersection::property(port, filter, request.instance, value);
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
crate::exports! {
    /// What completes property requests.
    pub(crate) static EXPORTS;

    /// Completes a request whose handler returned `STATUS_PENDING`.
    [DISPATCH] fn PcCompletePendingPropertyRequest(request: *mut PropertyRequest, status: NTSTATUS) -> NTSTATUS {
        if status == STATUS_PENDING {
            broken_pending("a request is completed with STATUS_PENDING");
        }
        if !PENDING.with(|pending| pending.contains(&(request as usize))) {
            broken_pending("a request is completed that is not pending: a second time, or after its handler returned something else");
        }
        let held = request.cast::<Held>();
        if core::mem::replace(&mut (*held).completed, true) {
            broken_pending("a request is completed a second time");
        }
        COMPLETED.with(|completed| completed.push((held as usize, status)));
        super::kernel::wake();
        STATUS_SUCCESS
    }
}
