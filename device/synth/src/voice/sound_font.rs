//! The generators and modulators of a SoundFont's region, made ready (SoundFont 2.04, 8.1.2, 8.2 to 8.4, 9.4, 9.5).
//!
//! A value is the sum of its generators and of the modulators that lead to it, within the generator's limits. Modulators
//! follow their sources while a note sounds, those of times and of the resonance included.

use super::articulation::{Input, Inputs, Mix, Modulation, NoteTimes, Peak};
use super::curve::{Curve, Raw};
use super::envelope::{Attack, Times};
use super::filter::Resonance;
use super::lfo::{Rate, Wave};
use crate::sound_font::SoundFontZone;
use crate::sound_font::generators::{COUNT, id, limits_of};
use crate::sound_font::modulators::{Modulator, SourceKind, is_default_pan};

/// The attenuation of every voice, in dB. SoundFonts are made for players that turn them down (FluidSynth by 14 dB);
/// DirectMusic turns up by 12 dB what DLS leaves quiet. With this, a dense song just fits.
pub(crate) const HEADROOM_DB: f64 = 17.0;

/// Decibels from full level to none of the volume envelope (8.1.2, 36 to 38).
const RANGE_DB: f32 = 100.0;

/// Time cents at and below which a time counts as none: less than 1 ms.
const NO_TIME: f64 = -12_000.0;

/// Shortest release, in time cents: 1 ms, the least of 8.1.3.
const RELEASE_MIN: f64 = -12_000.0;

/// Time in seconds in which a voice ends that another of its exclusive class ends: "rapidly" in 8.1.2, 57; as DLS has it.
const SHUTDOWN_SECONDS: f64 = 0.015;

/// Cutoff in cents from which a filter without resonance changes nothing (8.1.2, 8): 20 kHz.
const CUTOFF_OPEN: f64 = 13_500.0;

/// The part of the default pan modulator's amount that counts. Its 1000 are the way from one side to the other, of which
/// 127 is the end (8.4.6); a controller that is counted both ways from the middle would be there at three quarters.
const PAN_PART: f64 = 0.508;

/// Most modulators of a voice that are fed by others: all that its four zones can have.
const LINKED_MAX: usize = 256;

/// A source of a modulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Input(Input),
    /// The sum of the modulators that lead here.
    Link(usize),
}

/// What a modulator changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Generator(usize),
    /// The source of another one.
    Link(usize),
}

#[derive(Clone, Copy, Debug)]
struct Row {
    sources: [(Source, Curve); 2],
    target: Target,
    amount: f64,
    is_absolute: bool,
}

/// The generators and modulators of a region.
#[derive(Debug)]
pub(crate) struct SoundFont {
    zone: SoundFontZone,
    rows: Box<[Row]>,
    /// Whether any modulator leads to another.
    has_links: bool,
    /// Whether anything may move cutoff or resonance while a note sounds.
    cutoff_moves: bool,
    /// Whether the channel has a part in times or resonance.
    pub(crate) times_move: bool,
}

/// Returns whether a generator is a time, a frequency, a sustain level or the resonance.
fn is_time(number: usize) -> bool {
    matches!(number, id::FILTER_Q | id::MOD_LFO_DELAY..=id::KEY_TO_VOL_ENV_DECAY)
}

fn is_of_filter(number: usize) -> bool {
    matches!(number, id::FILTER_CUTOFF | id::FILTER_Q | id::MOD_LFO_TO_CUTOFF | id::MOD_ENV_TO_CUTOFF)
}

impl Source {
    fn new(bits: u16, index: usize) -> Option<Self> {
        Some(match SourceKind::of(bits).ok()? {
            SourceKind::Link => Self::Link(index),
            SourceKind::None => Self::Input(Input::None),
            SourceKind::Velocity => Self::Input(Input::Velocity),
            SourceKind::Key => Self::Input(Input::Key),
            SourceKind::PolyPressure => Self::Input(Input::PolyPressure),
            SourceKind::ChannelPressure => Self::Input(Input::ChannelPressure),
            SourceKind::Wheel => Self::Input(Input::Wheel),
            SourceKind::WheelSensitivity => Self::Input(Input::BendRange),
            SourceKind::Controller(number) => Self::Input(Input::Controller(number)),
        })
    }

    /// Returns whether it stays as it is while a note sounds.
    fn is_fixed(self) -> bool {
        matches!(self, Self::Input(Input::None | Input::Velocity | Input::Key))
    }
}

impl Row {
    fn new(modulator: &Modulator, index: usize) -> Option<Self> {
        let source = |bits| Some((Source::new(bits, index)?, Curve::of_sound_font(bits)));
        let target = match modulator.link() {
            Some(other) => Target::Link(other),
            None => Target::Generator(usize::from(modulator.destination)),
        };
        let part = if is_default_pan(modulator) { PAN_PART } else { 1.0 };
        Some(Self {
            sources: [source(modulator.source)?, source(modulator.amount_source)?],
            target,
            amount: f64::from(modulator.amount) * part,
            is_absolute: modulator.is_absolute(),
        })
    }

    fn is_fixed(&self) -> bool {
        self.sources.iter().all(|(source, _)| source.is_fixed())
    }

    fn value(&self, inputs: &Inputs<'_>, links: &[f64]) -> f64 {
        let mut value = self.amount;
        for (source, curve) in self.sources {
            value *= match source {
                Source::Link(index) => curve.apply_normalised(links.get(index).copied().unwrap_or(0.0)),
                // The sensitivity is 127 semitones at most, and so is the amount of the default modulator that it scales.
                Source::Input(Input::BendRange) => inputs.read(Input::BendRange).map_or(1.0, |raw| {
                    curve.apply(Raw { value: raw.value * (raw.maximum + 1.0) / raw.maximum, maximum: raw.maximum })
                }),
                Source::Input(input) => inputs.read(input).map_or(1.0, |raw| curve.apply(raw)),
            };
        }
        if self.is_absolute { value.abs() } else { value }
    }
}

impl SoundFont {
    /// Makes a zone ready.
    pub(crate) fn new(zone: &SoundFontZone) -> Self {
        let counts = |m: &Modulator| m.amount != 0 || m.link().is_some();
        let mut rows: Vec<Row> = Vec::with_capacity(zone.modulators.len());
        for (index, modulator) in zone.modulators.iter().enumerate().filter(|(_, m)| counts(m)) {
            rows.extend(Row::new(modulator, index.min(LINKED_MAX - 1)));
        }
        let has_links = rows.iter().any(|row| matches!(row.target, Target::Link(_)));
        let moves = |wanted: fn(usize) -> bool| {
            rows.iter().any(|row| matches!(row.target, Target::Generator(number) if wanted(number)) && !row.is_fixed())
        };
        let swings = zone.sum(id::MOD_LFO_TO_CUTOFF) != 0 || zone.sum(id::MOD_ENV_TO_CUTOFF) != 0;
        let leads_to = |wanted: usize| rows.iter().any(|row| row.target == Target::Generator(wanted));
        // Tables are made now, and not when the first note needs them.
        if leads_to(id::FILTER_Q) {
            Resonance::prepare_sound_font();
        } else {
            Resonance::of_sound_font(f64::from(zone.sum(id::FILTER_Q)) / 10.0);
        }
        Self {
            cutoff_moves: swings
                || moves(is_of_filter)
                || leads_to(id::MOD_LFO_TO_CUTOFF)
                || leads_to(id::MOD_ENV_TO_CUTOFF),
            times_move: moves(is_time),
            has_links,
            zone: SoundFontZone { modulators: Vec::new(), ..zone.clone() },
            rows: rows.into_boxed_slice(),
        }
    }

    /// Returns how many bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.rows)
    }

    /// Returns the inputs with key and velocity of the zone in place of the note's.
    fn forced<'a>(&self, inputs: &Inputs<'a>) -> Inputs<'a> {
        Inputs {
            key: self.zone.key.map_or(inputs.key, i32::from),
            velocity: self.zone.velocity.unwrap_or(inputs.velocity),
            ..*inputs
        }
    }

    /// Returns all values by the numbers of their generators, within their limits.
    fn values(&self, inputs: &Inputs<'_>) -> [f64; COUNT] {
        let mut values = self.zone.generators.map(f64::from);
        if self.has_links {
            let mut links = [0.0; LINKED_MAX];
            for row in &self.rows {
                let value = row.value(inputs, &links);
                match row.target {
                    Target::Generator(number) => values[number] += value,
                    Target::Link(other) => links[other.min(LINKED_MAX - 1)] += value,
                }
            }
        } else {
            for row in &self.rows {
                if let Target::Generator(number) = row.target {
                    values[number] += row.value(inputs, &[]);
                }
            }
        }
        for (number, value) in values.iter_mut().enumerate() {
            let (least, greatest) = limits_of(number);
            // Tunings are limited as generators, and bent far beyond by modulators.
            if !matches!(number, id::COARSE_TUNE | id::FINE_TUNE | id::PITCH) {
                *value = value.clamp(f64::from(least), f64::from(greatest));
            }
        }
        values
    }

    /// Returns whether a voice with these inputs needs no filter, however long it sounds.
    pub(crate) fn stays_open(&self, inputs: &Inputs<'_>) -> bool {
        if self.cutoff_moves {
            return false;
        }
        let values = self.values(&self.forced(inputs));
        values[id::FILTER_CUTOFF] >= CUTOFF_OPEN && values[id::FILTER_Q] <= 0.0
    }

    /// Returns the times of a note at this moment.
    pub(crate) fn note_times(&self, inputs: &Inputs<'_>, sample_rate: u32) -> NoteTimes {
        let inputs = self.forced(inputs);
        let (values, rate) = (self.values(&inputs), f64::from(sample_rate));
        let frames = |cents: f64| if cents <= NO_TIME { 0.0 } else { (libm::exp2(cents / 1200.0) * rate) as f32 };
        let keyed = |number: usize, per_key: usize| {
            let (least, greatest) = limits_of(number);
            let cents = values[number] + (60.0 - f64::from(inputs.key)) * values[per_key];
            frames(cents.clamp(f64::from(least), f64::from(greatest)))
        };
        let release = |number: usize| (libm::exp2(values[number].max(RELEASE_MIN) / 1200.0) * rate) as f32;
        let oscillator = |frequency: usize, delay: usize| {
            let hertz = 440.0 * libm::exp2((values[frequency] - 6900.0) / 1200.0);
            Rate {
                delay: frames(values[delay]) as u32,
                step: (hertz / rate * 4_294_967_296.0) as u32,
                wave: Wave::Triangle,
            }
        };
        // In centibels of 100 dB, and in tenths of a per cent.
        let sustain = |number: usize| (1.0 - values[number] / 1000.0).clamp(0.0, 1.0) as f32;
        NoteTimes {
            eg1: Times {
                delay: frames(values[id::VOL_ENV_DELAY]),
                attack: frames(values[id::VOL_ENV_ATTACK]),
                hold: keyed(id::VOL_ENV_HOLD, id::KEY_TO_VOL_ENV_HOLD),
                decay: keyed(id::VOL_ENV_DECAY, id::KEY_TO_VOL_ENV_DECAY),
                sustain: sustain(id::VOL_ENV_SUSTAIN),
                release: release(id::VOL_ENV_RELEASE),
                shape: Attack::Linear,
                range_db: RANGE_DB,
            },
            eg2: Times {
                delay: frames(values[id::MOD_ENV_DELAY]),
                attack: frames(values[id::MOD_ENV_ATTACK]),
                hold: keyed(id::MOD_ENV_HOLD, id::KEY_TO_MOD_ENV_HOLD),
                decay: keyed(id::MOD_ENV_DECAY, id::KEY_TO_MOD_ENV_DECAY),
                sustain: sustain(id::MOD_ENV_SUSTAIN),
                release: release(id::MOD_ENV_RELEASE),
                shape: Attack::Convex,
                range_db: RANGE_DB,
            },
            shutdown: (SHUTDOWN_SECONDS * rate) as f32,
            lfo: oscillator(id::MOD_LFO_FREQUENCY, id::MOD_LFO_DELAY),
            vibrato: oscillator(id::VIB_LFO_FREQUENCY, id::VIB_LFO_DELAY),
            resonance: Peak::PolePair(values[id::FILTER_Q] / 10.0),
        }
    }

    /// Returns the values of the destinations that depend on the channel.
    pub(crate) fn modulation(&self, inputs: &Inputs<'_>) -> Modulation {
        let inputs = self.forced(inputs);
        let (values, zone) = (self.values(&inputs), &self.zone);
        let from_root = f64::from(inputs.key) - f64::from(zone.root_key);
        let bent = |number: usize| values[number] - f64::from(zone.sum(number));
        let channel = inputs.channel;
        let transposed = if channel.drums { 0.0 } else { 100.0 * (f64::from(channel.coarse_tuning) - 64.0) };
        let tuned = 100.0 * (f64::from(channel.fine_tuning) - 8192.0) / 8192.0 + transposed;
        let pitch = from_root * values[id::SCALE_TUNING]
            + f64::from(zone.tuning())
            + 100.0 * bent(id::COARSE_TUNE)
            + bent(id::FINE_TUNE)
            + values[id::PITCH]
            + tuned;
        Modulation {
            pitch: Mix {
                base: pitch,
                lfo: values[id::MOD_LFO_TO_PITCH],
                vibrato: values[id::VIB_LFO_TO_PITCH],
                eg2: values[id::MOD_ENV_TO_PITCH],
            },
            gain: Mix {
                base: -values[id::ATTENUATION] / 10.0 - HEADROOM_DB,
                lfo: values[id::MOD_LFO_TO_VOLUME] / 10.0,
                ..Mix::default()
            },
            cutoff: Mix {
                base: values[id::FILTER_CUTOFF],
                lfo: values[id::MOD_LFO_TO_CUTOFF],
                eg2: values[id::MOD_ENV_TO_CUTOFF],
                ..Mix::default()
            },
            pan: values[id::PAN] / 1000.0,
            reverb: values[id::REVERB] / 1000.0,
            chorus: values[id::CHORUS] / 1000.0,
        }
    }
}
