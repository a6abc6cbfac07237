//! Reads instrument collections from files of any form: DLS, SoundFont 2, XMF, RMID.

use crate::container;
use crate::dls::chunk_path::ChunkPath;
use crate::dls::{BankError, Collection, Instrument, Loaded, PassedOver, reader, rmid, xmf};
use crate::limits::LAYERS_MAX;
use crate::sf2;

impl Collection {
    /// Reads a DLS file of level 1 or 2, a SoundFont 2 file, or the bank of an XMF or RMID file, and returns the
    /// warnings too.
    ///
    /// # Errors
    /// [`BankError`] when the file is none of these, is broken, or is for another device: with the chunk, the offset in
    /// the file, the rule, and the remedy.
    pub fn load(bytes: &[u8]) -> Result<Loaded, BankError> {
        let mut loaded = match bytes {
            _ if sf2::is_sound_font(bytes) => sf2::read(bytes),
            _ if xmf::is_xmf(bytes) => xmf::read(bytes),
            _ if rmid::is_rmid(bytes) => container::read_rmid(bytes),
            _ => reader::read(bytes),
        }?;
        for instrument in &loaded.collection.instruments {
            if let Some(what) = silent_layers(instrument) {
                loaded.warnings.at(&ChunkPath::root(*b"lrgn"), what);
            }
        }
        Ok(loaded)
    }

    /// Reads a DLS file, as [`Self::load`] does, without its warnings.
    ///
    /// # Errors
    /// [`BankError`] with the rule that is broken, as for [`Self::load`].
    pub fn from_dls(bytes: &[u8]) -> Result<Self, BankError> {
        reader::read(bytes).map(|loaded| loaded.collection)
    }

    /// Reads a SoundFont 2 file, as [`Self::load`] does, without its warnings.
    ///
    /// # Errors
    /// [`BankError`] with the rule that is broken, as for [`Self::load`].
    pub fn from_sf2(bytes: &[u8]) -> Result<Self, BankError> {
        sf2::read(bytes).map(|loaded| loaded.collection)
    }
}

/// Returns the warning about an instrument with more regions for some note than are played.
fn silent_layers(instrument: &Instrument) -> Option<PassedOver> {
    if instrument.regions.len() <= LAYERS_MAX {
        return None;
    }
    let mut most = (0, 0, 0);
    for key in 0..=127_u16 {
        // How many regions more begin at a velocity than end before it.
        let mut steps = [0_i32; 129];
        for region in instrument.regions.iter().filter(|region| (region.keys.0..=region.keys.1).contains(&key)) {
            let (low, high) = region.velocities;
            if low <= high && low <= 127 {
                steps[usize::from(low)] += 1;
                steps[usize::from(high.min(127)) + 1] -= 1;
            }
        }
        let mut found = 0;
        for (velocity, step) in steps.iter().enumerate() {
            found += step;
            most = most.max((found, key as u8, velocity as u8));
        }
    }
    let (found, key, velocity) = most;
    let (found, name) = (found as usize, instrument.name.clone());
    (found > LAYERS_MAX).then_some(PassedOver::Layers { name, key, velocity, found, most: LAYERS_MAX })
}
