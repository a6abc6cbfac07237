//! What a playback test writes into its run folder: what ran, first; the verdict, last.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use serde::Serialize;

use super::verdict::Verdict;
use crate::host::failure::Class;
use crate::host::file_error::FileError;
use crate::host::hash::sha256_hex;
use crate::host::stamp::Stamp;
use crate::machine::conditions::Conditions;
use crate::testbed::Choice;
use crate::testbed::violations::{FindingsReport, ViolationPolicy};

/// The record of the command that runs: `command.json`.
#[derive(Serialize)]
pub(super) struct Record<'a> {
    pub(super) harness: &'static str,
    pub(super) time: String,
    pub(super) arguments: Vec<String>,
    pub(super) reproduce: &'a str,
    pub(super) song: &'a str,
    pub(super) events: usize,
    pub(super) sample_rate: Option<u32>,
    pub(super) judge: &'static str,
    #[serde(flatten)]
    pub(super) conditions: Conditions,
    #[serde(skip_serializing_if = "ViolationPolicy::is_strict")]
    pub(super) policy: &'a ViolationPolicy,
    pub(super) restarts: u8,
    pub(super) card: &'a [String],
    pub(super) qemu: &'a [String],
    pub(super) qemu_version: &'a str,
    pub(super) accelerator: &'a Choice,
    pub(super) images: Vec<Image>,
}

/// A file that runs, and its SHA-256.
#[derive(Serialize)]
pub(super) struct Image {
    #[serde(serialize_with = "crate::host::lossy::path")]
    pub(super) path: PathBuf,
    pub(super) sha256: String,
}

/// `verdict.json` of a test that has no verdict.
#[derive(Serialize)]
pub(super) struct FailedVerdict<'a> {
    pub(super) passed: bool,
    pub(super) class: Class,
    pub(super) error: String,
    pub(super) remedy: Option<String>,
    #[serde(flatten)]
    pub(super) conditions: Conditions,
    #[serde(skip_serializing_if = "FindingsReport::is_empty")]
    pub(super) findings: &'a FindingsReport,
    pub(super) reproduce: &'a str,
}

/// `verdict.json` of a test that has one.
#[derive(Serialize)]
pub(super) struct PassedVerdict<'a> {
    pub(super) passed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) class: Option<Class>,
    #[serde(flatten)]
    pub(super) verdict: &'a Verdict,
    pub(super) reproduce: &'a str,
}

/// The files that this process has hashed. A suite runs the same ones in each scenario.
static HASHED: Mutex<BTreeMap<PathBuf, (Stamp, String)>> = Mutex::new(BTreeMap::new());

impl Image {
    /// Hashes a file, unless this process has hashed it and it has not been written since.
    ///
    /// # Errors
    /// [`FileError`] where it cannot be read.
    fn of(path: &Path) -> Result<Self, FileError> {
        let stamp = Stamp::of(path)?;
        let hashed = || HASHED.lock().unwrap_or_else(PoisonError::into_inner);
        let known = hashed().get(path).filter(|(of, _)| *of == stamp).map(|(_, sha256)| sha256.clone());
        let sha256 = match known {
            Some(sha256) => sha256,
            None => {
                let bytes = std::fs::read(path).map_err(FileError::own("read", path))?;
                let sha256 = sha256_hex(&bytes);
                hashed().insert(path.into(), (stamp, sha256.clone()));
                sha256
            }
        };
        Ok(Self { path: path.into(), sha256 })
    }
}

/// Hashes of files that are being made.
pub(super) struct Images(JoinHandle<Result<Vec<Image>, FileError>>);

impl Images {
    /// Starts to hash files, on a thread of its own: QEMU starts meanwhile.
    ///
    /// # Errors
    /// [`FileError`] where the host starts no thread.
    pub(super) fn hash(paths: Vec<PathBuf>) -> Result<Self, FileError> {
        let first = paths.first().cloned().unwrap_or_default();
        let hash = move || paths.iter().map(|path| Image::of(path)).collect();
        let thread = std::thread::Builder::new().name("hashes".into()).spawn(hash);
        Ok(Self(thread.map_err(FileError::own("read", &first))?))
    }

    /// Waits for the hashes.
    ///
    /// # Errors
    /// [`FileError`] of the first file that cannot be read.
    pub(super) fn wait(self) -> Result<Vec<Image>, FileError> {
        self.0.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}
