//! The low-frequency oscillators, heard as pitch and level.

use super::{About, NONE, VELOCITY_TO_CUTOFF, font};
use crate::case::{Case, FIRST, KEY, T0, curve};
use crate::expect::Check;
use crate::font::{Generator, Modulator, frequency, generator as g, time};

/// Makes the cases of this chapter.
pub(super) fn cases() -> Vec<Case> {
    vec![
        moving(
            (
                "sf2-oscillator/triangle",
                "A triangle",
                "8.1.2, 21 delayModLFO; 9.1.6",
                "The oscillator begins with an upward ramp from 0, and is a triangle.",
            ),
            &[(g::MOD_LFO_TO_PITCH, 400), (g::MOD_LFO_FREQUENCY, frequency(1.0))],
            &[(0.125, 200.0), (0.25, 400.0), (0.375, 200.0), (0.5, 0.0), (0.625, -200.0), (0.75, -400.0)],
            24.0,
        ),
        moving(
            (
                "sf2-oscillator/vibrato-triangle",
                "A triangle of vibrato",
                "8.1.2, 23 delayVibLFO; 9.1.6",
                "The vibrato oscillator begins with an upward ramp from 0, and is a triangle.",
            ),
            &[(g::VIB_LFO_TO_PITCH, 400), (g::VIB_LFO_FREQUENCY, frequency(1.0))],
            &[(0.125, 200.0), (0.25, 400.0), (0.5, 0.0), (0.75, -400.0)],
            24.0,
        ),
        rate(
            ("sf2-oscillator/frequency-default", "The default frequency", "8.1.3, 22 freqModLFO", "0 is 8.176 Hz."),
            &[(g::MOD_LFO_TO_PITCH, 100)],
            8.176,
        ),
        rate(
            (
                "sf2-oscillator/frequency",
                "The frequency",
                "8.1.2, 22 freqModLFO",
                "The frequency is in absolute cents.",
            ),
            &[(g::MOD_LFO_TO_PITCH, 100), (g::MOD_LFO_FREQUENCY, frequency(4.0))],
            4.0,
        ),
        rate(
            (
                "sf2-oscillator/vibrato-frequency",
                "The frequency of vibrato",
                "8.1.2, 24 freqVibLFO",
                "The frequency is in absolute cents.",
            ),
            &[(g::VIB_LFO_TO_PITCH, 100), (g::VIB_LFO_FREQUENCY, frequency(6.0))],
            6.0,
        ),
        delayed(
            (
                "sf2-oscillator/delay",
                "Delay",
                "8.1.2, 21 delayModLFO",
                "The oscillator is at 0 until the delay has passed, and begins then.",
            ),
            &[(g::MOD_LFO_TO_PITCH, 300), (g::MOD_LFO_FREQUENCY, frequency(1.0)), (g::MOD_LFO_DELAY, time(0.4))],
        ),
        delayed(
            (
                "sf2-oscillator/vibrato-delay",
                "Delay of vibrato",
                "8.1.2, 23 delayVibLFO",
                "The vibrato is at 0 until the delay has passed, and begins then.",
            ),
            &[(g::VIB_LFO_TO_PITCH, 300), (g::VIB_LFO_FREQUENCY, frequency(1.0)), (g::VIB_LFO_DELAY, time(0.4))],
        ),
        moving(
            (
                "sf2-oscillator/negative",
                "A negative depth",
                "8.1.2, 5 modLfoToPitch",
                "With a negative depth the pitch falls first.",
            ),
            &[(g::MOD_LFO_TO_PITCH, -400), (g::MOD_LFO_FREQUENCY, frequency(1.0))],
            &[(0.25, -400.0), (0.75, 400.0)],
            24.0,
        ),
        volume(),
        moving(
            ("sf2-oscillator/both", "Both oscillators", "8.1.2, 5, 6; 9.1.6", "Both move the pitch at once."),
            &[
                (g::MOD_LFO_TO_PITCH, 200),
                (g::MOD_LFO_FREQUENCY, frequency(1.0)),
                (g::VIB_LFO_TO_PITCH, 100),
                (g::VIB_LFO_FREQUENCY, frequency(0.5)),
            ],
            &[(0.25, 250.0), (0.5, 100.0), (0.75, -150.0), (1.25, 150.0)],
            24.0,
        ),
        each_note(),
        opened(
            (
                "sf2-oscillator/wheel-opens-vibrato",
                "The modulation wheel opens the vibrato",
                "8.4.4, controller 1 to vibrato",
                "Controller 1 adds up to 50 cents of vibrato.",
            ),
            |case, value| case.control(500, 1, value),
        ),
        opened(
            (
                "sf2-oscillator/pressure-opens-vibrato",
                "Pressure opens the vibrato",
                "8.4.3, channel pressure to vibrato",
                "Channel pressure adds up to 50 cents of vibrato.",
            ),
            |case, value| case.score.at(500, &[0xD0, value]),
        ),
    ]
}

fn moving(about: About, zone: &[Generator], points: &[(f64, f64)], tolerance: f64) -> Case {
    let mut case = font(about);
    case.preset(0, zone);
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 1400);
    for (after, cents) in points {
        case.check(Check::moving_pitch(T0 + after, *cents, tolerance).of(format!("{} ms", (after * 1000.0).round())));
    }
    case
}

fn rate(about: About, zone: &[Generator], hertz: f64) -> Case {
    let mut case = font(about);
    case.preset(0, zone);
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 2200);
    case.check(Check::pitch_rate(T0 + 0.05, T0 + 2.1, hertz));
    case
}

fn delayed(about: About, zone: &[Generator]) -> Case {
    let mut case = moving(about, zone, &[(0.525, 150.0), (0.65, 300.0), (1.15, -300.0)], 24.0);
    case.checks(Check::still(T0 + 0.05, T0 + 0.36, 0.0));
    case
}

fn volume() -> Case {
    let mut case = font((
        "sf2-oscillator/volume",
        "To the volume",
        "8.1.2, 13 modLfoToVolume",
        "With 100 the level first rises by 10 dB, and then falls by 10 dB.",
    ));
    // A soft note, so that there is room for what rises; its cutoff stays open.
    let open = Modulator(VELOCITY_TO_CUTOFF.0, VELOCITY_TO_CUTOFF.1, 0, NONE, 0);
    case.preset_with(0, &[(g::MOD_LFO_TO_VOLUME, 100), (g::MOD_LFO_FREQUENCY, frequency(1.0))], &[open]);
    case.choose(0, 0);
    case.note(KEY, 40, FIRST, FIRST + 1000);
    for (after, decibels) in [(0.125, 5.0), (0.25, 10.0), (0.5, 0.0), (0.625, -5.0), (0.75, -10.0)] {
        case.check(Check::level(T0 + after, curve(40) + decibels).of(format!("{} ms", after * 1000.0)));
    }
    case
}

fn each_note() -> Case {
    let mut case = font((
        "sf2-oscillator/each-note",
        "Each note begins its oscillator",
        "8.1.2, 21 delayModLFO",
        "The delay, and the ramp behind it, begin with the note.",
    ));
    case.preset(0, &[(g::MOD_LFO_TO_PITCH, 300), (g::MOD_LFO_FREQUENCY, frequency(1.0))]);
    case.choose(0, 0);
    for on in [FIRST, FIRST + 730] {
        case.note(KEY, 127, on, on + 500);
        case.check(Check::moving_pitch(f64::from(on) / 1000.0 + 0.25, 300.0, 24.0).of(format!("note at {on} ms")));
    }
    case
}

/// Makes a case of a vibrato of 50 cents that a controller opens.
fn opened(about: About, open: impl Fn(&mut Case, u8)) -> Case {
    let mut case = font(about);
    case.preset(0, &[(g::VIB_LFO_FREQUENCY, frequency(2.0))]);
    case.choose(0, 0);
    open(&mut case, 127);
    case.note(KEY, 127, FIRST, FIRST + 1200);
    let reach = 50.0 * 127.0 / 128.0;
    case.checks(Check::pitches(T0 + 0.05, T0 + 1.15, (-reach, reach), 3.0));
    case
}
