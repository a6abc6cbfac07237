//! A writer of DLS files that shares nothing with any reader, and can also write what is legal but rarely seen.

use libm::{cos, round};

/// `F_INSTRUMENT_DRUMS`.
pub const DRUMS: u32 = 1 << 31;

/// Rate of every wave and every rendering unless a case sets another, in Hz.
pub const RATE: u32 = 44_100;

/// Samples of one turn of the test tone.
pub const TURN: u32 = 128;

/// Samples of the test tone: four turns, the last three of which are looped.
const TONE: u32 = 4 * TURN;

/// Peak of every tone: 6 dB below full scale, so that a synthesizer without headroom does not clip.
const PEAK: f64 = 16_384.0;

/// The sample of the impulse in an impulse wave: 20 ms.
pub const IMPULSE_AT: u32 = RATE / 50;

/// Sources and controls (`CONN_SRC_*`).
pub mod source {
    /// `CONN_SRC_NONE`.
    pub const NONE: u16 = 0;
    /// `CONN_SRC_LFO`.
    pub const LFO: u16 = 1;
    /// `CONN_SRC_KEYONVELOCITY`.
    pub const VELOCITY: u16 = 2;
    /// `CONN_SRC_KEYNUMBER`.
    pub const KEY: u16 = 3;
    /// `CONN_SRC_EG2`.
    pub const EG2: u16 = 5;
    /// `CONN_SRC_CHANNELPRESSURE`.
    pub const PRESSURE: u16 = 8;
    /// `CONN_SRC_VIBRATO`.
    pub const VIBRATO: u16 = 9;
    /// `CONN_SRC_CC1`.
    pub const CC1: u16 = 0x81;
    /// `CONN_SRC_CC91`.
    pub const CC91: u16 = 0xDB;
    /// `CONN_SRC_CC93`.
    pub const CC93: u16 = 0xDD;
    /// `CONN_SRC_RPN1`.
    pub const RPN1: u16 = 0x101;
    /// `CONN_SRC_RPN2`.
    pub const RPN2: u16 = 0x102;
}

/// Destinations (`CONN_DST_*`).
pub mod destination {
    /// `CONN_DST_GAIN`.
    pub const GAIN: u16 = 1;
    /// `CONN_DST_PITCH`.
    pub const PITCH: u16 = 3;
    /// `CONN_DST_PAN`.
    pub const PAN: u16 = 4;
    /// `CONN_DST_KEYNUMBER`.
    pub const KEY: u16 = 5;
    /// `CONN_DST_CHORUS`.
    pub const CHORUS: u16 = 0x80;
    /// `CONN_DST_REVERB`.
    pub const REVERB: u16 = 0x81;
    /// `CONN_DST_LFO_FREQUENCY`.
    pub const LFO_FREQUENCY: u16 = 0x104;
    /// `CONN_DST_LFO_STARTDELAY`.
    pub const LFO_DELAY: u16 = 0x105;
    /// `CONN_DST_VIB_FREQUENCY`.
    pub const VIB_FREQUENCY: u16 = 0x114;
    /// `CONN_DST_VIB_STARTDELAY`.
    pub const VIB_DELAY: u16 = 0x115;
    /// `CONN_DST_EG1_ATTACKTIME`.
    pub const EG1_ATTACK: u16 = 0x206;
    /// `CONN_DST_EG1_DECAYTIME`.
    pub const EG1_DECAY: u16 = 0x207;
    /// `CONN_DST_EG1_RELEASETIME`.
    pub const EG1_RELEASE: u16 = 0x209;
    /// `CONN_DST_EG1_SUSTAINLEVEL`.
    pub const EG1_SUSTAIN: u16 = 0x20A;
    /// `CONN_DST_EG1_DELAYTIME`.
    pub const EG1_DELAY: u16 = 0x20B;
    /// `CONN_DST_EG1_HOLDTIME`.
    pub const EG1_HOLD: u16 = 0x20C;
    /// `CONN_DST_EG1_SHUTDOWNTIME`.
    pub const EG1_SHUTDOWN: u16 = 0x20D;
    /// `CONN_DST_EG2_ATTACKTIME`.
    pub const EG2_ATTACK: u16 = 0x30A;
    /// `CONN_DST_EG2_DECAYTIME`.
    pub const EG2_DECAY: u16 = 0x30B;
    /// `CONN_DST_EG2_RELEASETIME`.
    pub const EG2_RELEASE: u16 = 0x30D;
    /// `CONN_DST_EG2_SUSTAINLEVEL`.
    pub const EG2_SUSTAIN: u16 = 0x30E;
    /// `CONN_DST_EG2_DELAYTIME`.
    pub const EG2_DELAY: u16 = 0x30F;
    /// `CONN_DST_EG2_HOLDTIME`.
    pub const EG2_HOLD: u16 = 0x310;
    /// `CONN_DST_FILTER_CUTOFF`.
    pub const FILTER_CUTOFF: u16 = 0x500;
    /// `CONN_DST_FILTER_Q`.
    pub const FILTER_Q: u16 = 0x501;
}

/// Transform words (`usTransform`, level 2).
pub mod transform {
    /// The source is bipolar.
    pub const BIPOLAR: u16 = 1 << 14;
    /// The source is inverted.
    pub const INVERT: u16 = 1 << 15;
    /// The source's curve is concave.
    pub const CONCAVE: u16 = 1 << 10;
    /// The source's curve is convex.
    pub const CONVEX: u16 = 2 << 10;
    /// The source is a switch.
    pub const SWITCH: u16 = 3 << 10;
}

/// A connection block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// `usSource`.
    pub source: u16,
    /// `usControl`.
    pub control: u16,
    /// `usDestination`.
    pub destination: u16,
    /// `usTransform`.
    pub transform: u16,
    /// `lScale`.
    pub scale: i32,
}

impl Connection {
    /// Returns the fields that make a connection unique.
    #[must_use]
    pub fn key(&self) -> (u16, u16, u16) {
        (self.source, self.control, self.destination)
    }
}

/// Makes a value of its own for a destination.
#[must_use]
pub fn constant(destination: u16, scale: i32) -> Connection {
    connection(source::NONE, source::NONE, destination, 0, scale)
}

/// Makes a connection from a source, scaled by a control.
#[must_use]
pub fn connection(source: u16, control: u16, destination: u16, transform: u16, scale: i32) -> Connection {
    Connection { source, control, destination, transform, scale }
}

/// In which form something is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `rgn `, `lart`, `art1`.
    One,
    /// `rgn2`, `lar2`, `art2`.
    Two,
}

/// A `lart` or `lar2` list.
#[derive(Clone, Debug)]
pub struct Articulation {
    /// Which of both.
    pub form: Form,
    /// A conditional chunk, put last.
    pub condition: Option<Vec<u8>>,
    /// Its connections, in one chunk.
    pub connections: Vec<Connection>,
}

/// `wsmp`.
#[derive(Clone, Copy, Debug)]
pub struct WaveSample {
    /// MIDI key at which the wave plays at its own rate.
    pub unity: u16,
    /// In cents.
    pub fine_tune: i16,
    /// As written.
    pub gain: i32,
    /// Type, first sample, and samples of the loop.
    pub sample_loop: Option<(u32, u32, u32)>,
}

impl Default for WaveSample {
    fn default() -> Self {
        Self { unity: 60, fine_tune: 0, gain: 0, sample_loop: Some((0, TURN, TONE - TURN)) }
    }
}

/// A `rgn ` or `rgn2` list.
#[derive(Clone, Debug)]
pub struct Region {
    /// Which of both.
    pub form: Form,
    /// Lowest and highest key.
    pub keys: (u16, u16),
    /// Lowest and highest velocity.
    pub velocities: (u16, u16),
    /// `fusOptions`.
    pub options: u16,
    /// `usKeyGroup`.
    pub key_group: u16,
    /// `usLayer`; without it the header is of 12 bytes.
    pub layer: Option<u16>,
    /// Its own wave sample.
    pub sample: Option<WaveSample>,
    /// `wlnk`: options, phase group, channels.
    pub link: (u16, u16, u32),
    /// Index of its wave in the file.
    pub wave: u32,
    /// Its own articulation.
    pub articulation: Vec<Articulation>,
    /// A conditional chunk, put last.
    pub condition: Option<Vec<u8>>,
}

impl Default for Region {
    fn default() -> Self {
        Self {
            form: Form::Two,
            keys: (0, 127),
            velocities: (0, 127),
            options: 0,
            key_group: 0,
            layer: None,
            sample: None,
            link: (0, 0, 1),
            wave: 0,
            articulation: Vec::new(),
            condition: None,
        }
    }
}

/// An `ins ` list.
#[derive(Clone, Debug)]
pub struct Instrument {
    /// `ulBank`.
    pub bank: u32,
    /// `ulInstrument`.
    pub program: u32,
    /// Its regions.
    pub regions: Vec<Region>,
    /// The articulation of all regions that have none.
    pub articulation: Vec<Articulation>,
    /// A conditional chunk, put last.
    pub condition: Option<Vec<u8>>,
}

/// What a wave holds.
#[derive(Clone, Copy, Debug)]
pub enum Content {
    /// A tone of so many samples a turn; 16 bits.
    Tone(u32),
    /// The same in 8 bits.
    EightBit(u32),
    /// Turns of so many samples, so often, followed by turns of another number, so often. No step between.
    Parts([(u32, u32); 2]),
    /// Silence, one sample at [`IMPULSE_AT`], silence.
    Impulse,
}

/// A `wave` list.
#[derive(Clone, Debug)]
pub struct Wave {
    /// In Hz.
    pub rate: u32,
    /// What it holds.
    pub content: Content,
    /// Its wave sample.
    pub sample: Option<WaveSample>,
    /// `WAVE_FORMAT_EXTENSIBLE` in place of `WAVE_FORMAT_PCM`.
    pub extensible: bool,
}

impl Default for Wave {
    fn default() -> Self {
        Self { rate: RATE, content: Content::Tone(TURN), sample: Some(WaveSample::default()), extensible: false }
    }
}

/// What is legal, or met in shipped files, but rarely seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Oddities {
    /// Unknown chunks and lists, of odd length, in every list.
    pub unknown_chunks: bool,
    /// The chunks of every list the other way round.
    pub reversed: bool,
    /// More in `colh` than there is.
    pub wrong_count: bool,
    /// Bytes after the end.
    pub trailing_bytes: bool,
    /// Structures that are longer than their definition.
    pub grown: bool,
    /// A null cue before the others, and the others the other way round.
    pub shuffled_cues: bool,
}

/// A whole file.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// Its instruments.
    pub instruments: Vec<Instrument>,
    /// Its waves.
    pub waves: Vec<Wave>,
    /// A conditional chunk of the whole.
    pub condition: Option<Vec<u8>>,
    /// How it is written.
    pub oddities: Oddities,
}

/// Bytes by which grown structures are longer.
const GROWN_BY: u32 = 4;

impl File {
    /// Returns the bytes of the file; every tone begins `quarters` of a turn late.
    #[must_use]
    pub fn bytes(&self, quarters: u32) -> Vec<u8> {
        let o = self.oddities;
        let count = self.instruments.len() as u32 + if o.wrong_count { 3 } else { 0 };
        let mut cues = Vec::new();
        let mut pool = Vec::new();
        for wave in &self.waves {
            cues.push(pool.len() as u32);
            pool.extend(wave.chunk(quarters, o));
        }
        if o.shuffled_cues {
            cues.reverse();
            cues.insert(0, u32::MAX);
        }
        let mut table = words(&[8, cues.len() as u32]);
        if o.grown {
            table = words(&[8 + GROWN_BY, cues.len() as u32, 0xDEAD]);
        }
        table.extend(words(&cues));
        // Null comes first; the others follow the other way round.
        let cue_of = |wave: u32| if o.shuffled_cues { self.waves.len() as u32 - wave } else { wave };
        let instruments: Vec<Vec<u8>> = self.instruments.iter().map(|i| i.chunk(&cue_of, o)).collect();
        let mut parts = Vec::new();
        parts.extend(self.condition.as_ref().map(|program| chunk(b"cdl ", program)));
        parts.push(chunk(b"vers", &words(&[0x0001_0000, 0])));
        parts.push(chunk(b"colh", &words(&[count])));
        parts.push(list(b"lins", instruments, o));
        parts.push(chunk(b"ptbl", &table));
        // The pool keeps its order: the table's offsets count from its first byte.
        parts.push(chunk(b"LIST", &[b"wvpl".as_slice(), &pool].concat()));
        parts.push(list(b"INFO", vec![chunk(b"INAM", b"dls-conformance\0")], Oddities::default()));
        let mut bytes = riff(b"RIFF", b"DLS ", parts, o);
        if o.trailing_bytes {
            bytes.extend_from_slice(b"bytes after the end of the RIFF form, as shipped files have them");
        }
        bytes
    }
}

impl Instrument {
    fn chunk(&self, cue_of: &dyn Fn(u32) -> u32, o: Oddities) -> Vec<u8> {
        let header = words(&[self.regions.len() as u32, self.bank, self.program]);
        let mut parts = vec![chunk(b"insh", &header)];
        parts.push(list(b"lrgn", self.regions.iter().map(|region| region.chunk(cue_of(region.wave), o)).collect(), o));
        parts.extend(self.articulation.iter().map(|a| a.chunk(o)));
        parts.extend(self.condition.as_ref().map(|program| chunk(b"cdl ", program)));
        list(b"ins ", parts, o)
    }
}

impl Region {
    fn chunk(&self, cue: u32, o: Oddities) -> Vec<u8> {
        let mut header =
            halves(&[self.keys.0, self.keys.1, self.velocities.0, self.velocities.1, self.options, self.key_group]);
        header.extend(self.layer.iter().flat_map(|layer| layer.to_le_bytes()));
        let mut parts = vec![chunk(b"rgnh", &header)];
        parts.extend(self.sample.map(|sample| sample.chunk(o)));
        let mut link = halves(&[self.link.0, self.link.1]);
        link.extend(words(&[self.link.2, cue]));
        parts.push(chunk(b"wlnk", &link));
        parts.extend(self.articulation.iter().map(|a| a.chunk(o)));
        parts.extend(self.condition.as_ref().map(|program| chunk(b"cdl ", program)));
        list(if self.form == Form::One { b"rgn " } else { b"rgn2" }, parts, o)
    }
}

impl Articulation {
    /// Writes the chunks of level 2.
    #[must_use]
    pub fn two(connections: Vec<Connection>) -> Self {
        Self { form: Form::Two, condition: None, connections }
    }

    fn chunk(&self, o: Oddities) -> Vec<u8> {
        let grown = if o.grown { GROWN_BY } else { 0 };
        let mut data = words(&[8 + grown, self.connections.len() as u32]);
        data.extend(vec![0xA5; grown as usize]);
        for c in &self.connections {
            data.extend(halves(&[c.source, c.control, c.destination, c.transform]));
            data.extend(c.scale.to_le_bytes());
        }
        let (outer, inner) = if self.form == Form::One { (b"lart", b"art1") } else { (b"lar2", b"art2") };
        let mut parts = vec![chunk(inner, &data)];
        parts.extend(self.condition.as_ref().map(|program| chunk(b"cdl ", program)));
        list(outer, parts, o)
    }
}

impl WaveSample {
    fn chunk(&self, o: Oddities) -> Vec<u8> {
        let grown = if o.grown { GROWN_BY } else { 0 };
        let mut data = words(&[20 + grown]);
        data.extend(self.unity.to_le_bytes());
        data.extend(self.fine_tune.to_le_bytes());
        data.extend(self.gain.to_le_bytes());
        data.extend(words(&[0, u32::from(self.sample_loop.is_some())]));
        data.extend(vec![0xA5; grown as usize]);
        if let Some((kind, start, length)) = self.sample_loop {
            data.extend(words(&[16, kind, start, length]));
        }
        chunk(b"wsmp", &data)
    }
}

impl Wave {
    fn samples(&self, quarters: u32) -> Vec<i16> {
        let tone = |turn: u32, count: u32| {
            (0..count).map(move |i| {
                let turns = f64::from(i % turn) / f64::from(turn) - f64::from(quarters) / 4.0;
                round(PEAK * cos(core::f64::consts::TAU * turns)) as i16
            })
        };
        match self.content {
            Content::Tone(turn) | Content::EightBit(turn) => tone(turn, TONE.next_multiple_of(turn)).collect(),
            Content::Parts(parts) => parts.iter().flat_map(|(turn, count)| tone(*turn, turn * count)).collect(),
            Content::Impulse => (0..IMPULSE_AT + TURN).map(|i| if i == IMPULSE_AT { PEAK as i16 } else { 0 }).collect(),
        }
    }

    fn chunk(&self, quarters: u32, o: Oddities) -> Vec<u8> {
        let samples = self.samples(quarters);
        let (bits, data): (u16, Vec<u8>) = match self.content {
            Content::EightBit(_) => {
                (8, samples.iter().map(|s| (round(f64::from(*s) / 256.0) as i8 as u8) ^ 0x80).collect())
            }
            _ => (16, samples.iter().flat_map(|s| s.to_le_bytes()).collect()),
        };
        let frame = bits / 8;
        let mut format = halves(&[if self.extensible { 0xFFFE } else { 1 }, 1]);
        format.extend(words(&[self.rate, self.rate * u32::from(frame)]));
        format.extend(halves(&[frame, bits]));
        if self.extensible {
            format.extend(halves(&[22, bits]));
            format.extend(words(&[4]));
            // KSDATAFORMAT_SUBTYPE_PCM.
            format.extend([1, 0, 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71]);
        }
        let mut parts = vec![chunk(b"fmt ", &format), chunk(b"data", &data)];
        parts.extend(self.sample.map(|sample| sample.chunk(o)));
        // The format must come before the data: a wave's chunks keep their order.
        list(b"wave", parts, Oddities { reversed: false, ..o })
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn halves(halves: &[u16]) -> Vec<u8> {
    halves.iter().flat_map(|half| half.to_le_bytes()).collect()
}

fn chunk(id: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut bytes = [id.as_slice(), &(data.len() as u32).to_le_bytes(), data].concat();
    if data.len() % 2 == 1 {
        bytes.push(0);
    }
    bytes
}

fn list(kind: &[u8; 4], parts: Vec<Vec<u8>>, o: Oddities) -> Vec<u8> {
    riff(b"LIST", kind, parts, o)
}

fn riff(id: &[u8; 4], kind: &[u8; 4], mut parts: Vec<Vec<u8>>, o: Oddities) -> Vec<u8> {
    if o.reversed {
        parts.reverse();
    }
    if o.unknown_chunks {
        parts.insert(0, chunk(b"what", b"of odd length"));
        parts.push(chunk(b"LIST", b"why?unknown list, whose content is not made of chunks"));
    }
    chunk(id, &[kind.as_slice(), &parts.concat()].concat())
}

/// Conditional chunks.
pub mod condition {
    /// `DLSID_SupportsDLS1`.
    pub const SUPPORTS_DLS1: [u8; 16] =
        identifier(0x178F_2F27, 0xC364, 0x11D1, [0xA7, 0x60, 0, 0, 0xF8, 0x75, 0xAC, 0x12]);
    /// `DLSID_SupportsDLS2`.
    pub const SUPPORTS_DLS2: [u8; 16] =
        identifier(0xF145_99E5, 0x4689, 0x11D2, [0xAF, 0xA6, 0, 0xAA, 0, 0x24, 0xD8, 0xB6]);
    /// `DLSID_SampleMemorySize`.
    pub const SAMPLE_MEMORY: [u8; 16] =
        identifier(0x178F_2F28, 0xC364, 0x11D1, [0xA7, 0x60, 0, 0, 0xF8, 0x75, 0xAC, 0x12]);
    /// An identifier that no device knows.
    pub const UNKNOWN: [u8; 16] = identifier(0x600D_1DEA, 0x5EED, 0x4A11, [1, 2, 3, 4, 5, 6, 7, 8]);

    const fn identifier(a: u32, b: u16, c: u16, d: [u8; 8]) -> [u8; 16] {
        let (a, b, c) = (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes());
        [a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]]
    }

    /// Makes `DLS_CDL_CONST`.
    #[must_use]
    pub fn value(value: u32) -> Vec<u8> {
        [&[0x10, 0][..], &value.to_le_bytes()].concat()
    }

    /// Makes `DLS_CDL_QUERY`.
    #[must_use]
    pub fn query(id: [u8; 16]) -> Vec<u8> {
        [&[0x11, 0][..], &id].concat()
    }

    /// Makes `DLS_CDL_QUERYSUPPORTED`.
    #[must_use]
    pub fn supported(id: [u8; 16]) -> Vec<u8> {
        [&[0x12, 0][..], &id].concat()
    }

    /// Makes an operator: 1 AND, 2 OR, 3 XOR, 4 ADD, 5 SUBTRACT, 6 MULTIPLY, 7 DIVIDE, 8 LOGICAL_AND, 9 LOGICAL_OR, 10
    /// LT, 11 LE, 12 GT, 13 GE, 14 EQ, 15 NOT.
    #[must_use]
    pub fn operator(code: u16) -> Vec<u8> {
        code.to_le_bytes().to_vec()
    }
}
