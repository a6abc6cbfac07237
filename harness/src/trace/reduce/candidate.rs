//! The parts of a recording that can be left out, and the recording that the rest makes.

use std::rc::Rc;

use card_trace::{Act, Header, Queue, Record, RequestCode, TooLarge, copy};

use crate::trace::failure::is_of_the_transport;

/// Bytes of the header of a batch, and of an event in it.
const BATCH_HEADER: usize = 16;
const EVENT_HEADER: usize = 16;

/// Events begin at multiples of this in a batch.
const ALIGNMENT: usize = 8;

/// An event of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPart {
    /// The stream of its batch.
    pub stream: u32,
    /// Its time in 100 ns units of the master clock.
    pub time: i64,
    /// Its channel group; 0 means all.
    pub group: u16,
    flags: u16,
    /// Its message.
    pub data: Vec<u8>,
}

/// What a part is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartKind {
    /// A record that every replay needs.
    Fixed,
    /// A record.
    Record,
    /// An event of the batch in the record.
    Event(EventPart),
}

/// A part of a recording.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its number, which stays.
    pub id: u32,
    /// The record that it is, or is of.
    pub record: Rc<Record>,
    /// What it is.
    pub kind: PartKind,
}

impl Part {
    /// Returns the stream that it is of, if it is of one.
    #[must_use]
    pub fn stream(&self) -> Option<u32> {
        if let PartKind::Event(event) = &self.kind {
            return Some(event.stream);
        }
        let Act::ChainTaken { queue, request, .. } = self.record.act() else { return None };
        let payload = match queue {
            Queue::WAVE => request,
            Queue::CONTROL => {
                let code = card_trace::request_code(request)?;
                let of_stream = [
                    RequestCode::STREAM_OPEN,
                    RequestCode::STREAM_CLOSE,
                    RequestCode::STREAM_STATE,
                    RequestCode::CLOCK_SYNC,
                ];
                of_stream.contains(&code).then_some(())?;
                request.get(16..)?
            }
            _ => return None,
        };
        payload.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
    }
}

/// Takes a recording to parts: what the card was given, and none of what it did. Accesses to registers are parts where the failure is found at
/// one; a candidate without them then has no such error, for what was found at an access is no part.
#[must_use]
pub fn parts(records: &[Record], of_registers: bool) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let storms = records.iter().any(
        |record| matches!(record.act(), Act::DriverError { code, .. } if code == card_trace::Diagnosis::KICK_STORM.0),
    );
    let mut put = |record: &Rc<Record>, kind| {
        let id = parts.len() as u32;
        // Of frames that follow each other, the last says it all.
        let is_rendered = |record: &Record| matches!(record.act(), Act::Rendered { .. });
        if is_rendered(record) && parts.last().is_some_and(|last| is_rendered(&last.record)) {
            parts.pop();
        }
        parts.push(Part { id, record: Rc::clone(record), kind });
    };
    for record in records {
        let shared = Rc::new(record.clone());
        match record.act() {
            Act::Card(_)
            | Act::Memory { .. }
            | Act::Features { .. }
            | Act::Reset { .. }
            | Act::QueueStarted { .. }
            | Act::QueueStopped { .. }
            | Act::Disconnected => put(&shared, PartKind::Fixed),
            Act::ChainTaken { queue: Queue::MIDI_OUT, request, malformed: false, .. } => match events(request) {
                Some(events) => events.into_iter().for_each(|event| put(&shared, PartKind::Event(event))),
                None => put(&shared, PartKind::Record),
            },
            Act::RegisterWrite { .. } | Act::ConfigWrite { .. } | Act::RegisterRead { .. } if of_registers => {
                put(&shared, PartKind::Record);
            }
            Act::DriverError { code, .. } if of_registers && is_of_the_transport(code) => {}
            Act::Kicked { .. } if storms => put(&shared, PartKind::Record),
            Act::ChainTaken { .. }
            | Act::Rendered { .. }
            | Act::Skipped { .. }
            | Act::Command { .. }
            // It says how a chain is malformed.
            | Act::DriverError { .. } => put(&shared, PartKind::Record),
            _ => {}
        }
    }
    parts
}

/// Returns the events of a batch that is well-formed to its end, and holds some.
fn events(batch: &[u8]) -> Option<Vec<EventPart>> {
    let word = |at: usize| batch.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    let (stream, count, length) = (word(0)?, word(4)?, word(8)? as usize);
    let mut events = Vec::new();
    let mut at = BATCH_HEADER;
    for _ in 0..count {
        let header: &[u8; EVENT_HEADER] = batch.get(at..length)?.first_chunk()?;
        let [t0, t1, t2, t3, t4, t5, t6, t7, g0, g1, f0, f1, l0, l1, ..] = *header;
        let bytes = usize::from(u16::from_le_bytes([l0, l1]));
        let data = batch.get(at + EVENT_HEADER..)?.get(..bytes)?.to_vec();
        (!data.is_empty()).then_some(())?;
        events.push(EventPart {
            stream,
            time: i64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]),
            group: u16::from_le_bytes([g0, g1]),
            flags: u16::from_le_bytes([f0, f1]),
            data,
        });
        at = at.checked_add((EVENT_HEADER + bytes).next_multiple_of(ALIGNMENT))?;
    }
    (!events.is_empty()).then_some(events)
}

/// Returns the batch of these events; `sequence` is the sender's number of it.
fn batch(events: &[&EventPart], sequence: [u8; 4]) -> Vec<u8> {
    let mut bytes = vec![0; BATCH_HEADER];
    for event in events {
        bytes.extend(event.time.to_le_bytes());
        bytes.extend(event.group.to_le_bytes());
        bytes.extend(event.flags.to_le_bytes());
        bytes.extend((event.data.len() as u16).to_le_bytes());
        bytes.extend([0; 2]);
        bytes.extend(&event.data);
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
    }
    let stream = events.first().map_or(0, |event| event.stream);
    let words =
        [stream.to_le_bytes(), (events.len() as u32).to_le_bytes(), (bytes.len() as u32).to_le_bytes(), sequence];
    bytes.iter_mut().zip(words.as_flattened()).for_each(|(to, from)| *to = *from);
    bytes
}

/// Returns the records that parts make.
#[must_use]
pub fn records(parts: &[Part]) -> Vec<Record> {
    let mut records = Vec::new();
    for together in parts.chunk_by(|a, b| Rc::ptr_eq(&a.record, &b.record)) {
        let Some(first) = together.first() else { continue };
        let events: Vec<&EventPart> = together
            .iter()
            .filter_map(|part| if let PartKind::Event(event) = &part.kind { Some(event) } else { None })
            .collect();
        if events.is_empty() {
            records.push((*first.record).clone());
            continue;
        }
        let (_, _, payload) = first.record.raw();
        let sequence = payload.get(12..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
        records.extend(first.record.with_payload(batch(&events, sequence)));
    }
    records
}

/// Returns the trace that parts make, of the recording with this header.
///
/// # Errors
/// [`TooLarge`], which a part of a trace never is.
pub fn file(header: &Header, parts: &[Part]) -> Result<Vec<u8>, TooLarge> {
    copy(header, &records(parts))
}
