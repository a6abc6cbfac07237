//! I/O request packets: where they are, and their completion.

#![allow(unsafe_code, reason = "IRPs are structures shared with the kernel")]

use crate::io::irp::IofCompleteRequest;
use crate::nt::{IO_STACK_LOCATION, IRP, NTSTATUS};

/// Returns the current stack location of an IRP.
///
/// # Safety
/// The IRP is the caller's.
pub(crate) unsafe fn stack_location<'a>(irp: *mut IRP) -> &'a mut IO_STACK_LOCATION {
    // SAFETY: by the caller.
    unsafe { &mut *(*irp).Tail.CurrentStackLocation }
}

/// Completes an IRP with a status; gives the status.
///
/// # Safety
/// The IRP is the caller's, and is given up by the call.
pub(crate) unsafe fn complete(irp: *mut IRP, status: NTSTATUS) -> NTSTATUS {
    // SAFETY: by the caller.
    unsafe {
        (*irp).IoStatus.Status = status;
        IofCompleteRequest(irp, 0);
    }
    status
}

/// Completes an IRP with a status and how much was written, or is needed; gives the status.
///
/// # Safety
/// As for [`complete`].
pub(crate) unsafe fn complete_with(irp: *mut IRP, status: NTSTATUS, length: u32) -> NTSTATUS {
    // SAFETY: by the caller.
    unsafe {
        (*irp).IoStatus.Information = length as usize;
        complete(irp, status)
    }
}
