//! Pianos, struck bars and bells, organs: programs 0 to 23.

use super::super::recipe::{Layer, Recipe, Sound};
use super::super::spectra::{breathy, drawbars, ensemble, harmonics, knocked, modes, plain, string, voiced};
use super::super::tone::{BRIGHT, Partial};
use super::shorthand::{one, recipe, sound};

/// Makes three strings a key, struck by a hammer.
fn grand() -> Sound {
    sound("Piano", &[33, 48, 62, 77], 0.4, 0.12, |f| {
        let soft = 900.0 + 2.2 * f;
        let mut partials = string(f, 0.12, soft, (0.5, 0.22), 0.000_35);
        let second = ensemble(&partials, &[1.6]);
        partials.extend(second.into_iter().map(|p| Partial {
            amplitude: p.amplitude * 0.6,
            decay: p.decay * 0.6,
            ..p
        }));
        knocked(partials, 0.55, 250.0, 1800.0, 45.0)
    })
}

/// Returns the recipe of a piano, programs 0 to 7.
pub(super) fn piano(number: u8) -> Recipe {
    let voiced = |cutoff: f64, resonance: f64| {
        Layer::new(grand(), [0.0, 36.0, 0.0, 0.45]).decay_by_key(-3900.0).filter(cutoff, resonance, 4200.0, 350.0)
    };
    let hammered = |cutoff: f64| voiced(cutoff, 0.0);
    match number {
        0 => one("Acoustic Grand Piano", hammered(480.0)),
        1 => one("Bright Acoustic Piano", voiced(1100.0, 6.0)),
        2 => recipe(
            "Electric Grand Piano",
            vec![hammered(1200.0).tremolo(1.0, 4.4), Layer::new(tine(), [0.0, 9.0, 0.0, 0.4]).gain(-5.0)],
        ),
        3 => recipe("Honky-tonk Piano", vec![hammered(1500.0).detune(-9.0), hammered(1500.0).detune(9.0)]),
        4 => one(
            "Electric Piano 1",
            Layer::new(tine(), [0.0, 11.0, 0.0, 0.4])
                .decay_by_key(-2400.0)
                .filter(900.0, 0.0, 4500.0, 500.0)
                .tremolo(1.8, 4.8),
        ),
        5 => one(
            "Electric Piano 2",
            Layer::new(
                sound("FM Piano", &[50, 72], 0.25, 0.12, |f| {
                    let mut partials = modes(&[
                        (1.0, 1.0, 0.6),
                        (2.0, 0.22, 1.2),
                        (3.0, 0.10, 2.0),
                        (4.0, 0.16, 1.8),
                        (5.0, 0.05, 3.0),
                        (13.0, 0.14, 7.0),
                        (14.0, 0.24, 6.0),
                        (15.0, 0.12, 7.0),
                    ]);
                    let copy = ensemble(&partials, &[4.0]);
                    partials.extend(copy);
                    knocked(partials, 0.1, f, 4000.0, 60.0)
                }),
                [0.0, 10.0, 0.0, 0.5],
            )
            .decay_by_key(-2400.0)
            .filter(1800.0, 0.0, 4200.0, 400.0),
        ),
        6 => one(
            "Harpsichord",
            Layer::new(
                sound("Harpsichord", &[48, 67], 0.23, 0.1, |f| {
                    let mut partials = string(f, 0.09, 9000.0, (0.9, 0.11), 0.000_05);
                    // The four-foot register.
                    let upper: Vec<Partial> = partials
                        .iter()
                        .map(|p| Partial { ratio: p.ratio * 2.0, amplitude: p.amplitude * 0.5, ..*p })
                        .collect();
                    partials.extend(upper);
                    knocked(partials, 0.5, 2000.0, 7000.0, 90.0)
                })
                .at(BRIGHT),
                [0.0, 12.0, 0.0, 0.25],
            )
            .decay_by_key(-2400.0),
        ),
        _ => one(
            "Clavinet",
            Layer::new(
                sound("Clavinet", &[43, 60], 0.18, 0.08, |f| {
                    let partials = string(f, 0.06, 5000.0, (1.5, 0.3), 0.000_02);
                    knocked(partials, 0.3, 800.0, 5000.0, 120.0)
                }),
                [0.0, 6.0, 0.0, 0.12],
            )
            .filter(1300.0, 6.0, 4000.0, 500.0)
            .sweep(1600.0, [0.0, 0.5, 0.0, 0.2]),
        ),
    }
}

/// Makes a struck tine before a pick-up.
pub(super) fn tine() -> Sound {
    sound("Tine", &[45, 65], 0.29, 0.12, |f| {
        let partials = modes(&[
            (1.0, 1.0, 0.5),
            (2.0, 0.34, 1.0),
            (3.0, 0.12, 2.4),
            (4.0, 0.05, 3.5),
            (7.2, 0.10, 9.0),
            (14.6, 0.08, 14.0),
        ]);
        knocked(partials, 0.18, f * 0.8, 2600.0, 70.0)
    })
}

/// Returns the recipe of a chromatic percussion instrument, programs 8 to 15.
pub(super) fn chromatic_percussion(number: u8) -> Recipe {
    let bell = |name, roots: &'static [u8], head, list: &'static [(f64, f64, f64)], envelope, knock| {
        Layer::new(sound(name, roots, head, 0.08, move |f| knocked(modes(list), knock, f, 9000.0, 120.0)), envelope)
            .decay_by_key(-1200.0)
    };
    match number {
        8 => one(
            "Celesta",
            bell(
                "Celesta",
                &[72],
                0.26,
                &[(1.0, 1.0, 1.5), (2.0, 0.12, 2.0), (4.0, 0.30, 5.0), (9.2, 0.10, 14.0)],
                [0.0, 6.0, 0.0, 0.8],
                0.15,
            ),
        ),
        9 => one(
            "Glockenspiel",
            bell(
                "Glockenspiel",
                &[84],
                0.3,
                &[(1.0, 1.0, 1.0), (2.76, 0.45, 4.0), (5.4, 0.22, 9.0)],
                [0.0, 7.0, 0.0, 1.6],
                0.2,
            ),
        ),
        10 => one(
            "Music Box",
            bell(
                "Music Box",
                &[76],
                0.3,
                &[(1.0, 1.0, 1.3), (2.0, 0.25, 2.0), (3.0, 0.12, 3.0), (5.8, 0.30, 5.0), (6.3, 0.2, 7.0)],
                [0.0, 6.0, 0.0, 1.6],
                0.25,
            ),
        ),
        11 => one(
            "Vibraphone",
            bell(
                "Vibraphone",
                &[65],
                0.3,
                &[(1.0, 1.0, 0.5), (4.0, 0.25, 2.5), (10.0, 0.06, 9.0)],
                [0.0, 11.0, 0.0, 1.4],
                0.06,
            )
            .tremolo(3.0, 5.6),
        ),
        12 => one(
            "Marimba",
            bell(
                "Marimba",
                &[48, 67],
                0.17,
                &[(1.0, 1.0, 4.0), (3.93, 0.28, 12.0), (9.6, 0.10, 30.0)],
                [0.0, 2.2, 0.0, 0.7],
                0.2,
            ),
        ),
        13 => one(
            "Xylophone",
            bell(
                "Xylophone",
                &[72],
                0.15,
                &[(1.0, 1.0, 6.0), (3.0, 0.5, 10.0), (6.1, 0.3, 16.0), (9.8, 0.15, 30.0)],
                [0.0, 1.5, 0.0, 0.5],
                0.35,
            ),
        ),
        14 => one(
            "Tubular Bells",
            bell(
                "Tubular Bells",
                &[60],
                0.52,
                &[
                    (0.5, 0.25, 0.6),
                    (1.0, 0.7, 0.8),
                    (1.5, 0.35, 1.4),
                    (2.0, 1.0, 0.9),
                    (2.74, 0.5, 1.7),
                    (3.76, 0.35, 2.4),
                    (4.9, 0.2, 4.0),
                    (6.2, 0.12, 5.0),
                ],
                [0.0, 11.0, 0.0, 3.0],
                0.1,
            ),
        ),
        _ => one(
            "Dulcimer",
            Layer::new(
                sound("Dulcimer", &[62], 0.22, 0.1, |f| {
                    let partials = ensemble(&string(f, 0.17, 5000.0, (1.0, 0.35), 0.000_08), &[-5.0, 5.0]);
                    knocked(partials, 0.6, 900.0, 5000.0, 80.0)
                }),
                [0.0, 6.0, 0.0, 1.2],
            ),
        ),
    }
}

/// Returns the recipe of an organ, programs 16 to 23.
pub(super) fn organ(number: u8) -> Recipe {
    let steady = [0.006, 1.0, 1.0, 0.06];
    match number {
        16 => one(
            "Drawbar Organ",
            Layer::new(
                sound("Drawbars", &[48, 66], 0.0, 0.08, |_| {
                    plain(drawbars(&[
                        (0.5, 0.8),
                        (1.5, 0.7),
                        (1.0, 0.9),
                        (2.0, 0.5),
                        (3.0, 0.2),
                        (4.0, 0.25),
                        (8.0, 0.12),
                    ]))
                }),
                steady,
            )
            .vibrato(7.0, 6.4, 0.0)
            .tremolo(0.8, 6.4),
        ),
        17 => one(
            "Percussive Organ",
            Layer::new(
                sound("Percussive Organ", &[48, 66], 0.18, 0.06, |_| {
                    let mut partials = drawbars(&[(0.5, 0.8), (1.0, 0.8), (1.5, 0.7)]);
                    partials.extend(modes(&[(3.0, 0.9, 14.0), (2.0, 0.4, 12.0)]));
                    knocked(partials, 0.25, 1500.0, 6000.0, 200.0)
                }),
                steady,
            ),
        ),
        18 => one(
            "Rock Organ",
            Layer::new(
                sound("Rock Organ", &[48, 66], 0.0, 0.08, |f| {
                    // Overdriven: the drawbars' sums and differences come along.
                    let mut partials = drawbars(&[
                        (0.5, 0.9),
                        (1.0, 0.9),
                        (1.5, 0.8),
                        (2.0, 0.7),
                        (3.0, 0.5),
                        (4.0, 0.5),
                        (5.0, 0.3),
                        (6.0, 0.3),
                        (8.0, 0.35),
                    ]);
                    partials.extend(harmonics(f * 0.5, 24, |n| 0.25 / n));
                    plain(partials)
                }),
                steady,
            )
            .vibrato(12.0, 6.9, 0.0)
            .tremolo(1.6, 6.9),
        ),
        19 => one(
            "Church Organ",
            Layer::new(
                sound("Church Organ", &[45, 66], 0.0, 0.32, |f| {
                    let pipes = drawbars(&[
                        (0.5, 0.5),
                        (1.0, 1.0),
                        (2.0, 0.8),
                        (3.0, 0.28),
                        (4.0, 0.6),
                        (6.0, 0.2),
                        (8.0, 0.35),
                        (12.0, 0.12),
                        (16.0, 0.1),
                    ]);
                    breathy(ensemble(&pipes, &[-3.5, 3.5]), 0.05, f, 4000.0)
                }),
                [0.06, 1.0, 1.0, 0.5],
            ),
        ),
        20 => one(
            "Reed Organ",
            Layer::new(
                sound("Reed Organ", &[58], 0.0, 0.25, |f| {
                    let reed = voiced(f, 1.0, 0.25, &[(900.0, 500.0, 1.0), (2600.0, 900.0, 0.5)]);
                    plain(ensemble(&reed, &[-5.0, 5.0]))
                }),
                [0.08, 1.0, 1.0, 0.12],
            ),
        ),
        21 | 23 => one(
            if number == 21 { "Accordion" } else { "Tango Accordion" },
            Layer::new(
                sound("Accordion", &[50, 68], 0.0, 0.4, |f| {
                    let reed = voiced(f, -1.0, 0.3, &[(1300.0, 700.0, 1.0), (3200.0, 1200.0, 0.7)]);
                    plain(ensemble(&reed, &[-9.0, 0.0, 9.0]))
                }),
                [0.04, 1.0, 1.0, 0.09],
            )
            .filter(if number == 21 { 5200.0 } else { 1400.0 }, 0.0, 1200.0, 300.0),
        ),
        _ => one(
            "Harmonica",
            Layer::new(
                sound("Harmonica", &[67], 0.0, 0.25, |f| {
                    breathy(voiced(f, -1.0, 0.15, &[(1500.0, 600.0, 1.0), (3100.0, 700.0, 0.9)]), 0.05, 1200.0, 5000.0)
                }),
                [0.05, 1.0, 1.0, 0.09],
            )
            .vibrato(6.0, 5.0, 0.5)
            .tremolo(1.5, 5.0),
        ),
    }
}
