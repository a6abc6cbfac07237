//! Power states, and the interfaces that announce them.

use core::ffi::c_void;

use crate::interface::IUnknownTable;
use crate::status::NtStatus;

/// `POWER_STATE`: a union of a system and a device state; PortCls passes device states.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowerState(pub u32);

impl PowerState {
    /// Fully on (`PowerDeviceD0`).
    pub const D0: Self = Self(1);
    /// `PowerDeviceD1`.
    pub const D1: Self = Self(2);
    /// `PowerDeviceD2`.
    pub const D2: Self = Self(3);
    /// Off: the device's state is lost (`PowerDeviceD3`).
    pub const D3: Self = Self(4);
}

layout! { PowerState = "POWER_STATE", 4 / 4 {} }

interface! {
    /// What an adapter implements to follow power states. PASSIVE_LEVEL.
    IAdapterPowerManagement, IAdapterPowerManagementTable: IUnknownTable {
        /// The new state.
        3 power_change_state "PowerChangeState" (state: PowerState);
        /// May the state change?
        4 query_power_change_state "QueryPowerChangeState" (state: PowerState) -> NtStatus;
        /// Edits the `DEVICE_CAPABILITIES`: mappings may only be deepened.
        5 query_device_capabilities "QueryDeviceCapabilities" (capabilities: *mut c_void) -> NtStatus;
    }
}

interface! {
    /// What a miniport or stream implements to learn of power states: on the way down after the streams have paused,
    /// on the way up before they go on. PASSIVE_LEVEL.
    IPowerNotify, IPowerNotifyTable: IUnknownTable {
        /// The state that comes (down) or is there (up).
        3 power_change_notify "PowerChangeNotify" (state: PowerState);
    }
}
