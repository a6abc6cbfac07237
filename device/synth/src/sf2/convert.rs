//! Presets into instruments, zones into regions, samples into waves.

use std::collections::HashMap;
use std::sync::Arc;

use super::connections::{connections, fixed};
use super::generators::{Sum, id};
use super::hydra::{Hydra, Sample, Set, Zone};
use super::modulators::List;
use crate::dls::chunk_path::ChunkPath;
use crate::dls::error::{BankError, Rule};
use crate::dls::warning::{PassedOver, Warnings};
use crate::dls::{Collection, Instrument, Patch, Region, SampleLoop, Wave, WaveLink, WaveSample};
use crate::limits::{
    INSTRUMENTS_MAX, REGIONS_MAX, SOUND_FONT_COPIES_MAX, SOUND_FONT_PAIRS_MAX, SOUND_FONT_SAMPLES_MIN, WAVE_RATE_MAX,
};

/// SoundFont's bank of drum kits.
const DRUM_BANK: u16 = 128;

/// Part of an attenuation that counts. The EMU8000, for whose sound banks are made, took so much of it, and all players
/// have followed it.
const ATTENUATION: f64 = 0.4;

/// The attenuation of every region, in dB. SoundFonts are made for players that turn them down (FluidSynth by 14 dB);
/// DirectMusic turns up by 12 dB what DLS leaves quiet. With this, a dense song just fits.
const HEADROOM_DB: f64 = 17.0;

/// Highest key group of DLS.
const KEY_GROUPS: i32 = 15;

/// A sample's kind: in the ROM of a sound card, compressed as SF3 has it.
const ROM: u16 = 0x8000;
const COMPRESSED: u16 = 0x10;

/// Makes a collection.
pub(super) fn convert(hydra: &Hydra, pcm: &[u8], warnings: &mut Warnings) -> Result<Collection, BankError> {
    let mut maker = Maker {
        hydra,
        pcm: pcm.as_chunks::<2>().0,
        waves: Vec::new(),
        indices: HashMap::new(),
        copied: 0,
        regions: 0,
        pairs: 0,
        warnings,
    };
    let mut instruments = Vec::new();
    let path = ChunkPath::root(*b"sfbk");
    for preset in &hydra.presets {
        let drums = preset.bank == DRUM_BANK;
        let patch = Patch {
            drums,
            bank_msb: if drums { 0 } else { preset.bank as u8 & 0x7F },
            bank_lsb: 0,
            program: preset.program as u8 & 0x7F,
        };
        let regions = maker.preset(preset)?;
        if instruments.len() == INSTRUMENTS_MAX {
            return Err(BankError::at(&path, Rule::TooMany { what: "presets", limit: INSTRUMENTS_MAX }));
        }
        instruments.push(Instrument { name: preset.name.clone(), patch, regions, articulation: Vec::new() });
    }
    if instruments.is_empty() {
        return Err(BankError::at(&path, Rule::NoInstruments));
    }
    Ok(Collection { instruments, waves: maker.waves, ..Collection::default() })
}

struct Maker<'a> {
    hydra: &'a Hydra,
    pcm: &'a [[u8; 2]],
    waves: Vec<Option<Arc<Wave>>>,
    indices: HashMap<(i64, i64, u32), u32>,
    /// Samples of all waves so far.
    copied: usize,
    regions: usize,
    pairs: usize,
    warnings: &'a mut Warnings,
}

/// Returns the intersection of two ranges.
fn common(outer: (u16, u16), inner: (u16, u16)) -> Option<(u16, u16)> {
    let (low, high) = (outer.0.max(inner.0), outer.1.min(inner.1));
    (low <= high).then_some((low, high))
}

impl Maker<'_> {
    fn preset(&mut self, preset: &Set) -> Result<Vec<Region>, BankError> {
        let mut regions = Vec::new();
        for outer in &preset.zones {
            let generators = outer.generators.over(&preset.global.generators);
            let modulators = List::of_zone(&preset.global.modulators, &outer.modulators);
            let outer = Zone { generators, modulators: Vec::new(), offset: outer.offset };
            let index = usize::from(outer.generators.get(id::INSTRUMENT).unwrap_or(0) as u16);
            let Some(instrument) = self.hydra.instruments.get(index) else { continue };
            let path = ChunkPath::root(*b"sfbk");
            let path = path.to(*b"pbag", outer.offset);
            self.pairs += instrument.zones.len();
            let too_many = |what, limit| Err(BankError::at(&path, Rule::TooMany { what, limit }));
            if self.pairs > SOUND_FONT_PAIRS_MAX {
                return too_many("pairs of zones", SOUND_FONT_PAIRS_MAX);
            }
            for inner in &instrument.zones {
                let Some(region) = self.region(&outer, &modulators, instrument, inner)? else { continue };
                if self.regions == REGIONS_MAX {
                    return too_many("regions", REGIONS_MAX);
                }
                self.regions += 1;
                regions.push(region);
            }
        }
        Ok(regions)
    }

    fn region(
        &mut self,
        outer: &Zone,
        outer_modulators: &List,
        instrument: &Set,
        inner: &Zone,
    ) -> Result<Option<Region>, BankError> {
        let own = inner.generators.over(&instrument.global.generators);
        let range = |number| common(outer.generators.range(number), own.range(number));
        let (Some(keys), Some(velocities)) = (range(id::KEY_RANGE), range(id::VELOCITY_RANGE)) else {
            return Ok(None);
        };
        let sum = Sum { instrument: &own, preset: &outer.generators };
        let index = usize::from(own.get(id::SAMPLE).unwrap_or(0) as u16);
        let Some(sample) = self.hydra.samples.get(index) else { return Ok(None) };
        let root = ChunkPath::root(*b"sfbk");
        if sample.kind & ROM != 0 {
            self.warnings.at(&root.to(*b"ibag", inner.offset), PassedOver::Rom(sample.name.clone()));
            return Ok(None);
        }
        let start = i64::from(sample.start) + offset(&sum, id::START, id::START_COARSE);
        let end = i64::from(sample.end) + offset(&sum, id::END, id::END_COARSE);
        let link = self.wave(sample, start, end)?;
        let root_key = match sum.get(id::ROOT_KEY) {
            // 255 is an unpitched sample, and what is above 127 is none (7.10).
            0..=127 => sum.get(id::ROOT_KEY),
            _ if sample.key <= 127 => i32::from(sample.key),
            _ => 60,
        };
        let modulators =
            List::of_voice(&List::of_zone(&instrument.global.modulators, &inner.modulators), outer_modulators);
        let here = root.to(*b"ibag", inner.offset);
        let why = "another has its source, control and destination, or the articulation is full";
        let lost = |modulator| self.warnings.at(&here, PassedOver::Modulator { modulator, why });
        let articulation = connections(&sum, &modulators, root_key, lost);
        let tune = 100 * sum.get(id::COARSE_TUNE) + sum.get(id::FINE_TUNE) + i32::from(sample.correction);
        let class = sum.get(id::EXCLUSIVE_CLASS);
        Ok(Some(Region {
            keys,
            velocities,
            options: 0,
            key_group: if class > 0 { ((class - 1) % KEY_GROUPS + 1) as u16 } else { 0 },
            sample: Some(WaveSample {
                unity_note: root_key as u16,
                fine_tune: tune.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16,
                gain: fixed(-(sum.number(id::ATTENUATION) * ATTENUATION + 10.0 * HEADROOM_DB)),
                options: 0,
                sample_loop: sample_loop(&sum, sample, start),
            }),
            link: WaveLink { channels: 1, index: link, ..WaveLink::default() },
            articulation: Some(articulation),
        }))
    }

    /// Returns the index of the wave of a range of samples.
    fn wave(&mut self, sample: &Sample, start: i64, end: i64) -> Result<u32, BankError> {
        let root = ChunkPath::root(*b"sfbk");
        let here = root.to(*b"shdr", sample.offset);
        if sample.kind & COMPRESSED != 0 {
            return Err(BankError::at(&here, Rule::Compressed));
        }
        if let Some(index) = self.indices.get(&(start, end, sample.rate)) {
            return Ok(*index);
        }
        if !(1..=WAVE_RATE_MAX).contains(&sample.rate) {
            let rule = Rule::WaveFormat { tag: 1, channels: 1, bits: 16, rate: sample.rate };
            return Err(BankError::at(&here, rule));
        }
        let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
        let Some(found) = range.and_then(|(start, end)| self.pcm.get(start..end)) else {
            return Err(BankError::at(&here, Rule::Samples { start, end, count: self.pcm.len() }));
        };
        self.copied += found.len();
        let limit = self.pcm.len().saturating_mul(SOUND_FONT_COPIES_MAX).max(SOUND_FONT_SAMPLES_MIN);
        if self.copied > limit {
            return Err(BankError::at(&here, Rule::TooMany { what: "samples in overlapping waves", limit }));
        }
        let samples: Vec<i16> = found.iter().map(|b| i16::from_le_bytes(*b)).collect();
        let index = self.waves.len() as u32;
        self.waves.push(Some(Arc::new(Wave::new(&sample.name, sample.rate, &samples, None))));
        self.indices.insert((start, end, sample.rate), index);
        Ok(index)
    }
}

/// Returns a position in a sample: a fine part, and a coarse one in units of 32768 samples.
fn offset(sum: &Sum<'_>, fine: usize, coarse: usize) -> i64 {
    i64::from(sum.get(fine)) + 32_768 * i64::from(sum.get(coarse))
}

fn sample_loop(sum: &Sum<'_>, sample: &Sample, start: i64) -> Option<SampleLoop> {
    let mode = sum.get(id::SAMPLE_MODES) & 3;
    if mode & 1 == 0 {
        return None;
    }
    let from = i64::from(sample.loop_start) + offset(sum, id::LOOP_START, id::LOOP_START_COARSE) - start;
    let to = i64::from(sample.loop_end) + offset(sum, id::LOOP_END, id::LOOP_END_COARSE) - start;
    let (from, to) = (u32::try_from(from.max(0)).ok()?, u32::try_from(to).ok()?);
    let length = to.checked_sub(from).filter(|length| *length > 0)?;
    Some(SampleLoop { until_release: mode == 3, start: from, length })
}
