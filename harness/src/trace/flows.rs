//! The ways of events through a trace: from the guest's `PutMessage` over the batch on the ring to the wave buffer, and the frame in it, in which
//! each sounds.

use std::collections::{BTreeMap, VecDeque};

use card_trace::{Act, GuestAct, Queue, Record, events, wave_span};

/// Arrows by the numbers of the records that they go through.
#[derive(Debug, Default)]
pub(super) struct Flows {
    /// The arrows that begin at a record, or go through it.
    pub(super) through: BTreeMap<u64, Vec<u64>>,
    /// The events that sound in a wave buffer.
    pub(super) end: BTreeMap<u64, Vec<Sounding>>,
}

/// An event that sounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sounding {
    /// Its arrow.
    pub(super) flow: u64,
    /// The frame, on the card's sample clock, that its time is, as two wave buffers tell; a late event sounds at a later one.
    pub(super) frame: u64,
    /// The first bytes of its message; unused ones are zero.
    pub(super) data: [u8; 3],
}

/// An event that the card has taken.
struct Taken {
    time: i64,
    /// The record of its batch.
    batch: u64,
    flow: u64,
    data: [u8; 3],
}

/// Finds the way of each event that the guest has marked; of a batch without such events, that of its first one.
///
/// An event ends at the first wave buffer, returned later, that has frames at its time or after it. Marks and events belong together that have the
/// same time and the same first byte, in their order.
pub(super) fn flows(records: &[Record]) -> Flows {
    let mut flows = Flows::default();
    let mut marked: BTreeMap<(i64, u8), VecDeque<u64>> = BTreeMap::new();
    for record in records {
        if let Act::Guest(GuestAct::PutMessage { first, time, .. }) = record.act() {
            marked.entry((time, first)).or_default().push_back(record.number);
        }
    }
    let mut waiting: Vec<Taken> = Vec::new();
    let mut last: Option<(i64, u64, u64)> = None;
    for record in records {
        match record.act() {
            Act::ChainTaken { queue: Queue::MIDI_OUT, request, .. } => {
                let before = waiting.len();
                for event in events(request) {
                    let mut data = [0; 3];
                    data.iter_mut().zip(event.data).for_each(|(to, from)| *to = *from);
                    let of_guest = marked.get_mut(&(event.time, data[0])).and_then(VecDeque::pop_front);
                    let flow = match of_guest {
                        Some(number) => {
                            flows.through.entry(number).or_default().push(number);
                            number
                        }
                        None if waiting.len() == before => record.number,
                        None => continue,
                    };
                    waiting.push(Taken { time: event.time, batch: record.number, flow, data });
                }
            }
            Act::WaveReturned { header, .. } => {
                let Some(span) = wave_span(header) else { continue };
                // The buffer before this one had the frames from its time to this one's.
                if let Some((since, position, number)) = last.replace((span.master_time, span.position, record.number))
                {
                    waiting.retain(|event| {
                        let sounds = event.time < span.master_time && event.batch < number;
                        if sounds {
                            let frame = frame(event.time, (since, position), (span.master_time, span.position));
                            flows.through.entry(event.batch).or_default().push(event.flow);
                            let sounding = Sounding { flow: event.flow, frame, data: event.data };
                            flows.end.entry(number).or_default().push(sounding);
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

/// Returns the frame of a time between two pairs of time and frame.
fn frame(time: i64, a: (i64, u64), b: (i64, u64)) -> u64 {
    let (frames, span) = (u128::from(b.1.saturating_sub(a.1)), i128::from(b.0) - i128::from(a.0));
    let since = (i128::from(time) - i128::from(a.0)).max(0).unsigned_abs();
    let frames = since.saturating_mul(frames).checked_div(span.unsigned_abs()).unwrap_or(0);
    a.1.saturating_add(u64::try_from(frames).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use card_trace::{Head, Source, Writer};

    use super::*;
    use crate::trace::fixture::{batch, trace, wave};

    fn returned(writer: &Writer, position: u64, time: i64) {
        let head = Head::wave_returned(Queue::WAVE, 0, 32);
        writer.record_with(Source::CARD, head, &[&[0; 8], &wave(position, time)]);
    }

    fn taken(writer: &Writer, events: &[(i64, [u8; 3])]) {
        writer.record_with(Source::CARD, Head::chain_taken(Queue::MIDI_OUT, 3, 0, false), &[&batch(events)]);
    }

    #[test]
    fn an_arrow_leads_from_a_batch_to_the_buffer_that_its_event_sounds_in() {
        let trace = trace(|writer| {
            taken(writer, &[(150, [0x90, 60, 100]), (160, [0x80, 60, 0])]);
            returned(writer, 0, 0);
            returned(writer, 480, 100);
            returned(writer, 960, 200);
        });
        let numbers: Vec<u64> = trace.records.iter().map(|record| record.number).collect();
        let flows = flows(&trace.records);
        // Nothing tells whence the second event came.
        assert_eq!(flows.through, BTreeMap::from([(numbers[0], vec![numbers[0]])]));
        // It is known when the next one says where the one before has ended.
        let sounding = Sounding { flow: numbers[0], frame: 720, data: [0x90, 60, 100] };
        assert_eq!(flows.end, BTreeMap::from([(numbers[2], vec![sounding])]));
    }

    #[test]
    fn an_arrow_leads_from_each_marked_event_over_its_batch_to_its_frame() {
        let mut trace = trace(|writer| {
            taken(writer, &[(150, [0x90, 60, 100]), (150, [0x90, 64, 100]), (20, [0x80, 60, 0])]);
            returned(writer, 0, 0);
            returned(writer, 480, 100);
            returned(writer, 960, 200);
        });
        let batch = trace.records[0].number;
        let put = |number, first, time| {
            let mut record = Record::of_guest(0, &GuestAct::PutMessage { processor: 0, first, time });
            record.number = number;
            record
        };
        let marks = [put(1001, 0x90, 150), put(1002, 0x80, 20), put(1003, 0x90, 150), put(1004, 0x90, 151)];
        trace.records.splice(0..0, marks);
        let flows = flows(&trace.records);
        let ways: Vec<(u64, Vec<u64>)> = flows.through.into_iter().collect();
        // The last mark has reached no card, and its arrow leads nowhere.
        let expected = [(batch, vec![1002, 1001, 1003]), (1001, vec![1001]), (1002, vec![1002]), (1003, vec![1003])];
        assert_eq!(ways, expected);
        let frames: Vec<(u64, u64)> = flows.end.values().flatten().map(|event| (event.flow, event.frame)).collect();
        assert_eq!(frames, [(1002, 96), (1001, 720), (1003, 720)]);
    }
}
