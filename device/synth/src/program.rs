//! Instruments made ready to be played: from what was written ([`Collection`]) to what a note needs.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::collections::HashMap;
use std::sync::Arc;

use crate::dls::collection::{Collection, Connection, Instrument, Patch, SampleLoop, Wave};
use crate::sound_font::SoundFontZone;
use crate::voice::articulation::Articulation;
use crate::voice::sample::Loop;
use crate::voice::sound_font::SoundFont;
use crate::voice::zone::{WaveSource, Zone};

/// What is said about a region's voices.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Said<'a> {
    Dls(&'a [Connection]),
    SoundFont(&'a SoundFontZone),
}

impl Said<'_> {
    fn prepare(self) -> Articulation {
        match self {
            Self::Dls(connections) => Articulation::new(connections),
            Self::SoundFont(zone) => Articulation::SoundFont(Box::new(SoundFont::new(zone))),
        }
    }
}

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
        let mut prepared: HashMap<Said<'_>, Arc<Articulation>> = HashMap::new();
        // So is each loop, whose copy may be longer than all else that a region has.
        let mut loops: HashMap<(u32, SampleLoop), Option<Arc<Loop>>> = HashMap::new();
        let zones = instrument.regions.iter().filter_map(|region| {
            let (wave, source) = wave_of(region.link.index)?;
            let sample_loop = Zone::sample_of(region, &wave).sample_loop.and_then(|wanted| {
                let prepare = || Loop::new(&wave, wanted).map(Arc::new);
                loops.entry((region.link.index, wanted)).or_insert_with(prepare).clone()
            });
            let said = match &region.sound_font {
                Some(zone) => Said::SoundFont(zone),
                None => Said::Dls(region.articulation.as_ref().unwrap_or(&instrument.articulation)),
            };
            let prepared = prepared.entry(said).or_insert_with(|| Arc::new(said.prepare()));
            Some(Zone::new(region, (&wave, source), sample_loop, prepared.clone()))
        });
        let mut zones: Vec<Zone> = zones.collect();
        // The capacity that is held is the one that is charged.
        zones.shrink_to_fit();
        Self { zones }
    }

    /// Returns how many bytes it takes, with articulations and the copies of the loops.
    pub(crate) fn bytes(&self) -> usize {
        let zones = size_of::<Zone>().saturating_mul(self.zones.len());
        let articulations: HashMap<_, _> =
            self.zones.iter().map(|zone| (Arc::as_ptr(&zone.articulation), zone.articulation.bytes())).collect();
        let loops: HashMap<_, _> = self
            .zones
            .iter()
            .filter_map(|zone| zone.sample_loop.as_ref())
            .map(|found| (Arc::as_ptr(found), found.bytes()))
            .collect();
        articulations.values().chain(loops.values()).fold(zones, |sum, bytes| sum.saturating_add(*bytes))
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
