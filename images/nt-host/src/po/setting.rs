//! Power settings that drivers watch: a mains-powered machine whose display is on, and which never changes.
#![allow(unsafe_code, reason = "callbacks of the Windows ABI")]

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::arch::uninterrupted::Uninterrupted;
use crate::base::guid;
use crate::export_functions;
use crate::nt::status::*;
use crate::nt::{DEVICE_OBJECT, GUID, NTSTATUS, PVOID};

/// A routine that is called with the value of a setting.
type SettingCallback =
    unsafe extern "win64" fn(setting: *const GUID, value: PVOID, bytes: u32, context: PVOID) -> NTSTATUS;

/// The settings that this machine has, each with its value (`wdm.h`, the power setting GUIDs): mains power, a display that
/// is on, no away mode, a battery that is full, the balanced personality's number, no battery saver.
const SETTINGS: [(GUID, u32); 6] = [
    // GUID_ACDC_POWER_SOURCE: PoAc.
    (GUID::from_u128(0x5D3E_9A59_E9D5_4B00_A6BD_FF34_FF51_6548), 0),
    // GUID_MONITOR_POWER_ON.
    (GUID::from_u128(0x0273_1015_4510_4526_99E6_E5A1_7EBD_1AEA), 1),
    // GUID_CONSOLE_DISPLAY_STATE: PowerMonitorOn.
    (GUID::from_u128(0x6FE6_9556_704A_47A0_8F24_C28D_936F_DA47), 1),
    // GUID_SYSTEM_AWAYMODE.
    (GUID::from_u128(0x98A7_F580_01F7_48AA_9C0F_4435_2C29_E5C0), 0),
    // GUID_BATTERY_PERCENTAGE_REMAINING.
    (GUID::from_u128(0xA7AD_8041_B45A_4CAE_87A3_EECB_B468_A9E1), 100),
    // GUID_POWER_SAVING_STATUS.
    (GUID::from_u128(0xE009_58C0_C213_4ACE_AC77_FECC_ED2E_EEA5), 0),
];

/// By handle, which setting is watched.
static WATCHED: Uninterrupted<Vec<(u64, GUID)>> = Uninterrupted::new(Vec::new());

/// Returns the registrations, a line each, for the leak check.
pub(super) fn outstanding() -> Vec<String> {
    let line = |(at, setting): &(u64, GUID)| {
        alloc::format!("the registration {at:#x} for the power setting {}", guid::text(setting))
    };
    WATCHED.with(|all| all.iter().map(line).collect())
}

export_functions! {
    /// Power settings.
    pub static EXPORTS;

    /// Registers a routine for a setting, and calls it with the setting's value. A setting that this machine does not have
    /// never has one.
    [PASSIVE] fn PoRegisterPowerSettingCallback(_device: *mut DEVICE_OBJECT, setting: *const GUID, callback: Option<SettingCallback>,
        context: PVOID, handle: *mut PVOID) -> NTSTATUS {
        let Some(callback) = callback else { return STATUS_INVALID_PARAMETER };
        let at = Box::into_raw(Box::new(0u8)) as u64;
        WATCHED.with(|all| all.push((at, *setting)));
        if !handle.is_null() { handle.write(at as PVOID) }
        if let Some((_, value)) = SETTINGS.iter().find(|(known, _)| *known == *setting) {
            let mut value = *value;
            crate::ke::driver_call::call("a power setting callback", || {
                callback(setting, (&raw mut value).cast(), size_of::<u32>() as u32, context)
            });
        }
        STATUS_SUCCESS
    }

    /// Undoes it.
    [PASSIVE] fn PoUnregisterPowerSettingCallback(handle: PVOID) -> NTSTATUS {
        let found = WATCHED.with(|all| {
            let index = all.iter().position(|(at, _)| *at == handle as u64)?;
            Some(all.swap_remove(index))
        });
        if found.is_none() { return STATUS_INVALID_PARAMETER }
        drop(Box::from_raw(handle.cast::<u8>()));
        STATUS_SUCCESS
    }
}
