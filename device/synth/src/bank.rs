//! The immutable instrument collection that notes are played from.

use std::sync::Arc;

use thiserror::Error;

/// Instruments, regions, articulations and waves, ready to be played. Shared by reference among synthesizers.
#[derive(Debug, Default)]
pub struct Bank {}

/// Why a file is no instrument collection.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BankError {
    /// The first bytes are not those of a DLS file.
    #[error("not a DLS file: it must begin with a RIFF header of form type \"DLS \"")]
    NotDls,
}

impl Bank {
    /// Reads a DLS file of level 1 or 2.
    ///
    /// # Errors
    /// [`BankError`], when the file is not one, or is beyond repair. Unknown chunks, wrong counts and wrong sizes in
    /// inner places are tolerated.
    pub fn from_bytes(bytes: &[u8]) -> Result<Bank, BankError> {
        if bytes.len() < 12 || &bytes[0..4] != b"RIFF" || &bytes[8..12] != b"DLS " {
            return Err(BankError::NotDls);
        }
        Ok(Bank {})
    }

    /// The built-in General MIDI collection.
    #[must_use]
    pub fn builtin() -> Arc<Bank> {
        Arc::new(Bank::default())
    }
}
