//! What a run folder holds of a test.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::steps::{self, StepTime};
use crate::sound::pcm::Pcm;

/// The end of a log that is shown, in bytes.
const TAIL_BYTES: u64 = 6 << 10;

/// The end of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Log {
    /// The name of its file.
    pub(super) name: String,
    /// Its end, from the start of a line on.
    pub(super) tail: String,
    /// Whether there is more before it.
    pub(super) cut: bool,
}

/// What a run folder holds of a test.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    /// The steps, in order of their begin.
    pub(super) steps: Vec<StepTime>,
    /// The verdict, as it was written.
    pub(super) verdict: Option<Value>,
    /// Bug checks, decoded.
    pub(super) bug_checks: Vec<Log>,
    /// The ends of logs that are not empty.
    pub(super) logs: Vec<Log>,
}

impl Evidence {
    /// Reads a run folder. What is not there is left out.
    pub(super) fn read(folder: &Path, with_logs: bool) -> Self {
        let verdict = fs::read(folder.join("verdict.json")).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let steps = steps::read(folder, verdict.as_ref());
        let mut evidence = Self { steps, verdict, bug_checks: Vec::new(), logs: Vec::new() };
        if with_logs {
            let mut names: Vec<PathBuf> =
                fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
            names.sort();
            for path in names {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let Some(log) = tail(&path, &name) else { continue };
                if name.starts_with("bug-check") {
                    evidence.bug_checks.push(log);
                } else if path.extension().is_some_and(|extension| extension == "log") {
                    evidence.logs.push(log);
                }
            }
        }
        evidence
    }

    /// Returns the counters of guest and card as names and numbers.
    pub(super) fn counters(&self) -> Vec<(String, String)> {
        let Some(verdict) = &self.verdict else { return Vec::new() };
        let mut all = Vec::new();
        for place in ["/counters", "/card/counters"] {
            let of = if place.starts_with("/card") { "card" } else { "guest" };
            for (name, value) in verdict.pointer(place).and_then(Value::as_object).into_iter().flatten() {
                all.push((format!("{of}: {}", name.replace('_', " ")), value.to_string()));
            }
        }
        all
    }

    /// Returns the frame that a judge has named, and what is there: the first difference, or the largest.
    pub(super) fn difference(&self) -> Option<(u64, &'static str)> {
        let verdict = self.verdict.as_ref()?;
        let frame = |place: &str| verdict.pointer(place)?.as_u64();
        let first = frame("/judgement/difference/frame").map(|frame| (frame, "first"));
        first.or_else(|| Some((frame("/judgement/comparison/frame")?, "largest")))
    }

    /// Reads the sound that a test has made and the one that it was compared with, where the folder kept them.
    pub(super) fn sounds(&self, folder: &Path) -> (Option<Pcm>, Option<Pcm>) {
        let read = |path: &Path| path.is_file().then(|| Pcm::read_wav(path).ok()).flatten();
        let reference = self.verdict.as_ref().and_then(|verdict| verdict.pointer("/judgement/reference")?.as_str());
        let expected = reference.map_or_else(|| folder.join("offline.wav"), PathBuf::from);
        (read(&folder.join("guest.wav")), read(&expected))
    }
}

fn tail(path: &Path, name: &str) -> Option<Log> {
    let mut file = fs::File::open(path).ok()?;
    let length = file.metadata().ok().filter(std::fs::Metadata::is_file)?.len();
    let from = length.saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(from)).ok()?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let text = if from > 0 { text.split_once('\n').map_or(&*text, |(_, rest)| rest) } else { &*text };
    let text = text.trim_end();
    (!text.is_empty()).then(|| Log { name: name.into(), tail: text.into(), cut: from > 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::leftovers::Scratch;

    #[test]
    fn shows_whole_lines_of_the_end_of_a_long_log_and_no_empty_one() {
        let folder = Scratch::new().unwrap();
        let line = format!("{}\n", "x".repeat(99));
        fs::write(folder.path().join("console.log"), line.repeat(200)).unwrap();
        fs::write(folder.path().join("qemu.log"), "\n").unwrap();
        fs::write(folder.path().join("bug-check.txt"), "*** STOP").unwrap();
        let evidence = Evidence::read(folder.path(), true);
        let [log] = evidence.logs.as_slice() else { panic!("{:?}", evidence.logs) };
        assert!(log.cut && log.tail.lines().all(|line| line.len() == 99));
        assert_eq!(evidence.bug_checks[0].tail, "*** STOP");
        assert!(Evidence::read(folder.path(), false).logs.is_empty());
    }
}
