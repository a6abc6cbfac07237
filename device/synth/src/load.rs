//! Reads instrument collections from files of any form: DLS, SoundFont 2, XMF.

use crate::dls::{BankError, Collection, Loaded, reader, xmf};
use crate::sf2;

impl Collection {
    /// Reads a DLS file of level 1 or 2, a SoundFont 2 file, or an XMF file that holds a DLS file, and returns the
    /// warnings too.
    ///
    /// # Errors
    /// [`BankError`] when the file is none of these, is broken, or is for another device: with the chunk, the offset in
    /// the file, the rule, and the remedy.
    pub fn load(bytes: &[u8]) -> Result<Loaded, BankError> {
        match bytes {
            _ if sf2::is_sound_font(bytes) => sf2::read(bytes),
            _ if xmf::is_xmf(bytes) => xmf::read(bytes),
            _ => reader::read(bytes),
        }
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
