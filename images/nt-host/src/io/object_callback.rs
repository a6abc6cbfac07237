//! Access checks, and callbacks on handles of processes and threads: this system has no users, and drivers are all that
//! opens handles.
#![allow(unsafe_code, reason = "structures of the Windows ABI")]

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::arch::uninterrupted::Uninterrupted;
use crate::contract::verifier;
use crate::export_functions;
use crate::nt::status::*;
use crate::nt::{KERNEL_MODE, NTSTATUS, PVOID, UNICODE_STRING};
use crate::rtl::string::text;

/// `OB_FLT_REGISTRATION_VERSION`.
const VERSION: u16 = 0x0100;

/// `OB_CALLBACK_REGISTRATION`.
#[repr(C)]
pub struct CallbackRegistration {
    version: u16,
    count: u16,
    altitude: UNICODE_STRING,
    context: PVOID,
    operations: PVOID,
}

/// `SECURITY_SUBJECT_CONTEXT`: tokens that drivers pass on and do not look into.
#[repr(C)]
pub struct SubjectContext {
    client: PVOID,
    level: i32,
    primary: PVOID,
    process: PVOID,
}

/// `GENERIC_MAPPING`: what the four generic rights stand for.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct GenericMapping {
    read: u32,
    write: u32,
    execute: u32,
    all: u32,
}

/// `MAXIMUM_ALLOWED`.
const MAXIMUM_ALLOWED: u32 = 0x0200_0000;
/// `GENERIC_ALL`, `GENERIC_EXECUTE`, `GENERIC_WRITE` and `GENERIC_READ`.
const GENERIC: [u32; 4] = [1 << 28, 1 << 29, 1 << 30, 1 << 31];

/// By handle, the altitude of a registration: no two have the same.
static REGISTERED: Uninterrupted<Vec<(u64, String)>> = Uninterrupted::new(Vec::new());

/// The marker that stands for the only token, the system's own.
static SYSTEM_TOKEN: u64 = 0;

/// Returns the registrations, a line each, for the leak check.
#[must_use]
pub fn outstanding() -> Vec<String> {
    REGISTERED.with(|all| {
        all.iter().map(|(at, altitude)| alloc::format!("the object callbacks {at:#x} at {altitude}")).collect()
    })
}

/// Replaces the generic rights in a mask.
const fn mapped(access: u32, mapping: GenericMapping) -> u32 {
    let [all, execute, write, read] = GENERIC;
    let mut specific = access & !(all | execute | write | read);
    if access & all != 0 {
        specific |= mapping.all;
    }
    if access & execute != 0 {
        specific |= mapping.execute;
    }
    if access & write != 0 {
        specific |= mapping.write;
    }
    if access & read != 0 {
        specific |= mapping.read;
    }
    specific
}

export_functions! {
    /// Access checks and object callbacks.
    pub static EXPORTS;

    /// Returns the version of object callbacks.
    [APC] fn ObGetFilterVersion() -> u16 { VERSION }

    /// Registers routines for handles of processes and threads, of which none are opened here.
    [APC] fn ObRegisterCallbacks(registration: *const CallbackRegistration, out: *mut PVOID) -> NTSTATUS {
        let CallbackRegistration { version, count, altitude, operations, .. } = &*registration;
        if version >> 8 != VERSION >> 8 || *count == 0 || operations.is_null() { return STATUS_INVALID_PARAMETER }
        let altitude = text(altitude);
        let handle = Box::into_raw(Box::new(0u8)) as u64;
        let taken = REGISTERED.with(|all| {
            let taken = all.iter().any(|(_, other)| *other == altitude);
            if !taken { all.push((handle, altitude)) }
            taken
        });
        if taken {
            drop(Box::from_raw(handle as *mut u8));
            return STATUS_FLT_INSTANCE_ALTITUDE_COLLISION;
        }
        out.write(handle as PVOID);
        STATUS_SUCCESS
    }

    /// Undoes it.
    [APC] fn ObUnRegisterCallbacks(handle: PVOID) {
        let found = REGISTERED.with(|all| {
            let index = all.iter().position(|(at, _)| *at == handle as u64)?;
            Some(all.swap_remove(index))
        });
        if found.is_none() {
            verifier::stop(0x18, "ObUnRegisterCallbacks", [0, handle as u64, 0, 0],
                format_args!("{handle:p} is no registration of ObRegisterCallbacks, or was undone before"));
        }
        drop(Box::from_raw(handle.cast::<u8>()));
    }

    /// Captures who asks: the system.
    [PASSIVE] fn SeCaptureSubjectContext(context: *mut SubjectContext) {
        let token = (&raw const SYSTEM_TOKEN).cast_mut().cast();
        context.write(SubjectContext { client: core::ptr::null_mut(), level: 0, primary: token, process: core::ptr::null_mut() });
    }

    /// Keeps the captured tokens as they are.
    [PASSIVE] fn SeLockSubjectContext(_context: *mut SubjectContext) {}

    /// Undoes it.
    [PASSIVE] fn SeUnlockSubjectContext(_context: *mut SubjectContext) {}

    /// Gives the captured tokens up.
    [PASSIVE] fn SeReleaseSubjectContext(context: *mut SubjectContext) { (*context).primary = core::ptr::null_mut() }

    /// Checks an access: the kernel has every one, and so has a process here, which works for the system.
    [PASSIVE] fn SeAccessCheck(descriptor: PVOID, _context: *mut SubjectContext, _locked: u8, desired: u32, granted_before: u32,
        privileges: *mut PVOID, mapping: *const GenericMapping, mode: i8, granted: *mut u32, status: *mut NTSTATUS) -> u8 {
        if let Some(privileges) = privileges.as_mut() { *privileges = core::ptr::null_mut() }
        if descriptor.is_null() && mode != KERNEL_MODE {
            granted.write(0);
            status.write(STATUS_ACCESS_DENIED);
            return 0;
        }
        let wanted = mapped(desired, *mapping);
        let maximum = if wanted & MAXIMUM_ALLOWED != 0 { (*mapping).all } else { 0 };
        granted.write(wanted & !MAXIMUM_ALLOWED | maximum | granted_before);
        status.write(STATUS_SUCCESS);
        1
    }
}
