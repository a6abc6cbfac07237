//! What a region says about its voices, made ready: what it comes to when a note starts, when its channel changes, and at
//! every tick. Of DLS these are connection blocks, of SoundFonts generators and modulators ([`SoundFont`]).

use super::curve::{Curve, Raw};
use super::envelope::{Attack, RANGE_DB, Times};
use super::filter::Resonance;
use super::lfo::{Rate, Wave};
use super::sound_font::SoundFont;
use super::standard::STANDARD;
use crate::channel::Channel;
use crate::dls::collection::Connection;
use crate::dls::spec::transform::LEVEL_2_BITS;
use crate::dls::spec::{CUTOFF_OPEN, TIME_ZERO, destination as d, source as s};
use crate::limits::CONNECTIONS_MAX;

/// Longest envelope stage in seconds, and longest oscillator delay.
const TIME_MAX: f64 = 40.0;
/// Shortest and longest turn of a low-frequency oscillator, in Hz. The table ends at 20 Hz.
const LFO_HERTZ: (f64, f64) = (0.01, 40.0);
/// Highest resonance of DLS in dB (DLS-2.2, connection table).
const RESONANCE_MAX_DB: f64 = 22.5;

/// A source that changes from tick to tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moving {
    Lfo,
    Vibrato,
    Eg2,
}

/// An input of a connection or a modulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    None,
    Moving(Moving),
    Velocity,
    Key,
    Wheel,
    PolyPressure,
    ChannelPressure,
    Controller(u8),
    BendRange,
    FineTuning,
    CoarseTuning,
}

impl Input {
    /// Returns the input with a DLS id. `None`: it is reserved, or the volume envelope, whose one connection cannot be
    /// changed.
    fn of(id: u16) -> Option<Self> {
        Some(match id {
            s::NONE => Self::None,
            s::LFO => Self::Moving(Moving::Lfo),
            s::VIBRATO => Self::Moving(Moving::Vibrato),
            s::EG2 => Self::Moving(Moving::Eg2),
            s::VELOCITY => Self::Velocity,
            s::KEY_NUMBER => Self::Key,
            s::PITCH_WHEEL => Self::Wheel,
            s::POLY_PRESSURE => Self::PolyPressure,
            s::CHANNEL_PRESSURE => Self::ChannelPressure,
            0x80..=0xFF => Self::Controller((id & 0x7F) as u8),
            s::RPN0 => Self::BendRange,
            s::RPN1 => Self::FineTuning,
            s::RPN2 => Self::CoarseTuning,
            _ => return None,
        })
    }
}

/// The inputs that a note has, and its channel.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'a> {
    pub(crate) channel: &'a Channel,
    /// The key as played.
    pub(crate) note: u8,
    /// After coarse tuning; may be outside of 0 to 127.
    pub(crate) key: i32,
    pub(crate) velocity: u8,
}

impl Inputs<'_> {
    /// Returns the value of an input. `None`: it has none, or one that changes from tick to tick.
    pub(super) fn read(&self, input: Input) -> Option<Raw> {
        let channel = self.channel;
        Some(match input {
            Input::None | Input::Moving(_) => return None,
            Input::Velocity => Raw::seven_bit(self.velocity),
            Input::Key => Raw::seven_bit(self.key),
            Input::Wheel => Raw::fourteen_bit(channel.wheel),
            Input::PolyPressure => Raw::seven_bit(channel.poly_pressure[usize::from(self.note & 0x7F)]),
            Input::ChannelPressure => Raw::seven_bit(channel.pressure),
            Input::Controller(number) => Raw::seven_bit(channel.controller(number)),
            Input::BendRange => {
                let (semitones, cents) = channel.bend_range;
                Raw::seven_bit(f64::from(semitones) + f64::from(cents) / 100.0)
            }
            Input::FineTuning => Raw::fourteen_bit(channel.fine_tuning),
            Input::CoarseTuning => Raw::seven_bit(channel.coarse_tuning),
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct Row {
    source: (Input, Curve),
    control: (Input, Curve),
    destination: u16,
    /// The scale in cents, in decibels or as a factor.
    scale: f64,
    is_constant: bool,
    is_zero_time: bool,
}

impl Row {
    fn new(connection: &Connection) -> Option<Self> {
        let source = Input::of(connection.source)?;
        let control = Input::of(connection.control)?;
        let per_unit = match connection.destination {
            d::GAIN | d::FILTER_Q => 10.0,
            d::PAN | d::REVERB | d::CHORUS | d::EG1_SUSTAIN | d::EG2_SUSTAIN => 1000.0,
            _ => 1.0,
        };
        Some(Self {
            source: (source, Curve::of_source(connection.transform)),
            control: (control, Curve::of_control(connection.transform)),
            destination: connection.destination,
            scale: f64::from(connection.scale) / 65_536.0 / per_unit,
            is_constant: source == Input::None && control == Input::None,
            is_zero_time: connection.scale == TIME_ZERO,
        })
    }

    /// Evaluates the row as a factor of one moving input, or of none: `factor * moving + offset`.
    fn evaluate(&self, inputs: &Inputs<'_>) -> (Option<Moving>, f64, f64) {
        let mut factor = self.scale;
        let mut moving = None;
        for (input, curve) in [self.source, self.control] {
            match input {
                Input::None => {}
                Input::Moving(which) => moving = Some((which, curve)),
                fixed => factor *= inputs.read(fixed).map_or(1.0, |raw| curve.apply(raw)),
            }
        }
        match moving {
            None => (None, 0.0, factor),
            Some((which, curve)) => {
                let (gain, offset) = curve.affine(which != Moving::Eg2);
                (Some(which), factor * gain, factor * offset)
            }
        }
    }
}

/// One destination's value as a function of the moving inputs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mix {
    pub(crate) base: f64,
    pub(crate) lfo: f64,
    pub(crate) vibrato: f64,
    pub(crate) eg2: f64,
}

impl Mix {
    fn add(&mut self, row: &Row, inputs: &Inputs<'_>) {
        let (moving, factor, offset) = row.evaluate(inputs);
        self.base += offset;
        match moving {
            Some(Moving::Lfo) => self.lfo += factor,
            Some(Moving::Vibrato) => self.vibrato += factor,
            Some(Moving::Eg2) => self.eg2 += factor,
            None => {}
        }
    }
}

/// The values that depend on the channel, and are computed when the channel changes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Modulation {
    /// The pitch in cents, where 0 is MIDI key 0.
    pub(crate) pitch: Mix,
    /// The gain in dB.
    pub(crate) gain: Mix,
    /// The cutoff in cents, where 0 is MIDI key 0.
    pub(crate) cutoff: Mix,
    /// -0.5 is left, 0.5 is right.
    pub(crate) pan: f64,
    /// 0 to 1.
    pub(crate) reverb: f64,
    /// 0 to 1.
    pub(crate) chorus: f64,
}

/// The values that are fixed when a note starts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NoteTimes {
    pub(crate) eg1: Times,
    pub(crate) eg2: Times,
    /// Release time of a voice that is shut down, in frames.
    pub(crate) shutdown: f32,
    pub(crate) lfo: Rate,
    pub(crate) vibrato: Rate,
    pub(crate) resonance: Peak,
}

/// The resonance of a filter in dB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Peak {
    /// Of DLS's measurement prototype.
    Prototype(f64),
    /// Of SoundFont's resonant pole pair.
    PolePair(f64),
}

impl Default for Peak {
    fn default() -> Self {
        Self::Prototype(0.0)
    }
}

impl Peak {
    /// Returns the filter's table.
    pub(crate) fn table(self) -> &'static Resonance {
        match self {
            Self::Prototype(decibels) => Resonance::of(decibels),
            Self::PolePair(decibels) => Resonance::of_sound_font(decibels),
        }
    }
}

/// What a region says about its voices.
#[derive(Debug)]
pub(crate) enum Articulation {
    /// As DLS has it.
    Dls(Connected),
    /// As SoundFont has it.
    SoundFont(Box<SoundFont>),
}

impl Articulation {
    /// Makes an articulation of connections.
    pub(crate) fn new(connections: &[Connection]) -> Self {
        Self::Dls(Connected::new(connections))
    }

    /// Returns how many bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Dls(connected) => connected.bytes(),
            Self::SoundFont(sound_font) => sound_font.bytes(),
        }
    }

    /// Returns how many semitones the key moves for each step of coarse tuning.
    pub(crate) fn coarse_tuning(&self) -> f64 {
        match self {
            Self::Dls(connected) => connected.coarse_tuning,
            // It transposes what sounds, and does not choose another zone.
            Self::SoundFont(_) => 0.0,
        }
    }

    /// Returns whether a voice with these inputs needs no filter, however long it sounds. `nyquist` is half the sample rate,
    /// in cents above MIDI key 0.
    pub(crate) fn stays_open(&self, inputs: &Inputs<'_>, nyquist: f64) -> bool {
        match self {
            Self::Dls(connected) => {
                let opens = || connected.modulation(inputs).cutoff.base >= nyquist;
                !connected.filtered || (!connected.cutoff_moves && opens())
            }
            Self::SoundFont(sound_font) => sound_font.stays_open(inputs),
        }
    }

    /// Returns whether the channel has a part in the times of a note that sounds.
    pub(crate) fn times_move(&self) -> bool {
        match self {
            Self::Dls(_) => false,
            Self::SoundFont(sound_font) => sound_font.times_move,
        }
    }

    /// Returns the values that a note has: of DLS to its end, of SoundFont until its channel changes.
    pub(crate) fn note_times(&self, inputs: &Inputs<'_>, sample_rate: u32) -> NoteTimes {
        match self {
            Self::Dls(connected) => connected.note_times(inputs, sample_rate),
            Self::SoundFont(sound_font) => sound_font.note_times(inputs, sample_rate),
        }
    }

    /// Returns the values of the destinations that depend on the channel.
    pub(crate) fn modulation(&self, inputs: &Inputs<'_>) -> Modulation {
        match self {
            Self::Dls(connected) => connected.modulation(inputs),
            Self::SoundFont(sound_font) => sound_font.modulation(inputs),
        }
    }
}

/// The connections of a region, defaults included.
#[derive(Debug)]
pub(crate) struct Connected {
    /// By destination.
    rows: Vec<Row>,
    /// Whether there is a filter at all.
    filtered: bool,
    /// Whether anything may move the cutoff while a note sounds.
    cutoff_moves: bool,
    /// Semitones that the key moves for each step of coarse tuning.
    coarse_tuning: f64,
}

impl Connected {
    /// Lays connections over the standard ones.
    ///
    /// A connection without curves gets those of its line in the standard table, as level 1 writes them; in level 2
    /// these lines have no other curve.
    fn new(connections: &[Connection]) -> Self {
        let mut merged: Vec<Connection> = STANDARD.to_vec();
        for connection in connections.iter().take(CONNECTIONS_MAX) {
            match merged.iter_mut().find(|c| c.key() == connection.key()) {
                Some(line) => {
                    let keeps_curves = connection.transform & LEVEL_2_BITS == 0;
                    let transform = if keeps_curves { line.transform } else { connection.transform };
                    *line = Connection { transform, ..*connection };
                }
                None => merged.push(*connection),
            }
        }
        let scale = |source, destination| {
            merged.iter().find(|c| c.key() == (source, s::NONE, destination)).map_or(0, |c| c.scale)
        };
        let mut rows: Vec<Row> = merged.iter().filter(|c| c.scale != 0).filter_map(Row::new).collect();
        rows.sort_by_key(|row| row.destination);
        rows.shrink_to_fit();
        let fixed = |(input, _)| matches!(input, Input::None | Input::Velocity | Input::Key);
        let filtered = scale(s::NONE, d::FILTER_CUTOFF) != CUTOFF_OPEN;
        if filtered {
            // Tables are made now, and not when the first note needs them: one when the resonance is always the same.
            if rows.iter().all(|row| row.destination != d::FILTER_Q || row.is_constant) {
                Resonance::of(f64::from(scale(s::NONE, d::FILTER_Q)) / 655_360.0);
            } else {
                Resonance::prepare();
            }
        }
        Self {
            cutoff_moves: rows
                .iter()
                .any(|r| r.destination == d::FILTER_CUTOFF && !(fixed(r.source) && fixed(r.control))),
            filtered,
            coarse_tuning: f64::from(scale(s::RPN2, d::KEY_NUMBER)) / f64::from(6400 << 16),
            rows,
        }
    }

    fn of(&self, destination: u16) -> impl Iterator<Item = &Row> {
        let first = self.rows.partition_point(|row| row.destination < destination);
        self.rows[first..].iter().take_while(move |row| row.destination == destination)
    }

    /// Returns how many bytes it takes.
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.rows.len() * size_of::<Row>()
    }

    fn sum(&self, destination: u16, inputs: &Inputs<'_>) -> f64 {
        let mut mix = Mix::default();
        self.of(destination).for_each(|row| mix.add(row, inputs));
        mix.base
    }

    /// Returns a time in seconds, which is exactly zero when the constant line has the value for zero, whatever is
    /// connected besides.
    fn seconds(&self, destination: u16, inputs: &Inputs<'_>) -> f64 {
        if self.of(destination).any(|row| row.is_constant && row.is_zero_time) {
            return 0.0;
        }
        libm::exp2(self.sum(destination, inputs) / 1200.0).min(TIME_MAX)
    }

    fn rate(&self, frequency: u16, delay: u16, inputs: &Inputs<'_>, sample_rate: f64) -> Rate {
        let hertz = 440.0 * libm::exp2((self.sum(frequency, inputs) - 6900.0) / 1200.0);
        let hertz = hertz.clamp(LFO_HERTZ.0, LFO_HERTZ.1);
        Rate {
            delay: (self.seconds(delay, inputs) * sample_rate) as u32,
            step: (hertz / sample_rate * 4_294_967_296.0) as u32,
            wave: Wave::Sine,
        }
    }

    /// Returns the values that a note that starts now keeps to its end.
    fn note_times(&self, inputs: &Inputs<'_>, sample_rate: u32) -> NoteTimes {
        let rate = f64::from(sample_rate);
        let frames = |destination| (self.seconds(destination, inputs) * rate) as f32;
        let level = |destination| self.sum(destination, inputs).clamp(0.0, 1.0) as f32;
        NoteTimes {
            eg1: Times {
                delay: frames(d::EG1_DELAY),
                attack: frames(d::EG1_ATTACK),
                hold: frames(d::EG1_HOLD),
                decay: frames(d::EG1_DECAY),
                sustain: level(d::EG1_SUSTAIN),
                release: frames(d::EG1_RELEASE),
                shape: Attack::Linear,
                range_db: RANGE_DB,
            },
            eg2: Times {
                delay: frames(d::EG2_DELAY),
                attack: frames(d::EG2_ATTACK),
                hold: frames(d::EG2_HOLD),
                decay: frames(d::EG2_DECAY),
                sustain: level(d::EG2_SUSTAIN),
                release: frames(d::EG2_RELEASE),
                shape: Attack::Linear,
                range_db: RANGE_DB,
            },
            shutdown: frames(d::EG1_SHUTDOWN),
            lfo: self.rate(d::LFO_FREQUENCY, d::LFO_DELAY, inputs, rate),
            vibrato: self.rate(d::VIB_FREQUENCY, d::VIB_DELAY, inputs, rate),
            resonance: Peak::Prototype(self.sum(d::FILTER_Q, inputs).min(RESONANCE_MAX_DB)),
        }
    }

    /// Returns the values of the destinations that depend on the channel.
    fn modulation(&self, inputs: &Inputs<'_>) -> Modulation {
        let mut pan = Mix::default();
        let mut reverb = Mix::default();
        let mut chorus = Mix::default();
        let mut modulation = Modulation::default();
        for row in &self.rows {
            let mix = match row.destination {
                d::PITCH => &mut modulation.pitch,
                d::GAIN => &mut modulation.gain,
                d::FILTER_CUTOFF => &mut modulation.cutoff,
                d::PAN => &mut pan,
                d::REVERB => &mut reverb,
                d::CHORUS => &mut chorus,
                _ => continue,
            };
            mix.add(row, inputs);
        }
        modulation.pan = pan.base.clamp(-0.5, 0.5);
        modulation.reverb = reverb.base.clamp(0.0, 1.0);
        modulation.chorus = chorus.base.clamp(0.0, 1.0);
        modulation
    }
}
