//! Failures as the harness gets them.

use alloc::format;
use alloc::string::String;

use guest_protocol::{Failure, FailureKind};

use crate::nt::{NTSTATUS, status};

/// Returns the failure of a request that does not fit the state of the guest.
pub(crate) fn request(message: impl Into<String>) -> Failure {
    Failure { kind: FailureKind::Request, message: message.into() }
}

/// Returns the failure of a driver that answered with a status.
pub(crate) fn status(code: NTSTATUS, what: &str) -> Failure {
    let name = status::name(code).unwrap_or("a status without a name here");
    Failure { kind: FailureKind::Status(code.cast_unsigned()), message: format!("{what}: {name} ({code:#010x})") }
}

/// Returns the failure of a request for `bytes` of contiguous memory.
pub(crate) fn memory(bytes: u64) -> Failure {
    Failure {
        kind: FailureKind::Memory,
        message: format!(
            "no {bytes} contiguous bytes of guest memory are free: start the guest with more, or ask for less"
        ),
    }
}
