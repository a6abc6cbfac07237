//! Tells whether a candidate fails as the recording did.

use std::fs;
use std::path::PathBuf;

use super::candidate::Part;
use super::scenario::{ScenarioParts, scenario};
use crate::host::file_error::FileError;
use crate::trace::failure::{Failure, failures, sound_differs_at};
use crate::trace::guest_failure::{GuestFailure, RepeatError, repeat};
use crate::trace::read::Trace;
use crate::trace::replay::{ReplayError, Replayer};

/// Tells whether a candidate fails.
pub trait Oracle {
    /// Returns whether a candidate, as the file of a trace and as parts, fails as the recording did.
    ///
    /// # Errors
    /// [`ReplayError`] when it cannot be tried.
    fn fails(&mut self, file: &[u8], parts: &[Part]) -> Result<bool, ReplayError>;
}

/// Replays candidates on a card without QEMU.
pub struct ReplayOracle {
    /// Replays.
    pub replayer: Replayer,
    /// The failure.
    pub failure: Failure,
    /// Failures that the recording has. A candidate with others fails in another way.
    pub known: Vec<Failure>,
    /// A folder for candidates and what their replays leave.
    pub folder: PathBuf,
}

impl Oracle for ReplayOracle {
    fn fails(&mut self, file: &[u8], _: &[Part]) -> Result<bool, ReplayError> {
        let (candidate, out) = (self.folder.join("candidate.trace"), self.folder.join("replayed.trace"));
        fs::write(&candidate, file).map_err(FileError::own("write", &candidate))?;
        self.replayer.run(&candidate, &out, false)?;
        let replayed = Trace::read(&out)?;
        let found = failures(&replayed.records);
        if found.iter().any(|failure| !self.known.contains(failure)) {
            return Ok(false);
        }
        if self.failure != Failure::Sound {
            return Ok(found.contains(&self.failure));
        }
        self.replayer.run(&candidate, &out, true)?;
        let plain = Trace::read(&out)?;
        Ok(sound_differs_at(&replayed.records, &plain.records).is_some())
    }
}

/// Runs candidates as scenarios, with guest and driver: for failures that no card sees.
pub struct GuestOracle<'s> {
    /// What a scenario is made of besides the parts.
    pub about: ScenarioParts<'s>,
    /// The failure.
    pub failure: GuestFailure,
    /// A folder for candidates.
    pub folder: PathBuf,
    /// Further words of the command line.
    pub further: Vec<String>,
}

impl Oracle for GuestOracle<'_> {
    fn fails(&mut self, _: &[u8], parts: &[Part]) -> Result<bool, ReplayError> {
        let path = self.folder.join("candidate.toml");
        fs::write(&path, scenario(&self.about, parts, None)).map_err(FileError::own("write", &path))?;
        let word =
            shlex::try_quote(&path.to_string_lossy()).map_or_else(|_| String::new(), std::borrow::Cow::into_owned);
        match repeat(&format!("dmus run {word}"), &self.further) {
            Ok(folder) => Ok(GuestFailure::of(&folder)?.as_ref() == Some(&self.failure)),
            // A scenario that is not run does not fail so.
            Err(RepeatError::NoFolder { .. } | RepeatError::NoCommand { .. }) => Ok(false),
            Err(RepeatError::File(error)) => Err(error.into()),
        }
    }
}
