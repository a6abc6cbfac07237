//! SoundFont 2 files as a [`Collection`](crate::dls::Collection): the third way into the instrument model (SoundFont
//! Technical Specification 2.04).
//!
//! Presets and instruments become instruments of regions, generators and modulators become connections. The reader is
//! the project's own, on the RIFF walker of DLS files: of the published ones, one drops modulators, and the other takes
//! a file's word for its sizes and stops the process where a list is missing.

mod connections;
mod convert;
mod generators;
mod hydra;
mod modulators;

use crate::dls::chunk_path::ChunkPath;
use crate::dls::error::{BankError, Rule};
use crate::dls::riff::{Known, file, single};
use crate::dls::warning::{PassedOver, Warnings};
use crate::dls::{Loaded, riff};

const TOP: Known = Known { chunks: &[], lists: &[b"INFO", b"sdta", b"pdta"] };
const SAMPLES: Known = Known { chunks: &[b"smpl", b"sm24"], lists: &[] };

/// Returns whether these are the first bytes of a SoundFont.
pub(crate) fn is_sound_font(bytes: &[u8]) -> bool {
    bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"sfbk")
}

/// Reads a SoundFont 2 file.
pub(crate) fn read(bytes: &[u8]) -> Result<Loaded, BankError> {
    let mut warnings = Warnings::default();
    let path = ChunkPath::root(*b"sfbk");
    let Some(scope) = file(bytes, b"sfbk", b"pdta", &mut warnings) else {
        return Err(BankError { chunk: "RIFF".to_owned(), offset: 0, rule: Rule::Form });
    };
    let top = scope.chunks(&TOP, &path, &mut warnings)?;
    let missing = |name| BankError::at(&path, Rule::Missing(name));
    let data = single(&top, b"sdta", &path, &mut warnings).ok_or_else(|| missing("LIST sdta"))?;
    let parameters = single(&top, b"pdta", &path, &mut warnings).ok_or_else(|| missing("LIST pdta"))?;
    let info = single(&top, b"INFO", &path, &mut warnings);

    let data_path = path.to(data.id, data.offset);
    let data = data.children().chunks(&SAMPLES, &data_path, &mut warnings)?;
    if let Some(low) = single(&data, b"sm24", &data_path, &mut warnings) {
        warnings.at(&data_path.to(low.id, low.offset), PassedOver::LowBits);
    }
    let samples = single(&data, b"smpl", &data_path, &mut warnings)
        .ok_or_else(|| BankError::at(&data_path, Rule::Missing("smpl")))?;

    let hydra = hydra::Hydra::read(&parameters, &path, &mut warnings)?;
    let mut collection = convert::convert(&hydra, samples.data, &mut warnings)?;
    collection.name = riff::text(info, b"INAM");
    collection.copyright = riff::text(info, b"ICOP");
    Ok(Loaded { collection, warnings })
}
