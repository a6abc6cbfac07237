//! Timers that the system allocates: `ExAllocateTimer` and its neighbours. They are in pool, so that their misuse is
//! found as that of any pool is, and one that is not deleted is a leak.
#![allow(unsafe_code, reason = "objects of the Windows ABI")]

use crate::export_functions;
use crate::ke::{dpc, timer};
use crate::mm::pool::{self, Owner};
use crate::nt::{KDPC, KTIMER, PVOID, object_type};

const TAG: u32 = u32::from_le_bytes(*b"ExTm");
/// 100 ns units in the milliseconds that the timer queue counts periods in.
const MILLISECOND: i64 = 10_000;

type Callback = unsafe extern "win64" fn(*mut ExTimer, PVOID);

/// `EX_TIMER`, opaque to drivers.
#[repr(C)]
pub struct ExTimer {
    timer: KTIMER,
    dpc: KDPC,
    callback: Option<Callback>,
    context: PVOID,
}

/// `EXT_DELETE_PARAMETERS`.
#[repr(C)]
pub struct DeleteParameters {
    version: u32,
    reserved: u32,
    callback: Option<unsafe extern "win64" fn(PVOID)>,
    context: PVOID,
}

unsafe extern "win64" fn expired(_dpc: *mut KDPC, context: PVOID, _argument1: PVOID, _argument2: PVOID) {
    let timer = context.cast::<ExTimer>();
    // SAFETY: a timer that was not deleted.
    unsafe {
        if let Some(callback) = (*timer).callback {
            callback(timer, (*timer).context);
        }
    }
}

export_functions! {
    /// Timers.
    pub static EXPORTS;

    /// Allocates a timer. Every one is as exact as the clock.
    [DISPATCH] fn ExAllocateTimer(callback: Option<Callback>, context: PVOID, attributes: u32) -> *mut ExTimer {
        /// `EX_TIMER_NOTIFICATION`.
        const NOTIFICATION: u32 = 1 << 31;
        let Some(memory) = pool::allocate(size_of::<ExTimer>() as u64, TAG, false, Owner::Driver) else { return core::ptr::null_mut() };
        let allocated = memory as *mut ExTimer;
        let kind = if attributes & NOTIFICATION != 0 { object_type::NOTIFICATION_TIMER } else { object_type::SYNCHRONIZATION_TIMER };
        timer::initialize(&raw mut (*allocated).timer, kind);
        dpc::KeInitializeDpc(&raw mut (*allocated).dpc, Some(expired), allocated.cast());
        (&raw mut (*allocated).callback).write(callback);
        (&raw mut (*allocated).context).write(context);
        allocated
    }

    /// Sets a timer: due time and period in 100 ns. Returns whether it was set already.
    [DISPATCH] fn ExSetTimer(timer: *mut ExTimer, due: i64, period: i64, _parameters: PVOID) -> u8 {
        let period = if period <= 0 { 0 } else { ((period + MILLISECOND - 1) / MILLISECOND) as u32 };
        u8::from(timer::set(&raw mut (*timer).timer, due, period, &raw mut (*timer).dpc))
    }

    /// Takes a timer back. Returns whether it was set.
    [DISPATCH] fn ExCancelTimer(timer: *mut ExTimer, _parameters: PVOID) -> u8 { u8::from(timer::cancel(&raw mut (*timer).timer)) }

    /// Deletes a timer: cancelled first and waited for, if the flags say so. Returns whether it was set.
    [DISPATCH] fn ExDeleteTimer(timer: *mut ExTimer, cancel: u8, wait: u8, parameters: *const DeleteParameters) -> u8 {
        let was = cancel != 0 && timer::cancel(&raw mut (*timer).timer);
        if wait != 0 {
            crate::contract::verifier::check_irql("ExDeleteTimer", crate::contract::export::IrqlRule::PASSIVE);
            dpc::KeFlushQueuedDpcs();
        } else {
            dpc::KeRemoveQueueDpc(&raw mut (*timer).dpc);
        }
        pool::free("ExDeleteTimer", timer as u64, Some(TAG));
        if let Some(parameters) = parameters.as_ref() && let Some(callback) = parameters.callback {
            callback(parameters.context);
        }
        u8::from(was)
    }
}
