//! Timer objects: due at an interrupt time, expired by the clock, waking threads and queueing DPCs.
#![allow(unsafe_code, reason = "timers of the Windows ABI")]

use core::cell::UnsafeCell;

use super::{dpc, list, lock_order, resident, time, wait};
use crate::arch::cpu;
use crate::contract::verifier;
use crate::nt::{DISPATCHER_HEADER, KDPC, KTIMER, LIST_ENTRY, PVOID, object_type};
use crate::{containing_record, export_functions};

const INSERTED: u8 = 1 << 6;
/// 100 ns units in a millisecond, in which periods are given.
const UNITS_PER_MILLISECOND: u64 = 10_000;

/// Timers that are set.
pub(super) struct Queue(pub(super) UnsafeCell<LIST_ENTRY>);
// SAFETY: reached with interrupts disabled only.
unsafe impl Sync for Queue {}

/// Ascending in due time.
pub(super) static QUEUE: Queue =
    Queue(UnsafeCell::new(LIST_ENTRY { Flink: core::ptr::null_mut(), Blink: core::ptr::null_mut() }));

/// Prepares the queue of timers.
pub(super) fn init() {
    // SAFETY: before anything is queued.
    unsafe { list::init(QUEUE.0.get()) };
}

/// Returns when the next timer is due.
pub(super) fn next_due() -> Option<u64> {
    cpu::exclusively(|| {
        let head = QUEUE.0.get();
        // SAFETY: a well-formed list of timers, or zeros before it is made; interrupts are off.
        unsafe {
            if list::is_empty(head) {
                None
            } else {
                Some((*containing_record!((*head).Flink, KTIMER, TimerListEntry)).DueTime)
            }
        }
    })
}

/// Initialises a timer for the host's own use.
///
/// # Safety
/// `timer` is valid for writing.
pub unsafe fn initialize(timer: *mut KTIMER, kind: u8) {
    // SAFETY: the caller's promise.
    unsafe {
        timer.write(KTIMER {
            Header: DISPATCHER_HEADER {
                Type: kind,
                Signalling: 0,
                Size: (size_of::<KTIMER>() / 4) as u8,
                TimerMiscFlags: 0,
                SignalState: 0,
                WaitListHead: LIST_ENTRY { Flink: core::ptr::null_mut(), Blink: core::ptr::null_mut() },
            },
            DueTime: 0,
            TimerListEntry: LIST_ENTRY { Flink: core::ptr::null_mut(), Blink: core::ptr::null_mut() },
            Dpc: core::ptr::null_mut(),
            Processor: 0,
            Period: 0,
        });
        list::init(&raw mut (*timer).Header.WaitListHead);
    }
}

/// Sets a timer. Returns whether it was set already.
///
/// # Safety
/// `timer` is initialised, `dpc` null or initialised.
pub unsafe fn set(timer: *mut KTIMER, due: i64, period: u32, dpc: *mut KDPC) -> bool {
    cpu::exclusively(|| {
        // SAFETY: the caller's promise; interrupts are off.
        unsafe {
            let was = cancel(timer);
            let now = time::interrupt_time();
            (*timer).DueTime = if due < 0 {
                now.saturating_add(due.unsigned_abs())
            } else {
                now.saturating_add((due as u64).saturating_sub(time::system_time()))
            };
            (*timer).Period = period;
            (*timer).Dpc = dpc;
            (*timer).Header.SignalState = 0;
            insert(timer);
            time::rearm();
            was
        }
    })
}

unsafe fn insert(timer: *mut KTIMER) {
    // SAFETY: the callers hold off interrupts and give an initialised timer that is not queued.
    unsafe {
        let head = QUEUE.0.get();
        let mut at = (*head).Flink;
        while at != head && (*containing_record!(at, KTIMER, TimerListEntry)).DueTime <= (*timer).DueTime {
            at = (*at).Flink;
        }
        list::insert_before(at, &raw mut (*timer).TimerListEntry);
        (*timer).Header.TimerMiscFlags |= INSERTED;
    }
}

/// Takes a timer out. Returns whether it was set.
///
/// # Safety
/// `timer` is initialised.
pub unsafe fn cancel(timer: *mut KTIMER) -> bool {
    cpu::exclusively(|| {
        // SAFETY: the caller's promise; interrupts are off.
        unsafe {
            if (*timer).Header.TimerMiscFlags & INSERTED == 0 {
                return false;
            }
            list::remove(&raw mut (*timer).TimerListEntry);
            (*timer).Header.TimerMiscFlags &= !INSERTED;
            true
        }
    })
}

/// Returns a timer that is set and is in a range, or whose DPC or routine does.
#[must_use]
pub fn active_in(range: &core::ops::Range<u64>) -> Option<u64> {
    cpu::exclusively(|| {
        let head = QUEUE.0.get();
        // SAFETY: a well-formed list of timers; interrupts are off.
        unsafe {
            let mut at = (*head).Flink;
            while at != head {
                let timer = containing_record!(at, KTIMER, TimerListEntry);
                let dpc = (*timer).Dpc;
                let routine = dpc.as_ref().and_then(|dpc| dpc.DeferredRoutine).map_or(0, |r| r as usize as u64);
                if [timer as u64, dpc as u64, routine].iter().any(|address| range.contains(address)) {
                    return Some(timer as u64);
                }
                at = (*at).Flink;
            }
        }
        None
    })
}

/// Expires what is due; called by the dispatch interrupt.
pub(super) fn expire() {
    loop {
        let expired = cpu::exclusively(|| {
            let head = QUEUE.0.get();
            // SAFETY: a well-formed list of timers; interrupts are off.
            unsafe {
                if list::is_empty(head) {
                    return false;
                }
                let timer = containing_record!((*head).Flink, KTIMER, TimerListEntry);
                let now = time::interrupt_time();
                if (*timer).DueTime > now {
                    return false;
                }
                cancel(timer);
                if (*timer).Period != 0 {
                    // In step with the first due time; what was missed is not made up for.
                    let period = u64::from((*timer).Period) * UNITS_PER_MILLISECOND;
                    let missed = (now - (*timer).DueTime) / period;
                    (*timer).DueTime += (missed + 1) * period;
                    insert(timer);
                }
                let dpc = (*timer).Dpc;
                if !dpc.is_null() {
                    let time = time::system_time();
                    dpc::queue(dpc, (time & 0xffff_ffff) as PVOID, (time >> 32) as PVOID);
                }
                wait::signal(&raw mut (*timer).Header, 1);
                true
            }
        });
        if !expired {
            return;
        }
    }
}

/// Stops if memory that is given back holds a timer that is set or a DPC that is queued.
pub fn check_freed(function: &str, range: core::ops::Range<u64>) {
    const TIMER_OR_DPC_INVALID: u32 = 0xc7;
    let inside = |address: u64| range.contains(&address);
    lock_order::forget(&range);
    if let Some(timer) = active_in(&range).filter(|&timer| inside(timer)) {
        verifier::stop(
            TIMER_OR_DPC_INVALID,
            function,
            [0, timer, range.start, range.end - range.start],
            format_args!(
                "the memory {:#x}..{:#x} is freed and holds the timer {timer:#x}, which is still set: call KeCancelTimer first",
                range.start, range.end
            ),
        );
    }
    if let Some(dpc) = dpc::queued_in(&range).filter(|&dpc| inside(dpc)) {
        verifier::stop(
            TIMER_OR_DPC_INVALID,
            function,
            [1, dpc, range.start, range.end - range.start],
            format_args!(
                "the memory {:#x}..{:#x} is freed and holds the DPC {dpc:#x}, which is still queued: call KeRemoveQueueDpc or KeFlushQueuedDpcs first",
                range.start, range.end
            ),
        );
    }
}

fn check(function: &'static str, timer: *mut KTIMER) {
    // SAFETY: an export's argument.
    let kind = unsafe { (*timer).Header.Type };
    if kind != object_type::NOTIFICATION_TIMER && kind != object_type::SYNCHRONIZATION_TIMER {
        verifier::stop(
            0xc7,
            function,
            [0, timer as u64, 0, 0],
            format_args!("the timer at {timer:p} was never initialised with KeInitializeTimer or KeInitializeTimerEx"),
        );
    }
}

export_functions! {
    /// Timers.
    pub static EXPORTS;

    /// Initialises a notification timer.
    [DISPATCH] fn KeInitializeTimer(timer: *mut KTIMER) {
        resident::expect("KeInitializeTimer", "a timer", timer);
        initialize(timer, object_type::NOTIFICATION_TIMER);
    }

    /// Initialises a timer: notification (0) or synchronization (1).
    [DISPATCH] fn KeInitializeTimerEx(timer: *mut KTIMER, kind: i32) {
        resident::expect("KeInitializeTimerEx", "a timer", timer);
        initialize(timer, object_type::NOTIFICATION_TIMER + u8::from(kind != 0))
    }

    /// Sets a timer once.
    [DISPATCH] fn KeSetTimer(timer: *mut KTIMER, due: i64, dpc: *mut KDPC) -> u8 {
        check("KeSetTimer", timer);
        u8::from(set(timer, due, 0, dpc))
    }

    /// Sets a timer, once or with a period in milliseconds.
    [DISPATCH] fn KeSetTimerEx(timer: *mut KTIMER, due: i64, period: i32, dpc: *mut KDPC) -> u8 {
        check("KeSetTimerEx", timer);
        if period < 0 {
            verifier::broken(None, 0xc4, "KeSetTimerEx", [0, timer as u64, period as u64, 0],
                format_args!("the period {period} is negative; it is a number of milliseconds"));
        }
        u8::from(set(timer, due, period.max(0).cast_unsigned(), dpc))
    }

    /// Sets a timer with a tolerance, which this system does not need.
    [DISPATCH] fn KeSetCoalescableTimer(timer: *mut KTIMER, due: i64, period: u32, _tolerance: u32, dpc: *mut KDPC) -> u8 {
        check("KeSetCoalescableTimer", timer);
        u8::from(set(timer, due, period, dpc))
    }

    /// Takes a timer out of the queue. A DPC that it has queued already stays.
    [DISPATCH] fn KeCancelTimer(timer: *mut KTIMER) -> u8 {
        check("KeCancelTimer", timer);
        u8::from(cancel(timer))
    }

    /// Returns whether the timer has expired.
    [DISPATCH] fn KeReadStateTimer(timer: *mut KTIMER) -> u8 { u8::from((*timer).Header.SignalState > 0) }
}
