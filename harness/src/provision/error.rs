//! Why an artefact cannot be provisioned.

use std::path::PathBuf;

use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;
use crate::host::interrupt;
use crate::host::limits::{self, LimitError};

/// Why an artefact could not be provisioned.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// A program is not installed.
    #[error("{program} is not installed, and {purpose} needs it")]
    NoProgram {
        /// The program.
        program: String,
        /// The artefact or step that needs it.
        purpose: String,
        /// The remedy.
        remedy: String,
    },
    /// A program failed.
    #[error("{what} failed ({status}); the end of its output:\n{tail}\n(all of it: {log})", log = log.display())]
    Failed {
        /// The step that failed.
        what: String,
        /// The program's exit status.
        status: String,
        /// The end of its output.
        tail: String,
        /// The file with all of its output.
        log: PathBuf,
        /// The remedy, if there is one.
        remedy: Option<String>,
    },
    /// A server does not answer.
    #[error("{what}: no answer from {from}\n{tail}")]
    NoNetwork {
        /// The step that failed.
        what: String,
        /// The server.
        from: String,
        /// The end of the program's output.
        tail: String,
    },
    /// The disk has too little room.
    #[error("{what} needs {needed_mib} MiB of disk under {path}, {free_mib} MiB are free", path = path.display())]
    DiskFull {
        /// The artefact or step that needs the room.
        what: String,
        /// The folder.
        path: PathBuf,
        /// Room needed, in MiB.
        needed_mib: u64,
        /// Room free, in MiB.
        free_mib: u64,
    },
    /// The machine's package archive does not hold it.
    #[error("this system's package archive does not hold {what}: {reason}")]
    NotPackaged {
        /// The artefact.
        what: String,
        /// The archive, and what it holds.
        reason: String,
        /// The remedy.
        remedy: String,
    },
    /// There is no example card of this name.
    #[error("there is no example card {name} in device/pci/examples; there are: {}", known.join(", "))]
    NoExample {
        /// The name.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// A bundle is unusable.
    #[error("the bundle in {folder} cannot be used: {reason}", folder = folder.display())]
    Bundle {
        /// Its folder.
        folder: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The environment names no folder for run folders.
    #[error("there is no folder for run folders: none of DMUS_HOME, XDG_CACHE_HOME and HOME names one")]
    NoHome,
    /// A bundle does not hold it, and only a checkout can build it.
    #[error("{what} is not in the bundle")]
    NotBundled {
        /// The artefact.
        what: String,
    },
    /// Cargo does not take a folder.
    #[error("cargo takes no folder whose path is no UTF-8, and that of {what} is none: {path}", path = path.display())]
    NotUtf8 {
        /// The variable or the thing whose folder it is.
        what: &'static str,
        /// The folder.
        path: PathBuf,
    },
    /// A program that the user named is unusable.
    #[error("{path} is unusable: {reason}", path = path.display())]
    Unfit {
        /// The program.
        path: PathBuf,
        /// The reason.
        reason: String,
        /// The remedy.
        remedy: String,
    },
    /// The user interrupted it.
    #[error("interrupted{by} while {0}", by = interrupt::by_signal())]
    Interrupted(String),
    /// A file of the cache, or one that the user named.
    #[error(transparent)]
    File(#[from] FileError),
    /// A limit of the host.
    #[error(transparent)]
    Limit(#[from] LimitError),
}

impl Diagnosed for ProvisionError {
    fn class(&self) -> Class {
        match self {
            Self::DiskFull { .. } | Self::NotUtf8 { .. } | Self::NoHome => Class::Host,
            Self::NoExample { .. } => Class::BadInput,
            Self::Interrupted(_) => Class::Interrupted,
            Self::File(error) => error.class(),
            Self::Limit(error) => error.class(),
            _ => Class::MissingArtefact,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::NoProgram { remedy, .. } | Self::NotPackaged { remedy, .. } | Self::Unfit { remedy, .. } => {
                Some(remedy.clone())
            }
            Self::Failed { remedy, .. } => remedy.clone(),
            Self::Bundle { .. } => {
                Some("fetch and unpack the download again, or name the folder of another bundle by DMUS_BUNDLE".into())
            }
            Self::NoHome => Some("set DMUS_HOME to a folder that can be written".into()),
            Self::NotBundled { .. } => Some("run the same as `cargo dmus` in a checkout of the project".into()),
            Self::NotUtf8 { what, .. } => Some(format!("give {what} a path of UTF-8 text")),
            Self::NoNetwork { .. } => {
                Some("check the network (and apt's proxy settings), then run the same again".into())
            }
            Self::DiskFull { .. } => Some(
                "free some space, or set CARGO_TARGET_DIR (of a bundle: DMUS_HOME) to a folder on a larger disk".into(),
            ),
            Self::NoExample { .. } => Some("name one of them, or a device of your own by its command".into()),
            Self::Interrupted(_) => None,
            Self::File(error) => error.remedy(),
            Self::Limit(error) => error.remedy(),
        }
    }
}

/// Returns the error of a program that did not start: a limit of the host, or it is not installed.
pub(super) fn not_run(program: &str, purpose: &str, error: &std::io::Error) -> ProvisionError {
    if error.kind() == std::io::ErrorKind::Interrupted {
        return ProvisionError::Interrupted(purpose.into());
    }
    if let Some(limit) = limits::of_start(error) {
        return limit.during(format!("cannot start {program} ({error}) for {purpose}")).into();
    }
    ProvisionError::NoProgram {
        remedy: format!("install {program}, or put it on PATH"),
        program: format!("{program} ({error})"),
        purpose: purpose.into(),
    }
}
