//! System worker threads: routines that are queued from anywhere and run at `PASSIVE_LEVEL`.
#![allow(unsafe_code, reason = "queues of the Windows ABI")]

use alloc::collections::VecDeque;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, Ordering};

use super::{event, thread, wait};
use crate::arch::uninterrupted::Uninterrupted;
use crate::contract::verifier;
use crate::export_functions;
use crate::nt::{KSEMAPHORE, LIST_ENTRY, PVOID, WORK_QUEUE_ITEM, WORKER_THREAD_ROUTINE, object_type};

/// As many as let one work item wait for another.
const WORKERS: usize = 3;
/// Above ordinary threads, as Windows' delayed queue is.
const WORKER_PRIORITY: i32 = 12;

struct Work(VecDeque<(WORKER_THREAD_ROUTINE, PVOID)>);
// SAFETY: the pointers are the queuer's, handed to one worker.
unsafe impl Send for Work {}

static QUEUE: Uninterrupted<Work> = Uninterrupted::new(Work(VecDeque::new()));
static RUNNING: AtomicU32 = AtomicU32::new(0);

struct Available(UnsafeCell<KSEMAPHORE>);
// SAFETY: a dispatcher object; reached through the functions for it.
unsafe impl Sync for Available {}
static AVAILABLE: Available =
    Available(UnsafeCell::new(KSEMAPHORE { Header: event::header(object_type::SEMAPHORE, 0), Limit: i32::MAX }));

/// Starts the worker threads.
pub(super) fn init() {
    for _ in 0..WORKERS {
        thread::create(worker, core::ptr::null_mut(), WORKER_PRIORITY, false).expect("memory for the worker threads");
    }
}

unsafe extern "win64" fn worker(_context: PVOID) {
    loop {
        // SAFETY: a static object.
        unsafe { wait::wait_one("worker", AVAILABLE.0.get().cast()) };
        let Some((routine, parameter)) = QUEUE.with(|work| {
            let next = work.0.pop_front();
            RUNNING.fetch_add(u32::from(next.is_some()), Ordering::Relaxed);
            next
        }) else {
            continue;
        };
        // SAFETY: what was queued.
        crate::ke::driver_call::call("a work item's routine", || unsafe { routine(parameter) });
        RUNNING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Queues a routine. At most at `DISPATCH_LEVEL`.
pub fn queue(routine: WORKER_THREAD_ROUTINE, parameter: PVOID) {
    QUEUE.with(|work| work.0.push_back((routine, parameter)));
    // SAFETY: a static object; the limit is never reached.
    unsafe { event::KeReleaseSemaphore(AVAILABLE.0.get(), 0, 1, 0) };
}

/// Routines queued or running.
#[must_use]
pub fn outstanding() -> usize {
    QUEUE.with(|work| work.0.len()) + RUNNING.load(Ordering::Relaxed) as usize
}

export_functions! {
    /// Work items.
    pub static EXPORTS;

    /// Queues a work item.
    [DISPATCH] fn ExQueueWorkItem(item: *mut WORK_QUEUE_ITEM, _kind: i32) {
        {
            let Some(routine) = (*item).WorkerRoutine else {
                verifier::stop(0xe4, "ExQueueWorkItem", [0, item as u64, 0, 0],
                    format_args!("the work item at {item:p} has no routine: ExInitializeWorkItem was not called"));
            };
            (*item).List = LIST_ENTRY { Flink: core::ptr::null_mut(), Blink: core::ptr::null_mut() };
            queue(routine, (*item).Parameter);
        }
    }
}
