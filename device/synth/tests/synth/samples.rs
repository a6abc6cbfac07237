//! Which wave plays, how, and from where to where: `wsmp` of region and wave, loops at their limits, rates.
//! That loops turn without a seam and waves come out as they went in is in `identities.rs`.

use std::sync::Arc;

use crate::common::setup::Setup;
use crate::common::*;
use dls_synth::dls::{Collection, SampleLoop, Wave, WaveSample};

/// Returns pitch and level of the tone for values of the region and of the wave.
fn heard(of_region: Option<WaveSample>, of_wave: Option<WaveSample>) -> (f64, f64) {
    let setup = Setup::default();
    let make = |quarter: f64| {
        let mut collection = setup.collection(quarter);
        collection.waves[0] = Some(Arc::new(Wave::new("", RATE, &setup.samples(quarter), of_wave)));
        collection.instruments[0].regions[0].sample = of_region;
        collection
    };
    let recording = setup.play_collection(3000, make);
    (recording.cents(1500, 1024), recording.decibels(1500))
}

fn near(found: (f64, f64), cents: f64, decibels: f64) {
    close(found.0, cents, 0.05);
    close(found.1, decibels, 0.005);
}

#[test]
fn a_wsmp_chunk_of_a_region_replaces_that_of_its_wave() {
    let of_wave = WaveSample { unity_note: 48, fine_tune: 100, gain: decibels(-6.0), ..looped(0, TURN as u32) };
    near(heard(None, Some(of_wave)), 1300.0, -6.0);
    // Also what the region says nothing special about.
    near(heard(Some(looped(0, TURN as u32)), Some(of_wave)), 0.0, 0.0);
    let of_region = WaveSample { unity_note: 72, gain: decibels(-3.0), ..looped(0, TURN as u32) };
    near(heard(Some(of_region), Some(of_wave)), -1200.0, -3.0);
}

/// Returns the left output, in 16-bit units, of a wave at key 60.
fn play(collection: &Collection, frames: usize) -> Vec<f64> {
    let mut synth = plain_synth(dry(), collection);
    synth.midi(0, NOTE_ON);
    render(&mut synth, frames).iter().map(|frame| f64::from(frame[0]) * 32_768.0 * 2f64.sqrt()).collect()
}

fn ramp(samples: usize) -> Vec<i16> {
    (0..samples).map(|i| (i as i16) * 50 - 8000).collect()
}

#[test]
fn without_any_wsmp_a_wave_plays_once_at_key_60() {
    let mut collection = collection(vec![region(0, WaveSample::default())], vec![wave(&ramp(300))]);
    collection.instruments[0].regions[0].sample = None;
    let out = play(&collection, 400);
    for (found, expected) in out.iter().zip(ramp(300)) {
        close(*found, f64::from(expected), 0.02);
    }
    assert!(out[304..].iter().all(|x| *x == 0.0));
}

#[test]
fn a_loop_that_reaches_beyond_its_wave_ends_where_the_wave_does() {
    let samples = ramp(300);
    for (start, length, turns) in [(100u32, 5000u32, 200), (299, 9, 1), (0, u32::MAX, 300)] {
        let out = play(&collection(vec![region(0, looped(start, length))], vec![wave(&samples)]), 1500);
        for (i, found) in out.iter().enumerate() {
            let at = if i < 300 { i } else { start as usize + (i - start as usize) % turns };
            close(*found, f64::from(samples[at]), 0.02);
        }
    }
    // No sample of it is there: the wave plays once.
    let out = play(&collection(vec![region(0, looped(300, 10))], vec![wave(&samples)]), 500);
    assert!(out[304..].iter().all(|x| *x == 0.0));
}

#[test]
fn a_wave_of_any_rate_sounds_at_its_pitch_at_any_rate_of_the_device() {
    for wave_rate in [8000, 11_025, 22_050, 44_100, 96_000] {
        for sample_rate in [11_025, 22_050, 44_100, 96_000] {
            let setup =
                Setup { config: dls_synth::SynthConfig { sample_rate, voices: 4, ..dry() }, ..Setup::default() };
            let make = |quarter: f64| {
                let mut collection = setup.collection(quarter);
                collection.waves[0] = Some(Arc::new(Wave::new("", wave_rate, &setup.samples(quarter), None)));
                collection
            };
            // The recording takes the wave to be of the tests' own rate.
            let expected = 1200.0 * (f64::from(wave_rate) / f64::from(RATE)).log2();
            close(setup.play_collection(3000, make).cents(1500, 1024), expected, 0.05);
        }
    }
}

#[test]
fn layers_play_each_its_own_wave() {
    let constant_wave = |level: i16| wave(&[level; 64]);
    let regions = [0, 1].map(|index| region(index, looped(0, 64))).to_vec();
    let collection = collection(regions, vec![constant_wave(4000), constant_wave(7000)]);
    close(play(&collection, 200)[150], 11_000.0, 0.05);
}

#[test]
fn a_region_without_its_wave_is_silent_and_the_others_play() {
    let regions = [0, 1, 7].map(|index| region(index, looped(0, 64))).to_vec();
    let collection = collection(regions, vec![None, wave(&[5000; 64])]);
    close(play(&collection, 200)[150], 5000.0, 0.05);
}

#[test]
fn survives_the_shortest_waves_and_the_highest_keys() {
    for samples in [0usize, 1, 2, 7] {
        for key in [0u8, 60, 127] {
            for sample in
                [WaveSample::default(), looped(0, 1), looped(0, 7), WaveSample { unity_note: 0, ..looped(0, 2) }]
            {
                let until_release = SampleLoop { until_release: true, start: 0, length: 1 };
                for sample in [sample, WaveSample { sample_loop: Some(until_release), ..sample }] {
                    let collection = collection(vec![region(0, sample)], vec![wave(&vec![20_000; samples])]);
                    let mut synth = plain_synth(dry(), &collection);
                    synth.midi(0, &[0x90, key, FULL]);
                    let mut out = render(&mut synth, 1000);
                    synth.midi(0, &[0x80, key, 0]);
                    out.extend(render(&mut synth, 1000));
                    assert!(out.iter().all(|frame| frame[0].is_finite() && frame[0].abs() <= 0.7));
                    assert_eq!(synth.active_voices(), 0);
                }
            }
        }
    }
}
