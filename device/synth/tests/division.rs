//! The frames depend on the events alone: not on how rendering is divided into calls.

mod common;

use common::Random;
use dls_synth::{Bank, ConfigError, Kernel, Synth, SynthConfig};
use sha2::Digest;

const FRAMES: usize = 96_000;

/// A busy score on all channels of two groups: notes, wheels, pedals, controllers, program changes.
fn score() -> Vec<(usize, u16, Vec<u8>)> {
    let mut random = Random(0x1234_5678_9ABC);
    let mut score: Vec<(usize, u16, Vec<u8>)> = (0..900)
        .map(|_| {
            let (at, group) = (random.below(FRAMES), random.below(2) as u16);
            let channel = random.below(16) as u8;
            let mut data = || random.below(128) as u8;
            let message = match data() % 10 {
                0..=4 => vec![0x90 | channel, 24 + data() % 72, data()],
                5 => vec![0x80 | channel, 24 + data() % 72, 0],
                6 => vec![0xE0 | channel, data(), data()],
                7 => vec![0xC0 | channel, data()],
                8 => vec![0xB0 | channel, [1, 7, 10, 11, 64, 91, 93, 120, 121][usize::from(data() % 9)], data()],
                _ => vec![0xD0 | channel, data()],
            };
            (at, group, message)
        })
        .collect();
    score.sort_by_key(|(at, _, _)| *at);
    score
}

fn play(config: SynthConfig, mut block: impl FnMut() -> usize) -> Vec<[u32; 2]> {
    let mut synth = Synth::new(config, Bank::builtin()).unwrap();
    let mut out = Vec::with_capacity(FRAMES);
    let mut render_to = |synth: &mut Synth, end: usize| {
        while out.len() < end {
            let frames = block().min(end - out.len());
            out.extend(common::render(synth, frames));
        }
    };
    for (at, group, message) in score() {
        render_to(&mut synth, at);
        synth.midi(group, &message);
    }
    render_to(&mut synth, FRAMES);
    out.iter().map(|frame| frame.map(f32::to_bits)).collect()
}

#[test]
fn every_block_size_gives_the_same_bits() {
    let config = SynthConfig { voices: 48, ..SynthConfig::default() };
    let whole = play(config, || FRAMES);
    assert!(whole.iter().any(|frame| frame[0] << 1 != 0), "the score must be heard");
    for size in [1, 7, 64, 480, 4096] {
        assert!(play(config, || size) == whole, "block size {size}");
    }
    let mut random = Random(99);
    assert!(play(config, || 1 + random.below(700)) == whole, "random block sizes");
}

/// The score's frames as they were when this was written, on any machine, in any build.
const SCORE_SHA256: &str = "34727305e8ef073c3d602feac266f469e2c660fd556c4b5c26e27a829771f1bf";

#[test]
fn the_frames_are_what_they_always_were() {
    let config = SynthConfig { voices: 48, ..SynthConfig::default() };
    let bytes: Vec<u8> = play(config, || 480).as_flattened().iter().flat_map(|bits| bits.to_le_bytes()).collect();
    let hash: String = sha2::Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hash, SCORE_SHA256, "if the sound was meant to change, so must this hash");
}

#[test]
fn a_synthesizer_that_was_reset_is_as_new() {
    let mut synth = Synth::new(SynthConfig::default(), Bank::builtin()).unwrap();
    let phrase = |synth: &mut Synth| {
        synth.midi(0, &[0xC3, 48]);
        synth.midi(0, &[0x93, 60, 100]);
        let mut out = common::render(synth, 5000);
        synth.midi(0, &[0x83, 60, 0]);
        synth.midi(1, &[0x99, 38, 120]);
        out.extend(common::render(synth, 20_001));
        out
    };
    let first = phrase(&mut synth);
    synth.midi(0, &[0xB3, 7, 3]);
    synth.reset();
    assert!(phrase(&mut synth) == first);
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    let config = SynthConfig { voices: 48, kernel: Kernel::Scalar, ..SynthConfig::default() };
    let plain = play(config, || 333);
    for kernel in Kernel::BY_SPEED {
        let config = SynthConfig { kernel, ..config };
        match Synth::new(config, Bank::builtin()) {
            Ok(_) => assert!(play(config, || 251) == plain, "{kernel:?}"),
            Err(error) => assert_eq!(error, ConfigError::Kernel(kernel)),
        }
    }
}

#[test]
fn every_number_of_threads_gives_the_same_bits() {
    let render = |threads: usize| {
        let mut synth = Synth::new(SynthConfig { voices: 1000, ..SynthConfig::default() }, Bank::builtin()).unwrap();
        synth.set_threads(threads.try_into().unwrap());
        let mut out = Vec::new();
        for round in 0..3u8 {
            for (group, channel) in (0..2).flat_map(|group| (0..16u8).map(move |channel| (group, channel))) {
                synth.midi(group, &[0xC0 | channel, channel * 8 + round]);
                (0..12).for_each(|key| synth.midi(group, &[0x90 | channel, 36 + key * 4 + round, 90]));
            }
            out.extend(common::render(&mut synth, 5000));
        }
        assert!(synth.active_voices() > 600, "{} voices", synth.active_voices());
        out
    };
    let alone = render(1);
    for threads in [2, 3, 8, 100] {
        assert!(render(threads) == alone, "{threads} threads");
    }
}
