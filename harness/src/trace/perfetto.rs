//! A trace for Perfetto (ui.perfetto.dev): a track for each queue, for registers, interrupts and the card, counters of voices and frames,
//! and an arrow from each batch of events to the wave buffer that its first event sounds in.
//!
//! Source: perfetto.dev, "Writing trace data by hand" and the schema `protos/perfetto/trace`.

use std::collections::BTreeMap;

use card_trace::{Act, Detail, DeviceAct, Queue, Record, describe, events, queue_name, request_code, wave_span};

use super::protobuf::Message;
use super::read::Trace;

/// Fields of the schema, by message.
mod field {
    /// `Trace.packet`.
    pub(super) const PACKET: u32 = 1;
    /// `TracePacket`.
    pub(super) mod packet {
        /// `timestamp`.
        pub(in super::super) const TIMESTAMP: u32 = 8;
        /// `trusted_packet_sequence_id`.
        pub(in super::super) const SEQUENCE: u32 = 10;
        /// `track_event`.
        pub(in super::super) const TRACK_EVENT: u32 = 11;
        /// `interned_data`.
        pub(in super::super) const INTERNED: u32 = 12;
        /// `sequence_flags`.
        pub(in super::super) const SEQUENCE_FLAGS: u32 = 13;
        /// `track_descriptor`.
        pub(in super::super) const TRACK_DESCRIPTOR: u32 = 60;
    }
    /// `TrackDescriptor`.
    pub(super) mod track {
        /// `uuid`.
        pub(in super::super) const UUID: u32 = 1;
        /// `name`.
        pub(in super::super) const NAME: u32 = 2;
        /// `process`.
        pub(in super::super) const PROCESS: u32 = 3;
        /// `parent_uuid`.
        pub(in super::super) const PARENT: u32 = 5;
        /// `counter`.
        pub(in super::super) const COUNTER: u32 = 8;
        /// `child_ordering`.
        pub(in super::super) const CHILD_ORDERING: u32 = 11;
    }
    /// `TrackEvent`.
    pub(super) mod event {
        /// `debug_annotations`.
        pub(in super::super) const DEBUG_ANNOTATION: u32 = 4;
        /// `type`.
        pub(in super::super) const TYPE: u32 = 9;
        /// `name_iid`.
        pub(in super::super) const NAME_ID: u32 = 10;
        /// `track_uuid`.
        pub(in super::super) const TRACK: u32 = 11;
        /// `counter_value`.
        pub(in super::super) const COUNTER_VALUE: u32 = 30;
        /// `flow_ids`.
        pub(in super::super) const FLOWS: u32 = 47;
        /// `terminating_flow_ids`.
        pub(in super::super) const ENDING_FLOWS: u32 = 48;
    }
}

/// Values of `TrackEvent.Type`.
const SLICE_BEGIN: u64 = 1;
const SLICE_END: u64 = 2;
const INSTANT: u64 = 3;
const COUNTER: u64 = 4;

/// The one sequence of packets: its number, and its flags in the first packet and in the others.
const SEQUENCE: u64 = 1;
const STATE_CLEARED: u64 = 1;
const NEEDS_STATE: u64 = 2;

/// `TrackDescriptor.ChildTracksOrdering.CHRONOLOGICAL` would move tracks about; this keeps the order in which they are described.
const EXPLICIT_ORDER: u64 = 3;
const ORDER_RANK: u32 = 12;

/// Numbers of tracks. Those of queues follow.
const CARD: u64 = 1;
const ACTS: u64 = 2;
const REGISTERS: u64 = 3;
const INTERRUPTS: u64 = 4;
const VOICES: u64 = 5;
const FRAMES: u64 = 6;
const QUEUES: u64 = 16;

/// Returns the bytes of a trace for Perfetto.
#[must_use]
pub fn perfetto(trace: &Trace) -> Vec<u8> {
    let mut file = File::default();
    file.tracks(&trace.header.program, trace.header.process);
    let flows = flows(&trace.records);
    let mut open: BTreeMap<u16, u64> = BTreeMap::new();
    for record in &trace.records {
        file.record(record, &flows, &mut open);
    }
    file.bytes
}

/// The bytes so far, and the names that they know.
#[derive(Default)]
struct File {
    bytes: Vec<u8>,
    names: BTreeMap<String, u64>,
    begun: bool,
}

impl File {
    fn packet(&mut self, packet: Message) {
        let flags = if self.begun { NEEDS_STATE } else { STATE_CLEARED };
        self.begun = true;
        let packet = packet.number(field::packet::SEQUENCE, SEQUENCE).number(field::packet::SEQUENCE_FLAGS, flags);
        self.bytes.extend(Message::default().message(field::PACKET, &packet).into_bytes());
    }

    fn track(&mut self, descriptor: &Message) {
        self.packet(Message::default().message(field::packet::TRACK_DESCRIPTOR, descriptor));
    }

    fn tracks(&mut self, program: &str, process: u32) {
        const PID: u32 = 1;
        const PROCESS_NAME: u32 = 6;
        let process = Message::default().number(PID, process.into()).bytes(PROCESS_NAME, program.as_bytes());
        let card = Message::default()
            .number(field::track::UUID, CARD)
            .message(field::track::PROCESS, &process)
            .number(field::track::CHILD_ORDERING, EXPLICIT_ORDER);
        self.track(&card);
        let queues = Queue::ALL.map(|queue| (QUEUES + u64::from(queue.0), queue_name(queue)));
        let others = [(ACTS, "card"), (REGISTERS, "registers"), (INTERRUPTS, "interrupts")];
        let others = others.map(|(uuid, name)| (uuid, name.to_owned()));
        let mut rank = 0;
        for (uuid, name) in others.into_iter().chain(queues) {
            rank += 1;
            self.track(&child(uuid, &name, rank));
        }
        for (uuid, name) in [(VOICES, "voices"), (FRAMES, "frames rendered")] {
            rank += 1;
            self.track(&child(uuid, name, rank).message(field::track::COUNTER, &Message::default()));
        }
    }

    /// Returns the number of a name, and describes it if it is new.
    fn name(&mut self, name: String) -> (u64, Option<Message>) {
        if let Some(id) = self.names.get(&name) {
            return (*id, None);
        }
        const EVENT_NAMES: u32 = 2;
        let id = self.names.len() as u64 + 1;
        let entry = Message::default().number(1, id).bytes(2, name.as_bytes());
        self.names.insert(name, id);
        (id, Some(Message::default().message(EVENT_NAMES, &entry)))
    }

    fn event(&mut self, time: i64, event: &Message, interned: Option<&Message>) {
        let time = u64::try_from(time).unwrap_or(0);
        let mut packet =
            Message::default().number(field::packet::TIMESTAMP, time).message(field::packet::TRACK_EVENT, event);
        if let Some(interned) = interned {
            packet = packet.message(field::packet::INTERNED, interned);
        }
        self.packet(packet);
    }

    /// Adds a named event: the start of a slice, or an instant. `text` is shown when it is selected.
    fn named(&mut self, time: i64, kind: u64, track: u64, name: String, text: &str, flows: &[Message]) {
        const ANNOTATION_NAME: u32 = 10;
        const ANNOTATION_STRING: u32 = 6;
        let (id, interned) = self.name(name);
        let annotation = Message::default().bytes(ANNOTATION_NAME, b"record").bytes(ANNOTATION_STRING, text.as_bytes());
        let mut event = Message::default()
            .number(field::event::TYPE, kind)
            .number(field::event::TRACK, track)
            .number(field::event::NAME_ID, id)
            .message(field::event::DEBUG_ANNOTATION, &annotation);
        for flow in flows {
            event = event.joined(flow);
        }
        self.event(time, &event, interned.as_ref());
    }

    fn counter(&mut self, time: i64, track: u64, value: u64) {
        let event = Message::default()
            .number(field::event::TYPE, COUNTER)
            .number(field::event::TRACK, track)
            .number(field::event::COUNTER_VALUE, value);
        self.event(time, &event, None);
    }

    fn record(&mut self, record: &Record, flows: &Flows, open: &mut BTreeMap<u16, u64>) {
        let act = record.act();
        let text = || describe(&act, Detail::Full);
        let time = record.time;
        match act {
            Act::Clock { .. } | Act::StatusPage { .. } => {}
            Act::Rendered { frame, voices } => {
                self.counter(time, VOICES, voices.into());
                self.counter(time, FRAMES, u64::try_from(frame).unwrap_or(0));
            }
            Act::ChainTaken { queue, request, .. } => {
                let name = match (queue, request_code(request)) {
                    (Queue::CONTROL, Some(code)) => code.to_string(),
                    _ => queue_name(queue),
                };
                let arrow =
                    flows.begin.get(&record.number).map(|flow| Message::default().fixed(field::event::FLOWS, *flow));
                self.named(time, SLICE_BEGIN, QUEUES + u64::from(queue.0), name, &text(), arrow.as_slice());
                *open.entry(queue.0).or_default() += 1;
            }
            Act::ChainReturned { queue, .. } | Act::WaveReturned { queue, .. } => {
                let track = QUEUES + u64::from(queue.0);
                let arrows = flows.end.get(&record.number).map_or(&[][..], Vec::as_slice);
                let arrows: Vec<Message> =
                    arrows.iter().map(|flow| Message::default().fixed(field::event::ENDING_FLOWS, *flow)).collect();
                if matches!(act, Act::WaveReturned { .. }) {
                    self.named(time, INSTANT, track, "frames".into(), &text(), &arrows);
                }
                // A chain whose taking was overwritten has no slice to end.
                if let Some(count) = open.get_mut(&queue.0).filter(|count| **count > 0) {
                    *count -= 1;
                    let end =
                        Message::default().number(field::event::TYPE, SLICE_END).number(field::event::TRACK, track);
                    self.event(time, &end, None);
                }
            }
            Act::RegisterRead { .. }
            | Act::RegisterWrite { .. }
            | Act::ConfigRead { .. }
            | Act::ConfigWrite { .. }
            | Act::IdentityRead { .. }
            | Act::Device(DeviceAct::Register { .. }) => {
                let text = text();
                let name = text.split(" = ").next().unwrap_or_default().to_owned();
                self.named(time, INSTANT, REGISTERS, name, &text, &[]);
            }
            Act::Interrupt { queue, .. } => self.named(time, INSTANT, INTERRUPTS, queue_name(queue), &text(), &[]),
            Act::Device(DeviceAct::Interrupt { words }) => {
                self.named(time, INSTANT, INTERRUPTS, words.to_owned(), &text(), &[]);
            }
            Act::Kicked { queue, .. } => {
                self.named(time, INSTANT, QUEUES + u64::from(queue.0), "kick".into(), &text(), &[]);
            }
            _ => {
                let text = text();
                let name = match act {
                    Act::Mark { text } | Act::FaultStruck { text } => text.to_owned(),
                    _ => record.kind.name().unwrap_or("record").to_owned(),
                };
                self.named(time, INSTANT, ACTS, name, &text, &[]);
            }
        }
    }
}

fn child(uuid: u64, name: &str, rank: u64) -> Message {
    Message::default()
        .number(field::track::UUID, uuid)
        .number(field::track::PARENT, CARD)
        .bytes(field::track::NAME, name.as_bytes())
        .number(ORDER_RANK, rank)
}

/// Arrows by the numbers of the records that they begin and end at.
#[derive(Default)]
struct Flows {
    begin: BTreeMap<u64, u64>,
    end: BTreeMap<u64, Vec<u64>>,
}

/// Finds for each batch the first wave buffer, returned later, that has frames at the time of its first event or after it.
fn flows(records: &[Record]) -> Flows {
    let mut flows = Flows::default();
    let mut waiting: Vec<(i64, u64)> = Vec::new();
    let mut last: Option<(i64, u64)> = None;
    for record in records {
        match record.act() {
            Act::ChainTaken { queue: Queue::MIDI_OUT, request, .. } => {
                if let Some(event) = events(request).next() {
                    waiting.push((event.time, record.number));
                }
            }
            Act::WaveReturned { header, .. } => {
                let Some(span) = wave_span(header) else { continue };
                // The buffer before this one had the frames from its time to this one's.
                if let Some((_, number)) = last.replace((span.master_time, record.number)) {
                    waiting.retain(|(time, begun)| {
                        let sounds = *time < span.master_time && *begun < number;
                        if sounds {
                            flows.begin.insert(*begun, *begun);
                            flows.end.entry(number).or_default().push(*begun);
                        }
                        !sounds
                    });
                }
            }
            _ => {}
        }
    }
    flows
}

#[cfg(test)]
mod tests {
    use card_trace::{Head, Source};

    use super::*;
    use crate::trace::fixture::{batch, trace, wave};

    #[test]
    fn an_arrow_leads_from_a_batch_to_the_buffer_that_its_event_sounds_in() {
        let trace = trace(|writer| {
            let returned = |position, time| {
                let head = Head::wave_returned(Queue::WAVE, 0, 32);
                writer.record_with(Source::CARD, head, &[&[0; 8], &wave(position, time)]);
            };
            let batch = batch(&[(150, [0x90, 60, 100])]);
            writer.record_with(Source::CARD, Head::chain_taken(Queue::MIDI_OUT, 3, 0, false), &[&batch]);
            returned(0, 0);
            returned(480, 100);
            returned(960, 200);
        });
        let numbers: Vec<u64> = trace.records.iter().map(|record| record.number).collect();
        let flows = flows(&trace.records);
        assert_eq!(flows.begin.keys().copied().collect::<Vec<_>>(), [numbers[0]]);
        // It is known when the next one says where the one before has ended.
        assert_eq!(flows.end, BTreeMap::from([(numbers[2], vec![numbers[0]])]));
        assert!(!perfetto(&trace).is_empty());
    }
}
