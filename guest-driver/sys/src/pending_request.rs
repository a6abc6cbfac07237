//! Property requests that stay pending: the driver completes them later, or the system cancels them.
//!
//! When a client ends, the system cancels its requests and waits until they are completed. So a pending request has a
//! cancel routine. It finds the card through the device object, in whose extension PortCls leaves the driver a few
//! pointers (the page on `PcAddAdapterDevice`).
#![allow(unsafe_code, reason = "requests are structures that the system shares with the driver")]

use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

use dmus_miniport::irql::AtMostDispatch;
use dmus_miniport::kernel::PendingRequest;
use portcls::descriptor::PcPropertyRequest;
use portcls::wdm::{DeviceObject, Irp};
use portcls::{NtStatus, Opaque};

use crate::nt::{self, CancelRoutine};
use crate::pc;
use crate::running::Running;

/// The index of the first pointer of a device extension that is the adapter driver's own.
const OWN_POINTER: usize = 4;

/// Stores the started card of a device for cancel routines. Null: there is none.
///
/// # Safety
/// `device` is a device object of PortCls'; the card lives until null is stored, and then no request of it is pending.
pub(crate) unsafe fn store_card(device: *mut Opaque, running: *mut Running) {
    // SAFETY: the caller's promise; an extension has 64 pointers at least.
    unsafe { &*(*device.cast::<DeviceObject>()).device_extension.add(OWN_POINTER) }
        .store(running.cast(), Ordering::Release);
}

/// A property request that may become pending.
#[derive(Clone, Copy)]
pub(crate) struct PendingPropertyRequest {
    request: *mut PcPropertyRequest,
    irp: *mut Irp,
}

// SAFETY: a request may be completed from any processor.
unsafe impl Send for PendingPropertyRequest {}

impl PendingPropertyRequest {
    /// Makes one of the handler's request.
    pub(crate) fn of(request: &mut PcPropertyRequest) -> Self {
        Self { irp: request.irp.cast(), request: ptr::from_mut(request) }
    }

    /// Returns its IRP's cancel routine and cancel flag. `None`: it has no IRP.
    fn cancellation(&self) -> Option<(&AtomicPtr<c_void>, &AtomicU8)> {
        // SAFETY: the packet of a request that has not been completed.
        (!self.irp.is_null()).then(|| unsafe { (&(*self.irp).cancel_routine, &(*self.irp).cancel) })
    }
}

impl PendingRequest for PendingPropertyRequest {
    fn arm(&self) -> bool {
        let Some((routine, cancel_flag)) = self.cancellation() else { return true };
        routine.swap(cancel as CancelRoutine as *mut c_void, Ordering::SeqCst);
        // `IoCancelIrp` sets the flag, then clears the routine: either the flag is read here, or the routine there.
        cancel_flag.load(Ordering::SeqCst) == 0 || !self.claim()
    }

    fn claim(&self) -> bool {
        self.cancellation().is_none_or(|(routine, _)| !routine.swap(ptr::null_mut(), Ordering::SeqCst).is_null())
    }

    fn complete(self, _: AtMostDispatch, status: NtStatus) {
        // SAFETY: the request is pending, and the owner of the value completes it.
        _ = unsafe { pc::PcCompletePendingPropertyRequest(self.request, status) };
    }
}

/// Completes a pending unload that the system cancels: its cancel routine.
unsafe extern "system" fn cancel(device: *mut DeviceObject, irp: *mut Irp) {
    // SAFETY: the system's own parameters; the cancel lock is held, and is released to the IRQL that the IRP holds.
    unsafe { nt::IoReleaseCancelSpinLock((*irp).cancel_irql) };
    // SAFETY: at DISPATCH_LEVEL or below, where `IoCancelIrp` is called.
    let level = unsafe { AtMostDispatch::assume() };
    // SAFETY: the device that the request was sent to.
    let running = unsafe { &*(*device).device_extension.add(OWN_POINTER) }.load(Ordering::Acquire);
    // SAFETY: the card is stored for as long as a request of it is pending, and this one is.
    if let Some(running) = unsafe { running.cast::<Running>().as_ref() } {
        running.card.cancel_unload(level, |pending| ptr::eq(pending.irp, irp));
    }
}
