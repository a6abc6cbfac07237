//! Power states, what of them a device can, and the interfaces that announce them.

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

/// `SYSTEM_POWER_STATE`: how many there are (`PowerSystemMaximum`), from unspecified to shut down.
pub const SYSTEM_STATES: usize = 7;

/// The first system state in which the machine sleeps (`PowerSystemSleeping1`).
pub const SYSTEM_SLEEPING1: usize = 2;

/// `DEVICE_CAPABILITIES`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct DeviceCapabilities {
    /// The structure's size.
    pub size: u16,
    /// 1.
    pub version: u16,
    /// One bit for each of what the device can.
    pub bits: u32,
    /// Its address on its bus.
    pub address: u32,
    /// Its number for users.
    pub ui_number: u32,
    /// By system state, the highest state in which the device can be then.
    pub device_state: [PowerState; SYSTEM_STATES],
    /// The deepest system state from which it can wake the system.
    pub system_wake: u32,
    /// Its own deepest state from which it can.
    pub device_wake: u32,
    /// Time from D1 to D0, in 100 microseconds.
    pub d1_latency: u32,
    /// Time from D2 to D0.
    pub d2_latency: u32,
    /// Time from D3 to D0.
    pub d3_latency: u32,
}

layout! { DeviceCapabilities = "DEVICE_CAPABILITIES", 64 / 64 {
    size = "Size", 0 / 0;
    version = "Version", 2 / 2;
    address = "Address", 8 / 8;
    ui_number = "UINumber", 12 / 12;
    device_state = "DeviceState", 16 / 16;
    system_wake = "SystemWake", 44 / 44;
    device_wake = "DeviceWake", 48 / 48;
    d1_latency = "D1Latency", 52 / 52;
    d2_latency = "D2Latency", 56 / 56;
    d3_latency = "D3Latency", 60 / 60;
} }

interface! {
    /// The interface by which an adapter follows power states. PASSIVE_LEVEL.
    IAdapterPowerManagement, IAdapterPowerManagementTable: IUnknownTable {
        /// The new state.
        3 power_change_state "PowerChangeState" (state: PowerState);
        /// May the state change?
        4 query_power_change_state "QueryPowerChangeState" (state: PowerState) -> NtStatus;
        /// Edits the `DEVICE_CAPABILITIES`: mappings may only be deepened.
        5 query_device_capabilities "QueryDeviceCapabilities" (
            capabilities: *mut DeviceCapabilities,
        ) -> NtStatus;
    }
}

interface! {
    /// The interface by which a miniport or stream is notified of power states: on the way down after the streams have
    /// paused, on the way up before they go on. PASSIVE_LEVEL.
    IPowerNotify, IPowerNotifyTable: IUnknownTable {
        /// The state that comes (down) or is there (up).
        3 power_change_notify "PowerChangeNotify" (state: PowerState);
    }
}

/// `PC_REBALANCE_TYPE`: what an adapter can do when its resources are to change.
pub mod rebalance_type {
    /// Nothing.
    pub const NOT_SUPPORTED: u32 = 0;
    /// It takes its subdevices away and registers them anew.
    pub const REMOVE_SUBDEVICES: u32 = 1;
}

interface! {
    /// The interface by which an adapter follows the rebalancing of resources. PASSIVE_LEVEL.
    IAdapterPnpManagement, IAdapterPnpManagementTable: IUnknownTable {
        /// What the adapter can do: one of [`rebalance_type`].
        3 get_supported_rebalance_type "GetSupportedRebalanceType" () -> u32;
        /// The device is about to be stopped.
        4 pnp_query_stop "PnpQueryStop" ();
        /// It is not; perhaps without a `PnpQueryStop` before.
        5 pnp_cancel_stop "PnpCancelStop" ();
        /// The device is stopped: resources are to be released.
        6 pnp_stop "PnpStop" ();
    }
}

interface! {
    /// The interface by which a Topology or WaveRT miniport is notified of a stop. PASSIVE_LEVEL.
    IMiniportPnpNotify, IMiniportPnpNotifyTable: IUnknownTable {
        /// The device is being stopped.
        3 pnp_stop "PnpStop" ();
    }
}
