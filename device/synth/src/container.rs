//! Files that carry a song with the instruments that it needs: RMID and XMF.

use std::borrow::Cow;

use crate::dls::chunk_path::ChunkPath;
use crate::dls::rmid::{self, Embedded, Rmid};
use crate::dls::{BankError, Instrument, Loaded, PassedOver, Rule, Warnings, reader, xmf};
use crate::sf2;

/// Returns whether these are the first bytes of a file that may carry a song.
#[must_use]
pub fn is_container(bytes: &[u8]) -> bool {
    rmid::is_rmid(bytes) || xmf::is_xmf(bytes)
}

/// The song of an RMID or XMF file.
#[derive(Clone, Debug)]
pub struct ContainedSong<'a> {
    /// The Standard MIDI File.
    pub song: Cow<'a, [u8]>,
    /// Whether the file holds an instrument bank too, which [`Collection::load`](crate::dls::Collection::load) reads.
    pub has_bank: bool,
    /// The warnings about parts of the file that were passed over.
    pub warnings: Warnings,
}

impl<'a> ContainedSong<'a> {
    /// Finds the song in an RMID or XMF file, and unpacks it.
    ///
    /// # Errors
    /// [`BankError`] when the file is neither, its tree is broken, or it holds no song.
    pub fn read(bytes: &'a [u8]) -> Result<Self, BankError> {
        let mut warnings = Warnings::default();
        let (code, song, has_bank) = if rmid::is_rmid(bytes) {
            let Rmid { song, bank } = Rmid::read(bytes, &mut warnings)?;
            (*b"RMID", song.map(Cow::Borrowed), bank.is_some())
        } else {
            let (song, has_bank) = xmf::song(bytes, &mut warnings)?;
            (*b"XMF_", song, has_bank)
        };
        let song = song.ok_or_else(|| BankError::at(&ChunkPath::root(code), Rule::NoSong))?;
        Ok(Self { song, has_bank, warnings })
    }
}

/// Reads the bank of an RMID file.
pub(crate) fn read_rmid(bytes: &[u8]) -> Result<Loaded, BankError> {
    let mut around = Warnings::default();
    let found = Rmid::read(bytes, &mut around)?;
    let Some(Embedded { bytes, at, bank_offset }) = found.bank else {
        return Err(BankError::at(&ChunkPath::root(*b"RMID"), Rule::NoCollection));
    };
    let inside = |chunk: String| format!("RMID/{chunk}");
    let read = if sf2::is_sound_font(bytes) { sf2::read(bytes) } else { reader::read(bytes) };
    let mut loaded =
        read.map_err(|error| BankError { chunk: inside(error.chunk), offset: at + error.offset, rule: error.rule })?;
    loaded.warnings.follow(around, at, inside);
    loaded.lost_in_dls.follow(Warnings::default(), at, inside);
    shift(&mut loaded, bank_offset)?;
    Ok(loaded)
}

/// Adds an offset to the banks of all instruments but drum kits. An instrument whose bank is then beyond MIDI's is left out
/// by name.
fn shift(loaded: &mut Loaded, bank_offset: u8) -> Result<(), BankError> {
    const BANK_MAX: u8 = 127;
    if bank_offset == 0 {
        return Ok(());
    }
    let path = ChunkPath::root(*b"RMID");
    let mut kept = Vec::with_capacity(loaded.collection.instruments.len());
    for mut instrument in core::mem::take(&mut loaded.collection.instruments) {
        let Instrument { patch, name, .. } = &mut instrument;
        let bank = if patch.drums { 0 } else { patch.bank_msb.saturating_add(bank_offset) };
        if bank > BANK_MAX {
            let why = Rule::Unreachable { bank: bank.into(), program: patch.program.into() };
            loaded.warnings.at(&path, PassedOver::Item { what: "preset", name: core::mem::take(name), why });
            continue;
        }
        patch.bank_msb = bank;
        kept.push(instrument);
    }
    if kept.is_empty() {
        return Err(BankError::at(&path, Rule::NoInstruments));
    }
    loaded.collection.instruments = kept;
    Ok(())
}
