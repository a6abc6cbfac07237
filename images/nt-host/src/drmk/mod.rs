//! This guest's own `drmk.sys`: content ids and the rights that go with them.
//!
//! Nothing in this guest is protected: content 0 belongs to all, mixtures of it are what else there is, and everything may
//! be done with them. A module that gets what is not protected need not be signed, so that no module is authenticated;
//! ids and rights are handed on as documented.

#![cfg(target_os = "none")]
#![allow(unsafe_code, reason = "out parameters, lists and interfaces of the driver's")]

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::arch::uninterrupted::Uninterrupted;
use crate::contract::kernel;
use crate::contract::violation::{Violation, violation};
use crate::io::irp::send_synchronous;
use crate::nt::status::*;
use crate::nt::{
    DEVICE_OBJECT, FILE_OBJECT, GUID, IO_DEVICE_CONTROL, IRP_MJ_DEVICE_CONTROL, NTSTATUS, POINTER_ALIGNED, PVOID,
};

/// What is not protected, and so any content may be mixed with.
const UNPROTECTED: u32 = 0;
/// `IOCTL_KS_PROPERTY` (ks.h).
const IOCTL_KS_PROPERTY: u32 = 0x002f_0003;
/// `KSPROPERTY_TYPE_SET` (ks.h).
const TYPE_SET: u32 = 2;
/// `KSPROPSETID_DrmAudioStream`, whose only property, `KSPROPERTY_DRMAUDIOSTREAM_CONTENTID`, is 0 (ksmedia.h).
const DRM_AUDIO_STREAM: GUID =
    GUID { Data1: 0x2f2c_8ddd, Data2: 0x4198, Data3: 0x4fac, Data4: [0xba, 0x29, 0x61, 0xbb, 0x05, 0xb7, 0xde, 0x06] };
const CONTENT_ID: u32 = 0;
/// `IID_IDrmAudioStream` (drmk.h).
static IID_DRM_AUDIO_STREAM: GUID =
    GUID { Data1: 0x1915_c967, Data2: 0x3299, Data3: 0x48cb, Data4: [0xa3, 0xe4, 0x69, 0xfd, 0x1d, 0x1b, 0x30, 0x6e] };

/// `DRMRIGHTS` (drmk.h).
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Rights {
    copy_protect: i32,
    reserved: u32,
    digital_output_disable: i32,
}

/// `DRMRIGHTS_DEFAULT`: everything may be done.
const DEFAULT_RIGHTS: Rights = Rights { copy_protect: 0, reserved: 0, digital_output_disable: 0 };

/// `DRMFORWARD` (drmk.h).
#[repr(C)]
pub(crate) struct Forward {
    flags: u32,
    device: *mut DEVICE_OBJECT,
    file: *mut FILE_OBJECT,
    context: PVOID,
}

/// `KSDRMAUDIOSTREAM_CONTENTID` (drmk.h).
#[repr(C)]
struct ContentId {
    id: u32,
    rights: Rights,
}

/// `KSP_DRMAUDIOSTREAM_CONTENTID` (drmk.h): the property's descriptor, with a way to each function of this module.
#[repr(C)]
struct Descriptor {
    set: GUID,
    id: u32,
    flags: u32,
    context: PVOID,
    functions: [*const (); 7],
}

/// The vtable of `IDrmAudioStream` (drmk.h).
#[repr(C)]
struct AudioStreamTable {
    query_interface: unsafe extern "win64" fn(PVOID, *const GUID, *mut PVOID) -> NTSTATUS,
    add_ref: unsafe extern "win64" fn(PVOID) -> u32,
    release: unsafe extern "win64" fn(PVOID) -> u32,
    set_content_id: unsafe extern "win64" fn(PVOID, u32, *const Rights) -> NTSTATUS,
}

/// Mixtures that live, and the next one's id.
struct Mixtures {
    live: Vec<u32>,
    next: u32,
}

static MIXTURES: Uninterrupted<Mixtures> = Uninterrupted::new(Mixtures { live: Vec::new(), next: 1 });

fn is_content(id: u32) -> bool {
    id == UNPROTECTED || MIXTURES.with(|mixtures| mixtures.live.contains(&id))
}

/// Returns what drivers have made here and not destroyed, for the report at unload.
#[must_use]
pub(crate) fn leftovers() -> Option<String> {
    let live = MIXTURES.with(|mixtures| core::mem::take(&mut mixtures.live));
    (!live.is_empty()).then(|| format!("content ids that DrmCreateContentMixed made: {live:?}"))
}

/// Sets a pin's content id and rights, as the DRM system does.
unsafe fn set_content(id: u32, device: *mut DEVICE_OBJECT, file: *mut FILE_OBJECT, context: PVOID) -> NTSTATUS {
    let functions = [
        DrmAddContentHandlers as *const (),
        DrmCreateContentMixed as *const (),
        DrmDestroyContent as *const (),
        DrmForwardContentToDeviceObject as *const (),
        DrmForwardContentToFileObject as *const (),
        DrmForwardContentToInterface as *const (),
        DrmGetContentRights as *const (),
    ];
    let mut descriptor = Descriptor { set: DRM_AUDIO_STREAM, id: CONTENT_ID, flags: TYPE_SET, context, functions };
    let mut value = ContentId { id, rights: DEFAULT_RIGHTS };
    // SAFETY: by the caller device and file live; both buffers live until the packet is complete.
    unsafe {
        send_synchronous(device, STATUS_NOT_SUPPORTED, |irp, stack| {
            stack.MajorFunction = IRP_MJ_DEVICE_CONTROL;
            stack.FileObject = file;
            stack.Parameters.DeviceIoControl = IO_DEVICE_CONTROL {
                OutputBufferLength: POINTER_ALIGNED(size_of::<ContentId>() as u32),
                InputBufferLength: POINTER_ALIGNED(size_of::<Descriptor>() as u32),
                IoControlCode: POINTER_ALIGNED(IOCTL_KS_PROPERTY),
                Type3InputBuffer: (&raw mut descriptor).cast(),
            };
            irp.UserBuffer = (&raw mut value).cast();
        })
        .0
    }
}

crate::export_functions! {
    /// What drivers import from `drmk.sys`.
    pub(crate) static EXPORTS;

    /// Names the entry points that will handle a content.
    [PASSIVE] fn DrmAddContentHandlers(id: u32, handlers: *const PVOID, count: u32) -> NTSTATUS {
        let each = |index: usize| !handlers.add(index).read().is_null();
        if handlers.is_null() || count == 0 || !is_content(id) || !(0..count as usize).all(each) {
            return STATUS_INVALID_PARAMETER;
        }
        STATUS_SUCCESS
    }

    /// Makes a content of a mixture's parts, of which there may be none.
    [PASSIVE] fn DrmCreateContentMixed(parts: *const u32, count: u32, out: *mut u32) -> NTSTATUS {
        let known = |index: usize| is_content(parts.add(index).read());
        if out.is_null() || (count != 0 && parts.is_null()) || !(0..count as usize).all(known) {
            return STATUS_INVALID_PARAMETER;
        }
        out.write(MIXTURES.with(|mixtures| {
            let id = mixtures.next;
            mixtures.next += 1;
            mixtures.live.push(id);
            id
        }));
        STATUS_SUCCESS
    }

    /// Ends a mixture.
    [PASSIVE] fn DrmDestroyContent(id: u32) -> NTSTATUS {
        let ended = MIXTURES.with(|mixtures| {
            let index = mixtures.live.iter().position(|live| *live == id)?;
            Some(mixtures.live.swap_remove(index))
        });
        if ended.is_none() {
            violation(
                "DrmDestroyContent",
                Violation::new(
                    kernel::CONTENT_ID,
                    format!("content {id} was not made by DrmCreateContentMixed, or is destroyed already"),
                    "destroy what DrmCreateContentMixed gave, once; content 0 and the content of a stream are not the \
                     driver's",
                ),
            );
            return STATUS_INVALID_PARAMETER;
        }
        STATUS_SUCCESS
    }

    /// Returns what may be done with a content: everything.
    [PASSIVE] fn DrmGetContentRights(id: u32, out: *mut Rights) -> NTSTATUS {
        if out.is_null() || !is_content(id) {
            return STATUS_INVALID_PARAMETER;
        }
        out.write(DEFAULT_RIGHTS);
        STATUS_SUCCESS
    }

    /// Sets the content of a pin of another device, by a property request.
    [PASSIVE] fn DrmForwardContentToDeviceObject(id: u32, _reserved: PVOID, forward: *const Forward) -> NTSTATUS {
        let Some(forward) = forward.as_ref() else { return STATUS_INVALID_PARAMETER };
        if forward.device.is_null() || forward.file.is_null() || !is_content(id) {
            return STATUS_INVALID_PARAMETER;
        }
        set_content(id, forward.device, forward.file, forward.context)
    }

    /// Sets the content of a pin, by a property request.
    [PASSIVE] fn DrmForwardContentToFileObject(id: u32, file: *mut FILE_OBJECT) -> NTSTATUS {
        if file.is_null() || (*file).DeviceObject.is_null() || !is_content(id) {
            return STATUS_INVALID_PARAMETER;
        }
        set_content(id, (*file).DeviceObject, file, file.cast())
    }

    /// Sets the content of an object's stream, by its `IDrmAudioStream`.
    [PASSIVE] fn DrmForwardContentToInterface(id: u32, unknown: PVOID, methods: u32) -> NTSTATUS {
        if unknown.is_null() || methods == 0 || !is_content(id) {
            return STATUS_INVALID_PARAMETER;
        }
        let mut stream = core::ptr::null_mut();
        let table = unknown.cast::<*const AudioStreamTable>().read();
        let status = crate::ke::driver_call::call("QueryInterface", || ((*table).query_interface)(unknown, &raw const IID_DRM_AUDIO_STREAM, &raw mut stream));
        if !success(status) || stream.is_null() {
            return if success(status) { STATUS_NOT_IMPLEMENTED } else { status };
        }
        let table = stream.cast::<*const AudioStreamTable>().read();
        let rights = DEFAULT_RIGHTS;
        let status = crate::ke::driver_call::call("IDrmAudioStream::SetContentId", || ((*table).set_content_id)(stream, id, &raw const rights));
        crate::ke::driver_call::call("IDrmAudioStream::Release", || ((*table).release)(stream));
        status
    }
}

const _: () = assert!(size_of::<Rights>() == 12);
const _: () = assert!(size_of::<Forward>() == 32);
const _: () = assert!(size_of::<Descriptor>() == 88);
const _: () = assert!(size_of::<ContentId>() == 16);
