//! A writer of SoundFonts that shares nothing with any reader (SoundFont 2.04, chapters 4 to 7).

use libm::{cos, round};

use crate::dls::{IMPULSE_AT, RATE, TURN};

/// Peak of every tone, as in the DLS files.
const PEAK: f64 = 16_384.0;

/// Zeros behind every sample (7.10).
const PADDING: usize = 46;

/// Generators, by the names of 8.1.2.
pub mod generator {
    /// `startAddrsOffset`.
    pub const START: u16 = 0;
    /// `endAddrsOffset`.
    pub const END: u16 = 1;
    /// `startloopAddrsOffset`.
    pub const LOOP_START: u16 = 2;
    /// `endloopAddrsOffset`.
    pub const LOOP_END: u16 = 3;
    /// `startAddrsCoarseOffset`.
    pub const START_COARSE: u16 = 4;
    /// `modLfoToPitch`.
    pub const MOD_LFO_TO_PITCH: u16 = 5;
    /// `vibLfoToPitch`.
    pub const VIB_LFO_TO_PITCH: u16 = 6;
    /// `modEnvToPitch`.
    pub const MOD_ENV_TO_PITCH: u16 = 7;
    /// `initialFilterFc`.
    pub const CUTOFF: u16 = 8;
    /// `initialFilterQ`.
    pub const Q: u16 = 9;
    /// `modLfoToFilterFc`.
    pub const MOD_LFO_TO_CUTOFF: u16 = 10;
    /// `modEnvToFilterFc`.
    pub const MOD_ENV_TO_CUTOFF: u16 = 11;
    /// `modLfoToVolume`.
    pub const MOD_LFO_TO_VOLUME: u16 = 13;
    /// `reverbEffectsSend`.
    pub const REVERB: u16 = 16;
    /// `chorusEffectsSend`.
    pub const CHORUS: u16 = 15;
    /// `pan`.
    pub const PAN: u16 = 17;
    /// `delayModLFO`.
    pub const MOD_LFO_DELAY: u16 = 21;
    /// `freqModLFO`.
    pub const MOD_LFO_FREQUENCY: u16 = 22;
    /// `delayVibLFO`.
    pub const VIB_LFO_DELAY: u16 = 23;
    /// `freqVibLFO`.
    pub const VIB_LFO_FREQUENCY: u16 = 24;
    /// `delayModEnv`.
    pub const MOD_ENV_DELAY: u16 = 25;
    /// `attackModEnv`.
    pub const MOD_ENV_ATTACK: u16 = 26;
    /// `holdModEnv`.
    pub const MOD_ENV_HOLD: u16 = 27;
    /// `decayModEnv`.
    pub const MOD_ENV_DECAY: u16 = 28;
    /// `sustainModEnv`.
    pub const MOD_ENV_SUSTAIN: u16 = 29;
    /// `releaseModEnv`.
    pub const MOD_ENV_RELEASE: u16 = 30;
    /// `keynumToModEnvHold`.
    pub const KEY_TO_MOD_ENV_HOLD: u16 = 31;
    /// `keynumToModEnvDecay`.
    pub const KEY_TO_MOD_ENV_DECAY: u16 = 32;
    /// `delayVolEnv`.
    pub const DELAY: u16 = 33;
    /// `attackVolEnv`.
    pub const ATTACK: u16 = 34;
    /// `holdVolEnv`.
    pub const HOLD: u16 = 35;
    /// `decayVolEnv`.
    pub const DECAY: u16 = 36;
    /// `sustainVolEnv`.
    pub const SUSTAIN: u16 = 37;
    /// `releaseVolEnv`.
    pub const RELEASE: u16 = 38;
    /// `keynumToVolEnvHold`.
    pub const KEY_TO_HOLD: u16 = 39;
    /// `keynumToVolEnvDecay`.
    pub const KEY_TO_DECAY: u16 = 40;
    /// `instrument`.
    pub const INSTRUMENT: u16 = 41;
    /// `keyRange`.
    pub const KEY_RANGE: u16 = 43;
    /// `velRange`.
    pub const VELOCITY_RANGE: u16 = 44;
    /// `keynum`.
    pub const KEY: u16 = 46;
    /// `velocity`.
    pub const VELOCITY: u16 = 47;
    /// `initialAttenuation`.
    pub const ATTENUATION: u16 = 48;
    /// `coarseTune`.
    pub const COARSE_TUNE: u16 = 51;
    /// `fineTune`.
    pub const FINE_TUNE: u16 = 52;
    /// `sampleID`.
    pub const SAMPLE: u16 = 53;
    /// `sampleModes`.
    pub const MODES: u16 = 54;
    /// `scaleTuning`.
    pub const SCALE_TUNING: u16 = 56;
    /// `exclusiveClass`.
    pub const EXCLUSIVE_CLASS: u16 = 57;
    /// `overridingRootKey`.
    pub const ROOT_KEY: u16 = 58;
}

/// A generator and its amount.
pub type Generator = (u16, i16);

/// Returns a range of keys or velocities as an amount.
#[must_use]
pub fn range(low: u8, high: u8) -> i16 {
    i16::from_le_bytes([low, high])
}

/// Returns absolute time cents of a time in seconds.
#[must_use]
pub fn time(seconds: f64) -> i16 {
    round(1200.0 * libm::log2(seconds)) as i16
}

/// Returns absolute cents of a frequency in Hz, where 0 is 8.176 Hz.
#[must_use]
pub fn frequency(hertz: f64) -> i16 {
    round(1200.0 * libm::log2(hertz / 440.0) + 6900.0) as i16
}

/// `sfModList`: source, destination, amount, amount source, transform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modulator(pub u16, pub u16, pub i16, pub u16, pub u16);

/// A zone of a preset or an instrument.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zone {
    /// Its generators, as written; the one that leads on is not added.
    pub generators: Vec<Generator>,
    /// Its modulators.
    pub modulators: Vec<Modulator>,
}

impl Zone {
    /// Makes a zone of an instrument that plays a sample.
    #[must_use]
    pub fn of_sample(generators: &[Generator], sample: u16) -> Self {
        Self::leading(generators, (generator::SAMPLE, sample as i16))
    }

    /// Makes a zone of a preset that plays an instrument.
    #[must_use]
    pub fn of_instrument(generators: &[Generator], instrument: u16) -> Self {
        Self::leading(generators, (generator::INSTRUMENT, instrument as i16))
    }

    /// Makes a global zone.
    #[must_use]
    pub fn global(generators: &[Generator], modulators: &[Modulator]) -> Self {
        Self { generators: generators.to_vec(), modulators: modulators.to_vec() }
    }

    fn leading(generators: &[Generator], last: Generator) -> Self {
        Self { generators: generators.iter().copied().chain([last]).collect(), modulators: Vec::new() }
    }
}

/// A preset.
#[derive(Clone, Debug)]
pub struct Preset {
    /// `wBank`.
    pub bank: u16,
    /// `wPreset`.
    pub program: u16,
    /// Its zones.
    pub zones: Vec<Zone>,
}

/// What a sample holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Turns of so many samples, so often.
    Tone(u32, u32),
    /// Turns of so many samples, so often, followed by turns of another number, so often.
    Parts([(u32, u32); 2]),
    /// The same at 1/256 of the level, in the lower 8 of 24 bits.
    LowBits(u32, u32),
    /// Silence, one sample at [`IMPULSE_AT`], silence.
    Impulse,
}

/// `sfSample` and its data.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// What it holds.
    pub content: Content,
    /// First sample of the loop, and the one behind its last, from the sample's beginning.
    pub loops: (u32, u32),
    /// In Hz.
    pub rate: u32,
    /// `byOriginalKey`.
    pub root: u8,
    /// `chCorrection`, in cents.
    pub correction: i8,
    /// `wSampleLink`.
    pub link: u16,
    /// `sfSampleType`.
    pub kind: u16,
}

impl Default for Sample {
    fn default() -> Self {
        // A turn behind the loop, so that every interpolator finds there what is at its beginning.
        Self::tone(TURN)
    }
}

impl Sample {
    /// Makes a looped tone of so many samples a turn.
    #[must_use]
    pub fn tone(turn: u32) -> Self {
        Self {
            content: Content::Tone(turn, 5),
            loops: (turn, 4 * turn),
            rate: RATE,
            root: 60,
            correction: 0,
            link: 0,
            kind: 1,
        }
    }

    /// Makes an impulse, with a silent loop behind it.
    #[must_use]
    pub fn impulse() -> Self {
        Self { content: Content::Impulse, loops: (IMPULSE_AT + 64, IMPULSE_AT + 128), ..Self::default() }
    }

    fn values(&self, quarters: u32) -> Vec<f64> {
        let tone = |turn: u32, times: u32| {
            (0..turn * times).map(move |i| {
                let turns = f64::from(i % turn) / f64::from(turn) - f64::from(quarters) / 4.0;
                PEAK * cos(core::f64::consts::TAU * turns)
            })
        };
        match self.content {
            Content::Tone(turn, times) => tone(turn, times).collect(),
            Content::LowBits(turn, times) => tone(turn, times).map(|x| x / 256.0 / 256.0).collect(),
            Content::Parts(parts) => parts.iter().flat_map(|(turn, times)| tone(*turn, *times)).collect(),
            Content::Impulse => (0..IMPULSE_AT + 3 * TURN).map(|i| if i == IMPULSE_AT { PEAK } else { 0.0 }).collect(),
        }
    }
}

/// A SoundFont.
#[derive(Clone, Debug, Default)]
pub struct Font {
    /// Its presets.
    pub presets: Vec<Preset>,
    /// Its instruments, by their zones.
    pub instruments: Vec<Vec<Zone>>,
    /// Its samples.
    pub samples: Vec<Sample>,
    /// Whether there is an `sm24` chunk.
    pub has_low_bits: bool,
}

fn chunk(code: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut out = code.to_vec();
    out.extend((data.len() as u32).to_le_bytes());
    out.extend(data);
    out.extend(vec![0; data.len() % 2]);
    out
}

fn list(code: &[u8; 4], parts: &[Vec<u8>]) -> Vec<u8> {
    chunk(b"LIST", &[code.to_vec(), parts.concat()].concat())
}

fn halves(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn named(name: &str, rest: &[u8]) -> Vec<u8> {
    let mut out = name.as_bytes().to_vec();
    out.resize(20, 0);
    out.extend(rest);
    out
}

/// The tables of bags, modulators and generators of zones.
fn tables(zones: &[&Zone]) -> [Vec<u8>; 3] {
    let (mut bags, mut at) = (halves(&[0, 0]), (0, 0));
    for zone in zones {
        at = (at.0 + zone.generators.len() as u16, at.1 + zone.modulators.len() as u16);
        bags.extend(halves(&[at.0, at.1]));
    }
    let modulators = zones.iter().flat_map(|zone| &zone.modulators).chain([&Modulator(0, 0, 0, 0, 0)]);
    let generators = zones.iter().flat_map(|zone| &zone.generators).chain([&(0, 0)]);
    [
        bags,
        modulators.flat_map(|m| halves(&[m.0, m.1, m.2 as u16, m.3, m.4])).collect(),
        generators.flat_map(|(number, amount)| halves(&[*number, *amount as u16])).collect(),
    ]
}

impl Font {
    /// Returns the file, with every tone so many quarter turns late.
    #[must_use]
    pub fn bytes(&self, quarters: u32) -> Vec<u8> {
        let (mut high, mut low, mut headers) = (Vec::new(), Vec::new(), Vec::new());
        for (index, sample) in self.samples.iter().enumerate() {
            let start = (high.len() / 2) as u32;
            for value in sample.values(quarters) {
                // In 24 bits, and cut to 16 where there are no more.
                let value = if self.has_low_bits { round(value * 256.0) as i32 } else { (round(value) as i32) << 8 };
                high.extend(((value >> 8) as i16).to_le_bytes());
                low.push(value as u8);
            }
            let end = (high.len() / 2) as u32;
            high.extend(vec![0; 2 * PADDING]);
            low.extend(vec![0; PADDING]);
            let words = [start, end, start + sample.loops.0, start + sample.loops.1, sample.rate];
            let mut header: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            header.extend([sample.root, sample.correction as u8]);
            header.extend(halves(&[sample.link, sample.kind]));
            headers.extend(named(&format!("Sample {index}"), &header));
        }
        headers.extend(named("EOS", &[0; 26]));
        let mut data = vec![chunk(b"smpl", &high)];
        if self.has_low_bits {
            data.push(chunk(b"sm24", &low));
        }
        let (mut presets, mut at) = (Vec::new(), 0);
        for (index, preset) in self.presets.iter().enumerate() {
            let rest = [halves(&[preset.program, preset.bank, at]), vec![0; 12]].concat();
            presets.extend(named(&format!("Preset {index}"), &rest));
            at += preset.zones.len() as u16;
        }
        presets.extend(named("EOP", &[halves(&[0, 0, at]), vec![0; 12]].concat()));
        let (mut instruments, mut at) = (Vec::new(), 0);
        for (index, zones) in self.instruments.iter().enumerate() {
            instruments.extend(named(&format!("Instrument {index}"), &halves(&[at])));
            at += zones.len() as u16;
        }
        instruments.extend(named("EOI", &halves(&[at])));
        let [pbag, pmod, pgen] = tables(&self.presets.iter().flat_map(|preset| &preset.zones).collect::<Vec<_>>());
        let [ibag, imod, igen] = tables(&self.instruments.iter().flatten().collect::<Vec<_>>());
        let version = halves(&[2, 4]);
        let info = [chunk(b"ifil", &version), chunk(b"isng", b"EMU8000\0"), chunk(b"INAM", b"Conformance\0")];
        let tables = [
            chunk(b"phdr", &presets),
            chunk(b"pbag", &pbag),
            chunk(b"pmod", &pmod),
            chunk(b"pgen", &pgen),
            chunk(b"inst", &instruments),
            chunk(b"ibag", &ibag),
            chunk(b"imod", &imod),
            chunk(b"igen", &igen),
            chunk(b"shdr", &headers),
        ];
        let lists = [list(b"INFO", &info), list(b"sdta", &data), list(b"pdta", &tables)];
        chunk(b"RIFF", &[b"sfbk".to_vec(), lists.concat()].concat())
    }
}
