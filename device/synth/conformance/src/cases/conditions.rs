//! Conditional chunks.

use super::{nth, seconds};
use crate::case::{Case, FIRST, KEY, T0, organ_with};
use crate::dls::condition::{SAMPLE_MEMORY, SUPPORTS_DLS1, SUPPORTS_DLS2, UNKNOWN, operator, query, supported, value};
use crate::dls::{Articulation, Region, WaveSample, constant, destination as d};
use crate::expect::Check;
use crate::units::cents;

/// What counts as not there, in dB.
const ABSENT: f64 = -35.0;

/// Makes the cases of this chapter.
pub(super) fn cases() -> Vec<Case> {
    vec![operators(), queries(), region(), instrument(), articulation(), deep(), whole_file()]
}

/// Makes a note for each program: the base always sounds, and seven semitones above it what the condition lets sound.
fn each(case: &mut Case, programs: Vec<(Vec<Vec<u8>>, bool, &str)>) {
    for (i, (program, holds, note)) in programs.into_iter().enumerate() {
        let instrument = case.program(i as u8, &[]);
        let base = instrument.regions[0].clone();
        let up = WaveSample { unity: 53, ..WaveSample::default() };
        let guarded = Region { sample: Some(up), condition: Some(program.concat()), ..base.clone() };
        instrument.regions = vec![guarded, base];
        let on = nth(i, 300);
        case.choose(on - 20, i as u8);
        case.note(KEY, 127, on, on + 240);
        let at = seconds(on + 120);
        case.check(Check::steady(at, 0.0).component(0.0).within(1.0).of(format!("{note}: the other region")));
        let check = if holds { Check::steady(at, 0.0).within(1.0) } else { Check::below(at, at, ABSENT) };
        case.check(check.component(700.0).of(format!("{note}: {holds}")));
    }
}

fn operators() -> Case {
    let mut case = Case::new(
        "condition/operators",
        "The operators of conditional chunks",
        "DLS-1, DLS-2.2: cdl, operators",
        "A conditional chunk is a stack machine: of the two on top of the stack, the topmost is the left operand.",
    );
    let v = value;
    let o = operator;
    each(
        &mut case,
        vec![
            (vec![v(6), v(5), o(1), v(4), o(14)], true, "5 AND 6 = 4"),
            (vec![v(6), v(5), o(2), v(7), o(14)], true, "5 OR 6 = 7"),
            (vec![v(6), v(5), o(3), v(3), o(14)], true, "5 XOR 6 = 3"),
            (vec![v(2), v(3), o(4), v(5), o(14)], true, "3 + 2 = 5"),
            (vec![v(2), v(3), o(5), v(1), o(14)], true, "3 - 2 = 1"),
            (vec![v(2), v(3), o(6), v(6), o(14)], true, "3 * 2 = 6"),
            (vec![v(2), v(9), o(7), v(4), o(14)], true, "9 / 2 = 4"),
            (vec![v(2), v(0), o(8)], false, "0 && 2"),
            (vec![v(2), v(0), o(9)], true, "0 || 2"),
            (vec![v(2), v(1), o(10)], true, "1 < 2"),
            (vec![v(1), v(2), o(10)], false, "2 < 1"),
            (vec![v(2), v(2), o(11)], true, "2 <= 2"),
            (vec![v(2), v(3), o(12)], true, "3 > 2"),
            (vec![v(3), v(2), o(13)], false, "2 >= 3"),
            (vec![v(7), o(15)], false, "NOT 7"),
            (vec![v(0), o(15)], true, "NOT 0"),
        ],
    );
    case
}

fn queries() -> Case {
    let mut case = Case::new(
        "condition/queries",
        "What a device answers",
        "DLS-1, DLS-2.2: cdl, DLSID_SupportsDLS1, DLSID_SupportsDLS2, unknown identifiers",
        "A level 2 device supports both levels and knows its sample memory; a query that it does not know gives 0.",
    );
    each(
        &mut case,
        vec![
            (vec![query(SUPPORTS_DLS1)], true, "supports DLS 1"),
            (vec![query(SUPPORTS_DLS2)], true, "supports DLS 2"),
            (vec![supported(SUPPORTS_DLS2)], true, "knows whether it supports DLS 2"),
            (vec![supported(SAMPLE_MEMORY)], true, "knows its sample memory"),
            (vec![query(UNKNOWN)], false, "unknown query"),
            (vec![supported(UNKNOWN)], false, "unknown query is known"),
            (vec![query(UNKNOWN), operator(15)], true, "NOT unknown query"),
        ],
    );
    case
}

fn region() -> Case {
    let mut case = Case::new(
        "condition/region",
        "A condition of a region",
        "DLS-1, DLS-2.2: cdl in rgn, rgn2",
        "A region whose condition is false is not there; where the chunk stands in its list does not matter.",
    );
    each(&mut case, vec![(vec![value(1)], true, "true"), (vec![value(0)], false, "false")]);
    case
}

fn instrument() -> Case {
    let mut case = Case::new(
        "condition/instrument",
        "A condition of an instrument",
        "DLS-1, DLS-2.2: cdl in ins",
        "Of two instruments of one patch the one counts whose condition is true, whichever comes first.",
    );
    for program in [0u8, 1] {
        for own in [program, 1 - program] {
            let tuned = if own == 0 { 0.0 } else { 300.0 };
            case.program(program, &[constant(d::PITCH, cents(tuned))]).condition = Some(value(u32::from(own == 0)));
        }
        let on = nth(program.into(), 400);
        case.choose(on - 20, program);
        case.note(KEY, 127, on, on + 340);
        case.check(Check::pitch(seconds(on + 180), 0.0).of(format!("program {program}")));
    }
    case
}

fn articulation() -> Case {
    let mut case = Case::new(
        "condition/articulation",
        "A condition of an articulation",
        "DLS-1, DLS-2.2: cdl in lart, lar2",
        "An articulation whose condition is false is not there, and leaves the place to another.",
    );
    let instrument = case.program(0, &[]);
    let list = |tuned, holds| Articulation {
        condition: Some(value(holds)),
        ..Articulation::two(organ_with(&[constant(d::PITCH, cents(tuned))]))
    };
    instrument.articulation = vec![list(300.0, 0), list(-200.0, 1), list(700.0, 0)];
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 400);
    case.check(Check::pitch(T0 + 0.2, -200.0));
    case
}

fn deep() -> Case {
    let mut case = Case::new(
        "condition/stack",
        "Eight values on the stack",
        "DLS-1, DLS-2.2: cdl, stack of at least eight",
        "A stack of eight values can be used.",
    );
    let mut program: Vec<Vec<u8>> = (1..=8).map(value).collect();
    program.extend((0..7).map(|_| operator(4)));
    // Nothing may be left of the eight but their sum.
    program.extend([value(36), operator(14)]);
    each(&mut case, vec![(program, true, "1 + ... + 8 = 36")]);
    case
}

fn whole_file() -> Case {
    let mut case = Case::new(
        "condition/file",
        "A condition of the whole file",
        "DLS-1, DLS-2.2: cdl at the top level",
        "A file whose own condition is false is refused.",
    );
    case.file.condition = Some(value(0));
    case.program(0, &[]);
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 400);
    case.must_be_refused();
    case
}
