//! The events of a track (RP-001, pages 5 to 11).

use super::cursor::{Broken, Cursor};
use super::error::Rule;
use super::exclusive::{complete, messages_of_escape};
use super::notices::Notices;

/// Meta events that a reader of songs has a use for.
mod meta {
    /// Device (port) name (RP-019).
    pub(super) const DEVICE_NAME: u8 = 0x09;
    /// MIDI port, by number: not in RP-001, and in many files.
    pub(super) const PORT: u8 = 0x21;
    /// End of track.
    pub(super) const END: u8 = 0x2f;
    /// Set tempo.
    pub(super) const TEMPO: u8 = 0x51;
    /// XMF patch type prefix (RP-032): which instruments a track is for.
    pub(super) const PATCH_TYPE: u8 = 0x60;
}

/// Returns the bytes of a meta event whose length RP-001 fixes, and its name.
const fn fixed_length(kind: u8) -> Option<(usize, &'static str)> {
    Some(match kind {
        0x00 => (2, "sequence number"),
        0x20 => (1, "channel prefix"),
        meta::PORT => (1, "MIDI port"),
        meta::END => (0, "end of track"),
        meta::TEMPO => (3, "set tempo"),
        0x54 => (5, "SMPTE offset"),
        0x58 => (4, "time signature"),
        0x59 => (2, "key signature"),
        _ => return None,
    })
}

/// A message to play.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// Its tick.
    pub(super) tick: u64,
    /// The MIDI port that its track has named.
    pub(super) port: u8,
    /// The message, status byte first.
    pub(super) bytes: Vec<u8>,
}

/// The events of a track.
#[derive(Debug, Default)]
pub(super) struct Track {
    /// The messages in the order of the file.
    pub(super) messages: Vec<Message>,
    /// Changes of tempo: tick, and microseconds a quarter note.
    pub(super) tempos: Vec<(u64, u32)>,
    /// The tick at which it ends.
    pub(super) end: u64,
    /// The name of the device that it is for.
    pub(super) device: Option<String>,
    /// Whether it has an end-of-track event.
    pub(super) ended: bool,
}

/// A system-exclusive message whose last packet has not come yet.
struct Open {
    bytes: Vec<u8>,
    /// The tick of its last packet.
    tick: u64,
    /// The byte of its first packet in the file.
    at: usize,
    /// How many messages the track had when it began.
    begun: usize,
}

struct Reader<'a, 'n> {
    cursor: Cursor<'a>,
    notices: &'n mut Notices,
    number: usize,
    track: Track,
    tick: u64,
    port: u8,
    status: Option<u8>,
    /// A status that a meta or system-exclusive event has cancelled.
    cancelled: Option<u8>,
    /// Events with a cancelled status.
    run_on: usize,
    open: Option<Open>,
}

/// Reads a track up to its end-of-track event, or else to the end of its chunk, and leaves the cursor there.
pub(super) fn read_track(number: usize, cursor: &mut Cursor<'_>, notices: &mut Notices) -> Result<Track, Broken> {
    let mut reader = Reader {
        cursor: *cursor,
        notices,
        number,
        track: Track::default(),
        tick: 0,
        port: 0,
        status: None,
        cancelled: None,
        run_on: 0,
        open: None,
    };
    while !reader.cursor.is_done() && !reader.track.ended {
        reader.event()?;
    }
    reader.close();
    if reader.run_on > 0 {
        let text = format!(
            "{} events have no status byte after a meta or system-exclusive event, which cancels running status (RP-001, \
             page 6): played with the status before it",
            reader.run_on
        );
        reader.say(&text);
    }
    reader.track.end = reader.tick;
    *cursor = reader.cursor;
    Ok(reader.track)
}

impl Reader<'_, '_> {
    fn say(&mut self, text: &str) {
        self.notices.add(format!("track {}: {text}", self.number));
    }

    fn event(&mut self) -> Result<(), Broken> {
        self.tick += u64::from(self.cursor.quantity()?);
        let at = self.cursor.at;
        match self.cursor.peek()? {
            status @ 0x80..=0xef => {
                self.cursor.byte()?;
                (self.status, self.cancelled) = (Some(status), None);
                self.channel_message(status)
            }
            data @ 0..=0x7f => {
                let status = match (self.status, self.cancelled) {
                    (Some(status), _) => status,
                    (None, Some(status)) => {
                        self.run_on += 1;
                        status
                    }
                    (None, None) => return Err((at, Rule::NoStatus(data))),
                };
                self.channel_message(status)
            }
            0xf0 => self.exclusive(at),
            0xf7 => self.continuation(at),
            0xff => self.meta(at),
            status => Err((at, Rule::System(status))),
        }
    }

    fn channel_message(&mut self, status: u8) -> Result<(), Broken> {
        let count = if matches!(status, 0xc0..=0xdf) { 1 } else { 2 };
        let at = self.cursor.at;
        let data = self.cursor.take(count)?;
        if let Some(place) = data.iter().position(|byte| *byte >= 0x80) {
            return Err((at + place, Rule::Data(data[place])));
        }
        let bytes = [&[status], data].concat();
        self.play(bytes);
        Ok(())
    }

    fn play(&mut self, bytes: Vec<u8>) {
        self.track.messages.push(Message { tick: self.tick, port: self.port, bytes });
    }

    fn cancel_status(&mut self) {
        self.cancelled = self.status.take().or(self.cancelled);
    }

    /// Takes the length and the data of a system-exclusive, escape or meta event.
    fn data(&mut self) -> Result<&[u8], Broken> {
        let length = self.cursor.quantity()?;
        self.cursor.take(length as usize)
    }

    fn exclusive(&mut self, at: usize) -> Result<(), Broken> {
        self.cursor.byte()?;
        self.cancel_status();
        self.close();
        let bytes = [&[0xf0], self.data()?].concat();
        self.open = Some(Open { bytes, tick: self.tick, at, begun: self.track.messages.len() });
        self.close_if_whole();
        Ok(())
    }

    fn continuation(&mut self, at: usize) -> Result<(), Broken> {
        self.cursor.byte()?;
        self.cancel_status();
        let tick = self.tick;
        let data = self.data()?.to_vec();
        if let Some(open) = &mut self.open {
            open.bytes.extend_from_slice(&data);
            open.tick = tick;
        } else if data.first() == Some(&0xf0) && !data.contains(&0xf7) {
            // A message whose packets are all escapes.
            self.open = Some(Open { bytes: data, tick, at, begun: self.track.messages.len() });
        } else {
            let (messages, others) = messages_of_escape(&data);
            messages.into_iter().for_each(|bytes| self.play(bytes));
            if others > 0 {
                self.say(&format!("{others} bytes of the escape at byte {at} are no MIDI message: left out"));
            }
        }
        self.close_if_whole();
        Ok(())
    }

    fn close_if_whole(&mut self) {
        if self.open.as_ref().is_some_and(|open| open.bytes.contains(&0xf7)) {
            self.close();
        }
    }

    /// Ends the system-exclusive message that is open, if one is. It takes effect when it is whole, so its time is that of
    /// its last packet.
    fn close(&mut self) {
        let Some(Open { bytes, tick, at, begun }) = self.open.take() else { return };
        let place = format!("the system-exclusive message at byte {at}");
        match complete(&bytes) {
            Ok((bytes, changed)) => {
                let port = self.port;
                // Without an end of its own it ends at the message that follows its last packet.
                let followers = &self.track.messages[begun..];
                let index = begun + followers.iter().position(|message| message.tick > tick).unwrap_or(followers.len());
                self.track.messages.insert(index, Message { tick, port, bytes });
                if let Some(changed) = changed {
                    self.say(&format!("{place}: {changed}"));
                }
            }
            Err(why) => self.say(&format!("{place}: {why}")),
        }
    }

    fn meta(&mut self, at: usize) -> Result<(), Broken> {
        self.cursor.byte()?;
        self.cancel_status();
        let kind_at = self.cursor.at;
        let kind = self.cursor.byte()?;
        if kind >= 0x80 {
            return Err((kind_at, Rule::MetaType(kind)));
        }
        let data = self.data()?.to_vec();
        if let Some((fixed, name)) = fixed_length(kind) {
            let event = format!("the {name} event at byte {at} has {} bytes, and RP-001 gives it {fixed}", data.len());
            if data.len() < fixed {
                self.say(&format!("{event}: left out"));
                return Ok(());
            }
            // "They must ignore everything past what they know about" (RP-001, page 8).
            if data.len() > fixed {
                self.say(&format!("{event}: the rest is left out"));
            }
        }
        match kind {
            meta::END => self.track.ended = true,
            meta::PORT => self.port = data[0],
            meta::DEVICE_NAME => self.track.device = Some(String::from_utf8_lossy(&data).trim().to_owned()),
            meta::PATCH_TYPE if matches!(data[..], [1 | 2]) => self.say(
                "the XMF patch type prefix (FF 60) asks for General MIDI's instruments only: it has no effect, and an instrument \
                 of the file's own bank goes first",
            ),
            meta::TEMPO => match u32::from_be_bytes([0, data[0], data[1], data[2]]) {
                0 => self.say(&format!("the set tempo event at byte {at} has 0 microseconds a quarter note: left out")),
                tempo => self.track.tempos.push((self.tick, tempo)),
            },
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> (Result<Track, Broken>, Vec<String>) {
        let mut notices = Notices::default();
        let track = read_track(0, &mut Cursor::new(bytes, 0, bytes.len()), &mut notices);
        (track, notices.into_list())
    }

    fn messages(bytes: &[u8]) -> (Vec<(u64, Vec<u8>)>, Vec<String>) {
        let (track, notices) = read(bytes);
        (track.unwrap().messages.into_iter().map(|message| (message.tick, message.bytes)).collect(), notices)
    }

    #[test]
    fn skips_a_meta_event_of_the_wrong_length_by_its_length() {
        for x in
            [&[0, 0xff, 0x59, 0][..], &[0, 0xff, 0x54, 5, 0x20, 0, 0, 0x1e, 0], &[0, 0xff, 0x58, 6, 4, 2, 24, 8, 9, 9]]
        {
            let bytes = [&[0, 0x90, 60, 100][..], x, &[10, 0x90, 64, 100, 0, 0xff, 0x2f, 0]].concat();
            let (found, _) = messages(&bytes);
            assert_eq!(found, [(0, vec![0x90, 60, 100]), (10, vec![0x90, 64, 100])], "{x:02x?}");
        }
        let (_, notices) = messages(&[0, 0xff, 0x59, 0, 0, 0xff, 0x2f, 0]);
        assert!(notices[0].contains("key signature event at byte 1 has 0 bytes, and RP-001 gives it 2"), "{notices:?}");
    }

    #[test]
    fn takes_the_known_bytes_of_a_longer_tempo_and_nothing_of_a_shorter_one() {
        let (track, notices) =
            read(&[0, 0xff, 0x51, 4, 7, 0xa1, 0x20, 9, 1, 0xff, 0x51, 2, 7, 0xa1, 1, 0xff, 0x51, 3, 0, 0, 0]);
        assert_eq!(track.unwrap().tempos, [(0, 500_000)]);
        assert_eq!(notices.len(), 3, "{notices:?}");
    }

    #[test]
    fn an_unknown_meta_event_is_no_fault() {
        let (found, notices) =
            messages(&[0, 0xff, 0x60, 3, 1, 2, 3, 0, 0xff, 1, 2, b'h', b'i', 0, 0xc0, 1, 0, 0xff, 0x2f, 0]);
        assert_eq!((found, notices), (vec![(0, vec![0xc0, 1])], vec![]));
    }

    #[test]
    fn ends_an_exclusive_message_without_end_where_the_next_one_begins() {
        let bytes = [5, 0xf0, 4, 0x7e, 0x7f, 9, 1, 5, 0xf0, 5, 0x7f, 0x7f, 4, 1, 0xf7, 0, 0xff, 0x2f, 0];
        let (found, notices) = messages(&bytes);
        assert_eq!(found, [(5, vec![0xf0, 0x7e, 0x7f, 9, 1, 0xf7]), (10, vec![0xf0, 0x7f, 0x7f, 4, 1, 0xf7])]);
        assert!(notices[0].contains("message at byte 1: it has no F7"), "{notices:?}");
    }

    #[test]
    fn joins_packets_at_the_time_of_the_last_one() {
        let bytes = [0, 0xf0, 2, 0x7e, 0x7f, 96, 0xf7, 1, 9, 4, 0xf7, 2, 1, 0xf7, 1, 0x90, 60, 1, 0, 0xff, 0x2f, 0];
        let (found, notices) = messages(&bytes);
        assert_eq!(found, [(100, vec![0xf0, 0x7e, 0x7f, 9, 1, 0xf7]), (101, vec![0x90, 60, 1])]);
        assert_eq!(notices, Vec::<String>::new());
    }

    #[test]
    fn plays_the_messages_of_escapes_and_counts_other_bytes() {
        let bytes =
            [0, 0xf7, 1, 0xf8, 1, 0xf7, 6, 0xf0, 0x7e, 0xf7, 0x90, 60, 100, 1, 0xf7, 2, 0xf3, 9, 1, 0xf7, 2, 5, 0xf4];
        let (found, notices) = messages(&bytes);
        assert_eq!(found.len(), 4, "{found:02x?}");
        assert_eq!(found[1], (1, vec![0xf0, 0x7e, 0xf7]));
        assert!(notices[0].contains("2 bytes of the escape at byte 19"), "{notices:?}");
    }

    #[test]
    fn leaves_out_an_exclusive_message_with_a_status_among_its_data() {
        let (found, notices) =
            messages(&[0, 0xf0, 4, 0x43, 0x90, 1, 0xf7, 0, 0xf0, 4, 0x43, 0xf7, 1, 2, 0, 0xff, 0x2f, 0]);
        assert_eq!(found, [(0, vec![0xf0, 0x43, 0xf7])]);
        assert!(notices[0].contains("0x90: left out") && notices[1].contains("2 bytes after its F7"), "{notices:?}");
    }

    #[test]
    fn goes_on_with_a_status_that_a_meta_event_has_cancelled_and_says_so() {
        let (found, notices) = messages(&[0, 0x90, 60, 100, 0, 0xff, 1, 0, 9, 60, 0, 9, 61, 1, 0, 0xff, 0x2f, 0]);
        assert_eq!(found[1], (9, vec![0x90, 60, 0]));
        assert!(notices[0].starts_with("track 0: 2 events have no status byte"), "{notices:?}");
    }

    #[test]
    fn refuses_what_cannot_be_read_with_byte_and_rule() {
        let cases: [(&[u8], Broken); 10] = [
            (&[0, 60, 100], (1, Rule::NoStatus(60))),
            (&[0, 0xff, 1, 0, 0, 60, 100], (5, Rule::NoStatus(60))),
            (&[0, 0x90, 60, 0x90], (3, Rule::Data(0x90))),
            (&[0, 0x90, 60], (2, Rule::EventBeyondTrack)),
            (&[0x80, 0x80, 0x80, 0x80, 0, 0x90], (0, Rule::Quantity)),
            (&[0x81], (1, Rule::EventBeyondTrack)),
            (&[0, 0xff, 1, 9, b'x'], (4, Rule::EventBeyondTrack)),
            (&[0, 0xff, 0x80, 0], (2, Rule::MetaType(0x80))),
            (&[0, 0xf8], (1, Rule::System(0xf8))),
            (&[0, 0xf0, 0x8f, 0xff, 0xff, 0x7f, 1], (6, Rule::EventBeyondTrack)),
        ];
        for (bytes, broken) in cases {
            assert_eq!(read(bytes).0.unwrap_err(), broken, "{bytes:02x?}");
        }
    }
}
