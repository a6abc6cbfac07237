//! The records of a DirectMusic buffer: `DMUS_EVENTHEADER` (dmusbuff.h), packed to 4 bytes, and the message, padded so
//! that the next record begins at a multiple of 8.

use super::event::{MidiEvent, TICKS_A_SECOND};

/// `sizeof(DMUS_EVENTHEADER)`: `cbEvent`, `dwChannelGroup`, `rtDelta`, `dwFlags`.
pub const EVENT_HEADER_BYTES: usize = 20;

/// `DMUS_EVENT_STRUCTURED`: the message is one that a synthesizer may interpret.
pub const EVENT_STRUCTURED: u32 = 1;

/// Returns the bytes of the record of a message (`DMUS_EVENT_SIZE`).
#[must_use]
pub const fn record_bytes(message_bytes: usize) -> usize {
    (EVENT_HEADER_BYTES + message_bytes).next_multiple_of(8)
}

/// Returns the records of events, one after another.
#[must_use]
pub fn write_records(events: &[MidiEvent]) -> Vec<u8> {
    let mut records = Vec::with_capacity(events.iter().map(|event| record_bytes(event.bytes.len())).sum());
    for event in events {
        // A message comes from a file of less than 4 GiB, and a song's time is bounded.
        records.extend((event.bytes.len() as u32).to_le_bytes());
        records.extend(event.channel_group.to_le_bytes());
        records.extend(event.time.to_le_bytes());
        records.extend(EVENT_STRUCTURED.to_le_bytes());
        records.extend(&event.bytes);
        records.resize(records.len().next_multiple_of(8), 0);
    }
    records
}

/// Returns the records of a legacy MIDI stream (`KSMUSICFORMAT`, ksmedia.h): milliseconds since the record before, the length,
/// and the message, padded to a multiple of 4. Parts of a millisecond are lost.
#[must_use]
pub fn write_music_records(events: &[MidiEvent]) -> Vec<u8> {
    let mut records = Vec::new();
    let mut before = 0;
    for event in events {
        let at = event.time / (TICKS_A_SECOND / 1000);
        // A song is at most an hour long.
        records.extend(((at - before) as u32).to_le_bytes());
        records.extend((event.bytes.len() as u32).to_le_bytes());
        records.extend(&event.bytes);
        records.resize(records.len().next_multiple_of(4), 0);
        before = at;
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lays_out_a_record_as_dmusbuff_h_defines_it() {
        let event = MidiEvent { time: 0x0102_0304_0506_0708, channel_group: 1, bytes: vec![0x90, 60, 100] };
        assert_eq!(
            write_records(&[event]),
            [3, 0, 0, 0, 1, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1, 1, 0, 0, 0, 0x90, 60, 100, 0]
        );
    }

    #[test]
    fn begins_every_record_at_a_multiple_of_eight() {
        for length in 1..=40 {
            let event = MidiEvent { time: 0, channel_group: 1, bytes: vec![0; length] };
            assert_eq!(write_records(&[event.clone(), event]).len(), 2 * record_bytes(length));
            assert_eq!(record_bytes(length) % 8, 0);
        }
    }

    #[test]
    fn counts_milliseconds_from_the_record_before_in_a_legacy_stream() {
        let event = |time, bytes: &[u8]| MidiEvent { time, channel_group: 1, bytes: bytes.to_vec() };
        let events = [event(25_000, &[0x90, 60, 100]), event(69_999, &[0xF8])];
        assert_eq!(
            write_music_records(&events),
            [2, 0, 0, 0, 3, 0, 0, 0, 0x90, 60, 100, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0xF8, 0, 0, 0]
        );
    }
}
