//! The first difference of two traces, by what they mean.
//!
//! Which queue is served first, how many events a batch holds, and how often either side notifies the other depends on the host. So each
//! lane is compared by itself: requests with their answers, events one by one, wave buffers, notices, registers, faults and errors.
//! Tags, descriptors, addresses and numbers of sessions, which a driver chooses, are left out, as is the master time of an anchor; times of events
//! count from the first event. Of a guest's marks the events for `PutMessage` are compared, and which routines of the driver have run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use card_trace::Queue;
use card_trace::{
    Act, Detail, DeviceAct, GuestAct, NoticeKind, Record, RequestCode, Source, describe, events, notice, request_code,
    wave_span,
};
use serde::Serialize;

/// What is compared by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lane {
    /// Requests and answers of the control queue.
    Requests,
    /// Events for the card.
    MidiOut,
    /// Captured events.
    MidiIn,
    /// Wave buffers.
    Wave,
    /// Notices.
    Notices,
    /// Registers.
    Registers,
    /// Resets, and rings that start.
    Rings,
    /// Injected faults.
    Faults,
    /// Errors of the driver.
    Errors,
    /// Memory that a device has read and written.
    Dma,
    /// MIDI bytes through a device.
    Midi,
    /// Interrupts. Two runs differ in them, a recording and its replay do not.
    Interrupts,
    /// Voices that started and ended. Two runs differ in where they were looked at, a recording and its replay do not.
    Voices,
    /// Events that the guest handed to the driver, where both traces have its marks.
    PutMessage,
    /// The service routines and deferred procedure calls of the driver that the guest has run, where both traces have its marks.
    Routines,
}

impl Lane {
    /// Every lane, in the order in which they are compared.
    pub const ALL: [Self; 15] = [
        Self::Rings,
        Self::Registers,
        Self::Requests,
        Self::MidiOut,
        Self::MidiIn,
        Self::Wave,
        Self::Notices,
        Self::Faults,
        Self::Errors,
        Self::Dma,
        Self::Midi,
        Self::Interrupts,
        Self::Voices,
        Self::PutMessage,
        Self::Routines,
    ];
}

/// What two traces are compared as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// Two runs: what a driver chooses, and what depends on the host's time, is no difference.
    Runs,
    /// A recording and its replay: answers have the same bytes, events the same times, and interrupts are the same.
    Replay,
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requests => "requests",
            Self::MidiOut => "events for the card",
            Self::MidiIn => "captured events",
            Self::Wave => "wave buffers",
            Self::Notices => "notices",
            Self::Registers => "registers",
            Self::Rings => "rings",
            Self::Faults => "injected faults",
            Self::Errors => "errors of the driver",
            Self::Dma => "memory accesses",
            Self::Midi => "MIDI bytes",
            Self::Interrupts => "interrupts",
            Self::Voices => "voices",
            Self::PutMessage => "events for PutMessage",
            Self::Routines => "routines of the driver",
        })
    }
}

/// The first difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The lane that differs first.
    pub lane: Lane,
    /// How many of its items are equal before.
    pub equal: usize,
    /// The last items that are equal.
    pub before: Vec<String>,
    /// The items of the first trace from there on; none when it ends there.
    pub left: Vec<String>,
    /// The items of the second.
    pub right: Vec<String>,
    /// The number of the record in the first trace, if there is one.
    pub left_number: Option<u64>,
    /// The number of the record in the second.
    pub right_number: Option<u64>,
    /// The lanes that differ too.
    pub also: Vec<Lane>,
}

struct Entry {
    lane: Lane,
    number: u64,
    text: String,
}

/// Finds the first difference of two runs; `context` is the number of items that are shown before and after it. `None` when the traces mean
/// the same.
#[must_use]
pub fn diff(left: &[Record], right: &[Record], context: usize) -> Option<Difference> {
    diff_as(Aim::Runs, left, right, context)
}

/// Finds the first difference of two traces that are compared as `aim` says.
#[must_use]
pub fn diff_as(aim: Aim, left: &[Record], right: &[Record], context: usize) -> Option<Difference> {
    let is_of_guest = |record: &Record| record.source == Source::GUEST;
    let guest = aim == Aim::Runs && left.iter().any(is_of_guest) && right.iter().any(is_of_guest);
    let (mut left, mut right) = (entries(aim, left), entries(aim, right));
    // Cards before version 1.2 of the format do not record voices.
    let has_voices = |all: &[Entry]| all.iter().any(|entry| entry.lane == Lane::Voices);
    if !has_voices(&left) {
        right.retain(|entry| entry.lane != Lane::Voices);
    }
    // A card before version 0.3 replays without the accesses.
    let has_registers = |all: &[Entry]| all.iter().any(|entry| entry.lane == Lane::Registers);
    if aim == Aim::Replay && !has_registers(&right) {
        left.retain(|entry| entry.lane != Lane::Registers);
    }
    if !guest {
        // A trace without marks says nothing about the guest.
        let of_card = |entry: &Entry| !matches!(entry.lane, Lane::PutMessage | Lane::Routines);
        left.retain(of_card);
        right.retain(of_card);
    }
    let mut found: Vec<Difference> =
        Lane::ALL.iter().filter_map(|lane| in_lane(*lane, &left, &right, context)).collect();
    // A trace that ends within a lane differs at its end.
    let first = found.iter().enumerate().min_by_key(|(_, difference)| difference.left_number.unwrap_or(u64::MAX))?.0;
    let mut difference = found.swap_remove(first);
    difference.also = found.iter().map(|other| other.lane).collect();
    difference.also.sort_unstable();
    Some(difference)
}

fn in_lane(lane: Lane, left: &[Entry], right: &[Entry], context: usize) -> Option<Difference> {
    let of = |all: &'_ [Entry]| -> Vec<(u64, String)> {
        all.iter().filter(|entry| entry.lane == lane).map(|entry| (entry.number, entry.text.clone())).collect()
    };
    let (left, right) = (of(left), of(right));
    let equal = left.iter().zip(&right).take_while(|(a, b)| a.1 == b.1).count();
    if equal == left.len() && equal == right.len() {
        return None;
    }
    let texts = |all: &[(u64, String)]| all.iter().map(|(_, text)| text.clone()).collect();
    let after = |all: &[(u64, String)]| texts(&all[equal..all.len().min(equal + 1 + context)]);
    Some(Difference {
        lane,
        equal,
        before: texts(&left[equal.saturating_sub(context)..equal]),
        left_number: left.get(equal).map(|(number, _)| *number),
        right_number: right.get(equal).map(|(number, _)| *number),
        left: after(&left),
        right: after(&right),
        also: Vec::new(),
    })
}

fn entries(aim: Aim, records: &[Record]) -> Vec<Entry> {
    let mut entries = Vec::new();
    // Times of a replay are those of the recording.
    let mut first_event = (aim == Aim::Replay).then_some(0);
    let mut asked = None;
    let mut lost = BTreeMap::<u32, u64>::new();
    // How often each runs, and which first, depends on the host.
    let mut routines = BTreeSet::new();
    for record in records {
        let number = record.number;
        let mut put = |lane, text| entries.push(Entry { lane, number, text });
        let act = record.act();
        match act {
            Act::ChainTaken { queue: Queue::CONTROL, request, malformed, .. } => {
                asked = request_code(request);
                put(Lane::Requests, request_text(request, malformed, &after_colon(&describe(&act, Detail::Names))));
            }
            Act::ChainReturned { queue: Queue::CONTROL, answer, .. } => {
                let status = after_colon(&describe(&act, Detail::Names));
                let status = status.split(", tag").next().unwrap_or_default();
                let bytes = match aim {
                    Aim::Replay if asked != Some(RequestCode::STATISTICS) => answer_hash(answer),
                    _ => String::new(),
                };
                put(Lane::Requests, format!("answer {} ({} bytes{bytes})", status, answer.len()));
            }
            Act::ChainTaken { queue: Queue::MIDI_OUT, request: batch, .. } => {
                each_event(batch, &mut first_event, |text| put(Lane::MidiOut, text));
            }
            Act::ChainReturned { queue: Queue::MIDI_IN, answer: batch, .. } if !batch.is_empty() => {
                for event in events(batch) {
                    put(
                        Lane::MidiIn,
                        format!("stream {} group {}: {}", event.stream, event.group, hex::encode(event.data)),
                    );
                }
            }
            Act::WaveReturned { header, hash, .. } => {
                if let Some(span) = wave_span(header) {
                    let text =
                        format!("{}, {} frames from {}, PCM {hash:016x}", span.status, span.frames, span.position);
                    put(Lane::Wave, text);
                }
            }
            Act::ChainReturned { queue: Queue::EVENT, answer, .. } if aim == Aim::Replay && !answer.is_empty() => {
                // How many losses one notice counts, and so their numbers, depends on when the card looked.
                match notice(answer) {
                    Some(notice) if notice.kind == NoticeKind::EVENT_LOST => {
                        let sum = lost.entry(notice.stream).or_default();
                        *sum = sum.saturating_add(notice.value);
                    }
                    Some(notice) => put(Lane::Notices, notice.to_string()),
                    None => put(Lane::Notices, format!("{} bytes", answer.len())),
                }
            }
            Act::ChainReturned { queue: Queue::EVENT, answer, .. } if !answer.is_empty() => {
                put(Lane::Notices, after_colon(&describe(&act, Detail::Names)));
            }
            Act::Interrupt { .. } if aim == Aim::Replay => put(Lane::Interrupts, describe(&act, Detail::Names)),
            Act::RegisterRead { .. } | Act::RegisterWrite { .. } | Act::ConfigRead { .. } | Act::ConfigWrite { .. }
                if !is_left_out(&act) && (aim == Aim::Runs || !is_counted(&act)) =>
            {
                put(Lane::Registers, describe(&act, Detail::Names));
            }
            Act::QueueStarted { queue, error, setup } => {
                let name = card_trace::queue_name(queue);
                put(Lane::Rings, format!("{name} starts with {} entries, error {error:#x}", setup.size));
            }
            Act::Reset { .. } | Act::Features { .. } => put(Lane::Rings, describe(&act, Detail::Names)),
            Act::FaultStruck { text } => put(Lane::Faults, text.to_owned()),
            Act::DriverError { .. } => put(Lane::Errors, describe(&act, Detail::Names)),
            Act::VoiceStarted(_) | Act::VoiceEnded { .. } if aim == Aim::Replay => {
                put(Lane::Voices, describe(&act, Detail::Names));
            }
            // When they sound is compared where the card takes them: the guest's own checks, which no card takes, come when they come.
            Act::Guest(GuestAct::PutMessage { first, .. }) => put(Lane::PutMessage, format!("{first:02x}...")),
            Act::Guest(GuestAct::Isr { routine, .. }) if routine.in_driver => {
                routines.insert(format!("ISR {routine}"));
            }
            Act::Guest(GuestAct::Dpc { routine, .. }) if routine.in_driver => {
                routines.insert(format!("DPC {routine}"));
            }
            Act::Device(device) => {
                if let Some((lane, text)) = lane_of(&device).zip(device.meaning()) {
                    put(lane, text);
                }
            }
            _ => {}
        }
    }
    let end = records.last().map_or(0, |record| record.number);
    let sums = lost.into_iter().map(|(stream, sum)| format!("{sum} events of stream {stream} lost"));
    entries.extend(sums.map(|text| Entry { lane: Lane::Notices, number: end, text }));
    entries.extend(routines.into_iter().map(|text| Entry { lane: Lane::Routines, number: end, text }));
    entries
}

/// Returns the lane of a device's act. When it interrupts depends on the host, as does its log.
const fn lane_of(act: &DeviceAct<'_>) -> Option<Lane> {
    match act {
        DeviceAct::Register { .. } => Some(Lane::Registers),
        DeviceAct::Reset { .. } => Some(Lane::Rings),
        DeviceAct::Dma { .. } => Some(Lane::Dma),
        DeviceAct::Midi { .. } => Some(Lane::Midi),
        DeviceAct::DriverError { .. } => Some(Lane::Errors),
        DeviceAct::Interrupt { .. } | DeviceAct::Log { .. } => None,
    }
}

/// Returns the hash of an answer's payload, which is behind its header.
fn answer_hash(answer: &[u8]) -> String {
    match answer.get(HEADER_BYTES..) {
        Some(payload) if !payload.is_empty() => format!(", hash {:016x}", card_trace::pcm_hash(payload)),
        _ => String::new(),
    }
}

fn after_colon(text: &str) -> String {
    text.split_once(": ").map_or(text, |(_, words)| words).to_owned()
}

/// Bytes of the header of a request.
const HEADER_BYTES: usize = 16;

/// Returns the members of a request's payload that are the driver's choice, or depend on the host's time.
fn chosen_bytes(code: RequestCode) -> Range<usize> {
    match code {
        // The number of the session.
        RequestCode::OPEN => 16..24,
        // The address.
        RequestCode::STATUS_PAGE => 0..8,
        // The master time.
        RequestCode::CLOCK_SYNC => 8..16,
        _ => 0..0,
    }
}

/// Describes a request without its tag and those members; `words` describe it with them.
fn request_text(request: &[u8], malformed: bool, words: &str) -> String {
    let code = request_code(request);
    let mut payload = request.get(HEADER_BYTES..).unwrap_or_default().to_vec();
    if let Some(chosen) = code.map(chosen_bytes).and_then(|range| payload.get_mut(range)) {
        chosen.fill(0);
    }
    let name = match code {
        None => "no request".into(),
        Some(code) if chosen_bytes(code).is_empty() => words.to_owned(),
        Some(code) => code.to_string(),
    };
    let bytes = match payload.len() {
        0 => String::new(),
        1..=SHOWN_MAX => format!(" {}", hex::encode(&payload)),
        length => format!(" {length} bytes, hash {:016x}", card_trace::pcm_hash(&payload)),
    };
    format!("{name}{bytes}{}", if malformed { ", malformed" } else { "" })
}

/// Most bytes of a payload that are shown and not hashed.
const SHOWN_MAX: usize = 32;

/// Registers whose accesses and values depend on the host's time, or on where a driver has put its rings.
const LEFT_OUT: [&str; 13] = [
    "CARD_TIME",
    "MASTER_CLOCK",
    "FRAME",
    "LATENCY_CLOCK",
    "ERROR.card_time",
    "ISR",
    "CAUSE",
    "kicks",
    "interrupts",
    "notify",
    "queue_desc",
    "queue_driver",
    "queue_device",
];

/// Registers that count while queues work, beside the accesses, and the identity block, which holds the counters: where such a read is recorded
/// between records of that work says nothing. Configuration space has capabilities that a machine keeps for itself.
const COUNTED: [&str; 8] = [
    "device configuration",
    "config_generation",
    "frames_rendered",
    "events",
    "notes_lost",
    "underruns",
    "wave_buffers",
    "STATE",
];

fn is_left_out(act: &Act<'_>) -> bool {
    is_named(act, &LEFT_OUT)
}

/// Returns whether a replay may read another value, though it does the same.
fn is_counted(act: &Act<'_>) -> bool {
    matches!(act, Act::ConfigRead { .. }) || is_named(act, &COUNTED)
}

/// Returns whether an access is to a register whose name begins with one of these.
fn is_named(act: &Act<'_>, starts: &[&str]) -> bool {
    let (Act::RegisterRead { offset, .. } | Act::RegisterWrite { offset, .. }) = *act else { return false };
    let name = card_trace::register_name(offset.into()).unwrap_or_default();
    starts.iter().any(|start| name.starts_with(start))
}

fn each_event(batch: &[u8], first: &mut Option<i64>, mut put: impl FnMut(String)) {
    for event in events(batch) {
        let since = event.time.saturating_sub(*first.get_or_insert(event.time));
        put(format!("at {since} stream {} group {}: {}", event.stream, event.group, hex::encode(event.data)));
    }
}

#[cfg(test)]
mod tests {
    use card_trace::{Head, Source, Writer};

    use super::*;
    use crate::trace::fixture::{batch, trace, wave};

    const NOTE: [u8; 3] = [0x90, 60, 100];

    fn returned(writer: &Writer, position: u64, hash: u64) {
        let head = Head::wave_returned(Queue::WAVE, 0, 32);
        writer.record_with(Source::CARD, head, &[&hash.to_le_bytes(), &wave(position, 0)]);
    }

    fn events(writer: &Writer, events: &[(i64, [u8; 3])]) {
        writer.record_with(Source::CARD, Head::chain_taken(Queue::MIDI_OUT, 3, 0, false), &[&batch(events)]);
    }

    #[test]
    fn pacing_batches_and_the_order_of_queues_are_no_difference() {
        let left = trace(|writer| {
            writer.record(Source::CARD, Head::kicked(Queue::MIDI_OUT, 1));
            events(writer, &[(100, NOTE), (200, [0x80, 60, 0])]);
            returned(writer, 0, 7);
        });
        let right = trace(|writer| {
            returned(writer, 0, 7);
            events(writer, &[(5100, NOTE)]);
            writer.record(Source::CARD, Head::interrupt(Queue::MIDI_OUT, true));
            events(writer, &[(5200, [0x80, 60, 0])]);
        });
        assert_eq!(diff(&left.records, &right.records, 3), None);
    }

    #[test]
    fn what_a_driver_chooses_in_a_request_is_no_difference_and_the_rest_is() {
        let request = |code: u32, tag: u64, payload: &[u8]| {
            let header = [&code.to_le_bytes()[..], &(payload.len() as u32).to_le_bytes(), &tag.to_le_bytes()].concat();
            request_text(&[&header, payload].concat(), false, "WORDS")
        };
        let sync = |time: i64, frame: i64| {
            [&[17, 0, 0, 0, 1, 0, 0, 0], &time.to_le_bytes()[..], &frame.to_le_bytes()].concat()
        };
        assert_eq!(request(0x13, 1, &sync(5, 0)), request(0x13, 2, &sync(6, 0)));
        assert_ne!(request(0x13, 1, &sync(5, 0)), request(0x13, 1, &sync(5, 1)));
        assert_eq!(request(0x06, 9, &[]), "WORDS");
        assert_eq!(request(0x12, 9, &[1, 0, 0, 0, 3, 0, 0, 0]), "WORDS 0100000003000000");
    }

    #[test]
    fn the_first_difference_has_its_context_and_the_other_lanes() {
        let left = trace(|writer| {
            events(writer, &[(0, NOTE), (10, NOTE)]);
            returned(writer, 0, 7);
            returned(writer, 480, 8);
        });
        let right = trace(|writer| {
            events(writer, &[(0, NOTE), (11, NOTE)]);
            returned(writer, 0, 7);
            returned(writer, 480, 9);
        });
        let found = diff(&left.records, &right.records, 1).unwrap();
        assert_eq!((found.lane, found.equal, found.also.as_slice()), (Lane::MidiOut, 1, &[Lane::Wave][..]));
        assert_eq!(found.before, ["at 0 stream 1 group 1: 903c64"]);
        assert_eq!(
            (found.left[0].as_str(), found.right[0].as_str()),
            ("at 10 stream 1 group 1: 903c64", "at 11 stream 1 group 1: 903c64")
        );
    }

    #[test]
    fn a_trace_that_ends_before_the_other_differs_at_its_end() {
        let left = trace(|writer| returned(writer, 0, 7));
        let right = trace(|writer| {
            returned(writer, 0, 7);
            returned(writer, 480, 8);
        });
        let found = diff(&left.records, &right.records, 3).unwrap();
        assert_eq!((found.left_number, found.left.len(), found.right.len()), (None, 0, 1));
    }

    #[test]
    fn marks_of_the_guest_are_compared_where_both_traces_have_them() {
        let plain = trace(|writer| events(writer, &[(10, NOTE)])).records;
        let with = |acts: &[GuestAct]| -> Vec<Record> {
            plain.iter().cloned().chain(acts.iter().map(|act| Record::of_guest(5, act))).collect()
        };
        let put = |first, time| GuestAct::PutMessage { processor: 0, first, time };
        let dpc = |place| GuestAct::Dpc {
            processor: 0,
            begins: true,
            routine: card_trace::Routine { place, in_driver: true },
        };
        let marked = with(&[put(0xf0, 0), put(0x90, 100), put(0x80, 150), dpc(16), dpc(32), dpc(16)]);
        assert_eq!(diff(&plain, &marked, 3), None);
        // When an event is due, and how often a routine runs, is no difference.
        assert_eq!(diff(&marked, &with(&[dpc(32), put(0xf0, 0), put(0x90, 7), put(0x80, 57), dpc(16)]), 3), None);
        let other = diff(&marked, &with(&[put(0xf0, 0), put(0x90, 7), put(0x81, 57), dpc(16), dpc(32)]), 3).unwrap();
        assert_eq!((other.lane, other.equal, other.right), (Lane::PutMessage, 2, vec!["81...".to_owned()]));
        let fewer = diff(&marked, &with(&[put(0xf0, 0), put(0x90, 7), put(0x80, 57), dpc(16)]), 3).unwrap();
        assert_eq!((fewer.lane, fewer.left), (Lane::Routines, vec!["DPC driver+0x20".to_owned()]));
    }
}
