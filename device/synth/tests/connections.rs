//! The connection table of DLS-2.2, line by line: every source, control and destination that a level 2 device must
//! know, heard at the output.

mod common;

use common::*;
use dls_synth::dls::spec::transform::{LINEAR, SOURCE_BIPOLAR, SOURCE_INVERT, SOURCE_INVERTED_CONCAVE, SOURCE_SHIFT};
use dls_synth::dls::spec::{destination as d, source as s};
use dls_synth::dls::{Connection, Wave};
use dls_synth::{Synth, SynthConfig};

/// Where a slow oscillator that began with the note is at its top: a quarter turn of 1 Hz after its 10 ms of delay.
const TOP: f64 = 0.26;

fn slow_oscillators() -> Vec<Connection> {
    vec![constant(d::LFO_FREQUENCY, pitch(1.0)), constant(d::VIB_FREQUENCY, pitch(1.0))]
}

fn with(rows: &[Connection]) -> Vec<Connection> {
    [slow_oscillators(), rows.to_vec()].concat()
}

fn pitch_at_top(rows: &[Connection], events: &[(usize, &[u8])]) -> f64 {
    trace(&with(rows), events, frame(0.3)).cents_around(frame(TOP), 128)
}

fn gain_at_top(rows: &[Connection], events: &[(usize, &[u8])]) -> f64 {
    let rows = [rows, &[constant(d::GAIN, decibels(-20.0))]].concat();
    trace(&with(&rows), events, frame(0.3)).decibels(frame(TOP)) + 20.0
}

const WHEEL_HALF: &[u8] = &[0xB0, 1, 64];
const PRESSURE_HALF: &[u8] = &[0xD0, 64];
const POLY_HALF: &[u8] = &[0xA0, 60, 64];

#[test]
fn both_oscillators_reach_the_pitch_alone_by_modulation_wheel_and_by_channel_pressure() {
    for source in [s::LFO, s::VIBRATO] {
        let row = |control| [connection(source, control, d::PITCH, SOURCE_BIPOLAR, cents(120.0))];
        close(pitch_at_top(&row(s::NONE), &[(0, NOTE_ON)]), 120.0, 0.5);
        for (control, message) in
            [(s::CC1, WHEEL_HALF), (s::CHANNEL_PRESSURE, PRESSURE_HALF), (s::POLY_PRESSURE, POLY_HALF)]
        {
            close(pitch_at_top(&row(control), &[(0, NOTE_ON)]), 0.0, 0.25);
            close(pitch_at_top(&row(control), &[(0, NOTE_ON), (1000, message)]), 60.0, 0.5);
        }
    }
}

#[test]
fn the_modulation_oscillator_reaches_the_gain_alone_by_modulation_wheel_and_by_channel_pressure() {
    let row = |control| [connection(s::LFO, control, d::GAIN, SOURCE_BIPOLAR, decibels(6.0))];
    close(gain_at_top(&row(s::NONE), &[(0, NOTE_ON)]), 6.0, 0.05);
    for (control, message) in [(s::CC1, WHEEL_HALF), (s::CHANNEL_PRESSURE, PRESSURE_HALF)] {
        close(gain_at_top(&row(control), &[(0, NOTE_ON)]), 0.0, 0.05);
        close(gain_at_top(&row(control), &[(0, NOTE_ON), (1000, message)]), 3.0, 0.05);
    }
}

#[test]
fn the_lines_of_level_1_need_not_say_what_their_curves_are() {
    let row = [connection(s::LFO, s::NONE, d::PITCH, LINEAR, cents(120.0))];
    close(pitch_at_top(&row, &[(0, NOTE_ON)]), 120.0, 0.5);
    let quiet = [connection(s::VELOCITY, s::NONE, d::GAIN, 1, decibels(-96.0))];
    let trace = trace(&quiet, &[(0, &[0x90, 60, 64])], 3000);
    close(trace.decibels(2000), -11.905, 0.1);
}

#[test]
fn tuning_and_scale_tuning_move_the_pitch() {
    close(pitch_at_top(&[constant(d::PITCH, cents(-350.0))], &[(0, NOTE_ON)]), -350.0, 0.25);
    let untuned = [connection(s::KEY_NUMBER, s::NONE, d::PITCH, LINEAR, 0)];
    // Without its key a note is at key 0, 60 keys below the unity note.
    close(pitch_at_top(&[untuned[0], constant(d::PITCH, cents(6000.0))], &[(0, &[0x90, 99, FULL])]), 0.0, 0.25);
    let half = [connection(s::KEY_NUMBER, s::NONE, d::PITCH, LINEAR, cents(6400.0)), constant(d::PITCH, cents(3000.0))];
    close(pitch_at_top(&half, &[(0, &[0x90, 84, FULL])]), 1200.0, 0.25);
}

#[test]
fn coarse_tuning_can_be_switched_off() {
    let fixed = [connection(s::RPN2, s::NONE, d::KEY_NUMBER, SOURCE_BIPOLAR, 0)];
    let events: [(usize, &[u8]); 4] = [(0, &[0xB0, 101, 0]), (0, &[0xB0, 100, 2]), (0, &[0xB0, 6, 69]), (0, NOTE_ON)];
    close(pitch_at_top(&fixed, &events), 0.0, 0.25);
    close(pitch_at_top(&[], &events), 500.0, 0.25);
}

#[test]
fn the_range_of_fine_tuning_is_its_connection() {
    let events: [(usize, &[u8]); 4] = [(0, &[0xB0, 101, 0]), (0, &[0xB0, 100, 1]), (0, &[0xB0, 6, 96]), (0, NOTE_ON)];
    close(pitch_at_top(&[], &events), 50.0, 0.25);
    let narrow = [connection(s::RPN1, s::NONE, d::PITCH, SOURCE_BIPOLAR, cents(20.0))];
    close(pitch_at_top(&narrow, &events), 10.0, 0.25);
}

#[test]
fn key_and_velocity_reach_the_times_of_both_envelopes() {
    // With a time of 0.1 s and an octave more at 64/128, the envelope is half way after 0.1 s.
    let row = |source, destination| connection(source, s::NONE, destination, LINEAR, cents(2400.0));
    let key_64: &[u8] = &[0x90, 64, FULL];
    let velocity_64: &[u8] = &[0x90, 60, 64];
    let flat = connection(s::VELOCITY, s::NONE, d::GAIN, LINEAR, 0);
    let amplitude = |rows: &[Connection], note| trace(rows, &[(0, note)], frame(0.3)).amplitude[frame(0.1)];
    close(
        amplitude(&[flat, constant(d::EG1_ATTACK, time(0.1)), row(s::VELOCITY, d::EG1_ATTACK)], velocity_64),
        0.5,
        0.005,
    );
    let hold = [constant(d::EG1_HOLD, time(0.1)), row(s::KEY_NUMBER, d::EG1_HOLD), constant(d::EG1_SUSTAIN, 0)];
    close(amplitude(&hold, key_64), 1.0, 0.005);

    let bend = connection(s::EG2, s::NONE, d::PITCH, LINEAR, cents(1000.0));
    let cents_of = |rows: &[Connection], note, at| trace(rows, &[(0, note)], frame(0.4)).cents_around(frame(at), 128);
    let attack = [bend, constant(d::EG2_ATTACK, time(0.1)), row(s::VELOCITY, d::EG2_ATTACK)];
    close(cents_of(&attack, velocity_64, 0.1), 500.0, 8.0);
    let decay =
        [bend, constant(d::EG2_DECAY, time(0.1)), constant(d::EG2_SUSTAIN, 0), row(s::KEY_NUMBER, d::EG2_DECAY)];
    close(cents_of(&decay, key_64, 0.1) - 400.0, 500.0, 8.0);
    let hold = [bend, constant(d::EG2_HOLD, time(0.1)), constant(d::EG2_SUSTAIN, 0), row(s::KEY_NUMBER, d::EG2_HOLD)];
    close(cents_of(&hold, key_64, 0.19) - 400.0, 1000.0, 1.0);
    close(cents_of(&hold, key_64, 0.21) - 400.0, 0.0, 1.0);
    let delay = [bend, constant(d::EG2_DELAY, time(0.1))];
    close(cents_of(&delay, NOTE_ON, 0.09), 0.0, 1.0);
    close(cents_of(&delay, NOTE_ON, 0.11), 1000.0, 1.0);
}

#[test]
fn a_pan_of_its_own_adds_to_the_channels() {
    let at = |own, channel: u8| {
        let events: [(usize, &[u8]); 2] = [(0, &[0xB0, 10, channel]), (0, NOTE_ON)];
        let rows = [constant(d::PAN, percent(own))];
        trace_of(|q| tone_collection(q, &rows), &events, 600, 0).amplitude[500] * 0.5f64.sqrt()
    };
    let law = |pan: f64| (std::f64::consts::FRAC_PI_2 * (pan.clamp(-0.5, 0.5) + 0.5)).cos();
    close(at(0.25, 64), law(0.25), 1e-3);
    close(at(0.25, 32), law(0.25 - 0.254), 1e-3);
    close(at(-0.5, 20), 1.0, 1e-3);
}

/// Energy of what only the effects put out: long after a short note without a tail of its own.
fn tail(config: SynthConfig, rows: &[Connection], events: &[&[u8]]) -> f64 {
    let mut synth = plain_synth(config, &tone_collection(0.0, &[organ(), rows.to_vec()].concat()));
    events.iter().for_each(|message| synth.midi(0, message));
    synth.midi(0, NOTE_ON);
    render(&mut synth, 4000);
    synth.midi(0, NOTE_OFF);
    render(&mut synth, 100);
    assert_eq!(synth.active_voices(), 0);
    render(&mut synth, 6000).iter().map(|f| f64::from(f[0]) * f64::from(f[0])).sum::<f64>().sqrt()
}

#[test]
fn sends_go_by_controller_and_by_a_constant_of_their_own() {
    for (own, controller, source, config) in [
        (d::REVERB, 91, s::CC91, SynthConfig { reverb: true, ..dry() }),
        (d::CHORUS, 93, s::CC93, SynthConfig { chorus: true, ..dry() }),
    ] {
        assert_eq!(tail(config, &[], &[]), 0.0, "{own:#x}: nothing is sent");
        let full = tail(config, &[constant(own, percent(1.0))], &[]);
        assert!(full > 0.1, "{own:#x}: {full}");
        close(tail(config, &[constant(own, percent(0.25))], &[]) / full, 0.25, 0.01);
        close(tail(config, &[], &[&[0xB0, controller, 64]]) / full, 0.5, 0.01);
        let scaled = [connection(source, s::NONE, own, LINEAR, percent(0.5))];
        close(tail(config, &scaled, &[&[0xB0, controller, 64]]) / full, 0.25, 0.01);
    }
}

/// Gain in dB of a tone `octaves` above 8.1758 Hz at the end of a second, against the same without a filter.
fn filtered(rows: &[Connection], events: &[(usize, &[u8])], at: f64) -> f64 {
    let open = trace(&[], events, frame(at) + 200).decibels(frame(at));
    trace(&with(rows), events, frame(at) + 200).decibels(frame(at)) - open
}

/// What the filter does to the test tone at its unity note: two poles without resonance, cutoff in Hz.
fn prototype(cutoff: f64) -> f64 {
    // Far below half the sample rate, two poles of 0 dB resonance are those of Butterworth's filter. Where they lie, the
    // specification measures by the gain at a quarter of the sample rate: pi / sqrt(8) below what it calls the cutoff.
    let poles = cutoff * 8f64.sqrt() / std::f64::consts::PI;
    -10.0 * (1.0 + (TONE_HERTZ / poles).powi(4)).log10()
}

#[test]
fn everything_that_may_move_the_cutoff_moves_it() {
    // Cutoff at 750 Hz, moved by two octaves down to the tone's own 187.5 Hz.
    let base = constant(d::FILTER_CUTOFF, pitch(750.0));
    close(filtered(&[base], &[(0, NOTE_ON)], 0.2), prototype(750.0), 0.3);
    let row = |source, control, transform, scale| {
        [base, connection(source, control, d::FILTER_CUTOFF, transform, cents(scale))]
    };
    let flat: [(usize, &[u8]); 1] = [(0, NOTE_ON)];
    close(filtered(&row(s::LFO, s::NONE, SOURCE_BIPOLAR, -2400.0), &flat, TOP), prototype(187.5), 0.4);
    let wheel: [(usize, &[u8]); 2] = [(0, WHEEL_HALF), (0, NOTE_ON)];
    close(filtered(&row(s::LFO, s::CC1, SOURCE_BIPOLAR, -4800.0), &wheel, TOP), prototype(187.5), 0.4);
    let pressure: [(usize, &[u8]); 2] = [(0, PRESSURE_HALF), (0, NOTE_ON)];
    close(filtered(&row(s::LFO, s::CHANNEL_PRESSURE, SOURCE_BIPOLAR, -4800.0), &pressure, TOP), prototype(187.5), 0.4);
    close(filtered(&row(s::EG2, s::NONE, LINEAR, -2400.0), &flat, 0.2), prototype(187.5), 0.4);
    let soft: [(usize, &[u8]); 1] = [(0, &[0x90, 60, 64])];
    close(filtered(&row(s::VELOCITY, s::NONE, LINEAR, -4800.0), &soft, 0.2), prototype(187.5), 0.4);
    // Key 60 of 128.
    close(filtered(&row(s::KEY_NUMBER, s::NONE, LINEAR, -5120.0), &flat, 0.2), prototype(187.5), 0.4);
}

#[test]
fn resonance_lowers_the_pass_band_by_half_of_itself() {
    for q in [6.0, 12.0, 22.5] {
        let rows = [constant(d::FILTER_CUTOFF, pitch(6000.0)), constant(d::FILTER_Q, decibels(q))];
        close(filtered(&rows, &[(0, NOTE_ON)], 0.2), -q / 2.0, 0.3);
    }
}

#[test]
fn a_cutoff_above_all_that_is_heard_is_flat_whatever_the_resonance() {
    let rows = [constant(d::FILTER_CUTOFF, pitch(24_001.0)), constant(d::FILTER_Q, decibels(20.0))];
    close(filtered(&rows, &[(0, NOTE_ON)], 0.2), 0.0, 0.01);
}

#[test]
fn a_sweep_through_all_cutoffs_stays_tame() {
    let rows = [
        constant(d::FILTER_CUTOFF, cents(0.0)),
        constant(d::FILTER_Q, decibels(22.5)),
        constant(d::EG2_ATTACK, time(0.5)),
        connection(s::EG2, s::NONE, d::FILTER_CUTOFF, LINEAR, cents(14_000.0)),
    ];
    let loudest = trace(&rows, &[(0, NOTE_ON)], frame(0.6)).amplitude.into_iter().fold(0.0, f64::max);
    // Half of the resonance, and what the sweep itself makes ring.
    assert!(loudest < 5.0, "{loudest}");
}

#[test]
fn other_curves_and_controllers_than_the_tables_work_too() {
    let brightness = 0x80 + 74;
    let events = |value: u8| [(0usize, [0xB0, 74, value])];
    let gain = |transform, value| {
        let rows = [connection(brightness, s::NONE, d::GAIN, transform, decibels(-60.0))];
        let message = events(value)[0].1;
        trace(&rows, &[(0, &message), (0, NOTE_ON)], 3000).decibels(2000)
    };
    close(gain(LINEAR | 1 << SOURCE_SHIFT, 64), 60.0 * (5.0 / 12.0) * (1.0f64 - 64.0 / 127.0).log10(), 0.05);
    close(gain(SOURCE_INVERT | SOURCE_BIPOLAR, 127), 0.0, 0.05);
    close(gain(SOURCE_INVERTED_CONCAVE, 127), 0.0, 0.05);
    close(gain(3 << SOURCE_SHIFT, 63), 0.0, 0.05);
    close(gain(3 << SOURCE_SHIFT, 64), -60.0, 0.3);
}

/// A stereo pair: the test tone left, and 90 degrees later right.
fn stereo(slave_rate: u32, slave_rows: &[Connection]) -> dls_synth::dls::Collection {
    let mut left = region(0, looped(0, TURN as u32));
    (left.link.options, left.link.phase_group, left.link.channels) = (3, 1, 1);
    left.articulation = Some(vec![connection(s::VIBRATO, s::NONE, d::PITCH, SOURCE_BIPOLAR, cents(80.0))]);
    let mut right = region(1, looped(0, TURN as u32));
    (right.link.options, right.link.phase_group, right.link.channels) = (2, 1, 2);
    right.articulation = Some(slave_rows.to_vec());
    let slave = Wave::new("", slave_rate, &tone(1.0), None);
    // The slave comes first: order must not matter.
    collection(vec![right, left], vec![wave(&tone(0.0)), Some(std::sync::Arc::new(slave))])
}

#[test]
fn a_phase_locked_pair_stays_together_whatever_the_slave_says_of_its_pitch() {
    let own_pitch = [constant(d::PITCH, cents(300.0)), connection(s::EG2, s::NONE, d::PITCH, LINEAR, cents(500.0))];
    for (rate, rows) in [(RATE, &[][..]), (11_025, &own_pitch[..])] {
        let mut synth: Synth = plain_synth(dry(), &stereo(rate, rows));
        synth.midi(0, &[0x90, 65, FULL]);
        let out = render(&mut synth, 48_000);
        synth.midi(0, &[0xE0, 0, 100]);
        let bent = render(&mut synth, 48_000);
        // The first frames still see the silence before the wave.
        for frame in out.iter().chain(&bent).skip(8) {
            let radius = f64::from(frame[0]).hypot(f64::from(frame[1]));
            close(radius, PEAK * std::f64::consts::FRAC_1_SQRT_2, 0.002);
        }
        assert_eq!(synth.active_voices(), 2);
    }
}
