//! The volume envelope, heard as level.

use super::{About, NONE, font};
use crate::case::{Case, FIRST, KEY, T0};
use crate::expect::Check;
use crate::font::{Generator, Modulator, generator as g, time};

/// Makes the cases of this chapter.
pub(super) fn cases() -> Vec<Case> {
    // One second for the whole of 100 dB.
    let long = (g::RELEASE, time(4.0));
    vec![
        note(
            (
                "sf2-volume-envelope/stages",
                "All stages",
                "8.1.2, 33 to 38; 9.1.7",
                "Delay, attack, hold, decay, sustain and release follow each other.",
            ),
            &[
                (g::DELAY, time(0.1)),
                (g::ATTACK, time(0.2)),
                (g::HOLD, time(0.1)),
                (g::DECAY, time(1.0)),
                (g::SUSTAIN, 300),
                (g::RELEASE, time(1.0)),
            ],
            1000,
            &[
                (0.2, -6.02),
                (0.25, -2.5),
                (0.35, 0.0),
                (0.5, -10.0),
                (0.6, -20.0),
                (0.9, -30.0),
                (1.1, -40.0),
                (1.3, -60.0),
            ],
        ),
        silent_until(
            (
                "sf2-volume-envelope/delay",
                "Delay",
                "8.1.2, 33 delayVolEnv",
                "Nothing is heard until the delay has passed, and then the attack begins.",
            ),
            &[(g::DELAY, time(0.2))],
            0.19,
            0.22,
        ),
        note(
            (
                "sf2-volume-envelope/attack",
                "Attack",
                "8.1.2, 34 attackVolEnv",
                "The attack is convex in decibels: linear in amplitude.",
            ),
            &[(g::ATTACK, time(0.8)), long],
            1000,
            &[(0.08, -20.0), (0.2, -12.04), (0.4, -6.02), (0.6, -2.5), (0.9, 0.0)],
        ),
        note(
            (
                "sf2-volume-envelope/hold",
                "Hold",
                "8.1.2, 35 holdVolEnv",
                "The level stays full for the time of the hold, and then decays.",
            ),
            &[(g::HOLD, time(0.4)), (g::DECAY, time(0.5)), (g::SUSTAIN, 1000)],
            900,
            &[(0.2, 0.0), (0.38, 0.0), (0.5, -20.0), (0.6, -40.0)],
        ),
        note(
            (
                "sf2-volume-envelope/decay",
                "Decay",
                "8.1.2, 36 decayVolEnv",
                "The decay is linear in decibels, and its time is that for a change of 100 dB.",
            ),
            &[(g::DECAY, time(1.0)), (g::SUSTAIN, 1000)],
            1200,
            &[(0.1, -10.0), (0.3, -30.0), (0.5, -50.0), (0.7, -70.0)],
        ),
        note(
            (
                "sf2-volume-envelope/sustain",
                "Sustain",
                "8.1.2, 37 sustainVolEnv",
                "The sustain level is in tenths of a decibel below full level.",
            ),
            &[(g::DECAY, time(0.5)), (g::SUSTAIN, 120)],
            800,
            &[(0.03, -6.0), (0.1, -12.0), (0.6, -12.0)],
        ),
        note(
            (
                "sf2-volume-envelope/sustain-full",
                "Sustain at full level",
                "8.1.2, 37 sustainVolEnv",
                "A sustain level of 0 implies that there is no decay, whatever its time.",
            ),
            &[(g::DECAY, time(0.2)), (g::SUSTAIN, 0)],
            800,
            &[(0.1, 0.0), (0.6, 0.0)],
        ),
        silence(
            (
                "sf2-volume-envelope/sustain-none",
                "Sustain at no level",
                "8.1.2, 37 sustainVolEnv",
                "1000 is full attenuation: the note ends.",
            ),
            &[(g::DECAY, time(0.2)), (g::SUSTAIN, 1000)],
            800,
            0.3,
            0.7,
        ),
        note(
            (
                "sf2-volume-envelope/release",
                "Release",
                "8.1.2, 38 releaseVolEnv",
                "The release is linear in decibels, and its time is that for a change of 100 dB.",
            ),
            &[(g::RELEASE, time(1.0))],
            300,
            &[(0.2, 0.0), (0.4, -10.0), (0.6, -30.0), (0.8, -50.0)],
        ),
        note(
            (
                "sf2-volume-envelope/release-from-sustain",
                "Release from the sustain level",
                "8.1.2, 38 releaseVolEnv",
                "The release goes on from the level at which the note ends.",
            ),
            &[(g::DECAY, time(0.1)), (g::SUSTAIN, 300), (g::RELEASE, time(1.0))],
            400,
            &[(0.3, -30.0), (0.5, -40.0), (0.7, -60.0)],
        ),
        note(
            (
                "sf2-volume-envelope/release-in-attack",
                "Release in the attack",
                "8.1.2, 38 releaseVolEnv; 9.1.7",
                "A note that ends in the attack is released from the level reached.",
            ),
            &[(g::ATTACK, time(1.0)), (g::RELEASE, time(1.0))],
            500,
            &[(0.48, -6.4), (0.6, -16.0), (0.8, -36.0)],
        ),
        note(
            (
                "sf2-volume-envelope/release-in-decay",
                "Release in the decay",
                "8.1.2, 38 releaseVolEnv; 9.1.7",
                "A note that ends in the decay is released from the level reached, at the pace of the release.",
            ),
            &[(g::DECAY, time(2.0)), (g::SUSTAIN, 1000), (g::RELEASE, time(0.5))],
            400,
            &[(0.39, -19.5), (0.5, -40.0), (0.6, -60.0)],
        ),
        silence(
            (
                "sf2-volume-envelope/release-in-delay",
                "Release in the delay",
                "8.1.2, 33, 38; 9.1.7",
                "A note that ends in the delay is never heard.",
            ),
            &[(g::DELAY, time(0.4)), (g::RELEASE, time(1.0))],
            200,
            0.0,
            0.8,
        ),
        note(
            (
                "sf2-volume-envelope/release-default",
                "The default release",
                "8.1.3, 38 releaseVolEnv",
                "Without a release of its own a note is over almost at once: -12000 is 1 ms.",
            ),
            &[(g::RELEASE, -12_000)],
            300,
            &[(0.28, 0.0)],
        )
        .with(|case| case.check(Check::below(T0 + 0.33, T0 + 0.6, -80.0))),
        by_key(
            (
                "sf2-volume-envelope/key-to-hold",
                "The key shortens the hold",
                "8.1.2, 39 keynumToVolEnvHold",
                "100 halves the hold an octave up from key 60, and doubles it an octave down.",
            ),
            &[(g::HOLD, time(0.2)), (g::KEY_TO_HOLD, 100), (g::DECAY, time(0.5)), (g::SUSTAIN, 1000)],
            &[(60, 0.3, -20.0), (72, 0.2, -20.0), (48, 0.5, -20.0)],
        ),
        by_key(
            (
                "sf2-volume-envelope/key-to-decay",
                "The key shortens the decay",
                "8.1.2, 40 keynumToVolEnvDecay",
                "100 halves the decay an octave up from key 60, and doubles it an octave down.",
            ),
            &[(g::DECAY, time(1.0)), (g::KEY_TO_DECAY, 100), (g::SUSTAIN, 1000)],
            &[(60, 0.3, -30.0), (72, 0.3, -60.0), (48, 0.4, -20.0)],
        ),
        by_key(
            (
                "sf2-volume-envelope/key-to-decay-negative",
                "The key lengthens the decay",
                "8.1.2, 40 keynumToVolEnvDecay",
                "A negative amount makes higher keys decay more slowly.",
            ),
            &[(g::DECAY, time(1.0)), (g::KEY_TO_DECAY, -100), (g::SUSTAIN, 1000)],
            &[(60, 0.3, -30.0), (72, 0.4, -20.0), (48, 0.3, -60.0)],
        ),
        by_key(
            (
                "sf2-volume-envelope/forced-key-to-decay",
                "The zone's own key decays",
                "8.1.2, 40 keynumToVolEnvDecay; 46 keynum",
                "The zone's key counts in place of the note's for times, too.",
            ),
            &[(g::KEY, 72), (g::DECAY, time(1.0)), (g::KEY_TO_DECAY, 100), (g::SUSTAIN, 1000)],
            &[(60, 0.3, -60.0), (40, 0.3, -60.0)],
        ),
        note(
            (
                "sf2-volume-envelope/preset-adds",
                "A preset's times are factors",
                "9.4; 8.1.2, 36 decayVolEnv",
                "A preset's time cents are added to the instrument's: 1200 doubles the time.",
            ),
            &[(g::DECAY, time(0.5)), (g::SUSTAIN, 1000)],
            900,
            &[(0.2, -20.0), (0.4, -40.0)],
        )
        .with(|case| {
            let preset = case.font_mut().presets.last_mut().expect("it has one");
            preset.zones[0].generators.insert(0, (g::DECAY, 1200));
        }),
        modulated(
            (
                "sf2-volume-envelope/velocity-to-attack",
                "Velocity shortens the attack",
                "8.2; 9.5; 8.1.2, 34 attackVolEnv",
                "Times are destinations of modulators.",
            ),
            Modulator(super::VELOCITY, g::ATTACK, -2400, NONE, 0),
            time(0.8),
        ),
    ]
}

/// Makes a note of program 0 that lasts so many ms, and has these levels so long after its beginning.
fn note(about: About, zone: &[Generator], length: u32, points: &[(f64, f64)]) -> Case {
    let mut case = font(about);
    case.preset(0, zone);
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + length);
    for (after, decibels) in points {
        case.check(Check::level(T0 + after, *decibels).of(format!("{} ms", (after * 1000.0).round())));
    }
    case
}

impl Case {
    /// Adds to a case.
    fn with(mut self, add: impl FnOnce(&mut Self)) -> Self {
        add(&mut self);
        self
    }
}

fn silent_until(about: About, zone: &[Generator], until: f64, from: f64) -> Case {
    note(about, zone, 600, &[(from + 0.05, 0.0)]).with(|case| case.check(Check::silent(T0, T0 + until)))
}

fn silence(about: About, zone: &[Generator], length: u32, from: f64, until: f64) -> Case {
    note(about, zone, length, &[]).with(|case| case.check(Check::silent(T0 + from, T0 + until)))
}

/// Plays keys, each of which must have a level so long after its beginning.
fn by_key(about: About, zone: &[Generator], points: &[(u8, f64, f64)]) -> Case {
    let mut case = font(about);
    case.preset(0, zone);
    case.choose(0, 0);
    for (i, (key, after, decibels)) in points.iter().enumerate() {
        let on = FIRST + i as u32 * 1000;
        case.note(*key, 127, on, on + 800);
        case.check(Check::level(f64::from(on) / 1000.0 + after, *decibels).of(format!("key {key}")));
    }
    case
}

fn modulated(about: About, modulator: Modulator, attack: i16) -> Case {
    let mut case = font(about);
    // Level and cutoff do not follow velocity here.
    let (velocity, attenuation) = super::VELOCITY_TO_ATTENUATION;
    let (also, cutoff) = super::VELOCITY_TO_CUTOFF;
    let still = [Modulator(velocity, attenuation, 0, NONE, 0), Modulator(also, cutoff, 0, NONE, 0)];
    case.preset_with(0, &[(g::ATTACK, attack)], &[still[0], still[1], modulator]);
    case.choose(0, 0);
    // 64 of 128 of -2400: half the time.
    for (i, (velocity, time)) in [(64u8, 0.4), (32, 0.8 * 0.5f64.sqrt())].into_iter().enumerate() {
        let on = FIRST + i as u32 * 1200;
        case.note(KEY, velocity, on, on + 1000);
        let begins = f64::from(on) / 1000.0;
        case.check(Check::level(begins + 0.5 * time, -6.02).of(format!("velocity {velocity}, half way")));
        case.check(Check::level(begins + 0.25 * time, -12.04).of(format!("velocity {velocity}, a quarter")));
    }
    case
}
