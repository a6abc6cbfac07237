//! Why what was to be measured did not pass: its times say nothing.

use std::path::PathBuf;

use crate::host::failure::{Class, Diagnosed};
use crate::host::invocation;

/// Why what was to be measured did not pass.
#[derive(Debug, thiserror::Error)]
pub enum NotPassed {
    /// Cases of the suite did not pass.
    #[error("{} of the measured cases did not pass: {}", .0.len(), .0.join(", "))]
    Cases(Vec<String>),
    /// A song was not judged right.
    #[error("the song of {seconds} s was not played as the offline render has it; the run folder is {}", run_folder.display())]
    Song {
        /// How long it lasts.
        seconds: u32,
        /// The folder with its sound and its verdict.
        run_folder: PathBuf,
    },
}

impl Diagnosed for NotPassed {
    fn class(&self) -> Class {
        Class::TestFailed
    }

    fn remedy(&self) -> Option<String> {
        let command = match self {
            Self::Cases(failed) => format!("run {}", failed.first()?.split(' ').next()?),
            Self::Song { .. } => "demo".into(),
        };
        Some(format!("run one by itself, for its verdict and its run folder: {}", invocation::command(&command)))
    }
}
