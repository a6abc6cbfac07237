//! What the tests share: collections with exactly known waves, and a way to measure the output.
//!
//! A measurement is a pair of renders that differ in one thing: the wave is a cosine in one and a sine in the other.
//! The two together give amplitude and phase at every single frame, without a window (Wine's tests of dmsynth measure
//! envelopes that way).

#![allow(dead_code, reason = "each test file uses its own part of this module")]

pub(crate) mod connection_table;
pub(crate) mod download;
pub(crate) mod file;
pub(crate) mod live;
pub(crate) mod prototype;
pub(crate) mod setup;
pub(crate) mod sf2;
pub(crate) mod xmf;

use std::f64::consts::TAU;
use std::sync::Arc;

use dls_synth::dls::spec::transform::LINEAR;
use dls_synth::dls::spec::{destination as d, source as s};
use dls_synth::dls::{Collection, Connection, Instrument, Patch, Region, SampleLoop, Wave, WaveLink, WaveSample};
use dls_synth::{Bank, Synth, SynthConfig, VolumeItem};

/// Frames a second in all tests that measure.
pub(crate) const RATE: u32 = 48_000;

/// Samples of one turn of the test tone.
pub(crate) const TURN: usize = 256;

/// Peak of the test tone, as a part of full scale.
pub(crate) const PEAK: f64 = 0.9;

/// The frequency of the test tone at its unity note.
pub(crate) const TONE_HERTZ: f64 = RATE as f64 / TURN as f64;

/// Velocity 127, CC7 127, CC11 127: nothing attenuates.
pub(crate) const FULL: u8 = 127;

pub(crate) fn connection(source: u16, control: u16, destination: u16, transform: u16, scale: i32) -> Connection {
    Connection { source, control, destination, transform, scale }
}

pub(crate) fn constant(destination: u16, scale: i32) -> Connection {
    connection(s::NONE, s::NONE, destination, LINEAR, scale)
}

/// Seconds in time cents, 16.16.
pub(crate) fn time(seconds: f64) -> i32 {
    (1200.0 * seconds.log2() * 65_536.0).round() as i32
}

/// Returns Hz in absolute pitch cents, 16.16.
pub(crate) fn pitch(hertz: f64) -> i32 {
    ((1200.0 * (hertz / 440.0).log2() + 6900.0) * 65_536.0).round() as i32
}

pub(crate) fn cents(cents: f64) -> i32 {
    (cents * 65_536.0).round() as i32
}

pub(crate) fn decibels(decibels: f64) -> i32 {
    (decibels * 655_360.0).round() as i32
}

pub(crate) fn percent(part: f64) -> i32 {
    (part * 65_536_000.0).round() as i32
}

pub(crate) fn looped(start: u32, length: u32) -> WaveSample {
    WaveSample { sample_loop: Some(SampleLoop { until_release: false, start, length }), ..WaveSample::default() }
}

pub(crate) fn region(index: u32, sample: WaveSample) -> Region {
    Region {
        keys: (0, 127),
        velocities: (0, 127),
        options: 0,
        key_group: 0,
        sample: Some(sample),
        link: WaveLink { channels: 1, index, ..WaveLink::default() },
        articulation: None,
        sound_font: None,
    }
}

pub(crate) fn wave(samples: &[i16]) -> Option<Arc<Wave>> {
    Some(Arc::new(Wave::new("", RATE, samples, None)))
}

/// Makes one turn of the test tone, `quarter` turns late.
pub(crate) fn tone(quarter: f64) -> Vec<i16> {
    let angle = |i: usize| TAU * (i as f64 / TURN as f64 - quarter / 4.0);
    (0..TURN).map(|i| (PEAK * 32_768.0 * angle(i).cos()).round() as i16).collect()
}

/// Makes one instrument at program 0, of these regions.
pub(crate) fn collection(regions: Vec<Region>, waves: Vec<Option<Arc<Wave>>>) -> Collection {
    let instrument = Instrument { patch: Patch::default(), regions, ..Instrument::default() };
    Collection { instruments: vec![instrument], waves, ..Collection::default() }
}

/// Makes a collection of the test tone with an articulation.
pub(crate) fn tone_collection(quarter: f64, articulation: &[Connection]) -> Collection {
    let mut collection = collection(vec![region(0, looped(0, TURN as u32))], vec![wave(&tone(quarter))]);
    collection.instruments[0].articulation = articulation.to_vec();
    collection
}

/// Makes a configuration without effects and without DirectMusic's gains: a full-scale wave is rendered at full scale.
pub(crate) fn dry() -> SynthConfig {
    SynthConfig { sample_rate: RATE, reverb: false, chorus: false, ..SynthConfig::default() }
}

/// Makes a synthesizer with volume, expression and both of DirectMusic's volumes set so that nothing attenuates or
/// amplifies, on every channel of group 0.
pub(crate) fn plain_synth(config: SynthConfig, collection: &Collection) -> Synth {
    let mut synth = Synth::new(config, Arc::new(Bank::from_collection(collection))).unwrap();
    // 6 dB of its own, and 6 dB of boost at first.
    synth.set_volume(VolumeItem::Volume, -600);
    synth.set_volume(VolumeItem::Boost, 0);
    for channel in 0..16 {
        synth.midi(0, &[0xB0 | channel, 7, 127]);
        synth.midi(0, &[0xB0 | channel, 91, 0]);
    }
    synth
}

pub(crate) fn render(synth: &mut Synth, frames: usize) -> Vec<[f32; 2]> {
    let mut out = vec![[0.0; 2]; frames];
    synth.render(&mut out);
    out
}

/// Amplitude and frequency, frame by frame, of the test tone.
pub(crate) struct Trace {
    /// 1 is the tone's own amplitude on one output at centre pan: what goes in comes out, but for pan.
    pub(crate) amplitude: Vec<f64>,
    /// Turns of the tone from each frame to the next.
    pub(crate) turns: Vec<f64>,
}

impl Trace {
    pub(crate) fn decibels(&self, frame: usize) -> f64 {
        20.0 * self.amplitude[frame].log10()
    }

    /// Returns cents above the tone's own frequency, by the turns in a radius of frames.
    pub(crate) fn cents_around(&self, frame: usize, radius: usize) -> f64 {
        let part = &self.turns[frame.saturating_sub(radius)..(frame + radius).min(self.turns.len())];
        let hertz = part.iter().sum::<f64>() / part.len() as f64 * f64::from(RATE);
        1200.0 * (hertz / TONE_HERTZ).log2()
    }
}

/// Plays `events` (frame, message) and shows what the left output does.
pub(crate) fn trace(articulation: &[Connection], events: &[(usize, &[u8])], frames: usize) -> Trace {
    trace_of(|quarter| tone_collection(quarter, articulation), events, frames, 0)
}

/// Returns the trace for any collection of quadrature waves, and either output.
pub(crate) fn trace_of(
    collection: impl Fn(f64) -> Collection,
    events: &[(usize, &[u8])],
    frames: usize,
    output: usize,
) -> Trace {
    let side = |quarter: f64| -> Vec<f64> {
        let mut synth = plain_synth(dry(), &collection(quarter));
        let mut out = Vec::new();
        for (frame, message) in events {
            out.extend(render(&mut synth, frame - out.len()));
            synth.midi(0, message);
        }
        out.extend(render(&mut synth, frames - out.len()));
        out.iter().map(|frame| f64::from(frame[output])).collect()
    };
    let (cosine, sine) = (side(0.0), side(1.0));
    let centre = PEAK * std::f64::consts::FRAC_1_SQRT_2;
    let amplitude = cosine.iter().zip(&sine).map(|(c, s)| c.hypot(*s) / centre).collect();
    let angle: Vec<f64> = cosine.iter().zip(&sine).map(|(c, s)| s.atan2(*c)).collect();
    let turn = |pair: &[f64]| {
        let turned = (pair[1] - pair[0]) / TAU;
        turned - turned.round()
    };
    Trace { amplitude, turns: angle.windows(2).map(turn).collect() }
}

pub(crate) const NOTE_ON: &[u8] = &[0x90, 60, FULL];
pub(crate) const NOTE_OFF: &[u8] = &[0x80, 60, 64];

/// Returns the frame of a time.
pub(crate) fn frame(seconds: f64) -> usize {
    (seconds * f64::from(RATE)).round() as usize
}

/// Makes an instrument that only holds: full at once, gone at once.
pub(crate) fn organ() -> Vec<Connection> {
    vec![constant(d::EG1_ATTACK, i32::MIN)]
}

/// Random numbers for tests: the same at every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

#[track_caller]
pub(crate) fn close(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found} is not {expected} ± {tolerance}");
}
