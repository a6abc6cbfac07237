//! The bank of the comparison: a SoundFont that all four synthesizers load, made by code so that it has exactly what
//! every voice has to do.
//!
//! Fifteen presets of six zones, each zone with a looped wave of its own (33 KB, 3 MB together), so that the waves of
//! a thousand voices do not fit a processor's second cache, as those of a real bank do not. Every zone spans an
//! octave around its root, as real banks have it. All waves hold the same band of partials at the same level, so that
//! the power of N voices is N times that of one: that is how it is checked that N voices sound.

/// Presets, one for each channel that plays; the drum channel does not.
pub(crate) const PRESETS: u8 = 15;

/// Roots of the zones.
const ROOTS: [u8; 6] = [36, 48, 60, 72, 84, 96];

/// Lowest key that a zone covers.
pub(crate) const KEY_MIN: u8 = ROOTS[0] - 6;

/// Keys that the zones cover.
pub(crate) const KEYS: u8 = ROOTS.len() as u8 * 12;

/// Samples of a loop.
const LOOP: usize = 16_384;

/// Samples before the loop and after it: SoundFont requires eight that continue it on either side.
const MARGIN: usize = 8;

/// Silence between waves (SoundFont 2.04, 6.1).
const SILENCE: usize = 46;

/// Partials of a wave.
const PARTIALS: usize = 24;

/// Their frequencies, in periods of the loop: 110 Hz to 1 kHz at 44.1 kHz, far below the filter's cutoff.
const BAND: std::ops::Range<usize> = 40..370;

/// What the voices have to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Work {
    /// A resonant low-pass filter at 5 kHz, at work all the time.
    pub(crate) filter: bool,
    /// Vibrato from the beginning, so that the pitch changes all the time.
    pub(crate) vibrato: bool,
}

impl Work {
    /// All that a voice of a song does.
    pub(crate) const ALL: Self = Self { filter: true, vibrato: true };
}

/// Generators (SoundFont 2.04, 8.1.2).
mod generator {
    /// `vibLfoToPitch`.
    pub(super) const VIBRATO_TO_PITCH: u16 = 6;
    /// `initialFilterFc`.
    pub(super) const FILTER_CUTOFF: u16 = 8;
    /// `initialFilterQ`.
    pub(super) const FILTER_Q: u16 = 9;
    /// `chorusEffectsSend`.
    pub(super) const CHORUS_SEND: u16 = 15;
    /// `reverbEffectsSend`.
    pub(super) const REVERB_SEND: u16 = 16;
    /// `delayVibLFO`.
    pub(super) const VIBRATO_DELAY: u16 = 23;
    /// `freqVibLFO`.
    pub(super) const VIBRATO_FREQUENCY: u16 = 24;
    /// `releaseVolEnv`.
    pub(super) const RELEASE: u16 = 38;
    /// `instrument`.
    pub(super) const INSTRUMENT: u16 = 41;
    /// `keyRange`.
    pub(super) const KEY_RANGE: u16 = 43;
    /// `initialAttenuation`.
    pub(super) const ATTENUATION: u16 = 48;
    /// `sampleID`.
    pub(super) const SAMPLE: u16 = 53;
    /// `sampleModes`.
    pub(super) const SAMPLE_MODES: u16 = 54;
    /// `overridingRootKey`.
    pub(super) const ROOT_KEY: u16 = 58;
}

/// Returns the SoundFont as a file.
#[must_use]
pub(crate) fn sound_font(work: Work) -> Vec<u8> {
    let mut samples: Vec<i16> = Vec::new();
    let mut headers = Vec::new();
    let mut random = Random(0x2545_F491);
    let table: Vec<f64> = (0..LOOP).map(|i| (std::f64::consts::TAU * i as f64 / LOOP as f64).cos()).collect();
    for preset in 0..PRESETS {
        for root in ROOTS {
            let start = samples.len();
            let period = wave(&table, &mut random);
            let length = MARGIN + LOOP + MARGIN;
            samples.extend((0..length).map(|i| period[(i + LOOP - MARGIN) % LOOP]));
            samples.resize(samples.len() + SILENCE, 0);
            let at = |offset: usize| ((start + offset) as u32).to_le_bytes();
            headers.extend(name(&format!("{preset} at {root}")));
            headers.extend([at(0), at(length), at(MARGIN), at(MARGIN + LOOP), 44_100u32.to_le_bytes()].concat());
            // Root, correction, link, kind: mono.
            headers.extend([root, 0, 0, 0, 1, 0]);
        }
    }
    headers.extend(name("EOS"));
    headers.resize(headers.len() + 26, 0);

    file(&samples, &articulation(work, &headers))
}

/// Makes the file of a SoundFont.
fn file(samples: &[i16], articulation: &[u8]) -> Vec<u8> {
    let samples: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let information =
        [chunk(b"ifil", &[2, 0, 1, 0]), chunk(b"isng", b"EMU8000\0"), chunk(b"INAM", b"comparison\0\0")].concat();
    let file = [
        list(b"LIST", b"INFO", &information),
        list(b"LIST", b"sdta", &chunk(b"smpl", &samples)),
        list(b"LIST", b"pdta", articulation),
    ]
    .concat();
    list(b"RIFF", b"sfbk", &file)
}

/// Makes one period of a wave: partials of equal level, at frequencies and phases of their own.
fn wave(table: &[f64], random: &mut Random) -> Vec<i16> {
    let partials: Vec<(usize, usize)> =
        (0..PARTIALS).map(|_| (BAND.start + random.below(BAND.len()), random.below(LOOP))).collect();
    // Equal frequencies may meet; the level of the whole is set by what came out.
    let shape: Vec<f64> =
        (0..LOOP).map(|i| partials.iter().map(|(periods, phase)| table[(i * periods + phase) % LOOP]).sum()).collect();
    let power = shape.iter().map(|value| value * value).sum::<f64>() / LOOP as f64;
    let gain = 6000.0 / power.sqrt();
    shape.iter().map(|value| (value * gain).round() as i16).collect()
}

/// Makes the nine lists of `pdta` (SoundFont 2.04, 7.2 to 7.10).
fn articulation(work: Work, headers: &[u8]) -> Vec<u8> {
    let mut presets = Vec::new();
    let (mut preset_bags, mut preset_generators) = (Bags::default(), Vec::new());
    let mut instruments = Vec::new();
    let (mut bags, mut generators) = (Bags::default(), Vec::new());
    for preset in 0..PRESETS {
        presets.extend(name(&format!("preset {preset}")));
        presets.extend(u16::from(preset).to_le_bytes());
        presets.extend([0; 2]);
        presets.extend(preset_bags.count.to_le_bytes());
        presets.extend([0; 12]);
        preset_bags.add(&preset_generators);
        push(&mut preset_generators, generator::INSTRUMENT, i16::from(preset));

        instruments.extend(name(&format!("instrument {preset}")));
        instruments.extend(bags.count.to_le_bytes());
        for (zone, root) in ROOTS.into_iter().enumerate() {
            bags.add(&generators);
            let mut set = |generator, amount| push(&mut generators, generator, amount);
            set(generator::KEY_RANGE, i16::from_le_bytes([root - 6, root + 5]));
            if work.vibrato {
                set(generator::VIBRATO_TO_PITCH, 8);
                set(generator::VIBRATO_DELAY, -12_000);
                // Around 5.5 Hz, a little different for each instrument.
                set(generator::VIBRATO_FREQUENCY, -690 + 10 * i16::from(preset));
            }
            if work.filter {
                // 5 kHz and 3 dB.
                set(generator::FILTER_CUTOFF, 11_108);
                set(generator::FILTER_Q, 30);
            }
            set(generator::CHORUS_SEND, 200);
            set(generator::REVERB_SEND, 200);
            set(generator::RELEASE, -4000);
            set(generator::ATTENUATION, 400);
            set(generator::SAMPLE_MODES, 1);
            set(generator::ROOT_KEY, i16::from(root));
            set(generator::SAMPLE, i16::from(preset) * ROOTS.len() as i16 + zone as i16);
        }
    }
    // Every list ends with a record at which the last one ends.
    presets.extend(name("EOP"));
    presets.extend([0; 4]);
    presets.extend(preset_bags.count.to_le_bytes());
    presets.extend([0; 12]);
    preset_bags.add(&preset_generators);
    push(&mut preset_generators, 0, 0);
    instruments.extend(name("EOI"));
    instruments.extend(bags.count.to_le_bytes());
    bags.add(&generators);
    push(&mut generators, 0, 0);
    [
        chunk(b"phdr", &presets),
        chunk(b"pbag", &preset_bags.bytes),
        chunk(b"pmod", &[0; 10]),
        chunk(b"pgen", &preset_generators),
        chunk(b"inst", &instruments),
        chunk(b"ibag", &bags.bytes),
        chunk(b"imod", &[0; 10]),
        chunk(b"igen", &generators),
        chunk(b"shdr", headers),
    ]
    .concat()
}

/// Returns a SoundFont of one preset whose only zone plays one wave, looped as it is and without filter or vibrato, at
/// every key; at `root` at its own pitch.
#[must_use]
pub(crate) fn single_wave(period: &[i16], root: u8) -> Vec<u8> {
    let (begin, end) = (MARGIN, MARGIN + period.len());
    let mut samples: Vec<i16> =
        period[period.len() - MARGIN..].iter().chain(period).chain(&period[..MARGIN]).copied().collect();
    let at = |offset: usize| (offset as u32).to_le_bytes();
    let mut headers = name("tone").to_vec();
    headers.extend([at(0), at(samples.len()), at(begin), at(end), 44_100u32.to_le_bytes()].concat());
    headers.extend([root, 0, 0, 0, 1, 0]);
    headers.extend(name("EOS"));
    headers.resize(headers.len() + 26, 0);
    samples.resize(samples.len() + SILENCE, 0);
    let mut generators = Vec::new();
    push(&mut generators, generator::SAMPLE_MODES, 1);
    push(&mut generators, generator::ROOT_KEY, i16::from(root));
    push(&mut generators, generator::SAMPLE, 0);
    let zones = (generators.len() / 4) as u16;
    push(&mut generators, 0, 0);
    let mut preset_generators = Vec::new();
    push(&mut preset_generators, generator::INSTRUMENT, 0);
    push(&mut preset_generators, 0, 0);
    let preset = |text, bag: u16| [name(text).as_slice(), &[0; 4], &bag.to_le_bytes(), &[0; 12]].concat();
    let instrument = |text, bag: u16| [name(text).as_slice(), &bag.to_le_bytes()].concat();
    let bags = |generators: u16| {
        [[0; 4], [generators.to_le_bytes(), [0; 2]].concat().try_into().expect("four bytes")].concat()
    };
    let articulation = [
        chunk(b"phdr", &[preset("tone", 0), preset("EOP", 1)].concat()),
        chunk(b"pbag", &bags(1)),
        chunk(b"pmod", &[0; 10]),
        chunk(b"pgen", &preset_generators),
        chunk(b"inst", &[instrument("tone", 0), instrument("EOI", 1)].concat()),
        chunk(b"ibag", &bags(zones)),
        chunk(b"imod", &[0; 10]),
        chunk(b"igen", &generators),
        chunk(b"shdr", &headers),
    ];
    file(&samples, &articulation.concat())
}

/// Zones: where the generators of each begin.
#[derive(Default)]
struct Bags {
    bytes: Vec<u8>,
    count: u16,
}

impl Bags {
    fn add(&mut self, generators: &[u8]) {
        self.bytes.extend(((generators.len() / 4) as u16).to_le_bytes());
        self.bytes.extend([0; 2]);
        self.count += 1;
    }
}

fn push(generators: &mut Vec<u8>, generator: u16, amount: i16) {
    generators.extend(generator.to_le_bytes());
    generators.extend(amount.to_le_bytes());
}

/// Makes a name in twenty bytes.
fn name(text: &str) -> [u8; 20] {
    let mut bytes = [0; 20];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    bytes
}

fn chunk(id: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut out = [id.as_slice(), &(content.len() as u32).to_le_bytes(), content].concat();
    out.resize(out.len().next_multiple_of(2), 0);
    out
}

fn list(id: &[u8; 4], form: &[u8; 4], content: &[u8]) -> Vec<u8> {
    chunk(id, &[form.as_slice(), content].concat())
}

/// Marsaglia's xorshift: the same waves on every machine.
struct Random(u32);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 as usize % bound
    }
}
