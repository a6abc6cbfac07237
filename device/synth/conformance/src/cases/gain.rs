//! Gain: curves, sums, and the top.

use super::{curve, nth, seconds};
use crate::case::{Case, FIRST, KEY, T0};
use crate::dls::{Region, WaveSample, connection, constant, destination as d, source as s, transform as t};
use crate::expect::{Basis, Check, Output};
use crate::units::{cents, decibels, hertz, percent, seconds as time};

/// Distance of notes, and where in them the level is measured, in ms.
const DISTANCE: u32 = 300;
const MIDDLE: u32 = 130;

const VALUES: [u8; 9] = [127, 110, 100, 90, 64, 32, 16, 4, 1];

/// Makes the cases of this chapter.
pub(super) fn cases() -> Vec<Case> {
    vec![
        velocity(),
        velocity_off(),
        volume(),
        expression(),
        sum(),
        volume_in_a_note(),
        power_on(),
        top(),
        top_of_the_sum(),
        wave_gain(),
        region_gain(),
        silence(),
        worked_example(),
    ]
}

fn velocity() -> Case {
    let mut case = Case::new(
        "gain/velocity",
        "Velocity",
        "DLS-1, DLS-2.2: connection table, GAIN from velocity; DCA tolerance",
        "Without a connection of its own, velocity attenuates by 40 log10(velocity/127) dB, right to 0.25 dB down to -85 dB.",
    )
    .level_1();
    case.program(0, &[]);
    case.choose(0, 0);
    for (i, value) in VALUES.into_iter().enumerate() {
        let on = nth(i, DISTANCE);
        case.note(KEY, value, on, on + DISTANCE - 60);
        // As a component: the noise of 16 bits must not count.
        case.check(Check::steady(seconds(on + MIDDLE), curve(value)).component(0.0).of(format!("velocity {value}")));
    }
    case
}

fn velocity_off() -> Case {
    let mut case = Case::new(
        "gain/velocity-off",
        "Velocity without effect",
        "DLS-1, DLS-2.2: connection table, GAIN from velocity, 0 or -96 dB",
        "Velocity to GAIN with a scale of 0 plays all velocities at full level.",
    )
    .level_1();
    case.program(0, &[connection(s::VELOCITY, s::NONE, d::GAIN, t::INVERT | t::CONCAVE, 0)]);
    case.choose(0, 0);
    for (i, value) in [64, 1].into_iter().enumerate() {
        let on = nth(i, DISTANCE);
        case.note(KEY, value, on, on + DISTANCE - 60);
        case.check(Check::steady(seconds(on + MIDDLE), 0.0).of(format!("velocity {value}")));
    }
    case
}

fn by_controller(mut case: Case, controller: u8) -> Case {
    case.program(0, &[]);
    case.choose(0, 0);
    for (i, value) in VALUES.into_iter().enumerate() {
        let on = nth(i, DISTANCE);
        case.control(on - 30, controller, value);
        case.note(KEY, 127, on, on + DISTANCE - 60);
        let check = Check::steady(seconds(on + MIDDLE), curve(value)).component(0.0);
        case.check(check.of(format!("CC{controller} = {value}")));
    }
    let on = nth(VALUES.len(), DISTANCE);
    case.control(on - 30, controller, 0);
    case.note(KEY, 127, on, on + DISTANCE - 60);
    case.check(Check::below(seconds(on + 50), seconds(on + 200), -90.0).of(format!("CC{controller} = 0")));
    case
}

fn volume() -> Case {
    let case = Case::new(
        "gain/volume",
        "Channel volume",
        "DLS-1, DLS-2.2: connection table, GAIN from CC7",
        "CC7 attenuates by 40 log10(value/127) dB, 0 silences.",
    );
    by_controller(case.level_1(), 7)
}

fn expression() -> Case {
    let case = Case::new(
        "gain/expression",
        "Expression",
        "DLS-1, DLS-2.2: connection table, GAIN from CC11",
        "CC11 attenuates by 40 log10(value/127) dB, 0 silences.",
    );
    by_controller(case.level_1(), 11)
}

fn sum() -> Case {
    let mut case = Case::new(
        "gain/sum",
        "Velocity, volume and expression together",
        "DLS-1, DLS-2.2: connection table, GAIN",
        "What attenuates adds up in dB.",
    )
    .level_1();
    case.program(0, &[]);
    case.choose(0, 0);
    case.control(500, 7, 90);
    case.control(500, 11, 70);
    case.note(KEY, 100, FIRST, FIRST + 300);
    case.check(Check::steady(T0 + 0.15, curve(90) + curve(70) + curve(100)));
    case
}

fn volume_in_a_note() -> Case {
    let mut case = Case::new(
        "gain/volume-while-sounding",
        "Volume while a note sounds",
        "DLS-1, DLS-2.2: CC7",
        "Notes that sound follow the volume.",
    )
    .level_1();
    case.program(0, &[]);
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 900);
    case.control(FIRST + 300, 7, 64);
    case.control(FIRST + 600, 7, 127);
    case.check(Check::steady(T0 + 0.15, 0.0));
    case.check(Check::steady(T0 + 0.45, curve(64)));
    case.check(Check::steady(T0 + 0.75, 0.0));
    case
}

fn power_on() -> Case {
    let mut case = Case::new(
        "gain/power-on",
        "The state at power-on",
        "DLS-1, DLS-2.2: power-on state",
        "At power-on volume is 100, expression 127, pan 64, and wheel and tuning are at rest.",
    )
    .level_1()
    .untouched();
    case.program(0, &[]);
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 300);
    let at = T0 + 0.15;
    case.check(Check::steady(at, curve(100)));
    case.check(Check::steady(at, curve(100) - 3.0103).at_output(Output::Left));
    case.check(Check::steady(at, curve(100) - 3.0103).at_output(Output::Right));
    case.check(Check::pitch(at, 0.0));
    case
}

fn top() -> Case {
    let mut case = Case::new(
        "gain/top",
        "Nothing amplifies",
        "DLS-2.2: DCA, highest gain of 0 dB",
        "The sum of all gains ends at 0 dB: an oscillator that adds 12 dB to a note at full level takes away only.",
    );
    case.program(
        0,
        &[constant(d::LFO_FREQUENCY, hertz(2.0)), connection(s::LFO, s::NONE, d::GAIN, t::BIPOLAR, decibels(12.0))],
    );
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 1300);
    case.checks(Check::levels(T0 + 0.1, T0 + 1.2, (-12.0, 0.0), 0.5));
    case
}

fn top_of_the_sum() -> Case {
    let mut case = Case::new(
        "gain/top-of-the-sum",
        "The top holds for the sum",
        "DLS-2.2: DCA, highest gain of 0 dB",
        "Gains are added before the sum is held at 0 dB: with a volume of -11.9 dB there is room for 12 dB more.",
    );
    case.program(
        0,
        &[constant(d::LFO_FREQUENCY, hertz(2.0)), connection(s::LFO, s::NONE, d::GAIN, t::BIPOLAR, decibels(12.0))],
    );
    case.choose(0, 0);
    case.control(500, 7, 64);
    case.note(KEY, 127, FIRST, FIRST + 1300);
    case.checks(Check::levels(T0 + 0.1, T0 + 1.2, (curve(64) - 12.0, 0.0), 0.5));
    case
}

fn wave_gain() -> Case {
    let mut case = Case::new(
        "gain/wave",
        "A wave's gain",
        "DLS-1 (erratum on attenuation), DLS-2.2: wsmp",
        "A negative gain in a wave's wsmp attenuates.",
    )
    .level_1();
    let sample = WaveSample { gain: decibels(-12.0), ..WaveSample::default() };
    let wave = case.wave(crate::dls::Wave { sample: Some(sample), ..crate::dls::Wave::default() });
    case.program(0, &[]).regions[0].wave = wave;
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 300);
    case.check(Check::steady(T0 + 0.15, -12.0));
    case
}

fn region_gain() -> Case {
    let mut case = Case::new(
        "gain/region",
        "A region's gain replaces the wave's",
        "DLS-1, DLS-2.2: wsmp of a region",
        "A region's wsmp replaces the wave's whole: gains do not add.",
    )
    .level_1();
    let gain = |gain| WaveSample { gain: decibels(gain), ..WaveSample::default() };
    let wave = case.wave(crate::dls::Wave { sample: Some(gain(-12.0)), ..crate::dls::Wave::default() });
    let instrument = case.program(0, &[]);
    instrument.regions[0] = Region { wave, sample: Some(gain(-5.0)), ..instrument.regions[0].clone() };
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 300);
    case.check(Check::steady(T0 + 0.15, -5.0));
    case
}

fn silence() -> Case {
    let mut case =
        Case::new("gain/silence", "A gain of 0x80000000", "DLS-1: gain units", "A gain of 0x80000000 is silence.")
            .basis(Basis::Optional)
            .level_1();
    let sample = WaveSample { gain: i32::MIN, ..WaveSample::default() };
    case.program(0, &[]).regions[0].sample = Some(sample);
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 300);
    case.check(Check::silent(T0, T0 + 0.3));
    case
}

/// When the worked example is looked at, in seconds after note-on.
const EXAMPLE_AT: f64 = 0.150;

fn worked_example() -> Case {
    let mut case = Case::new(
        "gain/worked-example",
        "Level 1's worked example",
        "DLS-1 v1.1b: the example of an articulation, at 150 ms",
        "Velocity 110, volume 100, expression 120, the attack and the oscillator add up to -7.725 dB, and the pitch to \
         639.461 cents.",
    )
    .basis(Basis::Required)
    .level_1();
    // The example's oscillator stands at -3.195 dB of attenuation, its attack at 150 ms of 219 ms: 3.287 dB. How the
    // oscillator gets there depends on whether it is a sine or a triangle, which is free: here its first top is there.
    let top = 0.25 / (EXAMPLE_AT - 0.010);
    case.program(
        0,
        &[
            constant(d::EG1_ATTACK, time(0.4)),
            connection(s::VELOCITY, s::NONE, d::EG1_ATTACK, 0, cents(-1200.0)),
            constant(d::EG1_SUSTAIN, percent(100.0)),
            constant(d::LFO_FREQUENCY, hertz(top)),
            constant(d::LFO_DELAY, time(0.010)),
            connection(s::LFO, s::NONE, d::GAIN, t::BIPOLAR, decibels(3.195)),
            connection(s::LFO, s::NONE, d::PITCH, t::BIPOLAR, cents(39.461)),
        ],
    );
    case.choose(0, 0);
    case.control(500, 7, 100);
    case.control(500, 11, 120);
    case.note(KEY + 6, 110, FIRST, FIRST + 500);
    let at = T0 + EXAMPLE_AT;
    case.check(Check::level(at, -7.725).of("all gains but pan"));
    case.check(Check::moving_pitch(at, 639.461, 1.0).of("key and oscillator"));
    case
}
