//! The immutable instrument collection that notes are played from.

use std::sync::{Arc, OnceLock};

use crate::builtin;
use crate::dls::collection::Collection;
use crate::dls::reader::BankError;
use crate::program::Programs;

/// Instruments, regions, articulations and waves, ready to be played. Shared by reference among synthesizers.
#[derive(Debug)]
pub struct Bank {
    pub(crate) programs: Programs,
}

impl Bank {
    /// Reads a DLS file of level 1 or 2.
    ///
    /// # Errors
    /// [`BankError`], when the file is not one, or is beyond repair. Unknown chunks, wrong counts and wrong sizes in
    /// inner places are tolerated.
    pub fn from_bytes(bytes: &[u8]) -> Result<Bank, BankError> {
        Ok(Self::from_collection(&Collection::from_dls(bytes)?))
    }

    /// Makes a bank of a collection.
    #[must_use]
    pub fn from_collection(collection: &Collection) -> Bank {
        Self { programs: Programs::new(collection) }
    }

    /// The built-in General MIDI collection: 128 programs and a drum kit. Read once a process.
    #[must_use]
    pub fn builtin() -> Arc<Bank> {
        static BUILTIN: OnceLock<Arc<Bank>> = OnceLock::new();
        let read = || Bank::from_bytes(builtin::FILE).map(Arc::new);
        BUILTIN.get_or_init(|| read().expect("the built-in collection is a DLS file")).clone()
    }
}
