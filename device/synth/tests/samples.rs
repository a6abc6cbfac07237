//! Waves, loops and the interpolator, sample by sample.

mod common;

use common::*;
use dls_synth::dls::spec::destination as d;
use dls_synth::dls::{SampleLoop, WaveSample};

const CENTRE: f64 = std::f64::consts::FRAC_1_SQRT_2;

fn play(
    samples: &[i16],
    sample: WaveSample,
    articulation: &[dls_synth::dls::Connection],
    events: &[(usize, &[u8])],
    frames: usize,
) -> Vec<f64> {
    let mut collection = collection(vec![region(0, sample)], vec![wave(samples)]);
    collection.instruments[0].articulation = articulation.to_vec();
    let mut synth = plain_synth(dry(), &collection);
    let mut out = Vec::new();
    for (frame, message) in events {
        out.extend(render(&mut synth, frame - out.len()));
        synth.midi(0, message);
    }
    out.extend(render(&mut synth, frames - out.len()));
    out.iter().map(|f| f64::from(f[0]) * 32_768.0 / CENTRE).collect()
}

fn ramp(samples: usize) -> Vec<i16> {
    (0..samples).map(|i| (i as i16) * 50 - 8000).collect()
}

#[track_caller]
fn same(out: &[f64], expected: impl Iterator<Item = i16>) {
    for (i, (found, expected)) in out.iter().zip(expected).enumerate() {
        assert!((found - f64::from(expected)).abs() < 0.02, "frame {i}: {found}, not {expected}");
    }
}

#[test]
fn at_its_unity_note_a_wave_comes_out_as_it_went_in_and_ends() {
    let samples = ramp(300);
    let out = play(&samples, WaveSample::default(), &organ(), &[(5, NOTE_ON)], 500);
    same(&out[5..], samples.iter().copied());
    assert!(out[310..].iter().all(|x| *x == 0.0));
    assert!(out[..5].iter().all(|x| *x == 0.0));
}

#[test]
fn forward_loops_of_any_length_turn_without_a_seam() {
    let samples = ramp(600);
    for (start, length) in
        [(0, 600), (100, 500), (40, 256), (40, 255), (300, 17), (300, 16), (8, 9), (3, 8), (2, 3), (1, 1), (0, 1)]
    {
        let out = play(&samples, looped(start, length), &organ(), &[(0, NOTE_ON)], 2500);
        let (start, length) = (start as usize, length as usize);
        let at = |i: usize| samples[if i < start + length { i } else { start + (i - start) % length }];
        same(&out, (0..2500).map(at));
    }
}

#[test]
fn loops_turn_at_any_pitch() {
    // A loop of one turn of a sine is a sine for ever, whatever the step.
    for length in [24usize, 100, 250, 256, 300, 1000] {
        let angle = |i: usize| std::f64::consts::TAU * i as f64 / length as f64;
        let samples: Vec<i16> = (0..2 * length).map(|i| (20_000.0 * angle(i).sin()).round() as i16).collect();
        for key in [36, 55, 61, 67, 79] {
            let out =
                play(&samples, looped(length as u32, length as u32), &organ(), &[(0, &[0x90, key, FULL])], 12_000);
            let step = f64::from(i32::from(key) - 60) / 12.0;
            let step = step.exp2();
            let radius = if key > 62 { 700.0 } else { 40.0 };
            for (i, found) in out.iter().enumerate().skip(20) {
                let expected = 20_000.0 * (std::f64::consts::TAU * i as f64 * step / length as f64).sin();
                assert!((found - expected).abs() < radius, "length {length} key {key} frame {i}: {found} {expected}");
            }
        }
    }
}

#[test]
fn a_loop_until_release_is_left_without_a_jump() {
    let samples = ramp(600);
    let mut release = organ();
    release.push(constant(d::EG1_RELEASE, time(30.0)));
    for (start, length) in [(100u32, 300u32), (100, 20)] {
        let sample_loop = Some(SampleLoop { until_release: true, start, length });
        let sample = WaveSample { sample_loop, ..WaveSample::default() };
        for off in [50, 150, 1003, 1007, 1290] {
            let out = play(&samples, sample, &release, &[(0, NOTE_ON), (off, NOTE_OFF)], 2500);
            let (start, length) = (start as usize, length as usize);
            let mut position = 0;
            let expected: Vec<i16> = (0..2500)
                .map(|i| {
                    let sample = samples.get(position).copied().unwrap_or(0);
                    position += 1;
                    if position == start + length && i + 1 < off {
                        position = start;
                    }
                    sample
                })
                .collect();
            for (i, (found, expected)) in out.iter().zip(expected).enumerate() {
                let allowed = 1.0 + f64::from(expected).abs() * 0.02;
                assert!((found - f64::from(expected)).abs() < allowed, "off {off} frame {i}: {found} {expected}");
            }
        }
    }
}

#[test]
fn a_region_says_how_to_play_before_its_wave_does() {
    let mut collection = tone_collection(0.0, &organ());
    let own = WaveSample { unity_note: 48, ..looped(0, TURN as u32) };
    let inner = dls_synth::dls::Wave::new("", RATE, &tone(0.0), Some(WaveSample { fine_tune: 100, ..own }));
    collection.waves[0] = Some(std::sync::Arc::new(inner));
    let pitch = |sample| {
        let make = |quarter: f64| {
            let mut collection = collection.clone();
            let wave =
                dls_synth::dls::Wave::new("", RATE, &tone(quarter), collection.waves[0].as_ref().unwrap().sample);
            collection.waves[0] = Some(std::sync::Arc::new(wave));
            collection.instruments[0].regions[0].sample = sample;
            collection
        };
        trace_of(make, &[(0, NOTE_ON)], 6000, 0).cents_around(3000, 2560)
    };
    close(pitch(None), 1300.0, 0.25);
    close(pitch(Some(looped(0, TURN as u32))), 0.0, 0.25);
}

#[test]
fn the_interpolator_is_clean() {
    // Tones up to a fifth of the sample rate, transposed by 4.3 semitones: what is left when the tone is taken away is
    // 68 dB below it.
    for turns in [80usize, 200, 400, 600, 800] {
        let length = 4000;
        let angle = |i: usize| std::f64::consts::TAU * (i * turns) as f64 / length as f64;
        let samples: Vec<i16> = (0..length).map(|i| (26_000.0 * angle(i).sin()).round() as i16).collect();
        let sample = WaveSample { fine_tune: -30, ..looped(0, length as u32) };
        let out = play(&samples, sample, &organ(), &[(0, &[0x90, 56, FULL])], 9000);
        let step = (-4.3f64 / 12.0).exp2() * turns as f64 / length as f64;
        // Least squares for a tone of known frequency.
        let part = &out[500..8500];
        let (mut ss, mut cc, mut sc, mut xs, mut xc, mut power) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
        for (i, x) in part.iter().enumerate() {
            let (s, c) = (std::f64::consts::TAU * step * i as f64).sin_cos();
            (ss, cc, sc) = (ss + s * s, cc + c * c, sc + s * c);
            (xs, xc, power) = (xs + x * s, xc + x * c, power + x * x);
        }
        let determinant = ss * cc - sc * sc;
        let (a, b) = ((xs * cc - xc * sc) / determinant, (xc * ss - xs * sc) / determinant);
        let signal = a * xs + b * xc;
        let sinad = 10.0 * (signal / (power - signal)).log10();
        assert!(sinad > 68.0, "{} of the rate: {sinad:.1} dB", turns as f64 / length as f64);
    }
}
