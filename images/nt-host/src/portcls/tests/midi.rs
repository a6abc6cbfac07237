//! The port against a small `IMiniportMidi` of C shape, whose device sends back what it gets.

#![allow(unsafe_code, reason = "the miniport is called through its vtables, as a driver's is")]

use alloc::boxed::Box;
use core::mem::ManuallyDrop;
use core::sync::atomic::{AtomicI32, AtomicPtr, AtomicUsize, Ordering};
use std::collections::VecDeque;
use std::sync::Mutex;
use std::vec;
use std::vec::Vec;

use super::leak;
use crate::contract::midi;
use crate::nt::status::{
    STATUS_INSUFFICIENT_RESOURCES, STATUS_IO_DEVICE_ERROR, STATUS_NOT_IMPLEMENTED, STATUS_SUCCESS, STATUS_UNSUCCESSFUL,
};
use crate::nt::{NTSTATUS, PVOID};
use crate::portcls::com::abi::{DataFormat, FilterDescriptor, KsState, PinDescriptor, communication, data_flow};
use crate::portcls::com::guids::{self, GUID};
use crate::portcls::com::kind::Kind;
use crate::portcls::com::object::{Class, Com, Object, Slot, object, unknown};
use crate::portcls::com::slots;
use crate::portcls::kernel::irql;
use crate::portcls::ks::formats;
use crate::portcls::pin::Pin;
use crate::portcls::pin::unpack::Message;
use crate::portcls::port::Port;
use crate::portcls::services::service_group::ServiceGroup;

const RENDER: u32 = 0;
const CAPTURE: u32 = 1;

/// What the miniport does wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Fault {
    #[default]
    None,
    /// `NewStream` writes no service group.
    NoGroup,
    /// `NewStream` fails and leaves a stream.
    StreamOnFailure,
    /// The stream has no `IMiniportMidiStream` by `QueryInterface`.
    OtherStream,
    /// `Write` writes no count.
    NoCount,
    /// `Write` takes more than it was given.
    TakesMore,
    /// `Write` takes three bytes of more.
    TakesThree,
    /// `Write` never takes anything.
    TakesNothing,
    /// `Read` puts out more than the buffer's length.
    ReadsMore,
    /// `Read` writes behind the buffer.
    ReadsBehind,
    /// `Read` fails when there is nothing.
    ReadFails,
    /// `Read` never comes to an end.
    ReadsForEver,
    /// `SetState(STOP)` fails.
    DoesNotStop,
}

/// Where the group of the miniport is known to the port from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    /// There is none.
    None,
    /// It is put out by `Init`, and not registered.
    PutOut,
    /// It is registered, and put out.
    Registered,
}

/// A device that loops back, and what it was sent.
#[derive(Default)]
struct Device {
    /// Bytes that it takes before it is busy; negative: without end.
    room: AtomicI32,
    sent: Mutex<Vec<u8>>,
    waiting: Mutex<VecDeque<u8>>,
    services: AtomicUsize,
    /// Lengths of the buffers of `Read`.
    reads: Mutex<Vec<u32>>,
    states: Mutex<Vec<KsState>>,
}

struct Miniport {
    fault: Fault,
    group: Group,
    device: &'static Device,
    port: AtomicPtr<core::ffi::c_void>,
    own_group: Com<ServiceGroup>,
}

struct Description(FilterDescriptor);
// SAFETY: read only.
unsafe impl Sync for Description {}
// SAFETY: as above.
unsafe impl Send for Description {}

fn description() -> &'static FilterDescriptor {
    static DESCRIPTION: std::sync::LazyLock<Description> = std::sync::LazyLock::new(|| {
        let music = DataFormat {
            format_size: 96,
            flags: 0,
            sample_size: 0,
            reserved: 0,
            major: guids::KSDATAFORMAT_TYPE_MUSIC,
            sub: guids::KSDATAFORMAT_SUBTYPE_MIDI,
            specifier: guids::KSDATAFORMAT_SPECIFIER_NONE,
        };
        let ranges = leak([leak([music, music]).as_ptr() as usize]);
        let pin = |flow| {
            // SAFETY: all zero is a valid value of these plain C structures.
            let mut pin: PinDescriptor = unsafe { core::mem::zeroed() };
            (pin.max_global, pin.max_filter) = (1, 1);
            (pin.ks.data_range_count, pin.ks.data_ranges) = (1, ranges.as_ptr().cast());
            (pin.ks.data_flow, pin.ks.communication) = (flow, communication::SINK);
            pin
        };
        let pins = leak([pin(data_flow::IN), pin(data_flow::OUT)]);
        let categories = leak([guids::KSCATEGORY_AUDIO, guids::KSCATEGORY_RENDER]);
        // SAFETY: as above.
        let mut filter: FilterDescriptor = unsafe { core::mem::zeroed() };
        (filter.pin_size, filter.pin_count, filter.pins) = (112, 2, pins.as_ptr().cast());
        (filter.category_count, filter.categories) = (2, categories.as_ptr());
        Description(filter)
    });
    &DESCRIPTION.0
}

impl Class for Miniport {
    const NAME: &'static str = "IMiniportMidi (test)";
    const INTERFACES: &'static [GUID] = &[guids::IID_IMINIPORT, guids::IID_IMINIPORTMIDI];

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
        if !port.is_null() {
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
    // SAFETY: the port's own objects and out parameter; slot 7 is RegisterServiceGroup, with a status.
    unsafe {
        slots::unknown::add_ref(port);
        let miniport = object(this);
        miniport.port.store(port, Ordering::Relaxed);
        let own = miniport.own_group.as_raw();
        if miniport.group == Group::Registered {
            let register: unsafe extern "win64" fn(PVOID, PVOID) -> NTSTATUS =
                core::mem::transmute(port.cast::<*const *const ()>().read().add(7).read());
            assert_eq!(register(port, own), STATUS_SUCCESS);
        }
        group.write(match miniport.group {
            Group::None => core::ptr::null_mut(),
            _ => miniport.own_group.clone().into_raw(),
        });
    }
    STATUS_SUCCESS
}

unsafe extern "win64" fn service(this: *mut Object<Miniport>) {
    assert_eq!(irql::current(), 2);
    // SAFETY: the port holds the miniport.
    unsafe { object(this) }.device.services.fetch_add(1, Ordering::Relaxed);
}

unsafe extern "win64" fn new_stream(
    this: *mut Object<Miniport>,
    out: *mut PVOID,
    outer: PVOID,
    _pool: i32,
    pin: u32,
    capture: u8,
    format: *const DataFormat,
    group: *mut PVOID,
) -> NTSTATUS {
    assert_eq!((pin == CAPTURE, outer.is_null()), (capture == 1, true));
    // SAFETY: the port's own objects and out parameters.
    unsafe {
        assert_eq!((*format).sub, guids::KSDATAFORMAT_SUBTYPE_MIDI);
        let miniport = object(this);
        let stream = Com::new(Stream {
            fault: miniport.fault,
            device: miniport.device,
            state: AtomicI32::new(KsState::Stop as i32),
        });
        out.write(stream.into_raw());
        if miniport.fault != Fault::NoGroup {
            group.write(core::ptr::null_mut());
        }
        if miniport.fault == Fault::StreamOnFailure { STATUS_INSUFFICIENT_RESOURCES } else { STATUS_SUCCESS }
    }
}

struct Stream {
    fault: Fault,
    device: &'static Device,
    state: AtomicI32,
}

impl Class for Stream {
    const NAME: &'static str = "IMiniportMidiStream (test)";
    const INTERFACES: &'static [GUID] = &[];

    fn vtable() -> &'static [Slot] {
        const UNKNOWN: [Slot; 3] = unknown::<Stream>();
        static VTABLE: [Slot; 7] = [
            UNKNOWN[0],
            UNKNOWN[1],
            UNKNOWN[2],
            Slot(set_format as *const ()),
            Slot(set_state as *const ()),
            Slot(read as *const ()),
            Slot(write as *const ()),
        ];
        &VTABLE
    }

    fn other_interface(object: &Object<Self>, interface: &GUID) -> Option<PVOID> {
        (object.fault != Fault::OtherStream && *interface == guids::IID_IMINIPORTMIDISTREAM).then(|| object.address())
    }
}

unsafe extern "win64" fn set_format(_this: PVOID, _format: *const DataFormat) -> NTSTATUS {
    STATUS_SUCCESS
}

unsafe extern "win64" fn set_state(this: *mut Object<Stream>, state: KsState) -> NTSTATUS {
    assert_eq!(irql::current(), 0);
    // SAFETY: the port holds the stream.
    let stream = unsafe { object(this) };
    let before = stream.state.swap(state as i32, Ordering::Relaxed);
    assert_eq!((before - state as i32).abs(), 1, "the port goes through neighbouring states");
    stream.device.states.lock().unwrap().push(state);
    if state == KsState::Stop && stream.fault == Fault::DoesNotStop { STATUS_UNSUCCESSFUL } else { STATUS_SUCCESS }
}

unsafe extern "win64" fn read(this: *mut Object<Stream>, buffer: *mut u8, length: u32, count: *mut u32) -> NTSTATUS {
    assert_eq!(irql::current(), 2);
    // SAFETY: the port holds the stream, and its buffer has so many bytes and a guard behind them.
    unsafe {
        let stream = object(this);
        assert_eq!(stream.state.load(Ordering::Relaxed), KsState::Run as i32);
        stream.device.reads.lock().unwrap().push(length);
        let mut waiting = stream.device.waiting.lock().unwrap();
        if stream.fault == Fault::ReadsForEver {
            waiting.extend(vec![0xFE; length as usize]);
        }
        let some = waiting.len().min(length as usize);
        waiting.drain(..some).enumerate().for_each(|(at, byte)| buffer.add(at).write(byte));
        match stream.fault {
            Fault::ReadFails if some == 0 => return STATUS_UNSUCCESSFUL,
            Fault::ReadsMore => count.write(length + 1),
            Fault::ReadsBehind => {
                buffer.add(length as usize).write(0);
                count.write(some as u32);
            }
            _ => count.write(some as u32),
        }
    }
    STATUS_SUCCESS
}

unsafe extern "win64" fn write(this: *mut Object<Stream>, buffer: *const u8, length: u32, count: *mut u32) -> NTSTATUS {
    assert_eq!(irql::current(), 2);
    // SAFETY: the port holds the stream, and its buffer has so many bytes.
    unsafe {
        let stream = object(this);
        assert_eq!(stream.state.load(Ordering::Relaxed), KsState::Run as i32);
        let bytes = core::slice::from_raw_parts(buffer, length as usize);
        if bytes == [0xFF] {
            return STATUS_IO_DEVICE_ERROR;
        }
        let room = stream.device.room.load(Ordering::Relaxed);
        let whole = room < 0 || room as usize >= bytes.len();
        let taken = match stream.fault {
            Fault::NoCount => return STATUS_SUCCESS,
            Fault::TakesMore => length as usize + 1,
            Fault::TakesThree => 3,
            Fault::TakesNothing => 0,
            _ if whole => bytes.len(),
            _ => room as usize & !3,
        };
        if room > 0 {
            stream.device.room.store(room - taken as i32, Ordering::Relaxed);
        }
        let bytes = &bytes[..taken.min(bytes.len())];
        stream.device.sent.lock().unwrap().extend(bytes);
        stream.device.waiting.lock().unwrap().extend(bytes);
        count.write(taken as u32);
    }
    STATUS_SUCCESS
}

/// Returns a port bound to such a miniport, its device, and the miniport's group.
fn bound(fault: Fault, group: Group) -> (Com<Port>, &'static Device, Com<ServiceGroup>) {
    let device = leak(Device { room: AtomicI32::new(-1), ..Device::default() });
    let (port, own_group) = (Port::create(Kind::DMus), ServiceGroup::create());
    let miniport =
        Com::new(Miniport { fault, group, device, port: AtomicPtr::default(), own_group: own_group.clone() });
    // SAFETY: the port's slot 3 is Init.
    let status = unsafe {
        let init: unsafe extern "win64" fn(PVOID, PVOID, PVOID, PVOID, PVOID, PVOID) -> NTSTATUS =
            core::mem::transmute(port.as_raw().cast::<*const *const ()>().read().add(3).read());
        let some = core::ptr::dangling_mut();
        init(port.as_raw(), some, some, miniport.as_raw(), core::ptr::null_mut(), core::ptr::null_mut())
    };
    assert_eq!(status, STATUS_SUCCESS);
    (port, device, own_group)
}

fn open(port: &Com<Port>, id: u32) -> Box<Pin> {
    Pin::open(port, id, &formats::music(guids::KSDATAFORMAT_SUBTYPE_MIDI)).unwrap()
}

fn running(port: &Com<Port>, id: u32) -> Box<Pin> {
    let mut pin = open(port, id);
    pin.set_state(KsState::Run).unwrap();
    pin
}

fn send(pin: &Pin, data: &[u8]) {
    pin.send(&Message { delta: 0, channel_group: 1, data, raw: true }, 1, || false).unwrap();
    pin.flush();
    pin.deliver_until(i64::MAX);
}

/// Requests service of a group, as its miniport's interrupt does by `Notify`.
fn notify(port: &Com<Port>, group: PVOID) {
    // SAFETY: the port's slot 6 is Notify.
    unsafe {
        let notify: unsafe extern "win64" fn(PVOID, PVOID) =
            core::mem::transmute(port.as_raw().cast::<*const *const ()>().read().add(6).read());
        notify(port.as_raw(), group);
    }
}

#[test]
fn answers_iportmidi_and_iportdmus_with_one_pointer() {
    let port = Port::create(Kind::DMus);
    // SAFETY: a live object.
    let port = unsafe { slots::Foreign::from_borrowed(port.as_raw()) };
    let (midi, dmus) = (port.query(&guids::IID_IPORTMIDI).unwrap(), port.query(&guids::IID_IPORTDMUS).unwrap());
    assert_eq!(midi.as_raw(), dmus.as_raw());
}

#[test]
fn what_is_sent_is_written_in_run_and_in_order() {
    let (port, device, _group) = bound(Fault::None, Group::None);
    let mut pin = open(&port, RENDER);
    pin.set_state(KsState::Pause).unwrap();
    send(&pin, &[0x90, 60, 100]);
    assert_eq!(*device.sent.lock().unwrap(), []);
    pin.set_state(KsState::Run).unwrap();
    send(&pin, &[60, 0]);
    assert_eq!(*device.sent.lock().unwrap(), [0x90, 60, 100, 60, 0]);
    assert_eq!(pin.allocator().events_out(), 0);
    pin.close();
    assert_eq!(
        *device.states.lock().unwrap(),
        [KsState::Acquire, KsState::Pause, KsState::Run, KsState::Pause, KsState::Acquire, KsState::Stop]
    );
    port.shut_down();
}

#[test]
fn a_busy_device_gets_the_rest_when_its_group_is_served() {
    let (port, device, group) = bound(Fault::None, Group::Registered);
    let pin = running(&port, RENDER);
    device.room.store(6, Ordering::Relaxed);
    let long: Vec<u8> = [0xF0].into_iter().chain(0..40).chain([0xF7]).collect();
    send(&pin, &long);
    assert_eq!(device.sent.lock().unwrap().len(), 4, "a multiple of four");
    assert!(pin.allocator().events_out() > 0);
    device.room.store(-1, Ordering::Relaxed);
    notify(&port, group.as_raw());
    assert_eq!(*device.sent.lock().unwrap(), long);
    assert_eq!((pin.allocator().events_out(), device.services.load(Ordering::Relaxed)), (0, 1));
    pin.close();
    drop(group);
    port.shut_down();
}

#[test]
fn what_was_not_written_comes_back_in_stop() {
    let (port, device, _group) = bound(Fault::None, Group::None);
    let mut pin = running(&port, RENDER);
    device.room.store(0, Ordering::Relaxed);
    send(&pin, &[0x90, 60, 100]);
    assert_eq!(pin.allocator().events_out(), 1);
    pin.set_state(KsState::Stop).unwrap();
    assert_eq!(pin.allocator().events_out(), 0);
    pin.close();
    port.shut_down();
}

#[test]
fn a_device_error_is_what_the_client_gets() {
    let (port, device, _group) = bound(Fault::None, Group::None);
    let pin = running(&port, RENDER);
    send(&pin, &[0xFF]);
    send(&pin, &[0xF8]);
    assert_eq!(pin.refused(), Some(STATUS_IO_DEVICE_ERROR));
    assert_eq!(*device.sent.lock().unwrap(), [0xF8]);
    pin.close();
    port.shut_down();
}

#[test]
fn what_came_in_is_read_when_the_group_is_served() {
    for group in [Group::PutOut, Group::Registered] {
        let (port, device, own) = bound(Fault::None, group);
        let pin = running(&port, CAPTURE);
        device.waiting.lock().unwrap().extend([0x90, 60, 100, 0xF8, 61, 100, 0xF0, 1, 2, 0xF7]);
        assert_eq!(pin.take_captured().unwrap().len(), 0, "no service, no Read");
        notify(&port, core::ptr::null_mut());
        let taken: Vec<Vec<u8>> = pin.take_captured().unwrap().into_iter().map(|event| event.data).collect();
        assert_eq!(taken, [vec![0x90, 60, 100], vec![0xF8], vec![0x90, 61, 100], vec![0xF0, 1, 2, 0xF7]], "{group:?}");
        pin.close();
        drop(own);
        port.shut_down();
    }
}

#[test]
fn what_came_in_before_run_is_read_in_run() {
    let (port, device, own) = bound(Fault::None, Group::Registered);
    let mut pin = open(&port, CAPTURE);
    pin.set_state(KsState::Pause).unwrap();
    device.waiting.lock().unwrap().extend([0xF8]);
    notify(&port, own.as_raw());
    assert!(device.reads.lock().unwrap().is_empty());
    pin.set_state(KsState::Run).unwrap();
    assert_eq!(pin.take_captured().unwrap().len(), 1);
    pin.close();
    drop(own);
    port.shut_down();
}

#[test]
fn bytes_come_whole_through_buffers_of_every_size() {
    let (port, device, own) = bound(Fault::None, Group::Registered);
    let pin = running(&port, CAPTURE);
    let bytes: Vec<u8> = (0..1000_u32).flat_map(|number| [0x90, (number % 128) as u8, 1]).collect();
    device.waiting.lock().unwrap().extend(&bytes);
    notify(&port, own.as_raw());
    let taken: Vec<u8> = pin.take_captured().unwrap().into_iter().flat_map(|event| event.data).collect();
    assert_eq!(taken, bytes);
    pin.close();
    drop(own);
    port.shut_down();
}

#[test]
fn rules_of_midi_miniports_are_counted_when_they_hold() {
    let before = midi::WRITE_COUNT.count();
    let (port, _, _group) = bound(Fault::None, Group::None);
    let pin = running(&port, RENDER);
    send(&pin, &[0xF8]);
    assert!(midi::WRITE_COUNT.count() > before);
    pin.close();
    port.shut_down();
}

/// Does everything that a client can do with a miniport that is at fault.
fn exercise(fault: Fault) {
    let (port, device, group) = bound(fault, Group::Registered);
    // What is left in the middle of things outlives the test.
    let (port, group) = (ManuallyDrop::new(port), ManuallyDrop::new(group));
    // Not from a DPC or through a vtable: what a violation of the tests unwinds through is Rust's.
    let mut render = ManuallyDrop::new(open(&port, RENDER));
    render.set_state(KsState::Pause).unwrap();
    send(&render, &[0xF0, 1, 2, 3, 4, 5, 0xF7]);
    render.set_state(KsState::Run).unwrap();
    if fault == Fault::TakesNothing {
        (0..100_000).for_each(|_| crate::portcls::kernel::pause());
        render.serve();
    }
    ManuallyDrop::into_inner(render).close();
    let mut capture = ManuallyDrop::new(open(&port, CAPTURE));
    capture.set_state(KsState::Run).unwrap();
    device.waiting.lock().unwrap().extend([0x90, 60, 100]);
    capture.serve();
    ManuallyDrop::into_inner(capture).close();
    drop(ManuallyDrop::into_inner(group));
    port.shut_down();
}

macro_rules! caught {
    ($($name:ident: $fault:ident, $rule:literal;)+) => {
        $(
            #[test]
            #[should_panic(expected = $rule)]
            fn $name() {
                exercise(Fault::$fault);
            }
        )+
    };
}

caught! {
    catches_a_service_group_that_new_stream_does_not_write: NoGroup, "rule 304";
    catches_a_stream_that_a_failed_new_stream_leaves: StreamOnFailure, "rule 305";
    catches_a_stream_of_another_interface: OtherStream, "rule 302";
    catches_a_count_that_write_does_not_write: NoCount, "rule 306";
    catches_a_write_of_more_than_was_given: TakesMore, "rule 306";
    catches_a_part_that_is_no_multiple_of_four: TakesThree, "rule 307";
    catches_a_device_that_is_busy_for_ever: TakesNothing, "rule 308";
    catches_a_read_of_more_than_the_buffer: ReadsMore, "rule 309";
    catches_a_read_behind_the_buffer: ReadsBehind, "rule 309";
    catches_a_read_that_fails_at_the_end: ReadFails, "rule 310";
    catches_a_read_without_end: ReadsForEver, "rule 310";
    catches_a_stream_that_does_not_stop: DoesNotStop, "rule 311";
}

#[test]
fn nothing_is_caught_of_a_miniport_without_faults() {
    exercise(Fault::None);
}
