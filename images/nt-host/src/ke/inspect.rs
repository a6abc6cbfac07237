//! The core's books, for a look from outside: threads, deferred procedure calls, timers, interrupts.
#![allow(unsafe_code, reason = "reads structures of the Windows ABI")]

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use guest_protocol::{ConnectedInterrupt, Deferred, Thread as Found};

use super::thread::{self, State, Thread};
use super::{dpc, interrupt, time, timer};
use crate::arch::cpu;
use crate::containing_record;
use crate::nt::{DISPATCHER_HEADER, KDPC, KTIMER, LIST_ENTRY, PVOID, object_type};

/// Most entries of a list: one that does not end is the driver's doing, and is cut.
const ENTRIES_MAX: usize = 4096;

/// Calls `body` with each entry of a list.
///
/// # Safety
/// A list that nothing changes meanwhile.
unsafe fn each(head: *mut LIST_ENTRY, mut body: impl FnMut(*mut LIST_ENTRY)) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut at = (*head).Flink;
        let mut left = ENTRIES_MAX;
        while !at.is_null() && at != head && left > 0 {
            body(at);
            at = (*at).Flink;
            left -= 1;
        }
    }
}

/// Names what a thread waits for.
fn object_name(object: PVOID) -> String {
    // SAFETY: a thread waits for a dispatcher object, which is live as long as it does.
    let kind = unsafe { (*object.cast::<DISPATCHER_HEADER>()).Type };
    let name = match kind & 0x7f {
        object_type::NOTIFICATION_EVENT | object_type::SYNCHRONIZATION_EVENT => "event",
        object_type::MUTANT => "mutex",
        object_type::SEMAPHORE => "semaphore",
        object_type::THREAD => "thread",
        object_type::NOTIFICATION_TIMER | object_type::SYNCHRONIZATION_TIMER => "timer",
        _ => "object",
    };
    format!("{name} {object:p}")
}

fn state_of(thread: &Thread) -> String {
    match thread.state {
        State::Ready => "ready".to_string(),
        State::Running => "running".to_string(),
        State::Terminated => "terminated".to_string(),
        State::Waiting if thread.wait_count == 0 || thread.wait_blocks.is_null() => "waits for a time".to_string(),
        State::Waiting => {
            // SAFETY: the blocks of a thread that waits, which does not run meanwhile.
            let blocks = unsafe { core::slice::from_raw_parts(thread.wait_blocks, thread.wait_count) };
            let names: Vec<String> = blocks.iter().map(|block| object_name(block.Object)).collect();
            format!("waits for {}", names.join(", "))
        }
    }
}

/// Returns all threads.
#[must_use]
pub fn threads() -> Vec<Found> {
    cpu::exclusively(|| {
        let of = |thread: *mut Thread| {
            // SAFETY: a thread that exists; nothing runs meanwhile.
            let found = unsafe { &*thread };
            Found {
                object: thread as u64,
                start: found.start.map_or(0, |start| start as usize as u64),
                by_driver: found.by_driver,
                priority: found.priority,
                state: state_of(found),
            }
        };
        thread::all().into_iter().map(of).collect()
    })
}

/// Returns what is queued: DPCs and timers.
#[must_use]
pub fn deferred() -> Vec<Deferred> {
    cpu::exclusively(|| {
        let mut found = Vec::new();
        for (processor, queue) in dpc::QUEUES.iter().enumerate() {
            // SAFETY: a well-formed list of DPCs, reached exclusively.
            unsafe {
                each(queue.0.get(), |entry| {
                    let dpc = containing_record!(entry, KDPC, DpcListEntry);
                    found.push(Deferred {
                        object: dpc as u64,
                        routine: (*dpc).DeferredRoutine.map_or(0, |routine| routine as usize as u64),
                        processor: u32::try_from(processor).ok(),
                        due: None,
                        period_ms: 0,
                    });
                });
            }
        }
        // SAFETY: a well-formed list of timers, reached exclusively; a timer's DPC is one that a driver has initialised.
        unsafe {
            each(timer::QUEUE.0.get(), |entry| {
                let timer = containing_record!(entry, KTIMER, TimerListEntry);
                let dpc = (*timer).Dpc;
                let routine = if dpc.is_null() { None } else { (*dpc).DeferredRoutine };
                found.push(Deferred {
                    object: timer as u64,
                    routine: routine.map_or(0, |routine| routine as usize as u64),
                    processor: None,
                    due: Some((*timer).DueTime.wrapping_sub(time::interrupt_time()).cast_signed()),
                    period_ms: (*timer).Period,
                });
            });
        }
        found
    })
}

/// Returns the service routines that are connected.
#[must_use]
pub fn interrupts() -> Vec<ConnectedInterrupt> {
    let of = |object: *mut crate::nt::KINTERRUPT| {
        // SAFETY: an object that is connected.
        let found = unsafe { &*object };
        let message = found.MessageServiceRoutine.map(|routine| routine as usize as u64);
        let line = found.ServiceRoutine.map(|routine| routine as usize as u64);
        ConnectedInterrupt {
            object: object as u64,
            routine: message.or(line).unwrap_or(0),
            vector: found.Vector,
            irql: found.Irql,
            message: message.is_some(),
        }
    };
    cpu::exclusively(|| interrupt::objects().into_iter().map(of).collect())
}
