//! From recipes to instruments: regions, envelopes, filters and levels as connection blocks.

use std::collections::HashMap;
use std::sync::Arc;

use super::tone::{self, Spectrum};
use crate::dls::collection::{Collection, Connection, Instrument, Patch, Region, Wave, WaveLink, WaveSample};
use crate::dls::spec::transform::{LINEAR, SOURCE_BIPOLAR};
use crate::dls::spec::{destination as d, source as s};

/// Loudness of a wave at full velocity, volume and expression, in dB below full scale, before DirectMusic's gains.
const LOUDNESS_DB: f64 = -29.5;

/// The spectrum of a wave, for each of its roots.
pub(super) struct Sound {
    pub(super) name: String,
    /// Keys at which the wave is made; each serves the keys around it.
    pub(super) roots: Vec<u8>,
    /// Samples a second.
    pub(super) rate: f64,
    /// Seconds before the loop.
    pub(super) head: f64,
    /// Seconds of the loop; 0 for none.
    pub(super) turn: f64,
    /// Partials and noise for a fundamental in Hz.
    pub(super) spectrum: Box<dyn Fn(f64) -> Spectrum>,
}

impl Sound {
    /// Sets another sample rate than the usual one.
    pub(super) fn at(self, rate: f64) -> Self {
        Self { rate, ..self }
    }
}

/// A volume or modulation envelope, in seconds and 0 to 1.
#[derive(Clone, Copy)]
pub(super) struct Envelope {
    pub(super) attack: f64,
    pub(super) hold: f64,
    pub(super) decay: f64,
    pub(super) sustain: f64,
    pub(super) release: f64,
}

/// A low-pass and what moves it.
#[derive(Clone, Copy)]
pub(super) struct Filter {
    /// The cutoff in Hz, at key 60 and velocity 0.
    pub(super) cutoff: f64,
    /// The resonance in dB.
    pub(super) resonance: f64,
    /// Cents from velocity 0 to 127.
    pub(super) velocity: f64,
    /// Cents an octave of keys.
    pub(super) key: f64,
    /// Cents at the top of the modulation envelope.
    pub(super) sweep: f64,
}

/// One sounding layer of an instrument.
pub(super) struct Layer {
    pub(super) sound: Sound,
    pub(super) volume: Envelope,
    /// Cents that the decay time changes by from key 0 to key 127 (in time cents).
    pub(super) decay_by_key: f64,
    pub(super) modulation: Option<Envelope>,
    pub(super) filter: Option<Filter>,
    /// The gain in dB, over the common loudness.
    pub(super) gain: f64,
    /// The detuning in cents.
    pub(super) detune: f64,
    /// -0.5 to 0.5.
    pub(super) pan: f64,
    /// Depth in cents, Hz, seconds until it begins.
    pub(super) vibrato: (f64, f64, f64),
    /// Depth in dB, Hz.
    pub(super) tremolo: (f64, f64),
    /// Cents of pitch at the top of the modulation envelope.
    pub(super) pitch_sweep: f64,
}

impl Layer {
    /// Makes a layer of a sound with attack, decay, sustain and release.
    pub(super) fn new(sound: Sound, volume: [f64; 4]) -> Self {
        let [attack, decay, sustain, release] = volume;
        Self {
            sound,
            volume: Envelope { attack, hold: 0.0, decay, sustain, release },
            decay_by_key: 0.0,
            modulation: None,
            filter: None,
            gain: 0.0,
            detune: 0.0,
            pan: 0.0,
            vibrato: (0.0, 5.2, 0.0),
            tremolo: (0.0, 5.0),
            pitch_sweep: 0.0,
        }
    }

    /// Sets by how many time cents the decay time changes from key 0 to key 127.
    pub(super) fn decay_by_key(mut self, cents: f64) -> Self {
        self.decay_by_key = cents;
        self
    }

    /// Adds a filter: cutoff in Hz, resonance in dB, cents from velocity 0 to 127, cents an octave of keys.
    pub(super) fn filter(mut self, cutoff: f64, resonance: f64, velocity: f64, key: f64) -> Self {
        self.filter = Some(Filter { cutoff, resonance, velocity, key, sweep: 0.0 });
        self
    }

    /// Lets the modulation envelope (attack, decay, sustain, release) move the cutoff.
    pub(super) fn sweep(mut self, cents: f64, envelope: [f64; 4]) -> Self {
        if let Some(filter) = &mut self.filter {
            filter.sweep = cents;
        }
        self.modulated(envelope)
    }

    /// Lets the modulation envelope move the pitch.
    pub(super) fn bend(mut self, cents: f64, envelope: [f64; 4]) -> Self {
        self.pitch_sweep = cents;
        self.modulated(envelope)
    }

    fn modulated(mut self, [attack, decay, sustain, release]: [f64; 4]) -> Self {
        self.modulation = Some(Envelope { attack, hold: 0.0, decay, sustain, release });
        self
    }

    /// Sets the gain over the common loudness, in dB.
    pub(super) fn gain(mut self, decibels: f64) -> Self {
        self.gain = decibels;
        self
    }

    /// Sets the detuning in cents.
    pub(super) fn detune(mut self, cents: f64) -> Self {
        self.detune = cents;
        self
    }

    /// Sets the pan, -0.5 to 0.5.
    pub(super) fn pan(mut self, pan: f64) -> Self {
        self.pan = pan;
        self
    }

    /// Sets the vibrato: depth in cents, Hz, seconds until it begins.
    pub(super) fn vibrato(mut self, cents: f64, hertz: f64, delay: f64) -> Self {
        self.vibrato = (cents, hertz, delay);
        self
    }

    /// Sets the tremolo: depth in dB, Hz.
    pub(super) fn tremolo(mut self, decibels: f64, hertz: f64) -> Self {
        self.tremolo = (decibels, hertz);
        self
    }

    fn connections(&self) -> Vec<Connection> {
        let mut list = List::default();
        list.envelope1(&self.volume);
        if self.decay_by_key != 0.0 {
            list.add(s::KEY_NUMBER, s::NONE, d::EG1_DECAY, LINEAR, cents(self.decay_by_key));
        }
        if let Some(envelope) = &self.modulation {
            list.constant(d::EG2_ATTACK, time(envelope.attack));
            list.constant(d::EG2_DECAY, time(envelope.decay));
            list.constant(d::EG2_SUSTAIN, percent(envelope.sustain));
            list.constant(d::EG2_RELEASE, time(envelope.release));
        }
        if let Some(filter) = &self.filter {
            // The key's part is counted from key 0; the cutoff is meant at key 60.
            let key = filter.key * 128.0 / 12.0;
            let base = pitch(filter.cutoff) - key * 60.0 / 128.0;
            list.constant(d::FILTER_CUTOFF, cents(base));
            list.constant(d::FILTER_Q, decibels(filter.resonance));
            list.add(s::VELOCITY, s::NONE, d::FILTER_CUTOFF, LINEAR, cents(filter.velocity));
            list.add(s::KEY_NUMBER, s::NONE, d::FILTER_CUTOFF, LINEAR, cents(key));
            if filter.sweep != 0.0 {
                list.add(s::EG2, s::NONE, d::FILTER_CUTOFF, LINEAR, cents(filter.sweep));
            }
        }
        let (depth, hertz, delay) = self.vibrato;
        list.constant(d::VIB_FREQUENCY, cents(pitch(hertz)));
        list.constant(d::VIB_DELAY, time(delay.max(0.01)));
        if depth != 0.0 {
            list.add(s::VIBRATO, s::NONE, d::PITCH, SOURCE_BIPOLAR, cents(depth));
        }
        // The modulation wheel: always there, 50 cents.
        list.add(s::VIBRATO, s::CC1, d::PITCH, SOURCE_BIPOLAR, cents(50.0));
        let (depth, hertz) = self.tremolo;
        if depth != 0.0 {
            list.constant(d::LFO_FREQUENCY, cents(pitch(hertz)));
            list.add(s::LFO, s::NONE, d::GAIN, SOURCE_BIPOLAR, decibels(depth));
        }
        if self.pitch_sweep != 0.0 {
            list.add(s::EG2, s::NONE, d::PITCH, LINEAR, cents(self.pitch_sweep));
        }
        if self.pan != 0.0 {
            list.constant(d::PAN, percent(self.pan));
        }
        list.0
    }
}

/// An instrument.
pub(super) struct Recipe {
    pub(super) name: &'static str,
    pub(super) layers: Vec<Layer>,
}

/// Connections in the making.
#[derive(Default)]
pub(super) struct List(pub(super) Vec<Connection>);

impl List {
    /// Adds a connection.
    pub(super) fn add(&mut self, source: u16, control: u16, destination: u16, transform: u16, scale: i32) {
        self.0.push(Connection { source, control, destination, transform, scale });
    }

    /// Adds a constant.
    pub(super) fn constant(&mut self, destination: u16, scale: i32) {
        self.add(s::NONE, s::NONE, destination, LINEAR, scale);
    }

    /// Adds the volume envelope.
    pub(super) fn envelope1(&mut self, envelope: &Envelope) {
        self.constant(d::EG1_ATTACK, time(envelope.attack));
        if envelope.hold > 0.0 {
            self.constant(d::EG1_HOLD, time(envelope.hold));
        }
        self.constant(d::EG1_DECAY, time(envelope.decay));
        self.constant(d::EG1_SUSTAIN, percent(envelope.sustain));
        self.constant(d::EG1_RELEASE, time(envelope.release));
    }
}

/// Seconds in time cents.
pub(super) fn time(seconds: f64) -> i32 {
    if seconds <= 0.0 { i32::MIN } else { cents(1200.0 * libm::log2(seconds)) }
}

/// Returns a frequency in cents above MIDI key 0.
pub(super) fn pitch(hertz: f64) -> f64 {
    1200.0 * libm::log2(hertz / 440.0) + 6900.0
}

/// Returns cents in 16.16.
pub(super) fn cents(cents: f64) -> i32 {
    libm::round(cents * 65_536.0) as i32
}

/// Decibels in 1/655360 dB.
pub(super) fn decibels(decibels: f64) -> i32 {
    libm::round(decibels * 655_360.0) as i32
}

/// Returns a part of 1 in 1/65536 of 0.1 %.
pub(super) fn percent(part: f64) -> i32 {
    libm::round(part * 65_536_000.0) as i32
}

/// Builds the collection.
pub(super) struct Maker {
    collection: Collection,
    by_name: HashMap<String, u32>,
}

impl Maker {
    /// Makes an empty collection.
    pub(super) fn new(name: &str) -> Self {
        let collection = Collection { name: name.to_owned(), ..Collection::default() };
        Self { collection, by_name: HashMap::new() }
    }

    /// Returns the collection.
    pub(super) fn finish(self) -> Collection {
        self.collection
    }

    /// Returns the index of a wave, and makes it if it is not there yet.
    pub(super) fn wave(&mut self, name: &str, make: impl FnOnce() -> Wave) -> u32 {
        if let Some(index) = self.by_name.get(name) {
            return *index;
        }
        let index = self.collection.waves.len() as u32;
        self.collection.waves.push(Some(Arc::new(make())));
        self.by_name.insert(name.to_owned(), index);
        index
    }

    /// Returns a wave that was made.
    pub(super) fn made(&self, index: u32) -> &Wave {
        self.collection.waves[index as usize].as_ref().expect("every wave of the generator is there")
    }

    /// Adds an instrument.
    pub(super) fn add_instrument(&mut self, instrument: Instrument) {
        self.collection.instruments.push(instrument);
    }

    /// Adds the melodic instrument of a program.
    pub(super) fn add_program(&mut self, program: u8, recipe: &Recipe) {
        let mut regions = Vec::new();
        let shared = recipe.layers.len() as f64;
        for layer in &recipe.layers {
            let roots = &layer.sound.roots;
            for (i, root) in roots.iter().enumerate() {
                let low = if i == 0 { 0 } else { u16::from(roots[i - 1].midpoint(*root)) + 1 };
                let high = roots.get(i + 1).map_or(127, |next| u16::from(root.midpoint(*next)));
                let name = format!("{} {root}", layer.sound.name);
                let fundamental = 440.0 * libm::exp2((f64::from(*root) - 69.0) / 12.0);
                let Sound { rate, head, turn, spectrum, .. } = &layer.sound;
                let index =
                    self.wave(&name, || tone::pitched(&name, *root, *rate, (*head, *turn), &spectrum(fundamental)));
                let wave = self.made(index);
                let level = LOUDNESS_DB - tone::loudness(wave) + layer.gain - 10.0 * libm::log10(shared);
                let sample = wave.sample.expect("every pitched wave has its tuning");
                let sample = WaveSample {
                    fine_tune: sample.fine_tune + libm::round(layer.detune) as i16,
                    gain: decibels(level),
                    ..sample
                };
                regions.push(Region {
                    keys: (low, high),
                    velocities: (0, 127),
                    options: 0,
                    key_group: 0,
                    sample: Some(sample),
                    link: WaveLink { channels: 1, index, ..WaveLink::default() },
                    articulation: (shared > 1.0).then(|| layer.connections()),
                    sound_font: None,
                });
            }
        }
        let articulation = if recipe.layers.len() == 1 { recipe.layers[0].connections() } else { Vec::new() };
        self.add_instrument(Instrument {
            name: recipe.name.to_owned(),
            patch: Patch { program, ..Patch::default() },
            regions,
            articulation,
        });
    }
}
