//! Kernel routines that drivers look up by name.
#![allow(unsafe_code, reason = "exported functions")]

use crate::nt::{PVOID, UNICODE_STRING};
use crate::{export_functions, rtl};

/// Returns a routine that drivers look up by name, if this guest has it.
fn routine(name: &UNICODE_STRING) -> Option<u64> {
    // SAFETY: a string of the caller's.
    let name = unsafe { rtl::string::text(name) };
    super::system_routine(&name)
}

export_functions! {
    /// Routines by name.
    pub(super) static EXPORTS;

    /// Returns the address of a kernel routine by name.
    [PASSIVE] fn MmGetSystemRoutineAddress(name: *const UNICODE_STRING) -> PVOID {
        routine(&*name).unwrap_or(0) as PVOID
    }
}
