//! Property requests that are not answered yet: completed later, or cancelled by the system in between.
//!
//! A client that goes away has its requests cancelled, and goes away only when they are completed. So a request that waits
//! has a cancel routine. It finds the card through the device object, in whose extension PortCls leaves the driver a few
//! pointers (the page on `PcAddAdapterDevice`).
#![allow(unsafe_code, reason = "requests are structures that the system shares with the driver")]

use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

use dmus_miniport::irql::AtMostDispatch;
use dmus_miniport::kernel::Waiting;
use portcls::descriptor::PcPropertyRequest;
use portcls::wdm::{DeviceObject, Irp};
use portcls::{NtStatus, Opaque};

use crate::miniport::Running;
use crate::nt::{self, CancelRoutine};
use crate::pc;

/// The first pointer of a device extension that is the adapter driver's own.
const OWN_POINTER: usize = 4;

/// Names the started card of a device to cancel routines, or none by null.
///
/// # Safety
/// `device` is a device object of PortCls'; the card lives until none is named, and then no request of it waits.
pub(crate) unsafe fn name_card(device: *mut Opaque, running: *mut Running) {
    // SAFETY: the caller's promise; an extension has 64 pointers at least.
    unsafe { &*(*device.cast::<DeviceObject>()).device_extension.add(OWN_POINTER) }
        .store(running.cast(), Ordering::Release);
}

/// A request that waits, or could.
#[derive(Clone, Copy)]
pub(crate) struct WaitingRequest {
    request: *mut PcPropertyRequest,
    irp: *mut Irp,
}

// SAFETY: a request may be completed from any processor.
unsafe impl Send for WaitingRequest {}

impl WaitingRequest {
    /// A request that a handler has been given.
    pub(crate) fn of(request: &mut PcPropertyRequest) -> Self {
        Self { irp: request.irp.cast(), request: ptr::from_mut(request) }
    }

    /// Where its packet has the cancel routine, and the mark that it was cancelled. `None`: it has no packet.
    fn cancellation(&self) -> Option<(&AtomicPtr<c_void>, &AtomicU8)> {
        // SAFETY: the packet of a request that has not been completed.
        (!self.irp.is_null()).then(|| unsafe { (&(*self.irp).cancel_routine, &(*self.irp).cancel) })
    }
}

impl Waiting for WaitingRequest {
    fn arm(&self) -> bool {
        let Some((routine, mark)) = self.cancellation() else { return true };
        routine.swap(cancel as CancelRoutine as *mut c_void, Ordering::SeqCst);
        // Whoever cancels sets the mark, then takes the routine out: either the mark is seen here, or the routine there.
        mark.load(Ordering::SeqCst) == 0 || !self.claim()
    }

    fn claim(&self) -> bool {
        self.cancellation().is_none_or(|(routine, _)| !routine.swap(ptr::null_mut(), Ordering::SeqCst).is_null())
    }

    fn complete(self, _: AtMostDispatch, status: NtStatus) {
        // SAFETY: the request is pending, and whoever has the value is the one to complete it.
        _ = unsafe { pc::PcCompletePendingPropertyRequest(self.request, status) };
    }
}

/// The cancel routine.
unsafe extern "system" fn cancel(device: *mut DeviceObject, irp: *mut Irp) {
    // SAFETY: the system's own parameters; the lock is held, to be given back to the level that the packet says.
    unsafe { nt::IoReleaseCancelSpinLock((*irp).cancel_irql) };
    // SAFETY: at DISPATCH_LEVEL or below, whence the packet was cancelled.
    let level = unsafe { AtMostDispatch::assume() };
    // SAFETY: the device whose request this is.
    let running = unsafe { &*(*device).device_extension.add(OWN_POINTER) }.load(Ordering::Acquire);
    // SAFETY: a card is named for as long as a request of it waits, and this one does.
    if let Some(running) = unsafe { running.cast::<Running>().as_ref() } {
        running.card.cancel_unload(level, |waiting| ptr::eq(waiting.irp, irp));
    }
}
