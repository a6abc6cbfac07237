//! Instruments made ready to be played: from what was written ([`Collection`]) to what a note needs.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::collections::HashMap;
use std::sync::Arc;

use crate::channel::Channel;
use crate::dls::collection::{Collection, Connection, Instrument, Patch, Region, Wave, WaveSample};
use crate::dls::spec::{REGION_SELF_NON_EXCLUSIVE, WAVE_LINK_MULTICHANNEL, WAVE_LINK_PHASE_MASTER};
use crate::voice::articulation::Articulation;
use crate::voice::sample::Loop;

/// Highest key group; others count as none.
const KEY_GROUP_MAX: u16 = 15;

/// Where a region's wave is.
#[derive(Debug)]
pub(crate) enum WaveSource {
    /// In a bank, which lives as long as the synthesizer.
    Bank(Arc<Wave>),
    /// A download, by its handle. It may be gone.
    Download(u32),
}

/// To which outputs a region goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// By pan.
    Panned,
    /// The left channel of a pair.
    Left,
    /// The right channel of a pair.
    Right,
}

/// A region, ready to be played.
#[derive(Debug)]
pub(crate) struct Zone {
    keys: (u16, u16),
    velocities: (u16, u16),
    pub(crate) self_exclusive: bool,
    /// 0 for none.
    pub(crate) key_group: u8,
    /// 0 for none.
    pub(crate) phase_group: u16,
    pub(crate) phase_master: bool,
    pub(crate) output: Output,
    pub(crate) wave: WaveSource,
    pub(crate) wave_rate: u32,
    pub(crate) sample_loop: Option<Arc<Loop>>,
    /// Cents to take from the pitch because of the unity note, fine tuning counted in.
    pub(crate) unity_cents: f64,
    /// In dB.
    pub(crate) gain: f64,
    pub(crate) articulation: Arc<Articulation>,
}

impl Zone {
    fn new(region: &Region, wave: &Wave, source: WaveSource, articulation: Arc<Articulation>) -> Self {
        let sample: WaveSample = region.sample.or(wave.sample).unwrap_or_default();
        let multichannel = region.link.options & WAVE_LINK_MULTICHANNEL != 0;
        Self {
            keys: region.keys,
            velocities: region.velocities,
            self_exclusive: region.options & REGION_SELF_NON_EXCLUSIVE == 0,
            key_group: if region.key_group <= KEY_GROUP_MAX { region.key_group as u8 } else { 0 },
            phase_group: region.link.phase_group,
            phase_master: region.link.options & WAVE_LINK_PHASE_MASTER != 0,
            output: match region.link.channels {
                1 if multichannel => Output::Left,
                2 if multichannel => Output::Right,
                _ => Output::Panned,
            },
            wave: source,
            wave_rate: wave.sample_rate,
            sample_loop: sample.sample_loop.and_then(|wanted| Loop::new(wave, wanted)).map(Arc::new),
            unity_cents: 100.0 * f64::from(sample.unity_note) - f64::from(sample.fine_tune),
            gain: f64::from(sample.gain) / 655_360.0,
            articulation,
        }
    }

    /// The key that a note has in this region after coarse tuning, if it is the region's to play.
    pub(crate) fn key_of(&self, note: u8, velocity: u8, channel: &Channel) -> Option<i32> {
        let steps = if channel.drums { 0.0 } else { f64::from(channel.coarse_tuning) - 64.0 };
        let key = i32::from(note).saturating_add(libm::round(steps * self.articulation.coarse_tuning) as i32);
        let in_keys = i32::from(self.keys.0) <= key && key <= i32::from(self.keys.1);
        let in_velocities = (self.velocities.0..=self.velocities.1).contains(&u16::from(velocity));
        (in_keys && in_velocities).then_some(key)
    }
}

/// An instrument, ready to be played.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) zones: Vec<Zone>,
}

impl Program {
    /// Prepares an instrument; `wave_of` finds the wave of a link's index. Regions whose wave is not found are left out.
    pub(crate) fn new(instrument: &Instrument, wave_of: impl Fn(u32) -> Option<(Arc<Wave>, WaveSource)>) -> Self {
        // Regions mostly say the same thing, or nothing: what is said once is prepared once.
        let mut prepared: HashMap<&[Connection], Arc<Articulation>> = HashMap::new();
        let zones = instrument.regions.iter().filter_map(|region| {
            let (wave, source) = wave_of(region.link.index)?;
            let connections = region.articulation.as_ref().unwrap_or(&instrument.articulation);
            let prepared = prepared.entry(connections).or_insert_with(|| Arc::new(Articulation::new(connections)));
            Some(Zone::new(region, &wave, source, prepared.clone()))
        });
        let mut zones: Vec<Zone> = zones.collect();
        // What is held is what is charged.
        zones.shrink_to_fit();
        Self { zones }
    }

    /// Bytes that it takes, articulations and the copies of the loops included.
    pub(crate) fn bytes(&self) -> usize {
        let zone =
            |zone: &Zone| size_of::<Zone>().saturating_add(zone.sample_loop.as_ref().map_or(0, |found| found.bytes()));
        let zones: usize = self.zones.iter().map(zone).sum();
        let shared: HashMap<_, _> = self.zones.iter().map(|z| (Arc::as_ptr(&z.articulation), z)).collect();
        zones.saturating_add(shared.values().map(|zone| zone.articulation.bytes()).sum())
    }
}

/// Instruments by patch.
#[derive(Debug, Default)]
pub(crate) struct Programs(HashMap<Patch, Arc<Program>>);

impl Programs {
    /// Prepares all instruments of a collection. Of two with the same patch, the later one counts.
    pub(crate) fn new(collection: &Collection) -> Self {
        let wave_of = |index: u32| {
            let wave = collection.waves.get(index as usize)?.clone()?;
            Some((wave.clone(), WaveSource::Bank(wave)))
        };
        Self(collection.instruments.iter().map(|i| (i.patch, Arc::new(Program::new(i, wave_of)))).collect())
    }

    pub(crate) fn get(&self, patch: &Patch) -> Option<&Arc<Program>> {
        self.0.get(patch)
    }
}
