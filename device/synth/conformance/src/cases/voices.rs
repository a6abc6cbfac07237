//! Which voices sound: regions, layers, exclusivity, and who gives way.

use crate::case::{Case, FIRST, KEY, T0};
use crate::dls::{Connection, DRUMS, Region, WaveSample, connection, constant, destination as d, source as s};
use crate::expect::Check;
use crate::units::{cents, seconds as time};

/// Oscillators that a level 2 device must have.
const LEVEL_2: u16 = 32;
/// Oscillators that a level 1 device must have.
const LEVEL_1: u16 = 24;

/// The velocity of notes that only have to be there, 24 dB down.
const SOFT: u8 = 32;

/// What counts as not there, in dB.
const ABSENT: f64 = -35.0;

/// Makes the cases of this chapter.
pub(super) fn cases() -> Vec<Case> {
    vec![
        key_split(),
        velocity_split(),
        layers(),
        key_group(),
        key_group_any_channel(),
        self_exclusive(),
        not_self_exclusive(),
        released_is_spared(),
        polyphony(1),
        polyphony(2),
        priority_takes(),
        priority_keeps(),
        priority_refuses(),
        priority_released(),
    ]
}

fn tuned(region: &Region, up: u16) -> Region {
    Region { sample: Some(WaveSample { unity: 60 - up, ..WaveSample::default() }), ..region.clone() }
}

fn key_split() -> Case {
    let mut case = Case::new(
        "voice/key-split",
        "Regions by key",
        "DLS-1, DLS-2.2: rgnh, RangeKey",
        "A note is played by the region whose keys it is among, both ends included, and by none if there is none.",
    )
    .level_1();
    let instrument = case.program(0, &[]);
    let region = instrument.regions[0].clone();
    instrument.regions = vec![
        Region { keys: (48, 59), ..tuned(&region, 5) },
        Region { keys: (60, 60), ..tuned(&region, 0) },
        Region { keys: (61, 72), ..tuned(&region, 7) },
    ];
    case.choose(0, 0);
    for (i, (key, expected)) in
        [(48u8, -700.0), (59, 400.0), (60, 0.0), (61, 800.0), (72, 1900.0)].into_iter().enumerate()
    {
        let on = super::nth(i, 400);
        case.note(key, 127, on, on + 340);
        case.check(Check::pitch(super::seconds(on + 180), expected).of(format!("key {key}")));
    }
    for (i, key) in [47u8, 73].into_iter().enumerate() {
        let on = super::nth(5 + i, 400);
        case.note(key, 127, on, on + 340);
        case.check(Check::silent(super::seconds(on), super::seconds(on + 300)).of(format!("key {key}")));
    }
    case
}

fn velocity_split() -> Case {
    let mut case = Case::new(
        "voice/velocity-split",
        "Regions by velocity",
        "DLS-2.2: rgnh, RangeVelocity",
        "A note is played by the region whose velocities it is among, both ends included.",
    );
    let instrument = case.program(0, &[]);
    let region = instrument.regions[0].clone();
    instrument.regions = vec![
        Region { velocities: (0, 63), ..tuned(&region, 5) },
        Region { velocities: (64, 100), ..tuned(&region, 0) },
        Region { velocities: (101, 127), ..tuned(&region, 7) },
    ];
    case.choose(0, 0);
    for (i, (velocity, expected)) in
        [(1u8, 500.0), (63, 500.0), (64, 0.0), (100, 0.0), (101, 700.0), (127, 700.0)].into_iter().enumerate()
    {
        let on = super::nth(i, 400);
        case.note(KEY, velocity, on, on + 340);
        case.check(Check::pitch(super::seconds(on + 180), expected).of(format!("velocity {velocity}")));
    }
    case
}

fn layers() -> Case {
    let mut case = Case::new(
        "voice/layers",
        "Layers",
        "DLS-2.2: overlapping regions",
        "All regions that a note is in sound together, each at its own level.",
    );
    let instrument = case.program(0, &[]);
    let region = instrument.regions[0].clone();
    instrument.regions =
        vec![tuned(&region, 0), tuned(&region, 7), Region { velocities: (100, 127), ..tuned(&region, 12) }];
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 400);
    case.note(KEY, 90, FIRST + 500, FIRST + 900);
    for pitch in [0.0, 700.0, 1200.0] {
        case.check(Check::steady(T0 + 0.2, 0.0).component(pitch).of("velocity 127"));
    }
    for pitch in [0.0, 700.0] {
        case.check(Check::steady(T0 + 0.7, super::curve(90)).component(pitch).of("velocity 90"));
    }
    case.check(Check::below(T0 + 0.7, T0 + 0.7, ABSENT).component(1200.0).of("velocity 90"));
    case
}

/// Makes three keys of a drum kit: 60 and 64 in group 1, 68 in group 2, 72 in none.
fn kit(case: &mut Case, bank: u32, program: u8) {
    let instrument = case.program(program, &[]);
    instrument.bank = bank;
    let region = instrument.regions[0].clone();
    instrument.regions = [(60, 1), (64, 1), (68, 2), (72, 0)]
        .map(|(key, key_group)| Region { keys: (key, key), key_group, options: 1, ..region.clone() })
        .to_vec();
}

fn grouped(mut case: Case, channel: u8) -> Case {
    for (key, on) in [(68, 0), (72, 50), (60, 100), (64, 600)] {
        case.note_on(channel, key, 127, FIRST + on, FIRST + 1400);
    }
    for (key, name) in [(0.0, "60"), (800.0, "68"), (1200.0, "72")] {
        case.check(Check::steady(T0 + 0.4, 0.0).component(key).of(format!("key {name}, before")));
    }
    for (key, name) in [(400.0, "64"), (800.0, "68"), (1200.0, "72")] {
        case.check(Check::steady(T0 + 0.9, 0.0).component(key).of(format!("key {name}, after")));
    }
    case.check(Check::below(T0 + 0.75, T0 + 1.0, ABSENT).component(0.0).of("key 60, after"));
    case
}

fn key_group() -> Case {
    let mut case = Case::new(
        "voice/key-group",
        "Key groups of a drum kit",
        "DLS-1, DLS-2.2: rgnh, usKeyGroup",
        "A note ends those of its own key group, and no others.",
    )
    .level_1();
    kit(&mut case, DRUMS, 0);
    case.channel(9);
    case.score.at(0, &[0xC9, 0]);
    grouped(case, 9)
}

fn key_group_any_channel() -> Case {
    let mut case = Case::new(
        "voice/key-group-any-channel",
        "Key groups of any instrument",
        "DLS-2.2: rgnh, usKeyGroup, on any channel",
        "Key groups work for melodic instruments, too.",
    );
    kit(&mut case, 0, 0);
    case.choose(0, 0);
    grouped(case, 0)
}

/// Makes a pitch that falls by 240 cents a second from 1200, which distinguishes notes of one key by their age.
fn falling() -> [Connection; 3] {
    [
        constant(d::EG2_DECAY, time(5.0)),
        constant(d::EG2_SUSTAIN, 0),
        connection(s::EG2, s::NONE, d::PITCH, 0, cents(1200.0)),
    ]
}

fn repeated(case: &mut Case, options: u16) {
    let instrument = case.program(0, &falling());
    instrument.regions[0].options = options;
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 2000);
    case.score.at(FIRST + 1000, &[0x90, KEY, 127]);
    case.check(Check { slack: 0.010, ..Check::steady(T0 + 1.2, 0.0) }.component(1152.0).within(1.0).of("the new note"));
}

fn self_exclusive() -> Case {
    let mut case = Case::new(
        "voice/self-exclusive",
        "The same key again",
        "DLS-1 (erratum on exclusivity), DLS-2.2: note exclusivity",
        "The same key on the same channel ends the note that still sounds.",
    )
    .level_1();
    repeated(&mut case, 0);
    case.check(Check::below(T0 + 1.2, T0 + 1.2, ABSENT).component(912.0).of("the old note"));
    case
}

fn not_self_exclusive() -> Case {
    let mut case = Case::new(
        "voice/not-self-exclusive",
        "The same key again, where the region allows it",
        "DLS-1, DLS-2.2: rgnh, F_RGN_OPTION_SELFNONEXCLUSIVE in fusOptions",
        "With the option of its region both notes of one key sound.",
    )
    .level_1();
    repeated(&mut case, 1);
    let old = Check { slack: 0.010, ..Check::steady(T0 + 1.2, 0.0) };
    case.check(old.component(912.0).within(1.0).of("the old note"));
    case
}

fn released_is_spared() -> Case {
    let mut case = Case::new(
        "voice/released-is-spared",
        "The same key again, after note-off",
        "DLS-1, DLS-2.2: note exclusivity",
        "A note that is already being released is not ended by its key: it dies away in its release.",
    )
    .level_1();
    let rows = [&falling()[..], &[constant(d::EG1_RELEASE, time(20.0)), constant(d::EG2_RELEASE, time(40.0))]].concat();
    case.program(0, &rows);
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 900);
    case.note(KEY, 127, FIRST + 1000, FIRST + 1500);
    // The old note was released at 984 cents and falls by 30 cents a second and 4.8 dB a second.
    let old = Check { slack: 0.010, ..Check::steady(T0 + 1.2, -1.44) };
    case.check(old.component(975.0).within(1.5).of("the old note"));
    case
}

/// Makes a note for each oscillator, two semitones apart.
fn polyphony(level: u8) -> Case {
    let (id, title, voices) = if level == 1 {
        ("voice/polyphony-level-1", "24 voices", LEVEL_1)
    } else {
        ("voice/polyphony-level-2", "32 voices", LEVEL_2)
    };
    let mut case = Case::new(
        id,
        title,
        "DLS-1, DLS-2.2: minimum device",
        "A device of level 1 sounds 24 notes at a time, one of level 2 sounds 32.",
    )
    .voices(voices);
    if level == 1 {
        case = case.level_1();
    }
    case.program(0, &[]);
    case.choose(0, 0);
    let keys: Vec<u8> = (0..voices as u8).map(|i| KEY + 24 - 2 * i).collect();
    for (i, key) in keys.iter().enumerate() {
        case.note(*key, SOFT, FIRST + i as u32, FIRST + 1600);
        let check = Check::steady(T0 + 0.9, super::curve(SOFT)).over(1.2);
        let cents = 100.0 * (f64::from(*key) - f64::from(KEY));
        case.check(check.component(cents).within(1.0).of(format!("key {key}")));
    }
    case
}

/// Makes 32 voices, a channel that takes all of them softly, and a loud note of another.
fn priority_case(id: &'static str, title: &'static str, rule: &'static str) -> Case {
    let mut case = Case::new(id, title, "DLS-1, DLS-2.2: static voice allocation, channel priorities", rule)
        .voices(LEVEL_2)
        .level_1();
    case.program(0, &[constant(d::EG1_RELEASE, time(20.0))]);
    case.program(0, &[]).bank = DRUMS;
    for channel in [9u8, 15] {
        case.channel(channel);
        case.score.at(0, &[0xC0 | channel, 0]);
    }
    case.choose(0, 0);
    case
}

fn crowd(case: &mut Case, channel: u8, from: u32, until: u32, notes: u16) {
    for i in 0..notes {
        case.note_on(channel, 24 + i as u8, SOFT, from + u32::from(i), until);
    }
}

/// The key of the loud note, above all of the crowd, and its component.
const LOUD: u8 = KEY + 21;
const LOUD_CENTS: f64 = 2100.0;

fn priority_takes() -> Case {
    let mut case = priority_case(
        "voice/priority-takes",
        "A voice is taken from a lower channel",
        "When all oscillators sound, a note takes one of a channel of lower priority: channel 1 before channel 16.",
    );
    crowd(&mut case, 15, FIRST, FIRST + 1000, LEVEL_2);
    case.note(LOUD, 127, FIRST + 300, FIRST + 1000);
    case.check(Check::steady(T0 + 0.6, 0.0).component(LOUD_CENTS).within(1.0).of("the note of channel 1"));
    case
}

fn priority_keeps() -> Case {
    let mut case = priority_case(
        "voice/priority-keeps",
        "A voice is kept from lower channels",
        "Notes of lower priority take no oscillator of a higher channel: channel 10 comes before all others.",
    );
    case.note_on(9, LOUD, 127, FIRST, FIRST + 1200);
    crowd(&mut case, 15, FIRST + 200, FIRST + 1200, 48);
    case.check(Check::steady(T0 + 0.1, 0.0).component(LOUD_CENTS).within(1.0).of("channel 10, alone"));
    case.check(Check::steady(T0 + 0.7, 0.0).component(LOUD_CENTS).within(1.0).of("channel 10, in the crowd"));
    case
}

fn priority_refuses() -> Case {
    let mut case = priority_case(
        "voice/priority-refuses",
        "A note of a lower channel is not played",
        "When all oscillators belong to channels of higher priority a note is not played.",
    );
    crowd(&mut case, 0, FIRST, FIRST + 1000, LEVEL_2);
    case.note_on(15, LOUD, 127, FIRST + 300, FIRST + 1000);
    case.check(Check::below(T0 + 0.5, T0 + 0.8, ABSENT).component(LOUD_CENTS).of("the note of channel 16"));
    case.check(Check::steady(T0 + 0.7, super::curve(SOFT)).over(0.5).component(-500.0).within(1.0).of("channel 1"));
    case
}

fn priority_released() -> Case {
    let mut case = priority_case(
        "voice/priority-released",
        "Released voices keep their channel's priority",
        "A note is not played either when the oscillators of higher channels are only dying away.",
    );
    crowd(&mut case, 0, FIRST, FIRST + 200, LEVEL_2);
    case.note_on(15, LOUD, 127, FIRST + 300, FIRST + 1000);
    case.check(Check::below(T0 + 0.5, T0 + 0.8, ABSENT).component(LOUD_CENTS).of("the note of channel 16"));
    case
}
