//! A small miniport of C shape, which can break rules on purpose.

#![allow(unsafe_code, reason = "the miniport is called through its vtables, as a driver's is")]

use core::sync::atomic::{AtomicI32, AtomicPtr, AtomicUsize, Ordering};
use std::sync::Mutex;
use std::vec;
use std::vec::Vec;

use super::RATE;
use super::description::description;
use crate::nt::status::{STATUS_INSUFFICIENT_RESOURCES, STATUS_NO_MATCH, STATUS_NOT_IMPLEMENTED, STATUS_SUCCESS};
use crate::nt::{NTSTATUS, PVOID};
use crate::portcls::com::abi::{DataFormat, FilterDescriptor, KernelEvent, KsState, StreamType};
use crate::portcls::com::guids::{self, GUID};
use crate::portcls::com::object::{Class, Com, Object, Slot, object, unknown};
use crate::portcls::com::slots;
use crate::portcls::kernel::irql;

/// How a miniport of the tests behaves.
#[derive(Clone, Copy, Default)]
pub(super) struct Behaviour {
    /// Its `SchedulePreFetch`.
    pub(super) prefetch: u64,
    /// It keeps events until STOP.
    pub(super) keeps: bool,
    /// What it does wrong.
    pub(super) fault: Fault,
}

/// What a miniport can do wrong, or in its own way.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Fault {
    #[default]
    None,
    /// `NewStream` does not write `SchedulePreFetch`.
    NoPrefetch,
    /// `NewStream` fails and keeps its reference to the allocator.
    LeaksOnFailure,
    /// A stream keeps its reference to the allocator.
    LeaksAllocator,
    /// A stream keeps its events in STOP.
    KeepsInStop,
    /// A stream never gives back what it plays.
    Loses,
    /// `NewStream` takes any format.
    TakesAnyFormat,
    /// `Render` writes one frame less.
    RendersShort,
    /// `Render` writes one frame more.
    RendersLong,
    /// `Render` mixes into the buffer, as it may, and leaves the last frame out.
    MixesShort,
    /// No fault: `Render` mixes into the buffer.
    Mixes,
    /// No fault: `Render` counts in bytes, as its own page does.
    CountsBytes,
    /// The miniport keeps its reference to the port.
    LeaksPort,
}

/// The test miniport.
pub(super) struct Miniport {
    pub(super) port: AtomicPtr<core::ffi::c_void>,
    pub(super) behaviour: Behaviour,
    pub(super) recorded: &'static Recorded,
}

/// Time, group and bytes of an event, and the number of the call that brought it.
pub(super) type RecordedEvent = (i64, u16, Vec<u8>, usize);

/// What a miniport's streams recorded.
#[derive(Default)]
pub(super) struct Recorded {
    pub(super) events: Mutex<Vec<RecordedEvent>>,
    pub(super) calls: AtomicUsize,
    pub(super) rendered: AtomicUsize,
    pub(super) sync: Mutex<Vec<i64>>,
}

impl Class for Miniport {
    const NAME: &'static str = "IMiniportDMus (test)";
    const INTERFACES: &'static [GUID] = &[guids::IID_IMINIPORT, guids::IID_IMINIPORTDMUS];

    fn vtable() -> &'static [Slot] {
        const UNKNOWN: [Slot; 3] = unknown::<Miniport>();
        static VTABLE: [Slot; 8] = [
            UNKNOWN[0],
            UNKNOWN[1],
            UNKNOWN[2],
            Slot(get_description as *const ()),
            Slot(intersection as *const ()),
            Slot(init as *const ()),
            Slot(service as *const ()),
            Slot(new_stream as *const ()),
        ];
        &VTABLE
    }

    fn released(object: &Object<Self>) {
        let port = object.port.load(Ordering::Relaxed);
        if !port.is_null() && object.behaviour.fault != Fault::LeaksPort {
            // SAFETY: AddRefed in `init`.
            unsafe { slots::unknown::release(port) };
        }
    }
}

unsafe extern "win64" fn get_description(_this: PVOID, out: *mut *const FilterDescriptor) -> NTSTATUS {
    // SAFETY: the port's out parameter.
    unsafe { out.write(description()) };
    STATUS_SUCCESS
}

unsafe extern "win64" fn intersection(_: PVOID, _: u32, _: PVOID, _: PVOID, _: u32, _: PVOID, _: *mut u32) -> NTSTATUS {
    STATUS_NOT_IMPLEMENTED
}

unsafe extern "win64" fn init(
    this: *mut Object<Miniport>,
    _adapter: PVOID,
    _list: PVOID,
    port: PVOID,
    group: *mut PVOID,
) -> NTSTATUS {
    // SAFETY: the port's own objects and out parameter.
    unsafe {
        slots::unknown::add_ref(port);
        object(this).port.store(port, Ordering::Relaxed);
        group.write(core::ptr::null_mut());
    }
    STATUS_SUCCESS
}

unsafe extern "win64" fn service(_: PVOID) {}

unsafe extern "win64" fn new_stream(
    this: *mut Object<Miniport>,
    out: *mut PVOID,
    _outer: PVOID,
    _pool: i32,
    _pin: u32,
    kind: StreamType,
    format: *const DataFormat,
    group: *mut PVOID,
    allocator: PVOID,
    _clock: PVOID,
    prefetch: *mut u64,
) -> NTSTATUS {
    // SAFETY: the port's own objects and out parameters.
    unsafe {
        let miniport = object(this);
        let fits = (kind == StreamType::WaveSink) == ((*format).major == guids::KSDATAFORMAT_TYPE_AUDIO);
        if !fits && miniport.behaviour.fault != Fault::TakesAnyFormat {
            group.write(core::ptr::null_mut());
            return STATUS_NO_MATCH;
        }
        slots::unknown::add_ref(allocator);
        if miniport.behaviour.fault == Fault::LeaksOnFailure {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
        let stream = Com::new(Stream {
            allocator: allocator as usize,
            wave: kind == StreamType::WaveSink,
            state: AtomicI32::new(0),
            kept: Mutex::new(vec![]),
            behaviour: miniport.behaviour,
            recorded: miniport.recorded,
        });
        out.write(stream.into_raw());
        group.write(core::ptr::null_mut());
        if miniport.behaviour.fault != Fault::NoPrefetch {
            prefetch.write(miniport.behaviour.prefetch);
        }
    }
    STATUS_SUCCESS
}

/// A stream.
struct Stream {
    allocator: usize,
    wave: bool,
    state: AtomicI32,
    kept: Mutex<Vec<usize>>,
    behaviour: Behaviour,
    recorded: &'static Recorded,
}

impl Class for Stream {
    const NAME: &'static str = "ISynthSinkDMus (test)";
    const INTERFACES: &'static [GUID] = &[guids::IID_IMXF];

    fn vtable() -> &'static [Slot] {
        const UNKNOWN: [Slot; 3] = unknown::<Stream>();
        static VTABLE: [Slot; 11] = [
            UNKNOWN[0],
            UNKNOWN[1],
            UNKNOWN[2],
            Slot(set_state as *const ()),
            Slot(put_message as *const ()),
            Slot(put_message as *const ()),
            Slot(put_message as *const ()),
            Slot(render as *const ()),
            Slot(sync_to_master as *const ()),
            Slot(sample_to_ref_time as *const ()),
            Slot(ref_time_to_sample as *const ()),
        ];
        &VTABLE
    }

    fn other_interface(object: &Object<Self>, interface: &GUID) -> Option<PVOID> {
        (object.wave && *interface == guids::IID_ISYNTHSINKDMUS).then(|| object.address())
    }

    fn released(object: &Object<Self>) {
        if object.behaviour.fault != Fault::LeaksAllocator {
            // SAFETY: AddRefed in `new_stream`.
            unsafe { slots::unknown::release(object.allocator as PVOID) };
        }
    }
}

impl Stream {
    fn give_back(&self, event: *mut KernelEvent) {
        let _raised = irql::Raised::to_dispatch();
        // SAFETY: the allocator's slot 4 is PutMessage.
        unsafe {
            let put: unsafe extern "win64" fn(PVOID, *mut KernelEvent) -> NTSTATUS =
                core::mem::transmute((self.allocator as *const *const *const ()).read().add(4).read());
            put(self.allocator as PVOID, event);
        }
    }
}

unsafe extern "win64" fn set_state(this: *mut Object<Stream>, state: KsState) -> NTSTATUS {
    // SAFETY: the port holds the stream.
    let stream = unsafe { object(this) };
    let before = stream.state.swap(state as i32, Ordering::Relaxed);
    assert_eq!((before - state as i32).abs(), 1, "the port goes through neighbouring states");
    if state == KsState::Stop && stream.behaviour.fault != Fault::KeepsInStop {
        stream.kept.lock().unwrap().drain(..).for_each(|event| stream.give_back(event as *mut KernelEvent));
    }
    STATUS_SUCCESS
}

unsafe extern "win64" fn put_message(this: *mut Object<Stream>, event: *mut KernelEvent) -> NTSTATUS {
    assert_eq!(irql::current(), 2);
    // SAFETY: the port holds the stream, and the events are the stream's.
    unsafe {
        let stream = object(this);
        let call = stream.recorded.calls.fetch_add(1, Ordering::Relaxed);
        let mut next = event;
        let runs = stream.state.load(Ordering::Relaxed) == KsState::Run as i32;
        while runs && !next.is_null() {
            let content = next.read();
            let data = if content.event_bytes > 8 {
                core::slice::from_raw_parts(content.data.buffer, usize::from(content.event_bytes)).to_vec()
            } else {
                content.data.inline[..usize::from(content.event_bytes)].to_vec()
            };
            stream.recorded.events.lock().unwrap().push((content.time, content.channel_group, data, call));
            next = content.next;
        }
        if runs && stream.behaviour.fault == Fault::Loses {
            return STATUS_SUCCESS;
        }
        if (!runs || stream.behaviour.keeps) && !event.is_null() {
            stream.kept.lock().unwrap().push(event as usize);
        } else {
            stream.give_back(event);
        }
    }
    STATUS_SUCCESS
}

unsafe extern "win64" fn render(this: *mut Object<Stream>, buffer: *mut u8, frames: u32, position: i64) {
    assert_eq!(irql::current(), 0);
    // SAFETY: the port's buffer has so many frames of four bytes.
    unsafe {
        let rendered = &object(this).recorded.rendered;
        assert_eq!(rendered.fetch_add(frames as usize, Ordering::Relaxed) as i64, position);
        let fault = object(this).behaviour.fault;
        let bytes = match fault {
            Fault::RendersShort | Fault::MixesShort => (frames - 1) * 4,
            Fault::RendersLong => (frames + 1) * 4,
            Fault::CountsBytes => frames,
            _ => frames * 4,
        };
        if matches!(fault, Fault::Mixes | Fault::MixesShort) {
            for sample in 0..bytes as usize / 2 {
                let at = buffer.add(2 * sample);
                let mixed = i16::from_le_bytes([at.read(), at.add(1).read()]).saturating_add(0x1111);
                at.cast::<[u8; 2]>().write(mixed.to_le_bytes());
            }
        } else {
            buffer.write_bytes(0x11, bytes as usize);
        }
    }
}

unsafe extern "win64" fn sync_to_master(this: *mut Object<Stream>, time: i64, start: i32) -> NTSTATUS {
    // SAFETY: the port holds the stream.
    let stream = unsafe { object(this) };
    assert_eq!((stream.state.load(Ordering::Relaxed), start), (KsState::Run as i32, 1));
    stream.recorded.sync.lock().unwrap().push(time);
    stream.recorded.rendered.store(0, Ordering::Relaxed);
    STATUS_SUCCESS
}

unsafe extern "win64" fn sample_to_ref_time(_: PVOID, sample: i64, out: *mut i64) -> NTSTATUS {
    // SAFETY: the port's out parameter.
    unsafe { out.write((sample * 10_000_000 + i64::from(RATE) - 1) / i64::from(RATE)) };
    STATUS_SUCCESS
}

unsafe extern "win64" fn ref_time_to_sample(_: PVOID, time: i64, out: *mut i64) -> NTSTATUS {
    // SAFETY: the port's out parameter.
    unsafe { out.write(time * i64::from(RATE) / 10_000_000) };
    STATUS_SUCCESS
}
