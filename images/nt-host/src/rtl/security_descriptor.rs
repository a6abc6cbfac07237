//! Security descriptors.
#![allow(unsafe_code, reason = "structures of the Windows ABI")]

use crate::base::security_descriptor::{
    DACL_DEFAULTED, DACL_PRESENT, Descriptor, REVISION, SELF_RELATIVE, valid_length, valid_within,
};
use crate::export_functions;
use crate::nt::status::*;
use crate::nt::{NTSTATUS, PVOID};

export_functions! {
    /// Security descriptors.
    pub static EXPORTS;

    /// Initialises an absolute descriptor: nothing is in it.
    [APC] fn RtlCreateSecurityDescriptor(descriptor: *mut Descriptor, revision: u32) -> NTSTATUS {
        if revision != u32::from(REVISION) { return STATUS_UNKNOWN_REVISION }
        let none = core::ptr::null();
        descriptor.write(Descriptor { revision: REVISION, zero: 0, control: 0, owner: none, group: none, sacl: none, dacl: none });
        STATUS_SUCCESS
    }

    /// Returns the bytes of a descriptor with all its parts.
    [APC] fn RtlLengthSecurityDescriptor(descriptor: *const Descriptor) -> u32 { valid_length(descriptor).unwrap_or(0) as u32 }

    /// Sets the discretionary list of an absolute descriptor.
    [APC] fn RtlSetDaclSecurityDescriptor(descriptor: *mut Descriptor, present: u8, dacl: *const u8, defaulted: u8) -> NTSTATUS {
        let written = &mut *descriptor;
        if written.revision != REVISION { return STATUS_UNKNOWN_REVISION }
        if written.control & SELF_RELATIVE != 0 { return STATUS_INVALID_SECURITY_DESCR }
        written.control &= !(DACL_PRESENT | DACL_DEFAULTED);
        if present != 0 {
            written.control |= DACL_PRESENT | if defaulted != 0 { DACL_DEFAULTED } else { 0 };
            written.dacl = dacl;
        }
        STATUS_SUCCESS
    }

    /// Returns whether a descriptor is valid.
    [APC] fn RtlValidSecurityDescriptor(descriptor: *const Descriptor) -> u8 {
        u8::from(!descriptor.is_null() && valid_length(descriptor).is_some())
    }

    /// Returns whether a self-relative descriptor of so many bytes is valid and has the parts that are required.
    [APC] fn RtlValidRelativeSecurityDescriptor(descriptor: *const Descriptor, bytes: u32, required: u32) -> u8 {
        u8::from(valid_within(descriptor, bytes as usize, required))
    }

    /// Returns whether a self-relative descriptor of so many bytes is valid.
    [APC] fn SeValidSecurityDescriptor(bytes: u32, descriptor: *const Descriptor) -> u8 {
        u8::from(valid_within(descriptor, bytes as usize, 0))
    }

    /// Reads memory towards the processor's caches.
    [ANY] fn RtlPrefetchMemoryNonTemporal(_source: PVOID, _bytes: u64) {}
}
