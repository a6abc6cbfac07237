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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::leftovers::Scratch;
    use crate::machine::Received;
    use crate::sound::midi::Song;
    use crate::sound::pcm::PcmFormat;

    fn recording(sample: i16) -> (Recording, Pcm) {
        let song = Song { name: "x".into(), events: Vec::new(), end: 0, notices: Vec::new() };
        let pcm = Pcm { samples: vec![sample; 8], format: PcmFormat::of_card(48_000) };
        (Recording { song, pcm: None, received: Received::default(), tail_ms: 0, events: 0, card_ms: None }, pcm)
    }

    fn wrong(path: &Path, sample: i16, update: bool) -> Option<String> {
        let (recording, pcm) = recording(sample);
        compare(path, &recording, &pcm, update, &mut Vec::new()).unwrap()
    }

    #[test]
    fn a_golden_file_is_written_only_when_it_is_asked_for_and_holds_one_recording() {
        let folder = Scratch::new().unwrap();
        let path = folder.path().join("x.golden.toml");
        assert!(wrong(&path, 1, false).unwrap().contains("--update-golden"));
        assert!(!path.exists());
        assert_eq!(wrong(&path, 1, true), None);
        assert_eq!(wrong(&path, 1, false), None);
        assert!(wrong(&path, 2, false).unwrap().contains("is not the golden one"));
    }

    #[test]
    fn a_file_of_another_format_or_recording_is_named_as_such() {
        let folder = Scratch::new().unwrap();
        let path = folder.path().join("x.golden.toml");
        assert_eq!(wrong(&path, 1, true), None);
        let text = fs::read_to_string(&path).unwrap();
        for (from, to, part) in [
            ("dmus-golden-1", "dmus-golden-2", "of the format dmus-golden-2"),
            ("frames = 4", "frames = 5", "5 frames at 48000 Hz"),
            ("frames = 4", "frams = 4", "did you mean `frames`"),
        ] {
            fs::write(&path, text.replace(from, to)).unwrap();
            let found = wrong(&path, 1, false).unwrap();
            assert!(found.contains(part), "{found}");
        }
    }
}
