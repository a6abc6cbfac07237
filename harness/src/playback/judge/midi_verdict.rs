//! The MIDI bytes that a device received, beside those of the song.

use std::fmt;

use serde::Serialize;

use crate::machine::Received;
use crate::sound::midi::{MidiEvent, MidiMessage, MidiReader};

/// Nanoseconds in the 100 ns units of a song's times, and in a millisecond.
const NS_A_TICK: u64 = 100;
const NS_A_MS: u64 = 1_000_000;

/// Active sensing: a driver may send it whenever the line is silent, and no song has it.
const ACTIVE_SENSING: [u8; 1] = [0xFE];

/// The first difference between what a device received and the song.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MidiDifference {
    /// The number of the message, from 0.
    pub message: usize,
    /// The song's, in hexadecimal; `None` after its end.
    pub expected: Option<String>,
    /// The device's, in hexadecimal; `None` after its end.
    pub received: Option<String>,
}

/// What a device received, beside the song.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MidiVerdict {
    /// The song's messages.
    pub messages: usize,
    /// The messages that the device received.
    pub received: usize,
    /// The first difference.
    pub difference: Option<MidiDifference>,
    /// Data bytes that belong to no message.
    pub stray: usize,
    /// Bytes that the device no longer has.
    pub lost: u64,
    /// The largest deviation of a message's time from the song's, in milliseconds, where times are compared.
    pub deviation_ms: Option<u64>,
    /// The tolerance of times, in milliseconds.
    pub tolerance_ms: u32,
}

impl MidiVerdict {
    /// Tells whether the device received the song: all of it, nothing else, in time.
    #[must_use]
    pub const fn passed(&self) -> bool {
        let in_time = match self.deviation_ms {
            Some(deviation) => deviation <= self.tolerance_ms as u64,
            None => true,
        };
        self.difference.is_none() && self.stray == 0 && self.lost == 0 && in_time
    }
}

/// A verdict in a sentence that says who did what with the messages.
struct Text<'a> {
    verdict: &'a MidiVerdict,
    did: &'static str,
    who: &'static str,
}

impl MidiVerdict {
    /// Returns the verdict on what came out of a capture pin.
    #[must_use]
    pub fn of_capture(&self) -> String {
        Text { verdict: self, did: "the capture pin gave", who: "the capture pin" }.to_string()
    }
}

impl fmt::Display for MidiVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Text { verdict: self, did: "the device received", who: "the device" }.fmt(f)
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Text { verdict, did, who } = self;
        let MidiVerdict { messages, received, difference, stray, lost, deviation_ms, tolerance_ms } = verdict;
        match difference {
            None => write!(f, "{did} all {messages} messages of the song")?,
            Some(MidiDifference { message, expected, received: found }) => {
                let shown = |bytes: &Option<String>| bytes.clone().unwrap_or_else(|| "nothing more".into());
                write!(
                    f,
                    "{did} {received} messages, the song has {messages}; message {message} is {}, expected {}",
                    shown(found),
                    shown(expected)
                )?;
            }
        }
        if *stray > 0 {
            write!(f, "; {stray} data bytes belong to no message")?;
        }
        if *lost > 0 {
            write!(f, "; {who} has lost {lost} bytes, so that the rest cannot be judged")?;
        }
        if let Some(deviation) = deviation_ms {
            write!(f, "; at most {deviation} ms early or late ({tolerance_ms} ms are tolerated)")?;
        }
        Ok(())
    }
}

/// Compares what a device received with a song: message by message, whatever running status or chunks they came in. Times are
/// compared from the first message on, if `timed`; active sensing is left out.
#[must_use]
pub fn compare_midi(song: &[MidiEvent], received: &Received, timed: bool, tolerance_ms: u32) -> MidiVerdict {
    let mut reader = MidiReader::default();
    for part in &received.bytes {
        reader.push(part.time_ns, &part.data);
    }
    let (found, stray) = reader.finish();
    let found: Vec<MidiMessage> =
        found.into_iter().filter(|message| message.bytes.as_slice() != ACTIVE_SENSING).collect();
    let mut reader = MidiReader::default();
    for event in song {
        reader.push(event.time.saturating_mul(NS_A_TICK), &event.bytes);
    }
    let (expected, _) = reader.finish();
    let length = expected.len().max(found.len());
    let differs = |index: &usize| {
        expected.get(*index).map(|message| &message.bytes) != found.get(*index).map(|message| &message.bytes)
    };
    let difference = (0..length).find(differs).map(|message| {
        let hex_of = |messages: &[MidiMessage]| messages.get(message).map(|message| hex::encode(&message.bytes));
        MidiDifference { message, expected: hex_of(&expected), received: hex_of(&found) }
    });
    let deviation_ms = match (expected.first(), found.first()) {
        (Some(first), Some(first_found)) if timed => expected
            .iter()
            .zip(&found)
            .map(|(one, other)| {
                let due = one.time_ns.saturating_sub(first.time_ns);
                due.abs_diff(other.time_ns.saturating_sub(first_found.time_ns)) / NS_A_MS
            })
            .max(),
        _ => None,
    };
    MidiVerdict {
        messages: expected.len(),
        received: found.len(),
        difference,
        stray,
        lost: received.lost,
        deviation_ms,
        tolerance_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::ReceivedBytes;

    fn song() -> Vec<MidiEvent> {
        let event = |ms: u64, bytes: &[u8]| MidiEvent { time: ms * 10_000, channel_group: 1, bytes: bytes.to_vec() };
        vec![
            event(5, &[0x90, 60, 100]),
            event(5, &[0x90, 64, 100]),
            event(105, &[0xF0, 0x7E, 0x7F, 9, 1, 0xF7]),
            event(205, &[0x80, 60, 0]),
        ]
    }

    fn received(parts: &[(u64, &[u8])]) -> Received {
        let part =
            |&(ms, data): &(u64, &[u8])| ReceivedBytes { time_ns: 7_000_000 + ms * NS_A_MS, data: data.to_vec() };
        Received { bytes: parts.iter().map(part).collect(), lost: 0 }
    }

    #[test]
    fn accepts_the_song_with_running_status_chunks_and_active_sensing() {
        let received = received(&[
            (0, &[0x90, 60, 100, 64]),
            (1, &[100, 0xFE, 0xF0, 0x7E]),
            (101, &[0x7F, 9, 1, 0xF7]),
            (203, &[0x80, 60, 0]),
        ]);
        let verdict = compare_midi(&song(), &received, false, 20);
        assert!(verdict.passed(), "{verdict}");
        assert_eq!(verdict.to_string(), "the device received all 4 messages of the song");
        let verdict = compare_midi(&song(), &received, true, 20);
        assert_eq!((verdict.passed(), verdict.deviation_ms), (false, Some(99)), "the SysEx began with the first note");
    }

    #[test]
    fn shows_the_first_message_that_differs_is_missing_or_is_too_much() {
        let whole = [(0, &[0x90, 60, 100, 64, 100, 0xF0, 0x7E, 0x7F, 9, 1, 0xF7, 0x80, 60, 0][..])];
        assert!(compare_midi(&song(), &received(&whole), false, 0).passed());
        let short = compare_midi(&song(), &received(&[(0, &whole[0].1[..11])]), false, 0);
        assert!(short.to_string().contains("message 3 is nothing more, expected 803c00"), "{short}");
        let mut other = whole[0].1.to_vec();
        other[4] = 99;
        let other = compare_midi(&song(), &received(&[(0, &other)]), false, 0);
        assert!(other.to_string().contains("message 1 is 904063, expected 904064"), "{other}");
        let more = compare_midi(&song(), &received(&[whole[0], (1, &[0xF6])]), false, 0);
        assert!(more.to_string().contains("message 4 is f6, expected nothing more"), "{more}");
    }

    #[test]
    fn lost_bytes_and_late_messages_fail() {
        let on_time: [(u64, &[u8]); 3] =
            [(0, &[0x90, 60, 100, 64, 100]), (100, &[0xF0, 0x7E, 0x7F, 9, 1, 0xF7]), (221, &[0x80, 60, 0])];
        let verdict = compare_midi(&song(), &received(&on_time), true, 20);
        assert_eq!((verdict.passed(), verdict.deviation_ms), (false, Some(21)));
        assert!(compare_midi(&song(), &received(&on_time), true, 21).passed());
        let lost = Received { lost: 3, ..received(&on_time) };
        assert!(!compare_midi(&song(), &lost, false, 0).passed());
    }
}
