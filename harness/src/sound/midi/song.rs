//! Reads a Standard MIDI File (RP-001 v1.0) as a song.

use std::collections::BTreeMap;

use card_control::limits::CHANNEL_GROUPS_MAX;

use super::chunks::{Division, Header, next_track};
use super::cursor::{Broken, Cursor};
use super::error::{MidiError, Rule};
use super::event::{CHANNEL_GROUP, MidiEvent, SONG_SECONDS_MAX, TICKS_A_SECOND};
use super::exclusive::is_nothing_to_say;
use super::notices::Notices;
use super::ports::{channel_groups, note_devices};
use super::tempo::TempoMap;
use super::track::{Message, Track, read_track};

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

impl Song {
    /// Reads a Standard MIDI File of format 0 or 1.
    ///
    /// # Errors
    /// [`MidiError`] when it is no such file, cannot be read to its end, holds no message to play, or lasts too long.
    pub fn parse(name: &str, file: &[u8]) -> Result<Self, MidiError> {
        let mut notices = Notices::default();
        let malformed = |(byte, rule): Broken| MidiError::Malformed { name: name.into(), byte, rule };
        let (header, mut tracks) = read_file(file, &mut notices).map_err(malformed)?;
        if header.format == 2 {
            return Err(MidiError::Format2 { name: name.into() });
        }
        let tempos = tracks.iter().flat_map(|track| track.tempos.iter().copied());
        if matches!(header.division, Division::Frames { .. }) && tempos.clone().next().is_some() {
            notices.add("set tempo events have no effect with an SMPTE division".into());
        }
        let tempo = TempoMap::new(header.division, tempos);
        let end = tracks.iter().map(|track| track.end).max().unwrap_or(0);
        let mut messages: Vec<Message> = tracks.iter_mut().flat_map(|track| track.messages.clone()).collect();
        // Stable: of one tick, the lower track comes first, and within a track the file's order holds.
        messages.sort_by_key(|message| message.tick);
        if messages.is_empty() {
            return Err(MidiError::Empty { name: name.into() });
        }
        let groups = channel_groups(&messages, &mut notices);
        let groups =
            groups.map_err(|ports| MidiError::Ports { name: name.into(), ports, groups: CHANNEL_GROUPS_MAX })?;
        note_devices(&tracks, groups.len(), &mut notices);
        note_exclusive(&messages, &mut notices);
        let times = tempo.times(messages.iter().map(|message| message.tick).chain([end]));
        let too_long = |seconds| MidiError::TooLong { name: name.into(), seconds };
        let end = *times.last().expect("the end is among them");
        if end > u128::from(SONG_SECONDS_MAX * TICKS_A_SECOND) {
            return Err(too_long(u64::try_from(end / u128::from(TICKS_A_SECOND)).unwrap_or(u64::MAX)));
        }
        let events = messages
            .into_iter()
            .zip(times)
            .map(|(Message { port, bytes, .. }, time)| {
                let channel_group = groups.get(&port).copied().unwrap_or(CHANNEL_GROUP);
                // Below the bound just checked, so it fits.
                MidiEvent { time: time as u64, channel_group, bytes }
            })
            .collect();
        Ok(Self { name: name.into(), events, end: end as u64, notices: notices.into_list() })
    }

    /// Returns how many channel groups it plays on.
    #[must_use]
    pub fn channel_groups(&self) -> u32 {
        self.events.iter().map(|event| event.channel_group).max().unwrap_or(CHANNEL_GROUP)
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

    /// Returns the song played again and again, cut after so many seconds.
    #[must_use]
    pub fn lasting(&self, seconds: u32) -> Self {
        let end = u64::from(seconds) * TICKS_A_SECOND;
        let starts = (0..end).step_by(usize::try_from(self.end.max(TICKS_A_SECOND)).unwrap_or(usize::MAX));
        let events = starts.flat_map(|start| {
            self.events.iter().map(move |event| MidiEvent { time: event.time.saturating_add(start), ..event.clone() })
        });
        let events = events.filter(|event| event.time < end).collect();
        Self { events, end, name: self.name.clone(), notices: self.notices.clone() }
    }

    /// Returns the same song with its first channel group as another one, and its others behind that.
    #[must_use]
    pub fn on_group(&self, channel_group: u32) -> Self {
        let mut song = self.clone();
        song.events.iter_mut().for_each(|event| event.channel_group += channel_group - CHANNEL_GROUP);
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

/// Reads the header and all tracks of a file.
fn read_file(file: &[u8], notices: &mut Notices) -> Result<(Header, Vec<Track>), Broken> {
    let mut cursor = Cursor::new(file, 0, file.len());
    let header = Header::read(&mut cursor, notices)?;
    let mut tracks = Vec::new();
    while let Some(mut chunk) = next_track(&mut cursor, notices) {
        let (begun, number) = (chunk.content.at, tracks.len());
        let (declared, found) = (chunk.declared, chunk.content.left());
        let cut = (begun - 4, Rule::TrackBeyondFile { declared, found });
        let track = read_track(number, &mut chunk.content, notices);
        // Whatever is wrong with the bytes of a file that is cut short, the cut comes first, unless they were read to an end.
        let is_cut = declared as usize > found;
        let track = match track {
            Err((_, Rule::EventBeyondTrack)) if is_cut => return Err(cut),
            Ok(track) if is_cut && !track.ended => return Err(cut),
            track => track?,
        };
        let left = chunk.content.left();
        if is_cut {
            notices.add(format!(
                "track {number}: the chunk has {declared} bytes by its header, and the file {found}: read to its end-of-track \
                 event"
            ));
            // What follows the track is a chunk, or nothing.
            cursor.at = chunk.content.at;
        } else if left > 0 {
            notices.add(format!("track {number}: {left} bytes after its end-of-track event are left out"));
        }
        if !track.ended {
            notices.add(format!("track {number} has no end-of-track event: the file may be cut short"));
        }
        tracks.push(track);
    }
    let (declared, found) = (header.tracks, tracks.len());
    if found < usize::from(declared) {
        return Err((file.len(), Rule::MissingTracks { declared, found }));
    }
    if found > usize::from(declared) {
        notices.add(format!("the header counts {declared} tracks, and the file has {found}: all are played"));
    } else if header.format == 0 && found > 1 {
        notices.add(format!("format 0 has one track, and the file has {found}: all are played together"));
    }
    Ok((header, tracks))
}

/// Says which system-exclusive messages a synthesizer need not know: they are delivered, and may have no effect.
fn note_exclusive(messages: &[Message], notices: &mut Notices) {
    let mut others: BTreeMap<String, usize> = BTreeMap::new();
    for message in messages.iter().filter(|message| message.bytes[0] == 0xf0) {
        if !is_nothing_to_say(&message.bytes) {
            let kind: Vec<String> = message.bytes.iter().take(5).map(|byte| format!("{byte:02x}")).collect();
            *others.entry(kind.join(" ")).or_default() += 1;
        }
    }
    if !others.is_empty() {
        const SHOWN_MAX: usize = 4;
        let count: usize = others.values().sum();
        let mut kinds: Vec<String> =
            others.iter().take(SHOWN_MAX).map(|(kind, n)| format!("{kind} ... ({n})")).collect();
        if others.len() > SHOWN_MAX {
            kinds.push(format!("{} more kinds", others.len() - SHOWN_MAX));
        }
        notices.add(format!(
            "{count} system-exclusive messages are none that the card's synthesizer acts on, and have no effect: {}",
            kinds.join(", ")
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::failure::{Class, Diagnosed};

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

    /// The song of four notes with an event in its middle, in a file of format 0.
    fn with_event(event: &[u8]) -> Vec<u8> {
        let notes = |keys: [u8; 2]| {
            keys.iter().flat_map(|key| [0, 0x90, *key, 0x64, 0x83, 0x60, 0x80, *key, 0]).collect::<Vec<u8>>()
        };
        file(
            0,
            480,
            &[&track(&[&notes([0x3c, 0x40])[..9], event, &notes([0x3c, 0x40])[9..], &notes([0x43, 0x48])].concat())],
        )
    }

    #[test]
    fn reads_to_the_end_past_a_meta_event_of_the_wrong_length() {
        for event in [&[0, 0xff, 0x59, 0][..], &[0, 0xff, 0x54, 5, 0x20, 0, 0, 0x1e, 0]] {
            let song = Song::parse("t", &with_event(event)).unwrap();
            assert_eq!((song.events.len(), song.end), (8, 20_000_000), "{event:02x?}");
        }
    }

    #[test]
    fn refuses_a_song_that_cannot_be_read_to_its_end_with_byte_and_rule() {
        let error = Song::parse("t", &with_event(&[0, 0xf4])).unwrap_err();
        assert_eq!(error, MidiError::Malformed { name: "t".into(), byte: 22 + 10, rule: Rule::System(0xf4) });
        assert!(error.to_string().contains("byte 32") && error.to_string().contains("0xf4"), "{error}");
        let whole = with_event(&[]);
        for length in 0..whole.len() {
            let error = Song::parse("t", &whole[..length]).unwrap_err();
            assert_eq!(error.class(), Class::BadInput, "{length}: {error}");
        }
    }

    #[test]
    fn refuses_headers_without_meaning() {
        let good = with_event(&[]);
        let with = |at: usize, bytes: &[u8]| {
            let mut file = good.clone();
            file[at..at + bytes.len()].copy_from_slice(bytes);
            file
        };
        let cases = [
            (with(12, &[0, 0]), 12, Rule::Division),
            (with(12, &[0xe8, 0]), 13, Rule::FrameTicks),
            (with(12, &[0x80, 4]), 12, Rule::FrameRate(0x80)),
            (with(12, &[0xe5, 4]), 12, Rule::FrameRate(27)),
            (with(10, &[0, 0]), 10, Rule::NoTracks),
            (with(8, &[0, 3]), 8, Rule::Format(3)),
            (with(4, &[0, 0, 0, 5]), 4, Rule::Header(5)),
            (with(10, &[0, 2]), good.len(), Rule::MissingTracks { declared: 2, found: 1 }),
            (with(0, b"MThx"), 0, Rule::Form),
        ];
        for (file, byte, rule) in cases {
            assert_eq!(Song::parse("t", &file), Err(MidiError::Malformed { name: "t".into(), byte, rule }));
        }
        let seconds = Song::parse("t", &with(12, &[0xe7, 40])).unwrap().end;
        // 1920 ticks at 25 frames of 40.
        assert_eq!(seconds, 19_200_000);
    }

    #[test]
    fn honours_a_longer_header_and_leaves_out_other_chunks() {
        let mut file = with_event(&[]);
        file[7] = 8;
        file.splice(14..14, [1, 2]);
        file.splice(16..16, *b"XFIH\0\0\0\x02ab");
        file.extend(b"junk");
        let song = Song::parse("t", &file).unwrap();
        assert_eq!((song.events.len(), song.notices.len()), (8, 3), "{:?}", song.notices);
        assert!(song.notices[1].contains("\"XFIH\" of 10 bytes at byte 16"), "{:?}", song.notices);
    }

    #[test]
    fn reads_a_track_whose_length_reaches_beyond_the_file_to_its_end_event() {
        let mut file = with_event(&[]);
        file[18..22].copy_from_slice(&[0x7f, 0, 0, 0]);
        let song = Song::parse("t", &file).unwrap();
        assert_eq!((song.events.len(), song.end), (8, 20_000_000));
        assert!(song.notices[0].contains("read to its end-of-track event"), "{:?}", song.notices);
        file.truncate(file.len() - 4);
        let found = file.len() - 22;
        let rule = Rule::TrackBeyondFile { declared: 0x7f00_0000, found };
        assert_eq!(Song::parse("t", &file), Err(MidiError::Malformed { name: "t".into(), byte: 18, rule }));
    }

    #[test]
    fn plays_all_tracks_and_says_when_the_header_counts_others() {
        let (one, two) = (track(&[0, 0x90, 60, 1]), track(&[1, 0x91, 60, 1]));
        let mut format_0 = file(0, 96, &[&one, &two]);
        let song = Song::parse("t", &format_0).unwrap();
        assert_eq!((song.events.len(), song.notices.len()), (2, 1));
        format_0[11] = 1;
        let song = Song::parse("t", &format_0).unwrap();
        assert!(song.events.len() == 2 && song.notices[0].contains("counts 1 tracks, and the file has 2"));
    }

    #[test]
    fn plays_each_port_on_a_channel_group_of_its_own() {
        let tracks =
            [track(&[0, 0xff, 0x21, 1, 3, 0, 0xc0, 1]), track(&[0, 0xff, 0x21, 1, 0, 0, 0xc0, 2]), END.to_vec()];
        let song = Song::parse("t", &file(1, 96, &tracks.each_ref().map(Vec::as_slice))).unwrap();
        let groups: Vec<_> = song.events.iter().map(|event| (event.channel_group, event.bytes[1])).collect();
        assert_eq!((groups, song.channel_groups()), (vec![(2, 1), (1, 2)], 2));
        assert!(song.notices[0].contains("port 0 on group 1, port 3 on group 2"), "{:?}", song.notices);
        let one_port = Song::parse("t", &file(1, 96, &[&tracks[0]])).unwrap();
        assert_eq!((one_port.channel_groups(), one_port.notices.len()), (1, 0));
    }

    #[test]
    fn says_which_exclusive_messages_have_no_effect() {
        let gs_reset = [0, 0xf0, 10, 0x41, 0x10, 0x42, 0x12, 0x40, 0, 0x7f, 0, 0x41, 0xf7];
        let volume = [0, 0xf0, 7, 0x7f, 0x7f, 4, 1, 0, 0x40, 0xf7];
        let song = Song::parse("t", &file(0, 96, &[&track(&[gs_reset.to_vec(), volume.to_vec()].concat())])).unwrap();
        assert_eq!((song.events.len(), song.notices.len()), (2, 1));
        assert!(song.notices[0].contains("f0 41 10 42 12 ... (1)"), "{:?}", song.notices);
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
    fn repeats_a_song_and_cuts_it() {
        let event = |time| MidiEvent { time, channel_group: CHANNEL_GROUP, bytes: vec![0x90, 60, 1] };
        let song =
            Song { name: "t".into(), events: vec![event(0), event(9_000_000)], end: 10_000_000, notices: Vec::new() };
        let times = |seconds| song.lasting(seconds).events.iter().map(|event| event.time).collect::<Vec<_>>();
        assert_eq!(times(2), [0, 9_000_000, 10_000_000, 19_000_000]);
        assert!(times(0).is_empty());
        let longer = Song { end: 15_000_000, ..song.clone() };
        assert_eq!(longer.lasting(2).events.last(), Some(&event(15_000_000)));
        assert_eq!(longer.lasting(2).end, 20_000_000);
    }

    #[test]
    fn plays_a_track_without_its_end_with_a_notice() {
        let song = Song::parse("t", &file(0, 96, &[&[0, 0x90, 60, 1]])).unwrap();
        assert_eq!(song.events.len(), 1);
        assert!(song.notices[0].contains("cut short"));
    }
}
