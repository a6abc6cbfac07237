//! The adapter's power management: registered, called when capabilities are queried and when power states change, with
//! every miniport and stream that listens, released at removal.

#![allow(unsafe_code, reason = "the adapter's object is called by slot number")]

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::contract::rules;
use crate::contract::violation::{Violation, violation};
use crate::exports::PoRequestPowerIrp;
use crate::nt::status::{
    STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER, STATUS_SUCCESS,
};
use crate::nt::{DEVICE_CAPABILITIES, DEVICE_OBJECT, IRP_MN_SET_POWER, NTSTATUS, PVOID};
use crate::pci::registers::{self, Registers};
use crate::portcls::adapter;
use crate::portcls::com::guids;
use crate::portcls::com::slots::{self, Foreign};
use crate::portcls::kernel::lock::Lock;
use crate::portcls::services::call_faults;

/// By device, each adapter's `IAdapterPowerManagement`.
static REGISTERED: Lock<Vec<(usize, Arc<Foreign>)>> = Lock::new(Vec::new());

/// `DEVICE_POWER_STATE` (wdm.h).
const D0: u32 = 1;
const D3: u32 = 4;

/// Working and the sleeping states in `DEVICE_CAPABILITIES.DeviceState`, which has a place for each system state.
const SYSTEM_STATES: usize = 7;

fn registered(fdo: *mut DEVICE_OBJECT) -> Option<Arc<Foreign>> {
    REGISTERED.with(|registered| {
        registered.iter().find(|(device, _)| *device == fdo as usize).map(|(_, object)| Arc::clone(object))
    })
}

/// Lets the adapter deepen its mapping of system to device power states, and nothing else (rule 79).
pub(crate) fn query_capabilities(fdo: *mut DEVICE_OBJECT, capabilities: *mut DEVICE_CAPABILITIES) -> NTSTATUS {
    let Some(object) = registered(fdo) else { return STATUS_SUCCESS };
    // SAFETY: the capabilities are the IRP's, whole.
    let before = unsafe { capabilities.read_unaligned() };
    // SAFETY: the registration holds the object.
    let status = unsafe { slots::adapter_power::query_device_capabilities(object.as_raw(), capabilities) };
    // SAFETY: as above.
    let after = unsafe { capabilities.read_unaligned() };
    let lighter = (0..SYSTEM_STATES).find(|&state| after.DeviceState[state] < before.DeviceState[state]);
    let other = (after.Version, after.Size, after.Bits) != (before.Version, before.Size, before.Bits)
        || (after.Address, after.UINumber) != (before.Address, before.UINumber);
    if lighter.is_some() || other {
        let what = match lighter {
            Some(state) => format!(
                "in system state {state} the device would be in device state {}, where the bus says {}",
                after.DeviceState[state], before.DeviceState[state]
            ),
            None => "something other than the power mapping was changed".into(),
        };
        violation(
            "IAdapterPowerManagement::QueryDeviceCapabilities",
            Violation::new(
                rules::CAPABILITIES,
                what,
                "only replace an entry of DeviceState by a deeper one (a larger number)",
            ),
        );
    } else {
        rules::CAPABILITIES.held();
    }
    status
}

/// Returns whether the adapter agrees to a power state.
pub(crate) fn query(fdo: *mut DEVICE_OBJECT, state: u32) -> NTSTATUS {
    match registered(fdo) {
        // SAFETY: the registration holds the object.
        Some(object) => unsafe { slots::adapter_power::query_power_change_state(object.as_raw(), state) },
        None => STATUS_SUCCESS,
    }
}

/// Takes power from the device: tells streams and miniports, then the adapter; then its registers cannot be touched.
pub(crate) fn down(fdo: *mut DEVICE_OBJECT, state: u32) {
    notify(fdo, state);
    if let Some(object) = registered(fdo) {
        // SAFETY: the registration holds the object.
        unsafe { slots::adapter_power::power_change_state(object.as_raw(), state) };
    }
    if state == D3 {
        registers::set(Registers::Forbidden);
        rules::blame(Some(rules::POWER_CYCLE));
    }
}

/// Returns the device power again: tells the adapter, then miniports and streams.
pub(crate) fn up(fdo: *mut DEVICE_OBJECT) {
    if registers::state() == Registers::Forbidden {
        registers::set(Registers::Live);
        rules::blame(None);
    }
    if let Some(object) = registered(fdo) {
        // SAFETY: the registration holds the object.
        unsafe { slots::adapter_power::power_change_state(object.as_raw(), D0) };
    }
    notify(fdo, D0);
}

/// Tells every miniport and stream of a device that wants to hear.
fn notify(fdo: *mut DEVICE_OBJECT, state: u32) {
    for port in adapter::ports_of(fdo) {
        for listener in port.power_listeners() {
            // SAFETY: the listener is held.
            unsafe { slots::power_notify::power_change_notify(listener.as_raw(), state) };
        }
    }
}

/// Returns whether a device state is the one with full power.
pub(crate) fn is_up(state: u32) -> bool {
    state == D0
}

/// Gives up a device's registration, if there is one.
pub(crate) fn unregister(fdo: *mut DEVICE_OBJECT) -> bool {
    let removed = REGISTERED.with(|registered| {
        let index = registered.iter().position(|(device, _)| *device == fdo as usize)?;
        Some(registered.swap_remove(index))
    });
    removed.is_some()
}

crate::export_functions! {
    /// Power management.
    pub(crate) static EXPORTS;

    /// Registers the adapter's power management object.
    [PASSIVE] fn PcRegisterAdapterPowerManagement(unknown: PVOID, fdo: PVOID) -> NTSTATUS {
        if unknown.is_null() {
            return STATUS_INVALID_PARAMETER;
        }
        let broken = |what: alloc::string::String| {
            violation(
                "PcRegisterAdapterPowerManagement",
                Violation::new(
                    rules::POWER_REGISTRATION,
                    what,
                    "pass an object that answers IID_IAdapterPowerManagement, and the device object that StartDevice got",
                ),
            );
            STATUS_INVALID_PARAMETER
        };
        if !adapter::is_fdo(fdo.cast()) {
            return broken(format!("{fdo:p} is no functional device object of an adapter driver"));
        }
        if call_faults::must_fail("PcRegisterAdapterPowerManagement") {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
        match Foreign::from_borrowed(unknown).query(&guids::IID_IADAPTERPOWERMANAGEMENT) {
            Ok(object) => {
                rules::POWER_REGISTRATION.held();
                unregister(fdo.cast());
                REGISTERED.with(|registered| registered.push((fdo as usize, Arc::new(object))));
                STATUS_SUCCESS
            }
            Err(status) => broken(format!("the object answers IID_IAdapterPowerManagement with {status:#010x}")),
        }
    }

    /// Asks for a new power state of the device; the request comes back to the adapter as an IRP.
    [PASSIVE] fn PcRequestNewPowerState(fdo: *mut DEVICE_OBJECT, state: u32) -> NTSTATUS {
        if !adapter::is_fdo(fdo) || !(D0..=D3).contains(&state) {
            return STATUS_INVALID_PARAMETER;
        }
        let Some(pdo) = adapter::physical(fdo) else { return STATUS_INVALID_DEVICE_REQUEST };
        PoRequestPowerIrp(pdo, IRP_MN_SET_POWER, state, None, core::ptr::null_mut(), core::ptr::null_mut())
    }

    /// Gives the registration up.
    [PASSIVE] fn PcUnregisterAdapterPowerManagement(fdo: *mut DEVICE_OBJECT) -> NTSTATUS {
        if unregister(fdo) { STATUS_SUCCESS } else { STATUS_INVALID_PARAMETER }
    }
}
