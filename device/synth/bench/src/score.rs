//! The notes of the comparison: an exact number of voices, from the first moment to the last.

use midly::num::{u4, u7, u15, u24, u28};
use midly::{Format, Header, MetaMessage, MidiMessage, Smf, Timing, TrackEvent, TrackEventKind};

use crate::font::{KEY_MIN, KEYS, PRESETS};

/// General MIDI's drum channel.
const DRUMS: u8 = 9;

/// Ticks a quarter, and a quarter is half a second.
const TICKS: u16 = 480;

/// Ticks a second.
const TICKS_A_SECOND: f64 = 960.0;

/// Most voices that keys and channels give without one pair coming twice.
pub(crate) const VOICES_MAX: u16 = PRESETS as u16 * KEYS as u16;

/// Makes channel messages that make `voices` voices sound: a program for every channel, then the notes. The keys of
/// each channel are spread over all zones, however few there are.
#[must_use]
pub(crate) fn messages(voices: u16) -> Vec<Vec<u8>> {
    let channels = (0..16u8).filter(|channel| *channel != DRUMS);
    let channels: Vec<u8> = channels.take(usize::from(PRESETS)).collect();
    let programs = channels.iter().zip(0..PRESETS).map(|(channel, program)| vec![0xC0 | channel, program]);
    let notes = (0..voices.min(VOICES_MAX)).map(|note| {
        let channel = channels[usize::from(note) % channels.len()];
        let turn = usize::from(note) / channels.len();
        // 29 and the number of keys have no divisor in common, so that no key comes twice.
        let key = KEY_MIN + ((turn * 29 + usize::from(channel) * 7) % usize::from(KEYS)) as u8;
        vec![0x90 | channel, key, 100]
    });
    programs.chain(notes).collect()
}

/// Makes a Standard MIDI File of the same messages that lasts so long. The notes end with it: a player may wait for
/// those that do not.
#[must_use]
pub(crate) fn file(voices: u16, seconds: f64) -> Vec<u8> {
    file_of(messages(voices), seconds)
}

/// Makes the same of other program changes and notes.
#[must_use]
pub(crate) fn file_of(messages: Vec<Vec<u8>>, seconds: f64) -> Vec<u8> {
    let event = |ticks: u32, kind| TrackEvent { delta: u28::new(ticks), kind };
    let mut track = vec![event(0, TrackEventKind::Meta(MetaMessage::Tempo(u24::new(500_000))))];
    let mut ends = Vec::new();
    for message in messages {
        let channel = u4::new(message[0] & 15);
        let message = match *message.as_slice() {
            [status, program] if status >> 4 == 0xC => MidiMessage::ProgramChange { program: u7::new(program) },
            [_, key, velocity] => {
                let (key, vel) = (u7::new(key), u7::new(velocity));
                let message = MidiMessage::NoteOff { key, vel: u7::new(64) };
                ends.push(event(0, TrackEventKind::Midi { channel, message }));
                MidiMessage::NoteOn { key, vel }
            }
            _ => continue,
        };
        track.push(event(0, TrackEventKind::Midi { channel, message }));
    }
    // Some players leave with the last message and do not wait for the end of the track.
    let last = MidiMessage::Controller { controller: u7::new(11), value: u7::new(127) };
    let ticks = (seconds * TICKS_A_SECOND).round() as u32;
    track.push(event(ticks, TrackEventKind::Midi { channel: u4::new(0), message: last }));
    track.append(&mut ends);
    track.push(event(0, TrackEventKind::Meta(MetaMessage::EndOfTrack)));
    let header = Header { format: Format::SingleTrack, timing: Timing::Metrical(u15::new(TICKS)) };
    let mut bytes = Vec::new();
    Smf { header, tracks: vec![track] }.write_std(&mut bytes).expect("writing to memory");
    bytes
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_note_occurs_twice_or_on_the_drum_channel() {
        let notes: Vec<Vec<u8>> = messages(VOICES_MAX).into_iter().filter(|message| message[0] >> 4 == 9).collect();
        let different: HashSet<(u8, u8)> = notes.iter().map(|note| (note[0], note[1])).collect();
        assert_eq!((notes.len(), different.len()), (usize::from(VOICES_MAX), usize::from(VOICES_MAX)));
        assert!(notes.iter().all(|note| note[0] & 15 != DRUMS && (KEY_MIN..KEY_MIN + KEYS).contains(&note[1])));
    }
}
