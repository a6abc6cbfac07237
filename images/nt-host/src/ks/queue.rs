//! Queues of requests that can be cancelled at any time.

#![allow(unsafe_code, reason = "request packets and lists are the driver's")]

use core::mem::offset_of;

use crate::io::irp::{IoAcquireCancelSpinLock, IoReleaseCancelSpinLock, IofCompleteRequest};
use crate::ke::list;
use crate::ke::spin_lock::{KeAcquireSpinLockRaiseToDpc, KeReleaseSpinLock};
use crate::nt::status::{STATUS_CANCELLED, STATUS_INVALID_PARAMETER, STATUS_NO_MATCH, STATUS_SUCCESS, success};
use crate::nt::{DEVICE_OBJECT, DRIVER_CANCEL, IRP, IRP_TAIL, LIST_ENTRY, NTSTATUS, PVOID};

/// `PFNKSIRPLISTCALLBACK` (ks.h).
type ListCallback = unsafe extern "win64" fn(*mut IRP, PVOID) -> NTSTATUS;

/// `KSLIST_ENTRY_LOCATION` (ks.h): the end of a queue.
const TAIL: i32 = 0;

/// `KSIRP_REMOVAL_OPERATION` (ks.h). The others only acquire a packet: it stays where it is, without its cancel
/// routine.
mod removal {
    /// Acquire, and take it off the queue.
    pub(super) const AND_REMOVE: i32 = 1;
    /// Acquire the packet at the end of the queue or none.
    pub(super) const SINGLE: i32 = 2;
    /// Both.
    pub(super) const AND_REMOVE_SINGLE: i32 = 3;
}

/// Where a packet on a queue keeps the address of the queue's lock (`KSQUEUE_SPINLOCK_IRP_STORAGE`).
const LOCK_STORAGE: usize = 1;

/// Returns the packet of a place on a queue.
unsafe fn packet(place: *mut LIST_ENTRY) -> *mut IRP {
    // SAFETY: by the caller the place is in a packet.
    unsafe { place.byte_sub(offset_of!(IRP, Tail) + offset_of!(IRP_TAIL, ListEntry)).cast() }
}

/// Sets a packet's cancel routine (`IoSetCancelRoutine`). Returns the one before.
unsafe fn set_cancel(irp: *mut IRP, routine: Option<DRIVER_CANCEL>) -> Option<DRIVER_CANCEL> {
    // SAFETY: by the caller the packet lives; the cancel lock or the exchange itself decides which of the two takes it.
    unsafe {
        let at = (&raw mut (*irp).CancelRoutine).cast::<usize>();
        let new = routine.map_or(0, |routine| routine as usize);
        let old = core::sync::atomic::AtomicUsize::from_ptr(at).swap(new, core::sync::atomic::Ordering::AcqRel);
        core::mem::transmute::<usize, Option<DRIVER_CANCEL>>(old)
    }
}

/// Takes a packet off its queue. The queue's lock is held.
unsafe fn take_off(irp: *mut IRP) {
    // SAFETY: by the caller it is on a queue.
    unsafe { list::remove(&raw mut (*irp).Tail.ListEntry) }
}

/// Takes a cancelled packet off its queue and completes it: the default cancel routine.
unsafe extern "win64" fn cancel(_device: *mut DEVICE_OBJECT, irp: *mut IRP) {
    // SAFETY: called with the cancel lock held, for a packet that is on a queue.
    unsafe {
        let lock = (*irp).Tail.DriverContext[LOCK_STORAGE].cast();
        IoReleaseCancelSpinLock((*irp).CancelIrql);
        let before = KeAcquireSpinLockRaiseToDpc(lock);
        take_off(irp);
        KeReleaseSpinLock(lock, before);
        (*irp).IoStatus.Status = STATUS_CANCELLED;
        (*irp).IoStatus.Information = 0;
        IofCompleteRequest(irp, 0);
    }
}

crate::export_functions! {
    /// Queues of requests.
    pub(crate) static EXPORTS;

    /// Puts a request on a queue, where it can be cancelled.
    [DISPATCH] fn KsAddIrpToCancelableQueue(head: *mut LIST_ENTRY, lock: *mut usize, irp: *mut IRP, location: i32, routine: Option<DRIVER_CANCEL>) {
        (*crate::io::irp::current_stack(irp)).Control |= crate::nt::SL_PENDING_RETURNED;
        (*irp).Tail.DriverContext[LOCK_STORAGE] = lock.cast();
        let before = KeAcquireSpinLockRaiseToDpc(lock);
        let next = if location == TAIL { head } else { (*head).Flink };
        list::insert_before(next, &raw mut (*irp).Tail.ListEntry);
        let routine = routine.unwrap_or(cancel);
        set_cancel(irp, Some(routine));
        let cancelled = (*irp).Cancel != 0 && set_cancel(irp, None).is_some();
        KeReleaseSpinLock(lock, before);
        if cancelled {
            // It was cancelled before it got here.
            IoAcquireCancelSpinLock(&raw mut (*irp).CancelIrql);
            routine((*crate::io::irp::current_stack(irp)).DeviceObject, irp);
        }
    }

    /// Takes a request from an end of a queue, if there is one that is not being cancelled.
    [DISPATCH] fn KsRemoveIrpFromCancelableQueue(head: *mut LIST_ENTRY, lock: *mut usize, location: i32, operation: i32) -> *mut IRP {
        let before = KeAcquireSpinLockRaiseToDpc(lock);
        let mut found = core::ptr::null_mut();
        let mut place = if location == TAIL { (*head).Blink } else { (*head).Flink };
        while place != head {
            let irp = packet(place);
            place = if location == TAIL { (*place).Blink } else { (*place).Flink };
            // Without a routine it is being cancelled, or is acquired.
            if set_cancel(irp, None).is_some() {
                if matches!(operation, removal::AND_REMOVE | removal::AND_REMOVE_SINGLE) {
                    take_off(irp);
                }
                found = irp;
                break;
            }
            if matches!(operation, removal::SINGLE | removal::AND_REMOVE_SINGLE) {
                break;
            }
        }
        KeReleaseSpinLock(lock, before);
        found
    }

    /// Moves requests to another queue: those for which the callback returns success, until it returns another status than
    /// `STATUS_NO_MATCH`.
    [DISPATCH] fn KsMoveIrpsOnCancelableQueue(source: *mut LIST_ENTRY, source_lock: *mut usize, destination: *mut LIST_ENTRY, destination_lock: *mut usize,
        location: i32, callback: Option<ListCallback>, context: PVOID) -> NTSTATUS {
        let Some(callback) = callback else { return STATUS_INVALID_PARAMETER };
        let before = KeAcquireSpinLockRaiseToDpc(source_lock);
        let mut status = STATUS_SUCCESS;
        let mut place = if location == TAIL { (*source).Blink } else { (*source).Flink };
        while place != source && success(status) {
            let irp = packet(place);
            place = if location == TAIL { (*place).Blink } else { (*place).Flink };
            if (*irp).CancelRoutine.is_none() {
                // It is being cancelled, or is acquired.
                continue;
            }
            status = callback(irp, context);
            if success(status) {
                take_off(irp);
                let lock = if destination_lock.is_null() { source_lock } else { destination_lock };
                (*irp).Tail.DriverContext[LOCK_STORAGE] = lock.cast();
                let other = (!destination_lock.is_null()).then(|| KeAcquireSpinLockRaiseToDpc(destination_lock));
                list::insert_before(destination, &raw mut (*irp).Tail.ListEntry);
                if let Some(level) = other {
                    KeReleaseSpinLock(destination_lock, level);
                }
            } else if status == STATUS_NO_MATCH {
                status = STATUS_SUCCESS;
            }
        }
        KeReleaseSpinLock(source_lock, before);
        status
    }

    /// Takes this request from its queue.
    [DISPATCH] fn KsRemoveSpecificIrpFromCancelableQueue(irp: *mut IRP) {
        let lock = (*irp).Tail.DriverContext[LOCK_STORAGE].cast();
        let before = KeAcquireSpinLockRaiseToDpc(lock);
        set_cancel(irp, None);
        take_off(irp);
        KeReleaseSpinLock(lock, before);
    }

    /// Lets a request that was acquired on its queue be cancelled again.
    [DISPATCH] fn KsReleaseIrpOnCancelableQueue(irp: *mut IRP, routine: Option<DRIVER_CANCEL>) {
        let routine = routine.unwrap_or(cancel);
        set_cancel(irp, Some(routine));
        if (*irp).Cancel != 0 && set_cancel(irp, None).is_some() {
            IoAcquireCancelSpinLock(&raw mut (*irp).CancelIrql);
            routine((*crate::io::irp::current_stack(irp)).DeviceObject, irp);
        }
    }

    /// Cancels every request of a queue.
    [DISPATCH] fn KsCancelIo(head: *mut LIST_ENTRY, lock: *mut usize) {
        loop {
            let before = KeAcquireSpinLockRaiseToDpc(lock);
            let mut place = (*head).Flink;
            let mut next = None;
            while place != head {
                let irp = packet(place);
                (*irp).Cancel = 1;
                if let Some(routine) = set_cancel(irp, None) {
                    next = Some((irp, routine));
                    break;
                }
                place = (*place).Flink;
            }
            KeReleaseSpinLock(lock, before);
            let Some((irp, routine)) = next else { return };
            IoAcquireCancelSpinLock(&raw mut (*irp).CancelIrql);
            routine((*crate::io::irp::current_stack(irp)).DeviceObject, irp);
        }
    }

    /// Takes a cancelled packet off its queue and completes it: the default cancel routine.
    [DISPATCH] fn KsCancelRoutine(device: *mut DEVICE_OBJECT, irp: *mut IRP) {
        cancel(device, irp);
    }
}
