//! Golden files: hashes of PCM that a person has listened to.

use std::fs;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::side::StepError;
use super::state::Recording;
use crate::document::{Problems, Source, read};
use crate::host::file_error::FileError;
use crate::playback::PlaybackError;
use crate::sound::pcm::Pcm;

/// The format of golden files.
const FORMAT: &str = "dmus-golden-1";

/// A golden file.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Golden {
    /// The format: `dmus-golden-1`.
    format: String,
    /// What was played.
    song: String,
    /// Frames a second.
    sample_rate: u32,
    /// Audio channels.
    channels: u16,
    /// Bits of a sample.
    bits: u16,
    /// Frames.
    frames: u64,
    /// SHA-256 of the samples, little-endian, in hexadecimal.
    pcm_sha256: String,
}

/// Compares PCM with a golden file, or writes the file if that is what the user wants. Returns what is wrong.
pub(super) fn compare(
    path: &Path,
    recording: &Recording,
    pcm: &Pcm,
    update: bool,
    found: &mut Vec<String>,
) -> Result<Option<String>, StepError> {
    let own = Golden {
        format: FORMAT.into(),
        song: recording.song.name.clone(),
        sample_rate: pcm.format.sample_rate,
        channels: pcm.format.channels,
        bits: pcm.format.bits,
        frames: pcm.frames(),
        pcm_sha256: pcm.sha256(),
    };
    if update {
        let text = toml::to_string(&own)
            .map_err(|error| PlaybackError::Act(format!("the golden file has no text: {error}")))?;
        let is = fs::read_to_string(path).ok();
        if is.as_deref() != Some(&text) {
            fs::write(path, text).map_err(FileError::own("write", path))?;
            found.push(format!("{} was written: listen to guest.wav before you keep it", path.display()));
        }
        return Ok(None);
    }
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let name = path.display();
            return Ok(Some(format!(
                "there is no golden file {name}: listen to guest.wav, and write it by --update-golden"
            )));
        }
        Err(error) => return Err(FileError::input(path)(error).into()),
    };
    let mut problems = Problems::default();
    let golden: Option<Golden> = read(Source { path, text: &text }, &mut problems);
    let Some(golden) = golden else {
        return Ok(Some(format!("it is no golden file; --update-golden writes it anew\n{}", problems.text())));
    };
    if golden.format != FORMAT {
        let (name, is) = (path.display(), &golden.format);
        return Ok(Some(format!("{name} is of the format {is}, and this is {FORMAT}: --update-golden writes it anew")));
    }
    if golden == own {
        return Ok(None);
    }
    if golden.pcm_sha256 != own.pcm_sha256 && (golden.sample_rate, golden.frames) == (own.sample_rate, own.frames) {
        return Ok(Some(format!("the PCM {} is not the golden one, {}", own.pcm_sha256, golden.pcm_sha256)));
    }
    Ok(Some(format!(
        "{} is of \"{}\", {} frames at {} Hz, {} channels, {} bits, and this is \"{}\", {} frames at {} Hz, {} channels, {} bits",
        path.display(),
        golden.song,
        golden.frames,
        golden.sample_rate,
        golden.channels,
        golden.bits,
        own.song,
        own.frames,
        own.sample_rate,
        own.channels,
        own.bits
    )))
}
