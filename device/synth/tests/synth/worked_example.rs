//! The worked example of DLS level 1 (v1.1b, table 3 and the pages after it): one note, 150 ms after its start, by the
//! specification's own arithmetic and by the synthesizer.
//!
//! Three things of that text do not hold for a level 2 device, and are shown apart:
//! * The example's positive scales attenuate. The erratum of v1.1 turns that round: what the example means is written
//!   with negative scales.
//! * It divides the velocity by 127 where its own formulas, and all its other terms, divide by 128, and rounds the attack
//!   to 219 ms: 0.041 and 0.018 dB.
//! * It pans by level 1's law.

use crate::common::setup::{Recording, Setup};
use crate::common::*;
use dls_synth::SynthConfig;
use dls_synth::dls::spec::transform::LINEAR;
use dls_synth::dls::spec::{destination as d, source as s};
use dls_synth::dls::{Collection, Connection, Wave, WaveSample};

/// Seconds after the note-on.
const AT: f64 = 0.150;

// The control events of table 3.
const CC1: u8 = 25;
const CC7: u8 = 100;
const CC10: u8 = 75;
const CC11: u8 = 120;
/// Above the centre.
const WHEEL: u16 = 365;
const KEY: u8 = 60;
const VELOCITY: u8 = 110;

/// The recording's rate, and the device's.
const RATES: (u32, u32) = (22_050, 32_000);

fn row(source: u16, control: u16, destination: u16, scale: u32) -> Connection {
    connection(source, control, destination, LINEAR, scale as i32)
}

/// Returns table 3, its numbers as printed; `louder` is +1 when positive scales amplify, and -1 for the level 1 text's
/// own reading.
fn articulation(louder: i32) -> Vec<Connection> {
    let tremolo = |control, tenths: u32| connection(s::LFO, control, d::GAIN, LINEAR, louder * (tenths << 16) as i32);
    vec![
        row(s::NONE, s::NONE, d::LFO_FREQUENCY, 0xFCAC_AE9C),
        row(s::NONE, s::NONE, d::LFO_DELAY, 0x8000_0000),
        tremolo(s::NONE, 30),
        row(s::LFO, s::NONE, d::PITCH, 0),
        tremolo(s::CC1, 10),
        row(s::LFO, s::CC1, d::PITCH, 0),
        row(s::NONE, s::NONE, d::EG1_ATTACK, 0xF9CD_AFB1),
        row(s::NONE, s::NONE, d::EG1_DECAY, 0x0AE2_504F),
        row(s::NONE, s::NONE, d::EG1_SUSTAIN, 0x01F4_0000),
        row(s::NONE, s::NONE, d::EG1_RELEASE, 0xFB50_0000),
        row(s::VELOCITY, s::NONE, d::EG1_ATTACK, 0xFB50_0000),
        row(s::KEY_NUMBER, s::NONE, d::EG1_DECAY, 0xFDA8_0000),
        row(s::NONE, s::NONE, d::EG2_ATTACK, 0x8000_0000),
        row(s::NONE, s::NONE, d::EG2_DECAY, 0x0F92_504F),
        row(s::NONE, s::NONE, d::EG2_SUSTAIN, 0x01F4_0000),
        row(s::NONE, s::NONE, d::EG2_RELEASE, 0x04B0_0000),
        row(s::VELOCITY, s::NONE, d::EG2_ATTACK, 0),
        row(s::KEY_NUMBER, s::NONE, d::EG2_DECAY, 0),
        row(s::EG2, s::NONE, d::PITCH, 0x001E_0000),
    ]
}

/// Plays the example and returns the recording at the device's rate.
fn play(articulation: &[Connection]) -> Recording {
    let setup = Setup {
        config: SynthConfig { sample_rate: RATES.1, voices: 8, ..dry() },
        key: KEY,
        velocity: VELOCITY,
        before: vec![
            vec![0xB0, 1, CC1],
            vec![0xB0, 7, CC7],
            vec![0xB0, 10, CC10],
            vec![0xB0, 11, CC11],
            vec![0xE0, ((8192 + WHEEL) & 0x7F) as u8, ((8192 + WHEEL) >> 7) as u8],
        ],
        ..Setup::of(articulation)
    };
    let collection = |quarter: f64| -> Collection {
        let mut collection = setup.collection(quarter);
        collection.waves[0] = Some(std::sync::Arc::new(Wave::new("", RATES.0, &setup.samples(quarter), None)));
        collection.instruments[0].regions[0].sample =
            Some(WaveSample { unity_note: 54, fine_tune: 1, ..looped(0, TURN as u32) });
        collection
    };
    setup.play_collection(7000, collection)
}

fn at() -> usize {
    (AT * f64::from(RATES.1)) as usize
}

/// Returns 40 log10 of a part of 127, as attenuation.
fn concave(value: u8) -> f64 {
    40.0 * (127.0 / f64::from(value)).log10()
}

/// Returns the attack at this velocity, in seconds, when it is divided by this number.
fn attack(divisor: f64) -> f64 {
    0.4 * (-1200.0 * f64::from(VELOCITY) / divisor / 1200.0).exp2()
}

/// The specification's figures, and that they follow from its formulas.
#[test]
fn the_printed_terms_of_the_example_add_up_to_its_sums() {
    let near = |found: f64, printed: f64| close(found, printed, 0.001);
    // The oscillator, at three quarters of its turn: -1.
    let lfo = -(3.0 + f64::from(CC1) / 128.0);
    near(lfo, -3.195);
    // "219 ms" is rounded before it is used.
    let eg1 = 20.0 * (0.219 / AT).log10();
    near(eg1, 3.287);
    assert_eq!((attack(127.0) * 1000.0).round(), 219.0);
    near(concave(VELOCITY), 2.496);
    near(concave(CC7), 4.152);
    near(concave(CC11), 0.985);
    let mono = lfo + eg1 + concave(VELOCITY) + concave(CC7) + concave(CC11);
    near(mono, 7.725);
    let left = -10.0 * ((127.0 - f64::from(CC10)) / 127.0).log10();
    let right = -10.0 * (f64::from(CC10) / 127.0).log10();
    near(left, 3.878);
    near(right, 2.287);
    near(mono + left, 11.603);
    near(mono + right, 10.012);
    let eg2 = 30.0 * (1.0 - AT / 10.0);
    near(eg2, 29.55);
    let wheel = 200.0 * f64::from(WHEEL) / 8192.0;
    near(wheel, 8.911);
    let pitch = 6000.0 - 5400.0 + 1.0 + eg2 + wheel;
    near(pitch, 639.461);
    let ratio = (pitch / 1200.0).exp2();
    near(ratio, 1.447);
    near(ratio * f64::from(RATES.0) / f64::from(RATES.1), 0.997);
}

#[test]
fn pitch_equals_the_example() {
    let recording = play(&articulation(-1));
    // The tone's own pitch is taken at 48 kHz in the recording, and the recording is at 22.05 kHz.
    let resampled = 1200.0 * (f64::from(RATES.0) / f64::from(RATE)).log2();
    close(recording.cents(at(), 512) - resampled, 639.461, 0.05);
    // What one sees of it: the wave runs at 0.997 of its samples a frame.
    let step = (recording.cents(at(), 512) / 1200.0).exp2() * f64::from(RATE) / f64::from(RATES.1);
    close(step, 0.997, 0.0005);
}

#[test]
fn each_term_of_the_attenuation_equals_the_example() {
    let without = |changes: &[Connection]| play(&[&articulation(-1)[..], changes].concat()).decibels(at());
    let whole = without(&[]);
    // Each term is what its absence takes away.
    let no_tremolo = [row(s::LFO, s::NONE, d::GAIN, 0), row(s::LFO, s::CC1, d::GAIN, 0)];
    close(without(&no_tremolo) - whole, -3.195, 0.005);
    let no_velocity = [connection(s::VELOCITY, s::NONE, d::GAIN, LINEAR, 0)];
    close(without(&no_velocity) - whole, 2.496, 0.005);
    let no_volume = [connection(s::CC7, s::NONE, d::GAIN, LINEAR, 0)];
    close(without(&no_volume) - whole, 4.152, 0.005);
    let no_expression = [connection(s::CC11, s::NONE, d::GAIN, LINEAR, 0)];
    close(without(&no_expression) - whole, 0.985, 0.005);
    let no_attack = [row(s::NONE, s::NONE, d::EG1_ATTACK, 0x8000_0000)];
    // Without an attack the decay has begun: 96 dB in 5 s, shortened by the key.
    let decay = 5.0 * (-600.0 * f64::from(KEY) / 128.0 / 1200.0).exp2();
    let eg1 = without(&no_attack) - whole + 96.0 * AT / decay;
    close(eg1, 20.0 * (attack(128.0) / AT).log10(), 0.02);
    // The example has 3.287 here: it divides the velocity by 127, and rounds to whole milliseconds.
    close(eg1 - 3.287, 0.059, 0.02);
}

#[test]
fn attenuation_equals_the_example_and_the_sides_differ_by_the_pan_law() {
    let recording = play(&articulation(-1));
    // Both sides together, under a law of equal power, are the sum before pan; 0.059 dB is the attack's slip.
    let mono = -7.725 - 0.059;
    close(recording.decibels(at()), mono, 0.02);
    let side = |output| 20.0 * recording.output(at(), output).log10();
    // Level 2: the position is 50.8 % of CC10's 75 from its centre 64.
    let position = (f64::from(CC10) / 64.0 - 1.0) * 0.508;
    let angle = std::f64::consts::FRAC_PI_2 * (position + 0.5);
    close(side(0) - mono, 20.0 * angle.cos().log10(), 0.02);
    close(side(1) - mono, 20.0 * angle.sin().log10(), 0.02);
    // Level 1 has 3.878 and 2.287 dB: level 2's law is steeper here: 4.382 and 1.970.
    let (left, right) = (-20.0 * angle.cos().log10(), -20.0 * angle.sin().log10());
    close(left, 4.382, 0.001);
    close(right, 1.970, 0.001);
    close(side(0), -11.603 - 0.059 - (4.382 - 3.878), 0.03);
    close(side(1), -10.012 - 0.059 - (1.970 - 2.287), 0.03);
}

#[test]
fn the_signs_of_the_example_before_its_erratum_invert_the_tremolo() {
    // A file that was written by the text before the erratum: +3 dB are +3 dB.
    close(play(&articulation(1)).decibels(at()), -7.725 - 0.059 - 2.0 * 3.195, 0.02);
}
