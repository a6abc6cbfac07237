//! DirectMusic's gains over those of DLS.

use std::sync::Arc;

use crate::common::*;
use dls_synth::dls::Connection;
use dls_synth::dls::spec::transform::LINEAR;
use dls_synth::dls::spec::{destination as d, source as s};
use dls_synth::{Bank, Synth, SynthConfig, VolumeItem};

/// Makes the connections by which the key has no influence on the pitch.
fn untuned() -> Connection {
    connection(s::KEY_NUMBER, s::NONE, d::PITCH, LINEAR, 0)
}

/// Returns peak of the test tone on the left, in dB over the tone's own.
fn peak(set: impl Fn(&mut Synth)) -> f64 {
    let bank = Bank::from_collection(&tone_collection(0.0, &organ()));
    let mut synth = Synth::new(dry(), Arc::new(bank)).unwrap();
    set(&mut synth);
    synth.midi(0, NOTE_ON);
    let peak = render(&mut synth, 2 * TURN).iter().fold(0.0f32, |peak, frame| peak.max(frame[0].abs()));
    20.0 * (f64::from(peak) / PEAK).log10()
}

#[test]
fn a_voice_at_default_volumes_is_as_loud_as_direct_music_makes_it() {
    // +6 of its own, +6 of boost, volume 100, centre.
    close(peak(|_| {}), 6.0 + 6.0 - 4.152 - 3.010, 0.01);
}

#[test]
fn volume_and_boost_add_and_are_clamped() {
    close(peak(|s| s.set_volume(VolumeItem::Volume, -1000)), 4.838 - 10.0, 0.01);
    close(peak(|s| s.set_volume(VolumeItem::Boost, -400)), 4.838 - 10.0, 0.01);
    close(peak(|s| s.set_volume(VolumeItem::Volume, i32::MIN)), 4.838 - 200.0, 0.1);
}

#[test]
fn one_voice_never_exceeds_6_db_on_an_output() {
    close(peak(|s| s.midi(0, &[0xB0, 10, 0])), 6.0, 0.01);
    close(peak(|s| s.set_volume(VolumeItem::Volume, 2000)), 6.0, 0.01);
}

#[test]
fn the_default_voice_is_as_loud_on_every_channel_at_every_rate() {
    for (sample_rate, group, channel) in [(11_025, 0, 0u8), (22_050, 1, 15), (48_000, 0, 3), (96_000, 1, 8)] {
        let bank = Bank::from_collection(&tone_collection(0.0, &organ()));
        let mut synth = Synth::new(SynthConfig { sample_rate, ..dry() }, Arc::new(bank)).unwrap();
        synth.midi(group, &[0x90 | channel, 60, FULL]);
        // The wave begins with a step, which the interpolator overshoots.
        render(&mut synth, 100);
        let out = render(&mut synth, sample_rate as usize / 10);
        for side in [0, 1] {
            let peak = out.iter().fold(0.0f32, |peak, frame| peak.max(frame[side].abs()));
            close(20.0 * (f64::from(peak) / PEAK).log10(), 4.838, 0.02);
        }
    }
}

#[test]
fn applies_the_gain_of_directmusic_after_the_limit_of_the_amplifier() {
    // What is connected ends at 0 dB; 6 and 6 dB come on top of that, and a volume takes away from there.
    let peak_of = |gain: f64, volume: i32| {
        let mut collection = tone_collection(0.0, &organ());
        collection.instruments[0].regions[0].sample.as_mut().unwrap().gain = decibels(gain);
        let mut synth = Synth::new(dry(), Arc::new(Bank::from_collection(&collection))).unwrap();
        synth.set_volume(VolumeItem::Volume, volume);
        synth.midi(0, &[0xB0, 7, 127]);
        synth.midi(0, NOTE_ON);
        let peak = render(&mut synth, 2 * TURN).iter().fold(0.0f32, |peak, frame| peak.max(frame[0].abs()));
        20.0 * (f64::from(peak) / PEAK).log10()
    };
    close(peak_of(0.0, -1000), 12.0 - 10.0 - 3.010, 0.01);
    close(peak_of(20.0, -1000), 12.0 - 10.0 - 3.010, 0.01);
    close(peak_of(-20.0, 0), 12.0 - 20.0 - 3.010, 0.01);
}

#[test]
fn limits_each_voice_to_6_db_separately() {
    // Two voices at the limit are 6 dB more than one: nothing limits their sum.
    let together = |notes: &[u8]| {
        let bank = Bank::from_collection(&tone_collection(0.0, &[organ()[0], untuned()]));
        let mut synth = Synth::new(dry(), Arc::new(bank)).unwrap();
        synth.set_volume(VolumeItem::Volume, 2000);
        notes.iter().for_each(|key| synth.midi(0, &[0x90, *key, FULL]));
        // The wave begins with a step, which the interpolator overshoots.
        render(&mut synth, 1000);
        render(&mut synth, 2 * TURN * 32).iter().fold(0.0f32, |peak, frame| peak.max(frame[0].abs()))
    };
    close(20.0 * (f64::from(together(&[60])) / PEAK).log10(), 6.0, 0.01);
    close(20.0 * (f64::from(together(&[60, 64])) / PEAK).log10(), 12.02, 0.01);
}

#[test]
fn clamps_volume_and_boost_separately() {
    // A sum beyond the range is no less than what its parts come to.
    close(
        peak(|s| (s.set_volume(VolumeItem::Volume, -99_999), s.set_volume(VolumeItem::Boost, 99_999)).1),
        -180.0 - 1.162,
        0.1,
    );
    close(peak(|s| s.set_volume(VolumeItem::Boost, i32::MAX)), 6.0, 0.01);
    // And a reset brings back what they were at first.
    close(
        peak(|s| (s.set_volume(VolumeItem::Volume, -900), s.set_volume(VolumeItem::Boost, -900), s.reset()).2),
        4.838,
        0.01,
    );
}

#[test]
fn volume_affects_sounding_notes() {
    let bank = Bank::from_collection(&tone_collection(0.0, &organ()));
    let mut synth = Synth::new(dry(), Arc::new(bank)).unwrap();
    synth.midi(0, NOTE_ON);
    render(&mut synth, 1000);
    synth.set_volume(VolumeItem::Volume, -2000);
    render(&mut synth, 1000);
    let peak = render(&mut synth, TURN).iter().fold(0.0f32, |peak, frame| peak.max(frame[0].abs()));
    close(20.0 * (f64::from(peak) / PEAK).log10(), 4.838 - 20.0, 0.01);
}

#[test]
fn sixteen_bits_are_rounded_and_clipped() {
    let bank = || Arc::new(Bank::from_collection(&tone_collection(0.0, &organ())));
    let mut floats = Synth::new(dry(), bank()).unwrap();
    let mut integers = Synth::new(dry(), bank()).unwrap();
    let mut out = vec![[0i16; 2]; 700];
    for synth in [&mut floats, &mut integers] {
        synth.midi(0, NOTE_ON);
        synth.midi(0, &[0x90, 67, FULL]);
    }
    integers.render_i16(&mut out);
    let expected: Vec<[i16; 2]> = render(&mut floats, 700)
        .iter()
        .map(|frame| frame.map(|x| (f64::from(x) * 32_768.0).round_ties_even().clamp(-32_768.0, 32_767.0) as i16))
        .collect();
    assert_eq!(out, expected);
    assert!(out.as_flattened().contains(&i16::MAX) && out.as_flattened().contains(&i16::MIN));
}
