//! The built-in collection as a user hears it: levels, and that one can tell the programs apart.

use crate::common::*;
use dls_synth::{Bank, Synth, SynthConfig};

fn synth() -> Synth {
    Synth::new(SynthConfig { voices: 256, ..SynthConfig::default() }, Bank::builtin()).unwrap()
}

fn decibels_of(amplitude: f32) -> f32 {
    20.0 * amplitude.log10()
}

/// Sixteen channels at once: rhythm, bass, chords on eight instruments, melodies on five, at default volumes.
#[test]
fn a_dense_song_neither_clips_nor_is_too_quiet() {
    const PROGRAMS: [u8; 16] = [0, 24, 33, 48, 61, 65, 73, 81, 4, 0, 52, 29, 38, 90, 46, 56];
    const CHORDS: [[u8; 3]; 4] = [[0, 4, 7], [9, 12, 16], [5, 9, 12], [7, 11, 14]];
    let mut synth = synth();
    for (channel, program) in (0..16u8).zip(PROGRAMS) {
        synth.midi(0, &[0xC0 | channel, program]);
        synth.midi(0, &[0xB0 | channel, 10, 20 + channel * 6]);
    }
    let mut random = Random(5);
    let mut peak = 0.0f32;
    for bar in 0..8 {
        let chord = CHORDS[bar % 4];
        for beat in 0..8u8 {
            let mut play = |channel: u8, key: u8, velocity: u8| synth.midi(0, &[0x90 | channel, key, velocity]);
            play(2, 36 + chord[0], 110);
            play(9, 42, 90);
            play(9, if beat % 4 == 0 { 36 } else { 38 }, 120);
            for key in chord {
                for channel in [0, 1, 8] {
                    play(channel, 60 + key, 96);
                }
                for channel in [3, 4, 10, 12, 13].into_iter().filter(|_| beat == 0) {
                    play(channel, 48 + key, 90);
                }
            }
            for channel in [5, 6, 7, 11, 15].into_iter().filter(|_| beat % 2 == 0) {
                play(channel, 72 + chord[random.below(3)], 105);
            }
            let out = render(&mut synth, 12_000);
            peak = out.as_flattened().iter().fold(peak, |peak, x| peak.max(x.abs()));
            for channel in [0, 1, 2, 5, 6, 7, 8, 11, 15] {
                synth.midi(0, &[0xB0 | channel, 123, 0]);
            }
        }
        (0..16).for_each(|channel| synth.midi(0, &[0xB0 | channel, 123, 0]));
    }
    assert_eq!(synth.notes_lost(), 0);
    let peak = decibels_of(peak);
    assert!((-12.0..=-1.0).contains(&peak), "{peak} dBFS");
}

#[test]
fn every_program_and_every_drum_is_audible_and_of_similar_level() {
    for program in 0..128 {
        let mut synth = synth();
        synth.midi(0, &[0xC0, program]);
        let mut peak = 0.0f32;
        for key in [48, 60, 72] {
            synth.midi(0, &[0x90, key, 100]);
            let out = render(&mut synth, 96_000);
            peak = out.as_flattened().iter().fold(peak, |peak, x| peak.max(x.abs()));
            synth.all_sound_off();
        }
        let peak = decibels_of(peak);
        assert!((-36.0..=-8.0).contains(&peak), "program {program}: {peak} dBFS");
    }
    for key in 35..=81 {
        let mut synth = synth();
        synth.midi(0, &[0x99, key, 100]);
        let out = render(&mut synth, 24_000);
        let peak = decibels_of(out.as_flattened().iter().fold(0.0, |peak, x| peak.max(x.abs())));
        assert!((-30.0..=-8.0).contains(&peak), "drum {key}: {peak} dBFS");
    }
}

/// Loudness in third-octave bands of a held note: a crude ear.
fn bands(program: u8) -> Vec<f64> {
    let mut synth = synth();
    synth.midi(0, &[0xC0, program]);
    synth.midi(0, &[0x90, 60, 100]);
    let out = render(&mut synth, 24_000);
    // Two moments, so that what swells differs from what dies away.
    let mut bands = Vec::new();
    for moment in [&out[1000..5000], &out[15_000..19_000]] {
        for third in 0..20 {
            let hertz = 131.0 * (f64::from(third) / 3.0).exp2();
            let mut power = 1e-9;
            for partial in 0..4 {
                let w = std::f64::consts::TAU * hertz * (1.0 + 0.06 * f64::from(partial)) / f64::from(RATE);
                let (mut re, mut im) = (0.0, 0.0);
                for (i, frame) in moment.iter().enumerate() {
                    let window = (std::f64::consts::PI * i as f64 / 4000.0).sin();
                    let (s, c) = (w * i as f64).sin_cos();
                    re += window * f64::from(frame[0]) * c;
                    im += window * f64::from(frame[0]) * s;
                }
                power += re * re + im * im;
            }
            bands.push(10.0 * power.log10());
        }
    }
    bands
}

#[test]
fn neighbouring_programs_sound_different() {
    // One of each family, and its next neighbour: no two may be closer than 2 dB on average over the bands.
    let programs =
        [0, 4, 6, 11, 13, 16, 19, 24, 25, 30, 33, 38, 40, 45, 48, 52, 56, 60, 65, 71, 73, 75, 80, 81, 89, 98, 105];
    let spectra: Vec<_> = programs.iter().map(|p| bands(*p)).collect();
    for i in 0..programs.len() {
        for j in 0..i {
            let distance: f64 = spectra[i].iter().zip(&spectra[j]).map(|(a, b)| (a - b).abs()).sum::<f64>() / 40.0;
            assert!(distance > 2.0, "programs {} and {}: {distance:.2} dB", programs[j], programs[i]);
        }
    }
}
