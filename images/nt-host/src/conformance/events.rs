//! The probe of events: a client of the kernel's enables, waits, and disables, through the driver's device stack.

#![allow(unsafe_code, reason = "file objects, packets and events are structures shared with the kernel")]

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use guest_protocol::Failure;

use super::Figures;
use crate::exports::{KeInitializeEvent, KeReadStateEvent, KeResetEvent};
use crate::harness::failure;
use crate::io;
use crate::ks::layout::{KSEVENTDATA, notification};
use crate::nt::irql::DISPATCH_LEVEL;
use crate::nt::status::{STATUS_SUCCESS, success};
use crate::nt::{
    FILE_OBJECT, IO_DEVICE_CONTROL, IO_TYPE_FILE, IRP_MJ_DEVICE_CONTROL, KEVENT, NTSTATUS, POINTER_ALIGNED, PVOID,
};
use crate::portcls::adapter::{self, irp};
use crate::portcls::com::abi::{KsState, event_type};
use crate::portcls::com::guids;
use crate::portcls::com::object::Com;
use crate::portcls::ks::descriptor::Event;
use crate::portcls::ks::event_list::{self, Generated};
use crate::portcls::pin::Pin;
use crate::portcls::port::Port;
use crate::portcls::request::Target;

/// An IRQL at which devices interrupt.
const DEVICE_LEVEL: u8 = DISPATCH_LEVEL + 3;

/// An event of the driver's: where, and which.
struct Place {
    node: Option<u32>,
    on_pin: bool,
    event: Event,
}

/// A client that waits for an event.
struct Client {
    event: Box<KEVENT>,
    data: Box<KSEVENTDATA>,
}

impl Client {
    fn new() -> Self {
        // SAFETY: all zero is a valid value; it is initialised here.
        let mut event: Box<KEVENT> = Box::new(unsafe { core::mem::zeroed() });
        // SAFETY: an event of our own: `NotificationEvent`.
        unsafe { KeInitializeEvent(&raw mut *event, 0, 0) };
        let object = &raw mut *event as usize;
        let data = KSEVENTDATA { NotificationType: notification::EVENT_OBJECT, Object: object, Detail: 0, Reserved: 0 };
        Self { event, data: Box::new(data) }
    }

    /// Returns whether it was notified since the last look.
    fn was_told(&mut self) -> bool {
        // SAFETY: an event of our own.
        unsafe { KeReadStateEvent(&raw mut *self.event) != 0 && KeResetEvent(&raw mut *self.event) != 0 }
    }
}

/// Sends a request as a client's `DeviceIoControl` would.
fn control(target: &Target<'_>, code: u32, input: (PVOID, usize), output: (PVOID, usize)) -> Result<NTSTATUS, Failure> {
    let device = adapter::device().ok_or_else(|| failure::request("no device is started"))?;
    // SAFETY: all zero is a valid file object.
    let mut file: Box<FILE_OBJECT> = unsafe { Box::new(core::mem::zeroed()) };
    file.Type = IO_TYPE_FILE;
    file.Size = size_of::<FILE_OBJECT>() as i16;
    file.DeviceObject = device;
    file.FsContext = core::ptr::from_ref(target).cast_mut().cast();
    let parameters = IO_DEVICE_CONTROL {
        OutputBufferLength: POINTER_ALIGNED(output.1 as u32),
        InputBufferLength: POINTER_ALIGNED(input.1 as u32),
        IoControlCode: POINTER_ALIGNED(code),
        Type3InputBuffer: input.0,
    };
    // SAFETY: the device is an adapter's; what the parameters point to lives until the answer is here.
    let (status, _) = unsafe {
        io::irp::send_synchronous(device, STATUS_SUCCESS, |request, stack| {
            request.UserBuffer = output.0;
            stack.MajorFunction = IRP_MJ_DEVICE_CONTROL;
            stack.FileObject = &raw mut *file;
            stack.Parameters.DeviceIoControl = parameters;
        })
    };
    Ok(status)
}

impl Place {
    /// Returns `KSEVENT` or `KSE_NODE`.
    fn header(&self, verb: u32) -> Vec<u8> {
        let mut bytes = guids::to_bytes(&self.event.set).to_vec();
        bytes.extend(self.event.id.to_le_bytes());
        bytes.extend((verb | if self.node.is_some() { event_type::TOPOLOGY } else { 0 }).to_le_bytes());
        if let Some(node) = self.node {
            bytes.extend(node.to_le_bytes());
            bytes.extend(0_u32.to_le_bytes());
        }
        bytes
    }

    fn enable(&self, target: &Target<'_>, verb: u32, client: &mut Client) -> Result<NTSTATUS, Failure> {
        let mut header = self.header(verb);
        let output = ((&raw mut *client.data).cast(), size_of::<KSEVENTDATA>());
        control(target, irp::IOCTL_KS_ENABLE_EVENT, (header.as_mut_ptr().cast(), header.len()), output)
    }

    fn disable(target: &Target<'_>, client: &mut Client) -> Result<NTSTATUS, Failure> {
        let input = ((&raw mut *client.data).cast(), size_of::<KSEVENTDATA>());
        control(target, irp::IOCTL_KS_DISABLE_EVENT, input, (core::ptr::null_mut(), 0))
    }

    /// Returns the event as the driver would have it generated.
    fn generated(&self, port: &Com<Port>, pin: u32) -> Generated {
        Generated {
            port: port.as_raw() as usize,
            set: Some(self.event.set),
            id: self.event.id,
            pin: self.on_pin.then_some(pin),
            node: self.node,
        }
    }
}

/// Returns the events of a filter, its nodes, and a pin.
fn places(port: &Com<Port>, pin: u32) -> Vec<Place> {
    let Some(filter) = port.filter() else { return Vec::new() };
    let of = |node: Option<u32>, on_pin: bool| move |event| Place { node, on_pin, event };
    let of_pin = filter.pins.get(pin as usize).map(|pin| pin.events.clone()).unwrap_or_default();
    let of_nodes = filter.nodes.iter().zip(0..);
    filter
        .events
        .iter()
        .copied()
        .map(of(None, false))
        .chain(of_pin.into_iter().map(of(None, true)))
        .chain(of_nodes.flat_map(|(node, number)| node.events.iter().copied().map(of(Some(number), false))))
        .collect()
}

fn expect(holds: bool, what: &str, place: &Place) -> Result<(), Failure> {
    if holds {
        return Ok(());
    }
    let Place { event, node, .. } = place;
    Err(failure::request(format!("event {} of {} (node {node:?}) {what}", event.id, guids::Printed(&event.set))))
}

/// Enables every event, has it generated, looks whether the client is notified, and disables it; then lets the pin run
/// and counts what the driver generates by itself.
///
/// # Errors
/// [`FailureKind::Request`](guest_protocol::FailureKind::Request) for an event that is enabled and whose client is not
/// notified, or that is disabled and whose client is notified.
pub(crate) fn run(port: &Com<Port>, pin: &mut Pin) -> Result<Figures, Failure> {
    let (mut enabled, mut refused, mut notified, mut own) = (0, 0, 0, 0);
    let id = pin.id();
    let places = places(port, id);
    for place in &places {
        let mut client = Client::new();
        {
            let target = if place.on_pin || place.node.is_some() { Target::Pin(&*pin) } else { Target::Filter(port) };
            let mut header = place.header(event_type::BASIC_SUPPORT);
            let input = (header.as_mut_ptr().cast(), header.len());
            control(&target, irp::IOCTL_KS_ENABLE_EVENT, input, (core::ptr::null_mut(), 0))?;
            for verb in [event_type::ENABLE, event_type::ONESHOT] {
                if !success(place.enable(&target, verb, &mut client)?) {
                    expect(
                        place.event.flags & verb == 0 || event_list::count(port.as_raw() as usize) == 0,
                        "is refused and stays",
                        place,
                    )?;
                    refused += 1;
                    continue;
                }
                enabled += 1;
                let levels = if verb == event_type::ENABLE { &[0, DISPATCH_LEVEL, DEVICE_LEVEL][..] } else { &[0][..] };
                for &level in levels {
                    let before = crate::ke::level::raise(level);
                    event_list::generate_at_any_irql(place.generated(port, id));
                    // SAFETY: what was in force before.
                    unsafe { crate::exports::KeLowerIrql(before) };
                    expect(client.was_told(), "is generated, and its client is not notified", place)?;
                    notified += 1;
                }
                if verb == event_type::ONESHOT {
                    event_list::generate_at_any_irql(place.generated(port, id));
                    expect(!client.was_told(), "is for one time, and comes twice", place)?;
                }
                expect(success(Place::disable(&target, &mut client)?), "cannot be disabled", place)?;
                event_list::generate_at_any_irql(place.generated(port, id));
                expect(!client.was_told(), "is disabled, and its client is notified", place)?;
            }
        }
        // What the driver has to say while the stream runs; the client then forgets to disable it: closing does.
        let on_stream = place.on_pin || place.node.is_some();
        let listens = |pin: &Pin, client: &mut Client| {
            let target = if on_stream { Target::Pin(pin) } else { Target::Filter(port) };
            place.enable(&target, event_type::ENABLE, client)
        };
        if success(listens(pin, &mut client)?) {
            let ran = pin.set_state(KsState::Run).is_ok();
            own += u64::from(ran && client.was_told());
            let _ = pin.set_state(KsState::Stop);
            let target = if on_stream { Target::Pin(&*pin) } else { Target::Filter(port) };
            // All of the handle's, without naming one.
            control(&target, irp::IOCTL_KS_DISABLE_EVENT, (core::ptr::null_mut(), 0), (core::ptr::null_mut(), 0))?;
            expect(
                event_list::count(port.as_raw() as usize) == 0,
                "stays when all of its handle's are disabled",
                place,
            )?;
        }
    }
    Ok(Vec::from([
        ("events that were enabled", enabled),
        ("events that were refused", refused),
        ("events that clients were notified of", notified),
        ("events that the driver generated itself", own),
    ]))
}
