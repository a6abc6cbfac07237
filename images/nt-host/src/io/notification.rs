//! Notifications of the whole system: shutdown, changes of a device, ejection, containers. This system ends without a
//! shutdown, and its devices come and go only as the harness asks.
#![allow(unsafe_code, reason = "callbacks of the Windows ABI")]

use alloc::string::String;
use alloc::vec::Vec;

use super::device;
use crate::arch::uninterrupted::Uninterrupted;
use crate::export_functions;
use crate::ke::work;
use crate::nt::status::*;
use crate::nt::{DEVICE_OBJECT, NTSTATUS, PVOID};

/// The devices that want a shutdown request.
static SHUTDOWN: Uninterrupted<Vec<u64>> = Uninterrupted::new(Vec::new());

/// Returns the registrations, a line each, for the leak check.
#[must_use]
pub fn outstanding() -> Vec<String> {
    SHUTDOWN
        .with(|all| all.iter().map(|at| alloc::format!("the shutdown notification of the device {at:#x}")).collect())
}

/// `TARGET_DEVICE_CUSTOM_NOTIFICATION`, as far as it is checked.
#[repr(C)]
pub struct CustomNotification {
    version: u16,
    size: u16,
}

/// Bytes of a `TARGET_DEVICE_CUSTOM_NOTIFICATION` without its data.
const CUSTOM_BYTES: u16 = 36;
/// Its version.
const CUSTOM_VERSION: u16 = 1;

fn register_shutdown(device: *mut DEVICE_OBJECT) -> NTSTATUS {
    SHUTDOWN.with(|all| {
        if !all.contains(&(device as u64)) {
            all.push(device as u64);
        }
    });
    STATUS_SUCCESS
}

/// Checks a notification structure as the PnP manager does.
unsafe fn custom(device: *mut DEVICE_OBJECT, notification: *const CustomNotification) -> NTSTATUS {
    // SAFETY: an export's argument.
    unsafe {
        let CustomNotification { version, size } = *notification;
        if !device::is_device(device.cast()) {
            STATUS_NO_SUCH_DEVICE
        } else if version != CUSTOM_VERSION || size < CUSTOM_BYTES {
            STATUS_INVALID_PARAMETER
        } else {
            STATUS_SUCCESS
        }
    }
}

/// Called when a notification has reached all that registered for it: here none has.
type ChangeComplete = unsafe extern "win64" fn(context: PVOID);

export_functions! {
    /// Notifications of the system.
    pub static EXPORTS;

    /// Registers a device for the shutdown request.
    [PASSIVE] fn IoRegisterShutdownNotification(device: *mut DEVICE_OBJECT) -> NTSTATUS { register_shutdown(device) }

    /// Registers a device for the shutdown request after the file systems are flushed.
    [PASSIVE] fn IoRegisterLastChanceShutdownNotification(device: *mut DEVICE_OBJECT) -> NTSTATUS { register_shutdown(device) }

    /// Undoes it.
    [PASSIVE] fn IoUnregisterShutdownNotification(device: *mut DEVICE_OBJECT) {
        SHUTDOWN.with(|all| all.retain(|at| *at != device as u64));
    }

    /// Sends a custom event of a device to what registered for it.
    [PASSIVE] fn IoReportTargetDeviceChange(device: *mut DEVICE_OBJECT, notification: *const CustomNotification) -> NTSTATUS {
        custom(device, notification)
    }

    /// Sends a custom event of a device to what registered for it, and then calls a routine.
    [DISPATCH] fn IoReportTargetDeviceChangeAsynchronous(device: *mut DEVICE_OBJECT, notification: *const CustomNotification,
        complete: Option<ChangeComplete>, context: PVOID) -> NTSTATUS {
        let status = custom(device, notification);
        if success(status) && let Some(complete) = complete { work::queue(complete, context) }
        if success(status) { STATUS_PENDING } else { status }
    }

    /// Asks the PnP manager to eject a device: the bus cannot.
    [DISPATCH] fn IoRequestDeviceEject(device: *mut DEVICE_OBJECT) {
        crate::warn!("IoRequestDeviceEject for the device {device:p}: this guest's bus ejects nothing");
    }

    /// Asks the PnP manager to eject a device: the bus cannot.
    [DISPATCH] fn IoRequestDeviceEjectEx(device: *mut DEVICE_OBJECT, _callback: PVOID, _context: PVOID, _driver: PVOID) -> NTSTATUS {
        crate::warn!("IoRequestDeviceEjectEx for the device {device:p}: this guest's bus ejects nothing");
        STATUS_NOT_SUPPORTED
    }

    /// Reads about the session of a container: there is none but the system's.
    [PASSIVE] fn IoGetContainerInformation(class: i32, object: PVOID, _buffer: PVOID, _bytes: u32) -> NTSTATUS {
        // IoSessionStateInformation of the system session, which holds no user's.
        if class != 0 || object.is_null() { STATUS_INVALID_PARAMETER } else { STATUS_NOT_FOUND }
    }

    /// Registers for the sessions of users: none come.
    [PASSIVE] fn IoRegisterContainerNotification(class: i32, function: PVOID, _information: PVOID, _bytes: u32, registration: *mut PVOID) -> NTSTATUS {
        if class != 0 || function.is_null() { return STATUS_INVALID_PARAMETER }
        registration.write(registration.cast());
        STATUS_SUCCESS
    }

    /// Undoes it.
    [PASSIVE] fn IoUnregisterContainerNotification(_registration: PVOID) {}

    /// Reads about the disk that the system was started from: it was started from none.
    [PASSIVE] fn IoGetBootDiskInformation(_information: PVOID, _bytes: u32) -> NTSTATUS { STATUS_NOT_FOUND }

    /// Reads about the disk that the system was started from: it was started from none.
    [PASSIVE] fn IoGetBootDiskInformationLite(information: *mut PVOID) -> NTSTATUS {
        information.write(core::ptr::null_mut());
        STATUS_NOT_FOUND
    }
}
