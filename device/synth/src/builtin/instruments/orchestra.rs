//! Bowed strings, choirs and other ensembles: programs 40 to 55.

use super::super::recipe::{Layer, Recipe, Sound};
use super::super::spectra::{breathy, ensemble, knocked, modes, plain, saw, string, swelling, voiced};
use super::super::tone::{DARK, Partial};
use super::shorthand::{one, sound};

/// Makes a bowed string in its box.
fn bowed(name: &str, roots: &'static [u8], body: [(f64, f64, f64); 3]) -> Sound {
    sound(name, roots, 0.12, 0.18, move |f| breathy(swelling(voiced(f, 0.5, 0.22, &body), 0.08), 0.02, 2.0 * f, 7000.0))
}

/// Makes the sound of a violin.
pub(super) fn violin() -> Sound {
    bowed("Violin", &[57, 69, 83], [(480.0, 180.0, 0.8), (1100.0, 400.0, 0.8), (2900.0, 900.0, 0.9)])
}

/// Makes a section of bowed strings.
pub(super) fn section() -> Sound {
    sound("String Section", &[48, 67], 0.0, 0.56, |f| {
        let bow = voiced(f, 1.5, 0.35, &[(500.0, 300.0, 0.6), (2600.0, 1200.0, 0.8)]);
        let keep = if f < 150.0 { 36 } else { 28 };
        let bow: Vec<Partial> = bow.into_iter().take(keep).collect();
        breathy(ensemble(&bow, &[-13.0, -6.0, 0.0, 6.0, 13.0]), 0.015, 1500.0, 7000.0)
    })
}

/// Returns the recipe of a string instrument, programs 40 to 47.
pub(super) fn strings(number: u8) -> Recipe {
    let solo = |sound| Layer::new(sound, [0.06, 1.0, 1.0, 0.18]).vibrato(13.0, 5.6, 0.25);
    match number {
        40 => one("Violin", solo(violin())),
        41 => one(
            "Viola",
            solo(bowed("Viola", &[52, 66], [(360.0, 160.0, 0.9), (900.0, 350.0, 0.7), (2200.0, 800.0, 0.6)]))
                .vibrato(12.0, 5.3, 0.25),
        ),
        42 => one(
            "Cello",
            solo(bowed("Cello", &[40, 55], [(230.0, 110.0, 1.0), (650.0, 260.0, 0.7), (1700.0, 700.0, 0.5)]).at(DARK))
                .vibrato(11.0, 5.0, 0.3),
        ),
        43 => one(
            "Contrabass",
            solo(
                bowed("Contrabass", &[33, 45], [(120.0, 80.0, 1.0), (420.0, 200.0, 0.6), (1100.0, 500.0, 0.35)])
                    .at(DARK),
            )
            .vibrato(8.0, 4.6, 0.4),
        ),
        44 => one("Tremolo Strings", Layer::new(section(), [0.08, 1.0, 1.0, 0.25]).tremolo(6.0, 9.5)),
        45 => one(
            "Pizzicato Strings",
            Layer::new(
                sound("Pizzicato", &[45, 62, 80], 0.18, 0.0, |f| {
                    knocked(
                        ensemble(&string(f, 0.25, 1600.0, (6.0, 1.6), 0.000_05), &[-4.5, 4.5]),
                        0.6,
                        200.0,
                        1800.0,
                        60.0,
                    )
                })
                .at(DARK),
                [0.0, 2.2, 0.0, 0.4],
            ),
        ),
        46 => one(
            "Orchestral Harp",
            Layer::new(
                sound("Harp", &[48, 67], 0.22, 0.1, |f| {
                    knocked(string(f, 0.35, 2000.0, (1.0, 0.35), 0.000_02), 0.2, 300.0, 1500.0, 80.0)
                }),
                [0.0, 13.0, 0.0, 1.2],
            )
            .decay_by_key(-2400.0),
        ),
        _ => one(
            "Timpani",
            Layer::new(
                sound("Timpani", &[45], 0.43, 0.15, |_| {
                    let partials = modes(&[
                        (1.0, 1.0, 1.4),
                        (1.5, 0.55, 1.9),
                        (1.98, 0.4, 2.4),
                        (2.44, 0.25, 3.2),
                        (2.9, 0.14, 4.0),
                        (0.63, 0.3, 9.0),
                    ]);
                    knocked(partials, 0.9, 80.0, 700.0, 28.0)
                })
                .at(DARK),
                [0.0, 5.5, 0.0, 2.0],
            ),
        ),
    }
}

/// Makes the sound of a choir.
pub(super) fn choir() -> Sound {
    sound("Choir Aahs", &[50, 62, 74], 0.0, 0.4, |f| {
        let voice = voiced(
            f,
            3.0,
            0.03,
            &[(720.0, 110.0, 1.0), (1150.0, 130.0, 0.7), (2700.0, 260.0, 0.35), (3400.0, 300.0, 0.2)],
        );
        breathy(ensemble(&voice, &[-12.0, -4.0, 4.0, 12.0]), 0.01, 1500.0, 6000.0)
    })
}

/// Returns the recipe of an ensemble, programs 48 to 55.
pub(super) fn ensembles(number: u8) -> Recipe {
    match number {
        48 => one("String Ensemble 1", Layer::new(section(), [0.12, 1.0, 1.0, 0.35])),
        49 => one("String Ensemble 2", Layer::new(section(), [0.45, 1.0, 1.0, 0.6]).filter(2600.0, 0.0, 1200.0, 200.0)),
        50 => one("Synth Strings 1", Layer::new(super_saw(), [0.2, 1.0, 1.0, 0.5]).filter(2400.0, 1.0, 1200.0, 300.0)),
        51 => one(
            "Synth Strings 2",
            Layer::new(super_saw(), [0.35, 1.0, 1.0, 0.7])
                .filter(900.0, 3.0, 1500.0, 300.0)
                .sweep(1500.0, [0.8, 3.0, 0.4, 1.0]),
        ),
        52 => one("Choir Aahs", Layer::new(choir(), [0.12, 1.0, 1.0, 0.35]).vibrato(6.0, 5.2, 0.4)),
        53 => one("Voice Oohs", Layer::new(oohs(), [0.1, 1.0, 1.0, 0.3]).vibrato(8.0, 5.4, 0.4)),
        54 => one(
            "Synth Voice",
            Layer::new(oohs(), [0.04, 1.0, 1.0, 0.25]).filter(1400.0, 6.0, 2400.0, 300.0).vibrato(9.0, 5.8, 0.2),
        ),
        _ => one(
            "Orchestra Hit",
            Layer::new(
                sound("Orchestra Hit", &[60], 0.5, 0.0, |f| {
                    let mut partials = Vec::new();
                    for (ratio, gain) in [(0.25, 0.9), (0.5, 1.0), (1.0, 1.0), (1.5, 0.5), (2.0, 0.7)] {
                        for p in ensemble(&saw(f * ratio, 1.0), &[-9.0, 9.0]).into_iter().filter(|p| p.ratio < 30.0) {
                            partials.push(Partial {
                                ratio: p.ratio * ratio,
                                amplitude: p.amplitude * gain,
                                decay: 3.5,
                                ..p
                            });
                        }
                    }
                    knocked(partials, 2.5, 150.0, 4000.0, 16.0)
                }),
                [0.0, 3.0, 0.0, 0.5],
            ),
        ),
    }
}

/// Makes the sound of several detuned sawtooths.
pub(super) fn super_saw() -> Sound {
    sound("Super Saw", &[48, 66], 0.0, 0.4, |f| {
        let one: Vec<Partial> = saw(f, 0.0).into_iter().take(36).collect();
        plain(ensemble(&one, &[-14.0, -5.0, 5.0, 14.0]))
    })
}

fn oohs() -> Sound {
    sound("Voice Oohs", &[52, 66], 0.0, 0.4, |f| {
        let voice = voiced(f, 4.0, 0.02, &[(380.0, 120.0, 1.0), (820.0, 130.0, 0.5), (2500.0, 300.0, 0.06)]);
        breathy(ensemble(&voice, &[-9.0, 0.0, 9.0]), 0.02, 1500.0, 5000.0)
    })
    .at(DARK)
}
