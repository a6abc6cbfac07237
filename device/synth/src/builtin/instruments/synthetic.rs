//! Synthesizer leads, pads and effects: programs 80 to 103.

use super::super::recipe::{Layer, Recipe, Sound};
use super::super::spectra::{breathy, drawbars, ensemble, knocked, modes, plain, pulse, saw, string};
use super::super::tone::BRIGHT;
use super::keyboards::tine;
use super::orchestra::{choir, section, super_saw};
use super::plucked::steel_string;
use super::shorthand::{one, recipe, sound};

fn saw_lead() -> Sound {
    sound("Saw", &[48, 64, 80], 0.0, 0.05, |f| plain(saw(f, 0.0))).at(BRIGHT)
}

fn square_lead() -> Sound {
    sound("Square", &[48, 64, 80], 0.0, 0.05, |f| plain(pulse(f, 0.5, 0.0))).at(BRIGHT)
}

/// Returns the recipe of a synthesizer lead, programs 80 to 87.
pub(super) fn lead(number: u8) -> Recipe {
    let steady = [0.004, 1.0, 1.0, 0.12];
    match number {
        80 => one(
            "Lead 1 (square)",
            Layer::new(square_lead(), steady).filter(3500.0, 0.0, 1500.0, 300.0).vibrato(7.0, 5.8, 0.3),
        ),
        81 => recipe(
            "Lead 2 (sawtooth)",
            vec![
                Layer::new(saw_lead(), steady).filter(3800.0, 1.0, 1500.0, 300.0).detune(-6.0),
                Layer::new(saw_lead(), steady).filter(3800.0, 1.0, 1500.0, 300.0).detune(6.0),
            ],
        ),
        82 => one(
            "Lead 3 (calliope)",
            Layer::new(
                sound("Calliope", &[64], 0.0, 0.3, |f| {
                    breathy(drawbars(&[(1.0, 1.0), (2.0, 0.4), (3.0, 0.1), (4.0, 0.12)]), 0.3, f, 6000.0)
                }),
                [0.03, 1.0, 1.0, 0.12],
            )
            .vibrato(6.0, 5.8, 0.2),
        ),
        83 => one(
            "Lead 4 (chiff)",
            Layer::new(
                sound("Chiff", &[64], 0.14, 0.1, |f| {
                    let mut partials = pulse(f, 0.5, 4.0);
                    partials.extend(modes(&[(2.0, 0.8, 18.0), (3.0, 0.7, 16.0), (5.0, 0.4, 22.0)]));
                    knocked(partials, 0.6, 1500.0, 7000.0, 40.0)
                }),
                steady,
            ),
        ),
        84 => one(
            "Lead 5 (charang)",
            Layer::new(
                sound("Charang", &[56], 0.11, 0.1, |f| plain(string(f, 0.11, 9000.0, (0.2, 0.05), 0.0))),
                steady,
            )
            .filter(3000.0, 6.0, 1800.0, 300.0)
            .sweep(1500.0, [0.0, 0.4, 0.2, 0.1]),
        ),
        85 => one(
            "Lead 6 (voice)",
            Layer::new(choir(), [0.03, 1.0, 1.0, 0.2]).filter(3000.0, 2.0, 1500.0, 200.0).vibrato(12.0, 5.6, 0.2),
        ),
        86 => recipe(
            "Lead 7 (fifths)",
            vec![
                Layer::new(saw_lead(), steady).filter(3000.0, 1.0, 1500.0, 300.0),
                Layer::new(saw_lead(), steady).filter(3000.0, 1.0, 1500.0, 300.0).detune(702.0).gain(-2.0),
            ],
        ),
        _ => recipe(
            "Lead 8 (bass + lead)",
            vec![
                Layer::new(saw_lead(), steady).filter(2400.0, 4.0, 1500.0, 300.0).sweep(1500.0, [0.0, 0.5, 0.2, 0.1]),
                Layer::new(square_lead(), steady).filter(1200.0, 0.0, 1000.0, 300.0).detune(-1200.0),
            ],
        ),
    }
}

/// Returns the recipe of a synthesizer pad, programs 88 to 95.
pub(super) fn pad(number: u8) -> Recipe {
    let slow = [0.6, 1.0, 1.0, 1.2];
    match number {
        88 => recipe(
            "Pad 1 (new age)",
            vec![
                Layer::new(tine(), [0.0, 14.0, 0.0, 1.0]).gain(-2.0),
                Layer::new(section(), [0.5, 1.0, 1.0, 1.2]).filter(1300.0, 0.0, 800.0, 200.0).gain(-3.0),
            ],
        ),
        89 => one("Pad 2 (warm)", Layer::new(super_saw(), slow).filter(700.0, 0.0, 900.0, 400.0)),
        90 => one(
            "Pad 3 (polysynth)",
            Layer::new(super_saw(), [0.01, 6.0, 0.6, 0.5])
                .filter(1100.0, 4.0, 1600.0, 300.0)
                .sweep(1900.0, [0.0, 0.9, 0.2, 0.5]),
        ),
        91 => one("Pad 4 (choir)", Layer::new(choir(), [0.4, 1.0, 1.0, 1.0]).filter(2200.0, 0.0, 900.0, 200.0)),
        92 => one(
            "Pad 5 (bowed)",
            Layer::new(
                sound("Bowed Glass", &[60], 0.0, 0.56, |f| {
                    let glass = drawbars(&[(1.0, 1.0), (2.32, 0.3), (3.0, 0.15), (4.25, 0.2), (6.63, 0.08)]);
                    breathy(ensemble(&glass, &[-6.0, 6.0]), 0.02, 2.0 * f, 8000.0)
                }),
                [0.7, 1.0, 1.0, 1.5],
            ),
        ),
        93 => one(
            "Pad 6 (metallic)",
            Layer::new(metal(), [0.3, 1.0, 1.0, 1.2])
                .filter(2200.0, 4.0, 1200.0, 200.0)
                .sweep(1200.0, [1.2, 3.0, 0.3, 1.0]),
        ),
        94 => one(
            "Pad 7 (halo)",
            Layer::new(choir(), [0.9, 1.0, 1.0, 1.6])
                .filter(900.0, 9.0, 800.0, 200.0)
                .sweep(1800.0, [2.5, 4.0, 0.3, 2.0]),
        ),
        _ => one(
            "Pad 8 (sweep)",
            Layer::new(super_saw(), [0.5, 1.0, 1.0, 1.4])
                .filter(350.0, 9.0, 800.0, 200.0)
                .sweep(4200.0, [2.2, 5.0, 0.2, 1.5]),
        ),
    }
}

fn metal() -> Sound {
    sound("Metal", &[60], 0.0, 0.48, |_| {
        plain(drawbars(&[
            (1.0, 1.0),
            (1.41, 0.3),
            (2.01, 0.6),
            (2.76, 0.4),
            (3.98, 0.3),
            (5.4, 0.3),
            (7.13, 0.2),
            (8.93, 0.15),
        ]))
    })
}

/// Returns the recipe of a synthesizer effect, programs 96 to 103.
pub(super) fn effect(number: u8) -> Recipe {
    match number {
        96 => recipe(
            "FX 1 (rain)",
            vec![
                Layer::new(glass_bell(), [0.0, 6.0, 0.0, 1.5]),
                Layer::new(glass_bell(), [0.0, 5.0, 0.0, 1.5]).detune(704.0).gain(-7.0).tremolo(8.0, 7.0),
            ],
        ),
        97 => one(
            "FX 2 (soundtrack)",
            Layer::new(super_saw(), [0.8, 1.0, 1.0, 1.6])
                .filter(500.0, 4.0, 1000.0, 300.0)
                .sweep(2400.0, [1.6, 4.0, 0.4, 2.0]),
        ),
        98 => one("FX 3 (crystal)", Layer::new(glass_bell(), [0.0, 7.0, 0.0, 1.8])),
        99 => recipe(
            "FX 4 (atmosphere)",
            vec![
                Layer::new(steel_string(), [0.0, 9.0, 0.0, 1.0]),
                Layer::new(choir(), [0.5, 1.0, 1.0, 1.2]).filter(1300.0, 0.0, 800.0, 200.0).gain(-4.0),
            ],
        ),
        100 => recipe(
            "FX 5 (brightness)",
            vec![
                Layer::new(glass_bell(), [0.0, 8.0, 0.0, 1.2]),
                Layer::new(super_saw(), [0.05, 1.0, 1.0, 0.9]).filter(3600.0, 2.0, 1200.0, 200.0).gain(-4.0),
            ],
        ),
        101 => one(
            "FX 6 (goblins)",
            Layer::new(metal(), [0.9, 1.0, 1.0, 1.6])
                .filter(500.0, 12.0, 1000.0, 200.0)
                .sweep(3600.0, [2.5, 5.0, 0.1, 2.0])
                .vibrato(25.0, 3.1, 0.4),
        ),
        102 => recipe(
            "FX 7 (echoes)",
            vec![
                Layer::new(square_lead(), [0.0, 3.0, 0.0, 1.0]).filter(1500.0, 3.0, 1800.0, 300.0).pan(-0.2),
                Layer::new(saw_lead(), [0.25, 5.0, 0.0, 1.2])
                    .filter(1000.0, 3.0, 1500.0, 300.0)
                    .pan(0.2)
                    .gain(-4.0)
                    .tremolo(5.0, 4.0),
            ],
        ),
        _ => one(
            "FX 8 (sci-fi)",
            Layer::new(metal(), [0.02, 9.0, 0.3, 1.5])
                .vibrato(40.0, 6.5, 0.0)
                .filter(1800.0, 9.0, 1500.0, 200.0)
                .sweep(2400.0, [0.4, 2.0, 0.1, 1.0]),
        ),
    }
}

fn glass_bell() -> Sound {
    sound("Glass Bell", &[72], 0.29, 0.15, |f| {
        let partials =
            modes(&[(1.0, 1.0, 1.0), (2.0, 0.3, 1.4), (3.01, 0.4, 2.0), (5.43, 0.35, 4.0), (8.1, 0.15, 7.0)]);
        knocked(partials, 0.05, f, 9000.0, 90.0)
    })
    .at(BRIGHT)
}
