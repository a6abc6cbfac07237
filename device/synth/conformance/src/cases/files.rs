//! Files that are legal, or in use, but rarely seen, and which articulation counts.

use crate::case::{Case, FIRST, KEY, T0, organ_with};
use crate::dls::{Articulation, Form, Oddities, connection, constant, destination as d, source as s};
use crate::expect::{Basis, Check, Output};
use crate::units::{cents, percent, seconds as time};

/// Makes the cases of this chapter.
pub(super) fn cases() -> Vec<Case> {
    vec![
        local_replaces_global(),
        global_for_the_rest(),
        level_1_in_level_2(),
        both_lists(),
        reserved_destinations(),
        region_header(),
        odd(
            "file/unknown-chunks",
            "Unknown chunks",
            "RIFF; DLS-1, DLS-2.2: unknown chunks",
            "Chunks and lists that a reader does not know are skipped, with their padding.",
            Basis::Required,
            Oddities { unknown_chunks: true, ..Oddities::default() },
        ),
        odd(
            "file/any-order",
            "Chunks in another order",
            "RIFF; DLS-1, DLS-2.2: order of chunks",
            "The order of chunks in a list is not fixed.",
            Basis::Required,
            Oddities { reversed: true, ..Oddities::default() },
        ),
        odd(
            "file/grown-structures",
            "Structures that have grown",
            "DLS-1, DLS-2.2: cbSize of wsmp, art1, art2, ptbl",
            "What follows a structure begins after the size that the structure says, not after the size that a reader knows.",
            Basis::Required,
            Oddities { grown: true, ..Oddities::default() },
        ),
        odd(
            "file/null-cue",
            "A null cue, and cues in another order",
            "DLS-1, DLS-2.2: ptbl, cue of 0xFFFFFFFF",
            "Waves are found by the pool table, not by their order in the pool; a null cue stands for no wave.",
            Basis::Required,
            Oddities { shuffled_cues: true, ..Oddities::default() },
        ),
        odd(
            "file/wrong-count",
            "A wrong count of instruments",
            "DLS-1, DLS-2.2: colh",
            "A collection header that counts too many instruments does not keep the others from playing.",
            Basis::Practice,
            Oddities { wrong_count: true, ..Oddities::default() },
        ),
        odd(
            "file/trailing-bytes",
            "Bytes after the end",
            "shipped files",
            "What follows the RIFF form is no part of it.",
            Basis::Practice,
            Oddities { trailing_bytes: true, ..Oddities::default() },
        ),
    ]
}

/// Makes an articulated instrument of a second wave, in a file written in some odd way.
fn odd(
    id: &'static str,
    title: &'static str,
    source: &'static str,
    rule: &'static str,
    basis: Basis,
    oddities: Oddities,
) -> Case {
    let mut case = Case::new(id, title, source, rule).basis(basis).oddities(oddities);
    let wave = case.wave(crate::dls::Wave { rate: crate::dls::RATE / 2, ..crate::dls::Wave::default() });
    case.program(0, &[constant(d::PITCH, cents(300.0)), constant(d::EG1_RELEASE, time(1.0))]).regions[0].wave = wave;
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 400);
    case.check(Check::pitch(T0 + 0.2, -900.0).of("wave and tuning"));
    case.check(Check::steady(T0 + 0.2, 0.0).of("level"));
    case.check(Check::level(T0 + 0.65, -24.0).of("release"));
    case
}

fn local_replaces_global() -> Case {
    let mut case = Case::new(
        "file/local-articulation",
        "A region's articulation replaces the instrument's",
        "DLS-1, DLS-2.2: lart, lar2 of a region",
        "A region with an articulation of its own takes nothing of the instrument's: lists are replaced, not merged.",
    );
    let rows = organ_with(&[constant(d::PITCH, cents(300.0)), constant(d::EG1_DELAY, time(0.2))]);
    let instrument = case.program(0, &[]);
    instrument.articulation = vec![Articulation::two(rows)];
    instrument.regions[0].articulation = vec![Articulation::two(organ_with(&[constant(d::PAN, percent(25.0))]))];
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 400);
    case.check(Check::pitch(T0 + 0.1, 0.0).of("no tuning, no delay"));
    let left = 20.0 * libm::log10(libm::cos(core::f64::consts::FRAC_PI_2 * 0.75));
    case.check(Check::steady(T0 + 0.1, left).within(0.5).at_output(Output::Left).of("its own pan"));
    case.check(Check::onset(T0 - 0.1, T0 + 0.3, T0));
    case
}

fn global_for_the_rest() -> Case {
    let mut case = Case::new(
        "file/global-articulation",
        "The instrument's articulation for regions without",
        "DLS-1, DLS-2.2: lart, lar2 of an instrument",
        "Regions without an articulation of their own have the instrument's.",
    );
    let instrument = case.program(0, &[constant(d::PITCH, cents(300.0))]);
    let region = instrument.regions[0].clone();
    let own = vec![Articulation::two(organ_with(&[constant(d::PITCH, cents(-200.0))]))];
    instrument.regions = vec![
        crate::dls::Region { keys: (0, 60), ..region.clone() },
        crate::dls::Region { keys: (61, 127), articulation: own, ..region },
    ];
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 340);
    case.note(KEY + 1, 127, FIRST + 400, FIRST + 740);
    case.check(Check::pitch(T0 + 0.18, 300.0).of("the instrument's"));
    case.check(Check::pitch(T0 + 0.58, -100.0).of("the region's"));
    case
}

fn level_1_in_level_2() -> Case {
    let mut case = Case::new(
        "file/level-1-articulation",
        "Level 1's articulation in level 2",
        "DLS-2.2: art1 in a level 2 device",
        "A level 2 device plays regions and articulations in level 1's form.",
    );
    let instrument = case.program(0, &[constant(d::PITCH, cents(300.0))]);
    instrument.articulation[0].form = Form::One;
    instrument.regions[0].form = Form::One;
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 400);
    case.check(Check::pitch(T0 + 0.2, 300.0));
    case
}

fn both_lists() -> Case {
    let mut case = Case::new(
        "file/both-articulations",
        "Articulations of both levels in one instrument",
        "DLS-2.2: art1 and art2 are treated alike",
        "An instrument may have a list of each level; a level 2 device takes the connections of both.",
    );
    let instrument = case.program(0, &[constant(d::PITCH, cents(300.0))]);
    let other = Articulation {
        form: Form::One,
        condition: None,
        connections: vec![connection(s::EG2, s::NONE, d::PITCH, 0, cents(200.0))],
    };
    instrument.articulation.push(other);
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 400);
    case.check(Check::pitch(T0 + 0.2, 500.0).of("300 of level 2, 200 of level 1"));
    case
}

fn reserved_destinations() -> Case {
    let mut case = Case::new(
        "file/reserved-destinations",
        "Reserved destinations",
        "DLS-2.2: reserved destinations 0x0002, 0x0208, 0x030C; shipped files",
        "Connections to reserved destinations are ignored, and the others of their list count.",
    )
    .basis(Basis::Practice);
    case.program(
        0,
        &[
            constant(2, 1 << 20),
            constant(0x208, time(0.5)),
            constant(d::PITCH, cents(300.0)),
            constant(0x30C, time(0.5)),
        ],
    );
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 400);
    case.check(Check::pitch(T0 + 0.2, 300.0));
    case.check(Check::steady(T0 + 0.2, 0.0));
    case
}

fn region_header() -> Case {
    let mut case = Case::new(
        "file/region-header",
        "A region header with a layer",
        "DLS-2.2: rgnh, usLayer",
        "A region header may end with a layer, which is for editors only: both regions sound.",
    );
    let instrument = case.program(0, &[]);
    let region = crate::dls::Region { layer: Some(1), ..instrument.regions[0].clone() };
    let up = crate::dls::WaveSample { unity: 53, ..crate::dls::WaveSample::default() };
    instrument.regions = vec![region.clone(), crate::dls::Region { layer: Some(7), sample: Some(up), ..region }];
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 400);
    case.check(Check::steady(T0 + 0.2, 0.0).component(0.0).of("layer 1"));
    case.check(Check::steady(T0 + 0.2, 0.0).component(700.0).of("layer 7"));
    case
}
