//! Pan.

use super::{nth, seconds};
use crate::case::{Case, FIRST, KEY, T0};
use crate::dls::{constant, destination as d};
use crate::expect::{Check, Output};
use crate::units::percent;

/// Makes the cases of this chapter.
pub(super) fn cases() -> Vec<Case> {
    vec![law(), own(), sum(), while_sounding()]
}

/// Returns level 2's law at a position, -0.5 to 0.5: left and right, in dB; `None` is silence.
fn law_at(position: f64) -> [Option<f64>; 2] {
    let angle = core::f64::consts::FRAC_PI_2 * (position.clamp(-0.5, 0.5) + 0.5);
    [libm::cos(angle), libm::sin(angle)].map(|gain| (gain > 1e-6).then(|| 20.0 * libm::log10(gain)))
}

/// Returns the position of a value of CC10.
fn position(value: u8) -> f64 {
    (f64::from(value) / 64.0 - 1.0) * 0.508
}

fn check(case: &mut Case, at: f64, position: f64, note: &str) {
    for (output, expected) in [Output::Left, Output::Right].into_iter().zip(law_at(position)) {
        let check = match expected {
            Some(expected) => Check::steady(at, expected).within(0.5),
            None => Check::below(at, at + 0.05, -60.0),
        };
        case.check(check.at_output(output).of(note));
    }
}

fn law() -> Case {
    let mut case = Case::new(
        "pan/law",
        "The pan law of CC10",
        "DLS-2.2: pan; connection table, PAN from CC10",
        "Left is cos and right is sin of 90 degrees times (pan + 1/2); CC10 of 64 is the exact middle, 0 and 1 are hard \
         left, 127 is hard right.",
    );
    case.program(0, &[]);
    case.choose(0, 0);
    for (i, value) in [64, 0, 1, 20, 50, 80, 110, 127].into_iter().enumerate() {
        let on = nth(i, 300);
        case.control(on - 30, 10, value);
        case.note(KEY, 127, on, on + 240);
        check(&mut case, seconds(on + 130), position(value), &format!("CC10 = {value}"));
    }
    case
}

fn own() -> Case {
    let mut case = Case::new(
        "pan/own",
        "A pan of its own",
        "DLS-1, DLS-2.2: connection table, PAN",
        "A constant connection to PAN places an instrument, from -50 % (left) to 50 % (right).",
    );
    for (program, own) in [(0u8, -50.0), (1, -25.0), (2, 10.0), (3, 50.0)] {
        case.program(program, &[constant(d::PAN, percent(own))]);
        let on = nth(program.into(), 300);
        case.choose(on - 30, program);
        case.note(KEY, 127, on, on + 240);
        check(&mut case, seconds(on + 130), own / 100.0, &format!("{own} %"));
    }
    case
}

fn sum() -> Case {
    let mut case = Case::new(
        "pan/sum",
        "Pans add up, to the side at most",
        "DLS-2.2: connection table, PAN, PAN from CC10",
        "The pan of its own and that of CC10 are added and held at the sides.",
    );
    case.program(0, &[constant(d::PAN, percent(25.0))]);
    case.choose(0, 0);
    for (i, value) in [32, 48, 120].into_iter().enumerate() {
        let on = nth(i, 300);
        case.control(on - 30, 10, value);
        case.note(KEY, 127, on, on + 240);
        check(&mut case, seconds(on + 130), 0.25 + position(value), &format!("25 % and CC10 = {value}"));
    }
    case
}

fn while_sounding() -> Case {
    let mut case = Case::new(
        "pan/while-sounding",
        "Pan while a note sounds",
        "DLS-1, DLS-2.2: CC10",
        "Notes that sound follow the pan.",
    );
    case.program(0, &[]);
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 600);
    case.control(FIRST + 250, 10, 20);
    check(&mut case, T0 + 0.15, 0.0, "CC10 = 64");
    check(&mut case, T0 + 0.45, position(20), "CC10 = 20");
    case
}
