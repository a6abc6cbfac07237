//! Guitars, basses and the plucked and blown instruments of the world: programs 24 to 39 and 104 to 111.

use super::super::recipe::{Layer, Recipe, Sound};
use super::super::spectra::{
    breathy, ensemble, harmonics, knocked, modes, plain, pulse, saw, string, swelling, voiced,
};
use super::super::tone::{BRIGHT, DARK};
use super::orchestra::violin;
use super::shorthand::{one, recipe, sound};

/// Makes a steel string that is plucked softly (a cutoff in Hz).
pub(super) fn steel_string() -> Sound {
    sound("Steel String", &[46, 64], 0.22, 0.1, |f| {
        knocked(string(f, 0.13, 4500.0, (0.7, 0.20), 0.000_06), 0.35, 900.0, 5000.0, 110.0)
    })
    .at(BRIGHT)
}

fn overdriven() -> Sound {
    sound("Overdriven", &[43, 60], 0.14, 0.2, |f| {
        let mut partials = voiced(f, -0.5, 0.3, &[(700.0, 500.0, 0.8), (2400.0, 900.0, 1.0)]);
        partials.iter_mut().for_each(|p| p.decay = 0.15 * p.ratio);
        breathy(ensemble(&partials, &[-2.0, 2.0]), 0.02, 1500.0, 5000.0)
    })
}

/// Returns the recipe of a guitar, programs 24 to 31.
pub(super) fn guitar(number: u8) -> Recipe {
    let plucked = |sound, decay, release| Layer::new(sound, [0.0, decay, 0.0, release]).decay_by_key(-2000.0);
    let clean = || {
        sound("Electric String", &[43, 62], 0.22, 0.1, |f| {
            knocked(string(f, 0.21, 2600.0, (0.5, 0.2), 0.000_04), 0.12, 700.0, 3500.0, 150.0)
        })
    };
    match number {
        24 => one(
            "Acoustic Guitar (nylon)",
            plucked(
                sound("Nylon String", &[43, 62], 0.22, 0.1, |f| {
                    knocked(string(f, 0.27, 1500.0, (1.1, 0.42), 0.000_03), 0.5, 180.0, 900.0, 60.0)
                })
                .at(DARK),
                11.0,
                0.25,
            ),
        ),
        25 => one("Acoustic Guitar (steel)", plucked(steel_string(), 9.0, 0.3)),
        26 => one("Electric Guitar (jazz)", plucked(clean(), 9.0, 0.2).filter(800.0, 0.0, 2400.0, 500.0)),
        27 => one("Electric Guitar (clean)", plucked(clean(), 11.0, 0.2).filter(2600.0, 0.0, 3000.0, 400.0)),
        28 => one("Electric Guitar (muted)", plucked(clean(), 1.4, 0.08).filter(900.0, 2.0, 2600.0, 500.0).gain(5.0)),
        29 => one(
            "Overdriven Guitar",
            Layer::new(overdriven(), [0.003, 24.0, 0.35, 0.18]).filter(2200.0, 1.0, 1800.0, 250.0),
        ),
        30 => recipe(
            "Distortion Guitar",
            vec![
                Layer::new(overdriven(), [0.003, 40.0, 0.6, 0.18]).filter(3800.0, 0.0, 1500.0, 200.0).detune(-2.0),
                Layer::new(
                    sound("Distorted Fifth", &[43, 60], 0.0, 0.2, |f| {
                        plain(harmonics(f * 0.5, 60, |n| if n < 2.0 { 0.15 } else { libm::pow(n, -0.75) }))
                    }),
                    [0.003, 40.0, 0.6, 0.18],
                )
                .filter(3000.0, 3.0, 1500.0, 200.0)
                .detune(2.0),
            ],
        ),
        _ => one(
            "Guitar Harmonics",
            plucked(
                sound("Harmonics", &[60], 0.22, 0.1, |f| {
                    knocked(
                        modes(&[(1.0, 1.0, 0.5), (2.0, 0.4, 1.0), (3.0, 0.15, 2.0), (4.0, 0.08, 3.0)]),
                        0.1,
                        f,
                        4000.0,
                        100.0,
                    )
                }),
                9.0,
                0.4,
            ),
        ),
    }
}

/// Returns the recipe of a bass, programs 32 to 39.
pub(super) fn bass(number: u8) -> Recipe {
    let roots: &[u8] = &[31, 45];
    let finger = || {
        sound("Finger Bass", roots, 0.18, 0.15, |f| {
            knocked(string(f, 0.22, 900.0, (0.6, 0.35), 0.000_05), 0.25, 150.0, 1200.0, 90.0)
        })
        .at(DARK)
    };
    let held = |sound| Layer::new(sound, [0.0, 12.0, 0.0, 0.12]);
    match number {
        32 => one(
            "Acoustic Bass",
            Layer::new(
                sound("Upright Bass", roots, 0.22, 0.15, |f| {
                    let mut partials = string(f, 0.3, 450.0, (1.2, 0.6), 0.000_08);
                    partials.iter_mut().for_each(|p| p.rise = 0.012);
                    knocked(partials, 0.5, 90.0, 700.0, 50.0)
                })
                .at(DARK),
                [0.002, 6.0, 0.0, 0.15],
            ),
        ),
        33 => one("Electric Bass (finger)", held(finger()).filter(900.0, 0.0, 2400.0, 400.0)),
        34 => one(
            "Electric Bass (pick)",
            held(sound("Pick Bass", &[38], 0.18, 0.15, |f| {
                knocked(string(f, 0.1, 2400.0, (0.6, 0.25), 0.000_05), 0.6, 900.0, 4000.0, 140.0)
            })),
        ),
        35 => one(
            "Fretless Bass",
            Layer::new(
                sound("Fretless Bass", roots, 0.11, 0.15, |f| {
                    plain(swelling(
                        harmonics(f, 20, |n| libm::pow(n, -1.4) * (1.0 + 0.8 * f64::from(n as u8 == 3))),
                        0.05,
                    ))
                })
                .at(DARK),
                [0.012, 14.0, 0.1, 0.15],
            )
            .filter(700.0, 2.0, 2000.0, 400.0)
            .vibrato(6.0, 5.0, 0.4),
        ),
        36 | 37 => {
            let slap = sound("Slap Bass", &[38], 0.18, 0.15, |f| {
                knocked(string(f, 0.07, 4500.0, (0.8, 0.3), 0.000_06), 1.0, 1200.0, 6000.0, 90.0)
            });
            let (name, cutoff, q, sweep) =
                if number == 36 { ("Slap Bass 1", 600.0, 2.0, 2400.0) } else { ("Slap Bass 2", 1300.0, 10.0, 3600.0) };
            one(name, held(slap).filter(cutoff, q, 3200.0, 300.0).sweep(sweep, [0.0, 0.5, 0.0, 0.2]))
        }
        38 => one(
            "Synth Bass 1",
            Layer::new(
                sound("Saw Bass", roots, 0.0, 0.15, |f| plain(ensemble(&saw(f, 0.0), &[-3.0, 3.0]))).at(DARK),
                [0.0, 12.0, 0.3, 0.1],
            )
            .filter(260.0, 9.0, 2000.0, 500.0)
            .sweep(3200.0, [0.0, 0.7, 0.1, 0.1]),
        ),
        _ => one(
            "Synth Bass 2",
            Layer::new(
                sound("Square Bass", roots, 0.0, 0.1, |f| plain(pulse(f, 0.5, 1.0))).at(DARK),
                [0.0, 9.0, 0.2, 0.1],
            )
            .filter(420.0, 4.0, 1800.0, 500.0)
            .sweep(2000.0, [0.0, 0.4, 0.1, 0.1]),
        ),
    }
}

/// Returns the recipe of an ethnic instrument, programs 104 to 111.
pub(super) fn ethnic(number: u8) -> Recipe {
    let plucked = |sound, decay, release| Layer::new(sound, [0.0, decay, 0.0, release]).decay_by_key(-1600.0);
    match number {
        104 => one(
            "Sitar",
            plucked(
                sound("Sitar", &[56], 0.25, 0.15, |f| {
                    // The bridge lets high harmonics through late.
                    let mut partials = string(f, 0.05, 7000.0, (0.6, 0.06), 0.0);
                    partials.iter_mut().for_each(|p| p.rise = 0.004 * p.ratio);
                    knocked(ensemble(&partials, &[-3.0, 3.0]), 0.3, 1500.0, 6000.0, 80.0)
                })
                .at(BRIGHT),
                8.0,
                0.6,
            )
            .bend(-30.0, [0.0, 0.1, 0.0, 0.1]),
        ),
        105 => one(
            "Banjo",
            plucked(
                sound("Banjo", &[50, 66], 0.16, 0.08, |f| {
                    knocked(string(f, 0.08, 5000.0, (3.5, 0.35), 0.000_03), 0.9, 350.0, 3000.0, 70.0)
                }),
                2.8,
                0.2,
            ),
        ),
        106 => one(
            "Shamisen",
            plucked(
                sound("Shamisen", &[60], 0.16, 0.08, |f| {
                    knocked(string(f, 0.06, 4000.0, (5.0, 0.3), 0.000_05), 1.8, 500.0, 4000.0, 80.0)
                }),
                2.0,
                0.2,
            ),
        ),
        107 => one(
            "Koto",
            plucked(
                sound("Koto", &[62], 0.2, 0.1, |f| {
                    knocked(string(f, 0.1, 3800.0, (1.2, 0.3), 0.000_02), 0.5, 800.0, 4500.0, 100.0)
                }),
                6.0,
                0.6,
            )
            .bend(25.0, [0.0, 0.12, 0.0, 0.1]),
        ),
        108 => one(
            "Kalimba",
            plucked(
                sound("Kalimba", &[65], 0.22, 0.1, |f| {
                    knocked(
                        modes(&[(1.0, 1.0, 2.0), (2.0, 0.05, 3.0), (5.8, 0.25, 14.0), (6.4, 0.12, 18.0)]),
                        0.25,
                        f,
                        3500.0,
                        70.0,
                    )
                }),
                3.2,
                0.6,
            ),
        ),
        109 => one(
            "Bagpipe",
            Layer::new(
                sound("Bagpipe", &[60], 0.0, 0.3, |f| {
                    plain(ensemble(&voiced(f, -2.5, 0.3, &[(1100.0, 500.0, 0.8), (2800.0, 900.0, 1.0)]), &[-4.0, 4.0]))
                }),
                [0.04, 1.0, 1.0, 0.1],
            ),
        ),
        110 => one("Fiddle", Layer::new(violin(), [0.03, 1.0, 1.0, 0.1]).vibrato(7.0, 6.2, 0.15)),
        _ => one(
            "Shanai",
            Layer::new(
                sound("Shanai", &[62], 0.0, 0.15, |f| {
                    plain(voiced(f, -3.0, 0.15, &[(1400.0, 400.0, 1.0), (2900.0, 500.0, 1.3), (4200.0, 700.0, 0.6)]))
                })
                .at(BRIGHT),
                [0.03, 1.0, 1.0, 0.1],
            )
            .vibrato(16.0, 6.0, 0.2),
        ),
    }
}
