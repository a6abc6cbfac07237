//! Both low-frequency oscillators. They may be sines or triangles: only what both have in common is measured.

use super::{curve, nth, seconds};
use crate::case::{Case, FIRST, KEY, T0};
use crate::dls::{Connection, connection, constant, destination as d, source as s, transform as t};
use crate::expect::Check;
use crate::units::{cents, decibels, hertz, seconds as time};

/// Depth of all pitch modulation, in cents.
const DEPTH: f64 = 100.0;
/// Depth of all gain modulation, in dB.
const DEPTH_DB: f64 = 6.0;
/// Tolerances: what steps of 5.8 ms leave of the tip of a triangle of 5 Hz.
const CENTS: f64 = 6.0;
const DB: f64 = 0.5;

fn pitch_row(source: u16, control: u16) -> Connection {
    connection(source, control, d::PITCH, t::BIPOLAR, cents(DEPTH))
}

/// Makes the cases of this chapter.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![defaults(s::LFO), defaults(s::VIBRATO)];
    for source in [s::LFO, s::VIBRATO] {
        cases.extend([frequency(source), slow(source), delay(source)]);
    }
    cases.extend([
        by_control("lfo/wheel-to-pitch", "The wheel opens the modulation oscillator to pitch", s::LFO, s::CC1),
        by_control("lfo/pressure-to-pitch", "Pressure opens the modulation oscillator to pitch", s::LFO, s::PRESSURE),
        by_control("vibrato/wheel-to-pitch", "The wheel opens the vibrato", s::VIBRATO, s::CC1),
        by_control("vibrato/pressure-to-pitch", "Pressure opens the vibrato", s::VIBRATO, s::PRESSURE),
        gain(),
        gain_by_control("lfo/wheel-to-gain", "The wheel opens the modulation oscillator to gain", s::CC1),
        gain_by_control("lfo/pressure-to-gain", "Pressure opens the modulation oscillator to gain", s::PRESSURE),
        both(),
        anew(),
        delay_longest(),
        inverted(s::LFO),
        inverted(s::VIBRATO),
        unconnected(),
    ]);
    cases
}

fn defaults(source: u16) -> Case {
    let (id, title) = if source == s::LFO {
        ("lfo/defaults", "Modulation oscillator: 5 Hz after 10 ms")
    } else {
        ("vibrato/defaults", "Vibrato oscillator: 5 Hz after 10 ms")
    };
    let mut case = Case::new(
        id,
        title,
        "DLS-1, DLS-2.2: connection table, default frequency and delay",
        "Without connections of its own an oscillator has 5 Hz and begins upwards from the middle after 10 ms.",
    );
    if source == s::LFO {
        case = case.level_1();
    }
    case.program(0, &[pitch_row(source, s::NONE)]);
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 4300);
    case.check(Check::moving_pitch(T0 + 0.06, DEPTH, CENTS).of("first top"));
    case.check(Check::moving_pitch(T0 + 0.16, -DEPTH, CENTS).of("first bottom"));
    case.checks(Check::pitches(T0 + 0.1, T0 + 1.1, (-DEPTH, DEPTH), CENTS));
    case.check(Check::pitch_rate(T0 + 0.1, T0 + 4.2, 5.0));
    case
}

fn destinations(source: u16) -> (u16, u16) {
    if source == s::LFO { (d::LFO_FREQUENCY, d::LFO_DELAY) } else { (d::VIB_FREQUENCY, d::VIB_DELAY) }
}

fn frequency(source: u16) -> Case {
    let (id, title) = if source == s::LFO {
        ("lfo/frequency", "Modulation oscillator: frequency")
    } else {
        ("vibrato/frequency", "Vibrato oscillator: frequency")
    };
    let mut case = Case::new(
        id,
        title,
        "DLS-1, DLS-2.2: connection table, LFO_FREQ, VIB_FREQ; LFO tolerance",
        "An oscillator's frequency can be set, to 10 Hz in level 1 and 20 Hz in level 2, right to 1 % over 100 turns.",
    );
    let fast = if source == s::LFO { 10.0 } else { 20.0 };
    if source == s::LFO {
        case = case.level_1();
    }
    case.program(0, &[constant(destinations(source).0, hertz(fast)), pitch_row(source, s::NONE)]);
    case.program(1, &[constant(destinations(source).0, hertz(1.0)), pitch_row(source, s::NONE)]);
    case.choose(0, 0);
    let long = (100_000.0 / fast) as u32 + 300;
    case.note(KEY, 127, FIRST, FIRST + long);
    case.check(Check::pitch_rate(T0 + 0.1, T0 + seconds(long - 50), fast).of("100 turns"));
    let on = FIRST + long + 100;
    case.choose(on - 20, 1);
    case.note(KEY, 127, on, on + 4300);
    case.check(Check::pitch_rate(seconds(on + 100), seconds(on + 4250), 1.0).of("4 turns"));
    case.checks(Check::pitches(seconds(on + 100), seconds(on + 1200), (-DEPTH, DEPTH), 1.0));
    case
}

fn slow(source: u16) -> Case {
    let (id, title) = if source == s::LFO {
        ("lfo/slowest", "Modulation oscillator: the lowest frequency")
    } else {
        ("vibrato/slowest", "Vibrato oscillator: the lowest frequency")
    };
    let mut case = Case::new(
        id,
        title,
        "DLS-1, DLS-2.2: connection table, LFO_FREQ, VIB_FREQ, range",
        "An oscillator can be as slow as 0.1 Hz: its top comes after 2.5 s, its middle after 5 s.",
    );
    if source == s::LFO {
        case = case.level_1();
    }
    case.program(0, &[constant(destinations(source).0, hertz(0.1)), pitch_row(source, s::NONE)]);
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 5200);
    case.check(Check::moving_pitch(T0 + 2.51, DEPTH, 1.0).of("top"));
    case.check(Check::moving_pitch(T0 + 5.01, 0.0, 2.0).of("middle"));
    case
}

fn delay(source: u16) -> Case {
    let (id, title) = if source == s::LFO {
        ("lfo/delay", "Modulation oscillator: delay")
    } else {
        ("vibrato/delay", "Vibrato oscillator: delay")
    };
    let mut case = Case::new(
        id,
        title,
        "DLS-1, DLS-2.2: connection table, LFO_DELAY, VIB_DELAY",
        "An oscillator stands in the middle for its delay, then begins upwards, without a step.",
    );
    if source == s::LFO {
        case = case.level_1();
    }
    case.program(0, &[constant(destinations(source).1, time(0.5)), pitch_row(source, s::NONE)]);
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 1000);
    case.checks(Check::still(T0 + 0.03, T0 + 0.475, 0.0));
    case.check(Check::moving_pitch(T0 + 0.55, DEPTH, CENTS).of("first top"));
    case.check(Check::moving_pitch(T0 + 0.65, -DEPTH, CENTS).of("first bottom"));
    case
}

/// Sets the value of a control on channel 1.
fn set(case: &mut Case, at: u32, control: u16, value: u8) {
    if control == s::CC1 { case.control(at, 1, value) } else { case.score.at(at, &[0xD0, value]) }
}

fn by_control(id: &'static str, title: &'static str, source: u16, control: u16) -> Case {
    let mut case = Case::new(
        id,
        title,
        "DLS-1 (modulation wheel), DLS-2.2: connection table, PITCH from LFO or VIBRATO by CC1 or channel pressure",
        "The oscillator's depth is the scale times the control's value/128.",
    );
    if source == s::LFO && control == s::CC1 {
        case = case.level_1();
    }
    case.program(0, &[pitch_row(source, control)]);
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 1700);
    set(&mut case, FIRST + 500, control, 64);
    set(&mut case, FIRST + 1000, control, 127);
    for (from, value) in [(0.05, 0.0), (0.55, 64.0), (1.05, 127.0)] {
        let depth = DEPTH * value / 128.0;
        let checks = Check::pitches(T0 + from, T0 + from + 0.42, (-depth, depth), CENTS);
        case.checks(checks.map(|check| check.of(format!("control at {value}"))));
    }
    case
}

fn gain_row(control: u16) -> Connection {
    connection(s::LFO, control, d::GAIN, t::BIPOLAR, decibels(DEPTH_DB))
}

fn gain() -> Case {
    let mut case = Case::new(
        "lfo/gain",
        "Modulation oscillator to gain",
        "DLS-1, DLS-2.2: connection table, GAIN from LFO, bipolar since 2.1",
        "A positive scale makes the first half turn louder and the second softer, by the same number of dB.",
    );
    case.program(0, &[gain_row(s::NONE)]);
    case.choose(0, 0);
    case.control(500, 7, 64);
    case.note(KEY, 127, FIRST, FIRST + 4300);
    case.check(Check::level(T0 + 0.06, curve(64) + DEPTH_DB).of("first half turn"));
    case.check(Check::level(T0 + 0.16, curve(64) - DEPTH_DB).of("second half turn"));
    case.checks(Check::levels(T0 + 0.1, T0 + 1.1, (curve(64) - DEPTH_DB, curve(64) + DEPTH_DB), DB));
    case.check(Check::level_rate(T0 + 0.1, T0 + 4.2, 5.0));
    case
}

fn gain_by_control(id: &'static str, title: &'static str, control: u16) -> Case {
    let mut case = Case::new(
        id,
        title,
        "DLS-1 (modulation wheel), DLS-2.2: connection table, GAIN from LFO by CC1 or channel pressure",
        "The oscillator's depth in dB is the scale times the control's value/128.",
    );
    case.program(0, &[gain_row(control)]);
    case.choose(0, 0);
    case.control(500, 7, 64);
    case.note(KEY, 127, FIRST, FIRST + 1700);
    set(&mut case, FIRST + 500, control, 64);
    set(&mut case, FIRST + 1000, control, 127);
    for (from, value) in [(0.05, 0.0), (0.55, 64.0), (1.05, 127.0)] {
        let depth = DEPTH_DB * value / 128.0;
        let checks = Check::levels(T0 + from, T0 + from + 0.42, (curve(64) - depth, curve(64) + depth), DB);
        case.checks(checks.map(|check| check.of(format!("control at {value}"))));
    }
    case
}

fn both() -> Case {
    let mut case = Case::new(
        "lfo/both",
        "Two oscillators at once",
        "DLS-2.2: architecture, modulation LFO and vibrato LFO",
        "The modulation and the vibrato oscillator run side by side, each with its frequency.",
    );
    case.program(
        0,
        &[
            constant(d::LFO_FREQUENCY, hertz(2.0)),
            constant(d::VIB_FREQUENCY, hertz(7.0)),
            gain_row(s::NONE),
            pitch_row(s::VIBRATO, s::NONE),
        ],
    );
    case.choose(0, 0);
    case.control(500, 7, 64);
    case.note(KEY, 127, FIRST, FIRST + 3200);
    case.check(Check::level_rate(T0 + 0.1, T0 + 3.1, 2.0).of("gain"));
    case.check(Check::pitch_rate(T0 + 0.1, T0 + 3.1, 7.0).of("pitch"));
    case.checks(Check::levels(T0 + 0.1, T0 + 1.1, (curve(64) - DEPTH_DB, curve(64) + DEPTH_DB), DB));
    case.checks(Check::pitches(T0 + 0.1, T0 + 1.1, (-DEPTH, DEPTH), 5.0));
    case
}

fn anew() -> Case {
    let mut case = Case::new(
        "lfo/each-note",
        "Every note begins its oscillator anew",
        "DLS-1, DLS-2.2: LFO",
        "An oscillator begins with its note, not with the device.",
    )
    .level_1();
    case.program(0, &[pitch_row(s::LFO, s::NONE)]);
    case.choose(0, 0);
    for i in 0..3 {
        let on = nth(i, 437);
        case.note(KEY, 127, on, on + 300);
        case.check(Check::moving_pitch(seconds(on + 60), DEPTH, CENTS).of(format!("top of note {}", i + 1)));
        case.check(Check::moving_pitch(seconds(on + 160), -DEPTH, CENTS).of(format!("bottom of note {}", i + 1)));
    }
    case
}

fn delay_longest() -> Case {
    let mut case = Case::new(
        "lfo/delay-longest",
        "The longest delay",
        "DLS-1, DLS-2.2: connection table, LFO_DELAY, range to 10 s",
        "An oscillator can wait for 10 s.",
    )
    .level_1();
    case.program(0, &[constant(d::LFO_DELAY, time(10.0)), pitch_row(s::LFO, s::NONE)]);
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 10_400);
    case.checks(Check::still(T0 + 9.0, T0 + 9.95, 0.0));
    case.check(Check::moving_pitch(T0 + 10.05, DEPTH, CENTS).of("first top"));
    case
}

fn inverted(source: u16) -> Case {
    let (id, title) = if source == s::LFO {
        ("lfo/negative", "Modulation oscillator: a negative depth")
    } else {
        ("vibrato/negative", "Vibrato oscillator: a negative depth")
    };
    let mut case = Case::new(
        id,
        title,
        "DLS-1, DLS-2.2: connection table, PITCH from LFO, PITCH from VIBRATO, -1200 to 1200 cents",
        "A negative scale turns an oscillator upside down; an octave is not too much.",
    );
    if source == s::LFO {
        case = case.level_1();
    }
    case.program(0, &[connection(source, s::NONE, d::PITCH, t::BIPOLAR, cents(-1200.0))]);
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 400);
    case.check(Check::moving_pitch(T0 + 0.06, -1200.0, 72.0).of("first half turn"));
    case.check(Check::moving_pitch(T0 + 0.16, 1200.0, 72.0).of("second half turn"));
    case
}

fn unconnected() -> Case {
    let mut case = Case::new(
        "lfo/unconnected",
        "No modulation unless connected",
        "DLS-1, DLS-2.2: connection table, default scales of 0",
        "Without connections the modulation wheel and channel pressure change neither pitch nor level.",
    )
    .level_1();
    case.program(0, &[]);
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 1200);
    case.control(FIRST + 200, 1, 127);
    case.score.at(FIRST + 700, &[0xD0, 127]);
    for (from, note) in [(0.3, "wheel at 127"), (0.8, "and pressure at 127")] {
        let pitches = Check::still(T0 + from, T0 + from + 0.3, 0.0);
        let levels = Check::levels(T0 + from, T0 + from + 0.3, (0.0, 0.0), 0.25);
        case.checks(pitches.into_iter().chain(levels).map(|check| check.of(note)));
    }
    case
}
