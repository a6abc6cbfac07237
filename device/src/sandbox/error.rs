//! Why the sandbox cannot be set up.

use std::io;

/// Why the sandbox cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// There are no filters for this processor.
    #[error("no system call filter can be made for this processor ({architecture}): {source}")]
    Architecture {
        /// The processor.
        architecture: &'static str,
        /// The cause.
        source: seccompiler::BackendError,
    },
    /// The host refuses a filter.
    #[error(
        "the host refuses a system call filter: {0}; its kernel must be built with CONFIG_SECCOMP_FILTER, and a container \
         must let the process call seccomp and prctl"
    )]
    Filter(#[source] seccompiler::Error),
    /// The host refuses a limit.
    #[error("the host refuses to lower the limit of {what}: {source}")]
    Limit {
        /// What is limited.
        what: &'static str,
        /// The error of the host.
        source: io::Error,
    },
    /// The handler of refused calls cannot be installed.
    #[error("the handler of refused system calls cannot be installed: {0}")]
    Handler(#[source] io::Error),
    /// Descriptors that the process was started with cannot be closed.
    #[error("the descriptors that the process was started with cannot be closed: {0}")]
    Descriptors(#[source] io::Error),
    /// The kernel has Landlock, and refuses its rules.
    #[error("the host refuses Landlock rules: {0}")]
    Folders(#[source] landlock::RulesetError),
    /// The kernel has Landlock, and does not apply its rules to a thread.
    #[error("the host does not apply Landlock rules: {0}")]
    Thread(#[source] io::Error),
}

impl SandboxError {
    /// Wraps the crate's error, for `map_err`.
    pub(super) const fn architecture(source: seccompiler::BackendError) -> Self {
        Self::Architecture { architecture: std::env::consts::ARCH, source }
    }
}
