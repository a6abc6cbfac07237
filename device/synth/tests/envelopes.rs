//! Envelopes, oscillators and pitch against their closed forms, frame by frame (DLS-2.2, chapters 1.6 and 1.7).

mod common;

use common::*;
use dls_synth::dls::spec::transform::{LINEAR, SOURCE_BIPOLAR};
use dls_synth::dls::spec::{destination as d, source as s};

/// The specification's tolerance for envelopes.
const DB: f64 = 0.5;

#[test]
fn an_attack_of_no_time_is_full_at_the_first_frame() {
    let trace = trace(&organ(), &[(1000, NOTE_ON)], 2000);
    assert_eq!(trace.amplitude[999], 0.0);
    close(trace.amplitude[1000], 1.0, 1e-3);
    close(trace.amplitude[1999], 1.0, 1e-3);
}

#[test]
fn notes_begin_at_their_frame_wherever_it_lies_on_the_tick_grid() {
    for at in [0, 1, 63, 64, 65, 777] {
        let trace = trace(&organ(), &[(at, NOTE_ON)], 1000);
        assert_eq!(trace.amplitude.iter().position(|a| *a > 0.0), Some(at));
    }
}

#[test]
fn the_attack_is_linear_in_amplitude() {
    let trace = trace(&[constant(d::EG1_ATTACK, time(0.5))], &[(0, NOTE_ON)], frame(0.6));
    for tenth in 1..10 {
        let t = f64::from(tenth) / 20.0;
        close(trace.amplitude[frame(t)], t / 0.5, 0.002);
    }
    close(trace.amplitude[frame(0.55)], 1.0, 0.001);
}

#[test]
fn velocity_lengthens_the_attack() {
    let articulation = [
        constant(d::EG1_ATTACK, time(0.1)),
        connection(s::VELOCITY, s::NONE, d::EG1_ATTACK, LINEAR, cents(1200.0)),
        connection(s::VELOCITY, s::NONE, d::GAIN, LINEAR, 0),
    ];
    let trace = trace(&articulation, &[(0, &[0x90, 60, 64])], frame(0.3));
    // 64/128 of an octave.
    let attack = 0.1 * 2f64.sqrt();
    close(trace.amplitude[frame(attack / 2.0)], 0.5, 0.003);
    assert!(trace.amplitude[frame(attack * 0.98)] < 0.985);
}

#[test]
fn the_decay_is_linear_in_decibels_and_takes_its_time_for_all_96() {
    let articulation = [constant(d::EG1_DECAY, time(1.0)), constant(d::EG1_SUSTAIN, percent(0.5))];
    let trace = trace(&articulation, &[(0, NOTE_ON)], frame(0.8));
    for tenth in 1..5 {
        let t = f64::from(tenth) / 10.0;
        close(trace.decibels(frame(t)), -96.0 * t, DB);
    }
    // Sustain is a level of the 96 dB scale: 50 % are -48 dB, reached after half the time.
    close(trace.decibels(frame(0.55)), -48.0, 0.1);
    close(trace.decibels(frame(0.75)), -48.0, 0.1);
}

#[test]
fn key_number_shortens_the_decay() {
    let articulation = [
        constant(d::EG1_DECAY, time(1.0)),
        constant(d::EG1_SUSTAIN, 0),
        connection(s::KEY_NUMBER, s::NONE, d::EG1_DECAY, LINEAR, cents(-1200.0)),
    ];
    let trace = trace(&articulation, &[(0, &[0x90, 64, FULL])], frame(0.3));
    close(trace.decibels(frame(0.2)), -96.0 * 0.2 * 2f64.sqrt(), DB);
}

#[test]
fn delay_and_hold_take_their_time() {
    let articulation = [
        constant(d::EG1_DELAY, time(0.05)),
        constant(d::EG1_HOLD, time(0.1)),
        constant(d::EG1_DECAY, time(1.0)),
        constant(d::EG1_SUSTAIN, 0),
    ];
    let trace = trace(&articulation, &[(0, NOTE_ON)], frame(0.4));
    assert_eq!(trace.amplitude[frame(0.045)], 0.0);
    close(trace.amplitude[frame(0.055)], 1.0, 0.01);
    close(trace.amplitude[frame(0.145)], 1.0, 0.01);
    close(trace.decibels(frame(0.25)), -9.6, DB);
}

#[test]
fn release_goes_on_from_where_the_note_is_at_its_own_rate() {
    let articulation = [
        constant(d::EG1_DECAY, time(1.0)),
        constant(d::EG1_SUSTAIN, percent(0.75)),
        constant(d::EG1_RELEASE, time(0.5)),
    ];
    let off = frame(0.5) + 17;
    let trace = trace(&articulation, &[(0, NOTE_ON), (off, NOTE_OFF)], frame(1.2));
    for tenth in 1..4 {
        let t = f64::from(tenth) / 10.0;
        close(trace.decibels(off + frame(t)), -24.0 - 192.0 * t, DB);
    }
    assert_eq!(trace.amplitude[off + frame(0.4)], 0.0);
}

#[test]
fn release_in_the_attack_begins_at_the_level_reached() {
    let articulation = [constant(d::EG1_ATTACK, time(1.0)), constant(d::EG1_RELEASE, time(1.0))];
    let off = frame(0.5);
    let trace = trace(&articulation, &[(0, NOTE_ON), (off, NOTE_OFF)], frame(1.0));
    close(trace.amplitude[off], 0.5, 0.002);
    close(trace.decibels(off + frame(0.2)), -6.02 - 19.2, DB);
}

#[test]
fn a_killed_note_dies_in_its_shutdown_time() {
    let articulation = [constant(d::EG1_SHUTDOWN, time(0.2)), constant(d::EG1_RELEASE, time(5.0))];
    let trace = trace(&articulation, &[(0, NOTE_ON), (1000, &[0xB0, 120, 0])], frame(0.3));
    close(trace.decibels(1000 + frame(0.1)), -48.0, DB);
    assert_eq!(trace.amplitude[1000 + frame(0.21)], 0.0);
}

#[test]
fn the_modulation_envelope_moves_the_pitch_linearly_in_cents() {
    let articulation = [
        constant(d::EG2_ATTACK, time(0.2)),
        constant(d::EG2_DECAY, time(0.4)),
        constant(d::EG2_SUSTAIN, percent(0.5)),
        constant(d::EG2_RELEASE, time(0.4)),
        constant(d::EG1_RELEASE, time(5.0)),
        connection(s::EG2, s::NONE, d::PITCH, LINEAR, cents(1200.0)),
    ];
    let trace = trace(&articulation, &[(0, NOTE_ON), (frame(0.6), NOTE_OFF)], frame(1.0));
    for (seconds, expected) in [(0.1, 600.0), (0.2, 1200.0), (0.3, 900.0), (0.5, 600.0), (0.7, 300.0), (0.9, 0.0)] {
        close(trace.cents_around(frame(seconds), 128), expected, 6.5);
    }
}

#[test]
fn the_vibrato_oscillator_begins_at_phase_0_after_its_delay() {
    let articulation = [
        constant(d::VIB_FREQUENCY, pitch(5.0)),
        constant(d::VIB_DELAY, time(0.1)),
        connection(s::VIBRATO, s::NONE, d::PITCH, SOURCE_BIPOLAR, cents(100.0)),
    ];
    let trace = trace(&articulation, &[(0, NOTE_ON)], frame(0.6));
    close(trace.cents_around(frame(0.05), 128), 0.0, 0.25);
    close(trace.cents_around(frame(0.15), 64), 100.0, 0.5);
    close(trace.cents_around(frame(0.25), 64), -100.0, 0.5);
    close(trace.cents_around(frame(0.35), 64), 100.0, 0.5);
    close(trace.cents_around(frame(0.30), 64), 0.0, 5.0);
}

#[test]
fn oscillator_frequency_holds_over_a_hundred_turns() {
    let articulation = [
        constant(d::LFO_FREQUENCY, pitch(10.0)),
        constant(d::LFO_DELAY, time(0.01)),
        connection(s::LFO, s::NONE, d::PITCH, SOURCE_BIPOLAR, cents(100.0)),
    ];
    let trace = trace(&articulation, &[(0, NOTE_ON)], frame(10.2));
    // 100 turns and a quarter later the pitch is at its top again; one per cent would have turned a whole turn.
    close(trace.cents_around(frame(10.01 + 0.025), 32), 100.0, 1.0);
}

#[test]
fn the_modulation_oscillator_makes_the_first_half_turn_louder() {
    let articulation = [
        constant(d::LFO_FREQUENCY, pitch(5.0)),
        constant(d::GAIN, decibels(-20.0)),
        connection(s::LFO, s::NONE, d::GAIN, SOURCE_BIPOLAR, decibels(6.0)),
    ];
    let trace = trace(&articulation, &[(0, NOTE_ON)], frame(0.3));
    close(trace.decibels(frame(0.06)), -14.0, 0.1);
    close(trace.decibels(frame(0.16)), -26.0, 0.1);
}

#[test]
fn pitch_is_exact_to_a_quarter_of_a_cent_from_four_octaves_down_to_two_up() {
    for key in [12, 31, 48, 59, 60, 61, 72, 79, 84] {
        let trace = trace(&organ(), &[(0, &[0x90, key, FULL])], 6000);
        close(trace.cents_around(3000, 2560), 100.0 * (f64::from(key) - 60.0), 0.25);
    }
}

#[test]
fn every_cent_of_fine_tuning_is_heard() {
    let at = |fine: u16| {
        let (msb, lsb) = ((fine >> 7) as u8, (fine & 0x7F) as u8);
        let events: [(usize, &[u8]); 5] =
            [(0, &[0xB0, 101, 0]), (0, &[0xB0, 100, 1]), (0, &[0xB0, 6, msb]), (0, &[0xB0, 38, lsb]), (0, NOTE_ON)];
        trace(&organ(), &events, 6000).cents_around(3000, 2560)
    };
    for cents in [-100.0, -37.0, -1.0, 0.0, 1.0, 2.0, 63.0] {
        close(at((8192.0 + 81.92 * cents) as u16), cents, 0.25);
    }
}

#[test]
fn the_wheel_bends_by_its_range() {
    let centre = trace(&organ(), &[(0, NOTE_ON), (10, &[0xE0, 0, 64])], 6000);
    close(centre.cents_around(3000, 2560), 0.0, 0.25);
    let down = trace(&organ(), &[(0, NOTE_ON), (10, &[0xE0, 0, 0])], 6000);
    close(down.cents_around(3000, 2560), -200.0, 0.25);
    let events: [(usize, &[u8]); 5] =
        [(0, &[0xB0, 101, 0]), (0, &[0xB0, 100, 0]), (0, &[0xB0, 6, 12]), (0, NOTE_ON), (0, &[0xE0, 0, 96])];
    close(trace(&organ(), &events, 6000).cents_around(3000, 2560), 600.0, 0.25);
}

#[test]
fn coarse_tuning_moves_the_key() {
    let events: [(usize, &[u8]); 4] = [(0, &[0xB0, 101, 0]), (0, &[0xB0, 100, 2]), (0, &[0xB0, 6, 69]), (0, NOTE_ON)];
    close(trace(&organ(), &events, 6000).cents_around(3000, 2560), 500.0, 0.25);
}

#[test]
fn gain_follows_velocity_volume_and_expression() {
    for value in [127, 110, 100, 64, 20, 2] {
        let expected = 40.0 * (f64::from(value) / 127.0).log10();
        let velocity = trace(&organ(), &[(0, &[0x90, 60, value])], 4000);
        close(velocity.decibels(3000), expected, 0.25);
        let volume = trace(&organ(), &[(0, &[0xB0, 7, value]), (0, NOTE_ON)], 4000);
        close(volume.decibels(3000), expected, 0.25);
        let expression = trace(&organ(), &[(0, &[0xB0, 11, value]), (0, NOTE_ON)], 4000);
        close(expression.decibels(3000), expected, 0.25);
    }
}

#[test]
fn gains_never_amplify_together() {
    let articulation = [constant(d::GAIN, decibels(12.0))];
    close(trace(&articulation, &[(0, NOTE_ON)], 2000).decibels(1500), 0.0, 0.02);
    close(trace(&articulation, &[(0, &[0x90, 60, 64])], 2000).decibels(1500), 0.0, 0.1);
}

#[test]
fn a_controller_never_makes_a_step() {
    let trace = trace(&organ(), &[(0, NOTE_ON), (1000, &[0xB0, 7, 1]), (3001, &[0xB0, 7, 127])], 6000);
    let steps = trace.amplitude.windows(2).skip(1).map(|pair| (pair[1] - pair[0]).abs());
    // Full scale in one tick of 64 frames.
    assert!(steps.fold(0.0, f64::max) <= 1.05 / 64.0);
    close(trace.decibels(2900), -84.15, 0.5);
    close(trace.decibels(5900), 0.0, 0.02);
}

#[test]
fn pan_is_of_constant_power_with_an_exact_centre_and_hard_sides() {
    let at = |pan: u8, output| {
        let events: [(usize, &[u8]); 2] = [(0, &[0xB0, 10, pan]), (0, NOTE_ON)];
        trace_of(|q| tone_collection(q, &organ()), &events, 500, output).amplitude[400] * 0.5f64.sqrt()
    };
    close(at(64, 0), 0.5f64.sqrt(), 1e-3);
    close(at(64, 1), 0.5f64.sqrt(), 1e-3);
    for (pan, left) in [(0, 1.0), (1, 1.0), (127, 0.0)] {
        close(at(pan, 0), left, 1e-3);
        close(at(pan, 1), 1.0 - left, 1e-3);
    }
    for pan in [20, 50, 90, 110] {
        let position: f64 = (f64::from(pan) / 64.0 - 1.0) * 0.508;
        let angle = std::f64::consts::FRAC_PI_2 * (position + 0.5);
        close(at(pan, 0), angle.cos(), 1e-3);
        close(at(pan, 1), angle.sin(), 1e-3);
    }
}

#[test]
fn the_gains_of_level_1s_worked_example_add_up() {
    // DLS-1 v1.1b, the example of its chapter on the articulation: velocity 110, volume 100, expression 120.
    let events: [(usize, &[u8]); 3] = [(0, &[0xB0, 7, 100]), (0, &[0xB0, 11, 120]), (0, &[0x90, 60, 110])];
    close(trace(&organ(), &events, 3000).decibels(2000), -(2.496 + 4.152 + 0.985), 0.01);
}
