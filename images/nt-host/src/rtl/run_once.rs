//! One-time initialisation, random numbers, and masks of versions and rights.
#![allow(unsafe_code, reason = "structures of the Windows ABI")]

use crate::arch::cpu;
use crate::export_functions;
use crate::ke::wait;
use crate::nt::status::*;
use crate::nt::{KERNEL_MODE, NTSTATUS, PVOID};

/// `RTL_RUN_ONCE_CHECK_ONLY`.
const CHECK_ONLY: u32 = 1;
/// `RTL_RUN_ONCE_ASYNC`: several threads may initialise, and the first to complete wins.
const ASYNC: u32 = 2;
/// `RTL_RUN_ONCE_INIT_FAILED`.
const INIT_FAILED: u32 = 4;

/// The low two bits of an `RTL_RUN_ONCE`, whose others are the context.
const STATE: u64 = 3;
/// Nothing has begun.
const IDLE: u64 = 0;
/// One thread initialises.
const RUNNING: u64 = 1;
/// All is done.
const DONE: u64 = 2;
/// Several threads initialise.
const RUNNING_ASYNC: u64 = 3;

/// How long a thread sleeps between two looks at another's initialisation, in 100 ns: a millisecond.
const LOOK_AGAIN: i64 = -10_000;

type InitializeOnce = unsafe extern "win64" fn(once: *mut u64, parameter: PVOID, context: *mut PVOID) -> u32;

/// Begins an initialisation: `STATUS_PENDING` to the thread that is to do it.
unsafe fn begin(once: *mut u64, flags: u32, context: *mut PVOID) -> NTSTATUS {
    loop {
        // SAFETY: an export's argument.
        let (state, word) = cpu::exclusively(|| unsafe {
            let word = once.read();
            let state = word & STATE;
            if state == IDLE && flags & CHECK_ONLY == 0 {
                once.write(if flags & ASYNC == 0 { RUNNING } else { RUNNING_ASYNC });
            }
            (state, word)
        });
        match state {
            DONE => {
                // SAFETY: an export's argument.
                unsafe {
                    if !context.is_null() {
                        context.write((word & !STATE) as PVOID);
                    }
                }
                return STATUS_SUCCESS;
            }
            _ if flags & CHECK_ONLY != 0 => return STATUS_UNSUCCESSFUL,
            IDLE => return STATUS_PENDING,
            RUNNING_ASYNC if flags & ASYNC != 0 => return STATUS_PENDING,
            RUNNING if flags & ASYNC == 0 => {
                // SAFETY: no arguments but an interval.
                unsafe { wait::KeDelayExecutionThread(KERNEL_MODE, 0, &LOOK_AGAIN) };
            }
            _ => return STATUS_INVALID_PARAMETER_2,
        }
    }
}

/// Ends an initialisation.
unsafe fn complete(once: *mut u64, flags: u32, context: PVOID) -> NTSTATUS {
    if context as u64 & STATE != 0 || (flags & INIT_FAILED != 0 && flags & ASYNC != 0) {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: an export's argument.
    cpu::exclusively(|| unsafe {
        match once.read() & STATE {
            RUNNING | RUNNING_ASYNC => {
                once.write(if flags & INIT_FAILED == 0 { context as u64 | DONE } else { IDLE });
                STATUS_SUCCESS
            }
            // Another thread was first.
            DONE if flags & ASYNC != 0 => STATUS_OBJECT_NAME_COLLISION,
            _ => STATUS_UNSUCCESSFUL,
        }
    })
}

/// The modulus of Lehmer's generator, a Mersenne prime.
const MODULUS: u64 = 0x7fff_ffff;
/// Its multiplier, a primitive root of the modulus (Park and Miller's of 1993).
const MULTIPLIER: u64 = 48_271;

/// Returns the next number and makes it the seed.
unsafe fn random(seed: *mut u32) -> u32 {
    // SAFETY: an export's argument.
    unsafe {
        let state = u64::from(*seed) % MODULUS;
        let next = if state == 0 { MULTIPLIER } else { state * MULTIPLIER % MODULUS };
        *seed = next as u32;
        (next - 1) as u32
    }
}

/// Bits of a condition in a mask of versions.
const CONDITION_BITS: u32 = 3;

export_functions! {
    /// One-time initialisation, random numbers, masks.
    pub static EXPORTS;

    /// Initialises a structure of one-time initialisation.
    [ANY] fn RtlRunOnceInitialize(once: *mut u64) { once.write(IDLE) }

    /// Begins an initialisation, or waits for another thread's.
    [APC] fn RtlRunOnceBeginInitialize(once: *mut u64, flags: u32, context: *mut PVOID) -> NTSTATUS { begin(once, flags, context) }

    /// Ends an initialisation.
    [APC] fn RtlRunOnceComplete(once: *mut u64, flags: u32, context: PVOID) -> NTSTATUS { complete(once, flags, context) }

    /// Calls a routine once, whichever thread comes first.
    [APC] fn RtlRunOnceExecuteOnce(once: *mut u64, routine: InitializeOnce, parameter: PVOID, context: *mut PVOID) -> NTSTATUS {
        let status = begin(once, 0, context);
        if status != STATUS_PENDING { return status }
        let mut own = core::ptr::null_mut();
        if crate::ke::driver_call::call("an initialisation routine", || routine(once, parameter, &raw mut own)) == 0 {
            complete(once, INIT_FAILED, core::ptr::null_mut());
            return STATUS_UNSUCCESSFUL;
        }
        let status = complete(once, 0, own);
        if success(status) && !context.is_null() { context.write(own) }
        status
    }

    /// Returns a number from 0 to `MAXLONG - 2`.
    [APC] fn RtlRandom(seed: *mut u32) -> u32 { random(seed) }

    /// Returns a number from 0 to `MAXLONG - 2`.
    [APC] fn RtlRandomEx(seed: *mut u32) -> u32 { random(seed) }

    /// Adds a condition to a mask for a comparison of versions.
    [ANY] fn VerSetConditionMask(mask: u64, kind: u32, condition: u8) -> u64 {
        if kind == 0 { return mask }
        mask | u64::from(condition & 7) << (CONDITION_BITS * kind.trailing_zeros())
    }

    /// Replaces generic rights in a mask by the specific ones that they stand for.
    [ANY] fn RtlMapGenericMask(mask: *mut u32, mapping: *const [u32; 4]) {
        let [read, write, execute, all] = *mapping;
        let generic = [(31, read), (30, write), (29, execute), (28, all)];
        let found = *mask;
        *mask = generic.into_iter().filter(|(bit, _)| found & (1 << bit) != 0).fold(found & 0x0fff_ffff, |mask, (_, rights)| mask | rights);
    }
}
