//! A small notation: parts on channels, notes at beats.

use midly::num::{u4, u7, u14, u15, u24, u28};
use midly::{Format, Header, MetaMessage, MidiMessage, PitchBend, Smf, Timing, TrackEvent, TrackEventKind};

/// Ticks in a quarter note. Divisible by 2, 3, 4, 5 and 6, so that every rhythm used is exact.
pub(super) const BEAT: u32 = 480;

/// The percussion channel of General MIDI.
pub(super) const DRUMS: u8 = 9;

/// The percussion keys of General MIDI level 1 that the songs use.
pub(super) mod drum {
    /// Bass Drum 1.
    pub(crate) const KICK: u8 = 36;
    /// Acoustic Snare.
    pub(crate) const SNARE: u8 = 38;
    /// Closed Hi Hat.
    pub(crate) const CLOSED_HAT: u8 = 42;
    /// Open Hi Hat.
    pub(crate) const OPEN_HAT: u8 = 46;
    /// Crash Cymbal 1.
    pub(crate) const CRASH: u8 = 49;
    /// Tambourine.
    pub(crate) const TAMBOURINE: u8 = 54;
}

/// Controller numbers that the songs use (MIDI 1.0, table 3).
pub(super) mod controller {
    /// Modulation wheel.
    pub(crate) const MODULATION: u8 = 1;
    /// Data entry, coarse.
    pub(crate) const DATA_ENTRY: u8 = 6;
    /// Channel volume.
    pub(crate) const VOLUME: u8 = 7;
    /// Pan.
    pub(crate) const PAN: u8 = 10;
    /// Expression.
    pub(crate) const EXPRESSION: u8 = 11;
    /// Data entry, fine.
    pub(crate) const DATA_ENTRY_FINE: u8 = 38;
    /// Sustain pedal.
    pub(crate) const SUSTAIN: u8 = 64;
    /// Reverb send level.
    pub(crate) const REVERB: u8 = 91;
    /// Chorus send level.
    pub(crate) const CHORUS: u8 = 93;
    /// Registered parameter number, fine.
    pub(crate) const RPN_FINE: u8 = 100;
    /// Registered parameter number, coarse.
    pub(crate) const RPN_COARSE: u8 = 101;
}

/// One track under construction: events in any order, at absolute ticks.
#[derive(Default)]
pub(super) struct Part<'a> {
    /// Tick, rank among events of the same tick (releases before everything else), event.
    events: Vec<(u32, u8, TrackEventKind<'a>)>,
    channel: u8,
}

/// Ranks of events of one tick.
const RELEASE: u8 = 0;
const SET_UP: u8 = 1;
const STRIKE: u8 = 2;

impl<'a> Part<'a> {
    /// Creates a part on a channel, 0 to 15.
    pub(super) fn on(channel: u8) -> Self {
        Self { events: Vec::new(), channel }
    }

    fn midi(&mut self, at: u32, rank: u8, message: MidiMessage) {
        self.events.push((at, rank, TrackEventKind::Midi { channel: u4::from(self.channel), message }));
    }

    /// Adds a program change at a tick.
    pub(super) fn program(&mut self, at: u32, program: u8) -> &mut Self {
        self.midi(at, SET_UP, MidiMessage::ProgramChange { program: u7::from(program) });
        self
    }

    /// Adds a control change at a tick.
    pub(super) fn control(&mut self, at: u32, controller: u8, value: u8) -> &mut Self {
        let message = MidiMessage::Controller { controller: u7::from(controller), value: u7::from(value) };
        self.midi(at, SET_UP, message);
        self
    }

    /// Adds a note of a length in ticks, with velocity 1 to 127.
    pub(super) fn note(&mut self, at: u32, length: u32, key: u8, velocity: u8) -> &mut Self {
        let key = u7::from(key);
        self.midi(at, STRIKE, MidiMessage::NoteOn { key, vel: u7::from(velocity) });
        self.midi(at + length, RELEASE, MidiMessage::NoteOff { key, vel: u7::from(64) });
        self
    }

    /// Adds notes that begin and end together.
    pub(super) fn chord(&mut self, at: u32, length: u32, keys: &[u8], velocity: u8) -> &mut Self {
        for key in keys {
            self.note(at, length, *key, velocity);
        }
        self
    }

    /// Adds a pitch bend of -8192 to 8191 at a tick.
    pub(super) fn bend(&mut self, at: u32, value: i32) -> &mut Self {
        let value = u14::from((value.clamp(-8192, 8191) + 8192) as u16);
        self.midi(at, SET_UP, MidiMessage::PitchBend { bend: PitchBend(value) });
        self
    }

    /// Adds channel pressure at a tick.
    pub(super) fn pressure(&mut self, at: u32, value: u8) -> &mut Self {
        self.midi(at, SET_UP, MidiMessage::ChannelAftertouch { vel: u7::from(value) });
        self
    }

    /// Adds polyphonic key pressure at a tick.
    pub(super) fn key_pressure(&mut self, at: u32, key: u8, value: u8) -> &mut Self {
        self.midi(at, SET_UP, MidiMessage::Aftertouch { key: u7::from(key), vel: u7::from(value) });
        self
    }

    /// Adds a system-exclusive message, from after `F0` to `F7`.
    pub(super) fn exclusive(&mut self, at: u32, data: &'a [u8]) -> &mut Self {
        self.events.push((at, SET_UP, TrackEventKind::SysEx(data)));
        self
    }

    /// Adds a tempo change at a tick, in quarter notes a minute.
    pub(super) fn tempo(&mut self, at: u32, beats_a_minute: u32) -> &mut Self {
        let microseconds = u24::from(60_000_000 / beats_a_minute);
        self.events.push((at, SET_UP, TrackEventKind::Meta(MetaMessage::Tempo(microseconds))));
        self
    }

    /// Adds the track's name.
    pub(super) fn name(&mut self, name: &'a str) -> &mut Self {
        self.events.push((0, RELEASE, TrackEventKind::Meta(MetaMessage::TrackName(name.as_bytes()))));
        self
    }

    /// Adds another part's events to this track.
    pub(super) fn append(&mut self, mut other: Self) -> &mut Self {
        self.events.append(&mut other.events);
        self
    }

    fn into_track(mut self, end: u32) -> Vec<TrackEvent<'a>> {
        self.events.sort_by_key(|(at, rank, _)| (*at, *rank));
        self.events.push((end, STRIKE, TrackEventKind::Meta(MetaMessage::EndOfTrack)));
        let mut last = 0;
        let mut since_last = |at: u32| u28::from(at - std::mem::replace(&mut last, at));
        self.events.into_iter().map(|(at, _, kind)| TrackEvent { delta: since_last(at), kind }).collect()
    }
}

/// Writes the parts as a Standard MIDI File that ends at a tick: of format 0 for one part, else of format 1.
pub(super) fn write(parts: Vec<Part<'_>>, end: u32) -> Vec<u8> {
    let format = if parts.len() == 1 { Format::SingleTrack } else { Format::Parallel };
    let mut smf = Smf::new(Header::new(format, Timing::Metrical(u15::from(BEAT as u16))));
    smf.tracks = parts.into_iter().map(|part| part.into_track(end)).collect();
    let mut file = Vec::new();
    smf.write_std(&mut file).expect("writing to memory");
    file
}

/// A generator of small, reproducible variations (xorshift, 32 bits), so that repeated figures do not sound mechanical.
pub(super) struct Hand(pub(super) u32);

impl Hand {
    /// Returns a number from 0 to `bound` - 1.
    pub(super) fn up_to(&mut self, bound: u32) -> u8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        (self.0 % bound) as u8
    }
}
