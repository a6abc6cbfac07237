//! What a level 2 device must hold at least (DLS-2.2, the table of minimum requirements), all of it at once, from a
//! file and from downloads.

use std::sync::Arc;

use crate::common::download::{self, INSTRUMENT2, buffer};
use crate::common::*;
use dls_synth::dls::spec::transform::LINEAR;
use dls_synth::dls::spec::{destination as d, source as s};
use dls_synth::dls::{Collection, Connection, Instrument, Patch, Region, Wave, WaveSample};
use dls_synth::{Bank, Synth, SynthConfig, VolumeItem};

const WAVES: usize = 512;
const INSTRUMENTS: usize = 256;
const REGIONS: usize = 1024;
const CONNECTIONS: usize = 8192;
/// Samples of 16 bits in all.
const WORDS: usize = 1 << 20;
const VOICES: usize = 32;

/// Samples of each wave.
const LENGTH: usize = WORDS / WAVES;
/// Regions of each instrument: it divides the keyboard among them.
const SPLITS: usize = REGIONS / INSTRUMENTS;

/// Makes each region's own connections.
fn rows(region: usize) -> Vec<Connection> {
    let controllers = (0..CONNECTIONS / REGIONS - 2)
        .map(|i| connection(0x80 + 16 + i as u16, s::NONE, d::PITCH, LINEAR, cents(region as f64)));
    // Every key plays the wave at its own pitch.
    let untuned = connection(s::KEY_NUMBER, s::NONE, d::PITCH, LINEAR, 0);
    controllers.chain([untuned, constant(d::GAIN, decibels(-(region as f64) / 512.0))]).collect()
}

fn patch(instrument: usize) -> Patch {
    Patch { drums: false, bank_msb: 0, bank_lsb: (instrument / 128) as u8, program: (instrument % 128) as u8 }
}

/// Returns the samples of a wave: a level of its own.
fn samples(wave: usize) -> Vec<i16> {
    vec![1000 + 50 * wave as i16; LENGTH]
}

fn wave_of(region: usize) -> usize {
    region % WAVES
}

fn keys(split: usize) -> (u16, u16) {
    let width = 128 / SPLITS as u16;
    (split as u16 * width, split as u16 * width + width - 1)
}

fn collection() -> Collection {
    let instrument = |instrument: usize| {
        let region = |split: usize| {
            let index = instrument * SPLITS + split;
            Region {
                keys: keys(split),
                articulation: Some(rows(index)),
                ..region(wave_of(index) as u32, WaveSample { unity_note: 0, ..looped(0, LENGTH as u32) })
            }
        };
        Instrument { patch: patch(instrument), regions: (0..SPLITS).map(region).collect(), ..Instrument::default() }
    };
    Collection {
        instruments: (0..INSTRUMENTS).map(instrument).collect(),
        waves: (0..WAVES).map(|wave| Some(Arc::new(Wave::new("", RATE, &samples(wave), None)))).collect(),
        ..Collection::default()
    }
}

/// Plays one note in every region of every instrument, and looks whether it is that region's.
fn every_region_plays(synth: &mut Synth) {
    // Without DirectMusic's own gain.
    synth.set_volume(VolumeItem::Volume, -600);
    synth.set_volume(VolumeItem::Boost, 0);
    for message in [[0xB0, 7, FULL], [0xB0, 91, 0]] {
        synth.midi(0, &message);
    }
    for instrument in 0..INSTRUMENTS {
        let patch = patch(instrument);
        synth.midi(0, &[0xB0, 32, patch.bank_lsb]);
        synth.midi(0, &[0xC0, patch.program]);
        for split in 0..SPLITS {
            let region = instrument * SPLITS + split;
            let key = keys(split).0 as u8 + (instrument % 32) as u8;
            synth.midi(0, &[0x90, key, FULL]);
            let found = f64::from(render(synth, 70)[69][0]) * 32_768.0 * 2f64.sqrt();
            let expected = f64::from(samples(wave_of(region))[0]) * 10f64.powf(-(region as f64) / 512.0 / 20.0);
            close(found / expected, 1.0, 1e-4);
            synth.midi(0, &[0x80, key, 0]);
            render(synth, 70);
            assert_eq!(synth.active_voices(), 0);
        }
    }
}

#[test]
fn loads_a_file_of_the_minimum_capacity_of_a_device() {
    let bank = Bank::from_bytes(&collection().to_dls()).unwrap();
    assert_eq!(bank.describe().len(), INSTRUMENTS);
    every_region_plays(&mut Synth::new(dry(), Arc::new(bank)).unwrap());
}

/// Makes a download buffer of an instrument.
fn instrument_buffer(instrument: usize) -> Vec<u8> {
    let words = |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|word| word.to_le_bytes()).collect() };
    let patch = patch(instrument);
    let number = u32::from(patch.bank_lsb) << 8 | u32::from(patch.program);
    let mut structures = vec![download::instrument(number, 1, 0, 0)];
    for split in 0..SPLITS {
        let index = instrument * SPLITS + split;
        let next = if split + 1 < SPLITS { 1 + split as u32 + 1 } else { 0 };
        let articulation = (1 + SPLITS + 2 * split) as u32;
        let mut region = download::region(next, wave_of(index) as u32, 0, LENGTH as u32, articulation);
        let (low, high) = keys(split);
        region[..4].copy_from_slice(&[low.to_le_bytes(), high.to_le_bytes()].concat());
        structures.push(region);
    }
    for split in 0..SPLITS {
        let rows = rows(instrument * SPLITS + split);
        structures.push(words(&[(1 + SPLITS + 2 * split + 1) as u32, 0, 0]));
        let mut list = words(&[8, rows.len() as u32]);
        for row in rows {
            for half in [row.source, row.control, row.destination, row.transform] {
                list.extend_from_slice(&half.to_le_bytes());
            }
            list.extend_from_slice(&row.scale.to_le_bytes());
        }
        structures.push(list);
    }
    buffer(INSTRUMENT2, 10_000 + instrument as u32, &structures)
}

#[test]
fn holds_downloads_of_the_minimum_capacity_of_a_device() {
    let mut synth = Synth::new(dry(), Arc::new(Bank::from_collection(&Collection::default()))).unwrap();
    for wave in 0..WAVES {
        synth.download(&download::wave(wave as u32, RATE, &samples(wave))).unwrap();
    }
    for instrument in 0..INSTRUMENTS {
        synth.download(&instrument_buffer(instrument)).unwrap();
    }
    every_region_plays(&mut synth);
}

#[test]
fn plays_the_configured_number_of_voices_at_once() {
    for voices in [VOICES, 24, 1000] {
        let config = SynthConfig { voices: voices as u16, channel_groups: 1, ..dry() };
        let mut synth = plain_synth(config, &tone_collection(0.0, &organ()));
        for note in 0..voices {
            synth.midi(0, &[0x90 | (note / 128) as u8, (note % 128) as u8, FULL]);
        }
        render(&mut synth, 100);
        assert_eq!((synth.active_voices() as usize, synth.notes_lost()), (voices, 0));
        // One more, of the least important channel, is one too many.
        synth.midi(0, &[0x9F, 60, FULL]);
        render(&mut synth, 1000);
        assert_eq!((synth.active_voices() as usize, synth.notes_lost()), (voices, 1));
    }
}

#[test]
fn renders_at_every_rate_from_22_khz() {
    for sample_rate in [22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000] {
        let mut synth = plain_synth(SynthConfig { sample_rate, ..dry() }, &tone_collection(0.0, &organ()));
        synth.midi(0, NOTE_ON);
        let out = render(&mut synth, sample_rate as usize);
        let rising = out.windows(2).filter(|pair| pair[0][0] < 0.0 && pair[1][0] >= 0.0).count();
        close(rising as f64, TONE_HERTZ, 1.0);
    }
}
