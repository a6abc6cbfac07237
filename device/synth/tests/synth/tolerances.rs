//! The tolerances that DLS-2.2 allows a device, each held over its whole range.

use std::f64::consts::FRAC_PI_2;

use crate::common::setup::{Recording, Setup};
use crate::common::*;
use dls_synth::dls::Connection;
use dls_synth::dls::spec::transform::{LINEAR, SOURCE_BIPOLAR};
use dls_synth::dls::spec::{destination as d, source as s};

/// Seconds that times and delays may be off.
const TIME: f64 = 0.010;
/// Decibels that an envelope may be off.
const ENVELOPE_DB: f64 = 0.5;

#[test]
fn pitch_has_a_resolution_of_a_cent_from_four_octaves_down_to_two_up() {
    for key in [12, 24, 36, 48, 60, 72, 84] {
        let cents_at = |tuning: f64| {
            let setup = Setup { key, ..Setup::of(&[constant(d::PITCH, cents(tuning))]) };
            setup.play(2600).cents(1300, 1200)
        };
        let octave = 100.0 * (f64::from(key) - 60.0);
        let tunings: Vec<f64> = (-3..4).chain([48, 49, 50, 51, 98, 99, 100]).map(f64::from).collect();
        // Two octaves up is where the range ends.
        let tunings: Vec<f64> = tunings.into_iter().filter(|tuning| key < 84 || *tuning <= 0.0).collect();
        let found: Vec<f64> = tunings.iter().map(|tuning| cents_at(*tuning)).collect();
        for (tuning, found) in tunings.iter().zip(&found) {
            close(*found, octave + tuning, 0.25);
        }
        for (tunings, found) in tunings.windows(2).zip(found.windows(2)) {
            close(found[1] - found[0], tunings[1] - tunings[0], 0.25);
        }
    }
}

#[test]
fn the_amplifier_is_exact_to_a_quarter_of_a_decibel_down_to_85() {
    for i in 0..=170 {
        let attenuation = -0.5 * f64::from(i);
        let setup = Setup { gain: decibels(attenuation), ..Setup::default() };
        close(setup.play(601).decibels(600), attenuation, 0.25);
    }
    for value in 1..=127u8 {
        let expected = 40.0 * (f64::from(value) / 127.0).log10();
        let volume = Setup { before: vec![vec![0xB0, 7, value]], ..Setup::default() };
        let velocity = Setup { velocity: value, ..Setup::default() };
        for setup in [volume, velocity] {
            close(setup.play(601).decibels(600), expected, 0.25);
        }
    }
}

/// Returns the times, in seconds, at which a tremolo of this frequency passes upwards through its centre.
fn crossings(oscillator: f64, turns: f64) -> Vec<f64> {
    let rows = [
        constant(d::LFO_FREQUENCY, pitch(oscillator)),
        connection(s::LFO, s::NONE, d::GAIN, SOURCE_BIPOLAR, decibels(6.0)),
    ];
    let setup = Setup { gain: decibels(-12.0), ..Setup::of(&rows) };
    let recording = setup.play(frame(0.01 + (turns + 0.75) / oscillator));
    let mut found = Vec::new();
    let step = 16;
    let mut before = recording.decibels(0) + 12.0;
    for i in (step..recording.frames()).step_by(step) {
        let now = recording.decibels(i) + 12.0;
        if before < 0.0 && now >= 0.0 {
            let part = before / (before - now);
            found.push((i as f64 - step as f64 * (1.0 - part)) / f64::from(RATE));
        }
        before = now;
    }
    found
}

#[test]
fn oscillators_hold_their_frequency_and_do_not_jitter() {
    for hertz in [2.0, 5.0, 20.0] {
        let times = crossings(hertz, 101.0);
        assert!(times.len() > 100, "{hertz} Hz: {} turns", times.len());
        let hundred = times[100] - times[0];
        assert!((hundred * hertz / 100.0 - 1.0).abs() < 0.01, "{hertz} Hz: a hundred turns take {hundred} s");
        for (i, time) in times.iter().enumerate() {
            let expected = times[0] + i as f64 / hertz;
            assert!((time - expected).abs() < TIME, "{hertz} Hz: turn {i} comes at {time}, not {expected}");
        }
    }
}

#[test]
fn an_oscillator_begins_without_a_click() {
    // At the end of its delay it is at phase 0: the amplitude and the pitch leave from where they were.
    for hertz in [0.1, 5.0, 20.0] {
        let rows = [
            constant(d::LFO_FREQUENCY, pitch(hertz)),
            constant(d::LFO_DELAY, time(0.05)),
            connection(s::LFO, s::NONE, d::GAIN, SOURCE_BIPOLAR, decibels(12.0)),
        ];
        let recording = Setup { gain: decibels(-12.0), ..Setup::of(&rows) }.play(frame(0.08));
        // The steepest that the sine is, in dB a frame, an eighth more for the straight lines that it is made of, and
        // what the tone's sixteen bits leave in doubt.
        let steepest = 12.0 * std::f64::consts::TAU * hertz / f64::from(RATE);
        for i in frame(0.04)..frame(0.075) {
            let step = recording.decibels(i + 1) - recording.decibels(i);
            assert!(step.abs() < steepest * 1.125 + 1e-3, "{hertz} Hz at frame {i}: a step of {step} dB");
        }
    }
}

/// A volume envelope in closed form, times in seconds.
#[derive(Clone, Copy, Debug)]
struct Shape {
    delay: f64,
    attack: f64,
    hold: f64,
    decay: f64,
    sustain: f64,
    release: f64,
    /// When the note ends.
    off: f64,
}

impl Shape {
    fn rows(&self) -> Vec<Connection> {
        let stage =
            |destination, seconds: f64| constant(destination, if seconds > 0.0 { time(seconds) } else { i32::MIN });
        vec![
            stage(d::EG1_DELAY, self.delay),
            stage(d::EG1_ATTACK, self.attack),
            stage(d::EG1_HOLD, self.hold),
            stage(d::EG1_DECAY, self.decay),
            constant(d::EG1_SUSTAIN, percent(self.sustain)),
            stage(d::EG1_RELEASE, self.release),
        ]
    }

    /// Returns the level in dB while the key is held.
    fn held(&self, t: f64) -> f64 {
        let t = t - self.delay;
        if t < 0.0 {
            return f64::NEG_INFINITY;
        }
        if t < self.attack {
            return 20.0 * (t / self.attack).log10();
        }
        let t = t - self.attack - self.hold;
        if t <= 0.0 {
            return 0.0;
        }
        let floor = -96.0 * (1.0 - self.sustain);
        if self.decay > 0.0 { (-96.0 * t / self.decay).max(floor) } else { floor }
    }

    fn at(&self, t: f64) -> f64 {
        if t < self.off {
            return self.held(t);
        }
        let level = self.held(self.off) - 96.0 * (t - self.off) / self.release.max(1e-9);
        if level <= -96.0 { f64::NEG_INFINITY } else { level }
    }

    /// Returns the least and the greatest level that it may have at a time: any that it has within 10 ms.
    fn between(&self, t: f64) -> (f64, f64) {
        let near = (-20..=20).map(|i| self.at(t + TIME * f64::from(i) / 20.0));
        near.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)))
    }
}

#[test]
fn envelopes_keep_within_half_a_decibel_and_ten_milliseconds() {
    let slow = Shape { delay: 0.05, attack: 0.3, hold: 0.1, decay: 1.0, sustain: 0.5, release: 0.8, off: 1.2 };
    let shapes = [
        slow,
        Shape { off: 0.2, ..slow },
        Shape { off: 0.4, ..slow },
        Shape { off: 0.7, ..slow },
        Shape { delay: 0.0, attack: 0.0, hold: 0.0, ..slow },
        Shape { delay: 0.0, attack: 0.002, hold: 0.001, decay: 0.02, sustain: 0.9, release: 0.01, off: 0.1 },
        Shape { delay: 0.0, attack: 0.0, hold: 0.0, decay: 0.004, sustain: 0.1, release: 0.003, off: 0.05 },
        Shape { delay: 0.001, attack: 0.013, hold: 0.0, decay: 0.3, sustain: 0.0, release: 0.1, off: 0.15 },
        Shape { sustain: 1.0, release: 6.0, decay: 40.0, ..slow },
    ];
    for shape in shapes {
        let mut setup = Setup::of(&shape.rows());
        setup.events.push((frame(shape.off), vec![0x80, 60, 0]));
        let recording = setup.play(frame(shape.off + 0.5));
        for i in (0..recording.frames()).step_by(24) {
            let t = i as f64 / f64::from(RATE);
            let found = recording.decibels(i);
            let (low, high) = shape.between(t);
            // Below -85 dB nothing is required.
            let fits = (found <= high + ENVELOPE_DB || found < -85.0) && (found >= low - ENVELOPE_DB || low < -85.0);
            assert!(fits, "{found} dB at {t} s, not {low} to {high}: {shape:?}");
        }
    }
}

#[test]
fn slow_envelopes_are_exact_at_their_very_time() {
    let shape = Shape { delay: 0.05, attack: 0.3, hold: 0.1, decay: 1.0, sustain: 0.5, release: 0.8, off: 1.2 };
    let mut setup = Setup::of(&shape.rows());
    setup.events.push((frame(shape.off), vec![0x80, 60, 0]));
    let recording = setup.play(frame(1.5));
    for i in (frame(0.06)..recording.frames()).step_by(97) {
        close(recording.decibels(i), shape.at(i as f64 / f64::from(RATE)), 0.06);
    }
}

#[test]
fn delays_end_within_ten_milliseconds_and_no_output_comes_before() {
    for seconds in [0.001, 0.05, 0.777, 3.0] {
        let recording = Setup::of(&[constant(d::EG1_DELAY, time(seconds))]).play(frame(seconds + 0.05));
        let first = (0..recording.frames()).find(|i| recording.amplitude(*i) > 0.0).unwrap() as f64 / f64::from(RATE);
        close(first, seconds, TIME);
        let full = (0..recording.frames()).find(|i| recording.amplitude(*i) > 0.99).unwrap() as f64 / f64::from(RATE);
        close(full, seconds, TIME);
    }
}

/// Returns the amplitude of a constant, frame by frame: no tone, no noise, only the amplifier.
fn amplifier(rows: &[Connection], events: &[(usize, &[u8])], frames: usize) -> Vec<[f64; 2]> {
    let mut collection = collection(vec![region(0, looped(0, 64))], vec![wave(&[16_384; 64])]);
    collection.instruments[0].articulation = rows.to_vec();
    let mut synth = plain_synth(dry(), &collection);
    let mut out = Vec::new();
    for (frame, message) in events {
        out.extend(render(&mut synth, frame - out.len()));
        synth.midi(0, message);
    }
    out.extend(render(&mut synth, frames - out.len()));
    out.iter().map(|frame| frame.map(|x| 2.0 * f64::from(x))).collect()
}

#[test]
fn ramps_of_the_amplifier_have_steps_finer_than_a_four_hundredth_of_a_decibel() {
    // Slow envelopes: the output follows them frame by frame, in no greater steps.
    for seconds in [40.0, 10.0, 2.0] {
        let rows = [constant(d::EG1_DECAY, time(seconds)), constant(d::EG1_SUSTAIN, 0)];
        let out = amplifier(&rows, &[(0, NOTE_ON)], frame(0.5));
        let own = 96.0 / seconds / f64::from(RATE);
        for pair in out[64..].windows(2) {
            let step = 20.0 * (pair[0][0] / pair[1][0]).log10();
            assert!((0.0..own + 0.0025).contains(&step), "{seconds} s: a step of {step} dB");
            assert!(step > 0.0, "{seconds} s: the ramp stands still");
        }
    }
    // One step of a controller near its top.
    let out = amplifier(&organ(), &[(0, NOTE_ON), (1000, &[0xB0, 11, 126])], 2000);
    for pair in out[10..].windows(2) {
        let step = 20.0 * (pair[0][0] / pair[1][0]).log10();
        assert!((-1e-5..0.0025).contains(&step), "a step of {step} dB");
    }
}

#[test]
fn pan_moves_without_zipper() {
    // From side to side in the coarsest way that MIDI has, and in single steps of a sweep.
    let jump: &[u8] = &[0xB0, 10, 127];
    let out = amplifier(&organ(), &[(0, &[0xB0, 10, 0]), (0, NOTE_ON), (1003, jump)], 1500);
    for pair in out[10..].windows(2) {
        let step = [0, 1].map(|side| (pair[1][side] - pair[0][side]).abs());
        assert!(step.iter().all(|step| *step <= 1.02 / 64.0), "{step:?}");
    }
    let messages: Vec<(usize, [u8; 3])> =
        (0..128u8).map(|value| (480 * (1 + usize::from(value)), [0xB0, 10, value])).collect();
    let mut events: Vec<(usize, &[u8])> = vec![(0, &[0xB0, 10, 0]), (0, NOTE_ON)];
    events.extend(messages.iter().map(|(at, message)| (*at, &message[..])));
    let out = amplifier(&organ(), &events, 480 * 130);
    for pair in out[10..].windows(2) {
        // A step of the sweep is 0.0125 of an angle's radians, spread over a tick.
        let step = [0, 1].map(|side| (pair[1][side] - pair[0][side]).abs());
        assert!(step.iter().all(|step| *step < 0.0125 * 1.1 / 64.0), "{step:?}");
    }
    for frame in &out[10..] {
        close(frame[0].hypot(frame[1]), 1.0, 1e-4);
    }
    // And it arrives: the position is the controller's at the end of each step.
    for (value, at) in (0..128).map(|value| (value, 480 * (2 + value) - 1)) {
        let position = ((value as f64 / 64.0 - 1.0) * 0.508).clamp(-0.5, 0.5);
        close(out[at][1].atan2(out[at][0]) / FRAC_PI_2 - 0.5, position, 1e-4);
    }
}

#[test]
fn a_ramp_of_the_modulation_envelope_has_no_audible_steps() {
    // An octave in a second: from one control value to the next is 1.6 cents.
    let rows = [constant(d::EG2_ATTACK, time(1.0)), connection(s::EG2, s::NONE, d::PITCH, LINEAR, cents(1200.0))];
    let recording: Recording = Setup::of(&rows).play(frame(1.0));
    for i in (128..recording.frames() - 200).step_by(64) {
        let rise = recording.cents(i + 64, 32) - recording.cents(i, 32);
        assert!((0.5..3.0).contains(&rise), "at frame {i}: {rise} cents");
        close(recording.cents(i, 32), 1200.0 * i as f64 / f64::from(RATE), 2.0);
    }
}
