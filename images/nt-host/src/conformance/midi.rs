//! The probe of streams of bytes: an `IMiniportMidi` and its `IMiniportMidiStream`s.
//!
//! What the device made of the bytes is the harness's to judge; what is seen here is how the driver counts them, and that
//! it survives what a client and a shared interrupt line do.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use super::Figures;
use super::new_stream::short_of_memory;
use crate::contract::violation::{Violation, violation};
use crate::contract::{midi, rules};
use crate::portcls::com::abi::{KsState, data_flow};
use crate::portcls::com::guids;
use crate::portcls::com::object::Com;
use crate::portcls::kernel::deadline::Deadline;
use crate::portcls::kernel::{self, Edge};
use crate::portcls::ks::formats;
use crate::portcls::pin::Pin;
use crate::portcls::pin::unpack::Message;
use crate::portcls::port::Port;
use crate::portcls::services::interrupt_sync::{self, Storm};

/// How long a device may take for what the probe writes, 100 ns units: a cable that works takes a second for it.
const WRITE_LIMIT: i64 = 600_000_000;

/// Interrupts between two DPCs.
const STORM: u32 = 100_000;

/// Opens beyond what a pin could have: a descriptor that says more means that there is no limit.
const INSTANCES_MAX: u32 = 64;

/// How often streams are opened, run and closed.
const ROUNDS: u32 = 3;

/// Lengths of the messages that are written: around words, and more than a small queue holds.
const LENGTHS: [usize; 9] = [3, 4, 5, 7, 8, 9, 63, 64, 700];

/// Probes the streams of a filter. No pin of it is open.
pub(crate) fn run(port: &Com<Port>) -> Figures {
    let Some(filter) = port.filter() else { return Vec::new() };
    let format = formats::music(guids::KSDATAFORMAT_SUBTYPE_MIDI);
    let pins = |flow: u32| -> Vec<u32> {
        let pins = filter.pins.iter().enumerate().filter(|(_, pin)| pin.data_flow == flow && pin.max_filter > 0);
        let midi = |pin: &crate::portcls::ks::descriptor::Pin| {
            pin.carries(&guids::KSDATAFORMAT_TYPE_MUSIC, &guids::KSDATAFORMAT_SUBTYPE_MIDI)
        };
        pins.filter(|(_, pin)| midi(pin)).map(|(id, _)| id as u32).collect()
    };
    let (render, capture) = (pins(data_flow::IN), pins(data_flow::OUT));
    // A round that makes what a driver makes once.
    round(port, &render, &capture, &format);
    let before = kernel::pool();
    let mut written = 0;
    serve(port);
    for _ in 0..ROUNDS {
        written += round(port, &render, &capture, &format);
    }
    for pin in render.iter().chain(&capture) {
        short_of_memory(port, *pin, &format, midi::NEW_STREAM_FAILURE);
    }
    let storm = storm();
    let opened: u32 = render.iter().chain(&capture).map(|pin| limits(port, *pin, &format)).sum();
    let after = kernel::pool();
    if after != before {
        violation(
            "IMiniportMidiStream::Release",
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
    vec![
        ("bytes written", written),
        ("interrupts in a storm", storm.raised),
        ("of them claimed", storm.claimed),
        ("streams opened at the limits", opened.into()),
    ]
}

/// Opens the pins, writes, reads, and closes them. Returns how many bytes were written.
fn round(port: &Com<Port>, render: &[u32], capture: &[u32], format: &[u8]) -> u64 {
    let open = |pin: &u32| Pin::open(port, *pin, format).ok();
    let mut captures: Vec<Box<Pin>> = capture.iter().filter_map(open).collect();
    let mut written = 0;
    for pin in &mut captures {
        set_format(pin, format);
        if pin.set_state(KsState::Run).is_ok() {
            // With nothing there: another device on the line had something.
            pin.serve();
        }
    }
    for mut pin in render.iter().filter_map(open) {
        set_format(&pin, format);
        // What a client sends before RUN waits; STOP gives it up.
        let _ = pin.set_state(KsState::Pause);
        send(&pin, &[0xFE]);
        let _ = pin.set_state(KsState::Stop);
        if pin.set_state(KsState::Run).is_ok() {
            serve(port);
            written += write_all(&pin);
            serve(port);
        }
        pin.close();
    }
    for pin in &mut captures {
        pin.serve();
        pin.take_captured();
        for state in [KsState::Pause, KsState::Run, KsState::Stop] {
            let _ = pin.set_state(state);
        }
    }
    captures.into_iter().for_each(Pin::close);
    written
}

/// Writes messages of many lengths, and waits until the device has them. Nothing of it is audible.
fn write_all(pin: &Pin) -> u64 {
    let mut written = 0;
    for length in LENGTHS {
        let content = (0..length - 3).map(|at| (at & 0x7F) as u8);
        let message: Vec<u8> = [0xF0, 0x7D].into_iter().chain(content).chain([0xF7]).collect();
        written += send(pin, &message);
    }
    // Running status, and a message in two pieces, as a client of raw MIDI may write them.
    for piece in [&[0xBF, 0x77, 0][..], &[0x77, 1], &[0xF0, 0x7D], &[1, 2, 0xF7], &[0xFE]] {
        written += send(pin, piece);
    }
    let deadline = Deadline::after(WRITE_LIMIT);
    while pin.allocator().events_out() > 0 && !deadline.has_passed() {
        kernel::pause();
    }
    written
}

fn send(pin: &Pin, data: &[u8]) -> u64 {
    let deadline = Deadline::after(WRITE_LIMIT);
    let wait = || {
        kernel::pause();
        !deadline.has_passed()
    };
    let _ = pin.send(&Message { delta: 0, channel_group: 1, data, raw: true }, 1, wait);
    pin.flush();
    pin.deliver_until(i64::MAX);
    data.len() as u64
}

/// Sets a stream's own format, which ends where nothing is mapped (rule 314).
fn set_format(pin: &Pin, format: &[u8]) {
    let Some(edge) = Edge::new() else { return };
    let place = edge.place(format);
    rules::must_survive(midi::SET_FORMAT, || pin.set_own_format(place));
}

/// Requests service of the miniport and of all its streams (rule 312), which have nothing to do.
fn serve(port: &Com<Port>) {
    port.notify_all();
    kernel::flush_dpcs();
}

/// Raises a storm of interrupts between two DPCs.
fn storm() -> Storm {
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
    storm
}

/// Opens as many streams as a pin says. Returns how many.
fn limits(port: &Com<Port>, id: u32, format: &[u8]) -> u32 {
    let possible = port.instances(id).map_or(0, |count| count.possible.min(count.global_possible));
    if possible > INSTANCES_MAX {
        return 0;
    }
    let mut pins = Vec::new();
    for number in 1..=possible {
        match Pin::open(port, id, format) {
            Ok(pin) => pins.push(pin),
            Err(status) => violation(
                "IMiniportMidi::NewStream",
                Violation::new(
                    rules::INSTANCE_LIMITS,
                    format!(
                        "pin {id} can be opened {possible} times by its own word, and stream {number} fails with {status:#010x}"
                    ),
                    "count the streams of each pin down in the destructor, and say in the descriptor or by IPinCount what is possible",
                ),
            ),
        }
    }
    pins.into_iter().for_each(Pin::close);
    rules::INSTANCE_LIMITS.held();
    possible
}
