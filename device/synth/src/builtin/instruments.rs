//! The 128 programs of General MIDI, one recipe each.

use super::recipe::{Layer, Recipe, Sound};
use super::spectra::{
    breathy, drawbars, ensemble, harmonics, knocked, modes, plain, pulse, saw, string, swelling, voiced,
};
use super::tone::{BRIGHT, DARK, Noise, Partial, RATE, Spectrum};

fn sound(name: &str, roots: &[u8], head: f64, turn: f64, spectrum: impl Fn(f64) -> Spectrum + 'static) -> Sound {
    Sound { name: name.to_owned(), roots: roots.to_vec(), rate: RATE, head, turn, spectrum: Box::new(spectrum) }
}

fn recipe(name: &'static str, layers: impl Into<Vec<Layer>>) -> Recipe {
    Recipe { name, layers: layers.into() }
}

fn one(name: &'static str, layer: Layer) -> Recipe {
    recipe(name, vec![layer])
}

/// The recipe of a program, counted from 0.
pub(super) fn program(number: u8) -> Recipe {
    match number {
        0..=7 => piano(number),
        8..=15 => chromatic_percussion(number),
        16..=23 => organ(number),
        24..=31 => guitar(number),
        32..=39 => bass(number),
        40..=47 => strings(number),
        48..=55 => ensembles(number),
        56..=63 => brass(number),
        64..=71 => reed(number),
        72..=79 => pipe(number),
        80..=87 => lead(number),
        88..=95 => pad(number),
        96..=103 => effect(number),
        104..=111 => ethnic(number),
        112..=119 => percussive(number),
        _ => sound_effect(number),
    }
}

/// Three strings a key, struck by a hammer.
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

fn piano(number: u8) -> Recipe {
    let hammered = |cutoff: f64| {
        Layer::new(grand(), [0.0, 13.0, 0.0, 0.45]).decay_by_key(-3900.0).filter(cutoff, 0.0, 4200.0, 350.0)
    };
    match number {
        0 => one("Acoustic Grand Piano", hammered(850.0)),
        1 => one("Bright Acoustic Piano", hammered(2100.0)),
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
                [0.0, 8.0, 0.0, 0.25],
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

/// A struck tine before a pick-up.
fn tine() -> Sound {
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

fn chromatic_percussion(number: u8) -> Recipe {
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

fn organ(number: u8) -> Recipe {
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
                    breathy(ensemble(&pipes, &[-4.0, 3.0]), 0.05, f, 4000.0)
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
            .filter(if number == 21 { 5200.0 } else { 2300.0 }, 0.0, 1200.0, 300.0),
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

fn steel_string() -> Sound {
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

fn guitar(number: u8) -> Recipe {
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
                7.0,
                0.25,
            ),
        ),
        25 => one("Acoustic Guitar (steel)", plucked(steel_string(), 9.0, 0.3)),
        26 => one("Electric Guitar (jazz)", plucked(clean(), 9.0, 0.2).filter(800.0, 0.0, 2400.0, 500.0)),
        27 => one("Electric Guitar (clean)", plucked(clean(), 11.0, 0.2).filter(2600.0, 0.0, 3000.0, 400.0)),
        28 => one("Electric Guitar (muted)", plucked(clean(), 1.1, 0.08).filter(900.0, 2.0, 2600.0, 500.0)),
        29 => one(
            "Overdriven Guitar",
            Layer::new(overdriven(), [0.003, 24.0, 0.35, 0.18]).filter(2200.0, 1.0, 1800.0, 250.0),
        ),
        30 => recipe(
            "Distortion Guitar",
            vec![
                Layer::new(overdriven(), [0.003, 40.0, 0.6, 0.18]).filter(3800.0, 0.0, 1500.0, 200.0).detune(-5.0),
                Layer::new(
                    sound("Distorted Fifth", &[43, 60], 0.0, 0.2, |f| {
                        plain(harmonics(f * 0.5, 60, |n| if n < 2.0 { 0.15 } else { libm::pow(n, -0.75) }))
                    }),
                    [0.003, 40.0, 0.6, 0.18],
                )
                .filter(3000.0, 3.0, 1500.0, 200.0)
                .detune(5.0),
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

fn bass(number: u8) -> Recipe {
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
            let (name, q, sweep) =
                if number == 36 { ("Slap Bass 1", 3.0, 2600.0) } else { ("Slap Bass 2", 8.0, 3600.0) };
            one(name, held(slap).filter(700.0, q, 3200.0, 300.0).sweep(sweep, [0.0, 0.5, 0.0, 0.2]))
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

/// A bowed string in its box.
fn bowed(name: &str, roots: &'static [u8], body: [(f64, f64, f64); 3]) -> Sound {
    sound(name, roots, 0.12, 0.18, move |f| breathy(swelling(voiced(f, 0.5, 0.22, &body), 0.08), 0.02, 2.0 * f, 7000.0))
}

fn violin() -> Sound {
    bowed("Violin", &[57, 69, 83], [(480.0, 180.0, 0.8), (1100.0, 400.0, 0.8), (2900.0, 900.0, 0.9)])
}

/// Many bows.
fn section() -> Sound {
    sound("String Section", &[48, 67], 0.0, 0.56, |f| {
        let bow = voiced(f, 1.5, 0.35, &[(500.0, 300.0, 0.6), (2600.0, 1200.0, 0.8)]);
        let keep = if f < 150.0 { 36 } else { 28 };
        let bow: Vec<Partial> = bow.into_iter().take(keep).collect();
        breathy(ensemble(&bow, &[-13.0, -6.0, 1.0, 7.0, 12.0]), 0.015, 1500.0, 7000.0)
    })
}

fn strings(number: u8) -> Recipe {
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
                sound("Pizzicato", &[45, 62], 0.18, 0.0, |f| {
                    knocked(
                        ensemble(&string(f, 0.25, 1600.0, (6.0, 1.6), 0.000_05), &[-5.0, 4.0]),
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
                [0.0, 8.0, 0.0, 1.2],
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

fn choir() -> Sound {
    sound("Choir Aahs", &[50, 62, 74], 0.0, 0.4, |f| {
        let voice = voiced(
            f,
            3.0,
            0.03,
            &[(720.0, 110.0, 1.0), (1150.0, 130.0, 0.7), (2700.0, 260.0, 0.35), (3400.0, 300.0, 0.2)],
        );
        breathy(ensemble(&voice, &[-11.0, -3.0, 4.0, 12.0]), 0.01, 1500.0, 6000.0)
    })
}

fn ensembles(number: u8) -> Recipe {
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
                        for p in ensemble(&saw(f * ratio, 1.0), &[-10.0, 8.0]).into_iter().filter(|p| p.ratio < 30.0) {
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

fn super_saw() -> Sound {
    sound("Super Saw", &[48, 66], 0.0, 0.4, |f| {
        let one: Vec<Partial> = saw(f, 0.0).into_iter().take(36).collect();
        plain(ensemble(&one, &[-14.0, -5.0, 5.0, 14.0]))
    })
}

fn oohs() -> Sound {
    sound("Voice Oohs", &[52, 66], 0.0, 0.4, |f| {
        let voice = voiced(f, 4.0, 0.02, &[(380.0, 120.0, 1.0), (820.0, 130.0, 0.5), (2500.0, 300.0, 0.06)]);
        breathy(ensemble(&voice, &[-8.0, 1.0, 9.0]), 0.02, 1500.0, 5000.0)
    })
    .at(DARK)
}

fn brass(number: u8) -> Recipe {
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

fn reed(number: u8) -> Recipe {
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
                sax("Baritone Sax", &[40, 55], &[(330.0, 220.0, 1.0), (950.0, 400.0, 0.7), (2100.0, 700.0, 0.3)])
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

fn pipe(number: u8) -> Recipe {
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

fn saw_lead() -> Sound {
    sound("Saw", &[48, 64, 80], 0.0, 0.05, |f| plain(saw(f, 0.0))).at(BRIGHT)
}

fn square_lead() -> Sound {
    sound("Square", &[48, 64, 80], 0.0, 0.05, |f| plain(pulse(f, 0.5, 0.0))).at(BRIGHT)
}

fn lead(number: u8) -> Recipe {
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

fn pad(number: u8) -> Recipe {
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

fn effect(number: u8) -> Recipe {
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

fn ethnic(number: u8) -> Recipe {
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
            .bend(-35.0, [0.0, 0.25, 0.0, 0.1]),
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

fn percussive(number: u8) -> Recipe {
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
            .bend(500.0, [0.0, 0.2, 0.0, 0.1]),
        ),
        118 => one(
            "Synth Drum",
            Layer::new(
                struck("Synth Drum", &[60], 0.38, &[(1.0, 1.0, 7.0)], (0.1, 500.0, 4000.0, 60.0)).at(DARK),
                ring(4.0),
            )
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

fn sound_effect(number: u8) -> Recipe {
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
