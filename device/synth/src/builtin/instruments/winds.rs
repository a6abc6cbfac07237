//! Brass, reeds and pipes: programs 56 to 79.

use super::super::recipe::{Layer, Recipe};
use super::super::spectra::{breathy, drawbars, harmonics, plain, voiced};
use super::super::tone::{BRIGHT, DARK, Partial};
use super::orchestra::super_saw;
use super::shorthand::{one, recipe, sound};

/// Returns the recipe of a brass instrument, programs 56 to 63.
pub(super) fn brass(number: u8) -> Recipe {
    let horn = |name, roots: &'static [u8], tilt: f64, bumps: &'static [(f64, f64, f64)]| {
        sound(name, roots, 0.0, 0.1, move |f| plain(voiced(f, tilt, 0.3, bumps)))
    };
    let blown = |sound, attack: f64, cutoff: f64, sweep: f64| {
        Layer::new(sound, [attack, 1.0, 1.0, 0.12])
            .filter(cutoff, 0.0, 1500.0, 300.0)
            .sweep(sweep, [attack * 1.6, 1.2, 0.55, 0.2])
            .vibrato(6.0, 5.2, 0.6)
    };
    let trumpet = || horn("Trumpet", &[58, 70, 82], -2.0, &[(1200.0, 700.0, 1.0), (2500.0, 1200.0, 0.6)]);
    match number {
        56 => one("Trumpet", blown(trumpet(), 0.025, 1300.0, 2900.0)),
        57 => one(
            "Trombone",
            blown(horn("Trombone", &[46, 60], -1.0, &[(600.0, 400.0, 1.0), (1500.0, 700.0, 0.4)]), 0.04, 750.0, 2700.0),
        ),
        58 => one(
            "Tuba",
            blown(
                horn("Tuba", &[34, 48], 1.0, &[(260.0, 220.0, 1.0), (700.0, 400.0, 0.3)]).at(DARK),
                0.05,
                420.0,
                2200.0,
            ),
        ),
        59 => one(
            "Muted Trumpet",
            blown(
                horn("Muted Trumpet", &[60, 74], -3.0, &[(1800.0, 350.0, 1.2), (3600.0, 900.0, 0.8)]).at(BRIGHT),
                0.02,
                2800.0,
                1800.0,
            ),
        ),
        60 => one(
            "French Horn",
            blown(
                horn("French Horn", &[48, 63], 2.5, &[(420.0, 250.0, 1.0), (900.0, 400.0, 0.3)]),
                0.06,
                650.0,
                2300.0,
            ),
        ),
        61 => recipe(
            "Brass Section",
            vec![
                blown(trumpet(), 0.035, 1200.0, 2700.0).detune(7.0).pan(0.12),
                blown(
                    horn("Trombone", &[46, 60], -1.0, &[(600.0, 400.0, 1.0), (1500.0, 700.0, 0.4)]),
                    0.045,
                    1100.0,
                    2600.0,
                )
                .detune(-7.0)
                .pan(-0.12),
            ],
        ),
        62 => one("Synth Brass 1", blown(super_saw(), 0.03, 700.0, 3200.0)),
        _ => one("Synth Brass 2", blown(super_saw(), 0.06, 450.0, 2900.0)),
    }
}

/// Returns the recipe of a reed instrument, programs 64 to 71.
pub(super) fn reed(number: u8) -> Recipe {
    let sax = |name, roots: &'static [u8], bumps: &'static [(f64, f64, f64)]| {
        sound(name, roots, 0.0, 0.2, move |f| {
            let mut partials = voiced(f, 0.5, 0.3, bumps);
            // A conical bore: all harmonics, the second a little ahead.
            if let Some(second) = partials.get_mut(1) {
                second.amplitude *= 1.6;
            }
            breathy(partials, 0.04, 1000.0, 6000.0)
        })
    };
    let blown = |sound, attack: f64| {
        Layer::new(sound, [attack, 1.0, 1.0, 0.09])
            .filter(1600.0, 0.0, 2600.0, 350.0)
            .sweep(1200.0, [attack * 1.5, 1.0, 0.6, 0.1])
            .vibrato(9.0, 5.3, 0.35)
    };
    match number {
        64 => one("Soprano Sax", blown(sax("Soprano Sax", &[68], &[(900.0, 450.0, 1.0), (2300.0, 800.0, 0.6)]), 0.03)),
        65 => one(
            "Alto Sax",
            blown(sax("Alto Sax", &[56, 70], &[(650.0, 350.0, 1.0), (1600.0, 600.0, 0.6), (3000.0, 700.0, 0.3)]), 0.03),
        ),
        66 => one(
            "Tenor Sax",
            blown(
                sax("Tenor Sax", &[48, 63], &[(500.0, 280.0, 1.0), (1250.0, 500.0, 0.6), (2700.0, 700.0, 0.35)]),
                0.035,
            ),
        ),
        67 => one(
            "Baritone Sax",
            blown(
                sax("Baritone Sax", &[40, 55], &[(210.0, 130.0, 1.0), (600.0, 220.0, 0.9), (1450.0, 450.0, 0.3)])
                    .at(DARK),
                0.04,
            ),
        ),
        68 => one(
            "Oboe",
            blown(
                sound("Oboe", &[67], 0.0, 0.1, |f| {
                    plain(voiced(f, -1.5, 0.12, &[(1150.0, 350.0, 1.2), (3000.0, 600.0, 0.8)]))
                }),
                0.035,
            )
            .vibrato(9.0, 5.5, 0.3),
        ),
        69 => one(
            "English Horn",
            blown(
                sound("English Horn", &[62], 0.0, 0.1, |f| {
                    plain(voiced(f, -1.0, 0.15, &[(850.0, 300.0, 1.2), (2100.0, 500.0, 0.5)]))
                }),
                0.045,
            )
            .vibrato(8.0, 5.2, 0.3),
        ),
        70 => one(
            "Bassoon",
            blown(
                sound("Bassoon", &[43, 58], 0.0, 0.1, |f| {
                    plain(voiced(f, 0.5, 0.15, &[(460.0, 150.0, 1.3), (1150.0, 300.0, 0.5)]))
                })
                .at(DARK),
                0.04,
            )
            .vibrato(5.0, 5.0, 0.5),
        ),
        _ => one(
            "Clarinet",
            // A cylindrical bore: odd harmonics.
            blown(
                sound("Clarinet", &[52, 67, 82], 0.0, 0.15, |f| {
                    let partials = harmonics(f, 30, |n| {
                        let even = if (n as u32).is_multiple_of(2) { 0.08 + 0.02 * n } else { 1.0 };
                        even * libm::pow(n, -1.15)
                    });
                    breathy(partials, 0.012, 1500.0, 5000.0)
                }),
                0.035,
            )
            .vibrato(0.0, 5.0, 0.5),
        ),
    }
}

/// Returns the recipe of a pipe, programs 72 to 79.
pub(super) fn pipe(number: u8) -> Recipe {
    let flute = |name, roots: &'static [u8], overtones: &'static [f64], breath: f64| {
        sound(name, roots, 0.08, 0.3, move |f| {
            let partials = overtones
                .iter()
                .enumerate()
                .map(|(i, a)| Partial { rise: 0.05, ..Partial::steady(i as f64 + 1.0, *a) });
            breathy(partials.collect(), breath, 0.9 * f, (3.5 * f).min(8000.0))
        })
    };
    let blown =
        |sound, attack: f64| Layer::new(sound, [attack, 1.0, 1.0, 0.12]).vibrato(8.0, 5.2, 0.35).tremolo(0.9, 5.2);
    match number {
        72 => one("Piccolo", blown(flute("Piccolo", &[79], &[1.0, 0.35, 0.12, 0.05], 0.10), 0.03)),
        73 => one("Flute", blown(flute("Flute", &[62, 77], &[1.0, 0.55, 0.25, 0.10, 0.05, 0.02], 0.10), 0.05)),
        74 => one(
            "Recorder",
            blown(flute("Recorder", &[72], &[1.0, 0.08, 0.22, 0.03, 0.05], 0.06), 0.03).vibrato(3.0, 5.0, 0.4),
        ),
        75 => one("Pan Flute", blown(flute("Pan Flute", &[67], &[1.0, 0.06, 0.18, 0.02], 0.35), 0.04)),
        76 => one("Blown Bottle", blown(flute("Blown Bottle", &[60], &[1.0, 0.03, 0.03], 0.5).at(DARK), 0.06)),
        77 => one(
            "Shakuhachi",
            blown(flute("Shakuhachi", &[65], &[1.0, 0.6, 0.2, 0.12, 0.05], 0.3), 0.07).vibrato(18.0, 4.8, 0.5),
        ),
        78 => one(
            "Whistle",
            blown(
                sound("Whistle", &[84], 0.0, 0.2, |f| {
                    breathy(drawbars(&[(1.0, 1.0), (2.0, 0.02)]), 0.06, f * 0.8, f * 1.3)
                }),
                0.04,
            )
            .vibrato(14.0, 5.6, 0.2),
        ),
        _ => one(
            "Ocarina",
            blown(
                sound("Ocarina", &[72], 0.0, 0.2, |f| {
                    breathy(drawbars(&[(1.0, 1.0), (2.0, 0.05), (3.0, 0.08)]), 0.05, f, f * 3.0)
                }),
                0.04,
            ),
        ),
    }
}
