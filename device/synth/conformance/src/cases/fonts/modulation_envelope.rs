//! The modulation envelope, heard as pitch.

use super::{About, font};
use crate::case::{Case, FIRST, KEY, T0};
use crate::expect::Check;
use crate::font::{Generator, generator as g, time};

/// Where the envelope reaches, in cents.
const REACH: i16 = 1200;

/// Tolerance in cents: half a per cent of that.
const CENTS: f64 = 6.0;

/// Returns the convex curve (8.2.4).
fn convex(x: f64) -> f64 {
    (1.0 + (5.0 / 12.0) * libm::log10(x)).max(0.0)
}

/// Makes the cases of this chapter.
pub(super) fn cases() -> Vec<Case> {
    let reach = (g::MOD_ENV_TO_PITCH, REACH);
    let at = |x: f64| f64::from(REACH) * convex(x);
    vec![
        note(
            ("sf2-modulation-envelope/attack", "Attack", "8.1.2, 26 attackModEnv", "The attack is convex."),
            &[(g::MOD_ENV_ATTACK, time(0.8)), reach],
            1200,
            &[(0.08, at(0.1)), (0.2, at(0.25)), (0.4, at(0.5)), (0.6, at(0.75)), (0.9, 1200.0)],
        ),
        note(
            (
                "sf2-modulation-envelope/delay",
                "Delay",
                "8.1.2, 25 delayModEnv",
                "The envelope is at 0 until the delay has passed.",
            ),
            &[(g::MOD_ENV_DELAY, time(0.3)), reach],
            800,
            &[(0.1, 0.0), (0.27, 0.0), (0.4, 1200.0)],
        ),
        note(
            (
                "sf2-modulation-envelope/hold",
                "Hold",
                "8.1.2, 27 holdModEnv",
                "The envelope stays at its top for the hold.",
            ),
            &[(g::MOD_ENV_HOLD, time(0.4)), (g::MOD_ENV_DECAY, time(0.4)), (g::MOD_ENV_SUSTAIN, 1000), reach],
            1000,
            &[(0.2, 1200.0), (0.37, 1200.0), (0.6, 600.0), (0.9, 0.0)],
        ),
        note(
            (
                "sf2-modulation-envelope/decay",
                "Decay",
                "8.1.2, 28 decayModEnv",
                "The decay is linear, and its time is that for a change from the top to 0.",
            ),
            &[(g::MOD_ENV_DECAY, time(0.8)), (g::MOD_ENV_SUSTAIN, 1000), reach],
            1200,
            &[(0.2, 900.0), (0.4, 600.0), (0.6, 300.0), (0.9, 0.0)],
        ),
        note(
            (
                "sf2-modulation-envelope/sustain",
                "Sustain",
                "8.1.2, 29 sustainModEnv",
                "The sustain level is the decrease from the top in tenths of a per cent.",
            ),
            &[(g::MOD_ENV_DECAY, time(0.4)), (g::MOD_ENV_SUSTAIN, 250), reach],
            800,
            &[(0.05, 1050.0), (0.3, 900.0), (0.7, 900.0)],
        ),
        note(
            (
                "sf2-modulation-envelope/release",
                "Release",
                "8.1.2, 30 releaseModEnv",
                "The release is linear from the level at which the note ends, and its time is that from the top to 0.",
            ),
            &[
                (g::RELEASE, time(20.0)),
                (g::MOD_ENV_DECAY, time(0.1)),
                (g::MOD_ENV_SUSTAIN, 500),
                (g::MOD_ENV_RELEASE, time(0.8)),
                reach,
            ],
            400,
            &[(0.35, 600.0), (0.5, 450.0), (0.6, 300.0), (0.9, 0.0)],
        ),
        note(
            ("sf2-modulation-envelope/negative", "Downwards", "8.1.2, 7 modEnvToPitch", "A negative depth bends down."),
            &[(g::MOD_ENV_DECAY, time(0.8)), (g::MOD_ENV_SUSTAIN, 1000), (g::MOD_ENV_TO_PITCH, -REACH)],
            1000,
            &[(0.2, -900.0), (0.6, -300.0)],
        ),
        by_key(
            (
                "sf2-modulation-envelope/key-to-hold",
                "The key shortens the hold",
                "8.1.2, 31 keynumToModEnvHold",
                "100 halves the hold an octave up from key 60.",
            ),
            &[
                (g::MOD_ENV_HOLD, time(0.2)),
                (g::KEY_TO_MOD_ENV_HOLD, 100),
                (g::MOD_ENV_DECAY, time(0.4)),
                (g::MOD_ENV_SUSTAIN, 1000),
                reach,
            ],
            &[(60, 0.4, 600.0), (72, 0.3, 600.0), (48, 0.6, 600.0)],
        ),
        by_key(
            (
                "sf2-modulation-envelope/key-to-decay",
                "The key shortens the decay",
                "8.1.2, 32 keynumToModEnvDecay",
                "100 halves the decay an octave up from key 60.",
            ),
            &[(g::MOD_ENV_DECAY, time(0.4)), (g::KEY_TO_MOD_ENV_DECAY, 100), (g::MOD_ENV_SUSTAIN, 1000), reach],
            &[(60, 0.2, 600.0), (72, 0.1, 600.0), (48, 0.4, 600.0)],
        ),
        note(
            (
                "sf2-modulation-envelope/preset-adds",
                "A preset's depth adds",
                "9.4; 8.1.2, 7 modEnvToPitch",
                "A preset's depth is added to the instrument's.",
            ),
            &[(g::MOD_ENV_HOLD, time(10.0)), reach],
            600,
            &[(0.3, 900.0)],
        )
        .also(|case| {
            let preset = case.font_mut().presets.last_mut().expect("it has one");
            preset.zones[0].generators.insert(0, (g::MOD_ENV_TO_PITCH, -300));
        }),
    ]
}

impl Case {
    /// Changes a case.
    fn also(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

fn note(about: About, zone: &[Generator], length: u32, points: &[(f64, f64)]) -> Case {
    let mut case = font(about);
    case.preset(0, zone);
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + length);
    for (after, cents) in points {
        case.check(Check::moving_pitch(T0 + after, *cents, CENTS).of(format!("{} ms", (after * 1000.0).round())));
    }
    case
}

fn by_key(about: About, zone: &[Generator], points: &[(u8, f64, f64)]) -> Case {
    let mut case = font(about);
    case.preset(0, zone);
    case.choose(0, 0);
    for (i, (key, after, cents)) in points.iter().enumerate() {
        let on = FIRST + i as u32 * 1000;
        case.note(*key, 127, on, on + 800);
        let cents = 100.0 * (f64::from(*key) - 60.0) + cents;
        case.check(Check::moving_pitch(f64::from(on) / 1000.0 + after, cents, CENTS).of(format!("key {key}")));
    }
    case
}
