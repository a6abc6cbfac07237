//! The drum kit of General MIDI, keys 27 to 87: skins, metal, wood and noise, one wave each.

use core::f64::consts::TAU;

use super::recipe::{Envelope, List, Maker, decibels, percent};
use super::tone::{Band, Random, finish};
use crate::dls::collection::{Instrument, Patch, Region, Wave, WaveLink, WaveSample};
use crate::dls::spec::{REGION_SELF_NON_EXCLUSIVE, destination as d};

/// Peak of a drum at full velocity, volume and expression, in dB below full scale, before DirectMusic's gains.
const PEAK_DB: f64 = -16.0;

/// Sample rate of skins and wood; metal has twice that.
const RATE: f64 = 13_000.0;
const METAL_RATE: f64 = 26_000.0;

/// One layer of a drum.
enum Part {
    /// A sine that falls: Hz at first, Hz at last, how fast it falls (1/s), amplitude, decay (1/s).
    Skin(f64, f64, f64, f64, f64),
    /// Noise in a band: low, high, amplitude, decay, seconds until it begins.
    Hiss(f64, f64, f64, f64, f64),
    /// Square waves at frequencies that do not fit together, high-passed at Hz: base, high-pass, amplitude, decay.
    Metal(f64, f64, f64, f64),
    /// Sines that ring: Hz, amplitude, decay.
    Ring(&'static [(f64, f64, f64)]),
    /// Grains of noise one after the other: low, high, amplitude, grains a second, seconds, decay of a grain.
    Grains(f64, f64, f64, f64, f64, f64),
    /// A sine whose pitch swings: Hz, depth in Hz, swings a second, amplitude, decay.
    Trill(f64, f64, f64, f64, f64),
}

struct Drum {
    key: u8,
    name: &'static str,
    rate: f64,
    seconds: f64,
    gain: f64,
    pan: f64,
    group: u16,
    sound: Sound,
}

enum Sound {
    Parts(Vec<Part>),
    /// The wave of another key, so many cents higher.
    Like(u8, i16),
}

fn drum(key: u8, name: &'static str, seconds: f64, gain: f64, pan: f64, parts: Vec<Part>) -> Drum {
    Drum { key, name, rate: RATE, seconds, gain, pan, group: 0, sound: Sound::Parts(parts) }
}

fn metal(key: u8, name: &'static str, seconds: f64, gain: f64, pan: f64, parts: Vec<Part>) -> Drum {
    Drum { rate: METAL_RATE, ..drum(key, name, seconds, gain, pan, parts) }
}

fn like(key: u8, name: &'static str, other: u8, cents: i16, gain: f64, pan: f64) -> Drum {
    Drum { key, name, rate: RATE, seconds: 0.0, gain, pan, group: 0, sound: Sound::Like(other, cents) }
}

impl Drum {
    fn group(mut self, group: u16) -> Self {
        self.group = group;
        self
    }

    fn render(&self, parts: &[Part]) -> Wave {
        let mut sum = vec![0.0; (self.seconds * self.rate) as usize];
        let mut random = Random::new(self.name);
        for part in parts {
            part.add(&mut sum, self.rate, &mut random);
        }
        let tail = sum.len() / 10;
        for (i, x) in sum.iter_mut().rev().take(tail).enumerate() {
            *x *= i as f64 / tail as f64;
        }
        finish(self.name, self.rate, &sum, WaveSample { unity_note: u16::from(self.key), ..WaveSample::default() })
    }
}

impl Part {
    fn add(&self, sum: &mut [f64], rate: f64, random: &mut Random) {
        let time = |i: usize| i as f64 / rate;
        match *self {
            Self::Skin(first, last, fall, amplitude, decay) => {
                let mut turns = 0.0;
                for (i, out) in sum.iter_mut().enumerate() {
                    let t = time(i);
                    *out += amplitude * libm::exp(-decay * t) * libm::sin(TAU * turns);
                    turns += (last + (first - last) * libm::exp(-fall * t)) / rate;
                }
            }
            Self::Hiss(low, high, amplitude, decay, begin) => {
                let mut band = Band::new(low, high, rate);
                for (i, out) in sum.iter_mut().enumerate().skip((begin * rate) as usize) {
                    *out += 2.0 * amplitude * libm::exp(-decay * (time(i) - begin)) * band.process(random.noise());
                }
            }
            Self::Metal(base, high_pass, amplitude, decay) => {
                const RATIOS: [f64; 6] = [1.0, 1.304, 1.466, 1.787, 1.932, 2.536];
                let mut band = Band::new(high_pass, 15_000.0, rate);
                for (i, out) in sum.iter_mut().enumerate() {
                    let turn = |ratio: f64| libm::fmod(base * ratio * time(i), 1.0);
                    let squares: f64 = RATIOS.iter().map(|r| if turn(*r) < 0.5 { 1.0 } else { -1.0 }).sum();
                    *out += 0.5 * amplitude * libm::exp(-decay * time(i)) * band.process(squares);
                }
            }
            Self::Ring(list) => {
                for (hertz, amplitude, decay) in list {
                    let start = random.unit();
                    for (i, out) in sum.iter_mut().enumerate() {
                        let t = time(i);
                        *out += amplitude * libm::exp(-decay * t) * libm::sin(TAU * (hertz * t + start));
                    }
                }
            }
            Self::Grains(low, high, amplitude, per_second, seconds, decay) => {
                let mut band = Band::new(low, high, rate);
                for (i, out) in sum.iter_mut().enumerate().take((seconds * rate) as usize) {
                    let within = libm::fmod(time(i), 1.0 / per_second);
                    *out += 2.0 * amplitude * libm::exp(-decay * within) * band.process(random.noise());
                }
            }
            Self::Trill(hertz, depth, swings, amplitude, decay) => {
                let mut turns = 0.0;
                for (i, out) in sum.iter_mut().enumerate() {
                    let t = time(i);
                    let attack = 1.0 - libm::exp(-200.0 * t);
                    *out += amplitude * attack * libm::exp(-decay * t) * libm::sin(TAU * turns);
                    turns += (hertz + depth * libm::sin(TAU * swings * t)) / rate;
                }
            }
        }
    }
}

/// Key group of the hi-hats: closing stops the open one.
const HI_HATS: u16 = 1;
const WHISTLES: u16 = 2;
const GUIROS: u16 = 3;
const CUICAS: u16 = 4;
const TRIANGLES: u16 = 5;

fn kit() -> Vec<Drum> {
    use Part::{Grains, Hiss, Metal, Ring, Skin, Trill};
    let tom = |key, name, hertz: f64, pan| {
        drum(
            key,
            name,
            0.55,
            -1.0,
            pan,
            vec![
                Skin(hertz * 1.6, hertz, 16.0, 1.0, 7.0),
                Skin(hertz * 2.6, hertz * 1.6, 20.0, 0.25, 15.0),
                Hiss(150.0, 3000.0, 0.6, 60.0, 0.0),
            ],
        )
    };
    let conga = |key, name, hertz: f64, decay, slap, pan| {
        drum(
            key,
            name,
            0.3,
            -2.0,
            pan,
            vec![
                Skin(hertz * 1.15, hertz, 30.0, 1.0, decay),
                Skin(hertz * 2.1, hertz * 1.9, 30.0, 0.3, decay * 2.0),
                Hiss(600.0, 5000.0, slap, 110.0, 0.0),
            ],
        )
    };
    vec![
        drum(27, "High Q", 0.09, -4.0, 0.1, vec![Skin(3500.0, 300.0, 60.0, 1.0, 35.0)]),
        drum(28, "Slap", 0.12, -2.0, 0.0, vec![Hiss(700.0, 5000.0, 1.0, 55.0, 0.0)]),
        drum(29, "Scratch Push", 0.16, -5.0, 0.1, vec![Hiss(800.0, 3500.0, 1.0, 14.0, 0.0)]),
        drum(30, "Scratch Pull", 0.16, -5.0, 0.1, vec![Hiss(500.0, 2200.0, 1.0, 14.0, 0.0)]),
        drum(31, "Sticks", 0.08, -4.0, 0.1, vec![Ring(&[(2100.0, 1.0, 70.0), (3350.0, 0.6, 90.0)])]),
        drum(32, "Square Click", 0.05, -8.0, 0.0, vec![Ring(&[(1500.0, 1.0, 120.0), (4500.0, 0.3, 150.0)])]),
        drum(33, "Metronome Click", 0.06, -6.0, 0.0, vec![Ring(&[(1900.0, 1.0, 110.0)])]),
        drum(34, "Metronome Bell", 0.3, -6.0, 0.0, vec![Ring(&[(2093.0, 1.0, 9.0), (5600.0, 0.3, 20.0)])]),
        drum(
            35,
            "Acoustic Bass Drum",
            0.4,
            1.5,
            0.0,
            vec![Skin(130.0, 47.0, 34.0, 1.0, 9.0), Hiss(60.0, 1500.0, 0.5, 90.0, 0.0)],
        ),
        drum(
            36,
            "Bass Drum 1",
            0.35,
            2.0,
            0.0,
            vec![Skin(190.0, 54.0, 42.0, 1.0, 10.0), Hiss(800.0, 5000.0, 0.45, 160.0, 0.0)],
        ),
        drum(
            37,
            "Side Stick",
            0.1,
            -3.0,
            0.05,
            vec![
                Ring(&[(1680.0, 1.0, 60.0), (480.0, 0.6, 45.0), (2900.0, 0.4, 90.0)]),
                Hiss(1000.0, 6000.0, 0.5, 140.0, 0.0),
            ],
        ),
        metal(
            38,
            "Acoustic Snare",
            0.28,
            0.5,
            0.0,
            vec![
                Skin(260.0, 185.0, 40.0, 0.8, 17.0),
                Skin(430.0, 330.0, 40.0, 0.4, 24.0),
                Hiss(1200.0, 9000.0, 1.0, 15.0, 0.0),
            ],
        ),
        metal(
            39,
            "Hand Clap",
            0.26,
            -1.0,
            0.05,
            vec![
                Hiss(800.0, 3200.0, 0.8, 130.0, 0.0),
                Hiss(800.0, 3200.0, 0.8, 130.0, 0.011),
                Hiss(800.0, 3200.0, 1.0, 19.0, 0.023),
            ],
        ),
        metal(
            40,
            "Electric Snare",
            0.26,
            0.5,
            0.0,
            vec![Skin(330.0, 215.0, 50.0, 1.0, 22.0), Hiss(1800.0, 11_000.0, 1.1, 18.0, 0.0)],
        ),
        tom(41, "Low Floor Tom", 78.0, 0.25),
        metal(
            42,
            "Closed Hi-hat",
            0.09,
            -5.0,
            0.12,
            vec![Metal(415.0, 6500.0, 1.0, 55.0), Hiss(7000.0, 14_000.0, 1.0, 50.0, 0.0)],
        )
        .group(HI_HATS),
        like(43, "High Floor Tom", 41, 360, -1.0, 0.18),
        metal(
            44,
            "Pedal Hi-hat",
            0.11,
            -7.0,
            0.12,
            vec![Metal(390.0, 5200.0, 0.8, 42.0), Hiss(5000.0, 12_000.0, 1.0, 45.0, 0.0)],
        )
        .group(HI_HATS),
        tom(45, "Low Tom", 118.0, 0.08),
        metal(
            46,
            "Open Hi-hat",
            0.6,
            -5.0,
            0.12,
            vec![Metal(415.0, 6000.0, 1.0, 6.5), Hiss(6500.0, 14_000.0, 1.0, 7.5, 0.0)],
        )
        .group(HI_HATS),
        like(47, "Low-Mid Tom", 45, 320, -1.0, -0.03),
        like(48, "Hi-Mid Tom", 45, 630, -1.0, -0.12),
        metal(
            49,
            "Crash Cymbal 1",
            1.1,
            -2.0,
            0.2,
            vec![
                Metal(312.0, 3200.0, 0.7, 3.4),
                Hiss(2800.0, 12_000.0, 1.0, 3.6, 0.0),
                Hiss(900.0, 4000.0, 0.5, 16.0, 0.0),
            ],
        ),
        like(50, "High Tom", 45, 950, -1.0, -0.2),
        metal(
            51,
            "Ride Cymbal 1",
            0.8,
            -6.0,
            -0.2,
            vec![
                Metal(530.0, 4200.0, 0.9, 3.6),
                Ring(&[(3150.0, 0.22, 6.0), (4720.0, 0.18, 7.0), (6130.0, 0.15, 8.0)]),
                Hiss(5000.0, 12_000.0, 0.35, 9.0, 0.0),
            ],
        ),
        metal(
            52,
            "Chinese Cymbal",
            0.4,
            -3.0,
            -0.2,
            vec![Metal(237.0, 2000.0, 1.0, 5.0), Hiss(1800.0, 9000.0, 0.9, 5.5, 0.0)],
        ),
        metal(
            53,
            "Ride Bell",
            0.45,
            -6.0,
            -0.2,
            vec![
                Ring(&[(1010.0, 0.6, 4.5), (2480.0, 1.0, 4.5), (3870.0, 0.7, 6.0), (5590.0, 0.5, 8.0)]),
                Metal(530.0, 5000.0, 0.3, 5.0),
            ],
        ),
        metal(
            54,
            "Tambourine",
            0.25,
            -5.0,
            0.1,
            vec![Grains(6000.0, 13_000.0, 1.0, 45.0, 0.12, 60.0), Hiss(6500.0, 13_000.0, 0.8, 18.0, 0.0)],
        ),
        metal(
            55,
            "Splash Cymbal",
            0.28,
            -3.0,
            0.15,
            vec![Metal(420.0, 4200.0, 0.7, 8.0), Hiss(3800.0, 13_000.0, 1.0, 8.5, 0.0)],
        ),
        drum(
            56,
            "Cowbell",
            0.3,
            -4.0,
            0.1,
            vec![
                Ring(&[(562.0, 1.0, 13.0), (845.0, 1.0, 12.0), (1686.0, 0.35, 18.0), (2535.0, 0.3, 20.0)]),
                Hiss(1000.0, 6000.0, 0.3, 120.0, 0.0),
            ],
        ),
        like(57, "Crash Cymbal 2", 49, 280, -2.0, -0.2),
        drum(58, "Vibraslap", 0.42, -4.0, 0.1, vec![Grains(1500.0, 4500.0, 1.0, 24.0, 0.6, 75.0)]),
        like(59, "Ride Cymbal 2", 51, -250, -6.0, 0.2),
        conga(60, "Hi Bongo", 410.0, 20.0, 0.4, -0.15),
        conga(61, "Low Bongo", 300.0, 17.0, 0.35, -0.15),
        conga(62, "Mute Hi Conga", 265.0, 38.0, 0.8, 0.15),
        conga(63, "Open Hi Conga", 250.0, 12.0, 0.4, 0.15),
        conga(64, "Low Conga", 178.0, 11.0, 0.3, 0.15),
        drum(
            65,
            "High Timbale",
            0.35,
            -2.0,
            -0.1,
            vec![
                Ring(&[(520.0, 1.0, 11.0), (830.0, 0.5, 14.0), (1290.0, 0.35, 17.0), (1940.0, 0.2, 22.0)]),
                Hiss(1200.0, 6500.0, 0.7, 60.0, 0.0),
            ],
        ),
        like(66, "Low Timbale", 65, -640, -2.0, -0.1),
        drum(
            67,
            "High Agogo",
            0.3,
            -5.0,
            -0.2,
            vec![Ring(&[(1230.0, 1.0, 11.0), (1870.0, 0.5, 14.0), (3420.0, 0.4, 18.0)])],
        ),
        like(68, "Low Agogo", 67, -560, -5.0, -0.2),
        drum(69, "Cabasa", 0.12, -5.0, -0.2, vec![Hiss(3500.0, 7800.0, 1.0, 30.0, 0.0)]),
        drum(70, "Maracas", 0.08, -6.0, -0.2, vec![Hiss(3800.0, 7800.0, 1.0, 55.0, 0.0)]),
        drum(
            71,
            "Short Whistle",
            0.18,
            -7.0,
            0.2,
            vec![Trill(2350.0, 110.0, 38.0, 1.0, 4.0), Hiss(2000.0, 5000.0, 0.2, 8.0, 0.0)],
        )
        .group(WHISTLES),
        drum(
            72,
            "Long Whistle",
            0.38,
            -7.0,
            0.2,
            vec![Trill(2350.0, 110.0, 38.0, 1.0, 1.5), Hiss(2000.0, 5000.0, 0.2, 3.0, 0.0)],
        )
        .group(WHISTLES),
        drum(73, "Short Guiro", 0.13, -5.0, 0.2, vec![Grains(1800.0, 5500.0, 1.0, 85.0, 0.11, 150.0)]).group(GUIROS),
        drum(74, "Long Guiro", 0.34, -5.0, 0.2, vec![Grains(1600.0, 5500.0, 1.0, 55.0, 0.42, 110.0)]).group(GUIROS),
        drum(75, "Claves", 0.1, -4.0, -0.1, vec![Ring(&[(2480.0, 1.0, 40.0), (4950.0, 0.15, 70.0)])]),
        drum(
            76,
            "Hi Wood Block",
            0.11,
            -4.0,
            -0.15,
            vec![
                Ring(&[(1120.0, 1.0, 42.0), (1790.0, 0.5, 55.0), (3100.0, 0.25, 80.0)]),
                Hiss(1000.0, 5000.0, 0.25, 160.0, 0.0),
            ],
        ),
        like(77, "Low Wood Block", 76, -670, -4.0, -0.15),
        drum(
            78,
            "Mute Cuica",
            0.16,
            -5.0,
            0.15,
            vec![Skin(420.0, 640.0, 12.0, 1.0, 12.0), Skin(840.0, 1280.0, 12.0, 0.4, 14.0)],
        )
        .group(CUICAS),
        drum(
            79,
            "Open Cuica",
            0.28,
            -5.0,
            0.15,
            vec![Skin(640.0, 380.0, 8.0, 1.0, 7.0), Skin(1280.0, 760.0, 8.0, 0.4, 8.0)],
        )
        .group(CUICAS),
        metal(
            80,
            "Mute Triangle",
            0.12,
            -8.0,
            0.2,
            vec![Ring(&[(4480.0, 1.0, 35.0), (7210.0, 0.6, 40.0), (10_800.0, 0.4, 50.0)])],
        )
        .group(TRIANGLES),
        metal(
            81,
            "Open Triangle",
            0.45,
            -8.0,
            0.2,
            vec![Ring(&[(4480.0, 1.0, 4.0), (7210.0, 0.6, 5.0), (10_800.0, 0.4, 7.0)])],
        )
        .group(TRIANGLES),
        drum(82, "Shaker", 0.11, -6.0, -0.15, vec![Hiss(3500.0, 7800.0, 1.0, 26.0, 0.012)]),
        metal(
            83,
            "Jingle Bell",
            0.22,
            -7.0,
            0.1,
            vec![
                Grains(5000.0, 13_000.0, 0.8, 34.0, 0.16, 60.0),
                Ring(&[(4100.0, 0.3, 12.0), (5230.0, 0.3, 13.0), (6870.0, 0.25, 15.0)]),
            ],
        ),
        metal(
            84,
            "Bell Tree",
            0.45,
            -8.0,
            0.15,
            vec![Ring(&[
                (3100.0, 0.4, 3.5),
                (3720.0, 0.4, 3.8),
                (4410.0, 0.4, 4.2),
                (5180.0, 0.4, 4.6),
                (6090.0, 0.35, 5.0),
                (7150.0, 0.3, 5.4),
            ])],
        ),
        drum(
            85,
            "Castanets",
            0.08,
            -4.0,
            0.1,
            vec![Ring(&[(1450.0, 1.0, 75.0), (2700.0, 0.7, 90.0)]), Hiss(1500.0, 7000.0, 0.6, 130.0, 0.0)],
        ),
        drum(
            86,
            "Mute Surdo",
            0.18,
            0.0,
            0.0,
            vec![Skin(110.0, 72.0, 30.0, 1.0, 22.0), Hiss(100.0, 1200.0, 0.4, 80.0, 0.0)],
        ),
        drum(
            87,
            "Open Surdo",
            0.6,
            0.0,
            0.0,
            vec![Skin(100.0, 66.0, 24.0, 1.0, 6.0), Hiss(80.0, 900.0, 0.3, 70.0, 0.0)],
        ),
    ]
}

/// Adds the drum kit. A drum plays to its end, at whatever time its key is released.
pub(super) fn add_kit(maker: &mut Maker) {
    const UNTIL_END: Envelope = Envelope { attack: 0.0, hold: 0.0, decay: 0.0, sustain: 1.0, release: 40.0 };
    let mut regions = Vec::new();
    let drums = kit();
    for drum in &drums {
        let (from, cents) = match drum.sound {
            Sound::Parts(_) => (drum, 0),
            Sound::Like(key, cents) => {
                (drums.iter().find(|other| other.key == key).expect("a drum is like one of the kit"), cents)
            }
        };
        let Sound::Parts(parts) = &from.sound else { unreachable!("a drum is like one with a wave of its own") };
        let index = maker.wave(from.name, || from.render(parts));
        let mut list = List::default();
        list.envelope1(&UNTIL_END);
        if drum.pan != 0.0 {
            list.constant(d::PAN, percent(drum.pan));
        }
        let key = u16::from(drum.key);
        regions.push(Region {
            keys: (key, key),
            velocities: (0, 127),
            options: REGION_SELF_NON_EXCLUSIVE,
            key_group: drum.group,
            sample: Some(WaveSample {
                unity_note: key,
                fine_tune: cents,
                gain: decibels(PEAK_DB + drum.gain),
                ..WaveSample::default()
            }),
            link: WaveLink { channels: 1, index, ..WaveLink::default() },
            articulation: Some(list.0),
            sound_font: None,
        });
    }
    maker.add_instrument(Instrument {
        name: "Standard Kit".to_owned(),
        patch: Patch { drums: true, ..Patch::default() },
        regions,
        articulation: Vec::new(),
    });
}
