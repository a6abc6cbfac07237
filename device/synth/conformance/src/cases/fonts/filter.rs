//! The filter, heard as the response to an impulse.

use super::{About, NONE, VELOCITY_TO_CUTOFF, controller, seconds};
use crate::case::{Case, FIRST, KEY, curve};
use crate::expect::Check;
use crate::font::{Generator, Modulator, frequency, generator as g};

/// Tolerance in dB: other topologies than a pole pair have other slopes far above the cutoff.
const DECIBELS: f64 = 1.5;

/// Where the pass band is measured, in Hz.
const PASS: f64 = 120.0;

/// Distance of impulses in ms.
const DISTANCE: u32 = 500;

/// Makes the cases of this chapter.
pub(super) fn cases() -> Vec<Case> {
    let hertz = |hertz: f64| (g::CUTOFF, frequency(hertz));
    let swings = |depth: (u16, i16)| [(g::CUTOFF, frequency(1000.0)), depth];
    vec![
        impulses(
            (
                "sf2-filter/open",
                "Open",
                "8.1.2, 8 initialFilterFc; 8.1.3",
                "At 13500 and without resonance the filter changes nothing.",
            ),
            &[(&[(g::CUTOFF, 13_500)], &[(PASS, 0.0), (1000.0, 0.0), (8000.0, 0.0)])],
        ),
        impulses(
            (
                "sf2-filter/cutoff",
                "Cutoff",
                "8.1.2, 8 initialFilterFc, 9 initialFilterQ",
                "Without resonance the response at the cutoff is 3 dB down, without a hump below.",
            ),
            &[
                (&[hertz(500.0)], &[(PASS, 0.0), (500.0, -3.0)]),
                (&[hertz(1000.0)], &[(PASS, 0.0), (1000.0, -3.0)]),
                (&[hertz(3000.0)], &[(PASS, 0.0), (1000.0, 0.0), (3000.0, -3.0)]),
            ],
        ),
        impulses(
            (
                "sf2-filter/slope",
                "Slope",
                "8.1.2, 8 initialFilterFc",
                "Above the cutoff the response falls by 12 dB an octave.",
            ),
            &[(&[hertz(500.0)], &[(1000.0, -12.3), (2000.0, -24.1), (4000.0, -36.1)])],
        ),
        impulses(
            (
                "sf2-filter/cutoff-sum",
                "Cutoffs add up",
                "9.4; 8.1.2, 8 initialFilterFc",
                "A preset's cutoff moves the instrument's.",
            ),
            &[(&[hertz(500.0)], &[(PASS, 0.0), (1000.0, -3.0)])],
        )
        .changed(|case| {
            let preset = case.font_mut().presets.last_mut().expect("it has one");
            preset.zones[0].generators.insert(0, (g::CUTOFF, 1200));
        }),
        peaks(
            (
                "sf2-filter/resonance",
                "Resonance",
                "8.1.2, 9 initialFilterQ",
                "The peak is as many tenths of a decibel above the level at 0 Hz as the resonance says.",
            ),
            &[100, 200],
        ),
        passes(
            (
                "sf2-filter/resonance-lowers",
                "Resonance lowers the pass band",
                "8.1.2, 9 initialFilterQ",
                "The level at 0 Hz is half the resonance below full level.",
            ),
            &[60, 100, 200],
        ),
        passes_open(),
        impulses(
            (
                "sf2-filter/envelope",
                "The envelope moves the cutoff",
                "8.1.2, 11 modEnvToFilterFc",
                "The modulation envelope at its top moves the cutoff by the depth.",
            ),
            &[
                (&swings((g::MOD_ENV_TO_CUTOFF, 1200)), &[(PASS, 0.0), (2000.0, -3.0)]),
                (&swings((g::MOD_ENV_TO_CUTOFF, -1200)), &[(500.0, -3.0), (1000.0, -12.3)]),
            ],
        ),
        by_velocity(
            (
                "sf2-filter/velocity",
                "Velocity lowers the cutoff",
                "8.4.2, velocity to filter cutoff",
                "A soft note's cutoff is lower, by 2400 cents at most.",
            ),
            &[],
            |velocity| -2400.0 * (127.0 - f64::from(velocity)) / 128.0,
        ),
        by_velocity(
            (
                "sf2-filter/velocity-removed",
                "Velocity without effect on the cutoff",
                "8.4.2; 9.5.1",
                "A zone's modulator takes the place of the default one.",
            ),
            &[Modulator(VELOCITY_TO_CUTOFF.0, VELOCITY_TO_CUTOFF.1, 0, NONE, 0)],
            |_| 0.0,
        ),
        by_controller(
            (
                "sf2-filter/controller",
                "A controller moves the cutoff",
                "8.2.1; 8.1.2, 8 initialFilterFc",
                "A zone's modulator moves the cutoff by its amount.",
            ),
            &[hertz(1000.0)],
            Modulator(controller(74), g::CUTOFF, 2400, NONE, 0),
            &[(0, PASS, 0.0), (0, 1000.0, -3.0), (64, 2000.0, -3.0)],
        ),
        by_controller(
            (
                "sf2-filter/controller-to-resonance",
                "A controller raises the resonance",
                "8.2.1; 8.1.2, 9 initialFilterQ",
                "The resonance is a destination of modulators.",
            ),
            &[hertz(1000.0)],
            Modulator(controller(71), g::Q, 200, NONE, 0),
            &[(0, PASS, 0.0), (64, PASS, -5.0)],
        ),
    ]
}

impl Case {
    /// Changes a case.
    fn changed(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

type Response<'a> = (&'a [Generator], &'a [(f64, f64)]);

fn impulses(about: About, responses: &[Response<'_>]) -> Case {
    let mut case = impulse_font(about);
    for (i, (zone, points)) in responses.iter().enumerate() {
        case.preset(i as u16, zone);
        let on = FIRST + i as u32 * DISTANCE;
        case.choose(on - 30, i as u8);
        case.note(KEY, 127, on, on + 300);
        for (hertz, decibels) in *points {
            let check = Check::response(seconds(on), *hertz, *decibels, DECIBELS);
            case.check(check.of(format!("program {i}, {hertz} Hz")));
        }
    }
    case
}

fn impulse_font((id, title, source, rule): About) -> Case {
    Case::of_font_impulses(id, title, source, rule)
}

fn peaks(about: About, resonances: &[i16]) -> Case {
    let mut case = impulse_font(about);
    for (i, q) in resonances.iter().enumerate() {
        case.preset(i as u16, &[(g::CUTOFF, frequency(1000.0)), (g::Q, *q)]);
        let on = FIRST + i as u32 * DISTANCE;
        case.choose(on - 30, i as u8);
        case.note(KEY, 127, on, on + 300);
        // Half of it over full level, since the pass band is half of it below.
        let check = Check::peak(seconds(on), 1000.0, f64::from(*q) / 20.0, DECIBELS);
        case.check(check.of(format!("resonance {q}")));
    }
    case
}

fn passes(about: About, resonances: &[i16]) -> Case {
    let mut case = impulse_font(about);
    for (i, q) in resonances.iter().enumerate() {
        case.preset(i as u16, &[(g::CUTOFF, frequency(2000.0)), (g::Q, *q)]);
        let on = FIRST + i as u32 * DISTANCE;
        case.choose(on - 30, i as u8);
        case.note(KEY, 127, on, on + 300);
        case.check(Check::response(seconds(on), PASS, -f64::from(*q) / 20.0, 1.0).of(format!("resonance {q}")));
    }
    case
}

fn passes_open() -> Case {
    let mut case = impulse_font((
        "sf2-filter/resonance-when-open",
        "Resonance at the highest cutoff",
        "8.1.2, 9 initialFilterQ",
        "Only without resonance the filter at 20 kHz changes nothing: with it the level is lowered all the same.",
    ));
    case.preset(0, &[(g::CUTOFF, 13_500), (g::Q, 120)]);
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 300);
    case.check(Check::response(seconds(FIRST), 500.0, -6.0, 1.0));
    case
}

fn by_velocity(about: About, modulators: &[Modulator], cents: fn(u8) -> f64) -> Case {
    let mut case = impulse_font(about);
    case.preset_with(0, &[(g::CUTOFF, frequency(2000.0))], modulators);
    case.choose(0, 0);
    for (i, velocity) in [127u8, 64].into_iter().enumerate() {
        let on = FIRST + i as u32 * DISTANCE;
        case.note(KEY, velocity, on, on + 300);
        let level = curve(velocity);
        let cutoff = 2000.0 * (cents(velocity) / 1200.0).exp2();
        case.check(Check::response(seconds(on), PASS, level, DECIBELS).of(format!("velocity {velocity}, pass band")));
        let at_cutoff = Check::response(seconds(on), cutoff, level - 3.0, DECIBELS);
        case.check(at_cutoff.of(format!("velocity {velocity}, cutoff")));
    }
    case
}

fn by_controller(about: About, zone: &[Generator], modulator: Modulator, points: &[(u8, f64, f64)]) -> Case {
    let mut case = impulse_font(about);
    case.preset_with(0, zone, &[modulator]);
    case.choose(0, 0);
    let number = (modulator.0 & 0x7F) as u8;
    for (i, (value, hertz, decibels)) in points.iter().enumerate() {
        let on = FIRST + i as u32 * DISTANCE;
        case.control(on - 30, number, *value);
        case.note(KEY, 127, on, on + 300);
        let check = Check::response(seconds(on), *hertz, *decibels, DECIBELS);
        case.check(check.of(format!("CC{number} = {value}, {hertz} Hz")));
    }
    case
}
