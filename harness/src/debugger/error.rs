//! Why a guest cannot be put under a debugger as the user wants it.

use std::path::PathBuf;

use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;
use crate::machine::stub::StubSocketError;

/// Why a guest cannot be put under a debugger.
#[derive(Debug, thiserror::Error)]
pub enum DebuggerError {
    /// The stub cannot listen where it shall.
    #[error(transparent)]
    Socket(#[from] StubSocketError),
    /// A file for the debuggers cannot be written, or the driver not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The driver has no lines.
    #[error("{place} cannot be found in {driver}: {reason}", driver = driver.display())]
    NoLines {
        /// The place that was asked for.
        place: String,
        /// The driver.
        driver: PathBuf,
        /// The reason.
        reason: String,
    },
    /// No source file of the driver has this name.
    #[error("no source file of {driver} is called {file}{nearest}", driver = driver.display())]
    NoFile {
        /// The driver.
        driver: PathBuf,
        /// The file that was asked for.
        file: String,
        /// The file that was probably meant, as the end of a sentence.
        nearest: String,
    },
    /// The line has no code.
    #[error("line {line} of {file} has no code in {driver}; the nearest with code {nearest}", driver = driver.display())]
    NoCode {
        /// The driver.
        driver: PathBuf,
        /// The file.
        file: String,
        /// The line.
        line: u32,
        /// The nearest lines, with a verb.
        nearest: String,
    },
    /// The image has no entry point that can be read.
    #[error("{driver} cannot be debugged: {reason}", driver = driver.display())]
    Image {
        /// The driver.
        driver: PathBuf,
        /// The reason.
        reason: String,
    },
}

impl Diagnosed for DebuggerError {
    fn class(&self) -> Class {
        match self {
            Self::Socket(error) => error.class(),
            Self::File(error) => error.class(),
            Self::NoLines { .. } | Self::NoFile { .. } | Self::NoCode { .. } => Class::Usage,
            Self::Image { .. } => Class::BadInput,
        }
    }

    fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::Socket(error) => return error.remedy(),
            Self::File(error) => return error.remedy(),
            Self::NoLines { .. } => {
                "build the driver with debug information, and put the linker's .pdb beside the .sys".into()
            }
            Self::NoFile { .. } => "name a file as the driver's debug information does, or the end of its path".into(),
            Self::NoCode { .. } => "name one of these lines; the optimizer may have merged the others".into(),
            Self::Image { .. } => "name the .sys that the linker wrote".into(),
        })
    }
}
