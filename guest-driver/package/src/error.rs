//! Why a package cannot be made or read.

use std::path::{Path, PathBuf};

use crate::inf::{Fault, place};

/// Why a package cannot be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// A file cannot be read or written.
    #[error("cannot {what} {}: {source}", path.display())]
    File {
        /// What was tried: `read`, `write`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// An INF is none, or says nothing of a package.
    #[error("{}{}: {} [{}]", path.display(), place(fault.line), fault.what, fault.rule)]
    Inf {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and rule.
        fault: Fault,
    },
    /// A package cannot have a catalogue as it is.
    #[error("{}: {reason}", path.display())]
    Package {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file is no image of a driver.
    #[error("{name} is no image that can be signed: {reason}")]
    Image {
        /// The file's name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file is no catalogue.
    #[error("{name} is no catalogue: {reason}")]
    Catalog {
        /// The file's name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A certificate or key cannot be used.
    #[error("{name} cannot be used to sign: {reason}")]
    Key {
        /// The file's name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A text cannot be written into a catalogue.
    #[error("'{text}' cannot stand in a catalogue, which holds characters of the Basic Multilingual Plane only")]
    Text {
        /// The text.
        text: String,
    },
    /// What was to be encoded is larger than its format allows.
    #[error("it cannot be encoded: {0}")]
    Encoding(#[from] der::Error),
}

impl PackageError {
    /// Creates the error of a fault in an INF.
    pub(crate) fn inf(path: &Path, fault: Fault) -> Self {
        Self::Inf { path: path.into(), fault }
    }
}
