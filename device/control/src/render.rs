//! The JSON that the offline render prints with `--json` and `--progress`.

use serde::{Deserialize, Serialize};

/// What was rendered: the line that `--json` prints at the end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RenderSummary {
    /// Frames.
    pub frames: u64,
    /// Sample rate in Hz.
    #[serde(default)]
    pub sample_rate: u32,
    /// Events played.
    #[serde(default)]
    pub events: u64,
    /// Events that were handed over after their frame. A list is handed over in time, so there are none.
    #[serde(default)]
    pub events_late: u64,
    /// Notes that found no voice.
    #[serde(default)]
    pub notes_lost: u64,
    /// Peak level in dB below full scale; `None` for silence.
    pub peak_dbfs: Option<f64>,
    /// SHA-256 of the PCM: 16-bit, little-endian, interleaved.
    pub pcm_sha256: String,
    /// The stems, if they were requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stems: Option<Stems>,
}

/// What `bank song` has found in a file that carries a song.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SongSummary {
    /// Bytes of the Standard MIDI File.
    pub bytes: u64,
    /// Whether the file holds an instrument bank too.
    pub has_bank: bool,
    /// Warnings about parts of the file that were passed over.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// One file of `--stems`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stem {
    /// The file's name in the folder.
    pub file: String,
    /// The channel group, from 1; none for what the effects add.
    pub group: Option<u16>,
    /// The channel, from 1.
    pub channel: Option<u8>,
    /// Peak level in dB relative to full scale; none for silence.
    pub peak_dbfs: Option<f64>,
}

/// The files of `--stems`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stems {
    /// The files.
    pub stems: Vec<Stem>,
    /// The greatest difference between the sum of the files and the mix, in dB relative to full scale; none when they
    /// are the same to the last bit.
    pub deviation_dbfs: Option<f64>,
}

/// How far a render has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Frames rendered.
    pub frames: u64,
    /// Frames to be rendered in all.
    pub of: u64,
}

/// A line that `--progress` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressLine {
    /// How far the render has come.
    pub progress: Progress,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_of_another_version_is_understood_as_far_as_it_is_known() {
        let text = r#"{"frames":100,"peak_dbfs":-3.5,"pcm_sha256":"ab","notes_lost":2,"new":"field"}"#;
        let summary: RenderSummary = serde_json::from_str(text).unwrap();
        assert_eq!((summary.frames, summary.peak_dbfs, summary.notes_lost), (100, Some(-3.5), 2));
        assert_eq!(summary.stems, None);
    }

    #[test]
    fn a_progress_line_is_no_summary() {
        let line = serde_json::to_string(&ProgressLine { progress: Progress { frames: 50, of: 100 } }).unwrap();
        assert_eq!(line, r#"{"progress":{"frames":50,"of":100}}"#);
        assert!(serde_json::from_str::<RenderSummary>(&line).is_err());
    }
}
