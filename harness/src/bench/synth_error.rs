//! The error of the benchmark of the synthesizers.

use crate::host::ended::Ended;
use crate::host::failure::{Class, Diagnosed};

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum SynthBenchError {
    /// The program failed.
    #[error("the synthesizers' benchmark failed ({ended}): {said}")]
    Failed {
        /// How it ended.
        ended: Ended,
        /// What it said.
        said: String,
    },
    /// It said what is no figure.
    #[error("the synthesizers' benchmark gave a line that is no figure: {0}")]
    Line(String),
    /// The user wants to leave.
    #[error("interrupted while measuring")]
    Interrupted,
}

impl Diagnosed for SynthBenchError {
    fn class(&self) -> Class {
        match self {
            Self::Failed { .. } => Class::TestFailed,
            Self::Line(_) => Class::HarnessBug,
            Self::Interrupted => Class::Interrupted,
        }
    }
}
