//! `IMasterClock`: the clock that all sequencing goes by.

#![allow(unsafe_code, reason = "drivers call the clock through its vtable")]

use crate::contract::rules::{self, Rule};
use crate::nt::NTSTATUS;
use crate::nt::status::{STATUS_INVALID_PARAMETER, STATUS_SUCCESS};
use crate::portcls::com::guids::GUID;
use crate::portcls::com::object::{Class, Com, Object, Slot, unknown};
use crate::portcls::kernel;

/// `IMasterClock`. Each stream gets one of its own, so that a reference that is not given back shows which stream keeps
/// it.
pub(crate) struct MasterClock;

impl MasterClock {
    /// Makes a clock.
    pub(crate) fn create() -> Com<Self> {
        Com::new(Self)
    }
}

/// Returns the master time in 100 ns units: constant rate, never pausing, the same for every stream.
pub(crate) fn now() -> i64 {
    kernel::interrupt_time().cast_signed()
}

impl Class for MasterClock {
    const NAME: &'static str = "IMasterClock";
    const USED_AFTER_RELEASE: &'static Rule = rules::DESTROYED_STREAM;
    // No interface id of it is public.
    const INTERFACES: &'static [GUID] = &[];

    fn vtable() -> &'static [Slot] {
        const UNKNOWN: [Slot; 3] = unknown::<MasterClock>();
        static VTABLE: [Slot; 4] = [UNKNOWN[0], UNKNOWN[1], UNKNOWN[2], Slot(get_time as *const ())];
        &VTABLE
    }
}

/// Writes the master time. At any IRQL.
unsafe extern "win64" fn get_time(_this: *mut Object<MasterClock>, out: *mut i64) -> NTSTATUS {
    if out.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: the caller's out parameter.
    unsafe { out.write(now()) };
    STATUS_SUCCESS
}
