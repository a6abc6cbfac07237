//! Requests that keep the system or the display awake, and what devices say of their use: this system never sleeps.
#![allow(unsafe_code, reason = "objects of the Windows ABI")]

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::arch::uninterrupted::Uninterrupted;
use crate::contract::verifier;
use crate::export_functions;
use crate::nt::status::*;
use crate::nt::{DEVICE_OBJECT, IRP, NTSTATUS, PVOID};

/// Kinds of `POWER_REQUEST_TYPE`: display, system, away mode, execution.
const KINDS: usize = 4;
/// `ES_SYSTEM_REQUIRED | ES_DISPLAY_REQUIRED | ES_USER_PRESENT | ES_AWAYMODE_REQUIRED`.
const STATE_FLAGS: u32 = 0x47;
/// `ES_CONTINUOUS`: the request stays until it is undone.
const ES_CONTINUOUS: u32 = 0x8000_0000;

/// By object, how often each kind is set.
static REQUESTS: Uninterrupted<BTreeMap<u64, [u32; KINDS]>> = Uninterrupted::new(BTreeMap::new());
/// By handle, the flags of `PoRegisterSystemState`.
static STATES: Uninterrupted<BTreeMap<u64, u32>> = Uninterrupted::new(BTreeMap::new());

/// Returns the requests that were not deleted, a line each, for the leak check.
pub(super) fn outstanding() -> Vec<String> {
    let requests =
        REQUESTS.with(|all| all.keys().map(|at| alloc::format!("the power request {at:#x}")).collect::<Vec<_>>());
    let states = STATES.with(|all| all.keys().map(|at| alloc::format!("the system state {at:#x}")).collect::<Vec<_>>());
    requests.into_iter().chain(states).collect()
}

fn new_handle() -> u64 {
    Box::into_raw(Box::new(0u8)) as u64
}

/// Changes how often a kind of request is set.
fn change(function: &'static str, request: PVOID, kind: i32, change: impl Fn(u32) -> Option<u32>) -> NTSTATUS {
    let Some(kind) = usize::try_from(kind).ok().filter(|&kind| kind < KINDS) else { return STATUS_INVALID_PARAMETER_2 };
    let changed = REQUESTS.with(|all| {
        let count = &mut all.get_mut(&(request as u64))?[kind];
        Some(match change(*count) {
            Some(new) => {
                *count = new;
                STATUS_SUCCESS
            }
            None => STATUS_UNSUCCESSFUL,
        })
    });
    changed.unwrap_or_else(|| {
        verifier::stop(
            0x18,
            function,
            [0, request as u64, 0, 0],
            format_args!("{request:p} is no power request, or was deleted: PoCreatePowerRequest makes them"),
        )
    })
}

export_functions! {
    /// Requests to stay awake.
    pub static EXPORTS;

    /// Makes a power request, in which nothing is set.
    [PASSIVE] fn PoCreatePowerRequest(out: *mut PVOID, _device: *mut DEVICE_OBJECT, _reason: PVOID) -> NTSTATUS {
        let handle = new_handle();
        REQUESTS.with(|all| all.insert(handle, [0; KINDS]));
        out.write(handle as PVOID);
        STATUS_SUCCESS
    }

    /// Counts one more request of a kind.
    [DISPATCH] fn PoSetPowerRequest(request: PVOID, kind: i32) -> NTSTATUS {
        change("PoSetPowerRequest", request, kind, |count| count.checked_add(1))
    }

    /// Counts one less; fails where none is set.
    [DISPATCH] fn PoClearPowerRequest(request: PVOID, kind: i32) -> NTSTATUS {
        change("PoClearPowerRequest", request, kind, |count| count.checked_sub(1))
    }

    /// Deletes a power request.
    [PASSIVE] fn PoDeletePowerRequest(request: PVOID) {
        if REQUESTS.with(|all| all.remove(&(request as u64))).is_some() {
            drop(Box::from_raw(request.cast::<u8>()));
        } else {
            change("PoDeletePowerRequest", request, 0, |_| None);
        }
    }

    /// Registers a state that keeps the system awake, or changes one that is registered.
    [DISPATCH] fn PoRegisterSystemState(handle: PVOID, flags: u32) -> PVOID {
        if flags & !(STATE_FLAGS | ES_CONTINUOUS) != 0 { return core::ptr::null_mut() }
        if flags & ES_CONTINUOUS == 0 && handle.is_null() { return core::ptr::null_mut() }
        let at = if handle.is_null() { new_handle() } else { handle as u64 };
        STATES.with(|all| all.insert(at, flags));
        at as PVOID
    }

    /// Undoes it.
    [DISPATCH] fn PoUnregisterSystemState(handle: PVOID) {
        if STATES.with(|all| all.remove(&(handle as u64))).is_some() { drop(Box::from_raw(handle.cast::<u8>())) }
    }

    /// Begins a time in which a device is busy. `PoRegisterDeviceForIdleDetection` gives no counter here.
    [DISPATCH] fn PoStartDeviceBusy(idle: *mut u32) { if let Some(idle) = idle.as_mut() { *idle = 0 } }

    /// Ends a time in which a device is busy.
    [DISPATCH] fn PoEndDeviceBusy(idle: *mut u32) { if let Some(idle) = idle.as_mut() { *idle = 0 } }

    /// Says that a device is busy at this moment.
    [DISPATCH] fn PoSetDeviceBusyEx(idle: *mut u32) { if let Some(idle) = idle.as_mut() { *idle = 0 } }

    /// Marks a packet as what woke the system.
    [ANY] fn PoSetSystemWake(irp: *mut IRP) { (*irp).Flags |= WOKE_THE_SYSTEM }

    /// Returns whether a packet was marked so.
    [ANY] fn PoGetSystemWake(irp: *mut IRP) -> u8 { u8::from((*irp).Flags & WOKE_THE_SYSTEM != 0) }

    /// Returns how long a power packet may still take: no watchdog is set.
    [ANY] fn PoQueryWatchdogTime(_device: *mut DEVICE_OBJECT, seconds: *mut u32) -> u8 {
        if let Some(seconds) = seconds.as_mut() { *seconds = 0 }
        0
    }
}

/// A bit of a packet's flags that no documented flag has.
const WOKE_THE_SYSTEM: u32 = 0x4000_0000;
