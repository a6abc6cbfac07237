//! Property and method requests, found in a driver's tables and handed to its handlers.

#![allow(unsafe_code, reason = "tables and handlers are the driver's, requests the client's")]

use super::layout::{Handler, KSMETHOD_SET, KSPROPERTY_SET};
use crate::nt::status::*;
use crate::nt::{GUID, IRP, NTSTATUS, PVOID};

/// Bytes of `KSPROPERTY` and `KSMETHOD`, and of both with a node.
const HEADER_BYTES: u32 = 24;
const NODE_HEADER_BYTES: u32 = 32;

/// `KSPROPERTY_TYPE_*` and `KSMETHOD_TYPE_*` (ks.h).
mod kind {
    /// `KSPROPERTY_TYPE_GET`.
    pub(super) const GET: u32 = 1;
    /// `KSPROPERTY_TYPE_SET`.
    pub(super) const SET: u32 = 2;
    /// `KSPROPERTY_TYPE_SET_SUPPORT`.
    pub(super) const SET_SUPPORT: u32 = 0x100;
    /// `KSPROPERTY_TYPE_BASIC_SUPPORT`.
    pub(super) const BASIC_SUPPORT: u32 = 0x200;
    /// `KSPROPERTY_TYPE_TOPOLOGY`.
    pub(super) const TOPOLOGY: u32 = 0x1000_0000;
}

/// A request as an IRP brings it.
struct Request {
    set: GUID,
    id: u32,
    flags: u32,
    input: PVOID,
    input_bytes: u32,
    data: PVOID,
    data_bytes: u32,
}

unsafe fn request(irp: *mut IRP) -> Result<Request, NTSTATUS> {
    // SAFETY: by the caller the IRP is one for IOCTL_KS_PROPERTY or IOCTL_KS_METHOD.
    unsafe {
        let parameters = (*crate::io::irp::current_stack(irp)).Parameters.DeviceIoControl;
        let (input, input_bytes) = (parameters.Type3InputBuffer, parameters.InputBufferLength.0);
        if input.is_null() || input_bytes < HEADER_BYTES {
            return Err(STATUS_INVALID_BUFFER_SIZE);
        }
        let word = |at: usize| input.cast::<u8>().add(at).cast::<u32>().read_unaligned();
        let flags = word(20);
        if flags & kind::TOPOLOGY != 0 && input_bytes < NODE_HEADER_BYTES {
            return Err(STATUS_INVALID_BUFFER_SIZE);
        }
        Ok(Request {
            set: input.cast::<GUID>().read_unaligned(),
            id: word(16),
            flags: flags & !kind::TOPOLOGY,
            input,
            input_bytes,
            data: (*irp).UserBuffer,
            data_bytes: parameters.OutputBufferLength.0,
        })
    }
}

/// Checks the sizes and calls a handler; none stands for a verb that the item has not.
unsafe fn call(irp: *mut IRP, request: &Request, handler: usize, least_input: u32, least_data: u32) -> NTSTATUS {
    // `GetSupported` and its relatives are 0 or 1: such an item's requests are the driver's own.
    if handler <= 1 {
        return STATUS_NOT_FOUND;
    }
    // SAFETY: by the caller; what is more than a BOOLEAN is a handler.
    unsafe {
        if request.input_bytes < least_input {
            return STATUS_INVALID_BUFFER_SIZE;
        }
        if request.data_bytes < least_data {
            (*irp).IoStatus.Information = least_data as usize;
            return if request.data_bytes == 0 { STATUS_BUFFER_OVERFLOW } else { STATUS_BUFFER_TOO_SMALL };
        }
        (*irp).IoStatus.Information = request.data_bytes as usize;
        let handler: Handler = core::mem::transmute(handler);
        crate::ke::driver_call::call("PFNKSHANDLER", || handler(irp, request.input, request.data))
    }
}

/// Answers BASICSUPPORT without a handler of its own: the verbs that there are, in a ULONG.
unsafe fn support(irp: *mut IRP, request: &Request, verbs: u32) -> NTSTATUS {
    const BYTES: u32 = 4;
    // SAFETY: by the caller the client's buffer is as long as it says.
    unsafe {
        (*irp).IoStatus.Information = BYTES as usize;
        match request.data_bytes {
            0 => STATUS_BUFFER_OVERFLOW,
            bytes if bytes < BYTES => STATUS_BUFFER_TOO_SMALL,
            _ => {
                request.data.cast::<u32>().write_unaligned(verbs | kind::BASIC_SUPPORT);
                STATUS_SUCCESS
            }
        }
    }
}

unsafe fn property(irp: *mut IRP, count: u32, sets: *const KSPROPERTY_SET) -> NTSTATUS {
    // SAFETY: by the caller; sets and items are the driver's.
    unsafe {
        let request = match request(irp) {
            Ok(request) => request,
            Err(status) => return status,
        };
        let mut sets = (0..count as usize).map(|index| &*sets.add(index));
        let Some(set) = sets.find(|set| *set.Set == request.set) else { return STATUS_PROPSET_NOT_FOUND };
        if request.flags & kind::SET_SUPPORT != 0 {
            return STATUS_SUCCESS;
        }
        let mut items = (0..set.PropertiesCount as usize).map(|index| &*set.PropertyItem.add(index));
        let Some(item) = items.find(|item| item.PropertyId == request.id) else { return STATUS_NOT_FOUND };
        match request.flags {
            kind::GET => call(irp, &request, item.GetPropertyHandler, item.MinProperty, item.MinData),
            kind::SET => call(irp, &request, item.SetPropertyHandler, item.MinProperty, item.MinData),
            kind::BASIC_SUPPORT => match item.SupportHandler {
                Some(handler) => call(irp, &request, handler as usize, HEADER_BYTES, 0),
                None => {
                    let has = |handler: usize, verb| if handler != 0 { verb } else { 0 };
                    let verbs = has(item.GetPropertyHandler, kind::GET) | has(item.SetPropertyHandler, kind::SET);
                    support(irp, &request, verbs)
                }
            },
            _ => STATUS_INVALID_PARAMETER,
        }
    }
}

unsafe fn method(irp: *mut IRP, count: u32, sets: *const KSMETHOD_SET) -> NTSTATUS {
    // SAFETY: by the caller; sets and items are the driver's.
    unsafe {
        let request = match request(irp) {
            Ok(request) => request,
            Err(status) => return status,
        };
        let mut sets = (0..count as usize).map(|index| &*sets.add(index));
        let Some(set) = sets.find(|set| *set.Set == request.set) else { return STATUS_PROPSET_NOT_FOUND };
        if request.flags & kind::SET_SUPPORT != 0 {
            return STATUS_SUCCESS;
        }
        let mut items = (0..set.MethodsCount as usize).map(|index| &*set.MethodItem.add(index));
        let Some(item) = items.find(|item| item.MethodId == request.id) else { return STATUS_NOT_FOUND };
        if request.flags & kind::BASIC_SUPPORT != 0 {
            return match item.SupportHandler {
                Some(handler) => call(irp, &request, handler as usize, HEADER_BYTES, 0),
                None => support(irp, &request, item.Flags),
            };
        }
        call(irp, &request, item.MethodHandler, item.MinMethod, item.MinData)
    }
}

crate::export_functions! {
    /// Property and method requests.
    pub(crate) static EXPORTS;

    /// Hands a property request to the handler of a driver's tables.
    [PASSIVE] fn KsPropertyHandler(irp: *mut IRP, count: u32, sets: *const KSPROPERTY_SET) -> NTSTATUS {
        property(irp, count, sets)
    }

    /// Hands a method request to the handler of a driver's tables.
    [PASSIVE] fn KsMethodHandler(irp: *mut IRP, count: u32, sets: *const KSMETHOD_SET) -> NTSTATUS {
        method(irp, count, sets)
    }

    /// Answers a request for a list of items of one size: `KSMULTIPLE_ITEM` and the items, or the size alone.
    [PASSIVE] fn KsHandleSizedListQuery(irp: *mut IRP, count: u32, item_bytes: u32, items: *const u8) -> NTSTATUS {
        const MULTIPLE_ITEM_BYTES: u32 = 8;
        let bytes = MULTIPLE_ITEM_BYTES + count * item_bytes;
        let room = (*crate::io::irp::current_stack(irp)).Parameters.DeviceIoControl.OutputBufferLength.0;
        let out = (*irp).UserBuffer.cast::<u32>();
        (*irp).IoStatus.Information = bytes as usize;
        match room {
            0 => STATUS_BUFFER_OVERFLOW,
            4 => {
                out.write_unaligned(bytes);
                (*irp).IoStatus.Information = 4;
                STATUS_SUCCESS
            }
            room if room < bytes => STATUS_BUFFER_TOO_SMALL,
            _ => {
                out.write_unaligned(bytes);
                out.add(1).write_unaligned(count);
                core::ptr::copy_nonoverlapping(items, out.add(2).cast(), (count * item_bytes) as usize);
                STATUS_SUCCESS
            }
        }
    }
}
