//! Reads a Standard MIDI File (RP-001 v1.0) as a song.

use midly::{Format, MetaMessage, Smf, TrackEventKind};

use super::event::{CHANNEL_GROUP, MidiEvent, TICKS_A_SECOND};
use super::tempo::TempoMap;
use crate::host::failure::{Class, Diagnosed};

/// Longest song in seconds. At 96 kHz an hour of PCM is 1.4 GiB, which still fits a guest's memory below 4 GiB.
pub const SONG_SECONDS_MAX: u64 = 3600;

/// A song.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Song {
    /// The name that reports show.
    pub name: String,
    /// Its messages in order of time; those of one time in order of the file's tracks.
    pub events: Vec<MidiEvent>,
    /// The end of the last track, in 100 ns units.
    pub end: u64,
    /// Notices for the user: messages that were skipped, an end that is missing.
    pub notices: Vec<String>,
}

/// Why a file is not a song.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MidiError {
    /// Not a Standard MIDI File.
    #[error("{name} is no Standard MIDI File: {reason}")]
    Malformed {
        /// The song.
        name: String,
        /// The parser's reason.
        reason: String,
    },
    /// Format 2 holds independent patterns, not one song.
    #[error("{name} is a Standard MIDI File of format 2: independent patterns, of which none is the song")]
    Format2 {
        /// The song.
        name: String,
    },
    /// It has no channel or system-exclusive message.
    #[error("{name} holds no MIDI message to play")]
    Empty {
        /// The song.
        name: String,
    },
    /// It lasts longer than [`SONG_SECONDS_MAX`].
    #[error("{name} lasts {seconds} s; at most {SONG_SECONDS_MAX} s fit the guest's memory")]
    TooLong {
        /// The song.
        name: String,
        /// Its length in seconds.
        seconds: u64,
    },
}

impl Diagnosed for MidiError {
    fn class(&self) -> Class {
        Class::BadInput
    }

    fn remedy(&self) -> Option<String> {
        Some(
            match self {
                Self::Malformed { .. } => "give a .mid file of format 0 or 1",
                Self::Format2 { .. } => "save the pattern that you want as format 0 or 1",
                Self::Empty { .. } => "give a song with notes",
                Self::TooLong { .. } => "cut the song, or play it in parts",
            }
            .into(),
        )
    }
}

impl Song {
    /// Reads a Standard MIDI File of format 0 or 1.
    ///
    /// # Errors
    /// [`MidiError`] when it is no such file, holds no message to play, or lasts too long.
    pub fn parse(name: &str, file: &[u8]) -> Result<Self, MidiError> {
        let smf = Smf::parse(file)
            .map_err(|error| MidiError::Malformed { name: name.into(), reason: error.kind().to_string() })?;
        if smf.header.format == Format::Sequential {
            return Err(MidiError::Format2 { name: name.into() });
        }
        let tempo = TempoMap::new(smf.header.timing, &smf.tracks);
        let mut notices = Vec::new();
        let mut ticked: Vec<(u64, Vec<u8>)> = Vec::new();
        let mut end = 0;
        for (number, track) in smf.tracks.iter().enumerate() {
            let last = read_track(number, track, &mut ticked, &mut notices);
            end = end.max(last);
        }
        // Stable: of one tick, the lower track comes first, and within a track the file's order holds.
        ticked.sort_by_key(|(tick, _)| *tick);
        if ticked.is_empty() {
            return Err(MidiError::Empty { name: name.into() });
        }
        let times = tempo.times(ticked.iter().map(|(tick, _)| *tick).chain([end]));
        let too_long = |seconds| MidiError::TooLong { name: name.into(), seconds };
        let end = *times.last().expect("the end is among them");
        if end > u128::from(SONG_SECONDS_MAX * TICKS_A_SECOND) {
            return Err(too_long(u64::try_from(end / u128::from(TICKS_A_SECOND)).unwrap_or(u64::MAX)));
        }
        let events = ticked
            .into_iter()
            .zip(times)
            // Below the bound just checked, so it fits.
            .map(|((_, bytes), time)| MidiEvent { time: time as u64, channel_group: CHANNEL_GROUP, bytes })
            .collect();
        Ok(Self { name: name.into(), events, end: end as u64, notices })
    }

    /// Returns how many frames it takes at a sample rate, with a tail in milliseconds for notes that still sound. At least one
    /// frame follows the song's end, so that events of that very time are played too.
    #[must_use]
    pub fn frames(&self, sample_rate: u32, tail_ms: u32) -> u64 {
        let end = u128::from(self.end) * u128::from(sample_rate);
        let song = end.div_ceil(u128::from(TICKS_A_SECOND)) as u64;
        song + (u64::from(tail_ms) * u64::from(sample_rate) / 1000).max(1)
    }

    /// Returns the same song, begun later.
    #[must_use]
    pub fn delayed(&self, milliseconds: u32) -> Self {
        let delay = u64::from(milliseconds) * TICKS_A_SECOND / 1000;
        let mut song = self.clone();
        song.end += delay;
        for event in &mut song.events {
            event.time += delay;
        }
        song
    }

    /// Returns the same song on another channel group.
    #[must_use]
    pub fn on_group(&self, channel_group: u32) -> Self {
        let mut song = self.clone();
        song.events.iter_mut().for_each(|event| event.channel_group = channel_group);
        song
    }

    /// Returns the same song with every time at the beginning of its millisecond, as a legacy MIDI stream carries it.
    #[must_use]
    pub fn in_whole_milliseconds(&self) -> Self {
        let mut song = self.clone();
        song.events.iter_mut().for_each(|event| event.time -= event.time % (TICKS_A_SECOND / 1000));
        song
    }

    /// Returns how many notes it starts.
    #[must_use]
    pub fn notes(&self) -> usize {
        self.events.iter().filter(|event| event.bytes[0] & 0xf0 == 0x90 && event.bytes[2] > 0).count()
    }
}

/// Appends a track's messages with their ticks; returns the tick at which the track ends.
fn read_track(
    number: usize,
    track: &[midly::TrackEvent<'_>],
    messages: &mut Vec<(u64, Vec<u8>)>,
    notices: &mut Vec<String>,
) -> u64 {
    let mut tick = 0;
    let mut ended = false;
    // A system-exclusive message may come in several packets, each at its own time (RP-001, page 6). It takes effect
    // when it is whole, so that is its time.
    let mut exclusive: Option<Vec<u8>> = None;
    let mut escapes = 0;
    for event in track {
        tick += u64::from(event.delta.as_int());
        match event.kind {
            TrackEventKind::Midi { .. } => {
                let mut bytes = Vec::with_capacity(3);
                let live = event.kind.as_live_event().expect("a channel message is a live event");
                live.write_std(&mut bytes).expect("writing to memory");
                messages.push((tick, bytes));
            }
            TrackEventKind::SysEx(data) => {
                let mut message = vec![0xf0];
                message.extend_from_slice(data);
                exclusive = Some(message);
            }
            TrackEventKind::Escape(data) => match &mut exclusive {
                Some(message) => message.extend_from_slice(data),
                None => escapes += 1,
            },
            TrackEventKind::Meta(MetaMessage::EndOfTrack) => {
                ended = true;
                break;
            }
            TrackEventKind::Meta(_) => {}
        }
        if exclusive.as_ref().is_some_and(|message| message.ends_with(&[0xf7])) {
            messages.push((tick, exclusive.take().expect("checked above")));
        }
    }
    if exclusive.is_some() {
        notices.push(format!("track {number}: a system-exclusive message without its end was skipped"));
    }
    if escapes > 0 {
        notices.push(format!("track {number}: {escapes} escaped system messages were skipped"));
    }
    if !ended {
        notices.push(format!("track {number} has no end-of-track event: the file may be cut short"));
    }
    tick
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of one chunk a track, from raw track bytes.
    fn file(format: u16, division: u16, tracks: &[&[u8]]) -> Vec<u8> {
        let mut bytes = b"MThd\0\0\0\x06".to_vec();
        bytes.extend(format.to_be_bytes());
        bytes.extend(u16::try_from(tracks.len()).unwrap().to_be_bytes());
        bytes.extend(division.to_be_bytes());
        for track in tracks {
            bytes.extend(b"MTrk");
            bytes.extend(u32::try_from(track.len()).unwrap().to_be_bytes());
            bytes.extend(*track);
        }
        bytes
    }

    const END: [u8; 4] = [0, 0xff, 0x2f, 0];

    fn track(events: &[u8]) -> Vec<u8> {
        [events, &END].concat()
    }

    fn times(song: &Song) -> Vec<(u64, Vec<u8>)> {
        song.events.iter().map(|event| (event.time, event.bytes.clone())).collect()
    }

    #[test]
    fn expands_running_status() {
        let song =
            Song::parse("t", &file(0, 480, &[&track(&[0, 0x90, 60, 100, 0x83, 0x60, 60, 0, 0, 64, 90])])).unwrap();
        assert_eq!(
            times(&song),
            [(0, vec![0x90, 60, 100]), (5_000_000, vec![0x90, 60, 0]), (5_000_000, vec![0x90, 64, 90])]
        );
    }

    #[test]
    fn keeps_the_order_of_the_tracks_in_one_tick() {
        let second = track(&[10, 0xc1, 2]);
        let first = track(&[10, 0xc0, 1]);
        let song = Song::parse("t", &file(1, 96, &[&first, &second])).unwrap();
        assert_eq!(song.events[0].bytes, [0xc0, 1]);
        assert_eq!(song.events[1].bytes, [0xc1, 2]);
    }

    #[test]
    fn joins_an_exclusive_message_in_packets_at_the_time_of_its_end() {
        let packets = track(&[0, 0xf0, 2, 0x7e, 0x7f, 96, 0xf7, 3, 9, 1, 0xf7]);
        let song = Song::parse("t", &file(0, 96, &[&packets])).unwrap();
        assert_eq!(times(&song), [(5_000_000, vec![0xf0, 0x7e, 0x7f, 9, 1, 0xf7])]);
    }

    #[test]
    fn the_song_ends_when_its_last_track_does() {
        let silent = [0x83, 0x60, 0xff, 0x2f, 0];
        let song = Song::parse("t", &file(1, 480, &[&track(&[0, 0x90, 60, 1]), &silent])).unwrap();
        assert_eq!(song.end, 5_000_000);
        assert_eq!(song.frames(48_000, 0), 24_001);
        assert_eq!(song.frames(48_000, 2000), 120_000);
    }

    #[test]
    fn counts_the_frame_in_which_the_song_ends() {
        let song = Song { name: String::new(), events: vec![], end: 1, notices: vec![] };
        assert_eq!(song.frames(48_000, 1), 1 + 48);
    }

    #[test]
    fn delays_every_event_of_a_song() {
        let song = Song::parse("t", &file(0, 480, &[&track(&[0, 0x90, 60, 1, 0x83, 0x60, 60, 0])])).unwrap();
        let later = song.delayed(250);
        assert_eq!(times(&later), [(2_500_000, vec![0x90, 60, 1]), (7_500_000, vec![0x90, 60, 0])]);
        assert_eq!(later.end - song.end, 2_500_000);
    }

    #[test]
    fn refuses_format_2() {
        let error = Song::parse("t", &file(2, 96, &[&track(&[0, 0x90, 60, 1])])).unwrap_err();
        assert_eq!(error, MidiError::Format2 { name: "t".into() });
        assert_eq!(error.class(), Class::BadInput);
    }

    #[test]
    fn refuses_a_file_that_is_no_midi_file() {
        assert!(matches!(Song::parse("t", b"RIFF....WAVE"), Err(MidiError::Malformed { .. })));
        assert!(matches!(Song::parse("t", b""), Err(MidiError::Malformed { .. })));
    }

    #[test]
    fn refuses_a_file_without_messages() {
        assert!(matches!(Song::parse("t", &file(0, 96, &[&END])), Err(MidiError::Empty { .. })));
    }

    #[test]
    fn refuses_a_song_beyond_the_bound_before_it_allocates() {
        // One tick a quarter at the slowest tempo, 16.7 s a tick.
        let long = track(&[0, 0xff, 0x51, 3, 0xff, 0xff, 0xff, 0xff, 0x7f, 0x90, 60, 1]);
        assert!(matches!(Song::parse("t", &file(0, 1, &[&long])), Err(MidiError::TooLong { .. })));
    }

    #[test]
    fn plays_a_track_without_its_end_with_a_notice() {
        let song = Song::parse("t", &file(0, 96, &[&[0, 0x90, 60, 1]])).unwrap();
        assert_eq!(song.events.len(), 1);
        assert!(song.notices[0].contains("cut short"));
    }
}
