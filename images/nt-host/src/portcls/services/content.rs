//! Content ids and the rights that go with them: PortCls' functions do what those of `drmk.sys` do, by their pages.

#![allow(unsafe_code, reason = "out parameters and lists of the driver's")]

use crate::drmk;
use crate::nt::{FILE_OBJECT, NTSTATUS, PVOID};

crate::export_functions! {
    /// Content ids.
    pub(crate) static EXPORTS;

    /// Names the entry points that will handle a content.
    [PASSIVE] fn PcAddContentHandlers(id: u32, handlers: *const PVOID, count: u32) -> NTSTATUS {
        drmk::DrmAddContentHandlers(id, handlers, count)
    }

    /// Makes a content of a mixture's parts.
    [PASSIVE] fn PcCreateContentMixed(parts: *const u32, count: u32, out: *mut u32) -> NTSTATUS {
        drmk::DrmCreateContentMixed(parts, count, out)
    }

    /// Ends a mixture.
    [PASSIVE] fn PcDestroyContent(id: u32) -> NTSTATUS { drmk::DrmDestroyContent(id) }

    /// Returns what may be done with a content.
    [PASSIVE] fn PcGetContentRights(id: u32, out: *mut drmk::Rights) -> NTSTATUS { drmk::DrmGetContentRights(id, out) }

    /// Sets the content of a pin of another device.
    [PASSIVE] fn PcForwardContentToDeviceObject(id: u32, reserved: PVOID, forward: *const drmk::Forward) -> NTSTATUS {
        drmk::DrmForwardContentToDeviceObject(id, reserved, forward)
    }

    /// Sets the content of a pin.
    [PASSIVE] fn PcForwardContentToFileObject(id: u32, file: *mut FILE_OBJECT) -> NTSTATUS {
        drmk::DrmForwardContentToFileObject(id, file)
    }

    /// Sets the content of an object's stream.
    [PASSIVE] fn PcForwardContentToInterface(id: u32, unknown: PVOID, methods: u32) -> NTSTATUS {
        drmk::DrmForwardContentToInterface(id, unknown, methods)
    }
}
