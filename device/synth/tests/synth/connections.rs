//! Connections together and beside the table: sums, precedence, level 1's way of writing, and unknown ids.
//! The lines of the table themselves are in `table.rs`, curves in `transforms.rs`.

use crate::common::connection_table::table;
use crate::common::setup::{Setup, Value};
use crate::common::*;
use dls_synth::dls::Connection;
use dls_synth::dls::spec::transform::{LINEAR, SOURCE_BIPOLAR};
use dls_synth::dls::spec::{destination as d, source as s};

#[test]
fn all_connections_to_a_destination_add_up() {
    let rows = [
        constant(d::PITCH, cents(-350.0)),
        connection(s::EG2, s::NONE, d::PITCH, LINEAR, cents(500.0)),
        connection(s::EG2, s::CC1, d::PITCH, LINEAR, cents(256.0)),
        connection(s::VELOCITY, s::NONE, d::PITCH, LINEAR, cents(128.0)),
        connection(s::CHANNEL_PRESSURE, s::NONE, d::PITCH, SOURCE_BIPOLAR, cents(640.0)),
        constant(d::GAIN, decibels(-3.0)),
        connection(s::EG2, s::NONE, d::GAIN, LINEAR, decibels(-4.0)),
        connection(s::CC1, s::NONE, d::GAIN, LINEAR, decibels(-16.0)),
    ];
    let mut setup = Setup { velocity: 100, ..Setup::of(&rows) };
    let frame = setup.feed(s::CC1, Value::Number(32)).max(setup.feed(s::CHANNEL_PRESSURE, Value::Number(80)));
    setup.before.push(vec![0xE0, 0, 96]);
    let recording = setup.play(frame + 600);
    close(recording.cents(frame, 512), -350.0 + 500.0 + 64.0 + 100.0 + 160.0 + 100.0, 0.1);
    close(recording.decibels(frame), -3.0 - 4.0 - 4.0 + 40.0 * (100.0f64 / 127.0).log10(), 0.01);
}

#[test]
fn the_pan_of_a_region_adds_to_that_of_the_channel_and_is_clamped() {
    for (own, channel) in [(0.25, 64u8), (0.25, 32), (-0.5, 20), (0.5, 127), (-0.1, 80)] {
        let mut setup = Setup::of(&[constant(d::PAN, percent(own))]);
        let frame = setup.feed(s::CC10, Value::Number(channel.into()));
        let expected = own + (f64::from(channel) / 64.0 - 1.0) * 0.508;
        close(setup.play(frame + 1).pan(frame), expected.clamp(-0.5, 0.5), 1e-4);
    }
}

#[test]
fn sums_of_gain_never_amplify() {
    for (wave, constant_gain, velocity) in [(0.0, 12.0, 127), (12.0, 0.0, 127), (6.0, 6.0, 64), (20.0, -4.0, 127)] {
        let setup =
            Setup { gain: decibels(wave), velocity, ..Setup::of(&[constant(d::GAIN, decibels(constant_gain))]) };
        let sum = wave + constant_gain + 40.0 * (f64::from(velocity) / 127.0).log10();
        close(setup.play(601).decibels(600), sum.min(0.0), 0.01);
    }
    // A tremolo at the top is cut there, and whole below.
    let rows = [connection(s::LFO, s::NONE, d::GAIN, SOURCE_BIPOLAR, decibels(6.0))];
    let recording = Setup::of(&rows).play(frame(0.2));
    close(recording.decibels(frame(0.06)), 0.0, 0.01);
    close(recording.decibels(frame(0.16)), -6.0, 0.05);
}

#[test]
fn connections_of_level_1_have_their_curves_without_a_transform() {
    // Bipolar oscillators, a bipolar wheel and a bipolar pan, without level 2's bits.
    let rows = [
        connection(s::LFO, s::NONE, d::PITCH, LINEAR, cents(120.0)),
        connection(s::PITCH_WHEEL, s::RPN0, d::PITCH, LINEAR, cents(12_800.0)),
    ];
    let mut setup = Setup::of(&rows);
    let frame = setup.feed(s::LFO, Value::Turn(-1.0));
    close(setup.play(frame + 100).cents(frame, 64), -120.0, 0.25);
    // Nor does any other line with an oscillator.
    for line in table().iter().filter(|line| matches!(line.source, s::LFO | s::VIBRATO)) {
        let scale = if line.destination == d::GAIN { decibels(6.0) } else { cents(600.0) };
        let level = |transform: u16| {
            let row = Connection { transform, ..line.with(scale) };
            let mut setup = Setup::of(&[row, constant(d::FILTER_CUTOFF, pitch(600.0))]);
            setup.gain = decibels(-12.0);
            let frame = setup.feed(line.source, Value::Turn(-1.0));
            if line.control != s::NONE {
                _ = setup.feed(line.control, Value::Number(127));
            }
            let recording = setup.play(frame + 100);
            (recording.decibels(frame), recording.cents(frame, 64))
        };
        assert_eq!(level(LINEAR), level(line.transform), "{line:x?}");
    }
    // "Concave" in the low four bits is level 1's inverted concave.
    let quiet = connection(s::VELOCITY, s::NONE, d::GAIN, 1, decibels(-96.0));
    close(Setup { velocity: 64, ..Setup::of(&[quiet]) }.play(601).decibels(600), -11.905, 0.01);
}

#[test]
fn polyphonic_pressure_is_connected_only_on_request() {
    let pressed = |rows: &[Connection]| {
        let mut setup = Setup::of(rows);
        let frame = setup.feed(s::POLY_PRESSURE, Value::Number(96));
        setup.play(frame + 600).cents(frame, 512)
    };
    close(pressed(&[]), 0.0, 0.05);
    close(pressed(&[connection(s::POLY_PRESSURE, s::NONE, d::PITCH, LINEAR, cents(400.0))]), 300.0, 0.1);
}

#[test]
fn reserved_and_unknown_ids_have_no_effect() {
    // Of sources: the header's mono pressure, the volume envelope elsewhere than at the gain, and unknown ids.
    for source in [0xA, s::EG1, 0x7F, 0x103, 0x1234, 0xFFFF] {
        for destination in [d::PITCH, d::GAIN, d::PAN, d::FILTER_CUTOFF] {
            let rows = [connection(source, s::NONE, destination, LINEAR, decibels(-60.0))];
            let recording = Setup::of(&rows).play(1200);
            close(recording.decibels(600), 0.0, 0.01);
            close(recording.cents(600, 512), 0.0, 0.05);
            close(recording.pan(600), 0.0, 1e-4);
        }
    }
    for destination in [0, 2, 6, 0x7F, 0x106, 0x208, 0x211, 0x30C, 0x502, 0xFFFF] {
        let rows = [constant(destination, decibels(-60.0))];
        let recording = Setup::of(&rows).play(1200);
        close(recording.decibels(600), 0.0, 0.01);
        close(recording.cents(600, 512), 0.0, 0.05);
    }
}

#[test]
fn clamps_values_to_the_range_of_their_destination() {
    let rows = |destination, scale| Setup::of(&[constant(destination, scale)]);
    // Levels are parts of a whole.
    close(rows(d::EG1_SUSTAIN, percent(7.0)).play(601).decibels(600), 0.0, 0.01);
    close(rows(d::PAN, percent(3.0)).play(601).pan(600), 0.5, 1e-4);
    // No stage is longer than forty seconds: a tenth of the attack is over after four.
    let long = rows(d::EG1_ATTACK, time(10_000.0)).play(frame(4.0) + 1);
    close(long.amplitude(frame(4.0)), 0.1, 1e-3);
    // A resonance of more than 22.5 dB is one of 22.5.
    let sharp = Setup::of(&[constant(d::FILTER_CUTOFF, pitch(6000.0)), constant(d::FILTER_Q, decibels(60.0))]);
    close(sharp.play(2001).decibels(2000), -11.25, 0.4);
    // For any numbers the output is finite and bounded.
    for destination in
        [d::PITCH, d::FILTER_CUTOFF, d::FILTER_Q, d::LFO_FREQUENCY, d::LFO_DELAY, d::EG1_DECAY, d::EG2_ATTACK]
    {
        for scale in [i32::MIN, i32::MIN + 1, -1, 0, 1, i32::MAX - 1, i32::MAX] {
            let swing = connection(s::LFO, s::NONE, d::FILTER_CUTOFF, SOURCE_BIPOLAR, i32::MAX);
            let setup = Setup::of(&[constant(d::FILTER_Q, decibels(12.0)), swing, constant(destination, scale)]);
            let recording = setup.play(2000);
            let bounded = (0..2000).all(|i| recording.amplitude(i).is_finite() && recording.amplitude(i) < 30.0);
            assert!(bounded, "{destination:#x} of {scale:#x}");
        }
    }
}
