//! SoundFonts in the making: one preset of one instrument of one zone, the test tone, looped.

use super::file::{chunk, halves, list};
use super::{RATE, TURN, tone};

/// Generators, by number (SoundFont 2.04, 8.1.2) and amount.
pub(crate) type Generators<'a> = &'a [(u16, i16)];

/// Modulators: source, destination, amount, amount source, transform.
pub(crate) type Modulators<'a> = &'a [(u16, u16, i16, u16, u16)];

pub(crate) const RELEASE_VOLUME: u16 = 38;
pub(crate) const SUSTAIN_VOLUME: u16 = 37;
pub(crate) const DECAY_VOLUME: u16 = 36;
pub(crate) const ATTACK_VOLUME: u16 = 34;
pub(crate) const INSTRUMENT: u16 = 41;
pub(crate) const KEY_RANGE: u16 = 43;
pub(crate) const ATTENUATION: u16 = 48;
pub(crate) const COARSE_TUNE: u16 = 51;
pub(crate) const SAMPLE: u16 = 53;
pub(crate) const SAMPLE_MODES: u16 = 54;
pub(crate) const SCALE_TUNING: u16 = 56;
pub(crate) const EXCLUSIVE_CLASS: u16 = 57;

/// A zone: its generators, the one that leads on included, and its modulators.
#[derive(Clone, Default)]
pub(crate) struct Zone<'a> {
    pub(crate) generators: Vec<(u16, i16)>,
    pub(crate) modulators: Modulators<'a>,
}

/// A font of one preset and one instrument, each of these zones, and of these tables where they are replaced.
#[derive(Clone)]
pub(crate) struct Font<'a> {
    pub(crate) bank: u16,
    pub(crate) program: u16,
    pub(crate) preset: Vec<Zone<'a>>,
    pub(crate) instrument: Vec<Zone<'a>>,
    pub(crate) samples: Vec<i16>,
    /// Start, end, loop start, loop end, rate.
    pub(crate) header: [u32; 5],
    /// Root key, correction, link, kind.
    pub(crate) sample: (u8, u8, u16, u16),
}

impl<'a> Font<'a> {
    /// Makes four turns of the test tone, with the loop in the middle two.
    pub(crate) fn new(preset: Generators<'_>, instrument: Generators<'_>, quarter: f64) -> Self {
        let zone = |list: Generators<'_>, last: (u16, i16)| Zone {
            generators: list.iter().copied().chain([last]).collect(),
            modulators: &[],
        };
        let turn = TURN as u32;
        Self {
            bank: 0,
            program: 0,
            preset: vec![zone(preset, (INSTRUMENT, 0))],
            instrument: vec![zone(instrument, (SAMPLE, 0))],
            samples: (0..4).flat_map(|_| tone(quarter)).chain([0; 46]).collect(),
            header: [0, 4 * turn, turn, 3 * turn, RATE],
            sample: (60, 0, 0, 1),
        }
    }

    /// Adds these modulators to the instrument's last zone.
    pub(crate) fn with(mut self, modulators: Modulators<'a>) -> Self {
        self.instrument.last_mut().unwrap().modulators = modulators;
        self
    }

    /// Returns the nine tables, in the order of the file.
    pub(crate) fn tables(&self) -> Vec<(&'static [u8; 4], Vec<u8>)> {
        let bags = |zones: &[Zone<'_>]| -> Vec<u8> {
            let mut at = (0u16, 0u16);
            let mut out = halves(&[0, 0]);
            for zone in zones {
                at = (at.0 + zone.generators.len() as u16, at.1 + zone.modulators.len() as u16);
                out.extend(halves(&[at.0, at.1]));
            }
            out
        };
        let generators = |zones: &[Zone<'_>]| -> Vec<u8> {
            let all = zones.iter().flat_map(|zone| &zone.generators).chain([&(0, 0)]);
            all.flat_map(|(id, amount)| halves(&[*id, *amount as u16])).collect()
        };
        let modulators = |zones: &[Zone<'_>]| -> Vec<u8> {
            let all = zones.iter().flat_map(|zone| zone.modulators).chain([&(0, 0, 0, 0, 0)]);
            all.flat_map(|m| halves(&[m.0, m.1, m.2 as u16, m.3, m.4])).collect()
        };
        let header: Vec<u8> = self.header.iter().flat_map(|v| v.to_le_bytes()).collect();
        let (key, correction, link, kind) = self.sample;
        let sample = named("Tone", &[header, vec![key, correction], halves(&[link, kind])].concat());
        let preset = named("Preset", &[halves(&[self.program, self.bank, 0]), vec![0; 12]].concat());
        let end = named("EOP", &[halves(&[0, 0, self.preset.len() as u16]), vec![0; 12]].concat());
        let instrument_end = named("EOI", &halves(&[self.instrument.len() as u16]));
        vec![
            (b"phdr", [preset, end].concat()),
            (b"pbag", bags(&self.preset)),
            (b"pmod", modulators(&self.preset)),
            (b"pgen", generators(&self.preset)),
            (b"inst", [named("Instrument", &halves(&[0])), instrument_end].concat()),
            (b"ibag", bags(&self.instrument)),
            (b"imod", modulators(&self.instrument)),
            (b"igen", generators(&self.instrument)),
            (b"shdr", [sample, named("EOS", &[0; 26])].concat()),
        ]
    }

    /// Returns the file, of these tables.
    pub(crate) fn file_of(&self, tables: &[(&'static [u8; 4], Vec<u8>)]) -> Vec<u8> {
        let tables: Vec<_> = tables.iter().map(|(id, data)| chunk(id, data)).collect();
        let info = [chunk(b"ifil", &halves(&[2, 4])), chunk(b"isng", b"EMU8000\0"), chunk(b"INAM", b"Font\0\0")];
        let samples: Vec<u8> = self.samples.iter().flat_map(|s| s.to_le_bytes()).collect();
        let data = list(b"sdta", &[chunk(b"smpl", &samples)]);
        chunk(b"RIFF", &[&b"sfbk"[..], &list(b"INFO", &info), &data, &list(b"pdta", &tables)].concat())
    }

    pub(crate) fn file(&self) -> Vec<u8> {
        self.file_of(&self.tables())
    }
}

fn named(name: &str, rest: &[u8]) -> Vec<u8> {
    let mut out = name.as_bytes().to_vec();
    out.resize(20, 0);
    [out, rest.to_vec()].concat()
}

/// Makes a font of one preset of one instrument of one zone.
pub(crate) fn font(
    bank: u16,
    program: u16,
    preset: Generators<'_>,
    instrument: Generators<'_>,
    quarter: f64,
) -> Vec<u8> {
    Font { bank, program, ..Font::new(preset, instrument, quarter) }.file()
}

/// Generators of one zone, the one that leads on included.
pub(crate) type Generated = Vec<(u16, i16)>;

/// A sample's start, end, loop start, loop end, rate; then root key, correction, link, kind.
pub(crate) type SampleHeader = ([u32; 5], (u8, u8, u16, u16));

/// A font of any number of presets, instruments and samples, without modulators.
#[derive(Clone, Default)]
pub(crate) struct Fonts {
    /// Bank, program, zones.
    pub(crate) presets: Vec<(u16, u16, Vec<Generated>)>,
    pub(crate) instruments: Vec<Vec<Generated>>,
    pub(crate) samples: Vec<SampleHeader>,
    pub(crate) pcm: Vec<i16>,
}

impl Fonts {
    /// Makes one preset, instrument and sample for each number of samples in a turn: a looped sine at [`RATE`].
    pub(crate) fn of_tones(turns: &[u32]) -> Self {
        let mut font = Self::default();
        for (index, turn) in turns.iter().enumerate() {
            let start = font.pcm.len() as u32;
            let angle = |i: u32| std::f64::consts::TAU * f64::from(i) / f64::from(*turn);
            font.pcm.extend((0..4 * turn).map(|i| (16_000.0 * angle(i).sin()).round() as i16));
            font.samples.push(([start, start + 4 * turn, start + turn, start + 3 * turn, RATE], (60, 0, 0, 1)));
            font.pcm.extend([0; 46]);
            font.instruments.push(vec![vec![(SAMPLE_MODES, 1), (SAMPLE, index as i16)]]);
            font.presets.push((0, index as u16, vec![vec![(INSTRUMENT, index as i16)]]));
        }
        font
    }

    /// Puts generators before all others of an instrument's first zone.
    pub(crate) fn with(mut self, instrument: usize, generators: Generators<'_>) -> Self {
        self.instruments[instrument][0].splice(0..0, generators.iter().copied());
        self
    }

    pub(crate) fn file(&self) -> Vec<u8> {
        let bags = |sets: &[&Vec<Generated>]| -> Vec<u8> {
            let mut at = 0u16;
            let mut out = halves(&[0, 0]);
            for zone in sets.iter().flat_map(|zones| zones.iter()) {
                at += zone.len() as u16;
                out.extend(halves(&[at, 0]));
            }
            out
        };
        let generators = |sets: &[&Vec<Generated>]| -> Vec<u8> {
            let all = sets.iter().flat_map(|zones| zones.iter().flatten()).chain([&(0, 0)]);
            all.flat_map(|(id, amount)| halves(&[*id, *amount as u16])).collect()
        };
        let (mut presets, mut at) = (Vec::new(), 0u16);
        for (index, (bank, program, zones)) in self.presets.iter().enumerate() {
            let rest = [halves(&[*program, *bank, at]), vec![0; 12]].concat();
            presets.extend(named(&format!("Preset {index}"), &rest));
            at += zones.len() as u16;
        }
        presets.extend(named("EOP", &[halves(&[0, 0, at]), vec![0; 12]].concat()));
        let (mut instruments, mut at) = (Vec::new(), 0u16);
        for (index, zones) in self.instruments.iter().enumerate() {
            instruments.extend(named(&format!("Instrument {index}"), &halves(&[at])));
            at += zones.len() as u16;
        }
        instruments.extend(named("EOI", &halves(&[at])));
        let mut samples = Vec::new();
        for (index, (header, (key, correction, link, kind))) in self.samples.iter().enumerate() {
            let header: Vec<u8> = header.iter().flat_map(|v| v.to_le_bytes()).collect();
            let rest = [header, vec![*key, *correction], halves(&[*link, *kind])].concat();
            samples.extend(named(&format!("Sample {index}"), &rest));
        }
        samples.extend(named("EOS", &[0; 26]));
        let preset_zones: Vec<_> = self.presets.iter().map(|(_, _, zones)| zones).collect();
        let instrument_zones: Vec<_> = self.instruments.iter().collect();
        let base = Font { samples: self.pcm.clone(), ..Font::new(&[], &[], 0.0) };
        base.file_of(&[
            (b"phdr", presets),
            (b"pbag", bags(&preset_zones)),
            (b"pmod", vec![0; 10]),
            (b"pgen", generators(&preset_zones)),
            (b"inst", instruments),
            (b"ibag", bags(&instrument_zones)),
            (b"imod", vec![0; 10]),
            (b"igen", generators(&instrument_zones)),
            (b"shdr", samples),
        ])
    }
}
