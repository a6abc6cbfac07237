//! Sends to reverb and chorus. What the effects sound like is free; whether and how much is sent is not.

use super::{nth, seconds};
use crate::case::{Case, FIRST, KEY};
use crate::dls::{Connection, connection, constant, destination as d, source as s};
use crate::expect::{Check, What};
use crate::units::percent;

/// Distance of notes: long enough for a reverb to die away, in ms.
const DISTANCE: u32 = 6000;
/// Length of notes, in ms.
const LENGTH: u32 = 400;
/// Where a reverb's tail is measured, in seconds after note-off.
const TAIL: f64 = 0.12;
/// Tolerance of a tail's level against another, in dB: reverbs may move.
const TAIL_DB: f64 = 2.0;

/// Makes the cases of this chapter.
pub(super) fn cases() -> Vec<Case> {
    vec![
        nothing_sent(),
        reverb(),
        reverb_own(),
        reverb_scaled(),
        chorus("effect/chorus", "CC93 sends to the chorus", "The chorus is heard with CC93, and not without.", &[]),
        chorus(
            "effect/chorus-own",
            "A chorus send of its own",
            "A constant connection to CHORUS sends without CC93.",
            &[constant(d::CHORUS, percent(100.0))],
        ),
    ]
}

fn off_at(index: usize) -> f64 {
    seconds(nth(index, DISTANCE) + LENGTH)
}

fn note(case: &mut Case, index: usize, program: u8, sent: u8) {
    let on = nth(index, DISTANCE);
    case.choose(on - 30, program);
    case.control(on - 30, 91, sent);
    case.note(KEY, 127, on, on + LENGTH);
}

fn tail(index: usize) -> Check {
    Check::steady(off_at(index) + TAIL, 0.0).over(0.1)
}

fn nothing_sent() -> Case {
    let mut case = Case::new(
        "effect/nothing-sent",
        "Nothing is sent",
        "DLS-2.2: connection table, REVERB and CHORUS, default of 0",
        "With CC91 and CC93 at 0 and no sends of its own an instrument is dry: nothing is heard after it.",
    );
    case.program(0, &[]);
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + LENGTH);
    case.check(Check::silent(off_at(0) + 0.02, off_at(0) + 0.5));
    case
}

fn reverb() -> Case {
    let mut case = Case::new(
        "effect/reverb",
        "CC91 sends to the reverb",
        "DLS-2.2: connection table, REVERB from CC91, 100 %",
        "The reverb is heard with CC91, in proportion to its value.",
    );
    case.program(0, &[]);
    note(&mut case, 0, 0, 127);
    note(&mut case, 1, 0, 64);
    case.check(Check::steady(off_at(0) + TAIL, -30.0).over(0.1).within(40.0).of("there is a tail"));
    let half = 20.0 * libm::log10(64.0 / 127.0);
    case.check(Check { expected: half, ..tail(1) }.against(off_at(0) + TAIL).within(TAIL_DB).of("64 against 127"));
    case
}

fn reverb_own() -> Case {
    let mut case = Case::new(
        "effect/reverb-own",
        "A reverb send of its own",
        "DLS-2.2: connection table, REVERB, 0 to 100 %",
        "A constant connection to REVERB sends without CC91, in proportion to its percentage.",
    );
    case.program(0, &[constant(d::REVERB, percent(100.0))]);
    case.program(1, &[constant(d::REVERB, percent(25.0))]);
    note(&mut case, 0, 0, 0);
    note(&mut case, 1, 1, 0);
    case.check(Check::steady(off_at(0) + TAIL, -30.0).over(0.1).within(40.0).of("there is a tail"));
    case.check(
        Check { expected: -12.041, ..tail(1) }.against(off_at(0) + TAIL).within(TAIL_DB).of("25 % against 100 %"),
    );
    case
}

fn reverb_scaled() -> Case {
    let mut case = Case::new(
        "effect/reverb-scaled",
        "How much CC91 sends is a connection",
        "DLS-2.2: connection table, REVERB from CC91, 0 to 100 %",
        "A connection from CC91 to REVERB scales what CC91 sends.",
    );
    case.program(0, &[]);
    case.program(1, &[connection(s::CC91, s::NONE, d::REVERB, 0, percent(25.0))]);
    note(&mut case, 0, 0, 127);
    note(&mut case, 1, 1, 127);
    case.check(Check::steady(off_at(0) + TAIL, -30.0).over(0.1).within(40.0).of("there is a tail"));
    case.check(
        Check { expected: -12.041, ..tail(1) }.against(off_at(0) + TAIL).within(TAIL_DB).of("25 % against 100 %"),
    );
    case
}

fn chorus(id: &'static str, title: &'static str, rule: &'static str, rows: &[Connection]) -> Case {
    let mut case = Case::new(id, title, "DLS-2.2: connection table, CHORUS, CHORUS from CC93", rule);
    case.program(0, rows);
    case.program(1, &[]);
    for index in [0u8, 1] {
        let on = nth(index.into(), 1500);
        // The second note has no chorus; with sends of their own it is the program that makes the difference.
        let sent = if index == 0 && rows.is_empty() { 127 } else { 0 };
        case.choose(on - 30, index);
        case.control(on - 30, 93, sent);
        case.note(KEY, 127, on, on + LENGTH);
    }
    let off = |index: usize| seconds(nth(index, 1500) + LENGTH);
    // A chorus has a delay of some ms: it is heard when the note itself, gone in 10 ms, is not any more.
    let [_, heard] = Check::levels(off(0) + 0.013, off(0) + 0.1, (0.0, -40.0), 38.0);
    debug_assert_eq!(heard.what, What::HighestLevel);
    case.check(heard.of("sent"));
    case.check(Check::silent(off(1) + 0.02, off(1) + 0.5).of("not sent"));
    case
}
