//! Streams of events of an MPU-401: `IMXF`.

#![allow(unsafe_code, reason = "the port calls streams through their vtables; events are linked by address")]

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use super::uart::{Dmus, Opened, Uart, Up};
use crate::nt::status::{STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER, STATUS_SUCCESS, success};
use crate::nt::{NTSTATUS, PVOID};
use crate::portcls::com::abi::{
    DataFormat, EVENT_INCOMPLETE, EVENT_PACKAGE, INLINE_BYTES, KernelEvent, KsState, StreamType,
};
use crate::portcls::com::guids::{self, GUID};
use crate::portcls::com::object::{Class, Com, Object, Slot, object, unknown};
use crate::portcls::com::slots::{self, Foreign};
use crate::portcls::kernel::irql::{self, Raised};
use crate::portcls::kernel::lock::Lock;
use crate::portcls::midi::parser::Parser;

/// The channel group of a cable.
const GROUP: u16 = 1;

/// Pieces that wait for events of the allocator's at most. More are dropped, as those of a client that reads too slowly.
const PENDING_MAX: usize = 4096;

/// What a capture stream has taken from the device, and not handed on.
#[derive(Default)]
struct Pending {
    parser: Parser,
    pieces: VecDeque<(i64, bool, Vec<u8>)>,
}

/// A render stream's state, and what it holds in it.
struct Held {
    state: KsState,
    /// Events that came after STOP and before RUN.
    events: Vec<usize>,
}

/// A stream of events.
pub(super) struct Stream {
    miniport: Com<Uart<Dmus>>,
    up: Arc<Up>,
    opened: Opened,
    allocator: Foreign,
    held: Lock<Held>,
    sink: Lock<Option<Foreign>>,
    pending: Lock<Pending>,
    /// One service at a time hands on; what comes meanwhile it hands on too.
    serving: AtomicBool,
}

impl Class for Stream {
    const NAME: &'static str = "IMXF (of the system, MPU-401)";
    const INTERFACES: &'static [GUID] = &[guids::IID_IMXF];

    fn vtable() -> &'static [Slot] {
        const UNKNOWN: [Slot; 3] = unknown::<Stream>();
        static VTABLE: [Slot; 7] = [
            UNKNOWN[0],
            UNKNOWN[1],
            UNKNOWN[2],
            Slot(set_state as *const ()),
            Slot(put_message as *const ()),
            Slot(connect_output as *const ()),
            Slot(disconnect_output as *const ()),
        ];
        &VTABLE
    }

    fn released(object: &Object<Self>) {
        give_back_all(object);
        object.miniport.close(&object.up, &object.opened);
    }
}

/// Makes a stream (`IMiniportDMus::NewStream`).
pub(super) unsafe extern "win64" fn new_stream(
    this: *mut Object<Uart<Dmus>>,
    out: *mut PVOID,
    outer: PVOID,
    _pool: i32,
    pin: u32,
    kind: i32,
    format: *const DataFormat,
    group: *mut PVOID,
    allocator: PVOID,
    _clock: PVOID,
    prefetch: *mut u64,
) -> NTSTATUS {
    irql::passive("IMiniportDMus", "NewStream");
    // SAFETY: the port holds the miniport and what it passes, and gives out parameters.
    unsafe {
        out.write(core::ptr::null_mut());
        group.write(core::ptr::null_mut());
        if allocator.is_null() || !outer.is_null() {
            return STATUS_INVALID_PARAMETER;
        }
        let capture = kind == StreamType::MidiCapture as i32;
        let Some(miniport) = Com::<Uart<Dmus>>::from_borrowed(this.cast()) else {
            return STATUS_INVALID_DEVICE_REQUEST;
        };
        if !capture && kind != StreamType::MidiRender as i32 {
            return STATUS_INVALID_DEVICE_REQUEST;
        }
        match miniport.open(pin, capture, format) {
            Ok((up, opened)) => {
                if capture {
                    group.write(up.group.clone().into_raw());
                }
                prefetch.write(0);
                let stream = Com::new(Stream {
                    miniport,
                    up,
                    opened,
                    allocator: Foreign::from_borrowed(allocator),
                    held: Lock::new(Held { state: KsState::Stop, events: Vec::new() }),
                    sink: Lock::new(None),
                    pending: Lock::new(Pending::default()),
                    serving: AtomicBool::new(false),
                });
                out.write(stream.into_raw());
                STATUS_SUCCESS
            }
            Err(status) => status,
        }
    }
}

type This = *mut Object<Stream>;

/// Gives everything back that the stream has.
fn give_back_all(stream: &Object<Stream>) {
    stream.up.device.withdraw(stream.address());
    for event in stream.held.with(|held| core::mem::take(&mut held.events)) {
        give_back(stream, event as *mut KernelEvent);
    }
}

/// Gives an event of the stream's back to its allocator.
fn give_back(stream: &Object<Stream>, event: *mut KernelEvent) {
    let raised = Raised::to_dispatch();
    // SAFETY: the stream holds its allocator, and the event is the stream's.
    unsafe { slots::allocator_mxf::put_message(stream.allocator.as_raw(), event) };
    drop(raised);
}

unsafe extern "win64" fn set_state(this: This, state: KsState) -> NTSTATUS {
    irql::passive("IMXF", "SetState");
    // SAFETY: the port holds the stream.
    let stream = unsafe { object(this) };
    if matches!(stream.opened, Opened::Capture) {
        let flows = state >= KsState::Pause;
        if !flows {
            stream.pending.with(|pending| *pending = Pending::default());
        }
        stream.up.device.set_captures(flows, stream.up.polled_group());
        return STATUS_SUCCESS;
    }
    stream.held.with(|held| held.state = state);
    match state {
        KsState::Run => {
            for event in stream.held.with(|held| core::mem::take(&mut held.events)) {
                send(stream, event as *mut KernelEvent);
            }
        }
        KsState::Stop => give_back_all(stream),
        KsState::Acquire | KsState::Pause => {}
    }
    STATUS_SUCCESS
}

/// Queues the bytes of a chain; the chain is given back when they are written.
fn send(stream: &Object<Stream>, event: *mut KernelEvent) {
    let mut bytes = Vec::new();
    // SAFETY: the events are the stream's until they are given back, and it withdraws them before it goes.
    unsafe {
        collect(event, &mut bytes);
        stream.up.device.queue_event(stream.address(), bytes, stream.allocator.as_raw(), event);
    }
}

/// Appends the bytes of a chain and of the packages in it.
///
/// # Safety
/// The events are whole.
unsafe fn collect(first: *mut KernelEvent, bytes: &mut Vec<u8>) {
    let mut event = first;
    while !event.is_null() {
        // SAFETY: by the caller; flags and length say which member of the union it is.
        unsafe {
            let content = event.read();
            let length = usize::from(content.event_bytes);
            if content.flags & EVENT_PACKAGE != 0 {
                collect(content.data.package, bytes);
            } else if content.channel_group > GROUP {
                // There is one group: what is for another goes nowhere.
            } else if length <= INLINE_BYTES {
                bytes.extend_from_slice(&content.data.inline[..length]);
            } else if !content.data.buffer.is_null() {
                bytes.extend_from_slice(core::slice::from_raw_parts(content.data.buffer, length));
            }
            event = content.next;
        }
    }
}

unsafe extern "win64" fn put_message(this: This, event: *mut KernelEvent) -> NTSTATUS {
    // SAFETY: the port holds the stream.
    let stream = unsafe { object(this) };
    match (&stream.opened, event.is_null()) {
        (Opened::Render(_), true) => {}
        (Opened::Render(_), false) => render(stream, event),
        (Opened::Capture, true) => hand_on(stream),
        (Opened::Capture, false) => return STATUS_INVALID_DEVICE_REQUEST,
    }
    STATUS_SUCCESS
}

/// Sends what comes in RUN, gives back what comes in STOP, and holds what comes between.
fn render(stream: &Object<Stream>, event: *mut KernelEvent) {
    let state = stream.held.with(|held| {
        if matches!(held.state, KsState::Acquire | KsState::Pause) {
            held.events.push(event as usize);
        }
        held.state
    });
    match state {
        KsState::Run => {
            send(stream, event);
            // Another processor may have stopped the stream, and given back what was queued by then.
            if stream.held.with(|held| held.state == KsState::Stop) {
                stream.up.device.withdraw(stream.address());
            }
        }
        KsState::Stop => give_back(stream, event),
        KsState::Acquire | KsState::Pause => {}
    }
}

unsafe extern "win64" fn connect_output(this: This, sink: PVOID) -> NTSTATUS {
    irql::passive("IMXF", "ConnectOutput");
    // SAFETY: the port holds the stream and the sink.
    unsafe {
        let stream = object(this);
        if sink.is_null() || !matches!(stream.opened, Opened::Capture) {
            return STATUS_INVALID_PARAMETER;
        }
        let before = stream.sink.with(|place| place.replace(Foreign::from_borrowed(sink)));
        drop(before);
    }
    STATUS_SUCCESS
}

unsafe extern "win64" fn disconnect_output(this: This, _sink: PVOID) -> NTSTATUS {
    irql::passive("IMXF", "DisconnectOutput");
    // SAFETY: the port holds the stream.
    let before = unsafe { object(this) }.sink.with(Option::take);
    // A service that runs on another processor has a reference of its own.
    crate::portcls::kernel::flush_dpcs();
    drop(before);
    STATUS_SUCCESS
}

/// Hands what was received on to the sink, as far as the allocator has events. At `DISPATCH_LEVEL`.
fn hand_on(stream: &Object<Stream>) {
    if stream.serving.swap(true, Ordering::AcqRel) {
        return;
    }
    stream.pending.with(|pending| {
        while let Some(received) = stream.up.device.take() {
            for piece in pending.parser.push(received.byte).into_iter().flatten() {
                if pending.pieces.len() < PENDING_MAX {
                    pending.pieces.push_back((received.time, piece.incomplete, piece.data));
                }
            }
        }
    });
    // SAFETY: the reference keeps the sink for this service.
    let sink = stream.sink.with(|sink| sink.as_ref().map(|sink| unsafe { Foreign::from_borrowed(sink.as_raw()) }));
    while let Some((time, incomplete, data)) = stream.pending.with(|pending| pending.pieces.pop_front()) {
        let Some(sink) = &sink else { continue };
        if !hand_on_piece(stream, sink, time, incomplete, &data) {
            stream.pending.with(|pending| pending.pieces.push_front((time, incomplete, data)));
            break;
        }
    }
    stream.serving.store(false, Ordering::Release);
}

/// Hands a piece on, in as many events as it takes. Returns `false` when the allocator has nothing left; then nothing of
/// it has gone.
fn hand_on_piece(stream: &Object<Stream>, sink: &Foreign, time: i64, incomplete: bool, data: &[u8]) -> bool {
    let allocator = stream.allocator.as_raw();
    // SAFETY: the stream holds its allocator and the sink; events and buffers are the stream's until they are put.
    unsafe {
        let size = usize::from(slots::buffer_size_at_any_irql(allocator)).max(INLINE_BYTES);
        let mut events: Vec<*mut KernelEvent> = Vec::new();
        let parts = data.len().div_ceil(size);
        for (index, part) in data.chunks(size).enumerate() {
            let mut event = core::ptr::null_mut();
            let mut got = success(slots::allocator_mxf::get_message(allocator, &raw mut event)) && !event.is_null();
            if got {
                events.push(event);
                (*event).event_bytes = 0;
                if part.len() > INLINE_BYTES {
                    let mut buffer = core::ptr::null_mut();
                    got = success(slots::allocator_mxf::get_buffer(allocator, &raw mut buffer)) && !buffer.is_null();
                    if got {
                        buffer.copy_from_nonoverlapping(part.as_ptr(), part.len());
                        (*event).data.buffer = buffer;
                    }
                } else {
                    let mut inline = [0; INLINE_BYTES];
                    inline[..part.len()].copy_from_slice(part);
                    (*event).data.inline = inline;
                }
            }
            if !got {
                events.into_iter().for_each(|event| _ = slots::allocator_mxf::put_message(allocator, event));
                return false;
            }
            (*event).event_bytes = part.len() as u16;
            (*event).channel_group = GROUP;
            (*event).flags = if incomplete || index + 1 < parts { EVENT_INCOMPLETE } else { 0 };
            (*event).time = time;
            (*event).next = core::ptr::null_mut();
        }
        for event in events {
            slots::mxf::put_message(sink.as_raw(), event);
        }
    }
    true
}
