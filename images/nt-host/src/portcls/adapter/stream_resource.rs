//! Stream resources: the interrupts and threads that serve a stream, which drivers of Windows 10 register so that the
//! system keeps others out of their way. This host only sees that they come and go as they must.

#![allow(unsafe_code, reason = "descriptors are C structures, and out parameters the driver's")]

use alloc::format;
use alloc::vec::Vec;

use crate::contract::ports;
use crate::contract::violation::{Violation, violation};
use crate::nt::status::{STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER, STATUS_SUCCESS};
use crate::nt::{DEVICE_OBJECT, NTSTATUS, PVOID};
use crate::portcls::kernel::irql;
use crate::portcls::kernel::lock::Lock;
use crate::portcls::services::call_faults;

/// `PCSTREAMRESOURCE_DESCRIPTOR` (portcls.h of Windows 10).
#[repr(C)]
pub(crate) struct Descriptor {
    size: u32,
    flags: u32,
    pdo: *mut DEVICE_OBJECT,
    kind: i32,
    /// Of an interrupt its version, of a thread the thread.
    first: usize,
    /// Of an interrupt the interrupt.
    second: usize,
}

const _: () = assert!(size_of::<Descriptor>() == 40);

/// `PcStreamResourceType` (portcls.h of Windows 10).
mod kind {
    /// A `PKINTERRUPT`.
    pub(super) const INTERRUPT: i32 = 0;
    /// A `PETHREAD`.
    pub(super) const THREAD: i32 = 1;
}

/// A registered resource.
struct StreamResource {
    handle: usize,
    pdo: usize,
}

/// The registered resources, and the last handle.
static RESOURCES: Lock<(Vec<StreamResource>, usize)> = Lock::new((Vec::new(), 0));

/// Adds a resource.
///
/// # Safety
/// `descriptor` is null or one, and `handle` is null or can be written.
pub(super) unsafe fn add(
    pdo: *mut DEVICE_OBJECT,
    set: PVOID,
    descriptor: *const Descriptor,
    handle: *mut PVOID,
) -> NTSTATUS {
    irql::passive("PortCls", "AddStreamResource");
    // SAFETY: by the caller.
    let (Some(descriptor), false) = (unsafe { descriptor.as_ref() }, handle.is_null()) else {
        return STATUS_INVALID_PARAMETER;
    };
    let named = match descriptor.kind {
        kind::INTERRUPT => descriptor.second != 0,
        kind::THREAD => descriptor.first != 0,
        _ => false,
    };
    let whole = descriptor.size as usize >= size_of::<Descriptor>() && descriptor.flags == 0 && named;
    if !whole || !set.is_null() || descriptor.pdo != pdo || !super::is_physical(pdo) {
        return STATUS_INVALID_PARAMETER;
    }
    if call_faults::must_fail("PcAddStreamResource") {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    let new = RESOURCES.with(|(resources, last)| {
        *last += 1;
        resources.push(StreamResource { handle: *last, pdo: pdo as usize });
        *last
    });
    // SAFETY: by the caller.
    unsafe { handle.write(new as PVOID) };
    STATUS_SUCCESS
}

/// Removes a resource.
pub(super) fn remove(handle: PVOID) -> NTSTATUS {
    irql::passive("PortCls", "RemoveStreamResource");
    let removed = RESOURCES.with(|(resources, _)| {
        let index = resources.iter().position(|resource| resource.handle == handle as usize)?;
        Some(resources.swap_remove(index))
    });
    if removed.is_none() {
        violation(
            "PcRemoveStreamResource",
            Violation::new(
                ports::STREAM_RESOURCES,
                format!("{handle:p} is no handle of a stream resource, or that resource was removed before"),
                "remove what PcAddStreamResource gave, once",
            ),
        );
        return STATUS_INVALID_PARAMETER;
    }
    ports::STREAM_RESOURCES.held();
    STATUS_SUCCESS
}

/// Checks, when a device is stopped or removed, that its resources were removed.
pub(super) fn expect_none(pdo: *mut DEVICE_OBJECT) {
    let left = RESOURCES.with(|(resources, _)| {
        let before = resources.len();
        resources.retain(|resource| resource.pdo != pdo as usize);
        before - resources.len()
    });
    if left != 0 {
        violation(
            "PcAddStreamResource",
            Violation::new(
                ports::STREAM_RESOURCES,
                format!("the device is stopped or removed, and {left} stream resources are left"),
                "remove each with PcRemoveStreamResource before the interrupt or thread that it names goes",
            ),
        );
    }
}

crate::export_functions! {
    /// Stream resources.
    pub(crate) static EXPORTS;

    /// Registers an interrupt or a thread that serves a stream.
    [PASSIVE] fn PcAddStreamResource(pdo: *mut DEVICE_OBJECT, set: PVOID, descriptor: *const Descriptor, handle: *mut PVOID) -> NTSTATUS {
        add(pdo, set, descriptor, handle)
    }

    /// Takes a registration back.
    [PASSIVE] fn PcRemoveStreamResource(handle: PVOID) -> NTSTATUS {
        remove(handle)
    }
}
