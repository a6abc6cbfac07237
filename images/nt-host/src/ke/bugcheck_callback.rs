//! Routines of drivers that a bug check calls, and the debugger that is not there.
#![allow(unsafe_code, reason = "records of the Windows ABI")]

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::arch::uninterrupted::Uninterrupted;
use crate::export_functions;
use crate::nt::status::*;
use crate::nt::{LIST_ENTRY, NTSTATUS, PVOID};

/// `KBUGCHECK_CALLBACK_RECORD`.
#[repr(C)]
pub struct CallbackRecord {
    entry: LIST_ENTRY,
    routine: Option<unsafe extern "win64" fn(buffer: PVOID, length: u32)>,
    buffer: PVOID,
    length: u32,
    component: *const u8,
    checksum: usize,
    state: u8,
}

/// `KBUGCHECK_REASON_CALLBACK_RECORD`.
#[repr(C)]
pub struct ReasonRecord {
    entry: LIST_ENTRY,
    routine: PVOID,
    component: *const u8,
    checksum: usize,
    reason: i32,
    state: u8,
}

const _: () = assert!(size_of::<CallbackRecord>() == 64 && size_of::<ReasonRecord>() == 48);

/// `BufferEmpty`: what `KeInitializeCallbackRecord` sets.
const EMPTY: u8 = 0;
/// `BufferInserted`.
const INSERTED: u8 = 1;
/// `BufferStarted`.
const STARTED: u8 = 2;
/// `BufferFinished`.
const FINISHED: u8 = 3;

/// A driver's registration.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Registered {
    /// A record for bug checks.
    BugCheck(u64),
    /// A record for a reason: this system writes no dump, so that none is called.
    Reason(u64),
    /// A routine for non-maskable interrupts, of which none come.
    NonMaskable(u64),
}

static REGISTERED: Uninterrupted<Vec<Registered>> = Uninterrupted::new(Vec::new());

/// Returns what drivers have registered, a line each, for the leak check.
#[must_use]
pub fn outstanding() -> Vec<String> {
    REGISTERED.with(|all| {
        let line = |own: &Registered| match own {
            Registered::BugCheck(at) => alloc::format!("the bug-check callback record at {at:#x}"),
            Registered::Reason(at) => alloc::format!("the bug-check reason callback record at {at:#x}"),
            Registered::NonMaskable(at) => alloc::format!("the callback {at:#x} for non-maskable interrupts"),
        };
        all.iter().map(line).collect()
    })
}

fn register(state: &mut u8, own: Registered) -> u8 {
    if *state != EMPTY {
        return 0;
    }
    *state = INSERTED;
    REGISTERED.with(|all| all.push(own));
    1
}

fn deregister(state: &mut u8, own: Registered) -> u8 {
    let found = REGISTERED.with(|all| {
        let before = all.len();
        all.retain(|other| *other != own);
        all.len() < before
    });
    if found {
        *state = EMPTY;
    }
    found.into()
}

/// Calls the drivers' routines, the last registered first, as the last that a bug check does. The system is stopped: a
/// fault in one of them ends it at once.
pub fn call_all() {
    let records: Vec<u64> = REGISTERED.with(|all| {
        let record = |own: &Registered| match own {
            Registered::BugCheck(at) => Some(*at),
            Registered::Reason(_) | Registered::NonMaskable(_) => None,
        };
        all.iter().rev().filter_map(record).collect()
    });
    for at in records {
        // SAFETY: registered, and not deregistered.
        unsafe {
            let record = &mut *(at as *mut CallbackRecord);
            record.state = STARTED;
            if let Some(routine) = record.routine {
                routine(record.buffer, record.length);
            }
            record.state = FINISHED;
        }
    }
}

export_functions! {
    /// Routines that a bug check calls.
    pub static EXPORTS;

    /// Registers a routine that a bug check calls. Returns whether the record was free.
    [ANY] fn KeRegisterBugCheckCallback(record: *mut CallbackRecord, routine: Option<unsafe extern "win64" fn(PVOID, u32)>,
        buffer: PVOID, length: u32, component: *const u8) -> u8 {
        if (*record).state == EMPTY {
            (*record).routine = routine;
            (*record).buffer = buffer;
            (*record).length = length;
            (*record).component = component;
        }
        register(&mut (*record).state, Registered::BugCheck(record as u64))
    }

    /// Undoes it. Returns whether the record was registered.
    [ANY] fn KeDeregisterBugCheckCallback(record: *mut CallbackRecord) -> u8 {
        deregister(&mut (*record).state, Registered::BugCheck(record as u64))
    }

    /// Registers a routine for a part of a bug check, such as its dump. Returns whether the record was free.
    [ANY] fn KeRegisterBugCheckReasonCallback(record: *mut ReasonRecord, routine: PVOID, reason: i32, component: *const u8) -> u8 {
        if (*record).state == EMPTY {
            (*record).routine = routine;
            (*record).reason = reason;
            (*record).component = component;
        }
        register(&mut (*record).state, Registered::Reason(record as u64))
    }

    /// Undoes it. Returns whether the record was registered.
    [ANY] fn KeDeregisterBugCheckReasonCallback(record: *mut ReasonRecord) -> u8 {
        deregister(&mut (*record).state, Registered::Reason(record as u64))
    }

    /// Registers a routine for non-maskable interrupts.
    [APC] fn KeRegisterNmiCallback(_routine: PVOID, _context: PVOID) -> PVOID {
        let handle = Box::into_raw(Box::new(0u8)) as u64;
        REGISTERED.with(|all| all.push(Registered::NonMaskable(handle)));
        handle as PVOID
    }

    /// Undoes it.
    [APC] fn KeDeregisterNmiCallback(handle: PVOID) -> NTSTATUS {
        let own = Registered::NonMaskable(handle as u64);
        let mut state = INSERTED;
        if deregister(&mut state, own) == 0 { return STATUS_INVALID_HANDLE }
        drop(Box::from_raw(handle.cast::<u8>()));
        STATUS_SUCCESS
    }

    /// Enables the kernel debugger: there is none.
    [ANY] fn KdEnableDebugger() -> NTSTATUS { STATUS_DEBUGGER_INACTIVE }

    /// Disables the kernel debugger: there is none.
    [ANY] fn KdDisableDebugger() -> NTSTATUS { STATUS_DEBUGGER_INACTIVE }

    /// Returns whether the kernel debugger is absent, looking again.
    [ANY] fn KdRefreshDebuggerNotPresent() -> u8 { 1 }

    /// Changes an option of the kernel debugger: there is none.
    [ANY] fn KdChangeOption(_option: i32, _in_bytes: u32, _in_buffer: PVOID, _out_bytes: u32, _out_buffer: PVOID, _needed: *mut u32) -> NTSTATUS {
        STATUS_DEBUGGER_INACTIVE
    }
}
