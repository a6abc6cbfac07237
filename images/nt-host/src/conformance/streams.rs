//! The probe of streams: events of every shape, states out of turn, instance limits, storms of interrupts.
//!
//! What a stream did with an event is seen by when and how it comes back; what the device made of it is the harness's
//! to judge, by ear.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::Figures;
use super::new_stream::short_of_memory;
use crate::contract::note::note;
use crate::contract::rules::{self, Rule};
use crate::contract::violation::{Violation, violation};
use crate::nt::PVOID;
use crate::nt::status::{STATUS_INSUFFICIENT_RESOURCES, success};
use crate::portcls::com::abi::{DataFormat, KernelEvent, KsState, StreamType, data_flow};
use crate::portcls::com::guids::{self, GUID};
use crate::portcls::com::object::{Class, Com, Slot, unknown};
use crate::portcls::com::slots::{self, Foreign};
use crate::portcls::kernel;
use crate::portcls::ks::descriptor::Filter;
use crate::portcls::ks::formats;
use crate::portcls::pin::Pin;
use crate::portcls::pin::allocator::Allocator;
use crate::portcls::pin::clock::MasterClock;
use crate::portcls::pin::delivery::Batch;
use crate::portcls::pin::new_stream::NON_PAGED_POOL_NX;
use crate::portcls::pin::unpack::Fragment;
use crate::portcls::port::Port;
use crate::portcls::port::miniport_kind::MiniportKind;
use crate::portcls::services::interrupt_sync::{self, Storm};

/// How long a stream may take to give back what it holds in STOP. 100 ns units.
const LIMIT: i64 = 50_000_000;

/// An undefined controller on channel 16: not audible.
const SHORT: &[u8] = &[0xBF, 0x77, 0x00];

/// Universal non-commercial system-exclusive messages of 8, 9 and 12 bytes: not audible.
const EIGHT: &[u8] = &[0xF0, 0x7D, 0, 0, 0, 0, 0, 0xF7];
const NINE: &[u8] = &[0xF0, 0x7D, 0, 0, 0, 0, 0, 0, 0xF7];
const LONG: &[u8] = &[0xF0, 0x7D, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xF7];

/// Long past: as soon as possible.
const TIME: i64 = 1;

/// The channel group that events are for unless the probe is about groups.
const GROUP: u16 = 1;

/// Interrupts between two DPCs.
const STORM: u32 = 100_000;

/// State changes against which events are put from a DPC.
const CONCURRENT_CHANGES: u32 = 50;

/// Clock ticks for which events are put against one state change: many times what it takes. A device that is slow to take them, on
/// a busy host, would keep its driver at `DISPATCH_LEVEL` without an end.
const CONCURRENT_TICKS: u64 = 100;

/// Opens beyond what a pin could have: a descriptor that says more means that there is no limit.
const INSTANCES_MAX: u32 = 64;

/// A music pin factory that events are sent to, and a format that it carries.
struct MusicPin {
    id: u32,
    format: Vec<u8>,
}

/// Returns the music pins of a filter that clients can open, once for each format that they carry.
fn music_pins(filter: &Filter, flow: u32) -> Vec<MusicPin> {
    let subs = [guids::KSDATAFORMAT_SUBTYPE_MIDI, guids::KSDATAFORMAT_SUBTYPE_DIRECTMUSIC];
    let pins = filter.pins.iter().enumerate().filter(|(_, pin)| pin.data_flow == flow && pin.max_filter > 0);
    pins.flat_map(|(id, pin)| {
        let carried = subs.into_iter().filter(|sub| pin.can_carry(&guids::KSDATAFORMAT_TYPE_MUSIC, sub));
        carried.map(move |sub| MusicPin { id: id as u32, format: formats::music(sub) })
    })
    .collect()
}

/// Returns whether a filter has a pin that plays or captures music.
pub(crate) fn has_music_pin(port: &Com<Port>) -> bool {
    port.filter().is_some_and(|filter| {
        [data_flow::IN, data_flow::OUT].into_iter().any(|flow| !music_pins(&filter, flow).is_empty())
    })
}

/// Opens each music pin of a filter, runs it, plays an event where it renders, stops and closes it: what is broken
/// meanwhile breaks `rule`. Returns how many of them opened and ran.
pub(crate) fn play_once(port: &Com<Port>, rule: &'static Rule) -> u32 {
    let Some(filter) = port.filter() else { return 0 };
    let mut ran = 0;
    for music_pin in [data_flow::IN, data_flow::OUT].into_iter().flat_map(|flow| music_pins(&filter, flow)) {
        let Some(mut pin) = open(port, &music_pin) else { continue };
        if pin.set_state(KsState::Run).is_ok() {
            ran += 1;
            if pin.is_render() {
                put(&pin, fill(&pin, SHORT, GROUP), 1);
            }
        }
        stop(&mut pin, rule);
        pin.close();
    }
    ran
}

/// Probes the streams of a filter. No pin of it is open.
pub(crate) fn run(port: &Com<Port>) -> Figures {
    if port.miniport_kind() == Some(MiniportKind::Midi) {
        return super::midi::run(port);
    }
    let Some(filter) = port.filter() else { return Vec::new() };
    let (render, capture) = (music_pins(&filter, data_flow::IN), music_pins(&filter, data_flow::OUT));
    let mut figures = Vec::new();
    let before = kernel::pool();
    for music_pin in &render {
        outer(port, music_pin);
        unstopped(port, music_pin);
        shapes(port, music_pin);
        channel_groups(port, music_pin);
    }
    for (id, _) in filter.pins.iter().enumerate().filter(|(_, pin)| !pin.flows_in() && pin.max_filter > 0) {
        beyond_range(port, id as u32);
    }
    if rules::NEW_STREAM_FAILURE.count() == 0 {
        // No pin of the filter has a format that the miniport alone could refuse.
        for music_pin in render.iter().chain(&capture) {
            short_of_memory(port, music_pin.id, &music_pin.format, rules::NEW_STREAM_FAILURE);
        }
    }
    apart(port, &render);
    if let Some(music_pin) = render.first() {
        let storm = storm(port, music_pin);
        figures.push(("interrupts in a storm", storm.raised));
        figures.push(("of them claimed", storm.claimed));
        figures.push(("events put against state changes", concurrent(port, music_pin)));
    }
    let mut opened = 0;
    for music_pin in render.iter().chain(&capture) {
        opened += limits(port, music_pin);
    }
    figures.push(("streams opened at the limits", opened.into()));
    let after = kernel::pool();
    if after != before {
        violation(
            "IMXF::Release",
            Violation::new(
                rules::INSTANCE_LIMITS,
                format!(
                    "opening and closing streams leaves {} pool allocations of {} bytes behind",
                    after.0 as i64 - before.0 as i64,
                    after.1 as i64 - before.1 as i64
                ),
                "free in the stream's destructor what its constructor allocated",
            ),
        );
    }
    figures
}

fn open(port: &Com<Port>, music_pin: &MusicPin) -> Option<Box<Pin>> {
    Pin::open(port, music_pin.id, &music_pin.format).ok()
}

fn fill(pin: &Pin, data: &[u8], group: u16) -> *mut KernelEvent {
    let fragment = Fragment { flags: 0, data };
    pin.allocator().fill(&fragment, TIME, group).unwrap_or_else(|| pin.allocator().exhausted())
}

fn put(pin: &Pin, event: *mut KernelEvent, count: usize) {
    pin.put(Batch { first: event, count });
}

/// Stops a stream, which must then give everything back.
fn stop(pin: &mut Pin, rule: &'static Rule) {
    let _ = pin.set_state(KsState::Stop);
    pin.expect_returned(rule, LIMIT, kernel::pause);
    pin.allocator().check();
    rule.held();
}

/// Links events into a chain.
fn chain(events: &[*mut KernelEvent]) -> *mut KernelEvent {
    for pair in events.windows(2) {
        // SAFETY: events of the port's, out of the pool and not put yet.
        unsafe { (*pair[0]).next = pair[1] };
    }
    events[0]
}

/// Sends events without data, at the inline boundary, in chains and packages, held and played.
fn shapes(port: &Com<Port>, music_pin: &MusicPin) {
    let Some(mut pin) = open(port, music_pin) else { return };
    for state in [KsState::Pause, KsState::Run] {
        let try_out = |pin: &mut Pin, rule: &'static Rule, send: &dyn Fn(&Pin)| {
            if pin.set_state(state).is_ok() {
                rules::must_survive(rule, || send(pin));
            }
            stop(pin, rule);
        };
        try_out(&mut pin, rules::INLINE_BOUNDARY, &|pin| {
            for data in [&SHORT[..1], SHORT, EIGHT, NINE, LONG] {
                put(pin, fill(pin, data, GROUP), 1);
            }
        });
        try_out(&mut pin, rules::ODD_EVENTS, &|pin| {
            put(pin, fill(pin, &[], GROUP), 1);
            put(pin, chain(&[fill(pin, SHORT, GROUP), fill(pin, &[], GROUP), fill(pin, LONG, GROUP)]), 3);
        });
        try_out(&mut pin, rules::CHAINS_AND_PACKAGES, &|pin| {
            for length in [1, 2, 100] {
                let events: Vec<_> = (0..length).map(|_| fill(pin, SHORT, GROUP)).collect();
                put(pin, chain(&events), length);
            }
            let wrap =
                |children| pin.allocator().wrap(children, TIME, GROUP).unwrap_or_else(|| pin.allocator().exhausted());
            let inner = wrap(chain(&[fill(pin, SHORT, GROUP), fill(pin, LONG, GROUP)]));
            let nested = wrap(chain(&[fill(pin, SHORT, GROUP), inner, fill(pin, NINE, GROUP)]));
            put(pin, chain(&[fill(pin, SHORT, GROUP), nested, fill(pin, SHORT, GROUP)]), 8);
        });
    }
    pin.close();
}

/// Groups that are there, and groups that are not.
fn channel_groups(port: &Com<Port>, music_pin: &MusicPin) {
    let Some(mut pin) = open(port, music_pin) else { return };
    if pin.set_state(KsState::Run).is_ok() {
        rules::must_survive(rules::CHANNEL_GROUPS, || {
            for group in [0, 1, 2, 16, 17, 1000, 1001, u16::MAX] {
                put(&pin, fill(&pin, SHORT, group), 1);
                put(&pin, fill(&pin, LONG, group), 1);
            }
        });
    }
    stop(&mut pin, rules::CHANNEL_GROUPS);
    pin.close();
}

/// Releases a stream while it holds something.
fn unstopped(port: &Com<Port>, music_pin: &MusicPin) {
    let Some(mut pin) = open(port, music_pin) else { return };
    let _ = pin.set_state(KsState::Pause);
    for data in [SHORT, LONG] {
        put(&pin, fill(&pin, data, GROUP), 1);
    }
    pin.abandon();
}

/// Opens two streams at a time, each with an allocator of its own.
fn apart(port: &Com<Port>, music_pins: &[MusicPin]) {
    let (Some(one), Some(other)) = (music_pins.first(), music_pins.last()) else { return };
    let (Some(mut first), Some(mut second)) = (open(port, one), open(port, other)) else { return };
    for state in [KsState::Pause, KsState::Run] {
        let _ = (first.set_state(state), second.set_state(state));
        for _ in 0..20 {
            for pin in [&first, &second] {
                put(pin, fill(pin, SHORT, GROUP), 1);
                put(pin, fill(pin, LONG, GROUP), 1);
            }
        }
        stop(&mut first, rules::STREAMS_APART);
        stop(&mut second, rules::STREAMS_APART);
    }
    second.close();
    first.close();
}

/// Raises a storm of interrupts between two DPCs, with a stream that has something to do.
fn storm(port: &Com<Port>, music_pin: &MusicPin) -> Storm {
    let Some(mut pin) = open(port, music_pin) else { return Storm::default() };
    let _ = pin.set_state(KsState::Run);
    put(&pin, fill(&pin, SHORT, GROUP), 1);
    let storm = rules::must_survive(rules::INTERRUPT_STORM, || interrupt_sync::storm(STORM));
    if storm.raised > 0 && storm.claimed == storm.raised {
        violation(
            "IInterruptSync",
            Violation::new(
                rules::INTERRUPT_NOT_OURS,
                format!(
                    "the service routines claimed all of {} interrupts in a row, which no device raised",
                    storm.raised
                ),
                "return STATUS_UNSUCCESSFUL when the device's status shows nothing",
            ),
        );
    }
    put(&pin, fill(&pin, SHORT, GROUP), 1);
    stop(&mut pin, rules::INTERRUPT_STORM);
    pin.close();
    storm
}

/// Puts events from a DPC against `SetState` from the main thread (rule 49). Returns how many were put while a state
/// was set.
///
/// The DPC comes at every moment at which `SetState` lets one, so that no two of its steps belong together that it may
/// not be interrupted between. Each `SetState(STOP)` is judged for itself: what it leaves, a later RUN would hide.
fn concurrent(port: &Com<Port>, music_pin: &MusicPin) -> u64 {
    let Some(mut pin) = open(port, music_pin) else { return 0 };
    let (putting, count) = (AtomicBool::new(false), AtomicU64::new(0));
    let begun = AtomicU64::new(0);
    let (stream, allocator) = (pin.minor_target(), pin.allocator().clone());
    let put_some = || {
        for data in [SHORT, LONG] {
            let in_time = kernel::ticks() - begun.load(Ordering::Relaxed) < CONCURRENT_TICKS;
            if !putting.load(Ordering::Relaxed) || !in_time {
                return;
            }
            if let Some(event) = allocator.fill(&Fragment { flags: 0, data }, TIME, GROUP) {
                // SAFETY: the stream is open for as long as the DPCs come.
                unsafe { slots::put_message_at_dispatch(stream, event) };
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    kernel::with_interruptions(&put_some, || {
        for _ in 0..CONCURRENT_CHANGES {
            for state in [KsState::Run, KsState::Stop] {
                begun.store(kernel::ticks(), Ordering::Relaxed);
                putting.store(true, Ordering::Relaxed);
                let _ = pin.set_state(state);
                putting.store(false, Ordering::Relaxed);
            }
            stop(&mut pin, rules::CONCURRENT_STATES);
        }
    });
    drop(allocator);
    pin.close();
    count.into_inner()
}

/// Opens as many streams as the pin says, and no more.
fn limits(port: &Com<Port>, music_pin: &MusicPin) -> u32 {
    let Some(possible) = port.instances(music_pin.id).map(|count| count.possible.min(count.global_possible)) else {
        return 0;
    };
    if possible > INSTANCES_MAX {
        return 0;
    }
    let mut pins = Vec::new();
    for number in 0..possible {
        match Pin::open(port, music_pin.id, &music_pin.format) {
            Ok(pin) => pins.push(pin),
            // A pin that may share a limit with others, or that this device has not, says so by IPinCount.
            Err(status) => broken_limit(format!(
                "pin {} can be opened {possible} times by its own word, and stream {} fails with {status:#010x}",
                music_pin.id,
                number + 1
            )),
        }
    }
    match Pin::open(port, music_pin.id, &music_pin.format) {
        Err(STATUS_INSUFFICIENT_RESOURCES) => {}
        Err(_) => {}
        Ok(_) => broken_limit(format!("pin {} opens more often than {possible} times", music_pin.id)),
    }
    pins.into_iter().for_each(Pin::close);
    if possible > 0 {
        match Pin::open(port, music_pin.id, &music_pin.format) {
            Ok(pin) => pin.close(),
            Err(status) => broken_limit(format!(
                "after all streams of pin {} were closed the next one fails with {status:#010x}",
                music_pin.id
            )),
        }
        rules::INSTANCE_LIMITS.held();
    }
    possible + 1
}

fn broken_limit(what: alloc::string::String) {
    violation(
        "IMiniportDMus::NewStream",
        Violation::new(
            rules::INSTANCE_LIMITS,
            what,
            "count the streams of each pin, if at all, in NewStream and in the destructor; the port itself refuses more than the descriptor (or IPinCount) says",
        ),
    );
}

/// Calls `NewStream` with an outer object, which no port passes. Returns the stream if it makes one.
fn direct(port: &Com<Port>, music_pin: &MusicPin, outer: PVOID) -> Option<Foreign> {
    let kind = if port.filter()?.pins[music_pin.id as usize].flows_in() {
        StreamType::MidiRender
    } else {
        StreamType::MidiCapture
    };
    let (allocator, clock) = (Allocator::create(), MasterClock::create());
    let miniport = port.miniport()?;
    let (mut stream, mut group) = (core::ptr::null_mut(), core::ptr::null_mut());
    let mut prefetch = 0;
    let copy = formats::aligned(&music_pin.format);
    // SAFETY: every pointer lives for the call.
    let status = unsafe {
        slots::miniport_dmus::new_stream(
            miniport.as_raw(),
            &raw mut stream,
            outer,
            NON_PAGED_POOL_NX,
            music_pin.id,
            kind as i32,
            copy.as_ptr().cast::<DataFormat>(),
            &raw mut group,
            allocator.as_raw(),
            clock.as_raw(),
            &raw mut prefetch,
        )
    };
    if success(status) && !group.is_null() {
        // SAFETY: the reference is ours.
        drop(unsafe { Foreign::from_owned(group) });
    }
    // SAFETY: the reference is ours.
    (success(status) && !stream.is_null()).then(|| unsafe { Foreign::from_owned(stream) })
}

/// Asks a wave pin for a rate beyond its data range, which only the miniport can refuse (rule 33).
fn beyond_range(port: &Com<Port>, wave_pin: u32) {
    let Some(filter) = port.filter() else { return };
    for format in filter.pins[wave_pin as usize].ranges.iter().filter_map(formats::beyond_rate) {
        let _ = rules::must_survive(rules::NEW_STREAM_FAILURE, || Pin::open(port, wave_pin, &format));
    }
}

/// An outer object for aggregation, which answers `IUnknown` and counts.
struct Outer;

impl Class for Outer {
    const NAME: &'static str = "IUnknown (outer)";
    const INTERFACES: &'static [GUID] = &[];

    fn vtable() -> &'static [Slot] {
        static VTABLE: [Slot; 3] = unknown::<Outer>();
        &VTABLE
    }
}

/// Checks that an outer object is aggregated with, or refused (rule 37).
fn outer(port: &Com<Port>, music_pin: &MusicPin) {
    let outer = Com::new(Outer);
    let before = outer.references();
    let made = rules::must_survive(rules::OUTER_UNKNOWN, || direct(port, music_pin, outer.as_raw()));
    if let Some(stream) = made {
        // An aggregated object's own interfaces count on the outer one.
        // SAFETY: the stream is held.
        let counted = unsafe {
            slots::unknown::add_ref(stream.as_raw());
            let during = outer.references();
            slots::unknown::release(stream.as_raw());
            during
        };
        if counted <= before {
            note(
                rules::OUTER_UNKNOWN,
                "IMiniportDMus::NewStream",
                "it makes a stream for an outer object, and AddRef on the stream does not count on the outer object",
            );
        }
    }
    if outer.references() != before {
        note(
            rules::OUTER_UNKNOWN,
            "IMiniportDMus::NewStream",
            "references to the outer object are left when the stream is gone: an aggregated object holds none",
        );
    }
}
