//! Work items of devices.
#![allow(unsafe_code, reason = "work items of the Windows ABI")]

use alloc::boxed::Box;
use core::sync::atomic::{AtomicUsize, Ordering};

use super::device;
use crate::contract::verifier;
use crate::export_functions;
use crate::ke::work;
use crate::nt::{DEVICE_OBJECT, IO_WORKITEM_ROUTINE, IO_WORKITEM_ROUTINE_EX, PVOID};

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

/// Returns how many work items were not freed, for the leak check.
#[must_use]
pub fn outstanding() -> usize {
    ALLOCATED.load(Ordering::Relaxed)
}

#[derive(Clone, Copy)]
enum Routine {
    Plain(IO_WORKITEM_ROUTINE),
    Extended(IO_WORKITEM_ROUTINE_EX),
}

/// `IO_WORKITEM`, opaque to drivers.
pub struct WorkItem {
    object: PVOID,
    routine: Option<Routine>,
    context: PVOID,
    queued: bool,
}

unsafe extern "win64" fn run(parameter: PVOID) {
    let item = parameter.cast::<WorkItem>();
    // SAFETY: queued items are live; the routine may free its item, so everything is read before.
    unsafe {
        let (object, routine, context) = ((*item).object, (*item).routine, (*item).context);
        (*item).queued = false;
        match routine {
            Some(Routine::Plain(routine)) => routine(object.cast(), context),
            Some(Routine::Extended(routine)) => routine(object, context, parameter),
            None => {}
        }
        // The manager holds a reference to the object while the routine runs.
        if device::is_device(object) {
            device::release(object.cast());
        }
    }
}

unsafe fn queue(function: &'static str, item: *mut WorkItem, routine: Routine, context: PVOID) {
    // SAFETY: an export's argument.
    unsafe {
        if (*item).queued {
            verifier::stop(
                0xe4,
                function,
                [1, item as u64, 0, 0],
                format_args!("the work item at {item:p} is queued already: use one item for each routine under way"),
            );
        }
        (*item).queued = true;
        (*item).routine = Some(routine);
        (*item).context = context;
        if device::is_device((*item).object) {
            device::reference((*item).object.cast());
        }
        work::queue(run, item.cast());
    }
}

export_functions! {
    /// Work items.
    pub static EXPORTS;

    /// Allocates a work item.
    [DISPATCH] fn IoAllocateWorkItem(device: *mut DEVICE_OBJECT) -> *mut WorkItem {
        ALLOCATED.fetch_add(1, Ordering::Relaxed);
        Box::into_raw(Box::new(WorkItem { object: device.cast(), routine: None, context: core::ptr::null_mut(), queued: false }))
    }

    /// Frees a work item.
    [DISPATCH] fn IoFreeWorkItem(item: *mut WorkItem) {
        {
            if (*item).queued {
                verifier::stop(0xe4, "IoFreeWorkItem", [0, item as u64, 0, 0], format_args!("the work item at {item:p} is freed while it is queued; free it in or after its routine"));
            }
            drop(Box::from_raw(item));
        }
        ALLOCATED.fetch_sub(1, Ordering::Relaxed);
    }

    /// Returns the bytes of a work item in the driver's own memory.
    [ANY] fn IoSizeofWorkItem() -> u32 { size_of::<WorkItem>() as u32 }

    /// Initialises a work item in the driver's own memory.
    [DISPATCH] fn IoInitializeWorkItem(object: PVOID, item: *mut WorkItem) {
        item.write(WorkItem { object, routine: None, context: core::ptr::null_mut(), queued: false })
    }

    /// Ends the use of such a work item.
    [DISPATCH] fn IoUninitializeWorkItem(item: *mut WorkItem) {
        if (*item).queued {
            verifier::stop(0xe4, "IoUninitializeWorkItem", [0, item as u64, 0, 0], format_args!("the work item at {item:p} is given up while it is queued"));
        }
    }

    /// Queues a work item.
    [DISPATCH] fn IoQueueWorkItem(item: *mut WorkItem, routine: Option<IO_WORKITEM_ROUTINE>, _kind: i32, context: PVOID) {
        if let Some(routine) = routine { queue("IoQueueWorkItem", item, Routine::Plain(routine), context) }
    }

    /// Queues a work item whose routine gets it.
    [DISPATCH] fn IoQueueWorkItemEx(item: *mut WorkItem, routine: Option<IO_WORKITEM_ROUTINE_EX>, _kind: i32, context: PVOID) {
        if let Some(routine) = routine { queue("IoQueueWorkItemEx", item, Routine::Extended(routine), context) }
    }
}
