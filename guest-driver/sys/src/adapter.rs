//! The driver's entry points: `DriverEntry`, `AddDevice`, `StartDevice`.
#![allow(unsafe_code, reason = "entry points that the system calls")]

use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use dmus_miniport::filter::SUBDEVICE_NAME;
use dmus_miniport::irql::Passive;
use dmus_miniport::log::Part;
use portcls::guid::CLSID_PortDMus;
use portcls::resource::IResourceList;
use portcls::services::{DEVICE_EXTENSION_BYTES, IPort};
use portcls::wdm::DeviceObject;
use portcls::{Guid, NtStatus, Opaque};

use crate::com::{Foreign, Object, call};
use crate::function::Function;
use crate::kernel::log;
use crate::miniport::Miniport;
use crate::power::AdapterPower;
use crate::status::check;
use crate::{nt, pc, pool};

/// Subdevices of a card.
const SUBDEVICES: u32 = 1;

/// Bytes of a device's extension: those of PortCls, and a pointer of the driver's own.
const EXTENSION_BYTES: usize = DEVICE_EXTENSION_BYTES + size_of::<*mut Opaque>();

/// The subdevice's name in UTF-16. PortCls keeps the pointer as long as the device lives.
static NAME: [u16; SUBDEVICE_NAME.len() + 1] = {
    let mut name = [0; SUBDEVICE_NAME.len() + 1];
    let mut i = 0;
    while i < SUBDEVICE_NAME.len() {
        assert!(SUBDEVICE_NAME.as_bytes()[i].is_ascii());
        name[i] = SUBDEVICE_NAME.as_bytes()[i] as u16;
        i += 1;
    }
    name
};

static PORT_CLASS: Guid = CLSID_PortDMus;

/// Initialises the driver, when it is loaded.
#[unsafe(no_mangle)]
unsafe extern "system" fn DriverEntry(driver: *mut Opaque, registry_path: *mut Opaque) -> NtStatus {
    // SAFETY: the system calls this at PASSIVE_LEVEL.
    pool::choose(unsafe { Passive::assume() });
    // SAFETY: the system's own parameters, passed on.
    unsafe { pc::PcInitializeAdapterDriver(driver, registry_path, add_device) }
}

/// Adds the device object of a card.
unsafe extern "system" fn add_device(driver: *mut Opaque, physical_device: *mut Opaque) -> NtStatus {
    // SAFETY: the system's own parameters, passed on.
    let added = check(unsafe {
        pc::PcAddAdapterDevice(driver, physical_device, start_device, SUBDEVICES, EXTENSION_BYTES as u32)
    });
    if let Err(status) = added {
        return status;
    }
    // The system attaches no other device before this function has returned.
    // SAFETY: a device object that the system lends.
    let device = unsafe { nt::IoGetAttachedDeviceReference(physical_device) };
    // SAFETY: the device object that PortCls has just made, with an extension of that size.
    unsafe { own_extension(device) }.store(physical_device.cast(), Ordering::Release);
    // SAFETY: the reference of above.
    unsafe { nt::ObfDereferenceObject(device) };
    NtStatus::SUCCESS
}

/// Returns the driver's own part of a device's extension, behind that of PortCls: the physical device object. `PcGetPhysicalDeviceObject`
/// is younger than the oldest Windows that the image is for.
///
/// # Safety
/// The device is one that [`add_device`] has made, and lives as long as the reference is used.
unsafe fn own_extension<'a>(device: *mut Opaque) -> &'a AtomicPtr<c_void> {
    // SAFETY: the caller's promise; the extension has room for a pointer there.
    unsafe { &*(*device.cast::<DeviceObject>()).device_extension.byte_add(DEVICE_EXTENSION_BYTES) }
}

/// Starts a card with the resources that it has been given: its port and miniport.
unsafe extern "system" fn start_device(
    device: *mut Opaque,
    irp: *mut Opaque,
    resources: *mut IResourceList,
) -> NtStatus {
    // SAFETY: PortCls calls this at PASSIVE_LEVEL.
    let level = unsafe { Passive::assume() };
    // SAFETY: PortCls' own parameters.
    match unsafe { start(level, device, irp, resources) } {
        Ok(()) => NtStatus::SUCCESS,
        Err(status) => {
            log(&[Part::Text("the card does not start: "), Part::Hex(status.0.into())]);
            status
        }
    }
}

/// Makes power management, port and miniport, and registers the subdevice.
///
/// # Safety
/// The parameters are those of `StartDevice`.
unsafe fn start(
    level: Passive,
    device: *mut Opaque,
    irp: *mut Opaque,
    resources: *mut IResourceList,
) -> Result<(), NtStatus> {
    if resources.is_null() {
        return Err(NtStatus::DEVICE_CONFIGURATION_ERROR);
    }
    // SAFETY: the device that `add_device` has made.
    let physical_device = unsafe { own_extension(device) }.load(Ordering::Acquire).cast();
    let function = Function::find(level, device, physical_device)?;

    let power = AdapterPower::new(level).and_then(|power| Object::make(level, power));
    let power = power.ok_or(NtStatus::INSUFFICIENT_RESOURCES)?;
    // SAFETY: both are alive; PortCls adds its own reference.
    check(unsafe { pc::PcRegisterAdapterPowerManagement(power.as_interface(), device) })?;

    let mut port = ptr::null_mut();
    // SAFETY: a place for a pointer, and a class id.
    check(unsafe { pc::PcNewPort(&raw mut port, &raw const PORT_CLASS) })?;
    // SAFETY: the reference is ours.
    let port: Foreign<IPort> = unsafe { Foreign::take(port) }.ok_or(NtStatus::UNSUCCESSFUL)?;
    let miniport = Miniport::new(level, function, power).and_then(|miniport| Object::make(level, miniport));
    let miniport = miniport.ok_or(NtStatus::INSUFFICIENT_RESOURCES)?;
    // SAFETY: the port is referenced; the rest are the parameters of `StartDevice`, and no adapter object.
    check(unsafe { call!(port.as_ptr(), init, device, irp, miniport.as_interface(), ptr::null_mut(), resources) })?;
    // SAFETY: the name is a constant, the port is referenced.
    check(unsafe { pc::PcRegisterSubdevice(device, NAME.as_ptr(), port.as_ptr().cast()) })
    // Miniport and port go on by PortCls' own references.
}
