//! The built-in collection by measurement: tune, loudness, seams, decay and release of every program, and the kit.
//!
//! About 15 seconds of work on one processor.

use std::f64::consts::{PI, TAU};

use crate::common::render;
use dls_synth::dls::Collection;
use dls_synth::{Bank, Synth, SynthConfig, builtin};
use ebur128::{EbuR128, Mode};
use sha2::{Digest, Sha256};

/// Enough for what is measured here, and quick.
const RATE: u32 = 24_000;

/// The hash of the file. A change of the sound on purpose changes it here too.
const FILE_SHA256: &str = "92eb523ea5b1ddc75acb09bef9e836f10e7b4fb3aca20680765e41f56c9ca435";

fn synth() -> Synth {
    let config = SynthConfig { sample_rate: RATE, reverb: false, chorus: false, voices: 64, ..SynthConfig::default() };
    Synth::new(config, Bank::builtin()).unwrap()
}

fn frames(seconds: f64) -> usize {
    (seconds * f64::from(RATE)) as usize
}

fn name(program: u8) -> String {
    let bank = Bank::builtin();
    let found = bank.describe().iter().find(|line| !line.patch.drums && line.patch.program == program);
    format!("{program} {}", found.expect("every program").name)
}

/// Makes a note of a program, held for so long, and what follows.
fn note(program: u8, key: u8, velocity: u8, held: f64, after: f64) -> Vec<[f32; 2]> {
    let mut synth = synth();
    synth.midi(0, &[0xC0, program]);
    synth.midi(0, &[0x90, key, velocity]);
    let mut out = render(&mut synth, frames(held));
    synth.midi(0, &[0x80, key, 0]);
    out.extend(render(&mut synth, frames(after)));
    out
}

fn drum(key: u8) -> Vec<[f32; 2]> {
    let mut synth = synth();
    synth.midi(0, &[0x99, key, 100]);
    render(&mut synth, frames(3.0))
}

/// Returns the root mean square over both outputs, in dB.
fn level(out: &[[f32; 2]], from: f64, to: f64) -> f64 {
    let part = &out[frames(from)..frames(to).min(out.len())];
    let power: f64 = part.as_flattened().iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
    10.0 * (power / part.len() as f64).max(1e-18).log10()
}

/// Returns the loudest 400 ms by EBU R 128, in LUFS.
fn loudness(out: &[[f32; 2]]) -> f64 {
    let mut meter = EbuR128::new(2, RATE, Mode::M).unwrap();
    let mut loudest = f64::NEG_INFINITY;
    for part in out.chunks(frames(0.1)) {
        meter.add_frames_f32(part.as_flattened()).unwrap();
        loudest = loudest.max(meter.loudness_momentary().unwrap());
    }
    loudest
}

/// Returns the highest sample, in dB.
fn peak(out: &[[f32; 2]]) -> f64 {
    20.0 * f64::from(out.as_flattened().iter().fold(0.0f32, |peak, x| peak.max(x.abs()))).log10()
}

/// Returns how far a partial is from a frequency, in cents, and its power: the mean of its instantaneous frequency,
/// weighted with its power, so that players who are a little off on either side of a note are on the note together.
fn partial(out: &[f64], hertz: f64) -> (f64, f64) {
    const BLOCKS: usize = 15;
    let block = frames(0.01);
    let shifted: Vec<(f64, f64)> = out
        .chunks_exact(block)
        .enumerate()
        .map(|(index, part)| {
            let step = TAU * hertz / f64::from(RATE);
            let (mut s, mut c) = (TAU * (hertz * (index * block) as f64 / f64::from(RATE)).fract()).sin_cos();
            let (ds, dc) = step.sin_cos();
            part.iter().fold((0.0, 0.0), |(re, im), x| {
                let next = (re + x * c, im - x * s);
                (s, c) = (s * dc + c * ds, c * dc - s * ds);
                next
            })
        })
        .collect();
    let window: Vec<f64> = (0..BLOCKS).map(|i| (PI * (i as f64 + 0.5) / BLOCKS as f64).sin().powi(2)).collect();
    let smooth = |part: &[(f64, f64)]| {
        part.iter().zip(&window).fold((0.0, 0.0), |sum, (z, w)| (sum.0 + w * z.0, sum.1 + w * z.1))
    };
    let track: Vec<(f64, f64)> = shifted.windows(BLOCKS).map(smooth).collect();
    let (mut re, mut im) = (0.0, 0.0);
    for pair in track.windows(2) {
        re += pair[1].0 * pair[0].0 + pair[1].1 * pair[0].1;
        im += pair[1].1 * pair[0].0 - pair[1].0 * pair[0].1;
    }
    (1200.0 * (1.0 + im.atan2(re) * 100.0 / TAU / hertz).log2(), re.hypot(im))
}

/// Returns cents that a note is off, over its first six harmonics by their power.
fn cents_off(out: &[[f32; 2]], key: u8) -> f64 {
    let mono: Vec<f64> = out.iter().map(|frame| f64::from(frame[0]) + f64::from(frame[1])).collect();
    let fundamental = 440.0 * ((f64::from(key) - 69.0) / 12.0).exp2();
    let harmonics = (1..=6).map(|n| f64::from(n) * fundamental).take_while(|hertz| *hertz < 10_000.0);
    let (sum, power) = harmonics
        .map(|hertz| partial(&mono, hertz))
        .fold((0.0, 0.0), |(sum, power), (cents, p)| (sum + cents.clamp(-50.0, 50.0) * p, power + p));
    sum / power
}

/// Programs without a pitch of their own: a hit of a whole orchestra, two effects whose partials wander on purpose,
/// bells and drums, and noises.
fn is_pitched(program: u8) -> bool {
    !matches!(program, 55 | 102 | 103 | 112 | 113 | 115..=127)
}

/// Returns cents that a program may be off: two, but for what beats on purpose, whose mean depends on how much of a
/// beat is heard.
fn tolerance(program: u8) -> f64 {
    if matches!(program, 3 | 96..=101) { 4.0 } else { 2.0 }
}

/// Programs that die away while a key is held.
fn is_struck(program: u8) -> bool {
    matches!(program, 0..=15 | 24..=28 | 31..=39 | 45..=47 | 96 | 98 | 102..=108 | 112..=118)
}

/// Programs that go on while a key is held.
fn is_held(program: u8) -> bool {
    matches!(program, 16..=23 | 40..=44 | 48..=54 | 56..=87 | 89 | 91..=95 | 97 | 109..=111)
}

#[test]
fn the_file_has_the_recorded_hash() {
    let hash: String = Sha256::digest(builtin::FILE).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hash, FILE_SHA256, "if the sound was meant to change, so must this hash");
}

#[test]
fn the_file_is_read_without_a_warning() {
    let loaded = Collection::load(builtin::FILE).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

#[test]
fn every_pitched_program_is_in_tune_within_2_cents() {
    let mut wrong = Vec::new();
    for program in (0..128).filter(|program| is_pitched(*program)) {
        for key in (36..=96).step_by(12) {
            let off = cents_off(&note(program, key, 100, 1.5, 0.0)[frames(0.02)..], key);
            if off.is_nan() || off.abs() > tolerance(program) {
                wrong.push(format!("{}, key {key}: {off:.2} cents", name(program)));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_program_is_as_loud_as_its_family() {
    let mut wrong = Vec::new();
    for family in 0..16u8 {
        let loud: Vec<f64> = (0..8).map(|i| loudness(&note(8 * family + i, 60, 100, 1.0, 0.0))).collect();
        let (least, most) = loud.iter().fold((0.0f64, -99.0f64), |(a, b), x| (a.min(*x), b.max(*x)));
        // Plucked and struck notes, which are short, are let be softer by the meter than they sound.
        let bounds = if family == 15 { (-36.0, -20.0) } else { (-36.5, -22.0) };
        if least < bounds.0 || most > bounds.1 || most - least > 12.0 {
            wrong.push(format!("family {family}: {least:.1} to {most:.1} LUFS: {loud:.1?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_note_comes_near_to_clipping() {
    for program in 0..128 {
        for key in [36, 60, 84] {
            let peak = peak(&note(program, key, 127, 0.5, 0.0));
            assert!(peak < -3.0, "{}, key {key}: {peak:.1} dB", name(program));
        }
    }
}

#[test]
fn struck_programs_decay_and_blown_ones_sustain() {
    for program in 0..128 {
        let out = note(program, 60, 100, 3.0, 0.0);
        let (early, later, last) = (level(&out, 0.05, 0.25), level(&out, 1.0, 1.4), level(&out, 2.6, 3.0));
        if is_struck(program) {
            assert!(early - later > 5.0 && later >= last, "{}: {early:.1} {later:.1} {last:.1} dB", name(program));
        }
        if is_held(program) {
            assert!((later - last).abs() < 6.0, "{}: {later:.1} {last:.1} dB", name(program));
        }
    }
    // A piano's note is there for seconds, not for one.
    let out = note(0, 60, 100, 3.0, 0.0);
    let per_second = (level(&out, 0.3, 0.5) - level(&out, 2.3, 2.5)) / 2.0;
    assert!((5.0..14.0).contains(&per_second), "{per_second:.1} dB a second");
}

#[test]
fn every_program_is_silent_soon_after_its_key_is_released() {
    for program in 0..128 {
        let out = note(program, 60, 100, 0.5, 4.0);
        let (held, after) = (level(&out, 0.3, 0.5), level(&out, 3.9, 4.4));
        assert!(after < held.max(-60.0) - 50.0, "{}: {held:.1} and {after:.1} dB", name(program));
    }
}

/// At the seam of a loop the wave goes on as it does everywhere else in it: no jump, and no kink.
#[test]
fn loops_have_no_audible_seam() {
    let collection = Collection::from_dls(builtin::FILE).unwrap();
    let mut loops = 0;
    for region in collection.instruments.iter().flat_map(|instrument| &instrument.regions) {
        let wave = collection.waves[region.link.index as usize].as_ref().unwrap();
        let Some(found) = region.sample.or(wave.sample).and_then(|sample| sample.sample_loop) else { continue };
        loops += 1;
        let turn = &wave.samples()[found.start as usize..(found.start + found.length) as usize];
        let at = |i: usize| f64::from(turn[i % turn.len()]);
        let step = |i: usize| (at(i + 1) - at(i)).abs();
        let kink = |i: usize| (at(i + 2) - 2.0 * at(i + 1) + at(i)).abs();
        let last = turn.len() - 1;
        let within = |f: &dyn Fn(usize) -> f64| (0..last - 1).map(f).fold(0.0, f64::max);
        // A rounded sample may add two steps of its own.
        assert!(step(last) <= within(&step) * 1.1 + 2.0, "{}: a jump", wave.name);
        let worst = kink(last - 1).max(kink(last));
        assert!(worst <= within(&kink) * 1.1 + 4.0, "{}: a kink", wave.name);
    }
    assert!(loops > 200, "{loops} loops");
}

/// Returns power in third-octave bands at three moments of a note, in dB: a crude ear.
fn timbre(program: u8) -> Vec<f64> {
    let out = note(program, 60, 100, 1.5, 0.0);
    let mono: Vec<f64> = out.iter().map(|frame| f64::from(frame[0]) + f64::from(frame[1])).collect();
    let mut bands = Vec::new();
    for moment in [0.02, 0.3, 1.2] {
        let part = &mono[frames(moment)..frames(moment) + frames(0.1)];
        for third in 0..18 {
            let mut power = 1e-7;
            for step in 0..4 {
                let hertz = 131.0 * ((f64::from(third) + 0.25 * f64::from(step)) / 3.0).exp2();
                let turn = TAU * hertz / f64::from(RATE);
                let (re, im) = part.iter().enumerate().fold((0.0, 0.0), |(re, im), (i, x)| {
                    let (s, c) = (turn * i as f64).sin_cos();
                    let window = (PI * i as f64 / part.len() as f64).sin();
                    (re + window * x * c, im + window * x * s)
                });
                power += re * re + im * im;
            }
            bands.push(10.0 * power.log10());
        }
    }
    bands
}

#[test]
fn the_eight_programs_of_a_family_are_eight_timbres() {
    let timbres: Vec<_> = (0..128).map(timbre).collect();
    let mut alike = Vec::new();
    for family in 0..16usize {
        for i in 0..8 {
            for j in 0..i {
                let (a, b) = (8 * family + i, 8 * family + j);
                let distance: f64 = timbres[a].iter().zip(&timbres[b]).map(|(x, y)| (x - y).abs()).sum();
                let distance = distance / timbres[a].len() as f64;
                if distance < 1.5 {
                    alike.push(format!("{} and {}: {distance:.2} dB", name(b as u8), name(a as u8)));
                }
            }
        }
    }
    assert!(alike.is_empty(), "{alike:#?}");
}

#[test]
fn the_kit_has_every_drum_of_general_midi() {
    for key in 35..=81 {
        let out = drum(key);
        let (loud, peak) = (loudness(&out[..frames(1.0)]), peak(&out));
        assert!((-46.0..-22.0).contains(&loud) && peak < -6.0, "drum {key}: {loud:.1} LUFS, {peak:.1} dB");
        assert!(level(&out, 2.8, 3.0) < level(&out, 0.0, 0.1) - 40.0, "drum {key} ends");
    }
    // Drums that one player cannot sound at once end each other: hi-hats, whistles, guiros, cuicas, triangles.
    for (first, second) in [(46, 42), (46, 44), (72, 71), (74, 73), (79, 78), (81, 80)] {
        let mut synth = synth();
        synth.midi(0, &[0x99, first, 100]);
        render(&mut synth, frames(0.02));
        synth.midi(0, &[0x99, second, 1]);
        let out = render(&mut synth, frames(0.2));
        let alone = drum(first);
        let (choked, open) = (level(&out, 0.1, 0.2), level(&alone, 0.12, 0.22));
        assert!(choked < open - 20.0, "{second} ends {first}: {choked:.1}, {open:.1} dB");
    }
}
