//! What a DLS-2.2 device must understand of MIDI, message by message, and in what state it begins.

use crate::common::live::Live;
use crate::common::*;
use dls_synth::SynthConfig;
use dls_synth::dls::spec::transform::{LINEAR, SOURCE_BIPOLAR};
use dls_synth::dls::spec::{destination as d, source as s};
use dls_synth::dls::{Collection, Connection, Instrument, Patch};

/// The level at power-on: volume 100.
const VOLUME_100: f64 = -4.152;

fn config() -> SynthConfig {
    SynthConfig { voices: 16, ..dry() }
}

/// Returns the tone as melodic instrument and as kit, with everything that a controller may move.
fn responsive(quarter: f64) -> Collection {
    let rows: [Connection; 4] = [
        connection(s::EG2, s::CC1, d::PITCH, LINEAR, cents(1280.0)),
        connection(s::EG2, s::CHANNEL_PRESSURE, d::PITCH, LINEAR, cents(640.0)),
        connection(s::EG2, s::POLY_PRESSURE, d::PITCH, LINEAR, cents(320.0)),
        constant(d::EG1_RELEASE, time(0.05)),
    ];
    with_kit(tone_collection(quarter, &rows))
}

fn with_kit(mut collection: Collection) -> Collection {
    let kit = Instrument { patch: Patch { drums: true, ..Patch::default() }, ..collection.instruments[0].clone() };
    collection.instruments.push(kit);
    collection
}

fn live() -> Live {
    Live::new(config(), responsive)
}

/// Makes a pair that holds a note on channel 1.
fn sounding() -> Live {
    let mut live = live();
    live.send(NOTE_ON);
    live
}

/// Selects a registered parameter and enters a value.
fn parameter(live: &mut Live, number: u8, coarse: u8, fine: Option<u8>) {
    live.send_all(&[&[0xB0, 101, 0], &[0xB0, 100, number], &[0xB0, 6, coarse]]);
    if let Some(fine) = fine {
        live.send(&[0xB0, 38, fine]);
    }
}

#[test]
fn every_channel_of_every_group_begins_with_the_defaults_of_dls() {
    for group in [0, 1] {
        for channel in 0..16u8 {
            let mut live = live();
            live.send_to(group, &[0x90 | channel, 60, FULL]);
            // Modulation and pressures 0, wheel and tunings at their centre: nothing moves the pitch.
            close(live.cents(), 0.0, 0.05);
            // Volume 100, expression 127, pan 64.
            close(live.decibels(), VOLUME_100, 0.01);
            close(live.pan(), 0.0, 1e-4);
            // Two semitones of bend.
            live.send_to(group, &[0xE0 | channel, 127, 127]);
            close(live.cents(), 200.0 * 8191.0 / 8192.0, 0.25);
            // No parameter is selected.
            live.send_to(group, &[0xB0 | channel, 6, 24]);
            live.send_to(group, &[0xB0 | channel, 38, 24]);
            close(live.cents(), 200.0 * 8191.0 / 8192.0, 0.25);
            // The pedal is up.
            live.send_to(group, &[0x80 | channel, 60, 0]);
            live.seconds(0.1);
            assert_eq!(live.voices(), 0);
        }
    }
}

#[test]
fn the_reverb_send_defaults_to_40_and_the_chorus_send_to_0() {
    // What the effect adds to the same note without any of it.
    let added = |config: SynthConfig, messages: &[&[u8]]| {
        let play = |config: SynthConfig| {
            let mut live = Live::new(config, responsive);
            live.send_all(messages);
            live.send(NOTE_ON);
            live.run(6000);
            live.frames().to_vec()
        };
        let (wet, dry) = (play(config), play(self::config()));
        wet.as_flattened().iter().zip(dry.as_flattened()).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
    };
    let reverb = SynthConfig { reverb: true, ..config() };
    let whole = added(reverb, &[&[0xB0, 91, 127]]);
    close(added(reverb, &[]) / whole, 40.0 / 127.0, 1e-3);
    close(added(reverb, &[&[0xB0, 91, 40]]) / whole, 40.0 / 127.0, 1e-3);
    let chorus = SynthConfig { chorus: true, ..config() };
    assert_eq!(added(chorus, &[]), 0.0);
    assert!(added(chorus, &[&[0xB0, 93, 127]]) > 1.0);
}

#[test]
fn controllers_affect_a_sounding_note() {
    let mut live = sounding();
    live.run(500);
    for value in [0u8, 64, 127] {
        live.send(&[0xB0, 1, value]);
        close(live.cents(), 10.0 * f64::from(value), 0.25);
    }
    live.send(&[0xB0, 1, 0]);
    for value in [127u8, 64, 1] {
        let expected = 40.0 * (f64::from(value) / 127.0).log10();
        live.send_all(&[&[0xB0, 7, value], &[0xB0, 11, 127]]);
        close(live.decibels(), expected, 0.01);
        live.send_all(&[&[0xB0, 7, 127], &[0xB0, 11, value]]);
        close(live.decibels(), expected, 0.01);
    }
    live.send(&[0xB0, 11, 127]);
    for (value, position) in [(0u8, -0.5), (1, -0.5), (32, -0.254), (64, 0.0), (127, 0.5)] {
        live.send(&[0xB0, 10, value]);
        close(live.pan(), position, 1e-3);
    }
    live.send(&[0xB0, 10, 64]);
    live.send(&[0xD0, 64]);
    close(live.cents(), 320.0, 0.25);
    live.send(&[0xD0, 0]);
    live.send(&[0xA0, 60, 64]);
    close(live.cents(), 160.0, 0.25);
    // Another key's pressure is another's.
    live.send_all(&[&[0xA0, 60, 0], &[0xA0, 61, 127]]);
    close(live.cents(), 0.0, 0.25);
    for (wheel, expected) in [(0u16, -200.0), (4096, -100.0), (8192, 0.0), (12_288, 100.0)] {
        live.send(&[0xE0, wheel as u8 & 0x7F, (wheel >> 7) as u8]);
        close(live.cents(), expected, 0.05);
    }
}

#[test]
fn volume_0_and_expression_0_are_96_decibels_down() {
    for controller in [7, 11] {
        let mut live = sounding();
        live.send_all(&[&[0xB0, 7, 127], &[0xB0, controller, 0]]);
        live.run(500);
        close(live.decibels(), -96.0, 0.25);
    }
}

#[test]
fn the_bend_range_has_semitones_and_cents() {
    for (semitones, fine, expected) in
        [(12, Some(0), 1200.0), (24, None, 2400.0), (0, Some(0), 0.0), (2, Some(50), 250.0)]
    {
        let mut live = sounding();
        parameter(&mut live, 0, semitones, fine);
        live.send(&[0xE0, 0, 0]);
        close(live.cents(), -expected, 0.25);
        live.send(&[0xE0, 0, 96]);
        close(live.cents(), expected / 2.0, 0.25);
    }
}

#[test]
fn fine_tuning_has_fourteen_bits_and_reaches_a_semitone_either_way() {
    let mut live = sounding();
    for value in [0u16, 1, 82, 4096, 8110, 8192, 8193, 8274, 12_288, 16_383] {
        parameter(&mut live, 1, (value >> 7) as u8, Some(value as u8 & 0x7F));
        close(live.cents(), 100.0 * (f64::from(value) / 8192.0 - 1.0), 0.05);
    }
}

#[test]
fn fine_tuning_is_set_by_either_half_alone() {
    let mut live = sounding();
    live.send_all(&[&[0xB0, 101, 0], &[0xB0, 100, 1], &[0xB0, 38, 127]]);
    close(live.cents(), 100.0 * 127.0 / 8192.0, 0.05);
    live.send(&[0xB0, 6, 96]);
    close(live.cents(), 100.0 * (4096.0 + 127.0) / 8192.0, 0.05);
}

#[test]
fn coarse_tuning_moves_later_notes_and_no_drums() {
    let mut live = live();
    parameter(&mut live, 2, 64 + 7, Some(99));
    live.send(NOTE_ON);
    close(live.cents(), 700.0, 0.05);
    parameter(&mut live, 2, 64 - 5, None);
    close(live.cents(), 700.0, 0.05);
    live.send_all(&[&[0xB0, 120, 0], NOTE_ON]);
    live.run(1500);
    close(live.cents(), -500.0, 0.05);
    let mut drums = self::live();
    drums.send_all(&[&[0xB9, 101, 0], &[0xB9, 100, 2], &[0xB9, 6, 71], &[0x99, 60, FULL]]);
    close(drums.cents(), 0.0, 0.05);
}

#[test]
fn note_off_ends_its_key_after_a_change_of_tuning() {
    let mut live = live();
    parameter(&mut live, 2, 71, None);
    live.send(NOTE_ON);
    parameter(&mut live, 2, 60, None);
    live.send(NOTE_OFF);
    live.seconds(0.1);
    assert_eq!(live.voices(), 0);
}

#[test]
fn data_entry_sets_the_selected_parameter_only() {
    let bend = |select: &[&[u8]]| {
        let mut live = sounding();
        live.send_all(select);
        live.send_all(&[&[0xB0, 6, 12], &[0xB0, 38, 0], &[0xE0, 0, 0]]);
        live.cents()
    };
    close(bend(&[&[0xB0, 101, 0], &[0xB0, 100, 0]]), -1200.0, 0.25);
    // In either order.
    close(bend(&[&[0xB0, 100, 0], &[0xB0, 101, 0]]), -1200.0, 0.25);
    // Null.
    close(bend(&[&[0xB0, 101, 0], &[0xB0, 100, 0], &[0xB0, 101, 127], &[0xB0, 100, 127]]), -200.0, 0.25);
    // An unknown one, and one of another manufacturer.
    close(bend(&[&[0xB0, 101, 0], &[0xB0, 100, 5]]), -200.0, 0.25);
    close(bend(&[&[0xB0, 101, 1], &[0xB0, 100, 0]]), -200.0, 0.25);
    // A parameter that is not registered.
    close(bend(&[&[0xB0, 101, 0], &[0xB0, 100, 0], &[0xB0, 99, 0], &[0xB0, 98, 0]]), -200.0, 0.25);
    // And back.
    close(bend(&[&[0xB0, 99, 0], &[0xB0, 98, 0], &[0xB0, 101, 0], &[0xB0, 100, 0]]), -1200.0, 0.25);
}

#[test]
fn a_selected_parameter_stays_selected() {
    let mut live = sounding();
    live.send_all(&[
        &[0xB0, 101, 0],
        &[0xB0, 100, 0],
        &[0xB0, 6, 12],
        NOTE_OFF,
        NOTE_ON,
        &[0xB0, 7, 90],
        &[0xB0, 6, 5],
    ]);
    live.send(&[0xE0, 0, 0]);
    close(live.cents(), -500.0, 0.25);
}

/// Moves every parameter of channel 1 off its default, while a note is held by its pedal.
fn disturbed() -> Live {
    let mut live = live();
    parameter(&mut live, 0, 12, Some(0));
    parameter(&mut live, 1, 96, Some(0));
    live.send_all(&[
        &[0xB0, 1, 64],
        &[0xB0, 7, 64],
        &[0xB0, 10, 96],
        &[0xB0, 11, 64],
        &[0xB0, 64, 127],
        &[0xD0, 64],
        &[0xE0, 0, 96],
        NOTE_ON,
        NOTE_OFF,
    ]);
    live.seconds(0.1);
    assert_eq!(live.voices(), 1, "the pedal holds it");
    // Modulation 640, pressure 320, wheel 600, fine tuning 50.
    close(live.cents(), 1610.0, 0.25);
    live
}

#[test]
fn reset_all_controllers_of_0_keeps_volume_pan_and_tunings() {
    let mut live = disturbed();
    live.send(&[0xB0, 121, 0]);
    live.seconds(0.1);
    assert_eq!(live.voices(), 0, "the pedal is up");
    live.send(NOTE_ON);
    // Modulation, pressure and wheel are reset; fine tuning is no controller.
    close(live.cents(), 50.0, 0.25);
    // Expression is reset: an erratum of level 1 says so.
    close(live.decibels(), 40.0 * (64.0f64 / 127.0).log10(), 0.01);
    close(live.pan(), 0.254, 1e-3);
    live.send(&[0xB0, 6, 24]);
    live.send(&[0xE0, 0, 0]);
    close(live.cents(), 50.0 - 1200.0, 0.25);
}

#[test]
fn reset_all_controllers_of_127_is_power_on() {
    let mut live = disturbed();
    live.send(&[0xB0, 121, 127]);
    live.seconds(0.1);
    assert_eq!(live.voices(), 0);
    live.send(NOTE_ON);
    close(live.cents(), 0.0, 0.25);
    close(live.decibels(), VOLUME_100, 0.01);
    close(live.pan(), 0.0, 1e-4);
    live.send(&[0xE0, 0, 0]);
    close(live.cents(), -200.0, 0.25);
}

#[test]
fn reset_all_controllers_affects_its_channel_and_sounding_notes() {
    let mut live = live();
    live.send_all(&[&[0xB0, 1, 64], &[0xB1, 1, 64], NOTE_ON]);
    live.send(&[0xB1, 121, 127]);
    close(live.cents(), 640.0, 0.25);
    live.send(&[0xB0, 121, 0]);
    close(live.cents(), 0.0, 0.25);
}

#[test]
fn a_program_and_its_bank_outlive_a_reset() {
    let make = |quarter| {
        let mut collection = tone_collection(quarter, &[]);
        collection.instruments[0].patch = Patch { bank_msb: 3, bank_lsb: 4, program: 5, drums: false };
        collection
    };
    for value in [0, 127] {
        let mut live = Live::new(config(), make);
        live.send_all(&[&[0xB0, 0, 3], &[0xB0, 32, 4], &[0xC0, 5], &[0xB0, 121, value], NOTE_ON]);
        assert_eq!(live.voices(), 1, "after a reset of {value}");
    }
}

/// Makes an instrument at each of these patches, each a semitone above the one before.
fn patches(list: &'static [Patch]) -> impl Fn(f64) -> Collection {
    move |quarter| {
        let mut collection = tone_collection(quarter, &[]);
        let template = collection.instruments[0].clone();
        collection.instruments = list
            .iter()
            .enumerate()
            .map(|(i, patch)| Instrument {
                patch: *patch,
                articulation: vec![constant(d::PITCH, cents(100.0 * i as f64))],
                ..template.clone()
            })
            .collect();
        collection
    }
}

const fn patch(bank_msb: u8, bank_lsb: u8, program: u8) -> Patch {
    Patch { drums: false, bank_msb, bank_lsb, program }
}

#[test]
fn banks_are_latched_by_the_program_change() {
    const LIST: &[Patch] = &[patch(0, 0, 0), patch(0, 0, 7), patch(1, 0, 7), patch(1, 2, 7), patch(0, 2, 7)];
    let mut live = Live::new(config(), patches(LIST));
    let mut heard = |messages: &[&[u8]]| {
        live.send_all(messages);
        live.send_all(&[&[0xB0, 120, 0]]);
        live.run(1500);
        live.send(NOTE_ON);
        (live.cents() / 100.0).round() as usize
    };
    assert_eq!(heard(&[]), 0, "bank 0, program 0 at power-on");
    assert_eq!(heard(&[&[0xC0, 7]]), 1);
    assert_eq!(heard(&[&[0xB0, 0, 1]]), 1, "a bank alone changes nothing");
    assert_eq!(heard(&[&[0xB0, 32, 2]]), 1);
    assert_eq!(heard(&[&[0xC0, 7]]), 3, "both halves are in force now");
    assert_eq!(heard(&[&[0xC0, 7]]), 3, "and stay so");
    assert_eq!(heard(&[&[0xB0, 32, 0], &[0xC0, 7]]), 2, "each half by itself");
    assert_eq!(heard(&[&[0xB0, 32, 2], &[0xB0, 0, 0], &[0xC0, 7]]), 4, "in either order");
    assert_eq!(heard(&[&[0xB0, 32, 0], &[0xC0, 0]]), 0);
}

#[test]
fn a_program_change_affects_later_notes_only() {
    const LIST: &[Patch] = &[patch(0, 0, 0), patch(0, 0, 1)];
    let mut live = Live::new(config(), patches(LIST));
    live.send(NOTE_ON);
    live.send(&[0xC0, 1]);
    close(live.cents(), 0.0, 0.05);
}

#[test]
fn bank_msbs_120_and_121_select_drums_or_melodic_programs_on_any_channel() {
    const LIST: &[Patch] = &[
        patch(0, 0, 0),
        patch(0x79, 0, 0),
        patch(0x79, 1, 0),
        Patch { drums: true, bank_msb: 0, bank_lsb: 0, program: 0 },
        Patch { drums: true, bank_msb: 0x78, bank_lsb: 0, program: 8 },
    ];
    for channel in [0u8, 9, 15] {
        let mut live = Live::new(config(), patches(LIST));
        let mut heard = |msb: Option<u8>, lsb: u8, program: u8| {
            if let Some(msb) = msb {
                live.send_all(&[&[0xB0 | channel, 0, msb], &[0xB0 | channel, 32, lsb], &[0xC0 | channel, program]]);
            }
            live.send(&[0xB0 | channel, 120, 0]);
            live.run(1500);
            live.send(&[0x90 | channel, 60, FULL]);
            (live.cents() / 100.0).round() as usize
        };
        assert_eq!(heard(None, 0, 0), if channel == 9 { 3 } else { 0 }, "channel {}", channel + 1);
        assert_eq!(heard(Some(0x79), 0, 0), 1);
        assert_eq!(heard(Some(0x79), 1, 0), 2);
        assert_eq!(heard(Some(0x78), 0, 8), 4);
        // The kit of the plain bank stands in for one that is not there.
        assert_eq!(heard(Some(0x78), 0, 0), 3);
        assert_eq!(heard(Some(0), 0, 0), if channel == 9 { 3 } else { 0 });
    }
}

#[test]
fn mode_messages_are_all_notes_off() {
    for mode in 123..=127 {
        for pedal in [false, true] {
            let mut live = live();
            live.send_all(&[&[0xB0, 64, if pedal { 127 } else { 0 }], NOTE_ON, &[0x90, 64, FULL], &[0x91, 60, FULL]]);
            live.run(100);
            live.send(&[0xB0, mode, 0]);
            live.seconds(0.1);
            assert_eq!(live.voices(), if pedal { 3 } else { 1 }, "mode {mode}: the pedal is respected");
            live.send(&[0xB0, 64, 0]);
            live.seconds(0.1);
            assert_eq!(live.voices(), 1, "mode {mode}: the other channel goes on");
        }
    }
}

#[test]
fn all_sound_off_ignores_the_pedal() {
    let mut live = live();
    live.send_all(&[&[0xB0, 64, 127], NOTE_ON, NOTE_OFF, &[0x90, 64, FULL], &[0x91, 60, FULL]]);
    live.run(100);
    live.send(&[0xB0, 120, 0]);
    live.seconds(0.02);
    assert_eq!(live.voices(), 1);
}

#[test]
fn the_pedal_is_down_from_64() {
    for (value, held) in [(0, 0), (63, 0), (64, 1), (127, 1)] {
        let mut live = live();
        live.send_all(&[&[0xB0, 64, value], NOTE_ON]);
        live.run(10);
        live.send(NOTE_OFF);
        live.seconds(0.1);
        assert_eq!(live.voices(), held, "pedal at {value}");
    }
}

#[test]
fn a_held_key_sounds_on_when_the_pedal_goes_up() {
    let mut live = live();
    live.send_all(&[&[0xB0, 64, 127], NOTE_ON, &[0x90, 64, FULL], NOTE_OFF, &[0xB0, 64, 0]]);
    live.seconds(0.1);
    assert_eq!(live.voices(), 1);
}

#[test]
fn active_sensing_affects_its_group_only() {
    let mut live = live();
    live.send_to(0, NOTE_ON);
    live.send_to(1, NOTE_ON);
    live.send_to(0, &[0xFE]);
    // Any message counts, and 300 ms are in time.
    for message in [&[0xFE][..], &[0xB0, 7, 100], &[0xF8], &[0xFE]] {
        live.seconds(0.3);
        assert_eq!(live.voices(), 2);
        live.send_to(0, message);
    }
    live.seconds(0.3);
    assert_eq!(live.voices(), 2, "not too early");
    live.seconds(0.1);
    assert_eq!(live.voices(), 1, "all sound off, in that group only");
    // Afterwards it is as if it had never been sent.
    live.send_to(0, NOTE_ON);
    live.seconds(1.0);
    assert_eq!(live.voices(), 2);
}

#[test]
fn groups_share_the_instruments_only() {
    const LIST: &[Patch] = &[patch(0, 0, 0), patch(0, 0, 1)];
    let groups = 5u16;
    let mut live = Live::new(SynthConfig { channel_groups: groups, ..config() }, patches(LIST));
    // The group under test is disturbed in every way; each other one must be at power-on.
    let disturb: &[&[u8]] = &[
        &[0xC0, 1],
        &[0xB0, 1, 99],
        &[0xB0, 7, 9],
        &[0xB0, 10, 9],
        &[0xB0, 11, 9],
        &[0xB0, 64, 127],
        &[0xD0, 99],
        &[0xE0, 9, 9],
        &[0xB0, 101, 0],
        &[0xB0, 100, 2],
        &[0xB0, 6, 70],
    ];
    disturb.iter().for_each(|message| live.send_to(2, message));
    for group in [0, 1, 3, 4] {
        live.send_to(group, NOTE_ON);
        close(live.cents(), 0.0, 0.05);
        close(live.decibels(), VOLUME_100, 0.01);
        close(live.pan(), 0.0, 1e-4);
        // A note-off of another group is not meant.
        live.send_to(2, NOTE_OFF);
        live.send_to((group + 1) % groups, &[0xB0, 120, 0]);
        live.seconds(0.05);
        assert_eq!(live.voices(), 1);
        live.send_to(group, NOTE_OFF);
        live.run(200);
        assert_eq!(live.voices(), 0);
    }
    live.send_to(groups, NOTE_ON);
    assert_eq!(live.voices(), 0, "a group that is not there");
}

#[test]
fn the_dls_messages_are_obeyed_and_other_exclusive_messages_are_not() {
    let voices = |message: &[u8]| {
        let mut live = sounding();
        live.send(message);
        live.seconds(0.05);
        live.voices()
    };
    assert_eq!(voices(&[0xF0, 0x7E, 0x7F, 0x0A, 0x02, 0xF7]), 0, "DLS off");
    assert_eq!(voices(&[0xF0, 0x7E, 0x00, 0x0A, 0x02, 0xF7]), 0, "to any device");
    assert_eq!(voices(&[0xF0, 0x7E, 0x7F, 0x0A, 0x01, 0xF7]), 1, "DLS on");
    assert_eq!(voices(&[0xF0, 0x7E, 0x7F, 0x0B, 0x02, 0xF7]), 1);
    assert_eq!(voices(&[0xF0, 0x7F, 0x7F, 0x0A, 0x02, 0xF7]), 1);
    assert_eq!(voices(&[0xF0, 0xF7]), 1);
}

#[test]
fn dls_on_restores_static_voice_allocation() {
    // Channel 16 meets a synthesizer full of channel 1: only without static allocation may it take a voice there.
    let plays = |messages: &[&[u8]]| {
        let mut live = Live::new(SynthConfig { voices: 1, ..dry() }, responsive);
        live.send_all(messages);
        live.send_all(&[NOTE_ON, &[0x9F, 60, FULL], NOTE_OFF]);
        live.seconds(0.1);
        live.voices() == 1
    };
    const DLS_ON: &[u8] = &[0xF0, 0x7E, 0x7F, 0x0A, 0x01, 0xF7];
    const DLS_OFF: &[u8] = &[0xF0, 0x7E, 0x7F, 0x0A, 0x02, 0xF7];
    const STATIC_OFF: &[u8] = &[0xF0, 0x7E, 0x7F, 0x0A, 0x03, 0xF7];
    const STATIC_ON: &[u8] = &[0xF0, 0x7E, 0x7F, 0x0A, 0x04, 0xF7];
    assert!(!plays(&[]));
    assert!(plays(&[STATIC_OFF]));
    assert!(!plays(&[STATIC_OFF, STATIC_ON]));
    assert!(!plays(&[STATIC_OFF, DLS_ON]));
    // A device that is not in DLS mode ignores them.
    assert!(!plays(&[DLS_OFF, STATIC_OFF, DLS_ON]));
}

#[test]
fn ignores_messages_that_are_no_channel_messages() {
    let mut live = sounding();
    for message in
        [&[0xF8][..], &[0xFA], &[0xFC], &[0xF6], &[0xF1, 3], &[0xF2, 1, 2], &[0xF3, 1], &[0x90], &[0x90, 61], &[]]
    {
        live.send(message);
    }
    assert_eq!(live.voices(), 1);
    close(live.decibels(), VOLUME_100, 0.01);
}

#[test]
fn connections_follow_their_controllers_while_a_note_sounds() {
    // A bipolar controller of a file's own.
    let rows = [connection(0x80 + 16, s::NONE, d::PITCH, SOURCE_BIPOLAR, cents(640.0))];
    let mut live = Live::new(config(), |quarter| tone_collection(quarter, &rows));
    live.send(NOTE_ON);
    for value in [0u8, 32, 64, 127] {
        live.send(&[0xB0, 16, value]);
        close(live.cents(), 10.0 * (f64::from(value) - 64.0), 0.1);
    }
}

/// The level in dB and the pitch in cents of a held note after a system-exclusive message, beside those before it.
fn after_exclusive(message: &[u8]) -> (f64, f64) {
    let trace = trace(&organ(), &[(0, NOTE_ON), (frame(0.2), message)], frame(0.5));
    let (before, after) = (frame(0.1), frame(0.4));
    let cents = |at| trace.cents_around(at, 2560);
    (trace.decibels(after) - trace.decibels(before), cents(after) - cents(before))
}

#[test]
fn master_volume_attenuates_by_the_curve_of_channel_volume() {
    let volume =
        |value: u16| after_exclusive(&[0xF0, 0x7F, 0x7F, 4, 1, (value & 0x7F) as u8, (value >> 7) as u8, 0xF7]).0;
    close(volume(16_383), 0.0, 0.01);
    close(volume(8192), 40.0 * (8192.0f64 / 16_383.0).log10(), 0.05);
    close(volume(1000), 40.0 * (1000.0f64 / 16_383.0).log10(), 0.05);
    assert!(volume(0) < -150.0);
    // To one device too: a card is every device.
    close(after_exclusive(&[0xF0, 0x7F, 0x05, 4, 1, 0, 64, 0xF7]).0, -12.04, 0.05);
    // General MIDI On resets it.
    let mut synth = plain_synth(dry(), &tone_collection(0.0, &organ()));
    synth.midi(0, &[0xF0, 0x7F, 0x7F, 4, 1, 0, 0, 0xF7]);
    synth.midi(0, &[0xF0, 0x7E, 0x7F, 9, 1, 0xF7]);
    synth.midi(0, NOTE_ON);
    assert!(render(&mut synth, 1000).iter().any(|frame| frame[0].abs() > 0.1));
}

#[test]
fn master_tuning_moves_every_note_and_coarse_tuning_no_drum() {
    close(after_exclusive(&[0xF0, 0x7F, 0x7F, 4, 3, 0, 0x60, 0xF7]).1, 50.0, 0.25);
    close(after_exclusive(&[0xF0, 0x7F, 0x7F, 4, 3, 0, 0, 0xF7]).1, -100.0, 0.25);
    close(after_exclusive(&[0xF0, 0x7F, 0x7F, 4, 4, 0, 67, 0xF7]).1, 300.0, 0.25);
    let mut collection = tone_collection(0.0, &organ());
    collection.instruments[0].patch.drums = true;
    let play = |messages: &[&[u8]]| {
        let mut synth = plain_synth(dry(), &collection);
        messages.iter().for_each(|message| synth.midi(0, message));
        render(&mut synth, 2000)
    };
    let drum: &[u8] = &[0x99, 60, FULL];
    assert_eq!(play(&[&[0xF0, 0x7F, 0x7F, 4, 4, 0, 67, 0xF7], drum]), play(&[drum]));
}

#[test]
fn master_balance_and_other_exclusive_messages_have_no_effect() {
    for message in
        [&[0xF0, 0x7F, 0x7F, 4, 2, 0, 0, 0xF7][..], &[0xF0, 0x41, 0x10, 0x42, 0x12, 0x40, 0, 4, 0, 0x3C, 0xF7]]
    {
        let (level, pitch) = after_exclusive(message);
        close(level, 0.0, 1e-9);
        close(pitch, 0.0, 1e-9);
    }
}
