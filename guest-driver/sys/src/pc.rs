//! The imports from PortCls.
#![allow(unsafe_code, reason = "PortCls is behind a foreign interface")]

use portcls::descriptor::PcPropertyRequest;
use portcls::interface::IUnknown;
use portcls::resource::IResourceList;
use portcls::services::{IInterruptSync, IPort, IServiceGroup};
use portcls::{Guid, NtStatus, Opaque};

/// `PDRIVER_ADD_DEVICE`.
pub(crate) type AddDevice = unsafe extern "system" fn(driver: *mut Opaque, physical_device: *mut Opaque) -> NtStatus;

/// `PCPFNSTARTDEVICE`.
pub(crate) type StartDevice =
    unsafe extern "system" fn(device: *mut Opaque, irp: *mut Opaque, resources: *mut IResourceList) -> NtStatus;

#[cfg_attr(
    target_arch = "x86",
    link(name = "portcls.sys", kind = "raw-dylib", modifiers = "+verbatim", import_name_type = "undecorated")
)]
#[cfg_attr(not(target_arch = "x86"), link(name = "portcls.sys", kind = "raw-dylib", modifiers = "+verbatim"))]
unsafe extern "system" {
    pub(crate) fn PcInitializeAdapterDriver(
        driver: *mut Opaque,
        registry_path: *mut Opaque,
        add_device: AddDevice,
    ) -> NtStatus;
    pub(crate) fn PcAddAdapterDevice(
        driver: *mut Opaque,
        physical_device: *mut Opaque,
        start_device: StartDevice,
        max_objects: u32,
        device_extension_size: u32,
    ) -> NtStatus;
    pub(crate) fn PcRegisterAdapterPowerManagement(unknown: *mut IUnknown, device: *mut Opaque) -> NtStatus;
    pub(crate) fn PcCompletePendingPropertyRequest(request: *mut PcPropertyRequest, status: NtStatus) -> NtStatus;
    pub(crate) fn PcGetTimeInterval(since: u64) -> u64;
    pub(crate) fn PcNewPort(out: *mut *mut IPort, class: *const Guid) -> NtStatus;
    pub(crate) fn PcRegisterSubdevice(device: *mut Opaque, name: *const u16, unknown: *mut IUnknown) -> NtStatus;
    pub(crate) fn PcNewServiceGroup(out: *mut *mut IServiceGroup, outer: *mut IUnknown) -> NtStatus;
    pub(crate) fn PcNewInterruptSync(
        out: *mut *mut IInterruptSync,
        outer: *mut IUnknown,
        resources: *mut IResourceList,
        index: u32,
        mode: u32,
    ) -> NtStatus;
}
