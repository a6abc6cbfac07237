//! Zones: ranges, layers, global zones, the order of generators, exclusive classes.

use super::{DISTANCE, LENGTH, MIDDLE, font, keys, nth, play_keys, seconds};
use crate::case::{Case, FIRST, KEY, T0, organ_zone};
use crate::expect::{Basis, Check};
use crate::font::{Generator, Zone, generator as g, range, time};

/// Makes the cases of this chapter.
pub(super) fn cases() -> Vec<Case> {
    vec![
        splits(),
        velocity_splits(),
        layers(),
        intersection(),
        global_of_instrument(),
        global_of_preset(),
        without_sample(),
        last_counts(),
        ranges_first(),
        keys(
            (
                "sf2-zone/unknown-generator",
                "An unknown generator",
                "8.1.2, reserved and unused",
                "Reserved and unknown generators are ignored.",
            ),
            &[(42, 60), (g::COARSE_TUNE, 3), (99, 1)],
            &[(60, 300.0)],
        ),
        behind_the_end(),
        of_instruments_only(),
        forced_key_and_range(),
        exclusive(),
        exclusive_of_a_preset(),
        exclusive_layers(),
    ]
}

fn zone(generators: &[Generator]) -> Zone {
    Zone::of_sample(&organ_zone(generators), 0)
}

fn splits() -> Case {
    let mut case = font((
        "sf2-zone/key-ranges",
        "Key ranges",
        "8.1.2, 43 keyRange",
        "A zone sounds at the keys of its range, its ends included.",
    ));
    case.preset_of(
        0,
        vec![
            zone(&[(g::KEY_RANGE, range(0, 59)), (g::COARSE_TUNE, 5)]),
            zone(&[(g::KEY_RANGE, range(60, 60))]),
            zone(&[(g::KEY_RANGE, range(61, 127)), (g::COARSE_TUNE, -5)]),
        ],
    );
    play_keys(&mut case, &[(59, 400.0), (60, 0.0), (61, -400.0), (48, -700.0), (72, 700.0)]);
    case
}

fn velocity_splits() -> Case {
    let mut case = font((
        "sf2-zone/velocity-ranges",
        "Velocity ranges",
        "8.1.2, 44 velRange",
        "A zone sounds at the velocities of its range, its ends included.",
    ));
    case.preset_of(
        0,
        vec![
            zone(&[(g::VELOCITY_RANGE, range(0, 100)), (g::COARSE_TUNE, 5)]),
            zone(&[(g::VELOCITY_RANGE, range(101, 127))]),
        ],
    );
    case.choose(0, 0);
    for (i, (velocity, cents)) in [(100u8, 500.0), (101, 0.0), (127, 0.0), (70, 500.0)].into_iter().enumerate() {
        let on = nth(i, DISTANCE);
        case.note(KEY, velocity, on, on + LENGTH);
        case.check(Check::pitch(seconds(on + MIDDLE), cents).of(format!("velocity {velocity}")));
    }
    case
}

fn layers() -> Case {
    let mut case = font(("sf2-zone/layers", "Layers", "7.7; 9.3", "All zones whose ranges hold the note sound."));
    case.preset_of(0, vec![zone(&[]), zone(&[(g::COARSE_TUNE, 7)]), zone(&[(g::KEY_RANGE, range(90, 100))])]);
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 500);
    for cents in [0.0, 700.0] {
        case.check(Check::steady(T0 + 0.25, 0.0).component(cents).of(format!("{cents} cents")));
    }
    case
}

fn intersection() -> Case {
    let mut case = font((
        "sf2-zone/ranges-intersect",
        "The ranges of preset and instrument",
        "8.1.2, 43 keyRange; 9.4",
        "A note sounds where it is in the range of the preset's zone and of the instrument's.",
    ));
    case.preset(0, &[(g::KEY_RANGE, range(50, 70))]);
    let preset = case.font_mut().presets.last_mut().expect("just put there");
    preset.zones[0].generators.insert(0, (g::KEY_RANGE, range(60, 80)));
    case.choose(0, 0);
    for (i, key) in [55u8, 75].into_iter().enumerate() {
        let on = nth(i, DISTANCE);
        case.note(key, 127, on, on + LENGTH);
        case.check(Check::silent(seconds(on), seconds(on + LENGTH)).of(format!("key {key}")));
    }
    let on = nth(2, DISTANCE);
    case.note(65, 127, on, on + LENGTH);
    case.check(Check::pitch(seconds(on + MIDDLE), 500.0).of("key 65"));
    case
}

fn global_of_instrument() -> Case {
    let mut case = font((
        "sf2-zone/global-of-instrument",
        "An instrument's global zone",
        "7.7, global zone",
        "Its generators count in zones that have none of their own.",
    ));
    case.preset_of(
        0,
        vec![
            Zone::global(&[(g::COARSE_TUNE, 5)], &[]),
            zone(&[(g::KEY_RANGE, range(0, 63))]),
            zone(&[(g::KEY_RANGE, range(64, 127)), (g::COARSE_TUNE, -2)]),
        ],
    );
    play_keys(&mut case, &[(60, 500.0), (64, 200.0)]);
    case
}

fn global_of_preset() -> Case {
    let mut case = font((
        "sf2-zone/global-of-preset",
        "A preset's global zone",
        "7.3, global zone",
        "Its generators count in zones that have none of their own, and are added to the instrument's.",
    ));
    case.preset(0, &[(g::COARSE_TUNE, 1)]);
    let preset = case.font_mut().presets.last_mut().expect("just put there");
    let instrument = preset.zones[0].clone();
    let mut lower = instrument.clone();
    lower.generators.insert(0, (g::KEY_RANGE, range(0, 63)));
    let mut upper = instrument;
    upper.generators.splice(0..0, [(g::KEY_RANGE, range(64, 127)), (g::COARSE_TUNE, 2)]);
    preset.zones = vec![Zone::global(&[(g::COARSE_TUNE, 4)], &[]), lower, upper];
    play_keys(&mut case, &[(60, 500.0), (64, 700.0)]);
    case
}

fn without_sample() -> Case {
    let mut case = font((
        "sf2-zone/without-sample",
        "A zone without a sample",
        "7.7",
        "A zone behind the first without a sample is ignored.",
    ));
    case.preset_of(0, vec![zone(&[(g::COARSE_TUNE, 2)]), Zone::global(&[(g::COARSE_TUNE, 9)], &[])]);
    play_keys(&mut case, &[(60, 200.0), (72, 1400.0)]);
    case
}

fn last_counts() -> Case {
    keys(
        ("sf2-zone/generator-twice", "A generator twice in a zone", "7.9", "Of two the last counts."),
        &[(g::COARSE_TUNE, 9), (g::COARSE_TUNE, 4)],
        &[(60, 400.0)],
    )
}

fn ranges_first() -> Case {
    let mut case = font((
        "sf2-zone/range-not-first",
        "A range behind another generator",
        "8.1.2, 43 keyRange",
        "A key range that is not the first generator of its zone is ignored.",
    ));
    let mut late = zone(&[(g::COARSE_TUNE, 3)]);
    late.generators.insert(1, (g::KEY_RANGE, range(0, 10)));
    case.preset_of(0, vec![late]);
    play_keys(&mut case, &[(60, 300.0)]);
    case.basis(Basis::Optional)
}

fn behind_the_end() -> Case {
    let mut case = font((
        "sf2-zone/generator-behind-sample",
        "A generator behind the sample",
        "8.1.2, 53 sampleID",
        "The sample is the last generator of its zone: what follows is ignored.",
    ));
    let mut long = zone(&[(g::COARSE_TUNE, 3)]);
    long.generators.push((g::FINE_TUNE, 50));
    case.preset_of(0, vec![long]);
    play_keys(&mut case, &[(60, 300.0)]);
    case
}

fn of_instruments_only() -> Case {
    let mut case = font((
        "sf2-zone/instrument-only-in-preset",
        "A generator of instruments in a preset",
        "8.1.2, 46, 54, 57, 58",
        "Keys, root keys, modes and classes count in instruments only.",
    ));
    case.preset(0, &[(g::COARSE_TUNE, 3)]);
    let preset = case.font_mut().presets.last_mut().expect("just put there");
    preset.zones[0].generators.splice(0..0, [(g::ROOT_KEY, 48), (g::KEY, 80)]);
    play_keys(&mut case, &[(60, 300.0), (62, 500.0)]);
    case
}

fn forced_key_and_range() -> Case {
    let mut case = font((
        "sf2-zone/forced-key-and-range",
        "A key of its own chooses no zone",
        "8.1.2, 43, 46",
        "Ranges are about the note's key, not the zone's own.",
    ));
    case.preset(0, &[(g::KEY_RANGE, range(70, 90)), (g::KEY, 60)]);
    case.choose(0, 0);
    let on = nth(0, DISTANCE);
    case.note(60, 127, on, on + LENGTH);
    case.check(Check::silent(seconds(on), seconds(on + LENGTH)).of("key 60"));
    let on = nth(1, DISTANCE);
    case.note(80, 127, on, on + LENGTH);
    case.check(Check::pitch(seconds(on + MIDDLE), 0.0).of("key 80"));
    case
}

/// Plays a low note, and another that must end it, or not, 300 ms later. The low one must be heard so loud then.
fn ends(case: &mut Case, second: u8, ended: bool) {
    case.note(50, 127, FIRST, FIRST + 1200);
    case.note(second, 127, FIRST + 300, FIRST + 1200);
    let later = Check::steady(T0 + 0.7, 0.0).component(-1000.0);
    case.check(Check::steady(T0 + 0.15, 0.0).component(-1000.0).of("before"));
    case.check(if ended {
        Check { expected: -120.0, tolerance: 80.0, ..later }.of("after, at most -40 dB")
    } else {
        later.of("after")
    });
}

fn class(key: u8, class: i16) -> Zone {
    zone(&[(g::KEY_RANGE, range(key, key)), (g::EXCLUSIVE_CLASS, class), (g::RELEASE, time(2.0))])
}

fn exclusive() -> Case {
    let mut case = font((
        "sf2-zone/exclusive-class",
        "Exclusive class",
        "8.1.2, 57 exclusiveClass",
        "A note ends the sounding ones of its class, rapidly, and no others.",
    ));
    case.preset_of(0, vec![class(50, 1), class(62, 1), class(64, 2)]);
    case.choose(0, 0);
    ends(&mut case, 62, true);
    case.note(50, 127, FIRST + 1500, FIRST + 2400);
    case.note(64, 127, FIRST + 1800, FIRST + 2400);
    case.check(Check::steady(T0 + 2.1, 0.0).component(-1000.0).of("another class"));
    case
}

fn exclusive_of_a_preset() -> Case {
    let mut case = font((
        "sf2-zone/exclusive-class-of-preset",
        "A class is one preset's",
        "8.1.2, 57 exclusiveClass",
        "A note ends no notes of another preset, whatever their class.",
    ));
    case.preset_of(0, vec![class(50, 1), class(62, 1)]);
    case.preset_of(1, vec![class(62, 1)]);
    case.choose(0, 0);
    case.choose(FIRST + 200, 1);
    ends(&mut case, 62, false);
    case
}

fn exclusive_layers() -> Case {
    let mut case = font((
        "sf2-zone/exclusive-class-of-layers",
        "Layers of one class",
        "8.1.2, 57 exclusiveClass",
        "The zones of one note do not end each other.",
    ));
    let layer = |semitones: i16| zone(&[(g::EXCLUSIVE_CLASS, 3), (g::COARSE_TUNE, semitones)]);
    case.preset_of(0, vec![layer(0), layer(7)]);
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 500);
    for cents in [0.0, 700.0] {
        case.check(Check::steady(T0 + 0.25, 0.0).component(cents).of(format!("{cents} cents")));
    }
    case
}
