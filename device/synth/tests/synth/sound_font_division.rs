//! The frames of a SoundFont depend on the events alone, as those of DLS do: not on the division into calls and threads, not
//! on the instruction set, not on the build.

use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::common::sf2::*;
use crate::common::{Random, render};
use dls_synth::dls::{Collection, Wave};
use dls_synth::{Bank, Kernel, Synth, SynthConfig};
use sha2::Digest;

const FRAMES: usize = 30_000;

/// The SHA-256 of the score's frames at 48 kHz, as they were when this was written: the same on any machine, in any build.
const GOLDEN: &str = "9c622633311c408599159313ef8a34226d8be2cb4ef5718a4d72e632f3918eb2";

/// Makes a font of zones that have everything a voice is made of: both envelopes, both oscillators, a filter that is swept
/// and one that resonates, modulators of times, links, the absolute value, and samples of 24 bits.
fn bank() -> Arc<Bank> {
    let shapes = [(33, -6000), (34, -4000), (35, -5000), (36, -1000), (37, 300), (38, -1500), (SAMPLE_MODES, 1)];
    let swings = [
        (5, 90),
        (6, 20),
        (13, 60),
        (22, -300),
        (24, 200),
        (21, -4000),
        (7, -300),
        (26, -2000),
        (28, -1000),
        (29, 400),
    ];
    let sweep = [(8, 6500), (9, 150), (10, 500), (11, 4000), (26, -3000), (28, 0), (29, 800)];
    let sends = [(15, 400), (16, 300), (17, -200), (SAMPLE_MODES, 3), (38, -2000)];
    let modulators: [(u16, u16, i16, u16, u16); 6] = [
        (0x81 | 0x600, 52, 60, 0x8A, 0),
        (0x80 | 72, 38, 3000, 0, 0),
        (0x80 | 71, 9, 300, 0, 0),
        (0x000D, 0x8004, 2, 0x0002, 0),
        (127, 8, -1200, 0x0003, 0),
        (0x020E, 17, 300, 0, 2),
    ];
    let mut font = Font::new(&[], &[], 0.0);
    // Whole numbers, which no mathematics library can change.
    let (mut random, mut before) = (Random(3), 0);
    for sample in &mut font.samples {
        before = (before * 3 + random.below(60_000) as i32 - 30_000) / 4;
        *sample = before as i16;
    }
    font.instrument = [(&shapes[..], 47), (&swings[..], 59), (&sweep[..], 71), (&sends[..], 127)]
        .into_iter()
        .scan(0, |low, (generators, high)| {
            let range = (KEY_RANGE, high << 8 | *low);
            *low = high + 1;
            Some([&[range][..], generators, &[(SAMPLE, 0)]].concat())
        })
        .map(|generators| Zone { generators, modulators: &modulators })
        .collect();
    let mut collection = Collection::from_sf2(&font.file()).unwrap();
    for wave in collection.waves.iter_mut().flatten() {
        let mut random = Random(5);
        let low: Vec<u8> = wave.samples().iter().map(|_| random.below(256) as u8).collect();
        *wave = Arc::new(Wave::clone(wave).with_low_bits(&low));
    }
    Arc::new(Bank::from_collection(&collection))
}

fn score() -> Vec<(usize, [u8; 3])> {
    let mut random = Random(0x5F_2004);
    let mut score: Vec<(usize, [u8; 3])> = (0..600)
        .map(|_| {
            let (at, channel) = (random.below(FRAMES), random.below(8) as u8);
            let mut data = || random.below(128) as u8;
            let message = match data() % 9 {
                0..=3 => [0x90 | channel, 24 + data() % 72, data()],
                4 => [0x80 | channel, 24 + data() % 72, 0],
                5 => [0xE0 | channel, data(), data()],
                6 => [0xD0 | channel, data(), 0],
                _ => [0xB0 | channel, [1, 7, 10, 11, 64, 71, 72, 91, 93][usize::from(data() % 9)], data()],
            };
            (at, message)
        })
        .collect();
    score.sort_by_key(|(at, _)| *at);
    score
}

fn play(config: SynthConfig, threads: usize, mut block: impl FnMut() -> usize) -> Vec<[u32; 2]> {
    let mut synth = Synth::new(config, bank()).unwrap();
    synth.set_threads(NonZeroUsize::new(threads).unwrap());
    let mut out = Vec::with_capacity(FRAMES);
    let mut render_to = |synth: &mut Synth, end: usize| {
        while out.len() < end {
            let frames = block().min(end - out.len());
            out.extend(render(synth, frames));
        }
    };
    for (at, message) in score() {
        render_to(&mut synth, at);
        synth.midi(0, &message);
    }
    render_to(&mut synth, FRAMES);
    assert!(synth.active_voices() > 20, "the score must be heard to its end: {}", synth.active_voices());
    out.iter().map(|frame| frame.map(f32::to_bits)).collect()
}

fn config() -> SynthConfig {
    SynthConfig { voices: 64, ..SynthConfig::default() }
}

#[test]
fn every_instruction_set_renders_the_recorded_frames_of_a_sound_font() {
    for kernel in Kernel::BY_SPEED.into_iter().chain([Kernel::Auto]) {
        let config = SynthConfig { kernel, sample_rate: 48_000, ..config() };
        // One that this processor has not.
        if Synth::new(config, bank()).is_err() {
            continue;
        }
        let bytes: Vec<u8> =
            play(config, 1, || 480).as_flattened().iter().flat_map(|bits| bits.to_le_bytes()).collect();
        let hash: String = sha2::Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, GOLDEN, "{kernel:?}: if the sound was meant to change, so must this");
    }
}

#[test]
fn every_block_size_and_number_of_threads_renders_the_same_bits_of_a_sound_font() {
    let whole = play(config(), 1, || FRAMES);
    for size in [1, 7, 31, 63, 64, 65, 480, 1023, 4096] {
        assert!(play(config(), 1, || size) == whole, "block size {size}");
    }
    let mut random = Random(99);
    assert!(play(config(), 1, || 1 + random.below(700)) == whole, "random block sizes");
    for threads in [2, 3, 8] {
        assert!(play(config(), threads, || 777) == whole, "{threads} threads");
    }
}
