//! What a playback test writes into its run folder: what ran, first; the verdict, last.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::verdict::Verdict;
use crate::host::failure::Class;
use crate::host::file_error::FileError;
use crate::host::hash::sha256_hex;
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

impl Image {
    /// Hashes a file.
    ///
    /// # Errors
    /// [`FileError`] where it cannot be read.
    pub(super) fn of(path: &Path) -> Result<Self, FileError> {
        let bytes = std::fs::read(path).map_err(FileError::own("read", path))?;
        Ok(Self { path: path.into(), sha256: sha256_hex(&bytes) })
    }
}
