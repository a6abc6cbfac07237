//! The resonant low-pass filter. Any topology may pass: what counts is the response, against the measurement prototype.

use super::{nth, seconds};
use crate::case::{Case, FIRST, KEY, T0};
use crate::dls::{Connection, RATE, TURN, connection, constant, destination as d, source as s, transform as t};
use crate::expect::{Check, What};
use crate::prototype::Prototype;
use crate::units::{OPEN, cents, decibels, hertz};

/// Tolerances of the response: at DC, and elsewhere, in dB.
const AT_DC: f64 = 0.75;
const ELSEWHERE: f64 = 1.5;

/// Where DC is measured: two octaves below the lowest cutoff, in Hz.
const DC: f64 = 40.0;

/// Distance of impulse notes, in ms.
const DISTANCE: u32 = 400;

/// The key of the tone that the moving filter is measured with, and its frequency.
const TONE_KEY: u8 = KEY + 24;
const TONE: f64 = 4.0 * RATE as f64 / TURN as f64;

/// Makes the cases of this chapter.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![cutoff(), response(), resonance(), open(), beyond_nyquist()];
    cases.extend([sweep(), velocity(), key(), eg2(), lfo(), lfo_by(s::CC1), lfo_by(s::PRESSURE)]);
    cases
}

fn filter(cutoff: f64, resonance: f64) -> [Connection; 2] {
    [constant(d::FILTER_CUTOFF, hertz(cutoff)), constant(d::FILTER_Q, decibels(resonance))]
}

fn prototype(cutoff: f64, resonance: f64) -> Prototype {
    Prototype::new(cutoff, resonance, f64::from(RATE))
}

fn impulse(case: &mut Case, index: usize, rows: &[Connection]) -> f64 {
    let on = nth(index, DISTANCE);
    case.program(index as u8, rows);
    case.choose(on - 20, index as u8);
    case.note(KEY, 127, on, on + DISTANCE - 60);
    seconds(on)
}

fn cutoff() -> Case {
    let mut case = Case::of_impulses(
        "filter/cutoff",
        "Cutoff",
        "DLS-2.2: low-pass filter; connection table, FILTER_CUTOFF, 200 Hz to 8 kHz",
        "The cutoff, as the measurement prototype defines it, is right within a semitone; without resonance DC passes.",
    );
    for (i, cutoff) in [200.0, 800.0, 3200.0, 7000.0].into_iter().enumerate() {
        let at = impulse(&mut case, i, &filter(cutoff, 0.0));
        case.check(Check::cutoff(at, cutoff, 0.0).of(format!("{cutoff} Hz")));
        case.check(Check::response(at, DC, 0.0, AT_DC).of(format!("{cutoff} Hz, DC")));
    }
    case
}

fn response() -> Case {
    let mut case = Case::of_impulses(
        "filter/response",
        "The response",
        "DLS-2.2: low-pass filter, measurement prototype and its tolerances",
        "The response is that of two poles: within 0.75 dB at DC and 1.5 dB elsewhere.",
    );
    for (i, (cutoff, q)) in [(1000.0, 0.0), (1000.0, 6.0), (3000.0, 12.0)].into_iter().enumerate() {
        let at = impulse(&mut case, i, &filter(cutoff, q));
        let prototype = prototype(cutoff, q);
        for octave in [-2.0, -1.0, 0.0, 1.0, 1.3] {
            let frequency = cutoff * libm::exp2(octave);
            let check = Check::response(at, frequency, prototype.decibels(frequency), ELSEWHERE);
            case.check(check.of(format!("{cutoff} Hz, {q} dB, at {} Hz", frequency.round())));
        }
    }
    case
}

fn resonance() -> Case {
    let mut case = Case::of_impulses(
        "filter/resonance",
        "Resonance",
        "DLS-2.2: low-pass filter; connection table, FILTER_Q, 0 to 22.5 dB",
        "Resonance is the height of the peak over DC; DC is lowered by half of it.",
    );
    for (i, q) in [3.0, 6.0, 12.0, 22.5].into_iter().enumerate() {
        let at = impulse(&mut case, i, &filter(1500.0, q));
        case.check(Check::response(at, DC, -q / 2.0, AT_DC).of(format!("{q} dB, DC")));
        case.check(Check::peak(at, 1500.0, q / 2.0, ELSEWHERE).of(format!("{q} dB, peak")));
    }
    case
}

fn flat(case: &mut Case, at: f64, note: &str) {
    for frequency in [DC, 1000.0, 5000.0, 12_000.0] {
        case.check(Check::response(at, frequency, 0.0, 0.5).of(format!("{note}, at {frequency} Hz")));
    }
}

fn open() -> Case {
    let mut case = Case::of_impulses(
        "filter/open",
        "No filter at first",
        "DLS-2.2: connection table, FILTER_CUTOFF, default 0x7FFFFFFF",
        "Without a cutoff, or with 0x7FFFFFFF, nothing is filtered, whatever the resonance.",
    );
    let at = impulse(&mut case, 0, &[constant(d::FILTER_Q, decibels(20.0))]);
    flat(&mut case, at, "resonance only");
    let at = impulse(&mut case, 1, &[constant(d::FILTER_CUTOFF, OPEN), constant(d::FILTER_Q, decibels(20.0))]);
    flat(&mut case, at, "0x7FFFFFFF");
    case
}

fn beyond_nyquist() -> Case {
    let mut case = Case::of_impulses(
        "filter/beyond-nyquist",
        "A cutoff above all that is heard",
        "DLS-2.2: low-pass filter, cutoff above half the output rate",
        "A cutoff above half the output rate filters nothing, whatever the resonance.",
    );
    let at = impulse(&mut case, 0, &filter(24_000.0, 20.0));
    flat(&mut case, at, "24 kHz, 20 dB");
    case
}

fn sweep() -> Case {
    let mut case = Case::new(
        "filter/sweep",
        "A sweep through all cutoffs",
        "DLS-2.2: low-pass filter, sweeps beyond the highest cutoff",
        "A resonant filter that is swept from 200 Hz to beyond what it supports lets the tone through when its peak passes, \
         and does nothing worse.",
    );
    let q = 12.0;
    let row = connection(s::EG2, s::NONE, d::FILTER_CUTOFF, 0, cents(9000.0));
    // The decay is linear in all devices; the sweep goes down.
    let rows = [
        constant(d::FILTER_CUTOFF, hertz(200.0)),
        constant(d::FILTER_Q, decibels(q)),
        constant(d::EG2_DECAY, crate::units::seconds(2.0)),
        constant(d::EG2_SUSTAIN, 0),
        row,
    ];
    case.program(0, &rows);
    case.choose(0, 0);
    case.note(TONE_KEY, 127, FIRST, FIRST + 2200);
    // Half of the resonance is what the peak may reach, and 3 dB what a sweep may make of it.
    case.check(Check::below(T0 + 0.05, T0 + 2.1, q / 2.0 + 3.0).of("at most"));
    let peak = Check::levels(T0 + 0.8, T0 + 1.8, (0.0, q / 2.0), 3.0);
    case.checks(peak.into_iter().filter(|check| check.what == What::HighestLevel).map(|check| check.of("the peak")));
    case.check(Check::steady(T0 + 2.15, prototype(200.0, q).decibels(TONE)).within(3.0).of("its end"));
    case
}

/// Makes a case of tones through a filter that something moves.
fn moved(id: &'static str, title: &'static str, rule: &'static str) -> Case {
    Case::new(id, title, "DLS-2.2: connection table, FILTER_CUTOFF", rule)
}

fn tone(case: &mut Case, on: u32, key: u8, velocity: u8, cutoff: f64, attenuation: f64, note: String) {
    case.note(key, velocity, on, on + 340);
    let expected = prototype(cutoff, 0.0).decibels(TONE * libm::exp2((f64::from(key) - f64::from(TONE_KEY)) / 12.0));
    case.check(Check::steady(seconds(on + 180), expected + attenuation).within(ELSEWHERE).of(note));
}

fn velocity() -> Case {
    let mut case =
        moved("filter/velocity", "Velocity to cutoff", "Velocity moves the cutoff by its scale times velocity/128.");
    let flat = connection(s::VELOCITY, s::NONE, d::GAIN, t::INVERT | t::CONCAVE, 0);
    let row = connection(s::VELOCITY, s::NONE, d::FILTER_CUTOFF, 0, cents(-4800.0));
    case.program(0, &[&filter(4000.0, 0.0)[..], &[flat, row]].concat());
    case.choose(0, 0);
    for (i, value) in [1u8, 32, 64].into_iter().enumerate() {
        let cutoff = 4000.0 * libm::exp2(-4.0 * f64::from(value) / 128.0);
        tone(&mut case, nth(i, 400), TONE_KEY, value, cutoff, 0.0, format!("velocity {value}"));
    }
    case
}

fn key() -> Case {
    let mut case = moved("filter/key", "Key to cutoff", "The key moves the cutoff by its scale times key/128.");
    let row = connection(s::KEY, s::NONE, d::FILTER_CUTOFF, 0, cents(-4800.0));
    case.program(0, &[&filter(8000.0, 0.0)[..], &[row]].concat());
    case.choose(0, 0);
    for (i, key) in [60u8, 72, 84].into_iter().enumerate() {
        let cutoff = 8000.0 * libm::exp2(-4.0 * f64::from(key) / 128.0);
        tone(&mut case, nth(i, 400), key, 127, cutoff, 0.0, format!("key {key}"));
    }
    case
}

fn eg2() -> Case {
    let mut case = moved(
        "filter/eg2",
        "Modulation envelope to cutoff",
        "The modulation envelope moves the cutoff by up to its scale, linearly in cents.",
    );
    let row = connection(s::EG2, s::NONE, d::FILTER_CUTOFF, 0, cents(-3600.0));
    let attack = constant(d::EG2_ATTACK, crate::units::seconds(0.9));
    case.program(0, &[&filter(4000.0, 0.0)[..], &[row, attack]].concat());
    case.choose(0, 0);
    case.note(TONE_KEY, 127, FIRST, FIRST + 1300);
    for (after, octaves) in [(0.3, -1.0), (0.6, -2.0), (1.1, -3.0)] {
        let expected = prototype(4000.0 * libm::exp2(octaves), 0.0).decibels(TONE);
        case.check(Check::level(T0 + after, expected).within(ELSEWHERE).of(format!("{octaves} octaves")));
    }
    case
}

/// Returns the levels of the tone when an oscillator moves the cutoff by so many octaves around 1.6 kHz.
fn swing(case: &mut Case, from: f64, octaves: f64, note: &str) {
    let [low, high] = [-octaves, octaves].map(|o| prototype(1600.0 * libm::exp2(o), 0.0).decibels(TONE));
    let checks = Check::levels(T0 + from, T0 + from + 0.42, (low, high), ELSEWHERE);
    case.checks(checks.map(|check| check.of(note)));
}

fn lfo() -> Case {
    let mut case = moved(
        "filter/lfo",
        "Modulation oscillator to cutoff",
        "The modulation oscillator moves the cutoff up and down by its scale.",
    );
    let row = connection(s::LFO, s::NONE, d::FILTER_CUTOFF, t::BIPOLAR, cents(1200.0));
    case.program(0, &[&filter(1600.0, 0.0)[..], &[row]].concat());
    case.choose(0, 0);
    case.note(TONE_KEY, 127, FIRST, FIRST + 700);
    swing(&mut case, 0.1, 1.0, "one octave");
    let top = prototype(3200.0, 0.0).decibels(TONE);
    case.check(Check::level(T0 + 0.06, top).within(ELSEWHERE).of("upwards first"));
    case
}

fn lfo_by(control: u16) -> Case {
    let (id, title) = if control == s::CC1 {
        ("filter/lfo-by-wheel", "The wheel opens the modulation oscillator to cutoff")
    } else {
        ("filter/lfo-by-pressure", "Pressure opens the modulation oscillator to cutoff")
    };
    let mut case = moved(id, title, "The oscillator's depth is the scale times the control's value/128.");
    let row = connection(s::LFO, control, d::FILTER_CUTOFF, t::BIPOLAR, cents(2400.0));
    case.program(0, &[&filter(1600.0, 0.0)[..], &[row]].concat());
    case.choose(0, 0);
    case.note(TONE_KEY, 127, FIRST, FIRST + 1200);
    let message = if control == s::CC1 { vec![0xB0, 1, 64] } else { vec![0xD0, 64] };
    case.score.at(FIRST + 500, &message);
    swing(&mut case, 0.05, 0.0, "control at 0");
    swing(&mut case, 0.6, 1.0, "control at 64");
    case
}
