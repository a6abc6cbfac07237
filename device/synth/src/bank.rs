//! The immutable instrument collection that notes are played from.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use crate::builtin;
use crate::dls::collection::{Collection, Instrument, Patch};
use crate::dls::{BankError, Warnings};
use crate::program::Programs;

/// One line of a bank's list of contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstrumentDescription {
    /// Its bank, program and drum flag.
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
    warnings: Warnings,
}

impl Bank {
    /// Reads a file of any kind that [`Collection::load`] reads. Its warnings are in [`Bank::warnings`].
    ///
    /// # Errors
    /// [`BankError`], as for [`Collection::load`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Bank, BankError> {
        let loaded = Collection::load(bytes)?;
        Ok(Self { warnings: loaded.warnings, ..Self::from_collection(&loaded.collection) })
    }

    /// Returns the warnings of the file that the bank was read from.
    #[must_use]
    pub fn warnings(&self) -> &Warnings {
        &self.warnings
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
        let warnings = Warnings::default();
        Self { programs: Programs::new(collection), name: collection.name.clone(), contents, warnings }
    }

    /// Makes a bank of a collection, completed by another bank's instruments where it has none: for a song that brings the
    /// instruments that General MIDI lacks.
    #[must_use]
    pub fn from_collection_over(collection: &Collection, base: &Bank) -> Bank {
        let mut bank = Self::from_collection(collection);
        bank.programs.complete(&base.programs);
        let own: HashSet<Patch> = bank.contents.iter().map(|line| line.patch).collect();
        bank.contents.extend(base.contents.iter().filter(|line| !own.contains(&line.patch)).cloned());
        bank.contents.sort_by_key(|line| line.patch);
        bank
    }

    /// Returns the collection's name in the file, which may be empty.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Describes the instruments, melodic ones before drum kits, in the order of bank and program.
    #[must_use]
    pub fn describe(&self) -> &[InstrumentDescription] {
        &self.contents
    }

    /// Returns the built-in General MIDI collection: 128 programs and a drum kit. It is read once a process.
    #[must_use]
    pub fn builtin() -> Arc<Bank> {
        static BUILTIN: OnceLock<Arc<Bank>> = OnceLock::new();
        let read = || Bank::from_bytes(builtin::FILE).map(Arc::new);
        BUILTIN.get_or_init(|| read().expect("the built-in collection is a DLS file")).clone()
    }
}
