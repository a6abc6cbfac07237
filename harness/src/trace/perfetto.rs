//! A trace for Perfetto (ui.perfetto.dev): a track for each queue, for registers, interrupts and the card, counters of voices and frames;
//! for each processor of a guest that marks what it does its service routines, deferred procedure calls, calls of `PutMessage` and IRQL; and
//! an arrow from each event that the guest hands to the driver, over its batch, to the frame at which it sounds.
//!
//! Source: perfetto.dev, "Writing trace data by hand" and the schema `protos/perfetto/trace`.

use std::collections::{BTreeMap, BTreeSet};

use card_trace::{Act, Detail, DeviceAct, GuestAct, Queue, Record, describe, queue_name, request_code};

use super::flows::{Flows, flows};
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
const SOUND: u64 = 7;
const GUEST: u64 = 8;
const POOL: u64 = 9;
const LANES: u64 = 10;
const QUEUES: u64 = 16;

/// The first track of a guest's processor 0; each processor has as many as [`Lane`] has values.
const PROCESSORS: u64 = 256;

/// The track of the voices in lane 0; others follow. Behind those of 256 processors.
const VOICE_LANES: u64 = 4096;

/// The tracks of a guest's processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    Irql,
    Isr,
    Dpc,
    Put,
}

impl Lane {
    const ALL: [Self; 4] = [Self::Irql, Self::Isr, Self::Dpc, Self::Put];

    const fn name(self) -> &'static str {
        match self {
            Self::Irql => "IRQL",
            Self::Isr => "service routines",
            Self::Dpc => "DPCs",
            Self::Put => "PutMessage",
        }
    }

    /// Returns the number of its track.
    fn track(self, processor: u8) -> u64 {
        PROCESSORS + u64::from(processor) * Self::ALL.len() as u64 + self as u64
    }
}

/// What is open on the tracks: slices whose end has not come.
#[derive(Default)]
struct Open {
    /// Chains by queue.
    chains: BTreeMap<u16, u64>,
    /// Slices of a guest's processor, by track.
    guest: BTreeMap<u64, u64>,
    /// Lanes in which a voice sounds.
    voices: BTreeSet<u16>,
}

/// Returns the bytes of a trace for Perfetto.
#[must_use]
pub fn perfetto(trace: &Trace) -> Vec<u8> {
    let mut file = File::default();
    file.tracks(&trace.header.program, trace.header.process);
    let guest = trace.records.iter().filter_map(|record| match record.act() {
        Act::Guest(act) => act.processor(),
        _ => None,
    });
    file.guest_tracks(&guest.collect());
    let lanes = trace.records.iter().filter_map(|record| match record.act() {
        Act::VoiceStarted(voice) => Some(voice.lane),
        _ => None,
    });
    file.voice_tracks(&lanes.collect());
    let flows = flows(&trace.records);
    let mut open = Open::default();
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
        let others =
            [(ACTS, "card"), (REGISTERS, "registers"), (INTERRUPTS, "interrupts"), (SOUND, "events that sound")];
        let others = others.map(|(uuid, name)| (uuid, name.to_owned()));
        let mut rank = 0;
        for (uuid, name) in others.into_iter().chain(queues) {
            rank += 1;
            self.track(&child(uuid, CARD, &name, rank));
        }
        for (uuid, name) in [(VOICES, "voices"), (FRAMES, "frames rendered")] {
            rank += 1;
            self.track(&child(uuid, CARD, name, rank).message(field::track::COUNTER, &Message::default()));
        }
    }

    /// Describes the tracks of a guest's processors, if it has any.
    fn guest_tracks(&mut self, processors: &BTreeSet<u8>) {
        if processors.is_empty() {
            return;
        }
        let guest = Message::default().number(field::track::UUID, GUEST).bytes(field::track::NAME, b"guest");
        self.track(&guest.number(field::track::CHILD_ORDERING, EXPLICIT_ORDER));
        let mut rank = 0;
        for processor in processors {
            for lane in Lane::ALL {
                rank += 1;
                let name = format!("processor {processor}: {}", lane.name());
                let track = child(lane.track(*processor), GUEST, &name, rank);
                let counter = Message::default();
                self.track(&if lane == Lane::Irql { track.message(field::track::COUNTER, &counter) } else { track });
            }
        }
        let pool = child(POOL, GUEST, "most bytes of pool", rank + 1);
        self.track(&pool.message(field::track::COUNTER, &Message::default()));
    }

    /// Describes the tracks of single voices, if there are any.
    fn voice_tracks(&mut self, lanes: &BTreeSet<u16>) {
        if lanes.is_empty() {
            return;
        }
        let group = child(LANES, CARD, "single voices", u64::from(u16::MAX));
        self.track(&group.number(field::track::CHILD_ORDERING, EXPLICIT_ORDER));
        for lane in lanes {
            let track = VOICE_LANES + u64::from(*lane);
            self.track(&child(track, LANES, &format!("voice {lane}"), u64::from(*lane) + 1));
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

    fn end(&mut self, time: i64, track: u64) {
        let end = Message::default().number(field::event::TYPE, SLICE_END).number(field::event::TRACK, track);
        self.event(time, &end, None);
    }

    fn guest(&mut self, record: &Record, act: GuestAct, flows: &Flows, open: &mut Open) {
        let (time, text) = (record.time, describe(&act.into(), Detail::Full));
        let (lane, begins, name) = match act {
            GuestAct::Marks(_) => return self.named(time, INSTANT, ACTS, "marks of the guest".into(), &text, &[]),
            GuestAct::Irql { processor, new, .. } => {
                return self.counter(time, Lane::Irql.track(processor), new.into());
            }
            GuestAct::PoolPeak { bytes, .. } => return self.counter(time, POOL, bytes),
            GuestAct::Isr { processor, begins, routine, .. } => {
                (Lane::Isr.track(processor), begins, format!("ISR {routine}"))
            }
            GuestAct::Dpc { processor, begins, routine } => {
                (Lane::Dpc.track(processor), begins, format!("DPC {routine}"))
            }
            GuestAct::PutMessage { processor, first, .. } => {
                let name = message_name([first, 0, 0]);
                return self.named(time, INSTANT, Lane::Put.track(processor), name, &text, &through(flows, record));
            }
            GuestAct::PutEnd { processor, .. } => {
                let track = Lane::Put.track(processor);
                return self.named(time, INSTANT, track, "PutMessage returns".into(), &text, &[]);
            }
        };
        let count = open.guest.entry(lane).or_default();
        if begins {
            *count += 1;
            self.named(time, SLICE_BEGIN, lane, name, &text, &[]);
        } else if *count > 0 {
            // A slice whose begin was overwritten has no end to show.
            *count -= 1;
            self.end(time, lane);
        }
    }

    fn record(&mut self, record: &Record, flows: &Flows, open: &mut Open) {
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
                let arrows = through(flows, record);
                self.named(time, SLICE_BEGIN, QUEUES + u64::from(queue.0), name, &text(), &arrows);
                *open.chains.entry(queue.0).or_default() += 1;
            }
            Act::ChainReturned { queue, .. } | Act::WaveReturned { queue, .. } => {
                let track = QUEUES + u64::from(queue.0);
                if matches!(act, Act::WaveReturned { .. }) {
                    self.named(time, INSTANT, track, "frames".into(), &text(), &[]);
                }
                for event in flows.end.get(&record.number).into_iter().flatten() {
                    let arrow = Message::default().fixed(field::event::ENDING_FLOWS, event.flow);
                    let text = format!("{} at frame {}", hex::encode(event.data), event.frame);
                    self.named(time, INSTANT, SOUND, message_name(event.data), &text, &[arrow]);
                }
                // A chain whose taking was overwritten has no slice to end.
                if let Some(count) = open.chains.get_mut(&queue.0).filter(|count| **count > 0) {
                    *count -= 1;
                    self.end(time, track);
                }
            }
            Act::Guest(act) => self.guest(record, act, flows, open),
            Act::VoiceStarted(voice) => {
                let track = VOICE_LANES + u64::from(voice.lane);
                // The voice before it was of another session.
                if !open.voices.insert(voice.lane) {
                    self.end(time, track);
                }
                let name = format!("note {}, channel {}, {}", voice.note, voice.channel + 1, voice.instrument_text());
                self.named(time, SLICE_BEGIN, track, name, &text(), &[]);
            }
            Act::VoiceEnded { lane, .. } => {
                if open.voices.remove(&lane) {
                    self.end(time, VOICE_LANES + u64::from(lane));
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

/// Returns the arrows that begin at a record, or go through it.
fn through(flows: &Flows, record: &Record) -> Vec<Message> {
    let numbers = flows.through.get(&record.number).into_iter().flatten();
    numbers.map(|flow| Message::default().fixed(field::event::FLOWS, *flow)).collect()
}

/// Returns what a message is called.
fn message_name(data: [u8; 3]) -> String {
    let [status, ..] = data;
    let name = match status >> 4 {
        0x8 => "note off",
        0x9 => "note on",
        0xa => "key pressure",
        0xb => "control change",
        0xc => "program change",
        0xd => "channel pressure",
        0xe => "pitch bend",
        0xf => return "system message".into(),
        _ => return "package".into(),
    };
    format!("{name}, channel {}", (status & 0xf) + 1)
}

fn child(uuid: u64, parent: u64, name: &str, rank: u64) -> Message {
    Message::default()
        .number(field::track::UUID, uuid)
        .number(field::track::PARENT, parent)
        .bytes(field::track::NAME, name.as_bytes())
        .number(ORDER_RANK, rank)
}

#[cfg(test)]
mod tests {
    use card_trace::{Head, Routine, Source, VoiceStart};

    use super::*;
    use crate::trace::fixture::{batch, trace, wave};

    /// A field of a message, as it stands in a file.
    #[derive(Debug)]
    enum Field<'b> {
        Number(u64),
        Bytes(&'b [u8]),
    }

    fn varint(bytes: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let (first, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            value |= u64::from(first & 0x7f) << shift;
            shift += 7;
            if first & 0x80 == 0 {
                return value;
            }
        }
    }

    /// Returns the fields of a message, each of which must be one of the schema's: its number and its wire type.
    fn fields<'b>(mut bytes: &'b [u8], schema: &[(u32, u64)]) -> Vec<(u32, Field<'b>)> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let (number, wire) = ((key >> 3) as u32, key & 7);
            assert!(schema.contains(&(number, wire)), "field {number} of wire type {wire} is not in {schema:?}");
            let field = match wire {
                0 => Field::Number(varint(&mut bytes)),
                1 => {
                    let (word, rest) = bytes.split_first_chunk::<8>().unwrap();
                    bytes = rest;
                    Field::Number(u64::from_le_bytes(*word))
                }
                2 => {
                    let length = varint(&mut bytes) as usize;
                    let (inner, rest) = bytes.split_at(length);
                    bytes = rest;
                    Field::Bytes(inner)
                }
                other => panic!("wire type {other}"),
            };
            found.push((number, field));
        }
        found
    }

    /// The fields of perfetto.dev's protos/perfetto/trace that are written: number and wire type.
    const PACKET: &[(u32, u64)] = &[(8, 0), (10, 0), (11, 2), (12, 2), (13, 0), (60, 2)];
    const TRACK: &[(u32, u64)] = &[(1, 0), (2, 2), (3, 2), (5, 0), (8, 2), (11, 0), (12, 0)];
    const EVENT: &[(u32, u64)] = &[(4, 2), (9, 0), (10, 0), (11, 0), (30, 0), (47, 1), (48, 1)];

    fn number(fields: &[(u32, Field<'_>)], wanted: u32) -> Option<u64> {
        fields.iter().find_map(|(number, field)| match field {
            Field::Number(value) if *number == wanted => Some(*value),
            _ => None,
        })
    }

    fn numbers(fields: &[(u32, Field<'_>)], wanted: u32) -> Vec<u64> {
        let of = |(number, field): &(u32, Field<'_>)| match field {
            Field::Number(value) if *number == wanted => Some(*value),
            _ => None,
        };
        fields.iter().filter_map(of).collect()
    }

    #[test]
    fn the_file_has_the_fields_of_the_schema_and_each_event_a_track_that_is_described() {
        let mut trace = trace(|writer| {
            let voice =
                VoiceStart { lane: 2, group: 0, channel: 0, note: 60, velocity: 100, instrument: 5, frame: 720 };
            writer.record_with(
                Source::CARD,
                Head::chain_taken(Queue::MIDI_OUT, 3, 0, false),
                &[&batch(&[(150, [0x90, 60, 100])])],
            );
            writer.record(Source::CARD, Head::chain_returned(Queue::MIDI_OUT, 3, 0));
            for (position, time) in [(0, 0), (480, 100), (960, 200)] {
                let head = Head::wave_returned(Queue::WAVE, 0, 32);
                writer.record_with(Source::CARD, head, &[&[0; 8], &wave(position, time)]);
            }
            writer.record_with(Source::CARD, voice.head(), &[&voice.payload()]);
            writer.record(Source::CARD, Head::voice_ended(2, 960));
            writer.record(Source::CARD, Head::rendered(960, 0));
        });
        let routine = Routine { place: 0x10, in_driver: true };
        let acts = [
            GuestAct::Irql { processor: 1, old: 0, new: 2 },
            GuestAct::Dpc { processor: 1, begins: false, routine },
            GuestAct::Dpc { processor: 1, begins: true, routine },
            GuestAct::PutMessage { processor: 1, first: 0x90, time: 150 },
            GuestAct::PutEnd { processor: 1, events: 1, status: 0 },
            GuestAct::Dpc { processor: 1, begins: false, routine },
            GuestAct::PoolPeak { processor: 1, bytes: 4096 },
        ];
        let guest = acts.iter().zip(5000..).map(|(act, number)| {
            let mut record = Record::of_guest(0, act);
            record.number = number;
            record
        });
        let guest: Vec<Record> = guest.collect();
        let put = guest[3].number;
        trace.records.splice(0..0, guest);
        let file = perfetto(&trace);

        let (mut tracks, mut depth) = (BTreeSet::new(), BTreeMap::<u64, i64>::new());
        let (mut begun, mut ended) = (Vec::new(), Vec::new());
        for (_, packet) in fields(&file, &[(1, 2)]) {
            let Field::Bytes(packet) = packet else { panic!("{packet:?}") };
            for (member, field) in fields(packet, PACKET) {
                match (member, field) {
                    (field::packet::TRACK_DESCRIPTOR, Field::Bytes(track)) => {
                        let track = fields(track, TRACK);
                        let parent = number(&track, field::track::PARENT);
                        assert!(parent.is_none_or(|parent| tracks.contains(&parent)), "{track:?}");
                        assert!(tracks.insert(number(&track, field::track::UUID).unwrap()), "{track:?}");
                    }
                    (field::packet::TRACK_EVENT, Field::Bytes(event)) => {
                        let event = fields(event, EVENT);
                        let track = number(&event, field::event::TRACK).unwrap();
                        assert!(tracks.contains(&track), "{event:?}");
                        let depth = depth.entry(track).or_default();
                        match number(&event, field::event::TYPE) {
                            Some(SLICE_BEGIN) => *depth += 1,
                            Some(SLICE_END) => *depth -= 1,
                            _ => {}
                        }
                        assert!(*depth >= 0, "{event:?} ends what has not begun");
                        begun.extend(numbers(&event, field::event::FLOWS).into_iter().map(|flow| (track, flow)));
                        ended.extend(numbers(&event, field::event::ENDING_FLOWS).into_iter().map(|flow| (track, flow)));
                    }
                    _ => {}
                }
            }
        }
        assert!(depth.values().all(|depth| *depth == 0), "{depth:?}");
        let of_queue = QUEUES + u64::from(Queue::MIDI_OUT.0);
        assert_eq!(begun, [(Lane::Put.track(1), put), (of_queue, put)]);
        assert_eq!(ended, [(SOUND, put)]);
        assert!(depth.contains_key(&(VOICE_LANES + 2)) && depth.contains_key(&Lane::Dpc.track(1)), "{depth:?}");
    }
}
