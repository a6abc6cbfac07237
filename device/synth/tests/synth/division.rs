//! The frames depend on the events alone: not on how rendering is divided into calls and threads, not on the
//! instruction set, not on the build.

use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::common::Random;
use dls_synth::dls::spec::transform::{LINEAR, SOURCE_BIPOLAR};
use dls_synth::dls::spec::{
    REGION_SELF_NON_EXCLUSIVE, WAVE_LINK_MULTICHANNEL, WAVE_LINK_PHASE_MASTER, destination as d, source as s,
};
use dls_synth::dls::{Collection, Connection, Instrument, Patch, Region, SampleLoop, Wave, WaveLink, WaveSample};
use dls_synth::{Bank, ConfigError, Kernel, Synth, SynthConfig};
use sha2::Digest;

const FRAMES: usize = 60_000;

/// The SHA-256 of the score's frames at some sample rates, as they were when this was written: the same on any
/// machine, in any build.
const GOLDEN: [(u32, &str); 3] = [
    (22_050, "383c1d102934a773293179efbf633eafc47f25b1dc257fee1d11daaf09e59663"),
    (48_000, "7407320a496049b29549d4ef3f7236286d9922e1daf6b38d5d4f194ecaa4328a"),
    (96_000, "a14f6dc469bf56f4235e58fe674c6379c4c24caa4d4e012b5d836ebcc19a3a4d"),
];

/// Makes a bank of its own, so that another built-in one changes nothing here. All of its values are whole numbers,
/// which no mathematics library can change.
fn bank() -> Arc<Bank> {
    let constant =
        |destination, scale| Connection { source: s::NONE, control: s::NONE, destination, transform: LINEAR, scale };
    let moving = |source, control, destination, scale| Connection {
        source,
        control,
        destination,
        transform: if source == s::EG2 || source == s::VELOCITY { LINEAR } else { SOURCE_BIPOLAR },
        scale,
    };
    let swings = [
        moving(s::VIBRATO, s::NONE, d::PITCH, 20 << 16),
        moving(s::LFO, s::CHANNEL_PRESSURE, d::PITCH, 90 << 16),
        moving(s::EG2, s::NONE, d::PITCH, -300 << 16),
        moving(s::LFO, s::NONE, d::GAIN, 20 << 16),
        constant(d::LFO_FREQUENCY, 5 * (1200 << 16) / 4),
        constant(d::EG2_ATTACK, -2400 << 16),
        constant(d::EG2_DECAY, -1200 << 16),
        constant(d::EG2_SUSTAIN, 300 << 16),
    ];
    let shapes = [
        constant(d::EG1_DELAY, -6000 << 16),
        constant(d::EG1_ATTACK, -4000 << 16),
        constant(d::EG1_HOLD, -5000 << 16),
        constant(d::EG1_DECAY, 1200 << 16),
        constant(d::EG1_SUSTAIN, 700 << 16),
        constant(d::EG1_RELEASE, -1500 << 16),
    ];
    let sweep = [
        constant(d::FILTER_CUTOFF, 6500 << 16),
        constant(d::FILTER_Q, 90 << 16),
        moving(s::EG2, s::NONE, d::FILTER_CUTOFF, 4000 << 16),
        moving(s::LFO, s::NONE, d::FILTER_CUTOFF, 500 << 16),
        moving(s::VELOCITY, s::NONE, d::FILTER_CUTOFF, 1000 << 16),
    ];
    let dull = [constant(d::FILTER_CUTOFF, 8000 << 16), constant(d::FILTER_Q, 30 << 16)];
    let sends = [constant(d::REVERB, 300 << 16), constant(d::CHORUS, 400 << 16)];
    let articulations: [Vec<Connection>; 8] = [
        vec![],
        [&swings[..], &shapes].concat(),
        [&sweep[..], &shapes].concat(),
        [&swings[..], &sweep].concat(),
        dull.to_vec(),
        [&dull[..], &shapes, &sends].concat(),
        sends.to_vec(),
        [&swings[..], &shapes, &sends].concat(),
    ];

    let looped = |start, length, until_release| WaveSample {
        sample_loop: Some(SampleLoop { until_release, start, length }),
        ..WaveSample::default()
    };
    let samples = [
        looped(500, 3000, false),
        looped(20, 37, false),
        looped(100, 1, true),
        looped(900, 900, true),
        WaveSample::default(),
    ];
    let region = |keys, wave: usize| Region {
        keys,
        velocities: (0, 127),
        options: if wave.is_multiple_of(2) { REGION_SELF_NON_EXCLUSIVE } else { 0 },
        key_group: 0,
        sample: Some(samples[wave]),
        link: WaveLink { channels: 1, index: wave as u32, ..WaveLink::default() },
        articulation: None,
        sound_font: None,
    };
    let instruments = articulations.into_iter().enumerate().flat_map(|(program, articulation)| {
        let wave = program % samples.len();
        let mut regions = vec![region((0, 59), wave), region((60, 127), (wave + 1) % samples.len())];
        match program % 4 {
            // A pair in phase.
            1 => {
                for (region, master) in regions.iter_mut().zip([true, false]) {
                    region.keys = (0, 127);
                    region.link.phase_group = 1;
                    region.link.channels = if master { 1 } else { 2 };
                    region.link.options = WAVE_LINK_MULTICHANNEL | if master { WAVE_LINK_PHASE_MASTER } else { 0 };
                }
            }
            // Layers.
            2 => regions.iter_mut().for_each(|region| region.keys = (0, 127)),
            // A key group.
            3 => regions[0].key_group = 1,
            _ => {}
        }
        [false, true].map(|drums| Instrument {
            patch: Patch { drums, program: program as u8, ..Patch::default() },
            regions: regions.clone(),
            articulation: articulation.clone(),
            ..Instrument::default()
        })
    });
    let waves = (0..samples.len()).map(|seed| {
        let mut random = Random(seed as u64 + 1);
        let mut before = 0;
        let noise = (0..5000).map(|_| {
            before = (before * 3 + random.below(60_000) as i32 - 30_000) / 4;
            before as i16
        });
        Some(Arc::new(Wave::new("", 44_100, &noise.collect::<Vec<_>>(), None)))
    });
    let collection = Collection { instruments: instruments.collect(), waves: waves.collect(), ..Collection::default() };
    Arc::new(Bank::from_collection(&collection))
}

/// Makes a busy score on all channels of two groups: notes, wheels, pedals, controllers, program changes.
fn score() -> Vec<(usize, u16, Vec<u8>)> {
    let mut random = Random(0x1234_5678_9ABC);
    let mut score: Vec<(usize, u16, Vec<u8>)> = (0..1200)
        .map(|_| {
            let (at, group) = (random.below(FRAMES), random.below(2) as u16);
            let channel = random.below(16) as u8;
            let mut data = || random.below(128) as u8;
            let message = match data() % 10 {
                0..=4 => vec![0x90 | channel, 24 + data() % 72, data()],
                5 => vec![0x80 | channel, 24 + data() % 72, 0],
                6 => vec![0xE0 | channel, data(), data()],
                7 => vec![0xC0 | channel, data() % 8],
                8 => vec![0xB0 | channel, [1, 7, 10, 11, 64, 91, 93, 120, 121][usize::from(data() % 9)], data()],
                _ => vec![0xD0 | channel, data()],
            };
            (at, group, message)
        })
        .collect();
    // Every program from the beginning.
    score.extend((0..32).map(|i| (0, i / 16, vec![0xC0 | (i as u8 % 16), i as u8 % 8])));
    score.sort_by_key(|(at, _, _)| *at);
    score
}

/// Returns the score's frames, rendered in calls of as many frames as `block` says each time.
fn play(config: SynthConfig, threads: usize, mut block: impl FnMut() -> usize) -> Vec<[u32; 2]> {
    let mut synth = Synth::new(config, bank()).unwrap();
    synth.set_threads(NonZeroUsize::new(threads).unwrap());
    let mut out = Vec::with_capacity(FRAMES);
    let mut render_to = |synth: &mut Synth, end: usize| {
        while out.len() < end {
            let frames = block().min(end - out.len());
            out.extend(crate::common::render(synth, frames));
        }
    };
    for (at, group, message) in score() {
        render_to(&mut synth, at);
        synth.midi(group, &message);
    }
    render_to(&mut synth, FRAMES);
    assert!(synth.active_voices() > 30, "the score must be heard to its end: {}", synth.active_voices());
    out.iter().map(|frame| frame.map(f32::to_bits)).collect()
}

fn config() -> SynthConfig {
    SynthConfig { voices: 64, ..SynthConfig::default() }
}

#[test]
fn every_instruction_set_renders_the_recorded_frames() {
    let mut found = Vec::new();
    for (sample_rate, expected) in GOLDEN {
        for kernel in Kernel::BY_SPEED.into_iter().chain([Kernel::Auto]) {
            let config = SynthConfig { kernel, sample_rate, ..config() };
            if let Err(error) = Synth::new(config, bank()) {
                assert_eq!(error, ConfigError::Kernel(kernel));
                continue;
            }
            let frames = play(config, 1, || 480);
            let bytes: Vec<u8> = frames.as_flattened().iter().flat_map(|bits| bits.to_le_bytes()).collect();
            let hash: String = sha2::Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            if hash != expected {
                found.push((sample_rate, kernel, hash));
            }
        }
    }
    assert!(found.is_empty(), "if the sound was meant to change, so must these: {found:#?}");
}

#[test]
fn every_block_size_renders_the_same_bits() {
    let whole = play(config(), 1, || FRAMES);
    for size in [1, 2, 3, 7, 31, 32, 33, 63, 64, 65, 127, 128, 480, 1000, 1023, 1024, 1025, 4096] {
        assert!(play(config(), 1, || size) == whole, "block size {size}");
    }
    let mut random = Random(99);
    assert!(play(config(), 1, || 1 + random.below(700)) == whole, "random block sizes");
}

#[test]
fn a_reset_synthesizer_renders_as_a_new_one() {
    let mut synth = Synth::new(SynthConfig::default(), bank()).unwrap();
    let phrase = |synth: &mut Synth| {
        synth.midi(0, &[0xC3, 7]);
        synth.midi(0, &[0x93, 60, 100]);
        let mut out = crate::common::render(synth, 5000);
        synth.midi(0, &[0x83, 60, 0]);
        synth.midi(1, &[0x99, 38, 120]);
        out.extend(crate::common::render(synth, 20_001));
        out
    };
    let first = phrase(&mut synth);
    assert!(first.iter().any(|frame| frame[0] != 0.0));
    synth.midi(0, &[0xB3, 7, 3]);
    synth.reset();
    assert!(phrase(&mut synth) == first);
}

#[test]
fn every_number_of_threads_renders_the_same_bits() {
    let render = |threads: usize, kernel: Kernel| {
        let config = SynthConfig { voices: 1000, kernel, ..SynthConfig::default() };
        let mut synth = Synth::new(config, bank()).unwrap();
        synth.set_threads(threads.try_into().unwrap());
        let mut out = Vec::new();
        for round in 0..3u8 {
            for (group, channel) in (0..2).flat_map(|group| (0..16u8).map(move |channel| (group, channel))) {
                synth.midi(group, &[0xC0 | channel, (channel + round) % 8]);
                (0..18).for_each(|key| synth.midi(group, &[0x90 | channel, 36 + key * 3 + round, 90]));
            }
            out.extend(crate::common::render(&mut synth, 3000));
        }
        assert!(synth.active_voices() > 600, "{} voices", synth.active_voices());
        out
    };
    let alone = render(1, Kernel::Scalar);
    for threads in [2, 3, 8, 100] {
        assert!(render(threads, Kernel::Auto) == alone, "{threads} threads");
    }
    assert!(play(config(), 4, || 777) == play(config(), 1, || 480));
}
