//! What can go wrong between the suite, QEMU and the card.

use std::io;
use std::time::Duration;

use card_spec::queue::Queue;

/// Why an act did not go as it should.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The host does not give what the suite needs.
    #[error("{what}: {source}")]
    Host {
        /// What was tried, on what.
        what: String,
        /// The host's reason.
        source: io::Error,
    },
    /// A process ended that should run.
    #[error("{process} ended: {status}")]
    Ended {
        /// Which process.
        process: &'static str,
        /// How: an exit status or a signal.
        status: String,
    },
    /// A process is running and says nothing.
    #[error("{process} did not answer `{question}` within {limit:?}")]
    Silent {
        /// Which process.
        process: &'static str,
        /// What it was asked.
        question: String,
        /// The limit.
        limit: Duration,
    },
    /// A process answers something else than its protocol has.
    #[error("{process} answers `{answer}` to `{question}`")]
    Answer {
        /// Which process.
        process: &'static str,
        /// What it was asked.
        question: String,
        /// What it said.
        answer: String,
    },
    /// The card keeps a chain that it should have returned.
    #[error("the card did not return the chain on queue {queue} within {limit:?}")]
    NotReturned {
        /// The queue.
        queue: Queue,
        /// The limit.
        limit: Duration,
    },
    /// Something is not as it should be.
    #[error("{what}: expected {expected}, found {found}")]
    Unexpected {
        /// What was looked at.
        what: String,
        /// What it should have been.
        expected: String,
        /// What it was.
        found: String,
    },
    /// A row of the table asks for more memory than the machine has.
    #[error("{bytes} bytes do not fit the machine's memory any more")]
    NoMemory {
        /// How many were asked for.
        bytes: u64,
    },
}

/// What an act comes to.
pub type Result<T = ()> = std::result::Result<T, Failure>;

impl Failure {
    /// For `map_err`: the host's own error while doing `what`.
    pub(crate) fn host(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Host { what, source }
    }

    /// Returns whether the machine is of no use after this.
    #[must_use]
    pub const fn is_fatal(&self) -> bool {
        matches!(self, Self::Host { .. } | Self::Ended { .. } | Self::Silent { .. } | Self::Answer { .. })
    }
}

/// Fails if `found` is not what was expected.
///
/// # Errors
/// [`Failure::Unexpected`].
pub fn expect<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, found: &T) -> Result {
    if expected == found {
        return Ok(());
    }
    Err(Failure::Unexpected { what: what.into(), expected: format!("{expected:?}"), found: format!("{found:?}") })
}

/// Fails if a bound does not hold.
///
/// # Errors
/// [`Failure::Unexpected`].
pub fn expect_at_most<T: PartialOrd + std::fmt::Display>(what: &str, bound: T, found: T) -> Result {
    if found <= bound {
        return Ok(());
    }
    Err(Failure::Unexpected { what: what.into(), expected: format!("at most {bound}"), found: found.to_string() })
}
