//! SoundFont 2.04: what its generators, modulators, zones and samples must sound like.

mod filter;
mod gain;
mod modulation_envelope;
mod modulators;
mod oscillators;
mod pitch;
mod presets;
mod samples;
mod volume_envelope;
mod zones;

use crate::case::{Case, KEY, nth, seconds};
use crate::expect::Check;
use crate::font::{Generator, Modulator};

/// Distance of notes, how long each is, and where in it is measured, in ms.
const DISTANCE: u32 = 400;
const LENGTH: u32 = 300;
const MIDDLE: u32 = 180;

/// No source of a modulator.
const NONE: u16 = 0;

/// Returns the source of a controller, straight up.
const fn controller(number: u16) -> u16 {
    0x80 | number
}

/// Velocity, straight up.
const VELOCITY: u16 = 2;
/// The key, straight up.
const KEY_NUMBER: u16 = 3;
/// The bits of a source that turn it round, make it bipolar, and bend it.
const INVERTED: u16 = 0x100;
const BIPOLAR: u16 = 0x200;
const CONCAVE: u16 = 0x400;
const CONVEX: u16 = 0x800;
const SWITCH: u16 = 0xC00;
/// The source of a modulator that others lead to, and the bit of a destination that is one.
const LINK: u16 = 127;
const TO_LINK: u16 = 0x8000;

/// Default modulators (8.4), without their amounts.
const VELOCITY_TO_ATTENUATION: (u16, u16) = (0x0502, 48);
const VELOCITY_TO_CUTOFF: (u16, u16) = (0x0102, 8);

/// Returns the cases of this chapter.
pub(super) fn cases() -> Vec<Case> {
    [
        presets::cases(),
        zones::cases(),
        samples::cases(),
        pitch::cases(),
        gain::cases(),
        volume_envelope::cases(),
        modulation_envelope::cases(),
        oscillators::cases(),
        filter::cases(),
        modulators::cases(),
    ]
    .concat()
}

/// What a case is: name, title, place in the specification, rule.
type About = (&'static str, &'static str, &'static str, &'static str);

fn font((id, title, source, rule): About) -> Case {
    Case::of_font(id, title, source, rule)
}

/// Makes a case of one zone, whose keys must have these pitches.
fn keys(about: About, zone: &[Generator], pitches: &[(u8, f64)]) -> Case {
    let mut case = font(about);
    case.preset(0, zone);
    play_keys(&mut case, pitches);
    case
}

/// Plays keys of program 0, which must have these pitches.
fn play_keys(case: &mut Case, pitches: &[(u8, f64)]) {
    case.choose(0, 0);
    for (i, (key, cents)) in pitches.iter().enumerate() {
        let on = nth(i, DISTANCE);
        case.note(*key, 127, on, on + LENGTH);
        case.check(Check::pitch(seconds(on + MIDDLE), *cents).of(format!("key {key}")));
    }
}

/// Plays velocities of program 0, which must have these levels.
fn play_velocities(case: &mut Case, levels: &[(u8, f64)]) {
    case.choose(0, 0);
    for (i, (velocity, decibels)) in levels.iter().enumerate() {
        let on = nth(i, DISTANCE);
        case.note(KEY, *velocity, on, on + LENGTH);
        case.check(Check::steady(seconds(on + MIDDLE), *decibels).of(format!("velocity {velocity}")));
    }
}

/// Plays a note of program 0 after each value of a controller, which must have these pitches.
fn play_controller(case: &mut Case, number: u8, pitches: &[(u8, f64)]) {
    case.choose(0, 0);
    for (i, (value, cents)) in pitches.iter().enumerate() {
        let on = nth(i, DISTANCE);
        case.control(on - 30, number, *value);
        case.note(KEY, 127, on, on + LENGTH);
        case.check(Check::pitch(seconds(on + MIDDLE), *cents).of(format!("CC{number} = {value}")));
    }
}

/// Lets every pitch of a case be a step of the controller from the one that it must have: whether a source that is turned
/// round ends at 0 or a step above it is read both ways (8.2.2).
fn within_a_step(mut case: Case, cents: f64) -> Case {
    case.loosen(cents);
    case
}

/// Makes a case of modulators of one zone, by the pitches that a controller leads to.
fn by_controller(about: About, modulators: &[Modulator], number: u8, pitches: &[(u8, f64)]) -> Case {
    let mut case = font(about);
    case.preset_with(0, &[], modulators);
    play_controller(&mut case, number, pitches);
    case
}
