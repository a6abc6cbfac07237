//! The error of a test of kills.

use crate::diagnosed_by_variant;
use crate::host::file_error::FileError;
use crate::testbed::session::SessionError;

/// Why a test of kills was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum KillsError {
    /// A file could not be read or written, or a run not started.
    #[error(transparent)]
    File(#[from] FileError),
    /// The user interrupted it.
    #[error(transparent)]
    Session(#[from] SessionError),
}

diagnosed_by_variant!(KillsError: File, Session);
