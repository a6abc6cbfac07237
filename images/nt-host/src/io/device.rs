//! Device objects and their stacks.
#![allow(unsafe_code, reason = "objects of the Windows ABI")]

use alloc::vec::Vec;
use core::ptr::null_mut;

use super::names;
use crate::contract::verifier;
use crate::export_functions;
use crate::mm::pool::{self, Owner};
use crate::nt::status::*;
use crate::nt::*;

const TAG: u32 = u32::from_le_bytes(*b"Devi");
/// Largest device extension; a size is 16 bits in the object's header.
const EXTENSION_MAX: u32 = 0xf000;
/// `DOE_DELETE_PENDING`.
const DELETE_PENDING: u32 = 2;

/// Makes a device object. The extension is in an allocation of its own, so that its overrun is found.
///
/// # Safety
/// `driver` is a live driver object.
pub unsafe fn create(
    driver: *mut DRIVER_OBJECT,
    extension: u32,
    kind: u32,
    characteristics: u32,
) -> Option<*mut DEVICE_OBJECT> {
    let whole = size_of::<DEVICE_OBJECT>() as u64;
    let device = pool::allocate(whole, TAG, false, Owner::System)? as *mut DEVICE_OBJECT;
    let own = pool::allocate(size_of::<DEVOBJ_EXTENSION>() as u64, TAG, false, Owner::System)? as *mut DEVOBJ_EXTENSION;
    let extension_memory = match extension {
        0 => null_mut(),
        bytes => {
            let memory = pool::allocate(bytes.into(), TAG, false, Owner::System)? as *mut u8;
            // SAFETY: fresh.
            unsafe { memory.write_bytes(0, bytes as usize) };
            memory.cast()
        }
    };
    // SAFETY: fresh memory; the driver object is the caller's promise.
    unsafe {
        device.cast::<u8>().write_bytes(0, whole as usize);
        own.cast::<u8>().write_bytes(0, size_of::<DEVOBJ_EXTENSION>());
        (*device).Type = IO_TYPE_DEVICE;
        (*device).Size = (whole + u64::from(extension)) as u16;
        (*device).ReferenceCount = 0;
        (*device).DriverObject = driver;
        (*device).Flags = DO_DEVICE_INITIALIZING;
        (*device).Characteristics = characteristics;
        (*device).DeviceExtension = extension_memory;
        (*device).DeviceType = kind;
        (*device).StackSize = 1;
        (*device).DeviceObjectExtension = own;
        (*own).Type = 13;
        (*own).DeviceObject = device;
        (*device).NextDevice = (*driver).DeviceObject;
        (*driver).DeviceObject = device;
    }
    Some(device)
}

/// Returns the top of the stack that a device is in.
///
/// # Safety
/// `device` is live.
pub unsafe fn top(mut device: *mut DEVICE_OBJECT) -> *mut DEVICE_OBJECT {
    // SAFETY: stacks are well-formed.
    unsafe {
        while !(*device).AttachedDevice.is_null() {
            device = (*device).AttachedDevice;
        }
    }
    device
}

/// Returns the bottom of the stack that a device is in: its physical device object.
///
/// # Safety
/// `device` is live.
pub unsafe fn bottom(mut device: *mut DEVICE_OBJECT) -> *mut DEVICE_OBJECT {
    // SAFETY: stacks are well-formed.
    unsafe {
        while !(*(*device).DeviceObjectExtension).AttachedTo.is_null() {
            device = (*(*device).DeviceObjectExtension).AttachedTo;
        }
    }
    device
}

/// Returns the devices of a driver.
///
/// # Safety
/// `driver` is live.
pub unsafe fn of_driver(driver: *mut DRIVER_OBJECT) -> Vec<*mut DEVICE_OBJECT> {
    let mut devices = Vec::new();
    // SAFETY: the list is well-formed.
    unsafe {
        let mut device = (*driver).DeviceObject;
        while !device.is_null() {
            devices.push(device);
            device = (*device).NextDevice;
        }
    }
    devices
}

fn check(function: &'static str, device: *mut DEVICE_OBJECT) {
    // SAFETY: only looks whether the memory is live, then at its type.
    if !pool::contains(device as u64, size_of::<DEVICE_OBJECT>() as u64) || unsafe { (*device).Type } != IO_TYPE_DEVICE
    {
        verifier::stop(
            0xc9,
            function,
            [device as u64, 0, 0, 0],
            format_args!("{device:p} is no device object, or was deleted"),
        );
    }
}

/// Frees a device object whose last reference is gone.
unsafe fn finish(device: *mut DEVICE_OBJECT) {
    // SAFETY: the caller gives a live device without references.
    unsafe {
        let driver = (*device).DriverObject;
        let mut link = &raw mut (*driver).DeviceObject;
        while !(*link).is_null() && *link != device {
            link = &raw mut (**link).NextDevice;
        }
        if *link == device {
            *link = (*device).NextDevice;
        }
        names::forget_device(device);
        if !(*device).DeviceExtension.is_null() {
            pool::free("IoDeleteDevice", (*device).DeviceExtension as u64, None);
        }
        pool::free("IoDeleteDevice", (*device).DeviceObjectExtension as u64, None);
        pool::free("IoDeleteDevice", device as u64, None);
    }
}

/// Takes a reference.
///
/// # Safety
/// `device` is live.
pub unsafe fn reference(device: *mut DEVICE_OBJECT) {
    check("ObReferenceObject", device);
    // SAFETY: checked.
    unsafe { (*device).ReferenceCount += 1 };
}

/// Returns a reference up.
///
/// # Safety
/// `device` is live.
pub unsafe fn release(device: *mut DEVICE_OBJECT) {
    check("ObDereferenceObject", device);
    // SAFETY: checked.
    unsafe {
        if (*device).ReferenceCount == 0 {
            verifier::stop(
                0x18,
                "ObDereferenceObject",
                [0, device as u64, 0, 0],
                format_args!("the device object at {device:p} has no references: it is dereferenced once too often"),
            );
        }
        (*device).ReferenceCount -= 1;
        if (*device).ReferenceCount == 0 && (*(*device).DeviceObjectExtension).ExtensionFlags & DELETE_PENDING != 0 {
            finish(device);
        }
    }
}

/// Returns whether an object is a live device object.
#[must_use]
pub fn is_device(object: PVOID) -> bool {
    // SAFETY: only reads what is live pool.
    pool::contains(object as u64, size_of::<DEVICE_OBJECT>() as u64)
        && unsafe { (*object.cast::<DEVICE_OBJECT>()).Type } == IO_TYPE_DEVICE
}

unsafe fn attach(source: *mut DEVICE_OBJECT, target: *mut DEVICE_OBJECT) -> *mut DEVICE_OBJECT {
    check("IoAttachDeviceToDeviceStack", source);
    check("IoAttachDeviceToDeviceStack", target);
    // SAFETY: checked.
    unsafe {
        let under = top(target);
        if (*under).Flags & DO_DEVICE_INITIALIZING != 0 && under != target {
            return null_mut();
        }
        (*under).AttachedDevice = source;
        (*source).StackSize = (*under).StackSize + 1;
        (*source).AlignmentRequirement = (*under).AlignmentRequirement;
        (*source).SectorSize = (*under).SectorSize;
        (*(*source).DeviceObjectExtension).AttachedTo = under;
        under
    }
}

export_functions! {
    /// Devices.
    pub static EXPORTS;

    /// Creates a device object.
    [PASSIVE] fn IoCreateDevice(driver: *mut DRIVER_OBJECT, extension: u32, name: *const UNICODE_STRING, kind: u32,
        characteristics: u32, exclusive: u8, out: *mut *mut DEVICE_OBJECT) -> NTSTATUS {
        if extension > EXTENSION_MAX {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
        {
            let text = match name.as_ref().map(|name| names::check_name(name)).transpose() {
                Ok(text) => text,
                Err(refused) => return refused,
            };
            if text.as_ref().is_some_and(|text| names::device(text).is_some()) {
                return STATUS_OBJECT_NAME_COLLISION;
            }
            let Some(device) = create(driver, extension, kind, characteristics) else { return STATUS_INSUFFICIENT_RESOURCES };
            if exclusive != 0 {
                (*device).Flags |= DO_EXCLUSIVE;
            }
            if let Some(text) = text {
                (*device).Flags |= DO_DEVICE_HAS_NAME;
                names::name_device(text, device);
            }
            out.write(device);
        }
        STATUS_SUCCESS
    }

    /// Deletes a device object, when its last reference is gone.
    [APC] fn IoDeleteDevice(device: *mut DEVICE_OBJECT) {
        check("IoDeleteDevice", device);
        {
            if !(*device).AttachedDevice.is_null() {
                verifier::stop(0xc9, "IoDeleteDevice", [device as u64, (*device).AttachedDevice as u64, 0, 0],
                    format_args!("the device object at {device:p} is deleted while another is attached to it"));
            }
            if !(*(*device).DeviceObjectExtension).AttachedTo.is_null() {
                verifier::stop(0xc9, "IoDeleteDevice", [device as u64, 0, 0, 0],
                    format_args!("the device object at {device:p} is deleted while it is attached: call IoDetachDevice first"));
            }
            if (*device).ReferenceCount == 0 {
                finish(device);
            } else {
                (*(*device).DeviceObjectExtension).ExtensionFlags |= DELETE_PENDING;
            }
        }
    }

    /// Attaches a device to the top of a stack and gives what it is attached to.
    [DISPATCH] fn IoAttachDeviceToDeviceStack(source: *mut DEVICE_OBJECT, target: *mut DEVICE_OBJECT) -> *mut DEVICE_OBJECT {
        attach(source, target)
    }

    /// Attaches a device to the top of a stack.
    [DISPATCH] fn IoAttachDeviceToDeviceStackSafe(source: *mut DEVICE_OBJECT, target: *mut DEVICE_OBJECT,
        under: *mut *mut DEVICE_OBJECT) -> NTSTATUS {
        {
            let lower = attach(source, target);
            under.write(lower);
            if lower.is_null() { STATUS_NO_SUCH_DEVICE } else { STATUS_SUCCESS }
        }
    }

    /// Takes what is attached to a device off it.
    [DISPATCH] fn IoDetachDevice(target: *mut DEVICE_OBJECT) {
        check("IoDetachDevice", target);
        {
            let upper = (*target).AttachedDevice;
            if upper.is_null() {
                verifier::stop(0xc9, "IoDetachDevice", [target as u64, 0, 0, 0],
                    format_args!("nothing is attached to the device object at {target:p}: pass the device that IoAttachDeviceToDeviceStack gave"));
            }
            (*target).AttachedDevice = null_mut();
            (*(*upper).DeviceObjectExtension).AttachedTo = null_mut();
        }
    }

    /// Returns the top of a device's stack.
    [DISPATCH] fn IoGetAttachedDevice(device: *mut DEVICE_OBJECT) -> *mut DEVICE_OBJECT { top(device) }

    /// Returns the top of a device's stack, with a reference.
    [DISPATCH] fn IoGetAttachedDeviceReference(device: *mut DEVICE_OBJECT) -> *mut DEVICE_OBJECT {
        {
            let top = top(device);
            reference(top);
            top
        }
    }

    /// Returns what a device is attached to, with a reference, or null.
    [DISPATCH] fn IoGetLowerDeviceObject(device: *mut DEVICE_OBJECT) -> *mut DEVICE_OBJECT {
        {
            let lower = (*(*device).DeviceObjectExtension).AttachedTo;
            if !lower.is_null() { reference(lower) }
            lower
        }
    }

    /// Returns the physical device object of a stack, with a reference.
    [DISPATCH] fn IoGetDeviceAttachmentBaseRef(device: *mut DEVICE_OBJECT) -> *mut DEVICE_OBJECT {
        {
            let base = bottom(device);
            reference(base);
            base
        }
    }

    /// Notes that something about a device's relations has changed.
    [DISPATCH] fn IoInvalidateDeviceRelations(_device: *mut DEVICE_OBJECT, _kind: i32) {}

    /// Notes that something about a device's state has changed.
    [PASSIVE] fn IoInvalidateDeviceState(_device: *mut DEVICE_OBJECT) {}

    /// Allocates memory that goes with a driver object, by an identifier.
    [DISPATCH] fn IoAllocateDriverObjectExtension(driver: *mut DRIVER_OBJECT, id: PVOID, bytes: u32, out: *mut PVOID) -> NTSTATUS {
        {
            if !IoGetDriverObjectExtension(driver, id).is_null() {
                return STATUS_OBJECT_NAME_COLLISION;
            }
            let Some(memory) = pool::allocate(u64::from(bytes) + 16, TAG, false, Owner::System) else { return STATUS_INSUFFICIENT_RESOURCES };
            let head = memory as *mut [PVOID; 2];
            (memory as *mut u8).write_bytes(0, bytes as usize + 16);
            head.write([(*(*driver).DriverExtension).ClientDriverExtension, id]);
            (*(*driver).DriverExtension).ClientDriverExtension = head.cast();
            out.write(head.add(1).cast());
        }
        STATUS_SUCCESS
    }

    /// Returns memory that goes with a driver object.
    [DISPATCH] fn IoGetDriverObjectExtension(driver: *mut DRIVER_OBJECT, id: PVOID) -> PVOID {
        {
            let mut at = (*(*driver).DriverExtension).ClientDriverExtension.cast::<[PVOID; 2]>();
            while !at.is_null() {
                if (*at)[1] == id {
                    return at.add(1).cast();
                }
                at = (*at)[0].cast();
            }
        }
        null_mut()
    }
}
