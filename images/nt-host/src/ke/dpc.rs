//! Deferred procedure calls, and the dispatch interrupt that runs them on the way down from `DISPATCH_LEVEL`.
#![allow(unsafe_code, reason = "queues of the Windows ABI")]

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use guest_protocol::MarkKind;

use super::{list, resident, stack, thread, time, timer, wait};
use crate::arch::cpu::{self, PROCESSORS_MAX};
use crate::arch::{apic, marks, smp, trap};
use crate::contract::{delay, verifier};
use crate::nt::irql::DISPATCH_LEVEL;
use crate::nt::{KDEFERRED_ROUTINE, KDPC, LIST_ENTRY, PVOID, object_type};
use crate::{containing_record, export_functions};

const HIGH_IMPORTANCE: u8 = 2;
/// Added to a processor's number in a DPC that was given one (`MAXIMUM_PROCESSORS`).
const TARGETED: u16 = 0x500;

/// Calls that are queued on a processor.
pub(super) struct Queue(pub(super) UnsafeCell<LIST_ENTRY>);
// SAFETY: reached exclusively.
unsafe impl Sync for Queue {}

/// One for each processor: a DPC runs where it was queued, unless it was given a processor.
pub(super) static QUEUES: [Queue; PROCESSORS_MAX] =
    [const { Queue(UnsafeCell::new(LIST_ENTRY { Flink: core::ptr::null_mut(), Blink: core::ptr::null_mut() })) };
        PROCESSORS_MAX];
static RUN: AtomicU64 = AtomicU64::new(0);
static ACTIVE: [AtomicBool; PROCESSORS_MAX] = [const { AtomicBool::new(false) }; PROCESSORS_MAX];
/// The processor is in its dispatch interrupt, which looks at its queue once more before it ends.
static DISPATCHING: [AtomicBool; PROCESSORS_MAX] = [const { AtomicBool::new(false) }; PROCESSORS_MAX];
static WAKE_HOST: AtomicBool = AtomicBool::new(false);

/// Makes the queue and takes the dispatch interrupt.
pub(super) fn init() {
    for queue in &QUEUES {
        // SAFETY: before anything is queued.
        unsafe { list::init(queue.0.get()) };
    }
    trap::set_handler(trap::DISPATCH_VECTOR, |_| dispatch());
}

/// Returns how many have run since boot.
#[must_use]
pub fn count() -> u64 {
    RUN.load(Ordering::Relaxed)
}

/// Returns whether a deferred procedure call is running on this processor.
#[must_use]
pub fn active() -> bool {
    ACTIVE[cpu::number()].load(Ordering::Relaxed)
}

/// Asks that the host's main thread be woken; at any IRQL.
pub(super) fn request_host_wakeup() {
    WAKE_HOST.store(true, Ordering::Relaxed);
    request_dispatch_of(0);
}

/// Requests the dispatch interrupt of a processor, unless it is this one and in it already.
pub(super) fn request_dispatch_of(processor: usize) {
    cpu::exclusively(|| {
        if processor != cpu::number() || !DISPATCHING[processor].load(Ordering::Relaxed) {
            smp::request_dispatch_of(processor);
        }
    });
}

/// Queues a call. Returns whether it was not queued already.
///
/// # Safety
/// `dpc` is an initialised DPC.
pub unsafe fn queue(dpc: *mut KDPC, argument1: PVOID, argument2: PVOID) -> bool {
    cpu::exclusively(|| {
        // SAFETY: the caller's promise; interrupts are off.
        unsafe {
            if !(*dpc).DpcData.is_null() {
                return false;
            }
            let target = match (*dpc).Number.checked_sub(TARGETED) {
                Some(number) if usize::from(number) < smp::online() => number.into(),
                _ => cpu::number(),
            };
            let head = QUEUES[target].0.get();
            (*dpc).DpcData = head.cast();
            (*dpc).SystemArgument1 = argument1;
            (*dpc).SystemArgument2 = argument2;
            let entry = &raw mut (*dpc).DpcListEntry;
            list::insert_before(if (*dpc).Importance == HIGH_IMPORTANCE { (*head).Flink } else { head }, entry);
            request_dispatch_of(target);
        }
        true
    })
}

/// Returns the queued calls whose structure or routine is in a range.
#[must_use]
pub fn queued_in(range: &core::ops::Range<u64>) -> Option<u64> {
    cpu::exclusively(|| {
        for queue in &QUEUES {
            let head = queue.0.get();
            // SAFETY: a well-formed list, reached exclusively.
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
        }
        None
    })
}

/// Runs deferred procedure calls: the dispatch interrupt. On the first processor, timers before and perhaps another
/// thread after them.
fn dispatch() {
    let processor = cpu::number();
    DISPATCHING[processor].store(true, Ordering::Relaxed);
    loop {
        x86_64::instructions::interrupts::enable();
        if processor == 0 {
            timer::expire();
            time::rearm();
        }
        run_queue(processor);
        if processor == 0 && WAKE_HOST.swap(false, Ordering::Relaxed) {
            wait::signal_host();
        }
        x86_64::instructions::interrupts::disable();
        // SAFETY: reached exclusively.
        let empty = cpu::exclusively(|| unsafe { list::is_empty(QUEUES[processor].0.get()) });
        if empty && (processor != 0 || !WAKE_HOST.load(Ordering::Relaxed)) {
            // Interrupts are off: what is queued from now on requests another one.
            DISPATCHING[processor].store(false, Ordering::Relaxed);
            break;
        }
    }
    if processor == 0 {
        cpu::exclusively(thread::reschedule);
    }
}

fn run_queue(processor: usize) {
    loop {
        let next = cpu::exclusively(|| {
            // SAFETY: the queue's entries are initialised DPCs; interrupts are off.
            unsafe {
                let entry = list::pop(QUEUES[processor].0.get())?;
                ACTIVE[processor].store(true, Ordering::Relaxed);
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
        delay::point();
        crate::arch::pageable::page_out();
        RUN.fetch_add(1, Ordering::Relaxed);
        marks::mark(MarkKind::DpcBegin, 0, routine as usize as u64);
        // SAFETY: the routine that the driver queued, with its arguments.
        stack::on_processors_stack(|| {
            crate::ke::driver_call::call("a deferred procedure call", || unsafe {
                routine(dpc, context, argument1, argument2)
            });
        });
        marks::mark(MarkKind::DpcEnd, 0, routine as usize as u64);
        ACTIVE[processor].store(false, Ordering::Relaxed);
    }
}

/// Returns whether a processor has run all that was queued for it.
fn quiet(processor: usize) -> bool {
    cpu::exclusively(|| {
        // SAFETY: reached exclusively.
        unsafe { list::is_empty(QUEUES[processor].0.get()) && !ACTIVE[processor].load(Ordering::Relaxed) }
    })
}

export_functions! {
    /// Deferred procedure calls.
    pub static EXPORTS;

    /// Initialises a DPC.
    [ANY] fn KeInitializeDpc(dpc: *mut KDPC, routine: Option<KDEFERRED_ROUTINE>, context: PVOID) {
        resident::expect("KeInitializeDpc", "a DPC", dpc);
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
        cpu::exclusively(|| {
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
        // Here they run as soon as the level allows: that is, now.
        let old = super::level::raise(DISPATCH_LEVEL);
        apic::request_dispatch();
        super::level::set(DISPATCH_LEVEL, old);
        for other in 0..smp::online() {
            while !quiet(other) { smp::while_spinning() }
        }
    }

    /// Returns how urgent a DPC is.
    [ANY] fn KeSetImportanceDpc(dpc: *mut KDPC, importance: i32) { (*dpc).Importance = importance as u8 }

    /// Returns which processor a DPC runs on.
    [ANY] fn KeSetTargetProcessorDpc(dpc: *mut KDPC, number: i8) {
        if number < 0 || number as usize >= smp::online() {
            verifier::stop(0xc7, "KeSetTargetProcessorDpc", [5, dpc as u64, number as u64, 0],
                format_args!("there is no processor {number}; there are {}", smp::online()));
        }
        (*dpc).Number = TARGETED + number as u16;
    }
}
