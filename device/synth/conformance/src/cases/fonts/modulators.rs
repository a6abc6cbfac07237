//! Modulators: sources, curves, amounts, transforms, links, and how those of several zones combine.

use super::{
    BIPOLAR, CONCAVE, CONVEX, DISTANCE, INVERTED, KEY_NUMBER, LENGTH, LINK, MIDDLE, NONE, SWITCH, TO_LINK, VELOCITY,
    VELOCITY_TO_CUTOFF, by_controller, controller, font, nth, play_controller, play_keys, seconds, within_a_step,
};
use crate::case::{Case, FIRST, KEY, T0, organ_zone};
use crate::expect::{Basis, Check};
use crate::font::{Modulator, Zone, generator as g};

/// The controller of most cases: it has no meaning of its own here.
const CC: u16 = 20;
/// Another one.
const OTHER: u16 = 21;

const SOURCE: u16 = controller(CC);
const SECOND: u16 = controller(OTHER);

/// The concave curve (8.2.4).
fn concave(x: f64) -> f64 {
    (-(5.0 / 12.0) * libm::log10(1.0 - x)).min(1.0)
}

/// Makes the cases of this chapter.
pub(super) fn cases() -> Vec<Case> {
    let pitch = |source: u16, amount: i16| Modulator(source, g::FINE_TUNE, amount, NONE, 0);
    let of = |x: f64| 1200.0 * x;
    vec![
        by_controller(
            (
                "sf2-modulator/linear",
                "A linear source",
                "8.2.4, linear",
                "The amount is multiplied by the value over 128.",
            ),
            &[pitch(SOURCE, 1280)],
            20,
            &[(0, 0.0), (1, 10.0), (64, 640.0), (127, 1270.0)],
        ),
        within_a_step(
            by_controller(
                (
                    "sf2-modulator/inverted",
                    "A source turned round",
                    "8.2.2, direction",
                    "The maximum of the controller is the minimum of the source.",
                ),
                &[pitch(SOURCE | INVERTED, 1280)],
                20,
                &[(0, 1270.0), (63, 640.0), (127, 0.0)],
            ),
            10.5,
        ),
        by_controller(
            (
                "sf2-modulator/bipolar",
                "A bipolar source",
                "8.2.3, polarity",
                "The middle of the controller is 0, its minimum -1.",
            ),
            &[pitch(SOURCE | BIPOLAR, 640)],
            20,
            &[(0, -640.0), (32, -320.0), (64, 0.0), (96, 320.0)],
        ),
        within_a_step(
            by_controller(
                (
                    "sf2-modulator/bipolar-inverted",
                    "A bipolar source turned round",
                    "8.2.2, 8.2.3",
                    "The maximum of the controller is -1.",
                ),
                &[pitch(SOURCE | BIPOLAR | INVERTED, 640)],
                20,
                &[(127, -640.0), (95, -320.0), (31, 320.0)],
            ),
            10.5,
        ),
        by_controller(
            (
                "sf2-modulator/concave",
                "A concave source",
                "8.2.4, concave",
                "The source rises slowly, and then steeply.",
            ),
            &[pitch(SOURCE | CONCAVE, 1200)],
            20,
            &[(0, 0.0), (64, of(concave(64.0 / 127.0))), (100, of(concave(100.0 / 127.0))), (127, 1200.0)],
        ),
        by_controller(
            ("sf2-modulator/convex", "A convex source", "8.2.4, convex", "The source rises steeply, and then slowly."),
            &[pitch(SOURCE | CONVEX, 1200)],
            20,
            &[(0, 0.0), (27, of(1.0 - concave(100.0 / 127.0))), (63, of(1.0 - concave(64.0 / 127.0))), (127, 1200.0)],
        ),
        by_controller(
            ("sf2-modulator/switch", "A switch", "8.2.4, switch", "Below the middle the source is 0, from there on 1."),
            &[pitch(SOURCE | SWITCH, 500)],
            20,
            &[(0, 0.0), (63, 0.0), (64, 500.0), (127, 500.0)],
        ),
        by_controller(
            (
                "sf2-modulator/switch-bipolar",
                "A bipolar switch",
                "8.2.3, 8.2.4",
                "Below the middle the source is -1, from there on 1.",
            ),
            &[pitch(SOURCE | SWITCH | BIPOLAR, 500)],
            20,
            &[(0, -500.0), (63, -500.0), (64, 500.0)],
        ),
        by_controller(
            (
                "sf2-modulator/concave-bipolar",
                "A bipolar concave source",
                "8.2.3, 8.2.4",
                "The curve is the same to both sides of the middle.",
            ),
            &[pitch(SOURCE | CONCAVE | BIPOLAR, 1200)],
            20,
            &[(64, 0.0), (96, of(concave(0.5))), (32, -of(concave(0.5)))],
        )
        .basis(Basis::Optional),
        by_controller(
            (
                "sf2-modulator/negative",
                "A negative amount",
                "8.2, modAmount",
                "A negative amount lowers what it leads to.",
            ),
            &[pitch(SOURCE, -1280)],
            20,
            &[(0, 0.0), (64, -640.0)],
        ),
        of_keys(),
        of_velocity(),
        of_pressure(
            (
                "sf2-modulator/channel-pressure",
                "Channel pressure",
                "8.2.1, 13 channel pressure",
                "Channel pressure is a source.",
            ),
            13,
            |value| vec![0xD0, value],
        ),
        of_pressure(
            (
                "sf2-modulator/poly-pressure",
                "Polyphonic pressure",
                "8.2.1, 10 poly pressure",
                "The pressure of the note's own key is a source.",
            ),
            10,
            |value| vec![0xA0, KEY, value],
        ),
        product(
            (
                "sf2-modulator/two-sources",
                "Two sources",
                "8.2, sfModAmtSrcOper; 9.5",
                "Both sources multiply the amount.",
            ),
            Modulator(SOURCE, g::FINE_TUNE, 1280, SECOND, 0),
            &[(64, 64, 320.0), (64, 0, 0.0), (0, 127, 0.0), (127, 64, 635.0)],
        ),
        product(
            (
                "sf2-modulator/two-sources-bipolar",
                "A bipolar second source",
                "8.2, sfModAmtSrcOper; 8.2.3",
                "The second source has a curve and a polarity, too.",
            ),
            Modulator(SOURCE, g::FINE_TUNE, 1280, SECOND | BIPOLAR, 0),
            &[(64, 0, -640.0), (64, 64, 0.0), (64, 96, 320.0)],
        ),
        by_controller(
            (
                "sf2-modulator/second-source-alone",
                "No first source",
                "8.2.1, 0 no controller",
                "No controller counts as 1.",
            ),
            &[Modulator(NONE, g::FINE_TUNE, 1280, SOURCE, 0)],
            20,
            &[(0, 0.0), (64, 640.0)],
        ),
        by_controller(
            (
                "sf2-modulator/constant",
                "No source at all",
                "8.2.1, 0 no controller",
                "No controllers count as 1: the amount is added.",
            ),
            &[Modulator(NONE, g::FINE_TUNE, 77, NONE, 0)],
            20,
            &[(0, 77.0), (127, 77.0)],
        ),
        by_controller(
            (
                "sf2-modulator/absolute",
                "The absolute value",
                "8.3, 2 absolute value",
                "The absolute value of the product counts.",
            ),
            &[Modulator(SOURCE | BIPOLAR, g::FINE_TUNE, 640, NONE, 2)],
            20,
            &[(0, 640.0), (32, 320.0), (64, 0.0), (96, 320.0)],
        )
        .basis(Basis::Optional),
        by_controller(
            (
                "sf2-modulator/link",
                "A modulator that leads to another",
                "8.2, sfModDestOper; 8.2.1, 127 link; 9.5.4",
                "What a modulator gives is the source of the one to which it leads.",
            ),
            &[Modulator(SOURCE, TO_LINK | 1, 1, NONE, 0), Modulator(LINK, g::FINE_TUNE, 1280, NONE, 0)],
            20,
            &[(0, 0.0), (64, 640.0)],
        )
        .basis(Basis::Optional),
        by_controller(
            (
                "sf2-modulator/link-backwards",
                "A link to a modulator before",
                "8.2, sfModDestOper; 9.5.4",
                "The order of linked modulators in a zone does not matter.",
            ),
            &[Modulator(LINK, g::FINE_TUNE, 1280, NONE, 0), Modulator(SOURCE, TO_LINK, 1, NONE, 0)],
            20,
            &[(0, 0.0), (64, 640.0)],
        )
        .basis(Basis::Optional),
        by_controller(
            (
                "sf2-modulator/link-circle",
                "Links in a circle",
                "9.5.4",
                "Modulators whose links lead in a circle are ignored, and the others count.",
            ),
            &[Modulator(LINK, TO_LINK | 1, 1, NONE, 0), Modulator(LINK, TO_LINK, 1, NONE, 0), pitch(SOURCE, 1280)],
            20,
            &[(0, 0.0), (64, 640.0)],
        ),
        by_controller(
            (
                "sf2-modulator/forbidden-controller",
                "A controller that is forbidden",
                "8.2.1, MIDI controller palette",
                "Bank select, data entry and parameter numbers are no sources: the modulator is ignored.",
            ),
            &[pitch(controller(38), 500), pitch(controller(6), 300), pitch(SOURCE, 1280)],
            20,
            &[(64, 640.0)],
        )
        .before(|case| {
            case.control(200, 6, 100);
            case.control(210, 38, 100);
        }),
        by_controller(
            (
                "sf2-modulator/unknown-source",
                "A source that there is not",
                "8.2.1, general controller palette",
                "A modulator of an unknown source is ignored.",
            ),
            &[pitch(5, 500), pitch(SOURCE, 1280)],
            20,
            &[(64, 640.0)],
        ),
        by_controller(
            (
                "sf2-modulator/unknown-transform",
                "A transform that there is not",
                "8.3",
                "A modulator of an unknown transform is ignored.",
            ),
            &[Modulator(SOURCE, g::FINE_TUNE, 500, NONE, 7), pitch(SOURCE, 1280)],
            20,
            &[(64, 640.0)],
        )
        .basis(Basis::Optional),
        by_controller(
            (
                "sf2-modulator/to-coarse-tune",
                "To coarse tuning",
                "8.1.2, 51 coarseTune",
                "The amount is in the destination's unit: semitones.",
            ),
            &[Modulator(SOURCE, g::COARSE_TUNE, 12, NONE, 0)],
            20,
            &[(0, 0.0), (64, 600.0)],
        ),
        by_controller(
            (
                "sf2-modulator/two-of-one-source",
                "Two modulators of one source",
                "9.5",
                "All that leads to a destination adds up.",
            ),
            &[pitch(SOURCE, 640), Modulator(SOURCE, g::COARSE_TUNE, 4, NONE, 0)],
            20,
            &[(64, 520.0)],
        ),
        while_sounding(),
        global(false),
        global(true),
        preset(true),
        preset(false),
    ]
}

impl Case {
    /// Does something before the notes.
    fn before(mut self, act: impl FnOnce(&mut Self)) -> Self {
        act(&mut self);
        self
    }
}

fn of_keys() -> Case {
    let mut case = font(("sf2-modulator/key", "The key", "8.2.1, 3 note-on key number", "The note's key is a source."));
    case.preset_with(0, &[(g::SCALE_TUNING, 0)], &[Modulator(KEY_NUMBER, g::FINE_TUNE, 1280, NONE, 0)]);
    play_keys(&mut case, &[(60, 600.0), (30, 300.0), (100, 1000.0)]);
    case
}

fn of_velocity() -> Case {
    let mut case =
        font(("sf2-modulator/velocity", "Velocity", "8.2.1, 2 note-on velocity", "The note's velocity is a source."));
    let open = Modulator(VELOCITY_TO_CUTOFF.0, VELOCITY_TO_CUTOFF.1, 0, NONE, 0);
    case.preset_with(0, &[], &[Modulator(VELOCITY, g::FINE_TUNE, 1280, NONE, 0), open]);
    case.choose(0, 0);
    for (i, velocity) in [127u8, 64, 100].into_iter().enumerate() {
        let on = nth(i, DISTANCE);
        case.note(KEY, velocity, on, on + LENGTH);
        let expected = 10.0 * f64::from(velocity);
        case.check(Check::pitch(seconds(on + MIDDLE), expected).of(format!("velocity {velocity}")));
    }
    case
}

fn of_pressure(about: super::About, source: u16, message: impl Fn(u8) -> Vec<u8>) -> Case {
    let mut case = font(about);
    // Without the vibrato that pressure opens by itself.
    let still = Modulator(0x000D, g::VIB_LFO_TO_PITCH, 0, NONE, 0);
    case.preset_with(0, &[], &[Modulator(source, g::FINE_TUNE, 1280, NONE, 0), still]);
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 1000);
    case.check(Check::pitch(T0 + 0.15, 0.0).of("without pressure"));
    case.score.at(FIRST + 300, &message(64));
    case.check(Check::pitch(T0 + 0.5, 640.0).of("pressure 64"));
    case.score.at(FIRST + 650, &message(100));
    case.check(Check::pitch(T0 + 0.85, 1000.0).of("pressure 100"));
    case
}

fn product(about: super::About, modulator: Modulator, points: &[(u8, u8, f64)]) -> Case {
    let mut case = font(about);
    case.preset_with(0, &[], &[modulator]);
    case.choose(0, 0);
    for (i, (first, second, cents)) in points.iter().enumerate() {
        let on = nth(i, DISTANCE);
        case.control(on - 30, CC as u8, *first);
        case.control(on - 30, OTHER as u8, *second);
        case.note(KEY, 127, on, on + LENGTH);
        case.check(Check::pitch(seconds(on + MIDDLE), *cents).of(format!("{first} and {second}")));
    }
    case
}

fn while_sounding() -> Case {
    let mut case = font((
        "sf2-modulator/while-sounding",
        "A controller moves while a note sounds",
        "9.5, real-time controllers",
        "A note follows the controllers of its modulators.",
    ));
    case.preset_with(0, &[], &[Modulator(SOURCE, g::FINE_TUNE, 1280, NONE, 0)]);
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 900);
    case.check(Check::pitch(T0 + 0.15, 0.0));
    case.control(FIRST + 300, CC as u8, 40);
    case.check(Check::pitch(T0 + 0.45, 400.0));
    case.control(FIRST + 600, CC as u8, 90);
    case.check(Check::pitch(T0 + 0.75, 900.0));
    case
}

/// A global zone's modulator, and a zone's own of the same kind.
fn global(is_replaced: bool) -> Case {
    let mut case = font(if is_replaced {
        (
            "sf2-modulator/global-replaced",
            "A zone's modulator replaces the global one",
            "7.8, global zone; 9.5.1",
            "A zone's modulator takes the place of an identical one of the global zone.",
        )
    } else {
        (
            "sf2-modulator/global",
            "A global modulator",
            "7.8, global zone; 9.5.1",
            "The modulators of an instrument's global zone count in its other zones.",
        )
    });
    let of = |amount| Modulator(SOURCE, g::FINE_TUNE, amount, NONE, 0);
    let mut zone = Zone::of_sample(&organ_zone(&[]), 0);
    if is_replaced {
        zone.modulators.push(of(320));
    }
    case.preset_of(0, vec![Zone::global(&[], &[of(1280)]), zone]);
    let at_64 = if is_replaced { 160.0 } else { 640.0 };
    play_controller(&mut case, CC as u8, &[(0, 0.0), (64, at_64)]);
    case
}

/// A preset's modulator, of the kind of the instrument's or of another.
fn preset(is_same: bool) -> Case {
    let mut case = font(if is_same {
        (
            "sf2-modulator/preset-adds",
            "A preset's modulator adds to the instrument's",
            "9.5.2",
            "The amount of a preset's modulator is added to that of an identical one of the instrument.",
        )
    } else {
        (
            "sf2-modulator/preset-own",
            "A preset's own modulator",
            "9.5.2",
            "A preset's modulator counts where the instrument has no identical one.",
        )
    });
    let of = |source, amount| Modulator(source, g::FINE_TUNE, amount, NONE, 0);
    case.preset_with(0, &[], &[of(if is_same { SOURCE } else { SECOND }, 640)]);
    let preset = case.font_mut().presets.last_mut().expect("just put there");
    preset.zones[0].modulators.push(of(SOURCE, 320));
    play_controller(&mut case, CC as u8, &[(0, 0.0), (64, if is_same { 480.0 } else { 160.0 })]);
    case
}
