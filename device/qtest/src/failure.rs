//! The failures between suite, QEMU and card.

use std::io;
use std::time::Duration;

use card_spec::queue::Queue;

/// Why an act failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The host refuses a resource that the suite needs.
    #[error("{what}: {source}")]
    Host {
        /// The operation and its object.
        what: String,
        /// The host's reason.
        source: io::Error,
    },
    /// A process has ended that must run.
    #[error("{process} ended: {status}")]
    Ended {
        /// Which process.
        process: &'static str,
        /// How: an exit status or a signal.
        status: String,
    },
    /// A process runs and does not answer.
    #[error("{process} did not answer `{question}` within {limit:?}")]
    Silent {
        /// Which process.
        process: &'static str,
        /// The request.
        question: String,
        /// The limit.
        limit: Duration,
    },
    /// A process gives an answer that its protocol does not have.
    #[error("{process} answers `{answer}` to `{question}`")]
    Answer {
        /// Which process.
        process: &'static str,
        /// The request.
        question: String,
        /// Its answer.
        answer: String,
    },
    /// The card keeps a chain that it must return.
    #[error("the card did not return the chain on queue {queue} within {limit:?}")]
    NotReturned {
        /// The queue.
        queue: Queue,
        /// The limit.
        limit: Duration,
    },
    /// A value is not the expected one.
    #[error("{what}: expected {expected}, found {found}")]
    Unexpected {
        /// The value's name.
        what: String,
        /// The expected value.
        expected: String,
        /// The value.
        found: String,
    },
    /// A row of the table needs more memory than the machine has.
    #[error("{bytes} bytes do not fit the machine's memory any more")]
    NoMemory {
        /// How many were requested.
        bytes: u64,
    },
}

/// The outcome of an act.
pub type Result<T = ()> = std::result::Result<T, Failure>;

impl Failure {
    /// Wraps the host's error for `map_err`; `what` names the operation that failed.
    pub(crate) fn host(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Host { what, source }
    }

    /// Returns whether the machine cannot be used after this failure.
    #[must_use]
    pub const fn is_fatal(&self) -> bool {
        matches!(self, Self::Host { .. } | Self::Ended { .. } | Self::Silent { .. } | Self::Answer { .. })
    }
}

/// Checks that `found` is the expected value.
///
/// # Errors
/// [`Failure::Unexpected`], when it is another.
pub fn expect<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, found: &T) -> Result {
    if expected == found {
        return Ok(());
    }
    Err(Failure::Unexpected { what: what.into(), expected: format!("{expected:?}"), found: format!("{found:?}") })
}

/// Checks that `found` is at most `bound`.
///
/// # Errors
/// [`Failure::Unexpected`], when it is more.
pub fn expect_at_most<T: PartialOrd + std::fmt::Display>(what: &str, bound: T, found: T) -> Result {
    if found <= bound {
        return Ok(());
    }
    Err(Failure::Unexpected { what: what.into(), expected: format!("at most {bound}"), found: found.to_string() })
}
