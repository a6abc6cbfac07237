//! Cancel-safe queues: a driver keeps its packets in a queue of its own, and these functions see to their cancellation.
#![allow(unsafe_code, reason = "queues of the Windows ABI")]

use core::ptr::null_mut;

use super::irp::{self, IoReleaseCancelSpinLock};
use crate::arch::cpu;
use crate::export_functions;
use crate::nt::status::*;
use crate::nt::{DEVICE_OBJECT, DRIVER_CANCEL, IRP, KIRQL, NTSTATUS, PVOID, SL_PENDING_RETURNED};

/// `IO_CSQ`: the routines of the queue's owner.
#[repr(C)]
pub struct Csq {
    kind: u32,
    /// `CsqInsertIrp`, or of an extended queue `CsqInsertIrpEx`, which has two parameters and a status more.
    insert: unsafe extern "win64" fn(*mut Csq, *mut IRP, PVOID) -> NTSTATUS,
    remove: unsafe extern "win64" fn(*mut Csq, *mut IRP),
    peek: unsafe extern "win64" fn(*mut Csq, *mut IRP, PVOID) -> *mut IRP,
    acquire: unsafe extern "win64" fn(*mut Csq, *mut KIRQL),
    release: unsafe extern "win64" fn(*mut Csq, KIRQL),
    complete_cancelled: unsafe extern "win64" fn(*mut Csq, *mut IRP),
    reserved: PVOID,
}

/// `IO_CSQ_IRP_CONTEXT`: names one packet of a queue.
#[repr(C)]
pub struct CsqContext {
    kind: u32,
    irp: *mut IRP,
    csq: *mut Csq,
}

const _: () = assert!(size_of::<Csq>() == 64 && size_of::<CsqContext>() == 24);

/// `IO_TYPE_CSQ_IRP_CONTEXT`.
const CONTEXT: u32 = 1;
/// `IO_TYPE_CSQ`.
const PLAIN: u32 = 2;
/// `IO_TYPE_CSQ_EX`.
const EXTENDED: u32 = 3;
/// Which word of a packet's driver context these functions use: the last, as the documentation says.
const WORD: usize = 3;

/// Takes a packet's cancel routine, as `IoSetCancelRoutine` does.
unsafe fn take_cancel_routine(irp: *mut IRP) -> Option<DRIVER_CANCEL> {
    // SAFETY: a packet of the queue.
    cpu::exclusively(|| unsafe { (*irp).CancelRoutine.take() })
}

/// Returns the queue that a packet is in, and its context, if it has one.
unsafe fn place(irp: *mut IRP) -> (*mut Csq, *mut CsqContext) {
    // SAFETY: the word was written by `insert`.
    unsafe {
        let word = (*irp).Tail.DriverContext[WORD];
        if word.cast::<u32>().read() == CONTEXT {
            let context = word.cast::<CsqContext>();
            ((*context).csq, context)
        } else {
            (word.cast(), null_mut())
        }
    }
}

/// Breaks the tie between a packet and what names it.
unsafe fn forget(irp: *mut IRP, context: *mut CsqContext) {
    // SAFETY: both are the queue's.
    unsafe {
        if !context.is_null() {
            (*context).irp = null_mut();
        }
        (*irp).Tail.DriverContext[WORD] = null_mut();
    }
}

unsafe extern "win64" fn cancelled(_device: *mut DEVICE_OBJECT, irp: *mut IRP) {
    // SAFETY: called by IoCancelIrp with the cancel lock held, for a packet that `insert` put in a queue.
    unsafe {
        IoReleaseCancelSpinLock((*irp).CancelIrql);
        let (csq, context) = place(irp);
        let mut old = 0;
        ((*csq).acquire)(csq, &raw mut old);
        ((*csq).remove)(csq, irp);
        forget(irp, context);
        ((*csq).release)(csq, old);
        ((*csq).complete_cancelled)(csq, irp);
    }
}

unsafe fn insert(csq: *mut Csq, irp: *mut IRP, context: *mut CsqContext, argument: PVOID) -> NTSTATUS {
    // SAFETY: exports' arguments.
    unsafe {
        (*irp).Tail.DriverContext[WORD] = if let Some(context) = context.as_mut() {
            *context = CsqContext { kind: CONTEXT, irp, csq };
            (&raw mut *context).cast()
        } else {
            csq.cast()
        };
        let mut old = 0;
        ((*csq).acquire)(csq, &raw mut old);
        let status = ((*csq).insert)(csq, irp, argument);
        if (*csq).kind == EXTENDED && !success(status) {
            forget(irp, context);
            ((*csq).release)(csq, old);
            return status;
        }
        (*irp::current_stack(irp)).Control |= SL_PENDING_RETURNED;
        cpu::exclusively(|| (*irp).CancelRoutine = Some(cancelled));
        // Cancelled before there was a routine to call: whichever takes the routine completes the packet.
        if (*irp).Cancel != 0 && take_cancel_routine(irp).is_some() {
            ((*csq).remove)(csq, irp);
            forget(irp, context);
            ((*csq).release)(csq, old);
            ((*csq).complete_cancelled)(csq, irp);
        } else {
            ((*csq).release)(csq, old);
        }
        STATUS_SUCCESS
    }
}

/// Fills in a queue.
macro_rules! initialize {
    ($csq:ident, $kind:expr, $insert:ident, $remove:ident, $peek:ident, $acquire:ident, $release:ident, $complete:ident) => {
        $csq.write(Csq {
            kind: $kind,
            insert: $insert,
            remove: $remove,
            peek: $peek,
            acquire: $acquire,
            release: $release,
            complete_cancelled: $complete,
            reserved: null_mut(),
        })
    };
}

export_functions! {
    /// Cancel-safe queues.
    pub static EXPORTS;

    /// Initialises a queue.
    [ANY] fn IoCsqInitialize(csq: *mut Csq, insert: unsafe extern "win64" fn(*mut Csq, *mut IRP, PVOID) -> NTSTATUS,
        remove: unsafe extern "win64" fn(*mut Csq, *mut IRP),
        peek: unsafe extern "win64" fn(*mut Csq, *mut IRP, PVOID) -> *mut IRP,
        acquire: unsafe extern "win64" fn(*mut Csq, *mut KIRQL), release: unsafe extern "win64" fn(*mut Csq, KIRQL),
        complete: unsafe extern "win64" fn(*mut Csq, *mut IRP)) -> NTSTATUS {
        initialize!(csq, PLAIN, insert, remove, peek, acquire, release, complete);
        STATUS_SUCCESS
    }

    /// Initialises a queue whose insertion can fail.
    [ANY] fn IoCsqInitializeEx(csq: *mut Csq, insert: unsafe extern "win64" fn(*mut Csq, *mut IRP, PVOID) -> NTSTATUS,
        remove: unsafe extern "win64" fn(*mut Csq, *mut IRP),
        peek: unsafe extern "win64" fn(*mut Csq, *mut IRP, PVOID) -> *mut IRP,
        acquire: unsafe extern "win64" fn(*mut Csq, *mut KIRQL), release: unsafe extern "win64" fn(*mut Csq, KIRQL),
        complete: unsafe extern "win64" fn(*mut Csq, *mut IRP)) -> NTSTATUS {
        initialize!(csq, EXTENDED, insert, remove, peek, acquire, release, complete);
        STATUS_SUCCESS
    }

    /// Inserts a packet and marks it pending.
    [DISPATCH] fn IoCsqInsertIrp(csq: *mut Csq, irp: *mut IRP, context: *mut CsqContext) {
        insert(csq, irp, context, null_mut());
    }

    /// Inserts a packet and marks it pending, unless the queue's own routine refuses.
    [DISPATCH] fn IoCsqInsertIrpEx(csq: *mut Csq, irp: *mut IRP, context: *mut CsqContext, argument: PVOID) -> NTSTATUS {
        insert(csq, irp, context, argument)
    }

    /// Removes the packet that a context names, or gives NULL: it was cancelled, or removed before.
    [DISPATCH] fn IoCsqRemoveIrp(csq: *mut Csq, context: *mut CsqContext) -> *mut IRP {
        let mut old = 0;
        ((*csq).acquire)(csq, &raw mut old);
        let mut irp = (*context).irp;
        if !irp.is_null() {
            if take_cancel_routine(irp).is_some() {
                ((*csq).remove)(csq, irp);
                forget(irp, context);
            } else {
                irp = null_mut();
            }
        }
        ((*csq).release)(csq, old);
        irp
    }

    /// Removes the next packet that matches and is not being cancelled.
    [DISPATCH] fn IoCsqRemoveNextIrp(csq: *mut Csq, argument: PVOID) -> *mut IRP {
        let mut old = 0;
        ((*csq).acquire)(csq, &raw mut old);
        let mut irp = ((*csq).peek)(csq, null_mut(), argument);
        while !irp.is_null() && take_cancel_routine(irp).is_none() {
            irp = ((*csq).peek)(csq, irp, argument);
        }
        if !irp.is_null() {
            ((*csq).remove)(csq, irp);
            let (_, context) = place(irp);
            forget(irp, context);
        }
        ((*csq).release)(csq, old);
        irp
    }
}
