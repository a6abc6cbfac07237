//! Percussion with a pitch, and sound effects: programs 112 to 127.

use super::super::recipe::{Layer, Recipe};
use super::super::spectra::{drawbars, knocked, modes, plain};
use super::super::tone::{BRIGHT, DARK, Noise, Spectrum};
use super::shorthand::{one, sound};

/// Returns the recipe of a percussive instrument, programs 112 to 119.
pub(super) fn percussive(number: u8) -> Recipe {
    let struck = |name, root: &'static [u8], head, list: &'static [(f64, f64, f64)], knock: (f64, f64, f64, f64)| {
        sound(name, root, head, 0.0, move |_| knocked(modes(list), knock.0, knock.1, knock.2, knock.3))
    };
    let ring = |seconds: f64| [0.0, seconds, 0.0, seconds];
    match number {
        112 => one(
            "Tinkle Bell",
            Layer::new(
                struck(
                    "Tinkle Bell",
                    &[79],
                    0.45,
                    &[(1.0, 1.0, 4.0), (2.53, 0.8, 5.0), (3.9, 0.5, 7.0)],
                    (0.1, 3000.0, 9000.0, 90.0),
                ),
                ring(4.0),
            ),
        ),
        113 => one(
            "Agogo",
            Layer::new(
                struck(
                    "Agogo",
                    &[72],
                    0.3,
                    &[(1.0, 1.0, 8.0), (1.48, 0.5, 9.0), (2.7, 0.6, 11.0), (4.1, 0.3, 15.0)],
                    (0.2, 1500.0, 8000.0, 100.0),
                ),
                ring(3.0),
            ),
        ),
        114 => one(
            "Steel Drums",
            Layer::new(
                sound("Steel Drum", &[64], 0.25, 0.1, |f| {
                    knocked(
                        modes(&[
                            (1.0, 1.0, 2.0),
                            (2.0, 0.8, 3.0),
                            (3.0, 0.35, 4.0),
                            (4.02, 0.25, 6.0),
                            (5.1, 0.12, 9.0),
                        ]),
                        0.3,
                        f,
                        4000.0,
                        60.0,
                    )
                }),
                [0.0, 3.0, 0.0, 0.5],
            ),
        ),
        115 => one(
            "Woodblock",
            Layer::new(
                struck(
                    "Woodblock",
                    &[72],
                    0.12,
                    &[(1.0, 1.0, 32.0), (1.62, 0.5, 40.0), (2.9, 0.3, 60.0)],
                    (0.5, 800.0, 5000.0, 150.0),
                ),
                ring(2.0),
            ),
        ),
        116 => one(
            "Taiko Drum",
            Layer::new(
                struck(
                    "Taiko",
                    &[48],
                    0.52,
                    &[(0.5, 1.0, 4.5), (0.8, 0.5, 7.0), (1.1, 0.35, 9.0)],
                    (1.2, 60.0, 700.0, 26.0),
                )
                .at(DARK),
                ring(5.0),
            )
            .gain(3.0)
            .bend(500.0, [0.0, 0.12, 0.0, 0.1]),
        ),
        117 => one(
            "Melodic Tom",
            Layer::new(
                struck(
                    "Tom",
                    &[55],
                    0.38,
                    &[(0.75, 1.0, 7.0), (1.2, 0.4, 11.0), (1.65, 0.2, 15.0)],
                    (0.6, 120.0, 1800.0, 45.0),
                )
                .at(DARK),
                ring(4.0),
            )
            .gain(3.0)
            .bend(500.0, [0.0, 0.2, 0.0, 0.1]),
        ),
        118 => one(
            "Synth Drum",
            Layer::new(
                struck("Synth Drum", &[60], 0.38, &[(1.0, 1.0, 7.0)], (0.1, 500.0, 4000.0, 60.0)).at(DARK),
                ring(4.0),
            )
            .gain(3.0)
            .bend(1900.0, [0.0, 0.45, 0.0, 0.2]),
        ),
        _ => one(
            "Reverse Cymbal",
            Layer::new(
                sound("Reverse Cymbal", &[60], 0.0, 0.3, |_| Spectrum {
                    partials: Vec::new(),
                    noises: vec![Noise { amplitude: 1.0, low: 2600.0, high: 9500.0, decay: 0.0 }],
                })
                .at(BRIGHT),
                [1.6, 0.25, 0.0, 0.12],
            ),
        ),
    }
}

/// Returns the recipe of a sound effect, programs 120 to 127.
pub(super) fn sound_effect(number: u8) -> Recipe {
    let noise = |name, root: u8, turn, low, high| {
        sound(name, &[root], 0.0, turn, move |_| Spectrum {
            partials: Vec::new(),
            noises: vec![Noise { amplitude: 1.0, low, high, decay: 0.0 }],
        })
    };
    match number {
        120 => one(
            "Guitar Fret Noise",
            Layer::new(noise("Fret Noise", 60, 0.21, 1800.0, 5000.0), [0.06, 0.9, 0.0, 0.2])
                .bend(1500.0, [0.16, 0.3, 0.0, 0.1]),
        ),
        121 => one("Breath Noise", Layer::new(noise("Breath", 60, 0.35, 700.0, 5000.0), [0.12, 1.6, 0.0, 0.2])),
        122 => one(
            "Seashore",
            Layer::new(noise("Surf", 60, 0.45, 200.0, 6000.0), [1.2, 1.0, 1.0, 2.5])
                .tremolo(6.0, 0.17)
                .filter(1500.0, 0.0, 600.0, 0.0),
        ),
        123 => one(
            "Bird Tweet",
            Layer::new(
                sound("Tweet", &[84], 0.0, 0.1, |_| plain(drawbars(&[(2.0, 1.0), (4.0, 0.06)]))),
                [0.02, 3.0, 0.3, 0.1],
            )
            .vibrato(260.0, 11.0, 0.0)
            .tremolo(9.0, 11.0),
        ),
        124 => one(
            "Telephone Ring",
            Layer::new(
                sound("Telephone", &[72], 0.0, 0.2, |_| {
                    plain(drawbars(&[(1.0, 1.0), (2.71, 0.7), (5.2, 0.5), (1.31, 0.6)]))
                }),
                [0.0, 1.0, 1.0, 0.4],
            )
            .tremolo(10.0, 18.0),
        ),
        125 => one(
            "Helicopter",
            Layer::new(noise("Rotor", 60, 0.49, 60.0, 1300.0).at(DARK), [0.2, 1.0, 1.0, 0.6]).tremolo(9.0, 11.0),
        ),
        126 => one(
            "Applause",
            Layer::new(
                sound("Applause", &[60], 0.0, 0.72, |_| Spectrum {
                    partials: Vec::new(),
                    noises: vec![
                        Noise { amplitude: 1.0, low: 900.0, high: 3200.0, decay: 0.0 },
                        Noise { amplitude: 0.4, low: 3000.0, high: 8000.0, decay: 0.0 },
                    ],
                }),
                [0.4, 1.0, 1.0, 1.2],
            )
            .tremolo(1.5, 7.3),
        ),
        _ => one(
            "Gunshot",
            Layer::new(
                sound("Gunshot", &[60], 0.58, 0.0, |_| Spectrum {
                    partials: modes(&[(0.2, 0.5, 12.0)]),
                    noises: vec![
                        Noise { amplitude: 2.0, low: 300.0, high: 7000.0, decay: 26.0 },
                        Noise { amplitude: 1.4, low: 50.0, high: 900.0, decay: 6.0 },
                    ],
                }),
                [0.0, 8.0, 0.0, 8.0],
            ),
        ),
    }
}
