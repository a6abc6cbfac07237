//! Where the specification's text, its headers, its errata and the field disagree: one test for each, named after what
//! is right.

use std::sync::Arc;

use crate::common::download::{self, INSTRUMENT2, buffer};
use crate::common::live::Live;
use crate::common::setup::{Setup, Value};
use crate::common::*;
use dls_synth::dls::spec::transform::{LINEAR, SOURCE_BIPOLAR};
use dls_synth::dls::spec::{destination as d, source as s};
use dls_synth::dls::{Collection, Connection, SampleLoop};
use dls_synth::{Bank, Synth, SynthConfig, VolumeItem};

#[test]
fn controller_91_is_the_reverb_and_93_the_chorus() {
    // By the numbers of the header, not by names.
    for (source, destination) in [(0xDB, 0x81), (0xDD, 0x80)] {
        let send = |source, destination| Connection {
            source,
            control: 0,
            destination,
            transform: LINEAR,
            scale: percent(1.0),
        };
        let wet = |row: Connection, controller: u8| {
            let config = SynthConfig { reverb: destination == 0x81, chorus: destination == 0x80, voices: 4, ..dry() };
            let setup = Setup { config, before: vec![vec![0xB0, controller, 127]], ..Setup::of(&[row]) };
            let frames = setup.play(5000);
            (3000..5000).any(|i| (frames.amplitude(i) - 1.0).abs() > 1e-4)
        };
        let controller = (source - 0x80) as u8;
        assert!(wet(send(source, destination), controller), "{source:x}");
        // And they are not each other's.
        assert!(!wet(send(source, destination), if controller == 91 { 93 } else { 91 }), "{source:x}");
    }
}

#[test]
fn passes_over_outputs_of_more_than_two_channels_by_their_numbers_in_the_header() {
    for destination in [0x10, 0x11, 0x12, 0x13, 0x14, 0x15] {
        let rows =
            [constant(destination, percent(0.9)), connection(s::CC1, s::NONE, destination, LINEAR, cents(1200.0))];
        let mut setup = Setup::of(&rows);
        let frame = setup.feed(s::CC1, Value::Number(127));
        let recording = setup.play(frame + 300);
        close(recording.decibels(frame), 0.0, 1e-3);
        close(recording.pan(frame), 0.0, 1e-4);
        close(recording.cents(frame, 128), 0.0, 0.05);
    }
}

#[test]
fn passes_over_reserved_destinations_of_a_well_known_bank() {
    for destination in [0x0002, 0x0208, 0x030C] {
        let rows =
            [constant(destination, time(10.0)), connection(s::VELOCITY, s::NONE, destination, LINEAR, cents(6000.0))];
        let recording = Setup::of(&rows).play(1000);
        close(recording.decibels(900), 0.0, 1e-3);
        close(recording.cents(700, 256), 0.0, 0.05);
    }
}

/// Makes a tone of 100 samples, to be looped, and then a constant that is heard only after the loop is left.
fn tail() -> Vec<i16> {
    (0..2000).map(|i| if i < 100 { 8000 } else { -16_000 }).collect()
}

/// Returns whether the loop is left at note-off.
fn leaves(synth: &mut Synth) -> bool {
    synth.midi(0, NOTE_ON);
    let held = render(synth, 1000);
    assert!(held[100..].iter().all(|frame| frame[0] > 0.0), "the loop runs while the key is held");
    synth.midi(0, NOTE_OFF);
    render(synth, 300).iter().any(|frame| frame[0] < 0.0)
}

#[test]
fn a_loop_until_release_is_1_and_also_2_in_files() {
    for (kind, expected) in [(0u32, false), (1, true), (2, true), (3, false), (0xFFFF_FFFF, false)] {
        let sample_loop = Some(SampleLoop { until_release: true, start: 0, length: 100 });
        let mut collection = collection(
            vec![region(0, dls_synth::dls::WaveSample { sample_loop, ..looped(0, 1) })],
            vec![wave(&tail())],
        );
        collection.instruments[0].articulation = vec![constant(d::EG1_RELEASE, time(10.0))];
        let mut file = collection.to_dls();
        // `WLOOP`: its size 16, the type, the start 0, the length 100.
        let record: Vec<u8> = [16u32, 1, 0, 100].iter().flat_map(|word| word.to_le_bytes()).collect();
        let places: Vec<usize> = (0..file.len() - 16).filter(|at| file[*at..*at + 16] == record[..]).collect();
        assert_eq!(places.len(), 1);
        file[places[0] + 4..places[0] + 8].copy_from_slice(&kind.to_le_bytes());
        let bank = Arc::new(Bank::from_bytes(&file).unwrap());
        assert_eq!(leaves(&mut Synth::new(dry(), bank).unwrap()), expected, "type {kind}");
    }
}

#[test]
fn a_loop_until_release_is_1_and_also_2_in_downloads() {
    for (kind, expected) in [(0u32, false), (1, true), (2, true)] {
        let bank = Arc::new(Bank::from_collection(&Collection::default()));
        let mut synth = Synth::new(dry(), bank).unwrap();
        synth.download(&download::wave(7, RATE, &tail())).unwrap();
        let mut region = download::region(0, 7, 60, 100, 0);
        region[60..64].copy_from_slice(&kind.to_le_bytes());
        let mut rows = Vec::new();
        for word in [8u32, 1, 0, u32::from(d::EG1_RELEASE), time(10.0) as u32] {
            rows.extend_from_slice(&word.to_le_bytes());
        }
        let articulation: Vec<u8> = [3u32, 0, 0].iter().flat_map(|word| word.to_le_bytes()).collect();
        let structures = [download::instrument(0, 1, 2, 0), region, articulation, rows];
        synth.download(&buffer(INSTRUMENT2, 8, &structures)).unwrap();
        assert_eq!(leaves(&mut synth), expected, "type {kind}");
    }
}

#[test]
fn a_negative_scale_attenuates() {
    close(Setup::of(&[constant(d::GAIN, decibels(-6.0))]).play(601).decibels(600), -6.0, 1e-3);
    // The wave's own "attenuation" likewise.
    close(Setup { gain: decibels(-6.0), ..Setup::default() }.play(601).decibels(600), -6.0, 1e-3);
    // A positive one amplifies, as far as anything is left to amplify.
    let both = Setup { gain: decibels(-10.0), ..Setup::of(&[constant(d::GAIN, decibels(6.0))]) };
    close(both.play(601).decibels(600), -4.0, 1e-3);
    let waves = Setup { gain: decibels(6.0), ..Setup::of(&[constant(d::GAIN, decibels(-10.0))]) };
    close(waves.play(601).decibels(600), -4.0, 1e-3);
}

#[test]
fn the_defaults_from_level_1_keep_their_sign() {
    // Velocity attenuates, although level 1's table has its scale of 96 dB without a sign.
    close(Setup { velocity: 64, ..Setup::default() }.play(601).decibels(600), -11.905, 0.01);
}

#[test]
fn expression_is_reset_by_reset_all_controllers() {
    let mut live = Live::new(SynthConfig { voices: 4, ..dry() }, |quarter| tone_collection(quarter, &[]));
    live.send_all(&[&[0xB0, 7, 90], &[0xB0, 10, 20], &[0xB0, 11, 20], &[0xB0, 121, 0], NOTE_ON]);
    // Volume and pan alone are kept.
    close(live.decibels(), 40.0 * (90.0f64 / 127.0).log10(), 0.01);
    close(live.pan(), (20.0 / 64.0 - 1.0) * 0.508, 1e-3);
}

#[test]
fn velocity_is_divided_by_128_and_not_by_127() {
    // 110: the difference is 1 ms of 220, and 0.041 dB at 150 ms.
    let rows = [
        constant(d::EG1_ATTACK, time(0.4)),
        connection(s::VELOCITY, s::NONE, d::EG1_ATTACK, LINEAR, cents(-1200.0)),
        connection(s::VELOCITY, s::NONE, d::GAIN, LINEAR, 0),
    ];
    let found = Setup { velocity: 110, ..Setup::of(&rows) }.play(frame(0.16)).decibels(frame(0.15));
    let with = |divisor: f64| 20.0 * (0.15 / (0.4 * (-110.0 / divisor).exp2())).log10();
    close(found, with(128.0), 0.01);
    assert!((found - with(127.0)).abs() > 0.035);
}

#[test]
fn five_hertz_is_five_hertz_with_either_last_digit() {
    for constant_of_five in [0xFCAC_AE9B_u32, 0xFCAC_AE9C] {
        let rows = [
            constant(d::LFO_FREQUENCY, constant_of_five as i32),
            connection(s::LFO, s::NONE, d::PITCH, SOURCE_BIPOLAR, cents(100.0)),
        ];
        // After 50 turns, and a quarter.
        close(Setup::of(&rows).play(frame(10.1)).cents(frame(0.01 + 10.05), 64), 100.0, 0.5);
    }
}

#[test]
fn the_modulation_oscillator_makes_the_first_half_of_its_turn_louder() {
    let rows = [connection(s::LFO, s::NONE, d::GAIN, SOURCE_BIPOLAR, decibels(6.0))];
    let recording = Setup { gain: decibels(-12.0), ..Setup::of(&rows) }.play(frame(0.2));
    // Bipolar: as much softer afterwards. Level 1's text has it go one way only.
    close(recording.decibels(frame(0.06)), -6.0, 0.05);
    close(recording.decibels(frame(0.16)), -18.0, 0.05);
}

#[test]
fn the_curves_are_those_of_level_2_2_over_the_greatest_value() {
    // 2.1 had them over the range of 128: 127 would then be 0.27 dB down.
    for controller in [7, 11] {
        close(
            Setup { before: vec![vec![0xB0, controller, 127]], ..Setup::default() }.play(601).decibels(600),
            0.0,
            1e-4,
        );
        let soft = Setup { before: vec![vec![0xB0, controller, 64]], ..Setup::default() };
        close(soft.play(601).decibels(600), -11.905, 0.005);
    }
}

#[test]
fn the_modulation_envelope_moves_the_pitch_one_way() {
    let rows = [
        constant(d::EG2_SUSTAIN, 0),
        constant(d::EG2_DECAY, time(1.0)),
        connection(s::EG2, s::NONE, d::PITCH, LINEAR, cents(600.0)),
    ];
    let recording = Setup::of(&rows).play(frame(1.2));
    close(recording.cents(frame(0.5), 64), 300.0, 2.0);
    close(recording.cents(frame(1.1), 256), 0.0, 0.05);
}

#[test]
fn reads_the_non_exclusive_flag_from_the_options_and_not_from_the_key_group() {
    let voices = |options: u16, key_group: u16| {
        let mut collection = tone_collection(0.0, &[constant(d::EG1_SHUTDOWN, time(0.01))]);
        let region = &mut collection.instruments[0].regions[0];
        (region.options, region.key_group) = (options, key_group);
        // Through a file, so that the fields' places count.
        let bank = Arc::new(Bank::from_bytes(&collection.to_dls()).unwrap());
        let mut synth = Synth::new(dry(), bank).unwrap();
        for _ in 0..2 {
            synth.midi(0, NOTE_ON);
            render(&mut synth, 1000);
        }
        synth.active_voices()
    };
    assert_eq!(voices(0, 0), 1);
    assert_eq!(voices(1, 0), 2);
    // In the other field the same bit is key group 1.
    assert_eq!(voices(0, 1), 1);
}

#[test]
fn a_time_of_0x80000000_is_0_and_ignores_modulation() {
    let envelope = [d::EG1_ATTACK, d::EG1_DELAY, d::EG1_HOLD, d::EG1_DECAY];
    for stage in envelope {
        let rows = [
            constant(stage, i32::MIN),
            connection(s::VELOCITY, s::NONE, stage, LINEAR, cents(6000.0)),
            connection(s::KEY_NUMBER, s::NONE, stage, LINEAR, cents(12_800.0)),
            constant(d::EG1_SUSTAIN, percent(0.5)),
            connection(s::VELOCITY, s::NONE, d::GAIN, LINEAR, 0),
        ];
        let recording = Setup::of(&rows).play(200);
        close(recording.decibels(1), -48.0, 0.3);
    }
}

#[test]
fn an_attack_of_0_reaches_full_level_at_the_first_frame() {
    let mut live = Live::new(SynthConfig { voices: 4, ..dry() }, |quarter| tone_collection(quarter, &organ()));
    live.send(&[0xB0, 7, 127]);
    for _ in 0..3 {
        live.run(777);
        live.send(NOTE_ON);
        live.run(1);
        // Interpolation of the first sample knows no samples before it, and needs none at the wave's own pitch.
        close(live.amplitude(0), 1.0, 1e-4);
        live.send(&[0xB0, 120, 0]);
        live.run(2000);
    }
}

#[test]
fn a_gain_of_0x80000000_is_silence_and_stays_silence() {
    let rows = [
        constant(d::GAIN, i32::MIN),
        connection(s::LFO, s::NONE, d::GAIN, SOURCE_BIPOLAR, decibels(12.0)),
        connection(s::CC1, s::NONE, d::GAIN, LINEAR, decibels(96.0)),
    ];
    let mut setup = Setup::of(&rows);
    _ = setup.feed(s::CC1, Value::Number(127));
    let recording = setup.play(frame(0.3));
    assert!((0..recording.frames()).all(|i| recording.amplitude(i) < 1e-5));
    let wave = Setup { gain: i32::MIN, ..Setup::of(&rows[1..2]) }.play(1000);
    assert!((0..1000).all(|i| wave.amplitude(i) < 1e-5));
}

#[test]
fn times_follow_the_printed_numbers_and_not_the_captions() {
    // (Number, seconds); the last stands for one second in the specification's example.
    let times = [
        (0xE0DB_5F61_u32, 0.010),
        (0xE399_53DC, 0.015),
        (0xF9CD_AFB1, 0.4),
        (0xFB50_0000, 0.5),
        (0x0000_0000, 1.0),
        (0x0AE2_504F, 5.0),
        (0x04B0_0000, 2.0),
    ];
    for (number, seconds) in times {
        let rows = [constant(d::EG1_ATTACK, number as i32)];
        let half = frame(seconds / 2.0);
        let slack = 0.01 + 64.0 / (seconds * f64::from(RATE));
        close(Setup::of(&rows).play(half + 1).amplitude(half), 0.5, slack);
        // The numbers are these times, exactly rounded.
        assert!((time(seconds) as u32).wrapping_sub(number).wrapping_add(1) <= 2, "{number:x}");
    }
}

#[test]
fn fifty_percent_is_half_of_96_decibels() {
    assert_eq!(percent(0.5), 0x01F4_0000);
    close(Setup::of(&[constant(d::EG1_SUSTAIN, 0x01F4_0000)]).play(601).decibels(600), -48.0, 0.01);
}

#[test]
fn fine_tune_is_in_cents() {
    for fine in [-50i16, -1, 0, 1, 100] {
        let make = |quarter: f64| {
            let setup = Setup::default();
            let mut collection = setup.collection(quarter);
            collection.instruments[0].regions[0].sample.as_mut().unwrap().fine_tune = fine;
            collection
        };
        close(Setup::default().play_collection(3000, make).cents(1500, 1400), f64::from(fine), 0.05);
    }
}

#[test]
fn a_local_list_replaces_the_whole_global_one() {
    // Downwards, because the interpolator's pass band has ripples of its own above a wave's pitch.
    let play = |local: Option<Vec<Connection>>| {
        let make = |quarter: f64| {
            let mut collection =
                tone_collection(quarter, &[constant(d::PITCH, cents(-300.0)), constant(d::GAIN, decibels(-6.0))]);
            collection.instruments[0].regions[0].articulation = local.clone();
            collection
        };
        let recording = Setup::default().play_collection(3000, make);
        (recording.cents(1500, 1024), recording.decibels(1500))
    };
    let near = |found: (f64, f64), expected: (f64, f64)| {
        close(found.0, expected.0, 0.05);
        close(found.1, expected.1, 1e-3);
    };
    near(play(None), (-300.0, -6.0));
    // Not only the connection that the region names anew: all of them.
    near(play(Some(vec![constant(d::PITCH, cents(-700.0))])), (-700.0, 0.0));
    near(play(Some(Vec::new())), (0.0, 0.0));
}

#[test]
fn a_connection_replaces_the_default_with_the_same_ends_and_no_other() {
    // The defaults of the wheel and of the volume hold though the file says something of the key.
    let mut setup = Setup::of(&[
        connection(s::KEY_NUMBER, s::NONE, d::PITCH, LINEAR, cents(6400.0)),
        constant(d::PITCH, cents(0.0)),
    ]);
    setup.unity = 30;
    setup.before = vec![vec![0xE0, 0, 0], vec![0xB0, 7, 64]];
    let recording = setup.play(1200);
    close(recording.cents(600, 512), -200.0, 0.05);
    close(recording.decibels(600), -11.905, 0.01);
    // Another control is another connection: both hold.
    let rows = [
        connection(s::EG2, s::NONE, d::PITCH, LINEAR, cents(300.0)),
        connection(s::EG2, s::CC1, d::PITCH, LINEAR, cents(256.0)),
    ];
    let mut setup = Setup::of(&rows);
    let frame = setup.feed(s::CC1, Value::Number(64));
    close(setup.play(frame + 600).cents(frame, 512), 428.0, 0.05);
}

#[test]
fn the_same_connection_twice_counts_once() {
    let rows = [
        constant(d::PITCH, cents(200.0)),
        constant(d::GAIN, decibels(-3.0)),
        constant(d::PITCH, cents(500.0)),
        constant(d::GAIN, decibels(-9.0)),
    ];
    let recording = Setup::of(&rows).play(1200);
    let (cents, decibels) = (recording.cents(600, 512), recording.decibels(600));
    // Which of the two is not defined; that it is one of them, is.
    assert!([200.0, 500.0].iter().any(|one| (one - cents).abs() < 0.05), "{cents}");
    assert!([-3.0, -9.0].iter().any(|one| (one - decibels).abs() < 0.01), "{decibels}");
}

#[test]
fn reads_both_kinds_of_articulation_chunk_alike() {
    let collection = tone_collection(0.0, &[constant(d::GAIN, decibels(-6.0)), constant(d::PITCH, cents(100.0))]);
    let file = collection.to_dls();
    let play = |file: &[u8]| {
        let mut synth = Synth::new(dry(), Arc::new(Bank::from_bytes(file).unwrap())).unwrap();
        synth.set_volume(VolumeItem::Boost, 0);
        synth.midi(0, NOTE_ON);
        render(&mut synth, 1000)
    };
    let renamed = |from: &[&[u8; 4]], to: &[&[u8; 4]]| {
        let mut file = file.clone();
        let mut count = 0;
        for at in 0..file.len() - 4 {
            for (from, to) in from.iter().zip(to) {
                if file[at..at + 4] == from[..] {
                    file[at..at + 4].copy_from_slice(&to[..]);
                    count += 1;
                }
            }
        }
        (file, count)
    };
    let (level_1, ones) = renamed(&[b"lar2", b"art2"], &[b"lart", b"art1"]);
    let (level_2, twos) = renamed(&[b"lart", b"art1"], &[b"lar2", b"art2"]);
    assert!(ones + twos >= 2, "the file has its articulation in one of the two");
    assert!(play(&level_1) == play(&level_2));
}
