//! How cases are written down, and the files that they become.

use crate::dls::{
    Articulation, Connection, Content, File, Form, Instrument, Oddities, RATE, Region, Wave, constant,
    destination as d, source,
};
use crate::expect::{Basis, Check, Expectations, FORM, Format, Method, Reference};
use crate::font::{Font, Generator, Modulator, Preset, Sample, Zone, generator};
use crate::score::Score;
use crate::units::{self, ZERO_TIME, percent};

/// The reference note's program.
const REFERENCE_PROGRAM: u8 = 127;
/// The reference note's channel: 2, counted from 1.
const REFERENCE_CHANNEL: u8 = 1;
/// When the reference note sounds, in ms.
const REFERENCE: (u32, u32) = (100, 400);

/// When the first note of a case sounds, in ms.
pub const FIRST: u32 = 600;
/// The same in seconds.
pub const T0: f64 = 0.6;

/// The key at which every wave plays at its own rate.
pub const KEY: u8 = 60;

/// Returns when the `index`th of notes begins that follow each other at a distance of some ms.
#[must_use]
pub fn nth(index: usize, distance: u32) -> u32 {
    FIRST + index as u32 * distance
}

/// Returns milliseconds as seconds.
#[must_use]
pub fn seconds(milliseconds: u32) -> f64 {
    f64::from(milliseconds) / 1000.0
}

/// Returns the gain of velocity, volume and expression, in dB (inverted concave, 96 dB).
#[must_use]
pub fn curve(value: u8) -> f64 {
    40.0 * libm::log10(f64::from(value) / 127.0)
}

/// One rule, with what makes it heard.
#[derive(Clone, Debug)]
pub struct Case {
    id: &'static str,
    title: &'static str,
    rule: &'static str,
    source: &'static str,
    level: u8,
    basis: Basis,
    method: Method,
    voices: Option<u16>,
    refused: bool,
    end: u32,
    /// The DLS file.
    pub file: File,
    /// The SoundFont, of a case that is about SoundFonts and not DLS.
    pub font: Option<Font>,
    /// The MIDI file.
    pub score: Score,
    checks: Vec<Check>,
}

/// A case as files.
#[derive(Clone, Debug)]
pub struct Files {
    /// The text form.
    pub expectations: Expectations,
    /// The instruments; of a pair, the cosine's.
    pub dls: Vec<u8>,
    /// The sine's.
    pub sine: Option<Vec<u8>>,
    /// The MIDI file.
    pub midi: Vec<u8>,
}

/// Makes an envelope that is full at once and gone in 10 ms, with every time written out.
fn organ() -> [Connection; 4] {
    [
        constant(d::EG1_ATTACK, ZERO_TIME),
        constant(d::EG1_DECAY, ZERO_TIME),
        constant(d::EG1_SUSTAIN, percent(100.0)),
        constant(d::EG1_RELEASE, units::seconds(0.010)),
    ]
}

/// Makes the envelope of `organ`, with some connections replaced or added.
#[must_use]
pub fn organ_with(rows: &[Connection]) -> Vec<Connection> {
    let mut all: Vec<Connection> =
        organ().into_iter().filter(|own| rows.iter().all(|row| row.key() != own.key())).collect();
    all.extend(rows);
    all
}

/// Makes the generators of a zone that loops and ends in 10 ms, with some replaced or added.
#[must_use]
pub fn organ_zone(generators: &[Generator]) -> Vec<Generator> {
    let organ = [(generator::RELEASE, crate::font::time(0.010)), (generator::MODES, 1)];
    // Ranges come first (8.1.2).
    let is_range = |(number, _): &&Generator| matches!(*number, generator::KEY_RANGE | generator::VELOCITY_RANGE);
    let ranges = generators.iter().filter(is_range);
    let others = generators.iter().filter(|generator| !is_range(generator));
    let own = organ.iter().filter(|own| generators.iter().all(|given| given.0 != own.0));
    ranges.chain(own).chain(others).copied().collect()
}

/// Returns the connections that level 1 writes: only the curve of velocity. It leaves the others to the device.
fn in_level_1(articulation: &mut Articulation) {
    articulation.form = Form::One;
    for c in &mut articulation.connections {
        c.transform = u16::from(c.source == source::VELOCITY && c.destination == d::GAIN);
    }
}

/// Makes an instrument of one region over all keys.
#[must_use]
pub fn instrument(program: u8, articulation: Vec<Connection>) -> Instrument {
    Instrument {
        bank: 0,
        program: program.into(),
        regions: vec![Region::default()],
        articulation: vec![Articulation::two(articulation)],
        condition: None,
    }
}

impl Case {
    /// Makes a case that is heard by the quadrature pair, with a reference note and the test tone as wave 0.
    #[must_use]
    pub fn new(id: &'static str, title: &'static str, source: &'static str, rule: &'static str) -> Self {
        let mut case = Self {
            id,
            title,
            rule,
            source,
            level: 2,
            basis: Basis::Required,
            method: Method::Quadrature,
            voices: None,
            refused: false,
            end: 0,
            file: File { waves: vec![Wave::default()], ..File::default() },
            font: None,
            score: Score::default(),
            checks: Vec::new(),
        };
        case.file.instruments.push(instrument(REFERENCE_PROGRAM, organ().to_vec()));
        case.channel(0);
        case.channel(REFERENCE_CHANNEL);
        case.score.at(0, &[0xC0 | REFERENCE_CHANNEL, REFERENCE_PROGRAM]);
        case.score.at(REFERENCE.0, &[0x90 | REFERENCE_CHANNEL, KEY, 127]);
        case.score.at(REFERENCE.1, &[0x80 | REFERENCE_CHANNEL, KEY, 64]);
        case
    }

    /// Makes a case that is heard by the responses to impulses.
    #[must_use]
    pub fn of_impulses(id: &'static str, title: &'static str, source: &'static str, rule: &'static str) -> Self {
        let mut case = Self::new(id, title, source, rule);
        case.method = Method::Single;
        let silent_loop = crate::dls::WaveSample {
            sample_loop: Some((0, crate::dls::IMPULSE_AT + crate::dls::TURN / 2, crate::dls::TURN / 4)),
            ..crate::dls::WaveSample::default()
        };
        case.file.waves[0] = Wave { content: Content::Impulse, sample: Some(silent_loop), ..Wave::default() };
        case
    }

    /// Makes a case of a SoundFont that is heard by the quadrature pair, with a reference note and the test tone as sample 0.
    #[must_use]
    pub fn of_font(id: &'static str, title: &'static str, source: &'static str, rule: &'static str) -> Self {
        let mut case = Self::new(id, title, source, rule);
        case.font = Some(Font { samples: vec![Sample::default()], ..Font::default() });
        case.preset(u16::from(REFERENCE_PROGRAM), &[]);
        case
    }

    /// Makes a case of a SoundFont that is heard by the responses to impulses.
    #[must_use]
    pub fn of_font_impulses(id: &'static str, title: &'static str, source: &'static str, rule: &'static str) -> Self {
        let mut case = Self::of_font(id, title, source, rule);
        case.method = Method::Single;
        case.font_mut().samples[0] = Sample::impulse();
        case
    }

    /// Returns the SoundFont.
    ///
    /// # Panics
    /// If the case is about DLS: the suite's own mistake.
    pub fn font_mut(&mut self) -> &mut Font {
        self.font.as_mut().expect("a case about SoundFonts")
    }

    /// Adds a preset of bank 0 with an instrument of one zone, which loops and ends in 10 ms, with generators added.
    /// Returns the zone.
    pub fn preset(&mut self, program: u16, generators: &[Generator]) -> &mut Zone {
        let zone = Zone::of_sample(&organ_zone(generators), 0);
        self.preset_of(program, vec![zone]).first_mut().expect("just put there")
    }

    /// Adds the same with modulators.
    pub fn preset_with(&mut self, program: u16, generators: &[Generator], modulators: &[Modulator]) {
        self.preset(program, generators).modulators = modulators.to_vec();
    }

    /// Adds a preset of bank 0 with an instrument of these zones. Returns them.
    pub fn preset_of(&mut self, program: u16, zones: Vec<Zone>) -> &mut Vec<Zone> {
        let font = self.font_mut();
        let instrument = font.instruments.len() as u16;
        font.instruments.push(zones);
        font.presets.push(Preset { bank: 0, program, zones: vec![Zone::of_instrument(&[], instrument)] });
        font.instruments.last_mut().expect("just put there")
    }

    /// Leaves channel 1 in its power-on state, but for the effects.
    #[must_use]
    pub fn untouched(mut self) -> Self {
        self.score.drop_if(|message| matches!(message, [0xB0, 7 | 10 | 11, _]));
        self
    }

    /// Marks the case as one that level 1 requires already. Instruments are written in level 1's form.
    #[must_use]
    pub fn level_1(mut self) -> Self {
        self.level = 1;
        self
    }

    /// Marks the case as not required.
    #[must_use]
    pub fn basis(mut self, basis: Basis) -> Self {
        self.basis = basis;
        self
    }

    /// Marks the case as one to be rendered with so many oscillators.
    #[must_use]
    pub fn voices(mut self, voices: u16) -> Self {
        self.voices = Some(voices);
        self
    }

    /// Writes the file with oddities.
    #[must_use]
    pub fn oddities(mut self, oddities: Oddities) -> Self {
        self.file.oddities = oddities;
        self
    }

    /// Marks the case as one to be refused: no reference note is heard.
    pub fn must_be_refused(&mut self) {
        self.refused = true;
        self.check(Check::refused());
    }

    /// Adds an instrument of one region, [`organ_with`] some connections.
    pub fn program(&mut self, program: u8, rows: &[Connection]) -> &mut Instrument {
        self.instrument(instrument(program, organ_with(rows)))
    }

    /// Adds an instrument.
    pub fn instrument(&mut self, mut instrument: Instrument) -> &mut Instrument {
        if self.level == 1 {
            instrument.articulation.iter_mut().for_each(in_level_1);
            for region in &mut instrument.regions {
                region.form = Form::One;
                region.articulation.iter_mut().for_each(in_level_1);
            }
        }
        self.file.instruments.push(instrument);
        self.file.instruments.last_mut().expect("just put there")
    }

    /// Adds a wave, and gives its index.
    pub fn wave(&mut self, wave: Wave) -> u32 {
        self.file.waves.push(wave);
        self.file.waves.len() as u32 - 1
    }

    /// Puts a channel (from 0) at full level, without effects.
    pub fn channel(&mut self, channel: u8) {
        for (controller, value) in [(7, 127), (11, 127), (10, 64), (91, 0), (93, 0)] {
            self.score.at(0, &[0xB0 | channel, controller, value]);
        }
    }

    /// Chooses a program on channel 1.
    pub fn choose(&mut self, at: u32, program: u8) {
        self.score.at(at, &[0xC0, program]);
    }

    /// Makes a controller on channel 1.
    pub fn control(&mut self, at: u32, controller: u8, value: u8) {
        self.score.at(at, &[0xB0, controller, value]);
    }

    /// Makes a registered parameter on channel 1, coarse and fine.
    pub fn parameter(&mut self, at: u32, number: u8, coarse: u8, fine: Option<u8>) {
        self.control(at, 101, 0);
        self.control(at, 100, number);
        self.control(at, 6, coarse);
        if let Some(fine) = fine {
            self.control(at, 38, fine);
        }
    }

    /// Returns the wheel of channel 1, 0 to 16383.
    pub fn wheel(&mut self, at: u32, value: u16) {
        self.score.at(at, &[0xE0, (value & 0x7F) as u8, (value >> 7) as u8]);
    }

    /// Makes a note on channel 1.
    pub fn note(&mut self, key: u8, velocity: u8, on: u32, off: u32) {
        self.note_on(0, key, velocity, on, off);
    }

    /// Makes a note on a channel (from 0).
    pub fn note_on(&mut self, channel: u8, key: u8, velocity: u8, on: u32, off: u32) {
        self.score.at(on, &[0x90 | channel, key, velocity]);
        self.score.at(off, &[0x80 | channel, key, 64]);
    }

    /// Adds what must be measured.
    pub fn check(&mut self, check: Check) {
        let last = check.until.unwrap_or(check.at).max(check.against.unwrap_or(0.0)) + check.window + 0.05;
        self.end = self.end.max((last * 1000.0).ceil() as u32);
        self.checks.push(check);
    }

    /// Sets the tolerance of all checks so far.
    pub fn loosen(&mut self, tolerance: f64) {
        self.checks.iter_mut().for_each(|check| check.tolerance = tolerance);
    }

    /// Adds several.
    pub fn checks(&mut self, checks: impl IntoIterator<Item = Check>) {
        checks.into_iter().for_each(|check| self.check(check));
    }

    /// Returns chapter and name.
    #[must_use]
    pub fn id(&self) -> &'static str {
        self.id
    }

    /// Returns the files.
    #[must_use]
    pub fn files(&self) -> Files {
        // The last measurement must still be recorded, and held notes must be released.
        let end = self.end.max(self.score.last()).max(REFERENCE.1) + 200;
        let expectations = Expectations {
            form: FORM,
            id: self.id.into(),
            title: self.title.into(),
            rule: self.rule.into(),
            source: self.source.into(),
            level: self.level,
            basis: self.basis,
            format: if self.font.is_some() { Format::Sf2 } else { Format::Dls },
            method: self.method,
            rate: RATE,
            voices: self.voices,
            seconds: f64::from(end) / 1000.0,
            reference: (!self.refused)
                .then_some(Reference { on: f64::from(REFERENCE.0) / 1000.0, off: f64::from(REFERENCE.1) / 1000.0 }),
            checks: self.checks.clone(),
        };
        Files {
            expectations,
            dls: self.bank(0),
            sine: (self.method == Method::Quadrature).then(|| self.bank(1)),
            midi: self.score.file(end),
        }
    }

    fn bank(&self, quarters: u32) -> Vec<u8> {
        self.font.as_ref().map_or_else(|| self.file.bytes(quarters), |font| font.bytes(quarters))
    }

    /// Returns the same case with the generators and modulators of its SoundFont gone, but for the reference's and for what
    /// names samples and instruments: most must fail then.
    #[must_use]
    pub fn without_generators(&self) -> Self {
        let mut case = self.clone();
        if let Some(font) = &mut case.font {
            let outer = font.presets.iter_mut().flat_map(|preset| &mut preset.zones);
            for zone in font.instruments[1..].iter_mut().flatten().chain(outer) {
                let leads = |(number, _): &Generator| matches!(*number, generator::SAMPLE | generator::INSTRUMENT);
                let last = zone.generators.iter().copied().find(leads);
                zone.generators = if last.is_some_and(|(number, _)| number == generator::SAMPLE) {
                    organ_zone(&[])
                } else {
                    Vec::new()
                };
                zone.generators.extend(last);
                zone.modulators.clear();
            }
        }
        case
    }

    /// Returns the same case with the connections of its instruments gone, but for the reference's: most must fail
    /// then.
    #[must_use]
    pub fn without_connections(&self) -> Self {
        let mut case = self.clone();
        for instrument in &mut case.file.instruments[1..] {
            let inner = instrument.regions.iter_mut().flat_map(|region| &mut region.articulation);
            for articulation in instrument.articulation.iter_mut().chain(inner) {
                articulation.connections = organ().to_vec();
            }
        }
        case
    }
}
