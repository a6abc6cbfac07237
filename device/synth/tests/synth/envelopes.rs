//! How an envelope's stages follow one another: what a note-off does in each, and when a voice is over.
//! Times and levels themselves are in `table.rs` and `tolerances.rs`.

use crate::common::live::Live;
use crate::common::setup::Setup;
use crate::common::*;
use dls_synth::SynthConfig;
use dls_synth::dls::Connection;
use dls_synth::dls::spec::transform::LINEAR;
use dls_synth::dls::spec::{destination as d, source as s};

/// The specification's tolerance for envelopes, in dB.
const DB: f64 = 0.5;

/// Makes a setup whose key is lifted at a time in seconds.
fn lifted(rows: &[Connection], seconds: f64) -> Setup {
    let mut setup = Setup::of(rows);
    setup.events.push((frame(seconds), NOTE_OFF.to_vec()));
    setup
}

/// Makes a pair of synthesizers with the test tone, at full volume.
fn live(rows: Vec<Connection>) -> Live {
    let mut live = Live::new(SynthConfig { voices: 8, ..dry() }, move |quarter| tone_collection(quarter, &rows));
    live.send(&[0xB0, 7, FULL]);
    live
}

#[test]
fn release_goes_on_from_where_the_note_is_at_its_own_rate() {
    let rows = [
        constant(d::EG1_DECAY, time(1.0)),
        constant(d::EG1_SUSTAIN, percent(0.75)),
        constant(d::EG1_RELEASE, time(0.5)),
    ];
    // In the decay at -9.6 dB, and at the sustain level of -24 dB.
    for (off, level) in [(0.1, -9.6), (0.5, -24.0)] {
        let recording = lifted(&rows, off).play(frame(off + 0.6));
        for tenth in 0..4 {
            let t = f64::from(tenth) / 10.0;
            close(recording.decibels(frame(off + t)), level - 192.0 * t, DB);
        }
        // From there it takes 0.5 s times what is left of 96 dB.
        let end = off + 0.5 * (96.0 + level) / 96.0;
        assert!(recording.amplitude(frame(end - 0.01)) > 0.0);
        assert_eq!(recording.amplitude(frame(end + 0.01)), 0.0);
    }
}

#[test]
fn release_in_the_attack_begins_at_the_amplitude_reached() {
    let rows = [constant(d::EG1_ATTACK, time(1.0)), constant(d::EG1_RELEASE, time(1.0))];
    let recording = lifted(&rows, 0.5).play(frame(1.0));
    close(recording.amplitude(frame(0.5)), 0.5, 0.002);
    close(recording.decibels(frame(0.7)), 20.0 * 0.5f64.log10() - 19.2, 0.1);
}

#[test]
fn a_note_released_in_the_delay_is_silent() {
    let mut live = live(vec![constant(d::EG1_DELAY, time(0.5)), constant(d::EG1_RELEASE, time(5.0))]);
    live.send(NOTE_ON);
    live.seconds(0.1);
    live.send(NOTE_OFF);
    live.seconds(1.0);
    assert!(live.frames().iter().all(|frame| *frame == [0.0, 0.0]));
    assert_eq!(live.voices(), 0);
}

#[test]
fn a_note_off_in_the_hold_stage_begins_at_full_level() {
    let rows = [constant(d::EG1_HOLD, time(2.0)), constant(d::EG1_RELEASE, time(1.0))];
    let recording = lifted(&rows, 0.3).play(frame(0.6));
    close(recording.decibels(frame(0.29)), 0.0, 0.01);
    close(recording.decibels(frame(0.55)), -24.0, DB);
}

#[test]
fn the_wave_runs_while_the_envelope_delays() {
    // A delay chops off the head of the wave: a ramp of levels shows where it is.
    let samples: Vec<i16> = (0..20_000).map(|i| i as i16).collect();
    let mut collection = collection(vec![region(0, dls_synth::dls::WaveSample::default())], vec![wave(&samples)]);
    collection.instruments[0].articulation = vec![constant(d::EG1_DELAY, time(0.1))];
    let mut synth = plain_synth(dry(), &collection);
    synth.midi(0, NOTE_ON);
    let out = render(&mut synth, 10_000);
    for i in [frame(0.1) + 100, 9000] {
        close(f64::from(out[i][0]) * 32_768.0 * 2f64.sqrt(), i as f64, 0.5);
    }
}

#[test]
fn a_voice_ends_below_96_decibels_and_at_a_sustain_of_0() {
    for rows in
        [vec![constant(d::EG1_DECAY, time(0.2)), constant(d::EG1_SUSTAIN, 0)], vec![constant(d::EG1_SUSTAIN, 0)]]
    {
        let mut live = live(rows);
        live.send(NOTE_ON);
        live.seconds(0.25);
        assert_eq!(live.voices(), 0, "though its key is still down");
    }
}

#[test]
fn the_modulation_envelope_is_released_from_its_own_level() {
    let rows = [
        constant(d::EG2_ATTACK, time(0.2)),
        constant(d::EG2_DECAY, time(0.4)),
        constant(d::EG2_SUSTAIN, percent(0.5)),
        constant(d::EG2_RELEASE, time(0.4)),
        constant(d::EG1_RELEASE, time(40.0)),
        connection(s::EG2, s::NONE, d::PITCH, LINEAR, cents(1200.0)),
    ];
    let held = lifted(&rows, 0.6).play(frame(1.0));
    for (seconds, expected) in [(0.1, 600.0), (0.2, 1200.0), (0.3, 900.0), (0.5, 600.0), (0.7, 300.0), (0.9, 0.0)] {
        close(held.cents(frame(seconds), 128), expected, 6.5);
    }
    // Lifted in its attack, at a quarter: its release is as linear as all of it.
    let early = lifted(&rows, 0.05).play(frame(0.4));
    close(early.cents(frame(0.05), 16), 300.0, 3.0);
    close(early.cents(frame(0.1), 128), 150.0, 3.0);
    close(early.cents(frame(0.2), 128), 0.0, 0.25);
}

#[test]
fn the_pedal_delays_the_release_and_no_other_stage() {
    let rows = vec![
        constant(d::EG1_DECAY, time(1.0)),
        constant(d::EG1_SUSTAIN, percent(0.75)),
        constant(d::EG1_RELEASE, time(1.0)),
    ];
    let mut live = live(rows);
    live.send_all(&[&[0xB0, 64, 127], NOTE_ON]);
    live.seconds(0.05);
    live.send(NOTE_OFF);
    live.seconds(0.05);
    close(20.0 * live.amplitude(frame(0.05) - 1).log10(), -9.6, DB);
    live.seconds(0.5);
    close(20.0 * live.amplitude(frame(0.5) - 1).log10(), -24.0, DB);
    live.send(&[0xB0, 64, 0]);
    live.seconds(0.25);
    close(20.0 * live.amplitude(frame(0.25) - 1).log10(), -48.0, DB);
}

#[test]
fn a_second_note_off_does_not_restart_the_release_and_a_shutdown_hastens_it() {
    let rows = vec![constant(d::EG1_RELEASE, time(2.0)), constant(d::EG1_SHUTDOWN, time(0.2))];
    let mut live = live(rows);
    live.send_all(&[NOTE_ON, NOTE_OFF]);
    live.seconds(0.25);
    // Released already: nothing begins anew.
    live.send(NOTE_OFF);
    live.seconds(0.25);
    close(20.0 * live.amplitude(frame(0.25) - 1).log10(), -24.0, DB);
    live.send(&[0xB0, 120, 0]);
    live.seconds(0.1);
    close(20.0 * live.amplitude(frame(0.1) - 1).log10(), -72.0, DB);
    // A shutdown is not put off, and not slowed down by a note-off.
    live.send(NOTE_OFF);
    live.seconds(0.06);
    assert_eq!(live.voices(), 0);
}

#[test]
fn a_controller_never_makes_a_step() {
    let mut setup = Setup::default();
    setup.events.extend([(1000, vec![0xB0, 7, 1]), (3001, vec![0xB0, 7, 127])]);
    let recording = setup.play(6000);
    // Full scale in one tick of 64 frames.
    let steps = (1..5999).map(|i| (recording.amplitude(i + 1) - recording.amplitude(i)).abs());
    assert!(steps.fold(0.0, f64::max) <= 1.05 / 64.0);
    close(recording.decibels(2900), -84.15, 0.25);
    close(recording.decibels(5900), 0.0, 0.01);
}
