//! The modulation envelope, heard as pitch.

use super::{nth, seconds};
use crate::case::{Case, FIRST, KEY, T0};
use crate::dls::{Connection, connection, constant, destination as d, source as s};
use crate::expect::Check;
use crate::units::{cents, percent, seconds as time};

/// Where the envelope reaches, in cents.
const REACH: f64 = 1200.0;
/// Half a per cent of that.
const CENTS: f64 = 6.0;

/// Makes the cases of this chapter.
pub(super) fn cases() -> Vec<Case> {
    vec![
        stages(),
        defaults(),
        negative(),
        release_in_attack(),
        delay_and_hold(),
        longest(),
        velocity_to_attack(),
        key_to_decay(),
        key_to_hold(),
    ]
}

fn reach(scale: f64) -> Connection {
    connection(s::EG2, s::NONE, d::PITCH, 0, cents(scale))
}

fn points(case: &mut Case, begins: f64, points: &[(f64, f64)]) {
    for (after, expected) in points {
        case.check(
            Check::moving_pitch(begins + after, *expected, CENTS).of(format!("{} ms", (after * 1000.0).round())),
        );
    }
}

fn stages() -> Case {
    let mut case = Case::new(
        "eg2/stages",
        "Attack, decay, sustain and release",
        "DLS-1, DLS-2.2: EG2; connection table, PITCH from EG2",
        "All stages are linear in cents; decay and release are rates over the whole range.",
    )
    .level_1();
    case.program(
        0,
        &[
            constant(d::EG1_RELEASE, time(20.0)),
            constant(d::EG2_ATTACK, time(0.4)),
            constant(d::EG2_DECAY, time(0.8)),
            constant(d::EG2_SUSTAIN, percent(50.0)),
            constant(d::EG2_RELEASE, time(0.8)),
            reach(REACH),
        ],
    );
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 1000);
    points(&mut case, T0, &[(0.1, 300.0), (0.2, 600.0), (0.4, 1200.0), (0.6, 900.0), (0.78, 630.0), (0.95, 600.0)]);
    points(&mut case, T0, &[(1.1, 450.0), (1.2, 300.0), (1.3, 150.0), (1.5, 0.0)]);
    case
}

fn defaults() -> Case {
    let mut case = Case::new(
        "eg2/defaults",
        "No stages",
        "DLS-1, DLS-2.2: connection table, defaults of EG2",
        "Without connections of its own the envelope is at its top from note-on to note-off, and at its bottom after.",
    )
    .level_1();
    case.program(0, &[constant(d::EG1_RELEASE, time(20.0)), reach(300.0)]);
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 500);
    case.check(Check::pitch(T0 + 0.3, 300.0).of("before note-off"));
    case.check(Check::pitch(T0 + 0.7, 0.0).of("after it"));
    case
}

fn negative() -> Case {
    let mut case = Case::new(
        "eg2/negative",
        "Downwards",
        "DLS-1, DLS-2.2: connection table, PITCH from EG2, -1200 to 1200 cents",
        "A negative scale bends down.",
    )
    .level_1();
    case.program(0, &[constant(d::EG2_ATTACK, time(0.4)), reach(-REACH)]);
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 600);
    points(&mut case, T0, &[(0.1, -300.0), (0.3, -900.0), (0.5, -1200.0)]);
    case
}

fn release_in_attack() -> Case {
    let mut case = Case::new(
        "eg2/release-in-attack",
        "Release in the attack",
        "DLS-1, DLS-2.2: EG2, note-off in any phase",
        "A note that ends in the attack releases the envelope from the level reached.",
    )
    .level_1();
    case.program(
        0,
        &[
            constant(d::EG1_RELEASE, time(20.0)),
            constant(d::EG2_ATTACK, time(1.0)),
            constant(d::EG2_RELEASE, time(1.0)),
            reach(REACH),
        ],
    );
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 500);
    points(&mut case, T0, &[(0.25, 300.0), (0.48, 576.0), (0.6, 480.0), (0.75, 300.0), (1.1, 0.0)]);
    case
}

fn delay_and_hold() -> Case {
    let mut case = Case::new(
        "eg2/delay-and-hold",
        "Delay and hold",
        "DLS-2.2: connection table, EG2 DELAY, EG2 HOLD",
        "The attack begins after the delay, and the decay after the hold.",
    );
    case.program(
        0,
        &[
            constant(d::EG2_DELAY, time(0.2)),
            constant(d::EG2_ATTACK, time(0.1)),
            constant(d::EG2_HOLD, time(0.3)),
            constant(d::EG2_DECAY, time(0.8)),
            constant(d::EG2_SUSTAIN, 0),
            reach(REACH),
        ],
    );
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 1600);
    points(&mut case, T0, &[(0.18, 0.0), (0.25, 600.0), (0.32, 1200.0), (0.58, 1200.0), (0.8, 900.0), (1.2, 300.0)]);
    case
}

fn longest() -> Case {
    let mut case = Case::new(
        "eg2/longest",
        "The longest decay",
        "DLS-2.2: connection table, EG2 DECAY, range to 40 s",
        "A decay can last 40 s: of 1200 cents it takes 30 a second.",
    );
    case.program(0, &[constant(d::EG2_DECAY, time(40.0)), constant(d::EG2_SUSTAIN, 0), reach(REACH)]);
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 2300);
    for after in [0.5, 1.0, 2.0] {
        case.check(Check::moving_pitch(T0 + after, REACH - 30.0 * after, 2.0).of(format!("{} ms", after * 1000.0)));
    }
    case
}

fn velocity_to_attack() -> Case {
    let mut case = Case::new(
        "eg2/velocity-to-attack",
        "Velocity to attack",
        "DLS-1, DLS-2.2: connection table, EG2 ATTACK from velocity",
        "The attack is its time times 2 to the power of scale/1200 times velocity/128.",
    )
    .level_1();
    case.program(
        0,
        &[
            constant(d::EG2_ATTACK, time(0.1)),
            connection(s::VELOCITY, s::NONE, d::EG2_ATTACK, 0, cents(2400.0)),
            reach(REACH),
        ],
    );
    case.choose(0, 0);
    for (i, velocity) in [64u8, 127].into_iter().enumerate() {
        let on = nth(i, 700);
        case.note(KEY, velocity, on, on + 600);
        let attack = 0.1 * libm::exp2(2.0 * f64::from(velocity) / 128.0);
        points(&mut case, seconds(on), &[(0.25 * attack, 300.0), (0.5 * attack, 600.0), (0.75 * attack, 900.0)]);
    }
    case
}

fn key_to_decay() -> Case {
    let mut case = Case::new(
        "eg2/key-to-decay",
        "Key to decay",
        "DLS-1, DLS-2.2: connection table, EG2 DECAY from key number",
        "The decay is its time times 2 to the power of scale/1200 times key/128.",
    )
    .level_1();
    case.program(
        0,
        &[
            constant(d::EG2_DECAY, time(1.0)),
            constant(d::EG2_SUSTAIN, 0),
            connection(s::KEY, s::NONE, d::EG2_DECAY, 0, cents(-2400.0)),
            reach(REACH),
        ],
    );
    case.choose(0, 0);
    for (i, key) in [32u8, 64].into_iter().enumerate() {
        let on = nth(i, 900);
        case.note(key, 127, on, on + 800);
        let decay = libm::exp2(-2.0 * f64::from(key) / 128.0);
        let base = 100.0 * (f64::from(key) - 60.0);
        points(&mut case, seconds(on), &[(0.25 * decay, base + 900.0), (0.5 * decay, base + 600.0)]);
        points(&mut case, seconds(on), &[(0.75 * decay, base + 300.0), (decay + 0.05, base)]);
    }
    case
}

fn key_to_hold() -> Case {
    let mut case = Case::new(
        "eg2/key-to-hold",
        "Key to hold",
        "DLS-2.2: connection table, EG2 HOLD from key number",
        "The hold is its time times 2 to the power of scale/1200 times key/128.",
    );
    case.program(
        0,
        &[
            constant(d::EG2_HOLD, time(0.1)),
            constant(d::EG2_DECAY, time(0.4)),
            constant(d::EG2_SUSTAIN, 0),
            connection(s::KEY, s::NONE, d::EG2_HOLD, 0, cents(2400.0)),
            reach(REACH),
        ],
    );
    case.choose(0, 0);
    for (i, key) in [32u8, 64].into_iter().enumerate() {
        let on = nth(i, 900);
        case.note(key, 127, on, on + 800);
        let hold = 0.1 * libm::exp2(2.0 * f64::from(key) / 128.0);
        let base = 100.0 * (f64::from(key) - 60.0);
        points(&mut case, seconds(on), &[(hold - 0.02, base + REACH), (hold + 0.1, base + 900.0)]);
    }
    case
}
