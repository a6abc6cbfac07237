//! Deferred procedure calls, and the dispatch interrupt that runs them on the way down from `DISPATCH_LEVEL`.
#![allow(unsafe_code, reason = "queues of the Windows ABI")]

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{list, thread, timer, wait};
use crate::arch::{apic, cpu, trap};
use crate::nt::irql::DISPATCH_LEVEL;
use crate::nt::{KDEFERRED_ROUTINE, KDPC, LIST_ENTRY, PVOID, object_type};
use crate::{containing_record, exports, verifier};

const HIGH_IMPORTANCE: u8 = 2;

struct Queue(UnsafeCell<LIST_ENTRY>);
// SAFETY: reached with interrupts disabled only.
unsafe impl Sync for Queue {}

static QUEUE: Queue = Queue(UnsafeCell::new(LIST_ENTRY { Flink: core::ptr::null_mut(), Blink: core::ptr::null_mut() }));
static RUN: AtomicU64 = AtomicU64::new(0);
static ACTIVE: AtomicBool = AtomicBool::new(false);
static WAKE_HOST: AtomicBool = AtomicBool::new(false);

/// Makes the queue and takes the dispatch interrupt.
pub(super) fn init() {
    // SAFETY: before anything is queued.
    unsafe { list::init(QUEUE.0.get()) };
    trap::set_handler(trap::DISPATCH_VECTOR, |_| dispatch());
}

/// How many have run since boot.
#[must_use]
pub fn count() -> u64 {
    RUN.load(Ordering::Relaxed)
}

/// Whether a deferred procedure call is running.
#[must_use]
pub fn active() -> bool {
    ACTIVE.load(Ordering::Relaxed)
}

/// Asks that the host's main thread be woken; at any IRQL.
pub(super) fn request_host_wakeup() {
    WAKE_HOST.store(true, Ordering::Relaxed);
    apic::request_dispatch();
}

/// Queues a call. Gives whether it was not queued already.
///
/// # Safety
/// `dpc` is an initialised DPC.
pub unsafe fn queue(dpc: *mut KDPC, argument1: PVOID, argument2: PVOID) -> bool {
    cpu::without_interrupts(|| {
        // SAFETY: the caller's promise; interrupts are off.
        unsafe {
            if !(*dpc).DpcData.is_null() {
                return false;
            }
            (*dpc).DpcData = QUEUE.0.get().cast();
            (*dpc).SystemArgument1 = argument1;
            (*dpc).SystemArgument2 = argument2;
            let head = QUEUE.0.get();
            let entry = &raw mut (*dpc).DpcListEntry;
            list::insert_before(if (*dpc).Importance == HIGH_IMPORTANCE { (*head).Flink } else { head }, entry);
        }
        apic::request_dispatch();
        true
    })
}

/// The queued calls whose structure or routine lies in a range.
#[must_use]
pub fn queued_in(range: &core::ops::Range<u64>) -> Option<u64> {
    cpu::without_interrupts(|| {
        let head = QUEUE.0.get();
        // SAFETY: a well-formed list; interrupts are off.
        unsafe {
            let mut at = (*head).Flink;
            while at != head {
                let dpc = containing_record!(at, KDPC, DpcListEntry);
                let routine = (*dpc).DeferredRoutine.map_or(0, |routine| routine as usize as u64);
                if range.contains(&(dpc as u64)) || range.contains(&routine) {
                    return Some(dpc as u64);
                }
                at = (*at).Flink;
            }
        }
        None
    })
}

/// The dispatch interrupt: timers, deferred procedure calls, then perhaps another thread.
fn dispatch() {
    loop {
        x86_64::instructions::interrupts::enable();
        timer::expire();
        run_queue();
        if WAKE_HOST.swap(false, Ordering::Relaxed) {
            wait::signal_host();
        }
        x86_64::instructions::interrupts::disable();
        // SAFETY: interrupts are off.
        if unsafe { list::is_empty(QUEUE.0.get()) } && !WAKE_HOST.load(Ordering::Relaxed) {
            break;
        }
    }
    thread::reschedule();
}

fn run_queue() {
    loop {
        let next = cpu::without_interrupts(|| {
            // SAFETY: the queue's entries are initialised DPCs; interrupts are off.
            unsafe {
                let entry = list::pop(QUEUE.0.get())?;
                let dpc = containing_record!(entry, KDPC, DpcListEntry);
                (*dpc).DpcData = core::ptr::null_mut();
                Some((
                    dpc,
                    (*dpc).DeferredRoutine,
                    (*dpc).DeferredContext,
                    (*dpc).SystemArgument1,
                    (*dpc).SystemArgument2,
                ))
            }
        });
        let Some((dpc, routine, context, argument1, argument2)) = next else { return };
        let Some(routine) = routine else {
            verifier::stop(
                0xc7,
                "KeInsertQueueDpc",
                [2, dpc as u64, 0, 0],
                format_args!("the DPC at {dpc:p} is queued without a routine: KeInitializeDpc was not called"),
            );
        };
        ACTIVE.store(true, Ordering::Relaxed);
        RUN.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the routine that the driver queued, with its arguments.
        verifier::call("a deferred procedure call", || unsafe { routine(dpc, context, argument1, argument2) });
        ACTIVE.store(false, Ordering::Relaxed);
    }
}

exports! {
    /// Deferred procedure calls.
    pub static EXPORTS;

    /// Initialises a DPC.
    [ANY] fn KeInitializeDpc(dpc: *mut KDPC, routine: Option<KDEFERRED_ROUTINE>, context: PVOID) {
        {
            dpc.write(KDPC {
                Type: object_type::DPC,
                Importance: 1,
                Number: 0,
                DpcListEntry: LIST_ENTRY { Flink: core::ptr::null_mut(), Blink: core::ptr::null_mut() },
                DeferredRoutine: routine,
                DeferredContext: context,
                SystemArgument1: core::ptr::null_mut(),
                SystemArgument2: core::ptr::null_mut(),
                DpcData: core::ptr::null_mut(),
            });
        }
    }

    /// Initialises a threaded DPC: it may run at `PASSIVE_LEVEL`, and must work at `DISPATCH_LEVEL`, where this
    /// system runs it.
    [ANY] fn KeInitializeThreadedDpc(dpc: *mut KDPC, routine: Option<KDEFERRED_ROUTINE>, context: PVOID) {
        KeInitializeDpc(dpc, routine, context)
    }

    /// Queues a DPC.
    [ANY] fn KeInsertQueueDpc(dpc: *mut KDPC, argument1: PVOID, argument2: PVOID) -> u8 {
        if (*dpc).Type != object_type::DPC {
            verifier::stop(0xc7, "KeInsertQueueDpc", [2, dpc as u64, 0, 0],
                format_args!("the DPC at {dpc:p} was never initialised with KeInitializeDpc"));
        }
        u8::from(queue(dpc, argument1, argument2))
    }

    /// Takes a DPC out of the queue.
    [ANY] fn KeRemoveQueueDpc(dpc: *mut KDPC) -> u8 {
        cpu::without_interrupts(|| {
            if (*dpc).DpcData.is_null() {
                return 0;
            }
            list::remove(&raw mut (*dpc).DpcListEntry);
            (*dpc).DpcData = core::ptr::null_mut();
            1
        })
    }

    /// Waits until all queued DPCs have run.
    [PASSIVE] fn KeFlushQueuedDpcs() {
        // They run as soon as the level allows: that is, now.
        let old = super::level::raise(DISPATCH_LEVEL);
        apic::request_dispatch();
        cpu::set_irql(old);
    }

    /// How urgent a DPC is.
    [ANY] fn KeSetImportanceDpc(dpc: *mut KDPC, importance: i32) { (*dpc).Importance = importance as u8 }

    /// Which processor a DPC runs on: there is one.
    [ANY] fn KeSetTargetProcessorDpc(_dpc: *mut KDPC, _number: i8) {}
}
