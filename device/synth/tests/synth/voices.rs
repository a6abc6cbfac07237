//! Allocation of voices: note-off, pedal, exclusivity, key groups, priorities, stealing.

use std::sync::Arc;

use crate::common::*;
use dls_synth::dls::spec::{REGION_SELF_NON_EXCLUSIVE, destination as d};
use dls_synth::dls::{Collection, Connection, Instrument, Patch};
use dls_synth::limits::NOTES_PER_FRAME_MAX;
use dls_synth::{Bank, ConfigError, Kernel, Synth, SynthConfig, UnknownChannel};

fn slow() -> Vec<Connection> {
    vec![constant(d::EG1_RELEASE, time(0.3)), constant(d::EG1_SHUTDOWN, time(0.02))]
}

/// Makes melody and drums both of the test tone.
fn bank(articulation: &[Connection], options: u16) -> Collection {
    let mut collection = tone_collection(0.0, articulation);
    collection.instruments[0].regions[0].options = options;
    let kit = Instrument { patch: Patch { drums: true, ..Patch::default() }, ..collection.instruments[0].clone() };
    collection.instruments.push(kit);
    collection
}

fn synth(voices: u16) -> Synth {
    plain_synth(SynthConfig { voices, ..dry() }, &bank(&slow(), 0))
}

/// Renders long enough for shut-down voices to go, and counts the rest.
fn voices(synth: &mut Synth) -> u32 {
    render(synth, frame(0.025));
    synth.active_voices()
}

fn on(synth: &mut Synth, channel: u8, key: u8) {
    synth.midi(0, &[0x90 | channel, key, FULL]);
}

fn off(synth: &mut Synth, channel: u8, key: u8) {
    synth.midi(0, &[0x80 | channel, key, 0]);
}

#[test]
fn a_note_lasts_until_its_note_off_and_its_release() {
    let mut synth = synth(8);
    on(&mut synth, 0, 60);
    assert_eq!(voices(&mut synth), 1);
    off(&mut synth, 0, 61);
    off(&mut synth, 1, 60);
    render(&mut synth, frame(1.0));
    assert_eq!(synth.active_voices(), 1, "other keys and channels are not meant");
    off(&mut synth, 0, 60);
    assert_eq!(voices(&mut synth), 1);
    render(&mut synth, frame(0.3));
    assert_eq!(synth.active_voices(), 0);
}

#[test]
fn note_on_of_velocity_0_is_note_off() {
    let mut synth = synth(8);
    on(&mut synth, 0, 60);
    synth.midi(0, &[0x90, 60, 0]);
    render(&mut synth, frame(0.35));
    assert_eq!(synth.active_voices(), 0);
}

#[test]
fn the_pedal_holds_keys_that_are_released_while_it_is_down() {
    let mut synth = synth(8);
    synth.midi(0, &[0xB0, 64, 127]);
    on(&mut synth, 0, 60);
    on(&mut synth, 0, 62);
    off(&mut synth, 0, 60);
    synth.midi(0, &[0xB0, 123, 0]);
    render(&mut synth, frame(1.0));
    assert_eq!(synth.active_voices(), 2, "All Notes Off respects the pedal");
    synth.midi(0, &[0xB0, 64, 0]);
    render(&mut synth, frame(0.35));
    assert_eq!(synth.active_voices(), 0);
}

#[test]
fn mode_messages_release_all_notes() {
    for mode in 123..=127 {
        let mut synth = synth(8);
        on(&mut synth, 0, 60);
        on(&mut synth, 1, 60);
        synth.midi(0, &[0xB0, mode, 0]);
        render(&mut synth, frame(0.35));
        assert_eq!(synth.active_voices(), 1, "mode {mode}, on its channel only");
    }
}

#[test]
fn all_sound_off_ends_a_channel_in_its_shutdown_time() {
    let mut synth = synth(8);
    on(&mut synth, 0, 60);
    on(&mut synth, 1, 60);
    synth.midi(0, &[0xB0, 120, 0]);
    assert_eq!(voices(&mut synth), 1);
}

#[test]
fn silences_all_voices_at_the_next_frame() {
    let mut synth = Synth::new(SynthConfig::default(), Bank::builtin()).unwrap();
    for key in 40..60 {
        on(&mut synth, 0, key);
    }
    assert!(render(&mut synth, 4000).iter().any(|f| f[0] != 0.0));
    synth.all_sound_off();
    assert!(render(&mut synth, 48_000).iter().all(|f| *f == [0.0, 0.0]), "reverb and chorus included");
}

#[test]
fn sounds_the_same_after_a_restart_whatever_was_rendered_before() {
    let play = |synth: &mut Synth| {
        synth.midi(0, &[0xB0, 1, 100]);
        synth.midi(0, &[0xB0, 91, 100]);
        synth.midi(0, &[0xB0, 93, 100]);
        on(synth, 0, 60);
        render(synth, 9_001)
    };
    let mut synth = Synth::new(SynthConfig::default(), Bank::builtin()).unwrap();
    let first = play(&mut synth);
    // No multiple of the frames after which modulation is updated.
    for frames in [1, 77, 4_999] {
        render(&mut synth, frames);
        synth.restart_frames();
        assert!(play(&mut synth) == first, "after {frames} frames more");
    }
}

#[test]
fn the_same_key_again_shuts_the_old_note_down_unless_the_region_allows_both() {
    let mut synth = synth(8);
    on(&mut synth, 0, 60);
    voices(&mut synth);
    on(&mut synth, 0, 60);
    assert_eq!(voices(&mut synth), 1);
    let mut both = plain_synth(dry(), &bank(&slow(), REGION_SELF_NON_EXCLUSIVE));
    on(&mut both, 0, 60);
    voices(&mut both);
    on(&mut both, 0, 60);
    assert_eq!(voices(&mut both), 2);
    off(&mut both, 0, 60);
    render(&mut both, frame(0.35));
    assert_eq!(both.active_voices(), 0, "one note-off lets both go");
}

#[test]
fn a_note_that_is_already_released_is_not_shut_down_by_its_key() {
    let mut synth = synth(8);
    on(&mut synth, 0, 60);
    off(&mut synth, 0, 60);
    voices(&mut synth);
    on(&mut synth, 0, 60);
    assert_eq!(voices(&mut synth), 2);
}

#[test]
fn a_key_group_has_one_voice_at_a_time_on_its_channel() {
    let mut collection = bank(&slow(), REGION_SELF_NON_EXCLUSIVE);
    let template = collection.instruments[1].regions[0].clone();
    let split = |low, high, key_group| {
        let mut region = template.clone();
        (region.keys, region.key_group) = ((low, high), key_group);
        region
    };
    collection.instruments[1].regions = vec![split(0, 41, 0), split(42, 46, 1), split(47, 127, 2)];
    let mut synth = plain_synth(dry(), &collection);
    on(&mut synth, 9, 46);
    on(&mut synth, 9, 41);
    on(&mut synth, 9, 50);
    assert_eq!(voices(&mut synth), 3);
    on(&mut synth, 9, 42);
    assert_eq!(voices(&mut synth), 3, "the open hi-hat is gone, the rest stays");
}

#[test]
fn plays_layers_together() {
    let mut collection = bank(&slow(), 0);
    let mut upper = collection.instruments[0].regions[0].clone();
    upper.velocities = (64, 127);
    collection.instruments[0].regions.push(upper);
    let mut synth = plain_synth(dry(), &collection);
    synth.midi(0, &[0x90, 60, 63]);
    assert_eq!(synth.active_voices(), 1);
    synth.midi(0, &[0x90, 64, 64]);
    assert_eq!(synth.active_voices(), 3);
}

#[test]
fn channel_priorities_begin_with_the_defaults_of_directmusic() {
    let synth = synth(8);
    let offsets = [0xE, 0xD, 0xC, 0xB, 0xA, 9, 8, 7, 6, 0xF, 5, 4, 3, 2, 1, 0];
    for group in 0..2 {
        for channel in 0..16 {
            let expected = 0x8000_0000 | offsets[usize::from(channel)];
            assert_eq!(synth.voice_priority(group, channel), Some(expected));
        }
    }
    assert_eq!(synth.voice_priority(2, 0), None);
    assert_eq!(synth.voice_priority(0, 16), None);
}

#[test]
fn steals_from_the_lowest_priority_and_never_from_a_higher_one() {
    let mut synth = synth(3);
    on(&mut synth, 15, 60);
    on(&mut synth, 9, 60);
    on(&mut synth, 1, 60);
    assert_eq!(voices(&mut synth), 3);
    on(&mut synth, 0, 60);
    assert_eq!((voices(&mut synth), synth.notes_lost()), (3, 1), "channel 16 gives way");
    off(&mut synth, 15, 60);
    on(&mut synth, 14, 60);
    assert_eq!((voices(&mut synth), synth.notes_lost()), (3, 2), "channel 15 is not played");
    for channel in [0, 1, 9] {
        off(&mut synth, channel, 60);
    }
    on(&mut synth, 14, 60);
    assert_eq!((voices(&mut synth), synth.notes_lost()), (3, 3), "not even by what is being released");
    render(&mut synth, frame(0.4));
    assert_eq!(synth.active_voices(), 0);
}

#[test]
fn respects_channel_priorities_that_the_driver_sets() {
    let mut synth = synth(1);
    synth.set_voice_priority(0, 14, 0xF000_0000).unwrap();
    on(&mut synth, 14, 60);
    on(&mut synth, 9, 60);
    assert_eq!(synth.notes_lost(), 1);
    off(&mut synth, 14, 60);
    render(&mut synth, frame(0.4));
    assert_eq!(synth.active_voices(), 0, "channel 10 was not played");
    let nowhere = UnknownChannel { group: 5, channel: 0 };
    assert_eq!(synth.set_voice_priority(5, 0, 0), Err(nowhere));
}

#[test]
fn steals_released_notes_of_a_channel_first() {
    let mut synth = synth(2);
    on(&mut synth, 0, 60);
    on(&mut synth, 0, 62);
    off(&mut synth, 0, 62);
    on(&mut synth, 0, 64);
    assert_eq!(synth.notes_lost(), 0);
    off(&mut synth, 0, 64);
    render(&mut synth, frame(0.4));
    assert_eq!(synth.active_voices(), 1, "60 still sounds");
}

#[test]
fn a_stolen_voice_fades_without_a_click() {
    let loudest_step = |events: &[(usize, &[u8])]| {
        let trace = trace_of(|q| tone_collection(q, &organ()), events, 8000, 0);
        trace.amplitude.windows(2).skip(1).map(|p| (p[1] - p[0]).abs()).fold(0.0, f64::max)
    };
    assert!(loudest_step(&[(0, NOTE_ON), (4000, &[0xB0, 120, 0])]) < 0.02);
    let mut synth = synth(1);
    on(&mut synth, 0, 60);
    let before = render(&mut synth, TURN * 4);
    synth.midi(0, &[0x90, 62, 1]);
    let after = render(&mut synth, TURN * 4);
    let last = before.last().unwrap()[0];
    assert!((after[0][0] - last).abs() < 0.05, "{last} {}", after[0][0]);
    assert!(after[TURN * 3..].iter().all(|f| f[0].abs() < 0.01));
}

#[test]
fn system_exclusive_messages_switch_dls_and_static_allocation() {
    let mut synth = synth(1);
    synth.midi(0, &[0xF0, 0x7E, 0x7F, 0x0A, 0x03, 0xF7]);
    on(&mut synth, 0, 60);
    on(&mut synth, 15, 60);
    off(&mut synth, 15, 60);
    render(&mut synth, frame(0.4));
    assert_eq!(synth.active_voices(), 0, "without static allocation channel 16 may take from channel 1");
    synth.midi(0, &[0xF0, 0x7E, 0x7F, 0x0A, 0x02, 0xF7]);
    on(&mut synth, 0, 60);
    assert_eq!(synth.active_voices(), 0);
    synth.midi(0, &[0xF0, 0x7E, 0x7F, 0x0A, 0x01, 0xF7]);
    on(&mut synth, 0, 60);
    assert_eq!(synth.active_voices(), 1);
}

#[test]
fn silences_a_group_whose_active_sensing_stops() {
    let mut synth = synth(8);
    on(&mut synth, 0, 60);
    render(&mut synth, frame(2.0));
    assert_eq!(synth.active_voices(), 1, "a group without active sensing may be silent");
    for _ in 0..5 {
        synth.midi(0, &[0xFE]);
        render(&mut synth, frame(0.3));
    }
    assert_eq!(synth.active_voices(), 1);
    synth.midi(1, &[0x90, 60, FULL]);
    render(&mut synth, frame(0.1));
    assert_eq!(synth.active_voices(), 1, "the other group goes on");
}

#[test]
fn reset_all_controllers_keeps_volume_and_pan_and_resets_expression() {
    let level = |reset: &[u8], prepare: &[&[u8]]| {
        let mut events: Vec<(usize, &[u8])> = prepare.iter().map(|m| (0, *m)).collect();
        events.extend([(0, reset), (0, NOTE_ON)]);
        trace(&organ(), &events, 3000).decibels(2000)
    };
    let volume: &[&[u8]] = &[&[0xB0, 7, 64]];
    let expression: &[&[u8]] = &[&[0xB0, 11, 64]];
    close(level(&[0xB0, 121, 0], volume), -11.905, 0.1);
    close(level(&[0xB0, 121, 0], expression), 0.0, 0.1);
    close(level(&[0xB0, 121, 127], volume), -4.152, 0.1);
}

#[test]
fn bank_select_waits_for_the_program_change() {
    let mut collection = bank(&slow(), 0);
    collection.instruments[0].patch = Patch { bank_msb: 1, bank_lsb: 2, program: 5, drums: false };
    let mut synth = plain_synth(dry(), &collection);
    for message in [[0xB0, 0, 1], [0xB0, 32, 2]] {
        synth.midi(0, &message);
    }
    on(&mut synth, 0, 60);
    assert_eq!(synth.active_voices(), 0);
    synth.midi(0, &[0xC0, 5]);
    on(&mut synth, 0, 60);
    assert_eq!(synth.active_voices(), 1);
}

#[test]
fn bank_0x78_makes_any_channel_a_drum_channel_and_0x79_a_melodic_one() {
    let mut collection = bank(&slow(), 0);
    collection.instruments.remove(0);
    let mut synth = plain_synth(dry(), &collection);
    on(&mut synth, 0, 60);
    assert_eq!(synth.active_voices(), 0);
    synth.midi(0, &[0xB0, 0, 0x78]);
    synth.midi(0, &[0xC0, 0]);
    on(&mut synth, 0, 60);
    assert_eq!(synth.active_voices(), 1);
    synth.midi(0, &[0xB9, 0, 0x79]);
    synth.midi(0, &[0xC9, 0]);
    on(&mut synth, 9, 60);
    assert_eq!(synth.active_voices(), 1);
}

#[test]
fn names_the_invalid_parameter_of_a_configuration() {
    let bank = || Arc::new(Bank::from_collection(&bank(&[], 0)));
    let refused = |config| Synth::new(config, bank()).err();
    assert_eq!(refused(SynthConfig { sample_rate: 8000, ..dry() }), Some(ConfigError::SampleRate(8000)));
    assert_eq!(refused(SynthConfig { voices: 0, ..dry() }), Some(ConfigError::Voices(0)));
    assert_eq!(refused(SynthConfig { channel_groups: 0, ..dry() }), Some(ConfigError::ChannelGroups(0)));
    assert_eq!(refused(SynthConfig { kernel: Kernel::Scalar, ..dry() }), None);
}

#[test]
fn survives_random_messages() {
    let mut random = Random(0xFEED);
    let mut synth = Synth::new(SynthConfig { voices: 12, ..SynthConfig::default() }, Bank::builtin()).unwrap();
    for _ in 0..30_000 {
        let length = random.below(9);
        let mut message: Vec<u8> = (0..length).map(|_| random.below(256) as u8).collect();
        if random.below(3) > 0 && length > 0 {
            message[0] |= 0x80;
            message.iter_mut().skip(1).for_each(|b| *b &= 0x7F);
        }
        synth.midi(random.below(4) as u16, &message);
        if random.below(10) == 0 {
            let out = render(&mut synth, random.below(100));
            assert!(out.as_flattened().iter().all(|x| x.is_finite()));
            assert!(synth.active_voices() <= 12);
        }
    }
}

#[test]
fn drops_notes_beyond_the_bound_of_each_frame() {
    let mut synth = synth(1000);
    for index in 0..NOTES_PER_FRAME_MAX {
        on(&mut synth, (index % 9) as u8, (index % 128) as u8);
    }
    let lost = synth.notes_lost();
    for index in 0..100_000_u32 {
        on(&mut synth, (index % 9) as u8, (index % 128) as u8);
    }
    assert_eq!(synth.notes_lost(), lost + 100_000);
    synth.all_sound_off();
    render(&mut synth, 1);
    on(&mut synth, 0, 60);
    assert_eq!((synth.active_voices(), synth.notes_lost()), (1, lost + 100_000));
}
