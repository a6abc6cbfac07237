//! Content ids and the rights that go with them. Nothing in this guest is protected: content 0 belongs to all, and
//! mixtures of it are what else there is.

#![allow(unsafe_code, reason = "out parameters and lists of the driver's")]

use alloc::vec::Vec;

use crate::nt::status::{STATUS_INVALID_PARAMETER, STATUS_SUCCESS};
use crate::nt::{FILE_OBJECT, NTSTATUS, PVOID};
use crate::portcls::kernel::lock::Lock;

/// What is not protected, and so any content may be mixed with.
const UNPROTECTED: u32 = 0;

/// `DRMRIGHTS` (drmk.h).
#[repr(C)]
pub(crate) struct Rights {
    copy_protect: i32,
    reserved: u32,
    digital_output_disable: i32,
}

/// Mixtures that live, and the next one's id.
struct Mixtures {
    live: Vec<u32>,
    next: u32,
}

static MIXTURES: Lock<Mixtures> = Lock::new(Mixtures { live: Vec::new(), next: 1 });

fn is_content(id: u32) -> bool {
    id == UNPROTECTED || MIXTURES.with(|mixtures| mixtures.live.contains(&id))
}

fn known(id: u32) -> NTSTATUS {
    if is_content(id) { STATUS_SUCCESS } else { STATUS_INVALID_PARAMETER }
}

crate::export_functions! {
    /// Content ids.
    pub(crate) static EXPORTS;

    /// Names the entry points that will handle a content.
    [PASSIVE] fn PcAddContentHandlers(id: u32, handlers: *const PVOID, count: u32) -> NTSTATUS {
        if handlers.is_null() || count == 0 { STATUS_INVALID_PARAMETER } else { known(id) }
    }

    /// Makes a content of a mixture's parts.
    [PASSIVE] fn PcCreateContentMixed(parts: *const u32, count: u32, out: *mut u32) -> NTSTATUS {
        if parts.is_null() || out.is_null() || !(0..count as usize).all(|index| is_content(parts.add(index).read())) {
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
    [PASSIVE] fn PcDestroyContent(id: u32) -> NTSTATUS {
        let ended = MIXTURES.with(|mixtures| {
            let index = mixtures.live.iter().position(|live| *live == id)?;
            Some(mixtures.live.swap_remove(index))
        });
        if ended.is_some() { STATUS_SUCCESS } else { STATUS_INVALID_PARAMETER }
    }

    /// Returns what may be done with a content: everything.
    [PASSIVE] fn PcGetContentRights(id: u32, out: *mut Rights) -> NTSTATUS {
        if out.is_null() || !is_content(id) {
            return STATUS_INVALID_PARAMETER;
        }
        out.write(Rights { copy_protect: 0, reserved: 0, digital_output_disable: 0 });
        STATUS_SUCCESS
    }

    /// Tells a device where a content goes: a device that gets what is not protected need not be trusted.
    [PASSIVE] fn PcForwardContentToDeviceObject(id: u32, _reserved: PVOID, forward: *const PVOID) -> NTSTATUS {
        if forward.is_null() { STATUS_INVALID_PARAMETER } else { known(id) }
    }

    /// Tells a file where a content goes.
    [PASSIVE] fn PcForwardContentToFileObject(id: u32, file: *mut FILE_OBJECT) -> NTSTATUS {
        if file.is_null() { STATUS_INVALID_PARAMETER } else { known(id) }
    }

    /// Tells an object where a content goes.
    [PASSIVE] fn PcForwardContentToInterface(id: u32, unknown: PVOID, methods: u32) -> NTSTATUS {
        if unknown.is_null() || methods == 0 { STATUS_INVALID_PARAMETER } else { known(id) }
    }
}

const _: () = assert!(size_of::<Rights>() == 12);
