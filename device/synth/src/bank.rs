//! The immutable instrument collection that notes are played from.

use std::sync::{Arc, OnceLock};

use crate::builtin;
use crate::dls::collection::{Collection, Instrument, Patch};
use crate::dls::reader::BankError;
use crate::program::Programs;
use crate::sf2;

/// One line of a bank's list of contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstrumentDescription {
    /// Where it is found.
    pub patch: Patch,
    /// Its name, as the file has it; may be empty.
    pub name: String,
    /// Its regions, all layers counted.
    pub regions: usize,
}

/// Instruments, regions, articulations and waves, ready to be played. Shared by reference among synthesizers.
#[derive(Debug)]
pub struct Bank {
    pub(crate) programs: Programs,
    name: String,
    contents: Vec<InstrumentDescription>,
}

impl Bank {
    /// Reads a DLS file of level 1 or 2, or a SoundFont 2 file.
    ///
    /// # Errors
    /// [`BankError`], when the file is not one, or is beyond repair. Unknown chunks, wrong counts and wrong sizes in
    /// inner places are tolerated.
    pub fn from_bytes(bytes: &[u8]) -> Result<Bank, BankError> {
        let collection =
            if sf2::is_sound_font(bytes) { Collection::from_sf2(bytes) } else { Collection::from_dls(bytes) };
        Ok(Self::from_collection(&collection?))
    }

    /// Makes a bank of a collection.
    #[must_use]
    pub fn from_collection(collection: &Collection) -> Bank {
        let describe = |instrument: &Instrument| InstrumentDescription {
            patch: instrument.patch,
            name: instrument.name.clone(),
            regions: instrument.regions.len(),
        };
        let mut contents: Vec<_> = collection.instruments.iter().map(describe).collect();
        contents.sort_by_key(|line| line.patch);
        Self { programs: Programs::new(collection), name: collection.name.clone(), contents }
    }

    /// The collection's name, as the file has it; may be empty.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is in it, melodic instruments before drum kits, each by bank and program.
    #[must_use]
    pub fn describe(&self) -> &[InstrumentDescription] {
        &self.contents
    }

    /// The built-in General MIDI collection: 128 programs and a drum kit. Read once a process.
    #[must_use]
    pub fn builtin() -> Arc<Bank> {
        static BUILTIN: OnceLock<Arc<Bank>> = OnceLock::new();
        let read = || Bank::from_bytes(builtin::FILE).map(Arc::new);
        BUILTIN.get_or_init(|| read().expect("the built-in collection is a DLS file")).clone()
    }
}
