//! `IAdapterPowerManagement`: the device's power states, for hosts that notify the adapter of them.
//!
//! PortCls notifies the miniport too (`IPowerNotify`): on the way down before the adapter, on the way up after it. The
//! first notification of a change does the work, and the second finds it done.
#![allow(unsafe_code, reason = "a virtual table of functions that PortCls calls")]

use core::ptr::NonNull;

use dmus_miniport::irql::Passive;
use dmus_miniport::lock::Gate;
use dmus_miniport::log::Part;
use dmus_miniport::power_states;
use portcls::guid::IID_IAdapterPowerManagement;
use portcls::power::{DeviceCapabilities, IAdapterPowerManagement, IAdapterPowerManagementTable, PowerState};
use portcls::{Guid, NtStatus};

use crate::com::{Class, Object, unknown};
use crate::kernel::{Mutex, Windows, log};
use crate::running::Running;

/// The started card that follows the device's power.
struct Follower(Option<NonNull<Running>>);

// SAFETY: a started card is made to be shared.
unsafe impl Send for Follower {}

/// The adapter's power management. It may outlive the card, and holds no reference to it.
pub(crate) struct AdapterPower(Gate<Windows, Follower>);

impl AdapterPower {
    /// Makes it without a card. `None`: no memory.
    pub(crate) fn new(level: Passive) -> Option<Self> {
        Some(Self(Gate::behind(Mutex::new(level)?, Follower(None))))
    }

    /// Sets the card that follows the device's power, or none. When this returns the one before is not used any more.
    ///
    /// # Safety
    /// The card lives until another takes its place.
    pub(crate) unsafe fn set_follower(&self, level: Passive, running: Option<NonNull<Running>>) {
        self.0.with(level, |follower| follower.0 = running);
    }
}

/// Brings a card to a power state. Every state below D0 is off.
pub(crate) fn change(level: Passive, running: &Running, state: PowerState) {
    if state != PowerState::D0 {
        running.card.power_down(level);
    } else if let Err(error) = running.card.power_up(level) {
        log(&[Part::Text("the card does not come back to power: "), Part::Reason(error.into())]);
    }
}

impl Class for AdapterPower {
    type Table = IAdapterPowerManagementTable;
    const TABLE: &'static IAdapterPowerManagementTable = &IAdapterPowerManagementTable {
        base: unknown::<Self>(),
        power_change_state,
        query_power_change_state,
        query_device_capabilities,
    };
    type Others = ();
    const OTHERS: () = ();

    fn has(&self, iid: &Guid) -> bool {
        *iid == IID_IAdapterPowerManagement
    }
}

unsafe extern "system" fn power_change_state(this: *mut IAdapterPowerManagement, state: PowerState) {
    // SAFETY: called through the table of an adapter's power management.
    let power = unsafe { Object::<AdapterPower>::of(this) };
    // SAFETY: documented for PASSIVE_LEVEL.
    let level = unsafe { Passive::assume() };
    power.class.0.with(level, |follower| {
        if let Some(running) = follower.0 {
            // SAFETY: it lives as long as it follows, and the lock is held.
            change(level, unsafe { running.as_ref() }, state);
        }
    });
}

/// Agrees to every state: the card can be switched off at any time, for events are held and downloads kept.
unsafe extern "system" fn query_power_change_state(_: *mut IAdapterPowerManagement, _: PowerState) -> NtStatus {
    NtStatus::SUCCESS
}

unsafe extern "system" fn query_device_capabilities(
    _: *mut IAdapterPowerManagement,
    capabilities: *mut DeviceCapabilities,
) -> NtStatus {
    // SAFETY: PortCls gives the structure of the request, or null.
    let Some(capabilities) = (unsafe { capabilities.as_mut() }) else { return NtStatus::INVALID_PARAMETER };
    power_states::sleep_is_d3(capabilities);
    NtStatus::SUCCESS
}
