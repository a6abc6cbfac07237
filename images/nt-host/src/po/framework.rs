//! The power management framework: components that a driver activates and idles. This system has no platform that saves
//! power: it leaves every component in F0 and never takes a device's power.
//!
//! <https://learn.microsoft.com/windows-hardware/drivers/kernel/overview-of-the-power-management-framework>
#![allow(unsafe_code, reason = "structures of the Windows ABI")]

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::arch::uninterrupted::Uninterrupted;
use crate::contract::verifier;
use crate::export_functions;
use crate::nt::status::*;
use crate::nt::{DEVICE_OBJECT, GUID, NTSTATUS, PVOID};

/// `INTERNAL_POWER_ERROR`, which misuse of the framework ends in.
const INTERNAL_POWER_ERROR: u32 = 0xa0;
/// Components of a device: the framework takes a count that no device comes near.
const COMPONENTS_MAX: u32 = 64;

type ComponentCallback = unsafe extern "win64" fn(context: PVOID, component: u32);
type IdleStateCallback = unsafe extern "win64" fn(context: PVOID, component: u32, state: u32);
type DeviceCallback = unsafe extern "win64" fn(context: PVOID);
type ControlCallback = unsafe extern "win64" fn(PVOID, *const GUID, PVOID, usize, PVOID, usize, *mut usize) -> NTSTATUS;

/// The callbacks of a `PO_FX_DEVICE`, in its order.
#[derive(Clone, Copy)]
#[repr(C)]
struct Callbacks {
    active_condition: Option<ComponentCallback>,
    idle_condition: Option<ComponentCallback>,
    idle_state: Option<IdleStateCallback>,
    power_required: Option<DeviceCallback>,
    power_not_required: Option<DeviceCallback>,
    power_control: Option<ControlCallback>,
}

/// `PO_FX_DEVICE_V1`, without its components.
#[repr(C)]
struct DeviceV1 {
    version: u32,
    component_count: u32,
    callbacks: Callbacks,
    context: PVOID,
}

/// `PO_FX_DEVICE_V2`, without its components.
#[repr(C)]
struct DeviceV2 {
    version: u32,
    flags: u64,
    callbacks: Callbacks,
    context: PVOID,
    component_count: u32,
}

/// `PO_FX_DEVICE_V3`, without its components.
#[repr(C)]
struct DeviceV3 {
    version: u32,
    flags: u64,
    callbacks: Callbacks,
    directed: [PVOID; 2],
    directed_idle_timeout: u32,
    directed_idle_timeout_seconds: u32,
    context: PVOID,
    component_count: u32,
}

const _: () = assert!(size_of::<DeviceV1>() == 64 && core::mem::offset_of!(DeviceV2, component_count) == 72);

/// How a component's idle condition is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Active,
    /// The driver has been told, and has not called `PoFxCompleteIdleCondition` yet.
    BecomingIdle,
    Idle,
}

#[derive(Clone, Copy, Debug)]
struct Component {
    activations: u32,
    condition: Condition,
}

struct Device {
    handle: u64,
    callbacks: Callbacks,
    context: u64,
    components: Vec<Component>,
    started: bool,
}
// SAFETY: the callbacks are code, and the context is an address that only the driver reads.
unsafe impl Send for Device {}

static DEVICES: Uninterrupted<Vec<Device>> = Uninterrupted::new(Vec::new());

/// Returns the devices that are registered, a line each, for the leak check.
pub(super) fn outstanding() -> Vec<String> {
    DEVICES.with(|all| {
        all.iter().map(|own| alloc::format!("the registration {:#x} with the power framework", own.handle)).collect()
    })
}

fn misuse(function: &'static str, handle: PVOID, what: &str) -> ! {
    verifier::stop(INTERNAL_POWER_ERROR, function, [0x600, handle as u64, 0, 0], format_args!("{function}: {what}"))
}

/// Runs `body` on a registered device.
fn with_device<R>(function: &'static str, handle: PVOID, body: impl FnOnce(&mut Device) -> R) -> R {
    let found = DEVICES.with(|all| all.iter_mut().find(|own| own.handle == handle as u64).map(body));
    found.unwrap_or_else(|| misuse(function, handle, "the handle is of no registered device"))
}

/// Runs `body` on a component.
fn with_component<R>(
    function: &'static str,
    handle: PVOID,
    component: u32,
    body: impl FnOnce(&mut Component, Callbacks, u64) -> R,
) -> R {
    let found = with_device(function, handle, |own| {
        let (callbacks, context) = (own.callbacks, own.context);
        own.components.get_mut(component as usize).map(|component| body(component, callbacks, context))
    });
    found.unwrap_or_else(|| misuse(function, handle, "the device has no such component"))
}

export_functions! {
    /// The power management framework.
    pub static EXPORTS;

    /// Registers a device with its components, each idle in F0.
    [PASSIVE] fn PoFxRegisterDevice(_pdo: *mut DEVICE_OBJECT, device: *const u32, out: *mut PVOID) -> NTSTATUS {
        let (callbacks, context, count) = match device.read() {
            1 => { let v1 = &*device.cast::<DeviceV1>(); (v1.callbacks, v1.context, v1.component_count) }
            2 => { let v2 = &*device.cast::<DeviceV2>(); (v2.callbacks, v2.context, v2.component_count) }
            3 => { let v3 = &*device.cast::<DeviceV3>(); (v3.callbacks, v3.context, v3.component_count) }
            _ => return STATUS_INVALID_PARAMETER,
        };
        if count == 0 || count > COMPONENTS_MAX { return STATUS_INVALID_PARAMETER }
        let handle = Box::into_raw(Box::new(0u8)) as u64;
        let components = alloc::vec![Component { activations: 0, condition: Condition::Idle }; count as usize];
        let new = Device { handle, callbacks, context: context as u64, components, started: false };
        DEVICES.with(|all| all.push(new));
        out.write(handle as PVOID);
        STATUS_SUCCESS
    }

    /// Undoes it.
    [PASSIVE] fn PoFxUnregisterDevice(handle: PVOID) {
        let found = DEVICES.with(|all| {
            let index = all.iter().position(|own| own.handle == handle as u64)?;
            Some(all.swap_remove(index))
        });
        if found.is_none() { misuse("PoFxUnregisterDevice", handle, "the handle is of no registered device") }
        drop(Box::from_raw(handle.cast::<u8>()));
    }

    /// Lets the framework begin to manage a registered device.
    [PASSIVE] fn PoFxStartDevicePowerManagement(handle: PVOID) {
        let twice = with_device("PoFxStartDevicePowerManagement", handle, |own| core::mem::replace(&mut own.started, true));
        if twice { misuse("PoFxStartDevicePowerManagement", handle, "power management was started before") }
    }

    /// Requests the active condition of a component; its callback is called where it was idle.
    [DISPATCH] fn PoFxActivateComponent(handle: PVOID, component: u32, _flags: u32) {
        let call = with_component("PoFxActivateComponent", handle, component, |own, callbacks, context| {
            own.activations += 1;
            let idle = own.condition != Condition::Active;
            own.condition = Condition::Active;
            callbacks.active_condition.filter(|_| idle).map(|routine| (routine, context))
        });
        if let Some((routine, context)) = call {
            crate::ke::driver_call::call("ComponentActiveConditionCallback", || routine(context as PVOID, component));
        }
    }

    /// Gives an activation up; with the last, the component's idle callback is called.
    [DISPATCH] fn PoFxIdleComponent(handle: PVOID, component: u32, _flags: u32) {
        let call = with_component("PoFxIdleComponent", handle, component, |own, callbacks, context| {
            own.activations = own.activations.checked_sub(1)?;
            if own.activations > 0 { return Some(None) }
            own.condition = if callbacks.idle_condition.is_some() { Condition::BecomingIdle } else { Condition::Idle };
            Some(callbacks.idle_condition.map(|routine| (routine, context)))
        });
        let Some(call) = call else { misuse("PoFxIdleComponent", handle, "the component was not activated so often") };
        if let Some((routine, context)) = call {
            crate::ke::driver_call::call("ComponentIdleConditionCallback", || routine(context as PVOID, component));
        }
    }

    /// Says that a component has become idle.
    [DISPATCH] fn PoFxCompleteIdleCondition(handle: PVOID, component: u32) {
        let right = with_component("PoFxCompleteIdleCondition", handle, component, |own, _, _| {
            let right = own.condition == Condition::BecomingIdle;
            if right { own.condition = Condition::Idle }
            right
        });
        if !right { misuse("PoFxCompleteIdleCondition", handle, "the component was not becoming idle") }
    }

    /// Says that a component has changed its state: none was asked to.
    [DISPATCH] fn PoFxCompleteIdleState(handle: PVOID, component: u32) {
        with_component("PoFxCompleteIdleState", handle, component, |_, _, _| ());
        misuse("PoFxCompleteIdleState", handle, "no change of state was asked for");
    }

    /// Says that a device can lose its power: it was not asked to.
    [DISPATCH] fn PoFxCompleteDevicePowerNotRequired(handle: PVOID) {
        with_device("PoFxCompleteDevicePowerNotRequired", handle, |_| ());
        misuse("PoFxCompleteDevicePowerNotRequired", handle, "DevicePowerNotRequiredCallback was not called");
    }

    /// Says that a device has its power.
    [DISPATCH] fn PoFxReportDevicePoweredOn(handle: PVOID) { with_device("PoFxReportDevicePoweredOn", handle, |_| ()) }

    /// Says that a component got power by itself.
    [DISPATCH] fn PoFxNotifySurprisePowerOn(_pdo: *mut DEVICE_OBJECT) {}

    /// Sets how long a device is idle before it can lose its power.
    [DISPATCH] fn PoFxSetDeviceIdleTimeout(handle: PVOID, _timeout: u64) { with_device("PoFxSetDeviceIdleTimeout", handle, |_| ()) }

    /// Sets how long a component may take to become active.
    [DISPATCH] fn PoFxSetComponentLatency(handle: PVOID, component: u32, _latency: u64) {
        with_component("PoFxSetComponentLatency", handle, component, |_, _, _| ());
    }

    /// Sets how long a component is likely to be idle.
    [DISPATCH] fn PoFxSetComponentResidency(handle: PVOID, component: u32, _residency: u64) {
        with_component("PoFxSetComponentResidency", handle, component, |_, _, _| ());
    }

    /// Sets whether a component can wake the system.
    [DISPATCH] fn PoFxSetComponentWake(handle: PVOID, component: u32, _wake: u8) {
        with_component("PoFxSetComponentWake", handle, component, |_, _, _| ());
    }

    /// Asks the platform's own driver for something: there is none.
    [APC] fn PoFxPowerControl(handle: PVOID, _code: *const GUID, _input: PVOID, _input_bytes: usize, _output: PVOID,
        _output_bytes: usize, returned: *mut usize) -> NTSTATUS {
        with_device("PoFxPowerControl", handle, |_| ());
        if let Some(returned) = returned.as_mut() { *returned = 0 }
        STATUS_NOT_IMPLEMENTED
    }
}
