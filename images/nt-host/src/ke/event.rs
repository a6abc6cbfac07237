//! Events, semaphores and mutexes.
#![allow(unsafe_code, reason = "objects of the Windows ABI")]

use super::lock_order::{self, Holder};
use super::{list, resident, thread, wait};
use crate::arch::cpu;
use crate::contract::verifier;
use crate::export_functions;
use crate::nt::{DISPATCHER_HEADER, KEVENT, KMUTANT, KSEMAPHORE, LIST_ENTRY, object_type};

/// Returns a dispatcher header of a kind ([`object_type`]) and state; its wait list is made when a thread waits.
pub const fn header(kind: u8, state: i32) -> DISPATCHER_HEADER {
    DISPATCHER_HEADER {
        Type: kind,
        Signalling: 0,
        Size: 6,
        TimerMiscFlags: 0,
        SignalState: state,
        WaitListHead: LIST_ENTRY { Flink: core::ptr::null_mut(), Blink: core::ptr::null_mut() },
    }
}

fn expect(function: &'static str, object: *mut DISPATCHER_HEADER, kinds: &[u8], what: &str) {
    // SAFETY: an export's argument.
    let kind = unsafe { (*object).Type } & 0x7f;
    if !kinds.contains(&kind) {
        verifier::stop(
            0xc4,
            function,
            [object as u64, u64::from(kind), 0, 0],
            format_args!(
                "the object at {object:p} has type {kind} and is no {what}: it was never initialised, or is gone"
            ),
        );
    }
}

const EVENTS: &[u8] = &[object_type::NOTIFICATION_EVENT, object_type::SYNCHRONIZATION_EVENT];

export_functions! {
    /// Events, semaphores, mutexes.
    pub static EXPORTS;

    /// Initialises an event: notification (0) or synchronization (1).
    [ANY] fn KeInitializeEvent(event: *mut KEVENT, kind: i32, state: u8) {
        resident::expect("KeInitializeEvent", "an event", event);
        {
            event.write(KEVENT { Header: header(u8::from(kind != 0), i32::from(state != 0)) });
            list::init(&raw mut (*event).Header.WaitListHead);
        }
    }

    /// Signals an event and gives its old state.
    [DISPATCH] fn KeSetEvent(event: *mut KEVENT, _increment: i32, wait: u8) -> i32 {
        expect("KeSetEvent", event.cast(), EVENTS, "event");
        if wait != 0 && cpu::irql() > 1 {
            verifier::stop(0x0a, "KeSetEvent", [event as u64, u64::from(cpu::irql()), 0, 0],
                format_args!("Wait is TRUE at DISPATCH_LEVEL: the wait that follows is not possible there"));
        }
        let old = (*event).Header.SignalState;
        wait::signal(event.cast(), 1);
        old
    }

    /// Signals an event and gives its old state.
    [DISPATCH] fn KePulseEvent(event: *mut KEVENT, _increment: i32, _wait: u8) -> i32 {
        expect("KePulseEvent", event.cast(), EVENTS, "event");
        let old = (*event).Header.SignalState;
        { wait::signal(event.cast(), 1); (*event).Header.SignalState = 0; }
        old
    }

    /// Resets an event and gives its old state.
    [DISPATCH] fn KeResetEvent(event: *mut KEVENT) -> i32 {
        expect("KeResetEvent", event.cast(), EVENTS, "event");
        core::mem::replace(&mut (*event).Header.SignalState, 0)
    }

    /// Resets an event.
    [DISPATCH] fn KeClearEvent(event: *mut KEVENT) {
        expect("KeClearEvent", event.cast(), EVENTS, "event");
        (*event).Header.SignalState = 0
    }

    /// Returns an event's state.
    [DISPATCH] fn KeReadStateEvent(event: *mut KEVENT) -> i32 { (*event).Header.SignalState }

    /// Initialises a semaphore.
    [ANY] fn KeInitializeSemaphore(semaphore: *mut KSEMAPHORE, count: i32, limit: i32) {
        resident::expect("KeInitializeSemaphore", "a semaphore", semaphore);
        {
            semaphore.write(KSEMAPHORE { Header: header(object_type::SEMAPHORE, count), Limit: limit });
            list::init(&raw mut (*semaphore).Header.WaitListHead);
        }
    }

    /// Adds to a semaphore and gives its old count.
    [DISPATCH] fn KeReleaseSemaphore(semaphore: *mut KSEMAPHORE, _increment: i32, adjustment: i32, _wait: u8) -> i32 {
        expect("KeReleaseSemaphore", semaphore.cast(), &[object_type::SEMAPHORE], "semaphore");
        {
            let old = (*semaphore).Header.SignalState;
            match old.checked_add(adjustment) {
                Some(new) if adjustment > 0 && new <= (*semaphore).Limit => wait::signal(semaphore.cast(), new),
                _ => verifier::stop(0xc4, "KeReleaseSemaphore", [semaphore as u64, old as u64, adjustment as u64, 0],
                    format_args!("the semaphore counts {old} and has the limit {}; {adjustment} more raises STATUS_SEMAPHORE_LIMIT_EXCEEDED", (*semaphore).Limit)),
            }
            old
        }
    }

    /// Returns a semaphore's count.
    [DISPATCH] fn KeReadStateSemaphore(semaphore: *mut KSEMAPHORE) -> i32 { (*semaphore).Header.SignalState }

    /// Initialises a mutex.
    [ANY] fn KeInitializeMutex(mutex: *mut KMUTANT, _level: u32) {
        resident::expect("KeInitializeMutex", "a mutex", mutex);
        lock_order::forget(&(mutex as u64..mutex as u64 + 1));
        {
            mutex.write(KMUTANT {
                Header: header(object_type::MUTANT, 1),
                MutantListEntry: LIST_ENTRY { Flink: core::ptr::null_mut(), Blink: core::ptr::null_mut() },
                OwnerThread: core::ptr::null_mut(),
                Abandoned: 0,
                ApcDisable: 1,
            });
            list::init(&raw mut (*mutex).Header.WaitListHead);
        }
    }

    /// Gives a mutex back and gives its old state.
    [DISPATCH] fn KeReleaseMutex(mutex: *mut KMUTANT, _wait: u8) -> i32 {
        expect("KeReleaseMutex", mutex.cast(), &[object_type::MUTANT], "mutex");
        {
            if (*mutex).OwnerThread != thread::current().cast() {
                verifier::stop(0xc4, "KeReleaseMutex", [mutex as u64, (*mutex).OwnerThread as u64, 0, 0],
                    format_args!("the mutex at {mutex:p} is released by a thread that does not own it (STATUS_MUTANT_NOT_OWNED)"));
            }
            let old = (*mutex).Header.SignalState;
            if old + 1 == 1 {
                (*mutex).OwnerThread = core::ptr::null_mut();
                lock_order::released(Holder::this_thread(), mutex as u64);
            }
            wait::signal(mutex.cast(), old + 1);
            old
        }
    }

    /// Returns a mutex's state.
    [DISPATCH] fn KeReadStateMutex(mutex: *mut KMUTANT) -> i32 { (*mutex).Header.SignalState }
}
