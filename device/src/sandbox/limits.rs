//! Limits of the process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::error::SandboxError;

/// Turns core dumps off: guest memory would be in them.
///
/// # Errors
/// [`SandboxError::Limit`], when the host refuses it.
pub(super) fn no_core_dumps() -> Result<(), SandboxError> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).map_err(|error| SandboxError::Limit { what: "core dumps", source: error.into() })
}

/// Lowers the number of descriptors to `most`, if it is higher. No role may raise it again.
///
/// # Errors
/// [`SandboxError::Limit`], when the host refuses it.
pub(super) fn descriptors(most: u64) -> Result<(), SandboxError> {
    let limit = getrlimit(Resource::Nofile);
    let current = Some(limit.current.map_or(most, |current| current.min(most)));
    let lowered = Rlimit { current, ..limit };
    setrlimit(Resource::Nofile, lowered)
        .map_err(|error| SandboxError::Limit { what: "descriptors", source: error.into() })
}
