//! Samples: loops, offsets, kinds, links, 24 bits.

use super::{About, DISTANCE, LENGTH, MIDDLE, font, nth, seconds};
use crate::case::{Case, FIRST, KEY, T0, organ_zone};
use crate::dls::TURN;
use crate::expect::{Basis, Check, Output};
use crate::font::{Content, Generator, Sample, Zone, generator as g, time};

/// A sample of low turns, and high ones behind.
const TWO: Sample = Sample {
    content: Content::Parts([(TURN, 100), (TURN / 2, 200)]),
    loops: (TURN, 20 * TURN),
    rate: crate::dls::RATE,
    root: 60,
    correction: 0,
    link: 0,
    kind: 1,
};

/// Milliseconds of its first part: 12800 samples.
const FIRST_PART: f64 = 0.290_25;

/// Makes the cases of this chapter.
pub(super) fn cases() -> Vec<Case> {
    vec![
        mode(
            ("sf2-sample/once", "No loop", "8.1.2, 54 sampleModes, 0", "Without a loop the sample is played once."),
            0,
            &[(0.15, 0.0), (0.45, 1200.0)],
            Some(0.6),
            900,
        ),
        mode(
            ("sf2-sample/loop", "Loop", "8.1.2, 54 sampleModes, 1", "The loop goes on after the note has ended, too."),
            1,
            &[(0.15, 0.0), (0.45, 0.0), (0.8, 0.0)],
            None,
            600,
        ),
        mode(
            (
                "sf2-sample/mode-unused",
                "The unused mode",
                "8.1.2, 54 sampleModes, 2",
                "2 is unused, and is played without a loop.",
            ),
            2,
            &[(0.15, 0.0), (0.45, 1200.0)],
            Some(0.6),
            900,
        ),
        mode(
            (
                "sf2-sample/loop-until-release",
                "Loop until the note ends",
                "8.1.2, 54 sampleModes, 3",
                "The loop is left when the note ends, and the rest of the sample is played.",
            ),
            3,
            &[(0.15, 0.0), (0.45, 0.0), (0.95, 1200.0)],
            Some(1.3),
            600,
        ),
        offsets(
            (
                "sf2-sample/start-offset",
                "A later start",
                "8.1.2, 0 startAddrsOffset",
                "The sample begins so many samples later.",
            ),
            &[(g::MODES, 0), (g::START, 12_800)],
            &[(0.05, 1200.0), (0.2, 1200.0)],
            Some(0.31),
        ),
        offsets(
            (
                "sf2-sample/start-offset-coarse",
                "A much later start",
                "8.1.2, 4 startAddrsCoarseOffset",
                "The coarse offset is in units of 32768 samples, and is added.",
            ),
            &[(g::MODES, 0), (g::START_COARSE, 1), (g::START, 2000)],
            &[(0.05, 1200.0)],
            None,
        )
        .put(|case| {
            case.font_mut().samples[1] = Sample { content: Content::Parts([(TURN, 265), (TURN / 2, 200)]), ..TWO };
        }),
        offsets(
            (
                "sf2-sample/end-offset",
                "An earlier end",
                "8.1.2, 1 endAddrsOffset",
                "The sample ends so many samples earlier.",
            ),
            &[(g::MODES, 0), (g::END, -12_800)],
            &[(0.15, 0.0)],
            Some(FIRST_PART + 0.01),
        ),
        offsets(
            (
                "sf2-sample/loop-offsets",
                "A loop elsewhere",
                "8.1.2, 2 startloopAddrsOffset, 3 endloopAddrsOffset",
                "Both ends of the loop are moved by so many samples.",
            ),
            &[(g::LOOP_START, 12_800), (g::LOOP_END, 12_800)],
            &[(0.15, 0.0), (0.45, 1200.0), (1.0, 1200.0)],
            None,
        ),
        rom(),
        stereo_pair(),
        stereo_pitch(),
        low_bits(),
    ]
}

impl Case {
    /// Changes a case.
    fn put(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

/// Plays a note of so many ms of the sample of two parts, with pitches at times, and silence from a time on.
fn mode(about: About, mode: i16, points: &[(f64, f64)], silent: Option<f64>, length: u32) -> Case {
    let mut case = font(about);
    case.font_mut().samples.push(TWO);
    let zone = Zone::of_sample(&organ_zone(&[(g::MODES, mode), (g::RELEASE, time(30.0))]), 1);
    case.preset_of(0, vec![zone]);
    play(&mut case, points, silent, length);
    case
}

fn offsets(about: About, zone: &[Generator], points: &[(f64, f64)], silent: Option<f64>) -> Case {
    let mut case = font(about);
    case.font_mut().samples.push(TWO);
    case.preset_of(0, vec![Zone::of_sample(&organ_zone(zone), 1)]);
    play(&mut case, points, silent, 1200);
    case
}

fn play(case: &mut Case, points: &[(f64, f64)], silent: Option<f64>, length: u32) {
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + length);
    for (after, cents) in points {
        let check = Check::pitch(T0 + after, *cents).over(0.04);
        case.check(check.of(format!("{} ms", (after * 1000.0).round())));
    }
    if let Some(after) = silent {
        case.check(Check::silent(T0 + after, T0 + after + 0.2).of("behind the end"));
    }
}

fn rom() -> Case {
    let mut case = font((
        "sf2-sample/rom",
        "A sample in ROM",
        "7.10, sfSampleType 0x8001",
        "A sample in the ROM of a sound card is not played without that card.",
    ));
    case.font_mut().samples.push(Sample { kind: 0x8001, ..Sample::default() });
    case.preset_of(0, vec![Zone::of_sample(&organ_zone(&[]), 1)]);
    case.preset(1, &[]);
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 300);
    case.check(Check::silent(T0, T0 + 0.3));
    case.choose(FIRST + 350, 1);
    case.note(KEY, 127, FIRST + 400, FIRST + 700);
    case.check(Check::pitch(T0 + 0.55, 0.0).of("a sample of the file"));
    case
}

/// Adds the left and the right sample of a pair.
fn pair(case: &mut Case, left: &[Generator], right: &[Generator]) {
    case.font_mut().samples.push(Sample { kind: 4, link: 2, ..Sample::default() });
    case.font_mut().samples.push(Sample { kind: 2, link: 1, ..Sample::default() });
    let zone =
        |own: &[Generator], pan: i16, sample| Zone::of_sample(&organ_zone(&[own, &[(g::PAN, pan)]].concat()), sample);
    case.preset_of(0, vec![zone(left, -500, 1), zone(right, 500, 2)]);
    case.choose(0, 0);
}

fn stereo_pair() -> Case {
    let mut case = font((
        "sf2-sample/stereo-pair",
        "A left and a right sample",
        "7.10, sfSampleType 2 and 4",
        "Both play at once, each where its zone's pan puts it, without a shift between them.",
    ));
    pair(&mut case, &[], &[]);
    for (i, key) in [60u8, 67].into_iter().enumerate() {
        let on = nth(i, DISTANCE);
        case.note(key, 127, on, on + LENGTH);
        for output in [Output::Left, Output::Right] {
            case.check(Check::steady(seconds(on + MIDDLE), 0.0).at_output(output).of(format!("key {key}")));
        }
        case.check(Check::phase(seconds(on + MIDDLE), 0.0).of(format!("key {key}")));
    }
    case
}

fn stereo_pitch() -> Case {
    let mut case = font((
        "sf2-sample/stereo-pitch",
        "The right sample's pitch",
        "7.10, wSampleLink",
        "The pitch of both samples of a pair is that of the right one's zone.",
    ));
    pair(&mut case, &[(g::FINE_TUNE, -30)], &[(g::FINE_TUNE, 40)]);
    case.note(KEY, 127, FIRST, FIRST + 400);
    for output in [Output::Left, Output::Right] {
        case.check(Check::pitch(T0 + 0.2, 40.0).at_output(output));
    }
    case.basis(Basis::Optional)
}

fn low_bits() -> Case {
    let mut case =
        font(("sf2-sample/low-bits", "24 bits", "6.1, sm24", "The lower 8 of 24 bits are part of the samples."));
    let font = case.font_mut();
    font.has_low_bits = true;
    // A tone of a sixteenth of the lowest bit of 16: it is there in the lower bits alone.
    font.samples.push(Sample { content: Content::LowBits(TURN, 5), ..Sample::default() });
    case.preset_of(0, vec![Zone::of_sample(&organ_zone(&[]), 1)]);
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 500);
    case.check(Check::steady(T0 + 0.25, -20.0 * (65_536f64).log10()).component(0.0).within(1.5));
    case.basis(Basis::Optional)
}
