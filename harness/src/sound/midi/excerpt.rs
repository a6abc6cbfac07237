//! Parts of songs, other speeds, and songs of single events.

use super::event::{CHANNEL_GROUP, MidiEvent, TICKS_A_SECOND};
use super::song::Song;

/// 100 ns units of a millisecond.
const TICKS_A_MS: u64 = TICKS_A_SECOND / 1000;

/// The whole speed, in percent.
const WHOLE: u64 = 100;

/// The velocity of a note's end that no file says.
const RELEASE_VELOCITY: u8 = 64;

/// The status of a note's end and of its start, without the channel.
const NOTE_OFF: u8 = 0x80;
const NOTE_ON: u8 = 0x90;

impl Song {
    /// Returns a song of some messages, in order of time; those of one time as they are listed.
    #[must_use]
    pub fn of_events(name: &str, mut events: Vec<MidiEvent>) -> Self {
        events.sort_by_key(|event| event.time);
        let end = events.last().map_or(0, |event| event.time);
        Self { name: name.into(), events, end, notices: Vec::new() }
    }

    /// Returns the part from one moment to another, in milliseconds. What was set before is set at its beginning; notes that were
    /// struck before do not sound; notes that still sound at its end are ended there.
    #[must_use]
    pub fn part(&self, from_ms: u64, to_ms: Option<u64>) -> Self {
        let from = from_ms.saturating_mul(TICKS_A_MS);
        let to = to_ms.map_or(u64::MAX, |ms| ms.saturating_mul(TICKS_A_MS)).max(from);
        let mut events = Vec::new();
        let mut sounding: Vec<(u32, u8, u8)> = Vec::new();
        for event in self.events.iter().filter(|event| event.time < to) {
            let status = event.bytes.first().copied().unwrap_or_default();
            let is_note = matches!(status & 0xF0, NOTE_OFF | NOTE_ON);
            if event.time < from && is_note {
                continue;
            }
            if let [_, key, velocity] = event.bytes[..] {
                let note = (event.channel_group, status & 0x0F, key);
                if status & 0xF0 == NOTE_ON && velocity > 0 {
                    sounding.push(note);
                } else if is_note {
                    sounding.retain(|sounds| *sounds != note);
                }
            }
            events.push(MidiEvent { time: event.time.saturating_sub(from), ..event.clone() });
        }
        let end = self.end.min(to).saturating_sub(from);
        sounding.dedup();
        events.extend(sounding.into_iter().map(|(channel_group, channel, key)| MidiEvent {
            time: end,
            channel_group,
            bytes: vec![NOTE_OFF | channel, key, RELEASE_VELOCITY],
        }));
        Self { events, end, ..self.clone() }
    }

    /// Returns the song at another speed, in percent, which is at least 1.
    #[must_use]
    pub fn at_tempo(&self, percent: u32) -> Self {
        let percent = u64::from(percent.max(1));
        let mut song = self.clone();
        song.end = song.end.saturating_mul(WHOLE) / percent;
        song.events.iter_mut().for_each(|event| event.time = event.time.saturating_mul(WHOLE) / percent);
        song
    }
}

/// Returns an event at a time in milliseconds.
#[must_use]
pub fn event_at(ms: u32, channel_group: Option<u32>, bytes: Vec<u8>) -> MidiEvent {
    MidiEvent { time: u64::from(ms) * TICKS_A_MS, channel_group: channel_group.unwrap_or(CHANNEL_GROUP), bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn song() -> Song {
        let bytes: [(u32, &[u8]); 5] = [
            (0, &[0xC0, 5]),
            (0, &[0x90, 60, 100]),
            (500, &[0x80, 60, 64]),
            (600, &[0x90, 64, 100]),
            (900, &[0x80, 64, 0]),
        ];
        Song::of_events("x", bytes.map(|(ms, bytes)| event_at(ms, None, bytes.to_vec())).to_vec())
    }

    #[test]
    fn a_part_keeps_what_was_set_and_ends_what_sounds() {
        let part = song().part(400, Some(700));
        let times: Vec<_> = part.events.iter().map(|event| (event.time / TICKS_A_MS, event.bytes.clone())).collect();
        assert_eq!(
            times,
            [
                (0, vec![0xC0, 5]),
                (100, vec![0x80, 60, 64]),
                (200, vec![0x90, 64, 100]),
                (300, vec![0x80, 64, RELEASE_VELOCITY])
            ]
        );
        assert_eq!(part.end, 300 * TICKS_A_MS);
        assert_eq!(song().part(0, None), song());
    }

    #[test]
    fn a_tempo_moves_every_event_and_the_end() {
        let fast = song().at_tempo(200);
        assert_eq!(fast.events[2].time, 250 * TICKS_A_MS);
        assert_eq!(fast.end, 450 * TICKS_A_MS);
    }
}
