//! RMID files: a RIFF form around a Standard MIDI File, and around the instrument bank that it needs (MMA RP-029 for DLS
//! collections; for SoundFonts the specification of SF2 RMIDI).

use super::chunk_path::ChunkPath;
use super::error::{BankError, Rule};
use super::riff::{Chunk, Known, file, single, text_bytes};
use super::warning::{PassedOver, Warnings};

/// `DISP` is a picture or a title for file managers.
const TOP: Known = Known { chunks: &[b"data", b"RIFF", b"DISP"], lists: &[b"INFO"] };

/// The bank offset of a SoundFont whose file says nothing of one.
const SOUND_FONT_OFFSET_DEFAULT: u8 = 1;

/// The highest bank offset.
const OFFSET_MAX: u16 = 127;

/// A bank within an RMID file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Embedded<'a> {
    /// The whole RIFF form.
    pub(crate) bytes: &'a [u8],
    /// Its byte offset in the file.
    pub(crate) at: usize,
    /// The number to add to every bank, but for the drums of a SoundFont.
    pub(crate) bank_offset: u8,
}

/// The content of an RMID file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rmid<'a> {
    pub(crate) song: Option<&'a [u8]>,
    pub(crate) bank: Option<Embedded<'a>>,
}

/// Returns whether these are the first bytes of an RMID file.
pub(crate) fn is_rmid(bytes: &[u8]) -> bool {
    bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"RMID")
}

impl<'a> Rmid<'a> {
    /// Finds the song and the bank.
    pub(crate) fn read(bytes: &'a [u8], warnings: &mut Warnings) -> Result<Self, BankError> {
        let path = ChunkPath::root(*b"RMID");
        let Some(scope) = file(bytes, b"RMID", b"INFO", warnings) else {
            return Err(BankError { chunk: "RIFF".to_owned(), offset: 0, rule: Rule::Form });
        };
        let top = scope.chunks(&TOP, &path, warnings)?;
        let song = single(&top, b"data", &path, warnings);
        let info = single(&top, b"INFO", &path, warnings);
        let mut bank = None;
        for chunk in top.iter().filter(|chunk| &chunk.id == b"RIFF") {
            let here = path.to(chunk.id, chunk.offset);
            match chunk.data.get(..4) {
                Some(b"DLS " | b"sfbk") if bank.is_none() => bank = Some(*chunk),
                Some(b"DLS " | b"sfbk") => warnings.at(&here, PassedOver::Duplicate),
                _ => warnings.at(&here, PassedOver::UnknownChunk(chunk.data.len())),
            }
        }
        let bank = bank.map(|chunk| embedded(bytes, &chunk, info, &path, warnings)).transpose()?;
        Ok(Self { song: song.map(|chunk| chunk.data), bank })
    }
}

fn embedded<'a>(
    bytes: &'a [u8],
    chunk: &Chunk<'a>,
    info: Option<Chunk<'a>>,
    path: &ChunkPath<'_>,
    warnings: &mut Warnings,
) -> Result<Embedded<'a>, BankError> {
    const HEADER: usize = 8;
    let whole = &bytes[chunk.offset..chunk.offset + HEADER + chunk.data.len()];
    let declared = info.and_then(|info| text_bytes(info.data, b"DBNK").map(|found| (info, found)));
    let bank_offset = match (declared, chunk.data.starts_with(b"sfbk")) {
        (None, false) => 0,
        (None, true) => SOUND_FONT_OFFSET_DEFAULT,
        (Some((info, _)), false) => {
            warnings.at(&path.to(info.id, info.offset), PassedOver::BankOffset);
            0
        }
        (Some((info, found)), true) => match found {
            [low, high] if u16::from_le_bytes([*low, *high]) <= OFFSET_MAX => *low,
            _ => return Err(BankError::at(&path.to(info.id, info.offset), Rule::BankOffset)),
        },
    };
    Ok(Embedded { bytes: whole, at: chunk.offset, bank_offset })
}
