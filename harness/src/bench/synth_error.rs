//! Why the synthesizers' benchmark has no figures.

use crate::host::ended::Ended;
use crate::host::failure::{Class, Diagnosed};

/// Why the synthesizers' benchmark has no figures.
#[derive(Debug, thiserror::Error)]
pub enum SynthBenchError {
    /// The program failed.
    #[error("the synthesizers' benchmark failed ({ended}): {output}")]
    Failed {
        /// Its exit status or signal.
        ended: Ended,
        /// Its standard error.
        output: String,
    },
    /// It printed a line that is no figure.
    #[error("the synthesizers' benchmark gave a line that is no figure: {0}")]
    Line(String),
    /// The user interrupted it.
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
