//! Presets into instruments, zones into regions, samples into waves.

use std::collections::HashMap;
use std::sync::Arc;

use super::connections::{Articulation, SCALE_TUNING_MAX, articulation, fixed};
use super::hydra::{Hydra, Sample, Set, Zone};
use super::left_out::LeftOut;
use crate::dls::chunk_path::ChunkPath;
use crate::dls::error::{BankError, Rule};
use crate::dls::spec::WAVE_LINK_PHASE_MASTER;
use crate::dls::warning::{PassedOver, Warnings};
use crate::dls::{Collection, Instrument, Patch, Region, SampleLoop, Wave, WaveLink, WaveSample};
use crate::limits::{
    INSTRUMENTS_MAX, REGIONS_MAX, SOUND_FONT_COPIES_MAX, SOUND_FONT_PAIRS_MAX, SOUND_FONT_SAMPLES_MIN, WAVE_RATE_MAX,
};
use crate::sound_font::SoundFontZone;
use crate::sound_font::generators::{Generators, Sum, id};
use crate::sound_font::modulators::List;
use crate::voice::sound_font::HEADROOM_DB;

/// SoundFont's bank of drum kits.
const DRUM_BANK: u16 = 128;

/// Highest bank, program and exclusive class: what MIDI and the specification (7.2, 8.1.3) have.
const MIDI_MAX: u16 = 127;

/// The rate of a sample that has none, in Hz: the lowest that the specification calls practical (7.10).
const SAMPLE_RATE_LEAST: u32 = 400;

/// A sample's kind: in the ROM of a sound card, compressed as SF3 has it, one of several channels.
const ROM: u16 = 0x8000;
const COMPRESSED: u16 = 0x10;
const LINKED: u16 = 0x0E;
const RIGHT: u16 = 2;
const LEFT: u16 = 4;

/// Makes a collection, and warnings about what of it DLS has not.
pub(super) fn convert(
    hydra: &Hydra,
    pcm: &[u8],
    low: &[u8],
    left_out: LeftOut<'_>,
) -> Result<(Collection, Warnings), BankError> {
    let mut maker = Maker {
        hydra,
        pcm: pcm.as_chunks::<2>().0,
        low,
        waves: Vec::new(),
        indices: HashMap::new(),
        copied: 0,
        regions: 0,
        pairs: 0,
        left_out,
        lost_in_dls: Warnings::default(),
    };
    let mut instruments: Vec<Instrument> = Vec::new();
    let mut places: HashMap<Patch, usize> = HashMap::new();
    let path = ChunkPath::root(*b"sfbk");
    for preset in &hydra.presets {
        let here = path.to(*b"phdr", preset.offset);
        let Some(patch) = patch_of(preset) else {
            let rule = Rule::Unreachable { bank: preset.bank.into(), program: preset.program };
            maker.left_out.item("preset", &preset.name, BankError::at(&here, rule));
            continue;
        };
        if let Some(first) = places.get(&patch) {
            let (name, first) = (preset.name.clone(), instruments[*first].name.clone());
            maker.left_out.warnings.at(&here, PassedOver::SecondPreset { name, first });
            continue;
        }
        let mut is_short = preset.is_short;
        let regions = maker.preset(preset, &mut is_short)?;
        if regions.is_empty() && is_short {
            maker.left_out.item("preset", &preset.name, BankError::at(&here, Rule::NoZones));
            continue;
        }
        if instruments.len() == INSTRUMENTS_MAX {
            return Err(BankError::at(&path, Rule::TooMany { what: "presets", limit: INSTRUMENTS_MAX }));
        }
        places.insert(patch, instruments.len());
        instruments.push(Instrument { name: preset.name.clone(), patch, regions, articulation: Vec::new() });
    }
    if instruments.is_empty() {
        return Err(maker.left_out.nothing_left(BankError::at(&path, Rule::NoInstruments)));
    }
    Ok((Collection { instruments, waves: maker.waves, ..Collection::default() }, maker.lost_in_dls))
}

/// Returns the patch of a preset. `None`: MIDI does not reach it.
fn patch_of(preset: &Set) -> Option<Patch> {
    let drums = preset.bank == DRUM_BANK;
    if preset.program > MIDI_MAX || (preset.bank > MIDI_MAX && !drums) {
        return None;
    }
    let bank_msb = if drums { 0 } else { preset.bank as u8 };
    Some(Patch { drums, bank_msb, bank_lsb: 0, program: preset.program as u8 })
}

struct Maker<'a, 'w> {
    hydra: &'a Hydra,
    pcm: &'a [[u8; 2]],
    /// The lower 8 of 24 bits of each sample, or nothing.
    low: &'a [u8],
    waves: Vec<Option<Arc<Wave>>>,
    indices: HashMap<(i64, i64, u32), u32>,
    /// Samples of all waves so far.
    copied: usize,
    regions: usize,
    pairs: usize,
    left_out: LeftOut<'w>,
    lost_in_dls: Warnings,
}

/// Returns the intersection of two ranges.
fn common(outer: (u16, u16), inner: (u16, u16)) -> Option<(u16, u16)> {
    let (low, high) = (outer.0.max(inner.0), outer.1.min(inner.1));
    (low <= high).then_some((low, high))
}

/// Returns what is wrong with a zone's range of keys or of velocities.
fn broken_range(generators: &Generators) -> Option<Rule> {
    let ranges = [id::KEY_RANGE, id::VELOCITY_RANGE].map(|number| generators.range(number));
    let broken = ranges.into_iter().find(|(low, high)| low > high || *low > MIDI_MAX);
    broken.map(|(low, high)| Rule::Range(low, high))
}

impl Maker<'_, '_> {
    /// Makes the regions of a preset, and notes whether any zone was left out that cannot be played.
    fn preset(&mut self, preset: &Set, is_short: &mut bool) -> Result<Vec<Region>, BankError> {
        let mut regions = Vec::new();
        let mut groups = 0;
        for outer in &preset.zones {
            let generators = outer.generators.over(&preset.global.generators);
            let modulators = List::of_zone(&preset.global.modulators, &outer.modulators);
            let outer = Zone { generators, modulators: Vec::new(), offset: outer.offset };
            let index = usize::from(outer.generators.get(id::INSTRUMENT).unwrap_or(0) as u16);
            let Some(instrument) = self.hydra.instruments.get(index) else { continue };
            let path = ChunkPath::root(*b"sfbk");
            let path = path.to(*b"pbag", outer.offset);
            *is_short |= instrument.is_short;
            if let Some(rule) = broken_range(&outer.generators) {
                self.left_out.item("zone of preset", &preset.name, BankError::at(&path, rule));
                *is_short = true;
                continue;
            }
            self.pairs += instrument.zones.len();
            let too_many = |what, limit| Err(BankError::at(&path, Rule::TooMany { what, limit }));
            if self.pairs > SOUND_FONT_PAIRS_MAX {
                return too_many("pairs of zones", SOUND_FONT_PAIRS_MAX);
            }
            let mut pairs = Pairs::default();
            for inner in &instrument.zones {
                let found = self.region(&outer, &modulators, instrument, inner, is_short)?;
                let Some((region, sample)) = found else { continue };
                if self.regions == REGIONS_MAX {
                    return too_many("regions", REGIONS_MAX);
                }
                self.regions += 1;
                pairs.note(&self.hydra.samples, sample, &region, regions.len());
                regions.push(region);
            }
            groups = pairs.lock(&mut regions, groups);
        }
        Ok(regions)
    }

    fn region(
        &mut self,
        outer: &Zone,
        outer_modulators: &List,
        instrument: &Set,
        inner: &Zone,
        is_short: &mut bool,
    ) -> Result<Option<(Region, usize)>, BankError> {
        let own = inner.generators.over(&instrument.global.generators);
        let root = ChunkPath::root(*b"sfbk");
        let here = root.to(*b"ibag", inner.offset);
        if let Some(rule) = broken_range(&own) {
            self.left_out.item("zone of instrument", &instrument.name, BankError::at(&here, rule));
            *is_short = true;
            return Ok(None);
        }
        let range = |number| common(outer.generators.range(number), own.range(number));
        let (Some(keys), Some(velocities)) = (range(id::KEY_RANGE), range(id::VELOCITY_RANGE)) else {
            return Ok(None);
        };
        let sum = Sum { instrument: &own, preset: &outer.generators };
        let index = usize::from(own.get(id::SAMPLE).unwrap_or(0) as u16);
        let Some(sample) = self.hydra.samples.get(index) else { return Ok(None) };
        if sample.kind & ROM != 0 {
            self.left_out.warnings.at(&here, PassedOver::Rom(sample.name.clone()));
            return Ok(None);
        }
        let start = i64::from(sample.start) + offset(&sum, id::START, id::START_COARSE);
        let end = i64::from(sample.end) + offset(&sum, id::END, id::END_COARSE);
        let Some(link) = self.wave(sample, start, end)? else {
            *is_short = true;
            return Ok(None);
        };
        let root_key = match sum.get(id::ROOT_KEY) {
            // 255 is an unpitched sample, and what is above 127 is none (7.10).
            0..=127 => sum.get(id::ROOT_KEY),
            _ if sample.key <= 127 => i32::from(sample.key),
            _ => 60,
        };
        let modulators =
            List::of_voice(&List::of_zone(&instrument.global.modulators, &inner.modulators), outer_modulators);
        let scale_tuning = sum.get(id::SCALE_TUNING);
        if f64::from(scale_tuning) > SCALE_TUNING_MAX {
            self.lost_in_dls.at(&here, PassedOver::ScaleTuning(scale_tuning));
        }
        let lost = |modulator, why| self.lost_in_dls.at(&here, PassedOver::NoCounterpart { modulator, why });
        let Articulation { connections, gain } = articulation(&sum, &modulators, root_key, lost);
        let tune = 100 * sum.get(id::COARSE_TUNE) + sum.get(id::FINE_TUNE) + i32::from(sample.correction);
        let class = own.get(id::EXCLUSIVE_CLASS).map_or(0, |class| class as u16);
        if class > MIDI_MAX {
            let (number, why) = (id::EXCLUSIVE_CLASS as u16, "(exclusiveClass) is not within 1 to 127");
            self.left_out.warnings.at(&here, PassedOver::MisplacedGenerator { number, why });
        }
        let own_gain = fixed(-(sum.number(id::ATTENUATION) + 10.0 * HEADROOM_DB));
        let sample_loop = self.sample_loop(&sum, sample, start, end);
        let region = Region {
            keys,
            velocities,
            options: 0,
            key_group: if class > MIDI_MAX { 0 } else { class },
            sample: Some(WaveSample {
                unity_note: root_key as u16,
                fine_tune: tune.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16,
                gain: own_gain.saturating_add(gain),
                options: 0,
                sample_loop,
            }),
            link: WaveLink { channels: 1, index: link, ..WaveLink::default() },
            articulation: Some(connections),
            sound_font: Some(Arc::new(SoundFontZone {
                generators: core::array::from_fn(|number| sum.get(number)),
                modulators: modulators.iter().copied().collect(),
                key: sum.fixed(id::KEY),
                velocity: sum.fixed(id::VELOCITY),
                root_key: root_key as u8,
                correction: sample.correction,
            })),
        };
        Ok(Some((region, index)))
    }

    /// Returns the index of the wave of a range of samples. `None`: it cannot be played.
    fn wave(&mut self, sample: &Sample, start: i64, end: i64) -> Result<Option<u32>, BankError> {
        let root = ChunkPath::root(*b"sfbk");
        let here = root.to(*b"shdr", sample.offset);
        let rate = match sample.rate {
            0 => SAMPLE_RATE_LEAST,
            rate => rate.min(WAVE_RATE_MAX),
        };
        if let Some(index) = self.indices.get(&(start, end, rate)) {
            return Ok(Some(*index));
        }
        let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
        let found = range.and_then(|(start, end)| self.pcm.get(start..end)).filter(|found| !found.is_empty());
        let found = match found {
            _ if sample.kind & COMPRESSED != 0 => Err(Rule::Compressed),
            Some(found) => Ok(found),
            None => Err(Rule::Samples { start, end, count: self.pcm.len() }),
        };
        let found = match found {
            Ok(found) => found,
            Err(rule) => {
                self.left_out.item("sample", &sample.name, BankError::at(&here, rule));
                return Ok(None);
            }
        };
        if rate != sample.rate {
            let what = PassedOver::SampleRate { name: sample.name.clone(), rate: sample.rate, used: rate };
            self.left_out.warnings.at(&here, what);
        }
        if sample.kind & LINKED != 0 && usize::from(sample.link) >= self.hydra.samples.len() {
            let what = PassedOver::SampleLink { name: sample.name.clone(), link: sample.link };
            self.left_out.warnings.at(&here, what);
        }
        self.copied += found.len();
        let limit = self.pcm.len().saturating_mul(SOUND_FONT_COPIES_MAX).max(SOUND_FONT_SAMPLES_MIN);
        if self.copied > limit {
            return Err(BankError::at(&here, Rule::TooMany { what: "samples in overlapping waves", limit }));
        }
        let samples: Vec<i16> = found.iter().map(|b| i16::from_le_bytes(*b)).collect();
        let low = range.and_then(|(start, end)| self.low.get(start..end)).unwrap_or_default();
        let index = self.waves.len() as u32;
        self.waves.push(Some(Arc::new(Wave::new(&sample.name, rate, &samples, None).with_low_bits(low))));
        self.indices.insert((start, end, rate), index);
        Ok(Some(index))
    }

    /// Returns the loop of a zone's sample, which begins at `start` and ends at `end` of the data.
    fn sample_loop(&mut self, sum: &Sum<'_>, sample: &Sample, start: i64, end: i64) -> Option<SampleLoop> {
        let mode = sum.get(id::SAMPLE_MODES) & 3;
        if mode & 1 == 0 {
            return None;
        }
        let from = i64::from(sample.loop_start) + offset(sum, id::LOOP_START, id::LOOP_START_COARSE) - start;
        let to = i64::from(sample.loop_end) + offset(sum, id::LOOP_END, id::LOOP_END_COARSE) - start;
        if from < 0 || from >= to || to > end - start {
            let root = ChunkPath::root(*b"sfbk");
            let (name, samples) = (sample.name.clone(), (end - start) as usize);
            let what = PassedOver::SampleLoop { name, start: from, end: to, samples };
            self.left_out.warnings.at(&root.to(*b"shdr", sample.offset), what);
        }
        let (from, to) = (u32::try_from(from.max(0)).ok()?, u32::try_from(to).ok()?);
        let length = to.checked_sub(from).filter(|length| *length > 0)?;
        Some(SampleLoop { until_release: mode == 3, start: from, length })
    }
}

/// The left and right samples of one instrument in one preset's zone (7.10, `wSampleLink`): of a left one, its keys and
/// velocities, the right one that it names.
#[derive(Default)]
struct Pairs {
    /// Indices of regions.
    left: Vec<(PairKey, usize)>,
    right: HashMap<PairKey, usize>,
}

/// The right sample of a pair, with the keys and the velocities of its zone.
type PairKey = (usize, (u16, u16), (u16, u16));

impl Pairs {
    /// Notes a region of a sample, which becomes the `index`th.
    fn note(&mut self, samples: &[Sample], sample: usize, region: &Region, index: usize) {
        let key = |right: usize| (right, region.keys, region.velocities);
        let Some(header) = samples.get(sample) else { return };
        match header.kind & !ROM {
            LEFT => {
                let right = usize::from(header.link);
                if samples.get(right).is_some_and(|other| other.kind & !ROM == RIGHT) {
                    self.left.push((key(right), index));
                }
            }
            RIGHT => _ = self.right.entry(key(sample)).or_insert(index),
            _ => {}
        }
    }

    /// Locks the pairs in phase: both play at the pitch of the right one. `groups` are taken already; returns how many are
    /// then.
    fn lock(self, regions: &mut [Region], mut groups: u16) -> u16 {
        let mut right = self.right;
        for (key, left) in self.left {
            // A right sample has one left one.
            let Some(right) = right.remove(&key) else { continue };
            let Some(group) = groups.checked_add(1) else { break };
            groups = group;
            (regions[left].link.phase_group, regions[right].link.phase_group) = (group, group);
            regions[right].link.options |= WAVE_LINK_PHASE_MASTER;
        }
        groups
    }
}

/// Returns a position in a sample: a fine part, and a coarse one in units of 32768 samples.
fn offset(sum: &Sum<'_>, fine: usize, coarse: usize) -> i64 {
    i64::from(sum.get(fine)) + 32_768 * i64::from(sum.get(coarse))
}
