//! What must come out equal, bit for bit or to a rounding: nulls, superposition, loops against waves written out, and
//! every event at its very frame.

use std::f64::consts::FRAC_1_SQRT_2;
use std::sync::Arc;

use crate::common::*;
use dls_synth::dls::spec::destination as d;
use dls_synth::dls::{Collection, Connection, SampleLoop, WaveSample};
use dls_synth::{Bank, Synth, SynthConfig};

/// Makes noise of full scale: a wave with nothing regular about it.
fn noise(samples: usize, seed: u64) -> Vec<i16> {
    let mut random = Random(seed);
    (0..samples).map(|_| (random.below(65_536) as i32 - 32_768) as i16).collect()
}

fn one_wave(samples: &[i16], sample: WaveSample, rows: &[Connection]) -> Collection {
    let mut collection = collection(vec![region(0, sample)], vec![wave(samples)]);
    collection.instruments[0].articulation = rows.to_vec();
    collection
}

/// Plays events and returns the bits of the left output.
fn bits(collection: &Collection, events: &[(usize, &[u8])], frames: usize) -> Vec<f32> {
    let mut synth = plain_synth(dry(), collection);
    let mut out = Vec::new();
    for (frame, message) in events {
        out.extend(render(&mut synth, frame - out.len()));
        synth.midi(0, message);
    }
    out.extend(render(&mut synth, frames - out.len()));
    out.iter().map(|frame| frame[0]).collect()
}

#[test]
fn a_wave_at_its_own_pitch_is_rendered_times_the_gain() {
    let samples = noise(5000, 11);
    for (volume, velocity) in [(127u8, 127u8), (100, 127), (64, 90)] {
        let note = [0x90, 60, velocity];
        let out =
            bits(&one_wave(&samples, WaveSample::default(), &organ()), &[(3, &[0xB0, 7, volume]), (7, &note)], 6000);
        let gain = (f64::from(volume) / 127.0).powi(2) * (f64::from(velocity) / 127.0).powi(2) * FRAC_1_SQRT_2;
        for (i, sample) in samples.iter().enumerate() {
            let (found, expected) = (f64::from(out[7 + i]), f64::from(*sample) / 32_768.0 * gain);
            // Two roundings to 24 bits, and what the gain itself is off: a relative 3e-7.
            assert!((found - expected).abs() <= expected.abs() * 3e-7, "sample {i}: {found}, not {expected}");
        }
        assert!(out[..7].iter().chain(&out[7 + samples.len()..]).all(|x| *x == 0.0), "silence before and after");
    }
}

#[test]
fn an_octave_down_every_other_frame_is_a_sample() {
    let samples = noise(3000, 12);
    let out = bits(&one_wave(&samples, WaveSample::default(), &organ()), &[(0, &[0x90, 48, FULL])], 6000);
    for (i, sample) in samples.iter().enumerate() {
        let expected = f64::from(*sample) / 32_768.0 * FRAC_1_SQRT_2;
        assert!((f64::from(out[2 * i]) - expected).abs() <= expected.abs() * 3e-7, "sample {i}");
    }
}

#[test]
fn a_loop_renders_as_its_unrolled_wave() {
    let samples = noise(1500, 13);
    // Of every length from one sample on, at the wave's beginning, in its middle, at its end.
    let loops = [
        (0usize, 1usize),
        (0, 7),
        (3, 1),
        (100, 16),
        (5, 255),
        (5, 256),
        (5, 257),
        (200, 1000),
        (0, 1500),
        (1499, 1),
        (1244, 256),
    ];
    for (start, length) in loops {
        for key in [12u8, 40, 59, 60, 61, 63, 65, 67, 72, 79, 84, 88, 96] {
            let frames = 6000;
            let step = (f64::from(i32::from(key) - 60) / 12.0).exp2();
            let reach = (frames as f64 * step) as usize + 64;
            let written: Vec<i16> = (0..reach)
                .map(|i| samples[if i < start + length { i } else { start + (i - start) % length }])
                .collect();
            let note = [0x90, key, FULL];
            let looped =
                bits(&one_wave(&samples, looped(start as u32, length as u32), &organ()), &[(0, &note)], frames);
            let whole = bits(&one_wave(&written, WaveSample::default(), &organ()), &[(0, &note)], frames);
            let differs = looped.iter().zip(&whole).position(|(a, b)| a.to_bits() != b.to_bits());
            assert_eq!(differs, None, "loop {start}+{length}, key {key}");
        }
    }
}

#[test]
fn a_loop_until_release_renders_as_its_unrolled_wave_with_the_turns_begun() {
    let samples = noise(1500, 14);
    let rows = [constant(d::EG1_RELEASE, time(20.0))];
    for (start, length) in [(100usize, 300usize), (100, 20), (0, 257), (700, 256), (40, 3)] {
        for (key, off) in [(60u8, 50usize), (60, 777), (60, 1300), (55, 1200), (67, 900), (72, 1111), (36, 3000)] {
            let step = (f64::from(i32::from(key) - 60) / 12.0).exp2();
            // Where the wave is when the key is lifted decides how many turns it makes.
            let position = off as f64 * step;
            let end = (start + length) as f64;
            let turns = if position < end { 0 } else { ((position - end) / length as f64) as usize + 1 };
            // Not on the very seam, where a rounding would decide.
            let into = (position - start as f64).rem_euclid(length as f64);
            if position > start as f64 && !(0.01..length as f64 - 0.01).contains(&into) && step.fract() != 0.0 {
                continue;
            }
            let mut written = samples[..start + length].to_vec();
            (0..turns).for_each(|_| written.extend_from_slice(&samples[start..start + length]));
            written.extend_from_slice(&samples[start + length..]);
            let sample_loop = Some(SampleLoop { until_release: true, start: start as u32, length: length as u32 });
            let sample = WaveSample { sample_loop, ..WaveSample::default() };
            let note = [0x90, key, FULL];
            let note_off = [0x80, key, 0];
            let events: [(usize, &[u8]); 2] = [(0, &note), (off, &note_off)];
            let frames = off + (2500.0 / step) as usize;
            let found = bits(&one_wave(&samples, sample, &rows), &events, frames);
            let whole = bits(&one_wave(&written, WaveSample::default(), &rows), &events, frames);
            // Until note-off the loop's beginning was what followed its end, within the interpolator's reach.
            // It looks further above a step of one.
            let taps_after = if step > 1.0 { 50.0 } else { 5.0 };
            let reach = (taps_after / step).ceil() as usize;
            let alike = |range: std::ops::Range<usize>| found[range.clone()] == whole[range];
            let what = || format!("loop {start}+{length}, key {key}, off at {off}: {turns} turns");
            assert!(alike(0..off.saturating_sub(reach)), "before: {}", what());
            let differs = (off..frames).find(|i| found[*i].to_bits() != whole[*i].to_bits());
            assert_eq!(differs, None, "after: {}", what());
            assert!(whole.iter().rev().take(100).all(|x| *x == 0.0), "it ends: {}", what());
        }
    }
}

#[test]
fn a_wave_that_has_ended_frees_its_voice() {
    let collection = one_wave(&noise(1000, 15), WaveSample::default(), &[constant(d::EG1_RELEASE, time(20.0))]);
    let mut synth = plain_synth(dry(), &collection);
    synth.midi(0, NOTE_ON);
    render(&mut synth, 900);
    assert_eq!(synth.active_voices(), 1);
    render(&mut synth, 300);
    assert_eq!(synth.active_voices(), 0);
}

/// Makes a tune for one channel of the built-in bank.
fn tune(channel: u8, program: u8, seed: u64) -> Vec<(usize, Vec<u8>)> {
    let mut random = Random(seed);
    let mut events = vec![(0, vec![0xC0 | channel, program]), (0, vec![0xB0 | channel, 10, random.below(128) as u8])];
    for _ in 0..30 {
        let at = random.below(40_000);
        let key = 40 + random.below(40) as u8;
        events.push((at, vec![0x90 | channel, key, 30 + random.below(97) as u8]));
        events.push((at + 500 + random.below(6000), vec![0x80 | channel, key, 0]));
        events.push((random.below(40_000), vec![0xE0 | channel, 0, 32 + random.below(64) as u8]));
        events.push((random.below(40_000), vec![0xB0 | channel, 1, random.below(128) as u8]));
    }
    events.sort_by_key(|(at, _)| *at);
    events
}

fn perform(config: SynthConfig, mut events: Vec<(usize, Vec<u8>)>) -> Vec<[f32; 2]> {
    events.sort_by_key(|(at, _)| *at);
    let mut synth = Synth::new(config, Bank::builtin()).unwrap();
    let mut out: Vec<[f32; 2]> = Vec::new();
    for (at, message) in &events {
        out.extend(render(&mut synth, at - out.len()));
        synth.midi(0, message);
    }
    out.extend(render(&mut synth, 60_000 - out.len()));
    assert_eq!(synth.notes_lost(), 0);
    out
}

/// Returns the greatest difference between the sum of the parts and the whole, and the greatest value of the whole.
fn superposition(config: SynthConfig) -> (f64, f64) {
    let parts = [tune(0, 0, 21), tune(1, 48, 22), tune(2, 73, 23), tune(9, 0, 24)];
    let whole = perform(config, parts.concat());
    let alone: Vec<_> = parts.into_iter().map(|part| perform(config, part)).collect();
    let mut worst = (0.0f64, 0.0f64);
    for (i, frame) in whole.iter().enumerate() {
        for (side, found) in frame.iter().enumerate() {
            let sum: f64 = alone.iter().map(|part| f64::from(part[i][side])).sum();
            worst = (worst.0.max((f64::from(*found) - sum).abs()), worst.1.max(sum.abs()));
        }
    }
    worst
}

#[test]
fn voices_add_up_independently() {
    // Not to the bit: sums of 24 bits are rounded in another order when fewer voices are added. Some roundings of a
    // peak of 1.
    let (difference, peak) = superposition(SynthConfig { voices: 256, ..dry() });
    assert!(peak > 0.1, "it is heard: {peak}");
    assert!(difference < 1e-6 * peak.max(1.0), "{difference} of {peak}");
}

#[test]
fn effects_are_linear() {
    let (difference, peak) = superposition(SynthConfig { voices: 256, reverb: true, chorus: true, ..dry() });
    assert!(difference < 4e-6 * peak.max(1.0), "{difference} of {peak}");
}

#[test]
fn channels_with_equal_messages_sound_alike() {
    // To the bit: the same events on another channel, or in another group, are the same frames.
    let play = |group: u16, channel: u8| {
        let mut synth = Synth::new(SynthConfig { channel_groups: 3, ..dry() }, Bank::builtin()).unwrap();
        let mut out = Vec::new();
        for (at, message) in tune(channel, 40, 31) {
            out.extend(render(&mut synth, at - out.len()));
            synth.midi(group, &message);
        }
        out.extend(render(&mut synth, 60_000 - out.len()));
        out
    };
    let first = play(0, 0);
    assert!(first.iter().any(|frame| frame[0] != 0.0));
    for (group, channel) in [(0, 1), (0, 15), (1, 0), (2, 8)] {
        assert!(play(group, channel) == first, "group {group}, channel {channel}");
    }
}

/// Makes a click at every note: one sample, at once.
fn clicks() -> Collection {
    let mut samples = vec![0i16; 200];
    samples[0] = 32_767;
    one_wave(&samples, WaveSample::default(), &organ())
}

#[test]
fn every_onset_is_at_its_frame_at_every_block_size() {
    for sample_rate in [11_025u32, 44_100, 48_000, 96_000] {
        let mut random = Random(41);
        let mut onsets: Vec<usize> =
            (0..150).map(|_| random.below(40_000)).chain([0, 63, 64, 65, 127, 128, 4096]).collect();
        onsets.sort_unstable();
        onsets.dedup();
        for block in [1usize, 3, 64, 441, 1024, 4096, 40_500] {
            let mut collection = clicks();
            let samples = collection.waves[0].as_ref().unwrap().samples().to_vec();
            // At its own pitch at this rate.
            collection.waves[0] = Some(Arc::new(dls_synth::dls::Wave::new("", sample_rate, &samples, None)));
            let mut synth = plain_synth(SynthConfig { sample_rate, voices: 256, ..dry() }, &collection);
            let mut out = Vec::new();
            let mut next = onsets.iter().peekable();
            while out.len() < 40_500 {
                let mut key = 0;
                while next.next_if(|at| **at == out.len()).is_some() {
                    synth.midi(0, &[0x90, 60 + key, FULL]);
                    key += 1;
                }
                let until = next.peek().map_or(40_500, |at| **at);
                let frames = block.min(until - out.len());
                out.extend(render(&mut synth, frames));
            }
            let loud: Vec<usize> = out.iter().enumerate().filter(|(_, f)| f[0].abs() > 0.6).map(|(i, _)| i).collect();
            assert_eq!(loud, onsets, "blocks of {block} at {sample_rate} Hz");
        }
    }
}

#[test]
fn every_message_takes_effect_at_its_frame() {
    // The constant 1, panned, bent and turned down at a frame: not one frame sooner, and within a tick.
    let held = one_wave(&[16_384; 64], looped(0, 64), &organ());
    for at in [640usize, 641, 700, 703] {
        for message in [&[0xB0u8, 7, 64][..], &[0xB0, 10, 0], &[0xB0, 11, 3]] {
            let plain = bits(&held, &[(0, NOTE_ON)], 1000);
            let moved = bits(&held, &[(0, NOTE_ON), (at, message)], 1000);
            assert!(plain[..at] == moved[..at], "not before");
            let first = (at..1000).find(|i| plain[*i] != moved[*i]).unwrap();
            assert!(first <= at + 1, "{message:x?} at {at}: seen from {first}");
            assert!(moved[at + 130..].windows(2).all(|pair| pair[0] == pair[1]), "it has arrived");
        }
    }
    // A note-off begins its release there.
    let fading = one_wave(&[16_384; 64], looped(0, 64), &[constant(d::EG1_RELEASE, time(0.1))]);
    for at in [640usize, 641, 700, 703] {
        let out = bits(&fading, &[(0, NOTE_ON), (at, NOTE_OFF)], 1000);
        assert!(out[at - 1] == out[10] && out[at + 1] < out[at - 1]);
    }
}
