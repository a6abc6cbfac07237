//! Why the sandbox cannot be set up, and how the process ends.

use std::io;

/// How the process ends when the sandbox cannot be set up.
pub(crate) const UNAVAILABLE: u8 = 7;

/// How the process ends when the filter has refused a call.
pub(super) const VIOLATION: u8 = 71;

/// Why the sandbox cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SandboxError {
    /// There are no filters for this processor.
    #[error("no system call filter can be made for this processor: {0}")]
    Architecture(#[from] seccompiler::BackendError),
    /// The host refuses the filter.
    #[error(
        "the host refuses a system call filter: {0}; its kernel must be built with CONFIG_SECCOMP_FILTER, and a container \
         must let the process call seccomp and prctl"
    )]
    Filter(#[from] seccompiler::Error),
    /// The kernel has Landlock, and refuses its rules.
    #[error("the host refuses Landlock rules: {0}")]
    Folders(#[from] landlock::RulesetError),
    /// The host refuses a limit, the handler of refused calls, or to close descriptors.
    #[error("the host refuses {what}: {source}")]
    Host {
        /// What it refuses.
        what: &'static str,
        /// Its error.
        source: io::Error,
    },
}

impl SandboxError {
    /// Returns the refusal of the host to do `what`.
    pub(super) fn host(what: &'static str, error: impl Into<io::Error>) -> Self {
        Self::Host { what, source: error.into() }
    }
}
