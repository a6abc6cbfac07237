//! `PcRegisterIoTimeout`: routines that are called about once a second while the device is started.

#![allow(unsafe_code, reason = "routines are called by address, from the device's timer")]

use alloc::vec::Vec;

use crate::exports::{IoInitializeTimer, IoStartTimer, IoStopTimer};
use crate::nt::status::{STATUS_INVALID_PARAMETER, STATUS_NOT_FOUND, STATUS_SUCCESS, success};
use crate::nt::{DEVICE_OBJECT, IO_TIMER_ROUTINE, NTSTATUS, PVOID};
use crate::portcls::adapter;
use crate::portcls::kernel::lock::Lock;

/// A registration.
#[derive(Clone, Copy)]
struct Timeout {
    fdo: usize,
    routine: IO_TIMER_ROUTINE,
    context: usize,
}

static TIMEOUTS: Lock<Vec<Timeout>> = Lock::new(Vec::new());

/// Calls the routines of the device, without the lock: the device's timer.
unsafe extern "win64" fn tick(fdo: *mut DEVICE_OBJECT, _context: PVOID) {
    let due: Vec<Timeout> =
        TIMEOUTS.with(|timeouts| timeouts.iter().copied().filter(|timeout| timeout.fdo == fdo as usize).collect());
    for timeout in due {
        // SAFETY: the driver's routine, with its own context, until it is unregistered.
        unsafe { (timeout.routine)(fdo, timeout.context as PVOID) };
    }
}

/// Forgets the routines of a device that is removed.
pub(crate) fn forget(fdo: *mut DEVICE_OBJECT) {
    let had = TIMEOUTS.with(|timeouts| {
        let before = timeouts.len();
        timeouts.retain(|timeout| timeout.fdo != fdo as usize);
        before != timeouts.len()
    });
    if had {
        // SAFETY: the device still lives, and its timer was initialised with the first registration.
        unsafe { IoStopTimer(fdo) };
    }
}

crate::export_functions! {
    /// Timeouts.
    pub(crate) static EXPORTS;

    /// Registers a routine that is called about once a second, at `DISPATCH_LEVEL`.
    [PASSIVE] fn PcRegisterIoTimeout(fdo: *mut DEVICE_OBJECT, routine: Option<IO_TIMER_ROUTINE>, context: PVOID) -> NTSTATUS {
        let Some(routine) = routine else { return STATUS_INVALID_PARAMETER };
        if !adapter::is_fdo(fdo) {
            return STATUS_INVALID_PARAMETER;
        }
        let first = !TIMEOUTS.with(|timeouts| timeouts.iter().any(|timeout| timeout.fdo == fdo as usize));
        if first {
            let status = IoInitializeTimer(fdo, Some(tick), core::ptr::null_mut());
            if !success(status) {
                return status;
            }
        }
        TIMEOUTS.with(|timeouts| timeouts.push(Timeout { fdo: fdo as usize, routine, context: context as usize }));
        if first {
            IoStartTimer(fdo);
        }
        STATUS_SUCCESS
    }

    /// Ends that.
    [PASSIVE] fn PcUnregisterIoTimeout(fdo: *mut DEVICE_OBJECT, routine: Option<IO_TIMER_ROUTINE>, context: PVOID) -> NTSTATUS {
        let Some(routine) = routine else { return STATUS_INVALID_PARAMETER };
        let (found, left) = TIMEOUTS.with(|timeouts| {
            let index = timeouts.iter().position(|timeout| {
                timeout.fdo == fdo as usize && timeout.routine as usize == routine as usize && timeout.context == context as usize
            });
            if let Some(index) = index {
                timeouts.swap_remove(index);
            }
            (index.is_some(), timeouts.iter().any(|timeout| timeout.fdo == fdo as usize))
        });
        if found && !left {
            IoStopTimer(fdo);
        }
        if found { STATUS_SUCCESS } else { STATUS_NOT_FOUND }
    }
}
