//! Rarer services: default security, the cache of media, and what AVStream's filters begin with.

#![allow(unsafe_code, reason = "descriptors and strings of the driver's")]

use alloc::format;

use crate::base::guid;
use crate::io::registry;
use crate::mm::pool::{self, Owner};
use crate::nt::status::*;
use crate::nt::{DEVICE_OBJECT, GUID, NTSTATUS, PVOID, UNICODE_STRING};

/// Bytes of a self-relative `SECURITY_DESCRIPTOR` without owner, group and lists.
const DESCRIPTOR_BYTES: u64 = 20;
/// Its revision, and its control word's `SE_SELF_RELATIVE`.
const REVISION: u8 = 1;
const SELF_RELATIVE: u16 = 0x8000;
/// The tag of descriptors.
const TAG: u32 = u32::from_le_bytes(*b"KSsd");
/// Where `ks.sys` caches which interface has which medium.
const MEDIUM_CACHE: &str = "\\Registry\\Machine\\System\\CurrentControlSet\\Control\\MediumCache";

/// `KSPIN_MEDIUM` (ks.h).
#[repr(C)]
pub(crate) struct Medium {
    set: GUID,
    id: u32,
    flags: u32,
}

crate::export_functions! {
    /// Rarer services.
    pub(crate) static EXPORTS;

    /// Makes a security descriptor in paged pool, which the caller frees. It grants access to all, as every one in this guest,
    /// which has one user.
    [PASSIVE] fn KsCreateDefaultSecurity(_parent: PVOID, out: *mut PVOID) -> NTSTATUS {
        if out.is_null() {
            return STATUS_INVALID_PARAMETER;
        }
        let memory = if crate::alloc_faults::fails("KsCreateDefaultSecurity") { None } else { pool::allocate(DESCRIPTOR_BYTES, TAG, true, Owner::Driver) };
        let Some(memory) = memory else { return STATUS_INSUFFICIENT_RESOURCES };
        let descriptor = memory as *mut u8;
        descriptor.write_bytes(0, DESCRIPTOR_BYTES as usize);
        descriptor.write(REVISION);
        descriptor.add(2).cast::<u16>().write_unaligned(SELF_RELATIVE);
        out.write(descriptor.cast());
        STATUS_SUCCESS
    }

    /// Notes which device interface has a medium.
    [PASSIVE] fn KsCacheMedium(link: *const UNICODE_STRING, medium: *const Medium, direction: u32) -> NTSTATUS {
        /// `KSPIN_DATAFLOW` and none.
        const DIRECTIONS: u32 = 2;
        if link.is_null() || medium.is_null() || direction > DIRECTIONS {
            return STATUS_INVALID_PARAMETER;
        }
        let Medium { set, id, .. } = &*medium;
        registry::create(MEDIUM_CACHE);
        registry::create(&format!("{MEDIUM_CACHE}\\{}-{id:x}-0", guid::text(set)));
        STATUS_SUCCESS
    }

    /// Refuses to make a filter factory: it belongs to an AVStream device, which this guest does not host.
    [PASSIVE] fn KsCreateFilterFactory(_device: *mut DEVICE_OBJECT, _descriptor: PVOID, _reference: *const u16, _security: PVOID, _flags: u32,
        _sleep: PVOID, _wake: PVOID, factory: *mut PVOID) -> NTSTATUS {
        if !factory.is_null() { factory.write(core::ptr::null_mut()) }
        crate::warn!("KsCreateFilterFactory: AVStream's filters are not hosted here; STATUS_NOT_SUPPORTED is this guest's answer, not a fault of the driver");
        STATUS_NOT_SUPPORTED
    }
}

const _: () = assert!(size_of::<Medium>() == 24);
