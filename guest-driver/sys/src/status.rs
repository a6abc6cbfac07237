//! `NTSTATUS` values as results.

use portcls::NtStatus;

/// Returns a status as a result.
pub(crate) fn check(status: NtStatus) -> Result<(), NtStatus> {
    if status.is_success() { Ok(()) } else { Err(status) }
}
