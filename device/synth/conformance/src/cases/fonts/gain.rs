//! Gain and pan.

use super::{About, DISTANCE, LENGTH, MIDDLE, NONE, VELOCITY_TO_ATTENUATION, font, nth, play_velocities, seconds};
use crate::case::{Case, KEY, curve};
use crate::expect::{Basis, Check, Output};
use crate::font::{Generator, Modulator, generator as g};

/// Makes the cases of this chapter.
pub(super) fn cases() -> Vec<Case> {
    let (velocity, attenuation) = VELOCITY_TO_ATTENUATION;
    vec![
        steady(
            (
                "sf2-gain/attenuation",
                "Attenuation",
                "8.1.2, 48 initialAttenuation",
                "60 is 6 dB below full level: a unit is a tenth of a decibel.",
            ),
            &[(&[(g::ATTENUATION, 60)], &[], -6.0), (&[(g::ATTENUATION, 200)], &[], -20.0)],
        ),
        steady(
            (
                "sf2-gain/attenuation-sum",
                "Attenuations add up",
                "9.4; 8.1.2, 48 initialAttenuation",
                "A preset's attenuation is added to the instrument's.",
            ),
            &[
                (&[(g::ATTENUATION, 100)], &[(g::ATTENUATION, 50)], -15.0),
                (&[(g::ATTENUATION, 100)], &[(g::ATTENUATION, -40)], -6.0),
            ],
        ),
        steady(
            (
                "sf2-gain/attenuation-below-none",
                "An attenuation below none",
                "8.1.3, 48 initialAttenuation",
                "Nothing is louder than full level: the least attenuation is 0.",
            ),
            &[(&[(g::ATTENUATION, -100)], &[], 0.0), (&[(g::ATTENUATION, 60)], &[(g::ATTENUATION, -200)], 0.0)],
        )
        .basis(Basis::Optional),
        velocities(
            (
                "sf2-gain/velocity",
                "Velocity",
                "8.4.1, velocity to attenuation",
                "Velocity attenuates by a negative concave curve over 96 dB.",
            ),
            &[],
            &[],
            &[(127, 0.0), (100, curve(100)), (64, curve(64)), (32, curve(32)), (8, curve(8))],
        ),
        velocities(
            (
                "sf2-gain/velocity-removed",
                "Velocity without effect",
                "8.4; 9.5.1",
                "A zone's modulator takes the place of an identical default one, of an amount of 0 too.",
            ),
            &[],
            &[Modulator(velocity, attenuation, 0, NONE, 0)],
            &[(127, 0.0), (64, 0.0), (10, 0.0)],
        ),
        velocities(
            (
                "sf2-gain/velocity-halved",
                "Velocity with half the effect",
                "8.4; 9.5.1",
                "A zone's modulator takes the place of an identical default one.",
            ),
            &[],
            &[Modulator(velocity, attenuation, 480, NONE, 0)],
            &[(127, 0.0), (64, curve(64) / 2.0), (16, curve(16) / 2.0)],
        ),
        velocities(
            (
                "sf2-gain/velocity-linear",
                "A linear velocity in place of the curve",
                "8.2.4; 9.5.1",
                "With the default one removed another curve counts alone.",
            ),
            &[],
            &[Modulator(velocity, attenuation, 0, NONE, 0), Modulator(0x0102, attenuation, 400, NONE, 0)],
            &[(127, 0.0), (95, -10.0), (63, -20.0)],
        ),
        velocities(
            (
                "sf2-gain/velocity-second",
                "A second curve of velocity",
                "9.5.1",
                "A modulator with another curve is not identical: it adds to the default one.",
            ),
            &[],
            &[Modulator(0x0102, attenuation, 100, NONE, 0)],
            &[(127, 0.0), (63, curve(63) - 5.0)],
        ),
        velocities(
            (
                "sf2-gain/forced-velocity",
                "A velocity of its own",
                "8.1.2, 47 velocity",
                "The zone's velocity counts in place of the note's.",
            ),
            &[(g::VELOCITY, 64)],
            &[],
            &[(127, curve(64)), (64, curve(64)), (20, curve(64))],
        ),
        controlled(
            (
                "sf2-gain/volume",
                "Channel volume",
                "8.4.5, controller 7 to attenuation",
                "Controller 7 attenuates by a negative concave curve over 96 dB.",
            ),
            7,
        ),
        controlled(
            (
                "sf2-gain/expression",
                "Expression",
                "8.4.7, controller 11 to attenuation",
                "Controller 11 attenuates by a negative concave curve over 96 dB.",
            ),
            11,
        ),
        everything(),
        pans(
            ("sf2-pan/sides", "Pan to the sides", "8.1.2, 17 pan", "-500 is all left, 500 all right, 0 the middle."),
            &[
                (&[(g::PAN, -500)], &[], [Some(0.0), None]),
                (&[(g::PAN, 500)], &[], [None, Some(0.0)]),
                (&[(g::PAN, 0)], &[], [Some(-3.01), Some(-3.01)]),
            ],
        ),
        pans(
            ("sf2-pan/sum", "Pans add up", "9.4; 8.1.2, 17 pan", "A preset's pan is added to the instrument's."),
            &[
                (&[(g::PAN, -250)], &[(g::PAN, -250)], [Some(0.0), None]),
                (&[(g::PAN, -500)], &[(g::PAN, 500)], [Some(-3.01), Some(-3.01)]),
            ],
        ),
        pan_of_the_controller(),
    ]
}

type Level<'a> = (&'a [Generator], &'a [Generator], f64);

/// Makes a program for each pair of zones, which must have these levels.
fn steady(about: About, levels: &[Level<'_>]) -> Case {
    let mut case = font(about);
    for (i, (instrument, preset, decibels)) in levels.iter().enumerate() {
        case.preset(i as u16, instrument);
        let zone = &mut case.font_mut().presets.last_mut().expect("just put there").zones[0];
        zone.generators.splice(0..0, preset.iter().copied());
        let on = nth(i, DISTANCE);
        case.choose(on - 30, i as u8);
        case.note(KEY, 127, on, on + LENGTH);
        case.check(Check::steady(seconds(on + MIDDLE), *decibels).of(format!("program {i}")));
    }
    case
}

fn velocities(about: About, zone: &[Generator], modulators: &[Modulator], levels: &[(u8, f64)]) -> Case {
    let mut case = font(about);
    // Without the cutoff that velocity lowers (8.4.2): the level alone is measured.
    let open = Modulator(super::VELOCITY_TO_CUTOFF.0, super::VELOCITY_TO_CUTOFF.1, 0, NONE, 0);
    case.preset_with(0, zone, &[modulators, &[open]].concat());
    play_velocities(&mut case, levels);
    case
}

fn controlled(about: About, number: u8) -> Case {
    let mut case = font(about);
    case.preset(0, &[]);
    case.choose(0, 0);
    for (i, value) in [127u8, 100, 64, 20, 5].into_iter().enumerate() {
        let on = nth(i, DISTANCE);
        case.control(on - 30, number, value);
        case.note(KEY, 127, on, on + LENGTH);
        case.check(Check::steady(seconds(on + MIDDLE), curve(value)).of(format!("CC{number} = {value}")));
    }
    case
}

fn everything() -> Case {
    let mut case = font((
        "sf2-gain/sum",
        "Velocity, volume and expression together",
        "8.4.1, 8.4.5, 8.4.7; 9.5",
        "All that leads to the attenuation adds up in decibels.",
    ));
    case.preset(0, &[]).modulators =
        vec![Modulator(super::VELOCITY_TO_CUTOFF.0, super::VELOCITY_TO_CUTOFF.1, 0, NONE, 0)];
    case.choose(0, 0);
    case.control(570, 7, 100);
    case.control(570, 11, 90);
    case.note(KEY, 80, 600, 900);
    case.check(Check::steady(0.78, curve(100) + curve(90) + curve(80)));
    case
}

type Pan<'a> = (&'a [Generator], &'a [Generator], [Option<f64>; 2]);

fn sides(case: &mut Case, at: u32, levels: [Option<f64>; 2], note: &str) {
    for (output, level) in [Output::Left, Output::Right].into_iter().zip(levels) {
        let (from, until) = (seconds(at + 100), seconds(at + 250));
        let check = match level {
            Some(decibels) => Check::steady(seconds(at + MIDDLE), decibels),
            None => Check::below(from, until, -60.0),
        };
        case.check(check.at_output(output).of(note));
    }
}

fn pans(about: About, pans: &[Pan<'_>]) -> Case {
    let mut case = font(about);
    for (i, (instrument, preset, levels)) in pans.iter().enumerate() {
        case.preset(i as u16, instrument);
        let zone = &mut case.font_mut().presets.last_mut().expect("just put there").zones[0];
        zone.generators.splice(0..0, preset.iter().copied());
        let on = nth(i, DISTANCE);
        case.choose(on - 30, i as u8);
        case.note(KEY, 127, on, on + LENGTH);
        sides(&mut case, on, *levels, &format!("program {i}"));
    }
    case
}

fn pan_of_the_controller() -> Case {
    let mut case = font((
        "sf2-pan/controller",
        "Controller 10",
        "8.4.6, controller 10 to pan",
        "Controller 10 moves the sound from one side, through the middle at 64, to the other.",
    ));
    case.preset(0, &[]);
    case.choose(0, 0);
    for (i, (value, levels)) in
        [(0, [Some(0.0), None]), (64, [Some(-3.01), Some(-3.01)]), (127, [None, Some(0.0)])].into_iter().enumerate()
    {
        let on = nth(i, DISTANCE);
        case.control(on - 30, 10, value);
        case.note(KEY, 127, on, on + LENGTH);
        sides(&mut case, on, levels, &format!("CC10 = {value}"));
    }
    case
}
