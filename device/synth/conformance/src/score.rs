//! Standard MIDI files with a tick of one millisecond.

use midly::live::LiveEvent;
use midly::num::{u15, u24, u28};
use midly::{Format, Header, MetaMessage, Smf, Timing, TrackEvent, TrackEventKind};

/// Messages with their times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Score {
    events: Vec<(u32, Vec<u8>)>,
}

impl Score {
    /// Adds a message at a millisecond. Messages of the same time keep the order in which they were added.
    pub fn at(&mut self, milliseconds: u32, message: &[u8]) {
        self.events.push((milliseconds, message.to_vec()));
    }

    /// Takes messages out.
    pub fn drop_if(&mut self, unwanted: impl Fn(&[u8]) -> bool) {
        self.events.retain(|(_, message)| !unwanted(message));
    }

    /// Returns the score without all messages but notes that are later than the set-up at the beginning.
    #[must_use]
    pub fn without_messages_after_the_beginning(&self) -> Self {
        let keeps = |(at, message): &&(u32, Vec<u8>)| *at == 0 || matches!(message[0] & 0xF0, 0x80 | 0x90);
        Self { events: self.events.iter().filter(keeps).cloned().collect() }
    }

    /// Returns the time of the last message, in ms.
    #[must_use]
    pub fn last(&self) -> u32 {
        self.events.iter().map(|(at, _)| *at).max().unwrap_or(0)
    }

    /// Returns the file, of format 0, that ends after so many milliseconds.
    ///
    /// # Panics
    /// If a message is malformed, or after the end, which is a bug of the suite.
    #[must_use]
    pub fn file(&self, end: u32) -> Vec<u8> {
        let mut events = self.events.clone();
        events.sort_by_key(|(at, _)| *at);
        let mut track =
            vec![TrackEvent { delta: 0.into(), kind: TrackEventKind::Meta(MetaMessage::Tempo(u24::new(1_000_000))) }];
        let mut now = 0;
        for (at, message) in &events {
            let kind = match message.as_slice() {
                [0xF0, rest @ ..] => TrackEventKind::SysEx(rest),
                bytes => match LiveEvent::parse(bytes) {
                    Ok(LiveEvent::Midi { channel, message }) => TrackEventKind::Midi { channel, message },
                    other => panic!("{bytes:02x?} is no channel message: {other:?}"),
                },
            };
            track.push(TrackEvent { delta: u28::new(at - now), kind });
            now = *at;
        }
        let left = end.checked_sub(now).expect("the end comes last");
        track.push(TrackEvent { delta: u28::new(left), kind: TrackEventKind::Meta(MetaMessage::EndOfTrack) });
        let header = Header { format: Format::SingleTrack, timing: Timing::Metrical(u15::new(1000)) };
        let mut bytes = Vec::new();
        Smf { header, tracks: vec![track] }.write_std(&mut bytes).expect("memory takes all");
        bytes
    }
}
