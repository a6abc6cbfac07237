//! Generates events from a DPC, for interrupt service routines.

#![allow(unsafe_code, reason = "deferred procedure calls are queued by address")]

use alloc::vec::Vec;
use core::cell::UnsafeCell;

use super::event_list::{self, Generated};
use crate::arch::uninterrupted::Uninterrupted;
use crate::nt::{KDPC, PVOID};
use crate::portcls::kernel::{KeInitializeDpc, KeInsertQueueDpc};

struct Dpc(UnsafeCell<KDPC>);
// SAFETY: only passed to the kernel's functions.
unsafe impl Sync for Dpc {}
// SAFETY: all zero until it is initialised, before it is queued first.
static DPC: Dpc = Dpc(UnsafeCell::new(unsafe { core::mem::zeroed() }));

/// What the DPC generates.
static WANTED: Uninterrupted<Vec<Generated>> = Uninterrupted::new(Vec::new());

/// Queues events to be generated from a DPC. At any IRQL.
pub(crate) fn queue(wanted: Generated) {
    // SAFETY: the DPC is initialised by the first call, before it is queued.
    unsafe {
        WANTED.with(|all| {
            all.push(wanted);
            if (*DPC.0.get()).DeferredRoutine.is_none() {
                KeInitializeDpc(DPC.0.get(), Some(generate), core::ptr::null_mut());
            }
        });
        KeInsertQueueDpc(DPC.0.get(), core::ptr::null_mut(), core::ptr::null_mut());
    }
}

unsafe extern "win64" fn generate(_dpc: *mut KDPC, _context: PVOID, _first: PVOID, _second: PVOID) {
    for wanted in WANTED.with(core::mem::take) {
        event_list::generate(&wanted);
    }
}
