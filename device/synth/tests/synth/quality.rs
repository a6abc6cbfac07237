//! What the signal path itself adds and takes away: the interpolator's noise and droop, aliases, the filter's response,
//! distortion. All of it through the whole synthesizer.

use std::f64::consts::{FRAC_1_SQRT_2, TAU};

use crate::common::prototype::Prototype;
use crate::common::setup::Setup;
use crate::common::*;
use dls_synth::SynthConfig;
use dls_synth::dls::spec::transform::LINEAR;
use dls_synth::dls::spec::{destination as d, source as s};
use dls_synth::dls::{Connection, WaveSample};

/// A tone that is `turns` turns of a loop of this many samples.
const LOOP: usize = 4000;

/// Peak of the tones, in 16-bit units: loud, and with room for what an interpolator overshoots.
const LOUD: f64 = 29_000.0;

fn tone_at(part_of_rate: f64) -> Vec<i16> {
    let turns = (part_of_rate * LOOP as f64).round();
    (0..LOOP).map(|i| (LOUD * (TAU * turns * i as f64 / LOOP as f64).sin()).round() as i16).collect()
}

/// Returns the left output in 16-bit units, transposed by this many cents, after everything has settled.
fn transposed(samples: &[i16], cents: f64, rows: &[Connection], frames: usize) -> Vec<f64> {
    let key = 60 + (cents / 100.0).round() as i32;
    let fine_tune = (cents - 100.0 * f64::from(key - 60)).round() as i16;
    let sample = WaveSample { fine_tune, ..looped(0, samples.len() as u32) };
    let mut collection = collection(vec![region(0, sample)], vec![wave(samples)]);
    collection.instruments[0].articulation = rows.to_vec();
    let mut synth = plain_synth(dry(), &collection);
    synth.midi(0, &[0x90, key as u8, FULL]);
    render(&mut synth, 2048);
    render(&mut synth, frames).iter().map(|frame| f64::from(frame[0]) * 32_768.0 / FRAC_1_SQRT_2).collect()
}

/// What a tone of known frequency (a part of the rate) is in a signal.
struct Fit {
    /// Peak.
    amplitude: f64,
    /// Power of the tone over the power of everything else, in dB.
    sinad: f64,
    /// Root of the mean square of everything else.
    rest: f64,
}

/// Fits a tone and a constant by least squares.
fn fit(signal: &[f64], frequency: f64) -> Fit {
    // Normal equations of sine, cosine and 1, solved by elimination.
    let mut m = [[0.0f64; 4]; 3];
    for (i, x) in signal.iter().enumerate() {
        let (sin, cos) = (TAU * frequency * i as f64).sin_cos();
        let basis = [sin, cos, 1.0];
        for (row, a) in m.iter_mut().zip(basis) {
            for (sum, b) in row.iter_mut().zip(basis) {
                *sum += a * b;
            }
            row[3] += a * x;
        }
    }
    for pivot in 0..3 {
        for row in 0..3 {
            if row != pivot {
                let factor = m[row][pivot] / m[pivot][pivot];
                let from = m[pivot];
                m[row].iter_mut().zip(from).for_each(|(to, from)| *to -= factor * from);
            }
        }
    }
    let [a, b, c] = [0, 1, 2].map(|i| m[i][3] / m[i][i]);
    let rest = signal.iter().enumerate().map(|(i, x)| {
        let (sin, cos) = (TAU * frequency * i as f64).sin_cos();
        (x - a * sin - b * cos - c).powi(2)
    });
    let rest = (rest.sum::<f64>() / signal.len() as f64).sqrt();
    let amplitude = a.hypot(b);
    Fit { amplitude, sinad: 20.0 * (amplitude * FRAC_1_SQRT_2 / rest).log10(), rest }
}

/// Frequencies, as parts of the wave's rate, at which interpolators are compared.
const STUDIED: [f64; 8] = [0.02, 0.05, 0.10, 0.15, 0.20, 0.25, 0.30, 0.35];

/// What eight taps under a Kaiser window of beta 7 with 2048 phases of 16 bits come to there, in dB: worked out in
/// double precision, apart from this crate.
const EIGHT_TAPS: [f64; 8] = [80.8, 74.0, 68.1, 70.3, 72.2, 49.8, 33.0, 22.1];

/// Up to this part of its rate a wave must be rendered cleanly, at any transposition.
const CLEAN_TO: f64 = 0.20;
const CLEAN_DB: f64 = 68.0;

/// Returns the interpolator's figures at a transposition: frequency, SINAD and gain in dB.
fn figures(cents: f64) -> Vec<(f64, f64, f64)> {
    let ratio = (cents / 1200.0).exp2();
    let figure = |&part: &f64| {
        let found = fit(&transposed(&tone_at(part), cents, &organ(), 16_000), part * ratio);
        (part, found.sinad, 20.0 * (found.amplitude / LOUD).log10())
    };
    STUDIED.iter().map(figure).collect()
}

fn print(cents: f64, figures: &[(f64, f64, f64)]) -> String {
    let line = |(part, sinad, gain): &(f64, f64, f64)| {
        format!("{part:.2} of the rate: SINAD {sinad:.1} dB, gain {gain:.3} dB")
    };
    format!("{cents} cents\n{}", figures.iter().map(line).collect::<Vec<_>>().join("\n"))
}

#[test]
fn the_interpolator_keeps_its_sinad_up_to_a_fifth_of_the_rate_at_every_transposition() {
    for cents in [-4800.0, -2400.0, -1190.0, -430.0, 110.0, 280.0, 320.0, 430.0, 730.0, 1110.0, 1230.0] {
        let figures = figures(cents);
        for (part, sinad, _) in &figures {
            assert!(*part > CLEAN_TO || *sinad >= CLEAN_DB, "{}", print(cents, &figures));
        }
    }
}

#[test]
fn the_interpolator_has_the_sinad_of_the_eight_tap_study() {
    for cents in [-430.0, 100.0] {
        let figures = figures(cents);
        for ((_, sinad, _), studied) in figures.iter().zip(EIGHT_TAPS) {
            assert!(*sinad > studied - 0.5, "studied {studied}: {}", print(cents, &figures));
        }
    }
}

#[test]
fn the_interpolator_keeps_high_frequencies() {
    // Not transposed by more than a quarter of an octave up: the whole band is kept.
    for cents in [-2400.0, -430.0, 100.0, 280.0] {
        let figures = figures(cents);
        let flat = figures.iter().all(|(part, _, gain)| *part > 0.25 || gain.abs() <= 0.04);
        assert!(flat, "{}", print(cents, &figures));
    }
    // Further up the kernels' cutoff is lowered so that less folds back: that is heard near the top of the band only.
    for (cents, to, dulled) in [(430.0, 0.15, 0.2), (430.0, 0.20, 0.65), (1110.0, 0.10, 0.65), (2400.0, 0.05, 0.65)] {
        let figures = figures(cents);
        let flat = figures.iter().all(|(part, _, gain)| *part > to || gain.abs() <= dulled);
        assert!(flat, "{dulled} dB to {to}: {}", print(cents, &figures));
    }
}

#[test]
fn the_interpolator_attenuates_aliases_from_above_half_the_rate() {
    // Eight taps cannot do much: these are bounds to notice a change by. (Cents up, part of the wave's rate, dB.)
    let bounds = [
        (430.0, 0.45, -14.0),
        (1110.0, 0.35, -14.0),
        (1110.0, 0.45, -30.0),
        (1230.0, 0.35, -14.5),
        (1230.0, 0.40, -22.0),
        (1230.0, 0.45, -32.0),
        (2400.0, 0.30, -24.0),
        (2400.0, 0.35, -36.0),
        (2400.0, 0.45, -60.0),
    ];
    for (cents, part, bound) in bounds {
        let lands = part * (cents / 1200.0f64).exp2();
        assert!(lands > 0.5, "it is above half the rate: {lands}");
        let out = transposed(&tone_at(part), cents, &organ(), 16_000);
        let power = (out.iter().map(|x| x * x).sum::<f64>() / out.len() as f64).sqrt();
        let found = 20.0 * (power / FRAC_1_SQRT_2 / LOUD).log10();
        assert!(found < bound, "a tone at {part} of the rate, {cents} cents up, folds back with {found:.1} dB");
    }
}

/// Frames of an impulse response: the lowest and most resonant filter has died away by then.
const RESPONSE: usize = 12_288;

/// Returns the response to an impulse of a voice with these connections; 1 is the impulse itself.
fn impulse_response(sample_rate: u32, rows: &[Connection]) -> Vec<f64> {
    let mut samples = vec![0i16; RESPONSE];
    samples[0] = 32_767;
    let collection = |rows: &[Connection]| {
        let mut made = collection(vec![region(0, WaveSample::default())], vec![None]);
        made.waves[0] = Some(std::sync::Arc::new(dls_synth::dls::Wave::new("", sample_rate, &samples, None)));
        made.instruments[0].articulation = rows.to_vec();
        made
    };
    let mut synth = plain_synth(SynthConfig { sample_rate, voices: 8, ..dry() }, &collection(rows));
    synth.midi(0, NOTE_ON);
    let scale = 32_768.0 / 32_767.0 / FRAC_1_SQRT_2;
    render(&mut synth, RESPONSE).iter().map(|frame| f64::from(frame[0]) * scale).collect()
}

/// Returns magnitude in dB of a response at a part of the rate (Goertzel's way).
fn magnitude(response: &[f64], frequency: f64) -> f64 {
    let turn = 2.0 * (TAU * frequency).cos();
    let (mut y1, mut y2) = (0.0, 0.0);
    for x in response {
        (y1, y2) = (x + turn * y1 - y2, y1);
    }
    10.0 * (y1 * y1 + y2 * y2 - turn * y1 * y2).log10()
}

/// Returns absolute pitch of a part of a sample rate.
fn cutoff_at(part: f64, sample_rate: u32) -> Connection {
    constant(d::FILTER_CUTOFF, pitch(part * f64::from(sample_rate)))
}

/// Returns the grid of cutoffs, as parts of the rate, that a device must support.
fn supported_cutoffs(steps: u32) -> impl Iterator<Item = f64> {
    let octaves = 40f64.log2();
    (0..=steps).map(move |i| (octaves * f64::from(i) / f64::from(steps)).exp2() / 240.0)
}

#[test]
fn the_filter_has_the_response_of_the_prototype_in_the_specification() {
    for sample_rate in [48_000, 22_050] {
        for cutoff in supported_cutoffs(8) {
            // Sixteen steps of resonance.
            for step in 0..16 {
                let q = 1.5 * f64::from(step);
                let rows = [cutoff_at(cutoff, sample_rate), constant(d::FILTER_Q, decibels(q))];
                let response = impulse_response(sample_rate, &rows);
                let expected = Prototype::new(cutoff, q);
                let what = || format!("cutoff {cutoff:.5} of {sample_rate} Hz, resonance {q} dB");
                let (dc, quarter) = (magnitude(&response, 0.0), magnitude(&response, 0.25));
                assert!((dc + q / 2.0).abs() < 0.75, "pass band {dc} dB, {}", what());
                // Where the asymptotes meet: a semitone is allowed.
                let fc = 0.25 * 10f64.powf((quarter - dc) / 40.0);
                assert!(12.0 * (fc / cutoff).log2().abs() < 1.0, "cutoff found at {fc}, {}", what());
                let mut peak = f64::NEG_INFINITY;
                for i in -24..=24 {
                    let at = cutoff * (f64::from(i) / 8.0).exp2();
                    if at < 0.49 {
                        let (found, expected) = (magnitude(&response, at), expected.decibels(at));
                        assert!((found - expected).abs() < 1.5, "{found} dB at {at}, not {expected}, {}", what());
                        peak = peak.max(found);
                    }
                }
                // The grid misses the top by a sixteenth of an octave at most.
                let around = |i: i32| magnitude(&response, cutoff * 1.13 * (f64::from(i) / 64.0).exp2());
                let peak = if q > 3.0 { (-32..=32).map(around).fold(peak, f64::max) } else { peak.max(dc) };
                assert!((peak - dc - q).abs() < 1.5, "peak {peak} dB, pass band {dc} dB, {}", what());
            }
        }
    }
}

#[test]
fn the_peak_stays_as_high_while_the_cutoff_is_swept() {
    for q in [6.0, 12.0, 22.5] {
        let height = |cutoff: f64| {
            let response = impulse_response(RATE, &[cutoff_at(cutoff, RATE), constant(d::FILTER_Q, decibels(q))]);
            let around = |i: i32| magnitude(&response, cutoff * 1.13 * (f64::from(i) / 64.0).exp2());
            (-32..=32).map(around).fold(f64::NEG_INFINITY, f64::max)
        };
        // Twelve steps an octave: none may be a twelfth of 3 dB from the next, nor all of an octave 3 dB.
        let heights: Vec<f64> = supported_cutoffs(64).map(height).collect();
        for octave in heights.windows(13) {
            assert!((octave[0] - octave[12]).abs() < 3.0, "{q} dB: {octave:?}");
            assert!((octave[0] - octave[1]).abs() < 0.5, "{q} dB: {octave:?}");
        }
    }
}

#[test]
fn cutoffs_a_two_thousandth_of_an_octave_apart_differ() {
    // The tone is an octave above the cutoff, on the slope: 12 dB an octave.
    for base in [300.0, 1000.0, 3900.0f64] {
        let turn = (f64::from(RATE) / base / 2.0).round() as usize;
        let gain = |step: u32| {
            let cutoff = base * (f64::from(step) / 2048.0).exp2();
            let setup = Setup { turn, ..Setup::of(&[constant(d::FILTER_CUTOFF, pitch(cutoff))]) };
            setup.play(4001).decibels(4000)
        };
        let gains: Vec<f64> = (0..24).map(gain).collect();
        for pair in gains.windows(2) {
            // 0.0044 dB each on the average; twice that is 0.01 of a semitone.
            assert!((0.0005..0.010).contains(&(pair[1] - pair[0])), "at {base} Hz: {gains:?}");
        }
    }
}

#[test]
fn the_filter_adds_no_distortion_and_no_noise() {
    // 0.005 % of full scale.
    const ALLOWED: f64 = 5e-5 * 32_768.0 * FRAC_1_SQRT_2;
    for cutoff in supported_cutoffs(5) {
        for q in [0.0, 9.0, 22.5] {
            for part in [0.001, 0.02, 0.1, 0.2] {
                let rows = [organ(), vec![cutoff_at(cutoff, RATE), constant(d::FILTER_Q, decibels(q))]].concat();
                // Not louder than full scale behind the filter.
                let headroom = Prototype::new(cutoff, q).decibels(part).max(0.0);
                let level = 10f64.powf(-headroom / 20.0);
                let samples: Vec<i16> = tone_at(part).iter().map(|x| (f64::from(*x) * level).round() as i16).collect();
                // What rings at the start must have died away.
                let out = transposed(&samples, 0.0, &rows, 24_000);
                let found = fit(&out[8000..], part).rest;
                assert!(
                    found < ALLOWED,
                    "cutoff {cutoff:.4}, {q} dB, tone {part}: {:.5} % of full scale",
                    found / 32_768.0 / FRAC_1_SQRT_2 * 100.0
                );
            }
        }
    }
}

#[test]
fn a_sweep_from_below_to_above_everything_has_no_step_and_ends_flat() {
    for q in [0.0, 12.0, 22.5] {
        for key in [36, 60, 84] {
            let rows = [
                constant(d::FILTER_CUTOFF, cents(5535.0)),
                constant(d::FILTER_Q, decibels(q)),
                constant(d::EG2_ATTACK, time(0.5)),
                connection(s::EG2, s::NONE, d::FILTER_CUTOFF, LINEAR, cents(12_800.0)),
            ];
            let setup = Setup { key, ..Setup::of(&rows) };
            let recording = setup.play(frame(0.6));
            let amplitudes: Vec<f64> = (0..recording.frames()).map(|i| recording.amplitude(i)).collect();
            let top = 10f64.powf((q / 2.0 + 1.5) / 20.0);
            assert!(amplitudes.iter().all(|a| *a < top), "{q} dB, key {key}");
            // Far above half the rate: what goes in comes out.
            close(amplitudes[frame(0.55)], 1.0, 0.002);
            // While the cutoff is above the tone the response opens smoothly.
            let settled = &amplitudes[frame(0.3)..];
            let step = settled.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f64::max);
            assert!(step < 0.01, "{q} dB, key {key}: a step of {step}");
        }
    }
}

#[test]
fn a_cutoff_out_of_range_never_amplifies_and_is_flat_above_half_the_rate() {
    for (part, q) in [(0.17, 0.0), (0.2, 22.5), (0.25, 22.5), (0.3, 12.0), (0.4, 22.5), (0.49, 22.5)] {
        let response = impulse_response(22_050, &[cutoff_at(part, 22_050), constant(d::FILTER_Q, decibels(q))]);
        let loudest = (0..245).map(|i| magnitude(&response, f64::from(i) * 0.002)).fold(f64::NEG_INFINITY, f64::max);
        assert!(loudest < q / 2.0 + 1.5, "cutoff {part}, {q} dB: {loudest}");
    }
    for (part, q) in [(0.501, 0.0), (0.51, 12.0), (0.7, 22.5)] {
        let response = impulse_response(22_050, &[cutoff_at(part, 22_050), constant(d::FILTER_Q, decibels(q))]);
        for i in 0..49 {
            close(magnitude(&response, f64::from(i) * 0.01), 0.0, 0.01);
        }
    }
}
