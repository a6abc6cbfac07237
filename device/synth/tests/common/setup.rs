//! One looped tone, an articulation, and messages: played twice, as a cosine and as a sine, so that amplitude and pitch
//! are known at every frame on both outputs.

use std::f64::consts::{FRAC_PI_2, TAU};

use dls_synth::dls::spec::destination as d;
use dls_synth::dls::spec::source as s;
use dls_synth::dls::{Collection, Connection, Region, WaveSample};
use dls_synth::{Synth, SynthConfig};

use super::{FULL, PEAK, RATE, collection, dry, looped, plain_synth, region, wave};

/// What is played. `Setup::default()` holds a note 60 of velocity 127 at its unity note.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) config: SynthConfig,
    /// Samples of one turn of the tone; 256 make 187.5 Hz.
    pub(crate) turn: usize,
    pub(crate) unity: u16,
    /// `wsmp` gain, 1/655360 dB.
    pub(crate) gain: i32,
    pub(crate) articulation: Vec<Connection>,
    pub(crate) key: u8,
    pub(crate) velocity: u8,
    /// Sent before the note.
    pub(crate) before: Vec<Vec<u8>>,
    /// Sent at frames, in order, after the note's start at frame 0.
    pub(crate) events: Vec<(usize, Vec<u8>)>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            config: SynthConfig { voices: 8, ..dry() },
            turn: super::TURN,
            unity: 60,
            gain: 0,
            articulation: Vec::new(),
            key: 60,
            velocity: FULL,
            before: Vec::new(),
            events: Vec::new(),
        }
    }
}

/// Both outputs of a pair of renders.
pub(crate) struct Recording {
    rate: f64,
    cosine: Vec<[f32; 2]>,
    sine: Vec<[f32; 2]>,
    /// The tone's frequency at its unity note.
    hertz: f64,
}

impl Setup {
    pub(crate) fn of(articulation: &[Connection]) -> Self {
        Self { articulation: articulation.to_vec(), ..Self::default() }
    }

    /// Returns the tone, `quarter` turns late.
    pub(crate) fn samples(&self, quarter: f64) -> Vec<i16> {
        let angle = |i: usize| TAU * (i as f64 / self.turn as f64 - quarter / 4.0);
        (0..self.turn).map(|i| (PEAK * 32_768.0 * angle(i).cos()).round() as i16).collect()
    }

    pub(crate) fn region(&self) -> Region {
        let sample = looped(0, self.turn as u32);
        region(0, WaveSample { unity_note: self.unity, gain: self.gain, ..sample })
    }

    pub(crate) fn collection(&self, quarter: f64) -> Collection {
        let mut collection = collection(vec![self.region()], vec![wave(&self.samples(quarter))]);
        collection.instruments[0].articulation = self.articulation.clone();
        collection
    }

    /// Plays on channel 1.
    pub(crate) fn play(&self, frames: usize) -> Recording {
        self.play_collection(frames, |quarter| self.collection(quarter))
    }

    /// Plays other instruments.
    pub(crate) fn play_collection(&self, frames: usize, make: impl Fn(f64) -> Collection) -> Recording {
        let side = |quarter: f64| {
            let mut synth = plain_synth(self.config, &make(quarter));
            self.before.iter().for_each(|message| synth.midi(0, message));
            synth.midi(0, &[0x90, self.key, self.velocity]);
            let mut out = vec![[0.0; 2]; frames];
            let mut done = 0;
            for (frame, message) in &self.events {
                synth.render(&mut out[done..*frame]);
                done = *frame;
                synth.midi(0, message);
            }
            synth.render(&mut out[done..]);
            out
        };
        let rate = f64::from(self.config.sample_rate);
        // The wave is always of the same rate, at any rate of the output.
        let hertz = f64::from(RATE) / self.turn as f64;
        Recording { rate, cosine: side(0.0), sine: side(1.0), hertz }
    }
}

impl Recording {
    pub(crate) fn frames(&self) -> usize {
        self.cosine.len()
    }

    /// Returns amplitude on an output; 1 is the tone's own.
    pub(crate) fn output(&self, frame: usize, output: usize) -> f64 {
        f64::from(self.cosine[frame][output]).hypot(f64::from(self.sine[frame][output])) / PEAK
    }

    /// Returns the amplitude of both outputs together, at any pan; 1 is the tone's own.
    pub(crate) fn amplitude(&self, frame: usize) -> f64 {
        self.output(frame, 0).hypot(self.output(frame, 1))
    }

    pub(crate) fn decibels(&self, frame: usize) -> f64 {
        20.0 * self.amplitude(frame).log10()
    }

    /// Returns where between the outputs: -0.5 is left, 0.5 is right.
    pub(crate) fn pan(&self, frame: usize) -> f64 {
        self.output(frame, 1).atan2(self.output(frame, 0)) / FRAC_PI_2 - 0.5
    }

    /// Turns of the tone from one frame to the next.
    pub(crate) fn turns(&self, frame: usize) -> f64 {
        let output = usize::from(self.output(frame, 1) > self.output(frame, 0));
        let angle =
            |frame: usize| f64::from(self.sine[frame][output]).atan2(f64::from(self.cosine[frame][output])) / TAU;
        let turned = angle(frame + 1) - angle(frame);
        turned - turned.round()
    }

    /// Returns cents above the tone's own pitch, over `radius` frames on either side.
    pub(crate) fn cents(&self, frame: usize, radius: usize) -> f64 {
        let (from, to) = (frame.saturating_sub(radius), (frame + radius).min(self.frames() - 1));
        let hertz = (from..to).map(|i| self.turns(i)).sum::<f64>() / (to - from) as f64 * self.rate;
        1200.0 * (hertz / self.hertz).log2()
    }
}

/// How an input of a connection gets a value: the messages, the note and the articulation that bring it about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value {
    /// The input is not connected.
    Nothing,
    /// A number of 7 bits, or of 14 for the wheel and the fine tuning.
    Number(u16),
    /// The output of an oscillator, -1 or 1: a time is chosen at which it has it.
    Turn(f64),
    /// The level of the modulation envelope, 0 to 1.
    Level(f64),
}

/// Turns of a second of the slow oscillators that [`Setup::feed`] sets.
const SLOW_HERTZ: f64 = 1.0;

/// Returns when an oscillator that began with the note, after 10 ms, puts out a value.
pub(crate) fn time_of(turn: f64) -> f64 {
    0.01 + if turn > 0.0 { 0.25 } else { 0.75 } / SLOW_HERTZ
}

impl Setup {
    /// Gives an input of a connection a value. Returns the frame from which it has it.
    pub(crate) fn feed(&mut self, input: u16, value: Value) -> usize {
        let settled = 600;
        match (input, value) {
            (s::NONE, Value::Nothing) => settled,
            (s::LFO | s::VIBRATO, Value::Turn(turn)) => {
                let frequency = if input == s::LFO { d::LFO_FREQUENCY } else { d::VIB_FREQUENCY };
                self.articulation.push(super::constant(frequency, super::pitch(SLOW_HERTZ)));
                super::frame(time_of(turn))
            }
            (s::EG2, Value::Level(level)) => {
                self.articulation.push(super::constant(d::EG2_SUSTAIN, super::percent(level)));
                settled
            }
            (s::VELOCITY, Value::Number(velocity)) => {
                self.velocity = velocity as u8;
                settled
            }
            (s::KEY_NUMBER, Value::Number(key)) => {
                self.key = key as u8;
                settled
            }
            (s::CHANNEL_PRESSURE, Value::Number(pressure)) => self.send(&[0xD0, pressure as u8]),
            (s::POLY_PRESSURE, Value::Number(pressure)) => {
                // There is no note yet for which it could be kept: it is sent after the note.
                self.events.push((0, vec![0xA0, self.key, pressure as u8]));
                settled
            }
            (s::PITCH_WHEEL, Value::Number(value)) => self.send(&[0xE0, value as u8 & 0x7F, (value >> 7) as u8]),
            (s::RPN0 | s::RPN2, Value::Number(value)) => self.parameter((input & 0xF) as u8, value as u8, None),
            (s::RPN1, Value::Number(value)) => self.parameter(1, (value >> 7) as u8, Some(value as u8 & 0x7F)),
            (0x80..=0xFF, Value::Number(value)) => self.send(&[0xB0, (input - 0x80) as u8, value as u8]),
            other => panic!("{other:?} is no input and value"),
        }
    }

    fn send(&mut self, message: &[u8]) -> usize {
        self.before.push(message.to_vec());
        600
    }

    /// Makes a registered parameter, coarse and, where it has one, fine.
    pub(crate) fn parameter(&mut self, number: u8, coarse: u8, fine: Option<u8>) -> usize {
        for message in [[0xB0, 101, 0], [0xB0, 100, number], [0xB0, 6, coarse]] {
            self.send(&message);
        }
        fine.iter().for_each(|fine| _ = self.send(&[0xB0, 38, *fine]));
        600
    }
}

/// Returns the value that the specification gives.
pub(crate) fn norm(input: u16, value: Value, half: super::connection_table::Half) -> f64 {
    match value {
        Value::Nothing => 1.0,
        Value::Turn(turn) => turn,
        Value::Level(level) => level,
        Value::Number(number) => {
            let bits = if matches!(input, s::PITCH_WHEEL | s::RPN1) { 14 } else { 7 };
            half.normalise(f64::from(number), bits)
        }
    }
}

/// Makes a synthesizer that plays a setup's cosine, for tests that need no recording.
pub(crate) fn synth_of(setup: &Setup) -> Synth {
    plain_synth(setup.config, &setup.collection(0.0))
}
