//! Workers: work items of a driver's, of which nothing runs any more when its worker is unregistered.

#![allow(unsafe_code, reason = "work items are the driver's, workers known to it by address")]

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::alloc_faults;
use crate::arch::uninterrupted::Uninterrupted;
use crate::contract::services;
use crate::contract::violation::{Violation, fatal};
use crate::ke::wait::KeDelayExecutionThread;
use crate::ke::work;
use crate::nt::status::{STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER, STATUS_SUCCESS};
use crate::nt::{NTSTATUS, PVOID, WORK_QUEUE_ITEM};

/// `WORK_QUEUE_TYPE` has two for drivers: critical and delayed, and one for the system itself.
const QUEUES: i32 = 3;

/// Between two looks at whether a worker's items are done. 100 ns units, relative.
const LOOK_AGAIN: i64 = -10_000;

/// A worker. Drivers know it by its address.
struct Worker {
    /// Its own item, of a counted one.
    item: usize,
    /// What a counted one counts.
    count: AtomicU32,
    /// Items queued or running.
    outstanding: AtomicU32,
}

/// Workers that are registered, by address.
static WORKERS: Uninterrupted<Vec<usize>> = Uninterrupted::new(Vec::new());

/// Returns how many are registered.
pub(super) fn registered() -> usize {
    WORKERS.with(|workers| workers.len())
}

/// An item on its way.
struct Queued {
    worker: usize,
    item: usize,
}

fn register(kind: i32, item: *mut WORK_QUEUE_ITEM, out: *mut PVOID) -> NTSTATUS {
    if !(0..QUEUES).contains(&kind) || out.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    if alloc_faults::fails("KsRegisterWorker") {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    let worker = Box::new(Worker { item: item as usize, count: AtomicU32::new(0), outstanding: AtomicU32::new(0) });
    let worker = Box::into_raw(worker);
    WORKERS.with(|workers| workers.push(worker as usize));
    // SAFETY: the caller's out parameter.
    unsafe { out.write(worker.cast()) };
    STATUS_SUCCESS
}

/// Returns the worker of an address that a driver passes.
fn worker<'a>(function: &str, address: PVOID) -> &'a Worker {
    if !WORKERS.with(|workers| workers.contains(&(address as usize))) {
        fatal(
            function,
            Violation::new(
                services::DISCARDED,
                format!("{address:p} is no worker, or one that was unregistered"),
                "pass what KsRegisterWorker gave, before KsUnregisterWorker",
            ),
        )
    }
    // SAFETY: it is registered.
    unsafe { &*address.cast::<Worker>() }
}

fn queue(worker: &Worker, item: *mut WORK_QUEUE_ITEM) {
    worker.outstanding.fetch_add(1, Ordering::AcqRel);
    let queued = Box::new(Queued { worker: core::ptr::from_ref(worker) as usize, item: item as usize });
    work::queue(run, Box::into_raw(queued).cast());
}

unsafe extern "win64" fn run(context: PVOID) {
    // SAFETY: the context is a box of `queue`'s; the worker waits for its items.
    unsafe {
        let queued = Box::from_raw(context.cast::<Queued>());
        let item = queued.item as *mut WORK_QUEUE_ITEM;
        if let Some(routine) = (*item).WorkerRoutine {
            routine((*item).Parameter);
        }
        (*(queued.worker as *const Worker)).outstanding.fetch_sub(1, Ordering::AcqRel);
    }
}

crate::export_functions! {
    /// Workers.
    pub(crate) static EXPORTS;

    /// Registers a worker.
    [PASSIVE] fn KsRegisterWorker(kind: i32, out: *mut PVOID) -> NTSTATUS {
        register(kind, core::ptr::null_mut(), out)
    }

    /// Registers a worker with an item of its own and a count.
    [PASSIVE] fn KsRegisterCountedWorker(kind: i32, item: *mut WORK_QUEUE_ITEM, out: *mut PVOID) -> NTSTATUS {
        if item.is_null() {
            return STATUS_INVALID_PARAMETER;
        }
        register(kind, item, out)
    }

    /// Unregisters a worker, when its items are done.
    [PASSIVE] fn KsUnregisterWorker(address: PVOID) {
        let own = worker("KsUnregisterWorker", address);
        let look_again = LOOK_AGAIN;
        while own.outstanding.load(Ordering::Acquire) > 0 {
            KeDelayExecutionThread(0, 0, &raw const look_again);
        }
        WORKERS.with(|workers| workers.retain(|&other| other != address as usize));
        drop(Box::from_raw(address.cast::<Worker>()));
    }

    /// Queues a work item at a worker.
    [DISPATCH] fn KsQueueWorkItem(address: PVOID, item: *mut WORK_QUEUE_ITEM) -> NTSTATUS {
        queue(worker("KsQueueWorkItem", address), item);
        STATUS_SUCCESS
    }

    /// Counts one more, and has the worker's item done if it is the first.
    [DISPATCH] fn KsIncrementCountedWorker(address: PVOID) -> u32 {
        let own = worker("KsIncrementCountedWorker", address);
        let count = own.count.fetch_add(1, Ordering::AcqRel) + 1;
        if count == 1 {
            queue(own, own.item as *mut WORK_QUEUE_ITEM);
        }
        count
    }

    /// Counts one less: the item's routine goes on until there is none.
    [DISPATCH] fn KsDecrementCountedWorker(address: PVOID) -> u32 {
        worker("KsDecrementCountedWorker", address).count.fetch_sub(1, Ordering::AcqRel) - 1
    }
}
