//! The adapter's plug and play management: registered, asked and told when a device is stopped for other resources.

#![allow(unsafe_code, reason = "the adapter's object is called by slot number")]

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::contract::ports;
use crate::contract::violation::{Violation, violation};
use crate::nt::status::{STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER, STATUS_SUCCESS};
use crate::nt::{DEVICE_OBJECT, NTSTATUS, PVOID};
use crate::portcls::adapter;
use crate::portcls::com::guids;
use crate::portcls::com::slots::{self, Foreign};
use crate::portcls::kernel::lock::Lock;
use crate::portcls::services::call_faults;

/// `PcRebalanceRemoveSubdevices` of `PC_REBALANCE_TYPE` (portcls.h of Windows 10).
const REMOVE_SUBDEVICES: u32 = 1;

/// By device, each adapter's `IAdapterPnpManagement`.
static REGISTERED: Lock<Vec<(usize, Arc<Foreign>)>> = Lock::new(Vec::new());

fn registered(fdo: *mut DEVICE_OBJECT) -> Option<Arc<Foreign>> {
    REGISTERED.with(|registered| {
        registered.iter().find(|(device, _)| *device == fdo as usize).map(|(_, object)| Arc::clone(object))
    })
}

/// Asks an adapter what it can do when its device is to be stopped, and tells it of the stop that is about to come.
///
/// The devices of this host are stopped whatever the answer is: those of drivers that are older than the interface are.
pub(super) fn query_stop(fdo: *mut DEVICE_OBJECT) {
    let Some(object) = registered(fdo) else { return };
    // SAFETY: the registration holds the object.
    unsafe {
        let kind = slots::adapter_pnp::get_supported_rebalance_type(object.as_raw());
        if kind != REMOVE_SUBDEVICES {
            crate::info!(
                "GetSupportedRebalanceType answers {kind}: Windows would not stop this device for a rebalance"
            );
        }
        slots::adapter_pnp::pnp_query_stop(object.as_raw());
    }
}

/// Tells an adapter that its device is not stopped.
pub(super) fn cancel_stop(fdo: *mut DEVICE_OBJECT) {
    if let Some(object) = registered(fdo) {
        // SAFETY: the registration holds the object.
        unsafe { slots::adapter_pnp::pnp_cancel_stop(object.as_raw()) };
    }
}

/// Tells miniports that have `IMiniportPnpNotify`, and then their adapter, that the device is being stopped.
pub(super) fn stop(fdo: *mut DEVICE_OBJECT) {
    for port in adapter::ports_of(fdo) {
        let Some(miniport) = port.miniport() else { continue };
        if let Ok(listener) = miniport.query(&guids::IID_IMINIPORTPNPNOTIFY) {
            // SAFETY: the reference keeps the listener.
            unsafe { slots::miniport_pnp::pnp_stop(listener.as_raw()) };
        }
    }
    if let Some(object) = registered(fdo) {
        // SAFETY: the registration holds the object.
        unsafe { slots::adapter_pnp::pnp_stop(object.as_raw()) };
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

fn broken(function: &str, what: String) -> NTSTATUS {
    violation(
        function,
        Violation::new(
            ports::PNP_REGISTRATION,
            what,
            "register an object that answers IID_IAdapterPnpManagement with the device object that StartDevice got, and take back once what was registered",
        ),
    );
    STATUS_INVALID_PARAMETER
}

crate::export_functions! {
    /// Plug and play management.
    pub(crate) static EXPORTS;

    /// Registers the adapter's plug and play management object.
    [PASSIVE] fn PcRegisterAdapterPnpManagement(unknown: PVOID, fdo: *mut DEVICE_OBJECT) -> NTSTATUS {
        if unknown.is_null() {
            return STATUS_INVALID_PARAMETER;
        }
        if !adapter::is_fdo(fdo) {
            return broken("PcRegisterAdapterPnpManagement", format!("{fdo:p} is no functional device object of an adapter driver"));
        }
        if call_faults::must_fail("PcRegisterAdapterPnpManagement") {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
        match Foreign::from_borrowed(unknown).query(&guids::IID_IADAPTERPNPMANAGEMENT) {
            Ok(object) => {
                ports::PNP_REGISTRATION.held();
                unregister(fdo);
                REGISTERED.with(|registered| registered.push((fdo as usize, Arc::new(object))));
                STATUS_SUCCESS
            }
            Err(status) => broken(
                "PcRegisterAdapterPnpManagement",
                format!("the object answers IID_IAdapterPnpManagement with {status:#010x}"),
            ),
        }
    }

    /// Gives the registration up.
    [PASSIVE] fn PcUnregisterAdapterPnpManagement(fdo: *mut DEVICE_OBJECT) -> NTSTATUS {
        if unregister(fdo) {
            ports::PNP_REGISTRATION.held();
            return STATUS_SUCCESS;
        }
        broken("PcUnregisterAdapterPnpManagement", format!("nothing is registered with the device at {fdo:p}"))
    }
}
