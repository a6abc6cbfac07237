#![allow(unsafe_code, reason = "close_range closes descriptors that are bare numbers")]
//! Closes the descriptors that the process was started with.

use std::io;

use super::error::SandboxError;

/// The first descriptor that is not a standard stream.
const FIRST: libc::c_uint = 3;

/// Closes every descriptor but standard input, standard output and standard error. To be called before the process opens
/// anything.
///
/// # Errors
/// [`SandboxError::Host`], when the host refuses it: before Linux 5.9 it knows no such call.
pub(crate) fn close_inherited() -> Result<(), SandboxError> {
    // SAFETY: no value of this process owns a descriptor in the range yet: the caller has opened none, and the standard
    // library keeps none but the standard streams.
    let done = unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, 0) };
    if done == 0 {
        return Ok(());
    }
    Err(SandboxError::host("to close the descriptors that the guard was started with", io::Error::last_os_error()))
}
