//! DirectMusic's gains over those of DLS.

mod common;

use std::sync::Arc;

use common::*;
use dls_synth::{Bank, Synth, VolumeItem};

/// Peak of the test tone on the left, in dB over the tone's own.
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
fn volume_moves_what_sounds_already() {
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
