//! The interfaces of a port that stand for functions of PortCls: `IDrmPort2`, `IPortClsPower`, `IPortClsPnp` and
//! `IPortClsStreamResourceManager2`.

#![allow(unsafe_code, reason = "drivers call the port through its vtables")]

use super::Port;
use super::adapter::{self, Registration};
use crate::nt::status::{STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER, STATUS_SUCCESS};
use crate::nt::{NTSTATUS, PVOID};
use crate::portcls::com::object::{Com, Facet, Slot, facet_unknown};
use crate::portcls::kernel::irql;

/// The vtable of `IDrmPort2`, which begins with `IDrmPort`.
pub(super) static DRM_VTABLE: [Slot; 10] = {
    let unknown = facet_unknown::<Port>();
    [
        unknown[0],
        unknown[1],
        unknown[2],
        Slot(create_content_mixed as *const ()),
        Slot(destroy_content as *const ()),
        Slot(forward_content_to_file_object as *const ()),
        Slot(forward_content_to_interface as *const ()),
        Slot(get_content_rights as *const ()),
        Slot(add_content_handlers as *const ()),
        Slot(forward_content_to_device_object as *const ()),
    ]
};

/// The vtable of `IPortClsPower`.
pub(super) static POWER_VTABLE: [Slot; 6] = {
    let unknown = facet_unknown::<Port>();
    [
        unknown[0],
        unknown[1],
        unknown[2],
        Slot(register_adapter_power_management as *const ()),
        Slot(unregister_adapter_power_management as *const ()),
        Slot(set_idle_power_management as *const ()),
    ]
};

/// The vtable of `IPortClsPnp`.
pub(super) static PNP_VTABLE: [Slot; 5] = {
    let unknown = facet_unknown::<Port>();
    [
        unknown[0],
        unknown[1],
        unknown[2],
        Slot(register_adapter_pnp_management as *const ()),
        Slot(unregister_adapter_pnp_management as *const ()),
    ]
};

/// The vtable of `IPortClsStreamResourceManager2`, which begins with `IPortClsStreamResourceManager`.
pub(super) static STREAM_RESOURCES_VTABLE: [Slot; 6] = {
    let unknown = facet_unknown::<Port>();
    [
        unknown[0],
        unknown[1],
        unknown[2],
        Slot(add_stream_resource as *const ()),
        Slot(remove_stream_resource as *const ()),
        Slot(add_stream_resource_2 as *const ()),
    ]
};

type This = *mut Facet<Port>;

/// Hands a call on to `drmk.sys`, which holds the contents. Tests of the host have no such module.
macro_rules! drmk {
    ($name:ident($($arg:expr),*)) => {{
        #[cfg(target_os = "none")]
        // SAFETY: the caller keeps what drmk.h demands of this function.
        let status = unsafe { crate::drmk::$name($($arg as _),*) };
        #[cfg(not(target_os = "none"))]
        let status = {
            let _ = ($($arg,)*);
            crate::nt::status::STATUS_NOT_SUPPORTED
        };
        status
    }};
}

unsafe extern "win64" fn create_content_mixed(_: This, parts: *const u32, count: u32, out: *mut u32) -> NTSTATUS {
    irql::passive("IDrmPort", "CreateContentMixed");
    drmk!(DrmCreateContentMixed(parts, count, out))
}

unsafe extern "win64" fn destroy_content(_: This, id: u32) -> NTSTATUS {
    irql::passive("IDrmPort", "DestroyContent");
    drmk!(DrmDestroyContent(id))
}

unsafe extern "win64" fn forward_content_to_file_object(_: This, id: u32, file: PVOID) -> NTSTATUS {
    irql::passive("IDrmPort", "ForwardContentToFileObject");
    drmk!(DrmForwardContentToFileObject(id, file))
}

unsafe extern "win64" fn forward_content_to_interface(_: This, id: u32, unknown: PVOID, methods: u32) -> NTSTATUS {
    irql::passive("IDrmPort", "ForwardContentToInterface");
    drmk!(DrmForwardContentToInterface(id, unknown, methods))
}

unsafe extern "win64" fn get_content_rights(_: This, id: u32, out: PVOID) -> NTSTATUS {
    irql::passive("IDrmPort", "GetContentRights");
    drmk!(DrmGetContentRights(id, out))
}

unsafe extern "win64" fn add_content_handlers(_: This, id: u32, handlers: *const PVOID, count: u32) -> NTSTATUS {
    irql::passive("IDrmPort2", "AddContentHandlers");
    drmk!(DrmAddContentHandlers(id, handlers, count))
}

unsafe extern "win64" fn forward_content_to_device_object(
    _: This,
    id: u32,
    reserved: PVOID,
    target: PVOID,
) -> NTSTATUS {
    irql::passive("IDrmPort2", "ForwardContentToDeviceObject");
    drmk!(DrmForwardContentToDeviceObject(id, reserved, target))
}

unsafe extern "win64" fn register_adapter_power_management(_: This, unknown: PVOID, fdo: PVOID) -> NTSTATUS {
    // SAFETY: the caller's object.
    unsafe { adapter::services().register(fdo, Registration::Power(unknown)) }
}

unsafe extern "win64" fn unregister_adapter_power_management(_: This, fdo: PVOID) -> NTSTATUS {
    // SAFETY: no object is passed.
    unsafe { adapter::services().register(fdo, Registration::NoPower) }
}

/// Answers that idle power management is on or off: a device of this host is never idle long enough to matter.
unsafe extern "win64" fn set_idle_power_management(_: This, fdo: PVOID, _enabled: u8) -> NTSTATUS {
    irql::passive("IPortClsPower", "SetIdlePowerManagement");
    if adapter::services().physical_device(fdo).is_null() { STATUS_INVALID_PARAMETER } else { STATUS_SUCCESS }
}

unsafe extern "win64" fn register_adapter_pnp_management(_: This, unknown: PVOID, fdo: PVOID) -> NTSTATUS {
    // SAFETY: the caller's object.
    unsafe { adapter::services().register(fdo, Registration::Pnp(unknown)) }
}

unsafe extern "win64" fn unregister_adapter_pnp_management(_: This, fdo: PVOID) -> NTSTATUS {
    // SAFETY: no object is passed.
    unsafe { adapter::services().register(fdo, Registration::NoPnp) }
}

/// Adds a resource of the port's own device.
unsafe extern "win64" fn add_stream_resource(
    this: This,
    set: PVOID,
    descriptor: PVOID,
    handle: *mut PVOID,
) -> NTSTATUS {
    // SAFETY: the caller holds a reference to the facet, which is one to its port.
    let port = unsafe { Com::<Port>::from_borrowed(Facet::owner(this)) };
    let Some(fdo) = port.and_then(|port| port.device()) else { return STATUS_INVALID_DEVICE_REQUEST };
    let pdo = adapter::services().physical_device(fdo);
    // SAFETY: the caller's descriptor and out parameter.
    unsafe { adapter::services().add_stream_resource(pdo, set, descriptor, handle) }
}

unsafe extern "win64" fn remove_stream_resource(_: This, handle: PVOID) -> NTSTATUS {
    adapter::services().remove_stream_resource(handle)
}

unsafe extern "win64" fn add_stream_resource_2(
    _: This,
    pdo: PVOID,
    set: PVOID,
    descriptor: PVOID,
    handle: *mut PVOID,
) -> NTSTATUS {
    // SAFETY: the caller's descriptor and out parameter.
    unsafe { adapter::services().add_stream_resource(pdo, set, descriptor, handle) }
}
