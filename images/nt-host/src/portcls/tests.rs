//! The port against a small miniport of C shape: the whole way of a stream, and what happens when the miniport errs.

#![allow(unsafe_code, reason = "the miniport of these tests is called through its vtables, as a driver's is")]

use alloc::boxed::Box;
use core::cell::{Cell, RefCell};
use core::sync::atomic::{AtomicI32, AtomicPtr, AtomicUsize, Ordering};
use std::sync::Mutex;
use std::vec;
use std::vec::Vec;

use super::abi::{
    AutomationTable, Connection, DONT_HOLD_FOR_SEQUENCING, DataFormat, EventItem, EventRequest, FILTER_NODE,
    FilterDescriptor, KernelEvent, NodeDescriptor, PinDescriptor, PropertyItem, PropertyRequest, StreamType,
    communication, data_flow, event_type, event_verb, property_type,
};
use super::com::{Class, Com, Object, Slot, unknown};
use super::guids::{self, GUID};
use super::irql;
use super::pin::{Pin, RENDER_GUARD_BYTES};
use super::port::Port;
use super::property::{Request, Sent, Target};
use super::slots;
use super::unpack::Message;
use super::{KsState, formats, property, rules};
use crate::nt::status::{
    STATUS_BUFFER_OVERFLOW, STATUS_BUFFER_TOO_SMALL, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_DEVICE_REQUEST,
    STATUS_INVALID_PARAMETER, STATUS_NO_MATCH, STATUS_NOT_IMPLEMENTED, STATUS_SUCCESS,
};
use crate::nt::{NTSTATUS, PVOID};

const RATE: u32 = 48_000;

/// The descriptor of the tests, with all that it points to, for the life of the process.
struct Description(FilterDescriptor);
// SAFETY: read only.
unsafe impl Sync for Description {}
// SAFETY: as above.
unsafe impl Send for Description {}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

unsafe extern "win64" fn caps(request: *mut PropertyRequest) -> NTSTATUS {
    // SAFETY: the port's request.
    let request = unsafe { &mut *request };
    let room = core::mem::replace(&mut request.value_size, 8);
    match room {
        0 => STATUS_BUFFER_OVERFLOW,
        1..8 => STATUS_BUFFER_TOO_SMALL,
        _ => {
            // SAFETY: there is room for 8 bytes.
            unsafe { request.value.cast::<u64>().write_unaligned(u64::from(request.node)) };
            STATUS_SUCCESS
        }
    }
}

/// A set of events that the miniport of the tests has on its node.
const EVENT_SET: GUID = GUID::from_u128(0x51D2_7A00_9E1B_4C63_8F05_2B61_C4D8_7E19);

std::thread_local! {
    /// The port's `IPortEvents`, for the handler; null: it puts entries nowhere.
    static PORT_EVENTS: Cell<PVOID> = const { Cell::new(core::ptr::null_mut()) };
    /// The verbs that the handler was asked.
    static VERBS: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

unsafe extern "win64" fn take_up(request: *mut EventRequest) -> NTSTATUS {
    // SAFETY: the port's request.
    let request = unsafe { &*request };
    VERBS.with_borrow_mut(|verbs| verbs.push(request.verb));
    let events = PORT_EVENTS.get();
    if request.verb == event_verb::ADD && !events.is_null() {
        // SAFETY: slot 3 of IPortEvents is AddEventToEventList.
        unsafe {
            let add: unsafe extern "win64" fn(PVOID, PVOID) =
                core::mem::transmute(events.cast::<*const *const ()>().read().add(3).read());
            add(events, request.entry.cast());
        }
    }
    STATUS_SUCCESS
}

fn description() -> &'static FilterDescriptor {
    static DESCRIPTION: std::sync::LazyLock<Description> = std::sync::LazyLock::new(|| {
        // SAFETY: all zero is a valid value of these plain C structures.
        unsafe {
            let item = |id| PropertyItem {
                set: &guids::KSPROPSETID_SYNTH,
                id,
                flags: property_type::GET,
                handler: Some(caps),
            };
            let items = leak([item(2), item(3)]);
            let mut table: AutomationTable = core::mem::zeroed();
            (table.property_size, table.property_count, table.properties) = (24, 2, items.as_ptr().cast());
            let of_node = leak([EventItem {
                set: &EVENT_SET,
                id: 1,
                flags: event_type::ENABLE | event_type::ONESHOT,
                handler: Some(take_up),
            }]);
            (table.event_size, table.event_count, table.events) = (24, 1, of_node.as_ptr().cast());
            let music = DataFormat {
                format_size: 96,
                flags: 0,
                sample_size: 0,
                reserved: 0,
                major: guids::KSDATAFORMAT_TYPE_MUSIC,
                sub: guids::KSDATAFORMAT_SUBTYPE_DIRECTMUSIC,
                specifier: guids::KSDATAFORMAT_SPECIFIER_NONE,
            };
            let mut range = formats::pcm(0, 2, 16)[..64].to_vec();
            range[..4].copy_from_slice(&88_u32.to_le_bytes());
            [2_u32, 16, 16, 11_025, 96_000, 0].iter().for_each(|word| range.extend(word.to_le_bytes()));
            let range: &'static [u64] = Box::leak(formats::aligned(&range));
            let pin = |ranges: *const *const DataFormat, flow, communication| {
                let mut pin: PinDescriptor = core::mem::zeroed();
                (pin.max_global, pin.max_filter) = (1, 1);
                (pin.ks.data_range_count, pin.ks.data_ranges) = (1, ranges);
                (pin.ks.data_flow, pin.ks.communication) = (flow, communication);
                pin
            };
            let music_ranges = leak([leak([music, music]).as_ptr() as usize]);
            let wave_ranges = leak([range.as_ptr() as usize]);
            let pins = leak([
                pin(music_ranges.as_ptr().cast(), data_flow::IN, communication::SINK),
                pin(wave_ranges.as_ptr().cast(), data_flow::OUT, 2),
            ]);
            let mut node: NodeDescriptor = core::mem::zeroed();
            (node.automation, node.node_type) = (Box::leak(Box::new(table)), &guids::KSNODETYPE_SYNTHESIZER);
            let node: *const NodeDescriptor = Box::leak(Box::new(node));
            let connection = |from_node, from_pin, to_node, to_pin| Connection { from_node, from_pin, to_node, to_pin };
            let connections = leak([connection(FILTER_NODE, 0, 0, 1), connection(0, 0, FILTER_NODE, 1)]);
            let categories = leak([guids::KSCATEGORY_AUDIO, guids::KSCATEGORY_RENDER]);
            let mut filter: FilterDescriptor = core::mem::zeroed();
            (filter.pin_size, filter.pin_count, filter.pins) = (112, 2, pins.as_ptr().cast());
            (filter.node_size, filter.node_count, filter.nodes) = (32, 1, node.cast());
            (filter.connection_count, filter.connections) = (2, connections.as_ptr());
            (filter.category_count, filter.categories) = (2, categories.as_ptr());
            Description(filter)
        }
    });
    &DESCRIPTION.0
}

/// How a miniport of the tests behaves.
#[derive(Clone, Copy, Default)]
struct Behaviour {
    /// Its `SchedulePreFetch`.
    prefetch: u64,
    /// It keeps events until STOP.
    keeps: bool,
    /// What it does wrong.
    fault: Fault,
}

/// What a miniport can do wrong.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Fault {
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
    /// The miniport keeps its reference to the port.
    LeaksPort,
}

/// A miniport.
struct Miniport {
    port: AtomicPtr<core::ffi::c_void>,
    behaviour: Behaviour,
    heard: &'static Heard,
}

/// Time, group and bytes of an event, and the number of the call that brought it.
type HeardEvent = (i64, u16, Vec<u8>, usize);

/// What a miniport's streams heard.
#[derive(Default)]
struct Heard {
    events: Mutex<Vec<HeardEvent>>,
    calls: AtomicUsize,
    rendered: AtomicUsize,
    sync: Mutex<Vec<i64>>,
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
        super::com::object(this).port.store(port, Ordering::Relaxed);
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
        let miniport = super::com::object(this);
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
            heard: miniport.heard,
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
    heard: &'static Heard,
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
    let stream = unsafe { super::com::object(this) };
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
        let stream = super::com::object(this);
        let call = stream.heard.calls.fetch_add(1, Ordering::Relaxed);
        let mut next = event;
        let runs = stream.state.load(Ordering::Relaxed) == KsState::Run as i32;
        while runs && !next.is_null() {
            let content = next.read();
            let data = if content.event_bytes > 8 {
                core::slice::from_raw_parts(content.data.buffer, usize::from(content.event_bytes)).to_vec()
            } else {
                content.data.inline[..usize::from(content.event_bytes)].to_vec()
            };
            stream.heard.events.lock().unwrap().push((content.time, content.channel_group, data, call));
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
        let rendered = &super::com::object(this).heard.rendered;
        assert_eq!(rendered.fetch_add(frames as usize, Ordering::Relaxed) as i64, position);
        let wrong = match super::com::object(this).behaviour.fault {
            Fault::RendersShort => frames - 1,
            Fault::RendersLong => frames + 1,
            _ => frames,
        };
        buffer.write_bytes(0x11, wrong as usize * 4);
    }
}

unsafe extern "win64" fn sync_to_master(this: *mut Object<Stream>, time: i64, start: i32) -> NTSTATUS {
    // SAFETY: the port holds the stream.
    let stream = unsafe { super::com::object(this) };
    assert_eq!((stream.state.load(Ordering::Relaxed), start), (KsState::Run as i32, 1));
    stream.heard.sync.lock().unwrap().push(time);
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

mod events_of_the_driver {
    use super::*;
    use crate::ks::layout::{KSEVENTDATA, notification};
    use crate::nt::status::{STATUS_NOT_FOUND, STATUS_PROPSET_NOT_FOUND};
    use crate::portcls::events::{self, Generated};

    /// The double of the kernel counts what a client is told.
    fn client(told: &mut u32) -> KSEVENTDATA {
        let object = core::ptr::from_mut(told) as usize;
        KSEVENTDATA { NotificationType: notification::EVENT_OBJECT, Object: object, Detail: 0, Reserved: 0 }
    }

    fn asked(verb: u32) -> events::Request {
        events::Request { node: Some(0), set: EVENT_SET, id: 1, verb }
    }

    fn generated(port: &Com<Port>, node: u32) -> Generated {
        Generated { port: port.as_raw() as usize, set: None, id: 1, pin: None, node: Some(node) }
    }

    fn enable(target: Target<'_>, request: &events::Request, data: &mut KSEVENTDATA) -> NTSTATUS {
        // SAFETY: the data outlives the event in each test.
        unsafe { events::request(target, request, data, core::ptr::null_mut()) }
    }

    /// A port whose handler knows its list of events.
    fn with_list() -> Com<Port> {
        let (port, _) = port(Behaviour::default());
        let mut list = core::ptr::null_mut();
        // SAFETY: a live port.
        let status = unsafe { slots::unknown::query_interface(port.as_raw(), &guids::IID_IPORTEVENTS, &mut list) };
        assert_eq!(status, STATUS_SUCCESS);
        // SAFETY: the test's own reference keeps the port.
        unsafe { slots::unknown::release(list) };
        PORT_EVENTS.set(list);
        port
    }

    #[test]
    fn come_when_they_are_generated_and_end_when_they_are_disabled() {
        let port = with_list();
        let (mut told, target) = (0, Target::Filter(&port));
        let mut data = client(&mut told);
        assert_eq!(enable(target, &asked(event_type::ENABLE), &mut data), STATUS_SUCCESS);
        assert_eq!([1, 0, 0].map(|node| events::generate(&generated(&port, node))), [0, 1, 1]);
        assert_eq!(events::disable(target, &data), STATUS_SUCCESS);
        assert_eq!((events::generate(&generated(&port, 0)), events::count(&port)), (0, 0));
        assert_eq!(events::disable(target, &data), STATUS_NOT_FOUND);
        assert_eq!((told, VERBS.take()), (2, vec![event_verb::ADD, event_verb::REMOVE]));
        port.shut_down();
    }

    #[test]
    fn for_one_time_come_once_and_are_still_there_to_be_disabled() {
        let port = with_list();
        let (mut told, target) = (0, Target::Filter(&port));
        let mut data = client(&mut told);
        assert_eq!(enable(target, &asked(event_type::ONESHOT), &mut data), STATUS_SUCCESS);
        assert_eq!([0, 0].map(|node| events::generate(&generated(&port, node))), [1, 0]);
        assert_eq!(events::disable(target, core::ptr::null()), STATUS_SUCCESS);
        assert_eq!((told, events::count(&port)), (1, 0));
        port.shut_down();
    }

    #[test]
    fn of_a_pin_end_with_it() {
        let port = with_list();
        let pin = render_pin(&port);
        let mut told = 0;
        let mut data = client(&mut told);
        assert_eq!(enable(Target::Pin(&pin), &asked(event_type::ENABLE), &mut data), STATUS_SUCCESS);
        assert_eq!(events::disable(Target::Filter(&port), &data), STATUS_NOT_FOUND, "another handle's");
        pin.close();
        assert_eq!((events::count(&port), VERBS.take()), (0, vec![event_verb::ADD, event_verb::REMOVE]));
        port.shut_down();
    }

    #[test]
    fn that_nobody_declared_are_not_found() {
        let port = with_list();
        let (mut told, target) = (0, Target::Filter(&port));
        let mut data = client(&mut told);
        let other = events::Request { id: 2, ..asked(event_type::ENABLE) };
        assert_eq!(enable(target, &other, &mut data), STATUS_NOT_FOUND);
        let elsewhere = events::Request { node: None, ..asked(event_type::ENABLE) };
        assert_eq!(enable(target, &elsewhere, &mut data), STATUS_PROPSET_NOT_FOUND);
        port.shut_down();
    }

    #[test]
    #[should_panic(expected = "rule 203")]
    fn that_are_accepted_and_put_nowhere_break_a_rule() {
        let (port, _) = port(Behaviour::default());
        // The port is bound when the test ends.
        let port = core::mem::ManuallyDrop::new(port);
        PORT_EVENTS.set(core::ptr::null_mut());
        let mut told = 0;
        let mut data = client(&mut told);
        enable(Target::Filter(&port), &asked(event_type::ENABLE), &mut data);
    }
}

/// A port with a miniport of this behaviour, and what its streams hear.
fn port(behaviour: Behaviour) -> (Com<Port>, &'static Heard) {
    let heard = leak(Heard::default());
    let port = Port::create();
    let miniport = Com::new(Miniport { port: AtomicPtr::default(), behaviour, heard });
    // SAFETY: the port's slot 3 is Init.
    let status = unsafe {
        let init: unsafe extern "win64" fn(PVOID, PVOID, PVOID, PVOID, PVOID, PVOID) -> NTSTATUS =
            core::mem::transmute(port.as_raw().cast::<*const *const ()>().read().add(3).read());
        let some = core::ptr::dangling_mut();
        init(port.as_raw(), some, some, miniport.as_raw(), core::ptr::null_mut(), core::ptr::null_mut())
    };
    assert_eq!(status, STATUS_SUCCESS);
    (port, heard)
}

fn render_pin(port: &Com<Port>) -> Box<Pin> {
    Pin::open(port, 0, &formats::music(guids::KSDATAFORMAT_SUBTYPE_DIRECTMUSIC)).unwrap()
}

fn wave_pin(port: &Com<Port>) -> Box<Pin> {
    Pin::open(port, 1, &formats::pcm(RATE, 2, 16)).unwrap()
}

fn note(delta: i64) -> Message<'static> {
    Message { delta, channel_group: 1, data: &[0x90, 60, 100], raw: false }
}

#[test]
fn a_miniport_comes_and_goes_without_leaving_anything() {
    let (port, _) = port(Behaviour::default());
    assert_eq!(port.filter().unwrap().pins.len(), 2);
    port.shut_down();
    assert_eq!(port.references(), 1);
}

#[test]
fn events_reach_the_stream_and_come_back() {
    let (port, heard) = port(Behaviour { prefetch: DONT_HOLD_FOR_SEQUENCING, keeps: false, fault: Fault::None });
    let mut pin = render_pin(&port);
    assert_eq!(pin.prefetch(), DONT_HOLD_FOR_SEQUENCING);
    pin.set_state(KsState::Run).unwrap();
    let long = Message { delta: 70, channel_group: 2, data: &[0xF0; 2500], raw: false };
    for message in [note(10), note(10), note(20), long] {
        pin.send(&message, 1000, || false).unwrap();
    }
    pin.flush();
    let events = heard.events.lock().unwrap();
    let shape: Vec<_> = events.iter().map(|(time, group, data, _)| (*time, *group, data.len())).collect();
    assert_eq!(shape, [(1010, 1, 3), (1010, 1, 3), (1020, 1, 3), (1070, 2, 1000), (1070, 2, 1000), (1070, 2, 500)]);
    assert_eq!(events[0].3, events[1].3, "the two of one time came as a chain");
    drop(events);
    pin.close();
    port.shut_down();
}

#[test]
fn held_events_are_delivered_by_the_dpc_their_prefetch_early() {
    let (port, heard) = port(Behaviour { prefetch: 100, keeps: false, fault: Fault::None });
    let mut pin = render_pin(&port);
    pin.set_state(KsState::Run).unwrap();
    for delta in [5000, 200, 300] {
        pin.send(&note(delta), 0, || false).unwrap();
    }
    let times = || heard.events.lock().unwrap().iter().map(|event| event.0).collect::<Vec<_>>();
    pin.deliver_until(99);
    assert_eq!(times(), []);
    pin.deliver_until(200);
    assert_eq!(times(), [200, 300]);
    // What is still held goes back to the pool.
    pin.set_state(KsState::Stop).unwrap();
    assert_eq!(times(), [200, 300]);
    pin.close();
    port.shut_down();
}

#[test]
fn a_pool_that_is_empty_makes_the_sender_wait() {
    let (port, _) = port(Behaviour { prefetch: DONT_HOLD_FOR_SEQUENCING, keeps: true, fault: Fault::None });
    let mut pin = render_pin(&port);
    pin.set_state(KsState::Run).unwrap();
    let sent = (0..).take_while(|delta| pin.send(&note(*delta), 0, || false).is_ok()).count();
    assert_eq!(pin.send(&note(0), 0, || false), Err(sent));
    pin.set_state(KsState::Stop).unwrap();
    pin.expect_returned(rules::CONSERVATION, 0, || ());
    assert!(pin.send(&note(0), 0, || false).is_ok());
    pin.close();
    port.shut_down();
}

#[test]
fn a_wave_pin_renders_frames_from_its_anchor_on() {
    let (port, heard) = port(Behaviour::default());
    let mut pin = wave_pin(&port);
    assert_eq!(pin.wave_format(), Some((RATE, 4)));
    pin.set_state(KsState::Run).unwrap();
    pin.sync_to_master(77).unwrap();
    let mut pcm = vec![0; 4800 + RENDER_GUARD_BYTES];
    pin.render(&mut pcm, 400);
    pin.render(&mut pcm[1600..], 800);
    assert!(pcm[..4800].iter().all(|&byte| byte == 0x11));
    assert_eq!((heard.rendered.load(Ordering::Relaxed), heard.sync.lock().unwrap().clone()), (1200, vec![77]));
    pin.close();
    port.shut_down();
}

#[test]
fn formats_and_instances_are_checked_before_the_miniport_is_asked() {
    let (port, _) = port(Behaviour::default());
    let refused = |id, format: &[u8]| Pin::open(&port, id, format).err();
    assert_eq!(refused(9, &[]), Some(STATUS_INVALID_PARAMETER));
    assert_eq!(refused(0, &[0; 10]), Some(STATUS_INVALID_PARAMETER));
    assert_eq!(refused(0, &formats::pcm(RATE, 2, 16)), Some(STATUS_NO_MATCH));
    let pin = render_pin(&port);
    let music = formats::music(guids::KSDATAFORMAT_SUBTYPE_DIRECTMUSIC);
    assert_eq!(refused(0, &music), Some(STATUS_INSUFFICIENT_RESOURCES));
    pin.close();
    render_pin(&port).close();
    port.shut_down();
}

#[test]
fn a_node_property_reaches_its_handler_by_the_size_protocol() {
    let (port, _) = port(Behaviour::default());
    let request =
        Request { node: Some(0), set: guids::KSPROPSETID_SYNTH, id: 2, verb: property_type::GET, instance: &[] };
    let ask = |request: &Request<'_>, room: usize| {
        let mut value = vec![0xEE; room];
        let Sent::Answered((status, length)) =
            property::send(Target::Filter(&port), request, &mut value, core::ptr::null_mut())
        else {
            panic!("without a packet nothing stays pending");
        };
        (status, length, value)
    };
    assert_eq!(ask(&request, 0), (STATUS_BUFFER_OVERFLOW, 8, vec![]));
    assert_eq!(ask(&request, 7).0, STATUS_BUFFER_TOO_SMALL);
    let (status, length, value) = ask(&request, 10);
    assert_eq!((status, length, value), (STATUS_SUCCESS, 8, vec![0, 0, 0, 0, 0, 0, 0, 0, 0xEE, 0xEE]));
    let set = Request { verb: property_type::SET, ..request };
    assert_eq!(ask(&set, 8).0, STATUS_INVALID_DEVICE_REQUEST);
    let nowhere = Request { node: Some(5), ..request };
    assert_eq!(ask(&nowhere, 8).0, STATUS_INVALID_PARAMETER);
    port.shut_down();
}

/// Miniports that break the contract are caught, with the number of the rule.
mod faults {
    use core::mem::ManuallyDrop;

    use super::*;

    /// A port that outlives the test, which ends in the middle of things.
    fn faulty(fault: Fault, keeps: bool) -> ManuallyDrop<Com<Port>> {
        ManuallyDrop::new(port(Behaviour { prefetch: DONT_HOLD_FOR_SEQUENCING, keeps, fault }).0)
    }

    #[test]
    #[should_panic(expected = "rule 32")]
    fn a_prefetch_that_is_not_written() {
        let _ = render_pin(&faulty(Fault::NoPrefetch, false));
    }

    #[test]
    #[should_panic(expected = "rule 33")]
    fn a_reference_that_a_failed_new_stream_keeps() {
        let music = formats::music(guids::KSDATAFORMAT_SUBTYPE_DIRECTMUSIC);
        let _ = Pin::open(&faulty(Fault::LeaksOnFailure, false), 0, &music);
    }

    #[test]
    #[should_panic(expected = "rule 7")]
    fn an_allocator_that_a_stream_never_releases() {
        render_pin(&faulty(Fault::LeaksAllocator, false)).close();
    }

    #[test]
    #[should_panic(expected = "rule 48")]
    fn events_that_do_not_come_back_in_stop() {
        let _ = render_pin(&faulty(Fault::KeepsInStop, true));
    }

    #[test]
    #[should_panic(expected = "rule 40")]
    fn events_that_a_destroyed_stream_still_has() {
        let mut pin = render_pin(&faulty(Fault::Loses, false));
        pin.set_state(KsState::Run).unwrap();
        pin.send(&note(0), 0, || false).unwrap();
        pin.flush();
        pin.close();
    }

    #[test]
    #[should_panic(expected = "rule 33")]
    fn a_stream_in_a_format_that_the_pin_has_not() {
        let _ = Pin::open(&faulty(Fault::TakesAnyFormat, false), 0, &formats::pcm(RATE, 2, 16));
    }

    #[test]
    #[should_panic(expected = "the last one was not written")]
    fn a_frame_that_render_forgets() {
        wave_pin(&faulty(Fault::RendersShort, false)).render(&mut [0; 400 + RENDER_GUARD_BYTES], 100);
    }

    #[test]
    #[should_panic(expected = "bytes behind them were written")]
    fn a_frame_too_many() {
        wave_pin(&faulty(Fault::RendersLong, false)).render(&mut [0; 400 + RENDER_GUARD_BYTES], 100);
    }

    #[test]
    #[should_panic(expected = "rule 7")]
    fn a_port_that_a_miniport_never_releases() {
        faulty(Fault::LeaksPort, false).shut_down();
    }
}

mod play {
    use guest_protocol::{Delivery, Pace};

    use super::*;
    use crate::agent::player::{Leave, Piece, PlayError, Played, play};

    fn record(delta: i64) -> Vec<u8> {
        let mut bytes = 3_u32.to_le_bytes().to_vec();
        bytes.extend(1_u32.to_le_bytes());
        bytes.extend(delta.to_le_bytes());
        bytes.extend([1, 0, 0, 0, 0x90, 60, 100, 0]);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    fn perform(behaviour: Behaviour, deltas: &[i64]) -> (Result<Played, PlayError>, &'static Heard) {
        let (port, heard) = port(behaviour);
        let (mut render, mut wave) = (render_pin(&port), wave_pin(&port));
        let events: Vec<u8> = deltas.iter().flat_map(|&delta| record(delta)).collect();
        let mut pcm = vec![0; 4800 * 4 + RENDER_GUARD_BYTES];
        let mut piece = Piece {
            events: &events,
            event_count: deltas.len() as u32,
            frames: 4800,
            pcm: &mut pcm,
            quantum: 480,
            pace: Pace::Lockstep,
            delivery: Delivery::InOrder,
        };
        let played = play(&mut render, &mut wave, &mut piece, Leave::Stopped, |_| (), || ());
        assert_eq!((render.state(), wave.state()), (KsState::Stop, KsState::Stop));
        render.close();
        wave.close();
        port.shut_down();
        (played, heard)
    }

    #[test]
    fn every_event_is_stamped_from_the_moment_that_the_wave_stream_is_anchored_to() {
        for prefetch in [DONT_HOLD_FOR_SEQUENCING, 0, 50_000] {
            let (played, heard) =
                perform(Behaviour { prefetch, keeps: false, fault: Fault::None }, &[0, 100_000, 999_999]);
            assert_eq!(played, Ok(Played { frames: 4800, events: 3 }));
            let start = heard.sync.lock().unwrap()[0];
            let times: Vec<i64> = heard.events.lock().unwrap().iter().map(|event| event.0 - start).collect();
            assert_eq!(times, [0, 100_000, 999_999]);
        }
    }

    #[test]
    fn records_that_do_not_ascend_or_do_not_count_are_refused_before_anything_sounds() {
        let (played, heard) = perform(Behaviour::default(), &[5, 4]);
        assert_eq!(played, Err(PlayError::Order { index: 1, time: 4, previous: 5 }));
        assert!(heard.sync.lock().unwrap().is_empty());
    }
}
