//! SoundFont 2 files as a [`Collection`](crate::dls::Collection): the third way into the instrument model (SoundFont
//! Technical Specification 2.04).
//!
//! What cannot be played is left out by name, and the rest plays:
//!
//! | item | what becomes of it |
//! |---|---|
//! | a preset at bank and program of one before it | left out: the first sounds (7.2) |
//! | a bank above 128, a program above 127 | the preset is left out: MIDI does not reach it |
//! | a zone whose instrument or sample does not exist | the zone is left out |
//! | a zone with neither, behind the first | left out (7.3, 7.7) |
//! | a key or velocity range that is empty | the zone is left out |
//! | keyRange or velRange behind other generators, generators behind the end of the zone or on the wrong level | the generator is left out (8.1.2) |
//! | a generator beyond its limits, or a sum that is | the nearest limit (8.1.3) |
//! | a resonance above 48 dB | 48 dB: beyond it a filter's poles are nearer to the circle than single precision can tell |
//! | a sample that is empty, ends before it begins or is not within the data; a compressed one (SF3); one in ROM | the zone is left out |
//! | a rate of 0 | 400 Hz, the nearest practical rate (7.10); above 192 kHz, 192 kHz |
//! | an original key above 127 | key 60 (7.10) |
//! | a loop that is not within its sample | cut, or left out |
//! | sampleModes 2, or bits above the lowest two | no loop, as the lowest two say |
//! | a link to a sample that does not exist | the sample plays by itself |
//! | a modulator of a source, curve, transform or generator that there is not, or whose links lead nowhere or in a circle | left out (8.2, 8.3, 9.5.4) |
//! | lower 8 of 24 bits that are not as many as the upper, or in a file before version 2.04 | left out (6.1) |
//!
//! A font of which nothing is left is refused for the first of these. Tables whose records do not fit together refuse
//! the font, as the specification demands of files that are structurally unsound (chapter 4).
//!
//! Presets and instruments become instruments of regions, each of which keeps its generators and modulators
//! ([`SoundFontZone`](crate::SoundFontZone)) and is played by them. Beside these it has the nearest articulation and wave
//! sample of DLS, for files and devices that know no others; what is lost there is in
//! [`Loaded::lost_in_dls`](crate::dls::Loaded::lost_in_dls).
//!
//! Where the specification is at odds with itself:
//!
//! | | |
//! |---|---|
//! | controller 10 to pan, amount 1000 (8.4.6) | is the way from one side to the other: the sides are at the controller's ends |
//! | the wheel's sensitivity, amount 12700 (8.4.10) | of 127 semitones: so many semitones are so many hundred cents |
//! | velocity to cutoff has a switch in version 2.01 | a modulator in that form stands for the default one of 2.04 |
//! | the value of a linked modulator (8.2.1, 127) | is what its feeders give, added up; 1 is what a controller at its top gives |
//!
//! SF3 files, whose samples are Ogg Vorbis, are refused by name: a font may be hostile, and of the decoders in Rust Symphonia 0.6
//! overflows on changed headers and allocates what the sizes of a codebook multiply to, and lewton has had no release for years.
//!
//! The reader is the project's own, on the RIFF walker of DLS files: of the published ones, one drops modulators, and the other
//! takes a file's word for its sizes and stops the process where a list is missing.

mod connections;
mod convert;
mod counterpart;
mod hydra;
mod left_out;

use left_out::LeftOut;

use crate::dls::chunk_path::ChunkPath;
use crate::dls::error::{BankError, Rule};
use crate::dls::riff::{Chunk, Known, file, single};
use crate::dls::warning::{PassedOver, Warnings};
use crate::dls::{Loaded, riff};

const TOP: Known = Known { chunks: &[], lists: &[b"INFO", b"sdta", b"pdta"] };
const SAMPLES: Known = Known { chunks: &[b"smpl", b"sm24"], lists: &[] };

/// The version of the specification that has samples of 24 bits.
const LOW_BITS_SINCE: (u16, u16) = (2, 4);

/// Returns the version of a file, by its `ifil` (5.1).
fn version_of(info: &Chunk<'_>) -> Option<(u16, u16)> {
    let data = info.data.windows(12).find(|part| part.starts_with(b"ifil\x04\0\0\0"))?;
    Some((u16::from_le_bytes([data[8], data[9]]), u16::from_le_bytes([data[10], data[11]])))
}

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
    let samples = single(&data, b"smpl", &data_path, &mut warnings)
        .ok_or_else(|| BankError::at(&data_path, Rule::Missing("smpl")))?;

    let low = single(&data, b"sm24", &data_path, &mut warnings);
    let low_path = low.map(|low| data_path.to(low.id, low.offset));
    let version = info.and_then(|info| version_of(&info));
    // Another size, or an older file: the chunk is to be ignored (6.1).
    let fits =
        |low: &Chunk<'_>| low.data.len() >= samples.data.len() / 2 && version.is_none_or(|v| v >= LOW_BITS_SINCE);
    let usable = low.filter(fits).map_or(&[][..], |low| low.data);
    if let (Some(path), true) = (&low_path, usable.is_empty()) {
        warnings.at(path, PassedOver::LowBits);
    }

    let mut left_out = LeftOut::new(&mut warnings);
    let hydra = hydra::Hydra::read(&parameters, &path, &mut left_out)?;
    let (mut collection, mut lost_in_dls) = convert::convert(&hydra, samples.data, usable, left_out)?;
    if let (Some(path), false) = (&low_path, usable.is_empty()) {
        lost_in_dls.at(path, PassedOver::SixteenBits);
    }
    collection.name = riff::text(info, b"INAM");
    collection.copyright = riff::text(info, b"ICOP");
    Ok(Loaded { collection, warnings, lost_in_dls })
}
