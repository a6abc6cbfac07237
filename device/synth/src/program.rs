//! Instruments made ready to be played: from what was written ([`Collection`]) to what a note needs.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::collections::HashMap;
use std::sync::Arc;

use crate::dls::collection::{Collection, Connection, Instrument, Patch, Wave};
use crate::voice::articulation::Articulation;
use crate::voice::zone::{WaveSource, Zone};

/// An instrument, ready to be played.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) zones: Vec<Zone>,
}

impl Program {
    /// Prepares an instrument; `wave_of` finds the wave of a link's index. Regions whose wave is not found are left
    /// out.
    pub(crate) fn new(instrument: &Instrument, wave_of: impl Fn(u32) -> Option<(Arc<Wave>, WaveSource)>) -> Self {
        // Most regions have the same articulation, or none: each is prepared once.
        let mut prepared: HashMap<&[Connection], Arc<Articulation>> = HashMap::new();
        let zones = instrument.regions.iter().filter_map(|region| {
            let (wave, source) = wave_of(region.link.index)?;
            let connections = region.articulation.as_ref().unwrap_or(&instrument.articulation);
            let prepared = prepared.entry(connections).or_insert_with(|| Arc::new(Articulation::new(connections)));
            Some(Zone::new(region, &wave, source, prepared.clone()))
        });
        let mut zones: Vec<Zone> = zones.collect();
        // The capacity that is held is the one that is charged.
        zones.shrink_to_fit();
        Self { zones }
    }

    /// Returns how many bytes it takes, with articulations and the copies of the loops.
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

    /// Takes over the instruments of others whose patches have none here.
    pub(crate) fn complete(&mut self, others: &Self) {
        for (patch, program) in &others.0 {
            self.0.entry(*patch).or_insert_with(|| program.clone());
        }
    }

    /// Returns the instrument of a patch.
    pub(crate) fn get(&self, patch: &Patch) -> Option<&Arc<Program>> {
        self.0.get(patch)
    }
}
