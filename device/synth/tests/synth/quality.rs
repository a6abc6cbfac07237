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

/// Up to this part of the output rate a wave that is played higher must be as it was recorded ...
const KEPT_TO: f64 = 0.35;
/// ... within so many dB ...
const FLAT_DB: f64 = 0.2;
/// ... and no alias may come back there that is louder than this, against the tone that it comes from.
const ALIAS_DB: f64 = -70.0;

#[test]
fn the_interpolator_keeps_its_sinad_up_to_a_fifth_of_the_rate_at_every_transposition() {
    for cents in [-4800.0, -2400.0, -1190.0, -430.0, 110.0, 280.0, 320.0, 430.0, 730.0, 1110.0, 1230.0] {
        let ratio = (cents / 1200.0f64).exp2();
        let figures = figures(cents);
        for (part, sinad, _) in &figures {
            let clean = *part > CLEAN_TO || *part * ratio > KEPT_TO || *sinad >= CLEAN_DB;
            assert!(clean, "{}", print(cents, &figures));
        }
    }
}

#[test]
fn the_interpolator_has_the_sinad_of_the_eight_tap_study() {
    // Above a step of one other tables take the place of the eight taps: in their pass band they are no worse.
    for cents in [-430.0, -100.0, 100.0] {
        let ratio = (cents / 1200.0f64).exp2();
        let figures = figures(cents);
        for ((part, sinad, _), studied) in figures.iter().zip(EIGHT_TAPS) {
            assert!(*part * ratio > KEPT_TO || *sinad > studied - 0.5, "studied {studied}: {}", print(cents, &figures));
        }
    }
}

#[test]
fn the_interpolator_keeps_high_frequencies() {
    for cents in [-2400.0, -430.0, -100.0] {
        let figures = figures(cents);
        let flat = figures.iter().all(|(part, _, gain)| *part > 0.25 || gain.abs() <= 0.04);
        assert!(flat, "{}", print(cents, &figures));
    }
}

/// Transpositions up to three octaves: some common ones, and both sides of every bound between two tables, where the
/// one is at its last and widest, and the other at its first and coarsest.
const UPWARD: [f64; 40] = [
    2.0, 30.0, 100.0, 238.0, 240.0, 300.0, 452.0, 454.0, 500.0, 595.0, 597.0, 700.0, 900.0, 1101.0, 1103.0, 1200.0,
    1439.0, 1440.0, 1652.0, 1655.0, 1700.0, 1797.0, 1799.0, 1900.0, 2141.0, 2142.0, 2333.0, 2335.0, 2400.0, 2639.0,
    2641.0, 2853.0, 2855.0, 2997.0, 2999.0, 3300.0, 3341.0, 3342.0, 3555.0, 3600.0,
];

#[test]
fn a_wave_that_is_played_higher_is_flat_up_to_035_of_the_output_rate() {
    for cents in UPWARD {
        let ratio = (cents / 1200.0f64).exp2();
        for place in [0.02, 0.08, 0.14, 0.2, 0.26, 0.31, KEPT_TO] {
            let part = (place / ratio * LOOP as f64).floor() / LOOP as f64;
            let found = fit(&transposed(&tone_at(part), cents, &organ(), 8000), part * ratio);
            let gain = 20.0 * (found.amplitude / LOUD).log10();
            assert!(gain.abs() <= FLAT_DB, "{place} of the output rate, {cents} cents up: {gain:.3} dB");
        }
    }
}

/// Returns the strongest component of a signal below a part of the rate, as its peak and its place, the tones of
/// `except` left out.
fn strongest(signal: &[f64], below: f64, except: &[f64]) -> (f64, f64) {
    // Blackman and Harris's window of four terms: its side lobes are 92 dB down, its main lobe four bins wide.
    let size = signal.len();
    let window = |i: usize| {
        let angle = TAU * i as f64 / size as f64;
        0.35875 - 0.48829 * angle.cos() + 0.14128 * (2.0 * angle).cos() - 0.01168 * (3.0 * angle).cos()
    };
    let mut input: Vec<f64> = signal.iter().enumerate().map(|(i, x)| x * window(i)).collect();
    let transform = realfft::RealFftPlanner::<f64>::new().plan_fft_forward(size);
    let mut spectrum = transform.make_output_vec();
    transform.process(&mut input, &mut spectrum).unwrap();
    let clear = |bin: usize| except.iter().all(|tone| (bin as f64 - tone * size as f64).abs() > 8.0);
    let bins = (0..(below * size as f64) as usize).filter(|bin| clear(*bin));
    let peaks = bins.map(|bin| (spectrum[bin].norm() * 2.0 / 0.35875 / size as f64, bin as f64 / size as f64));
    peaks.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or_default()
}

#[test]
fn no_alias_below_035_of_the_output_rate_is_louder_than_70_db_down() {
    // As looped waves and as long ones that are played once.
    for looped in [true, false] {
        for cents in UPWARD {
            let ratio = (cents / 1200.0f64).exp2();
            // Spread over the wave's band, and close to where the pass band and the aliases begin.
            let spread = (1..=24).map(|i| f64::from(i) * 0.02).chain([0.33, 0.37, 0.39, 0.49, 0.499]);
            let close = [0.31, 0.345, 0.36, 0.4, 0.5, 0.64, 0.66, 0.7].map(|place| place / ratio);
            for part in spread.chain(close).filter(|part| *part < 0.5) {
                let part = (part * LOOP as f64).round() / LOOP as f64;
                let lands = part * ratio;
                let out = if looped {
                    transposed(&tone_at(part), cents, &organ(), 8192)
                } else {
                    played_once(part, cents, 8192)
                };
                let (peak, place) = strongest(&out, KEPT_TO, &[lands]);
                let found = 20.0 * (peak / LOUD).log10();
                let what = || format!("a tone at {part} of the rate, {cents} cents up, looped: {looped}");
                assert!(found < ALIAS_DB, "{}: {found:.1} dB at {place:.4}", what());
            }
        }
    }
}

#[test]
fn a_tone_at_two_fifths_of_the_rate_leaves_no_alias_anywhere_when_played_higher() {
    for cents in [700.0, 1200.0, 2400.0] {
        let lands = 0.4 * (cents / 1200.0f64).exp2();
        let out = transposed(&tone_at(0.4), cents, &organ(), 8192);
        assert!(lands > 0.5, "whatever is left of it is an alias");
        let (peak, place) = strongest(&out, 0.5, &[]);
        let found = 20.0 * (peak / LOUD).log10();
        assert!(found < ALIAS_DB, "{cents} cents up: {found:.1} dB at {place:.4}");
    }
}

/// Returns the left output in 16-bit units of a tone in a wave without a loop, without its beginning.
fn played_once(part: f64, cents: f64, frames: usize) -> Vec<f64> {
    let ratio = (cents / 1200.0).exp2();
    let samples = ((frames + 4096) as f64 * ratio) as usize;
    let tone: Vec<i16> = (0..samples).map(|i| (LOUD * (TAU * part * i as f64).sin()).round() as i16).collect();
    let key = 60 + (cents / 100.0).round() as i32;
    let fine_tune = (cents - 100.0 * f64::from(key - 60)).round() as i16;
    let sample = WaveSample { fine_tune, ..WaveSample::default() };
    let mut collection = collection(vec![region(0, sample)], vec![wave(&tone)]);
    collection.instruments[0].articulation = organ();
    let mut synth = plain_synth(dry(), &collection);
    synth.midi(0, &[0x90, key as u8, FULL]);
    render(&mut synth, 2048);
    render(&mut synth, frames).iter().map(|frame| f64::from(frame[0]) * 32_768.0 / FRAC_1_SQRT_2).collect()
}

#[test]
fn a_change_of_table_is_no_click() {
    // A tone near the pass band's end, which the tables treat most differently, bent slowly over all bounds.
    let tone = tone_at(0.03);
    let mut collection = collection(vec![region(0, looped(0, LOOP as u32))], vec![wave(&tone)]);
    collection.instruments[0].articulation = organ();
    let mut synth = plain_synth(dry(), &collection);
    // Two octaves either way.
    for message in [[0xB0, 101, 0], [0xB0, 100, 0], [0xB0, 6, 24]] {
        synth.midi(0, &message);
    }
    synth.midi(0, &[0x90, 72, FULL]);
    // Begin at a tick, and bend at every other one.
    const BETWEEN: usize = 128;
    render(&mut synth, 2048);
    let mut worst = (0.0, 0);
    let mut out: Vec<f64> = vec![0.0; 2];
    for wheel in (0..16_384u32).step_by(8) {
        synth.midi(0, &[0xE0, (wheel & 127) as u8, (wheel >> 7) as u8]);
        let frames = render(&mut synth, BETWEEN);
        // The end of the last stretch too, so that the change itself is looked at.
        out.drain(..out.len() - 2);
        out.extend(frames.iter().map(|frame| f64::from(frame[0]) * 32_768.0 / FRAC_1_SQRT_2));
        // A steady tone obeys x[i-1] + x[i+1] = 2 cos(w) x[i], whatever its amplitude; a click does not. By the end of
        // the stretch nothing changes any more.
        let (mut above, mut below) = (0.0, 0.0);
        for x in out[BETWEEN - 60..].windows(3) {
            (above, below) = (above + (x[0] + x[2]) * x[1], below + x[1] * x[1]);
        }
        let left = out.windows(3).map(|x| (x[0] + x[2] - above / below * x[1]).abs()).fold(0.0, f64::max);
        // The first stretch follows the wheel's first jump.
        if wheel > 0 && left > worst.0 {
            worst = (left, wheel);
        }
    }
    let found = 20.0 * (worst.0 / LOUD).log10();
    // A bend by 0.023 semitones alone comes to -47.7 dB at the highest pitch; tables apart by 0.2 dB would to -34 dB.
    assert!(found < -46.0, "{found:.1} dB at wheel {}", worst.1);
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
