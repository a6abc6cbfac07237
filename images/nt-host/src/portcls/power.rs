//! The adapter's power management object: registered, asked when capabilities are queried, released at removal.

#![allow(unsafe_code, reason = "the adapter's object is called by slot number")]

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::adapter;
use super::guids;
use super::lock::Lock;
use super::rules::{self, Broken};
use super::slots::{self, Foreign};
use super::violation;
use crate::nt::status::{STATUS_INVALID_PARAMETER, STATUS_SUCCESS};
use crate::nt::{DEVICE_CAPABILITIES, DEVICE_OBJECT, NTSTATUS, PVOID};

/// By device, each adapter's `IAdapterPowerManagement`.
static REGISTERED: Lock<Vec<(usize, Arc<Foreign>)>> = Lock::new(Vec::new());

/// Lets the adapter deepen its mapping of system to device power states.
pub(super) fn query_capabilities(fdo: *mut DEVICE_OBJECT, capabilities: *mut DEVICE_CAPABILITIES) -> NTSTATUS {
    let object = REGISTERED.with(|registered| {
        registered.iter().find(|(device, _)| *device == fdo as usize).map(|(_, object)| Arc::clone(object))
    });
    match object {
        // SAFETY: the registration holds the object; the capabilities are the IRP's.
        Some(object) => unsafe { slots::adapter_power::query_device_capabilities(object.as_raw(), capabilities) },
        None => STATUS_SUCCESS,
    }
}

/// Gives up a device's registration, if there is one.
pub(super) fn unregister(fdo: *mut DEVICE_OBJECT) -> bool {
    let removed = REGISTERED.with(|registered| {
        let index = registered.iter().position(|(device, _)| *device == fdo as usize)?;
        Some(registered.swap_remove(index))
    });
    removed.is_some()
}

crate::exports! {
    /// Power management.
    pub(crate) static EXPORTS;

    /// Registers the adapter's power management object.
    [PASSIVE] fn PcRegisterAdapterPowerManagement(unknown: PVOID, fdo: PVOID) -> NTSTATUS {
        if unknown.is_null() {
            return STATUS_INVALID_PARAMETER;
        }
        let broken = |what: alloc::string::String| -> ! {
            violation(
                "PcRegisterAdapterPowerManagement",
                Broken::new(
                    rules::POWER_REGISTRATION,
                    what,
                    "pass an object that answers IID_IAdapterPowerManagement, and the device object that StartDevice got",
                ),
            )
        };
        if !adapter::is_fdo(fdo.cast()) {
            broken(format!("{fdo:p} is no functional device object of an adapter driver"));
        }
        match Foreign::from_borrowed(unknown).query(&guids::IID_IADAPTERPOWERMANAGEMENT) {
            Ok(object) => {
                unregister(fdo.cast());
                REGISTERED.with(|registered| registered.push((fdo as usize, Arc::new(object))));
                STATUS_SUCCESS
            }
            Err(status) => broken(format!("the object answers IID_IAdapterPowerManagement with {status:#010x}")),
        }
    }

    /// Gives the registration up.
    [PASSIVE] fn PcUnregisterAdapterPowerManagement(fdo: *mut DEVICE_OBJECT) -> NTSTATUS {
        if unregister(fdo) { STATUS_SUCCESS } else { STATUS_INVALID_PARAMETER }
    }
}
