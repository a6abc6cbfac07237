//! Devices and drivers in the system's books.
#![allow(unsafe_code, reason = "the system is behind a foreign interface")]

use alloc::string::String;
use alloc::vec::Vec;
use core::ptr::{null, null_mut};

use dmus_agent::guid::Guid;
use dmus_agent::system::{DeviceChange, DeviceState, SystemError};

use super::api::{self, DevInfoData, Handle, InstallParameters, InterfaceData, InterfaceDetail, PropertyChange};
use super::layer::Layer;
use super::text;

/// `DIGCF_PRESENT`, `DIGCF_ALLCLASSES`, `DIGCF_DEVICEINTERFACE`.
const PRESENT: u32 = 2;
const ALL_CLASSES: u32 = 4;
const DEVICE_INTERFACE: u32 = 16;

/// `SPDRP_HARDWAREID`.
const HARDWARE_ID: u32 = 1;

/// `DIF_REMOVE`, `DIF_PROPERTYCHANGE`.
const REMOVE: u32 = 5;
const PROPERTY_CHANGE: u32 = 0x12;

/// `DI_REMOVEDEVICE_GLOBAL`, `DICS_FLAG_GLOBAL`.
const GLOBAL: u32 = 1;

/// `DI_NEEDRESTART` and `DI_NEEDREBOOT`.
const NEEDS_RESTART: u32 = 0x80 | 0x100;

/// `INSTALLFLAG_FORCE` and `INSTALLFLAG_NONINTERACTIVE`.
const FORCE: u32 = 1;
const NON_INTERACTIVE: u32 = 4;

/// Longest device instance id, with its zero (`MAX_DEVICE_ID_LEN`), and longest list of hardware ids that is read.
const ID_UNITS: usize = 201;
const IDS_UNITS: usize = 4096;

/// A list of devices.
struct Devices<'l> {
    layer: &'l Layer,
    list: Handle,
}

impl<'l> Devices<'l> {
    fn new(layer: &'l Layer, category: Option<&api::Guid>) -> Result<Self, SystemError> {
        let flags = PRESENT | if category.is_some() { DEVICE_INTERFACE } else { ALL_CLASSES };
        let category = category.map_or(null(), core::ptr::from_ref);
        // SAFETY: a category, or none.
        let list = unsafe { (layer.class_devices)(category, null(), null_mut(), flags) };
        if list == api::INVALID_HANDLE { Err(api::last_error()) } else { Ok(Self { layer, list }) }
    }

    fn device(&self, index: u32) -> Result<Option<DevInfoData>, SystemError> {
        let mut data =
            DevInfoData { size: size_of::<DevInfoData>() as u32, class: api::Guid([0; 16]), instance: 0, reserved: 0 };
        // SAFETY: a structure of the size that it says.
        if unsafe { (self.layer.enum_device)(self.list, index, &raw mut data) } != 0 {
            return Ok(Some(data));
        }
        match api::last_error() {
            SystemError(api::ERROR_NO_MORE_ITEMS) => Ok(None),
            error => Err(error),
        }
    }

    fn instance(&self, device: &DevInfoData) -> Result<String, SystemError> {
        let mut id = [0; ID_UNITS];
        // SAFETY: a device of the list, and room for so many units.
        let done = unsafe { (self.layer.instance_id)(self.list, device, id.as_mut_ptr(), ID_UNITS as u32, null_mut()) };
        if done == 0 { Err(api::last_error()) } else { Ok(text::narrow(&id)) }
    }

    /// Returns the hardware ids; none where the device has none.
    fn hardware_ids(&self, device: &DevInfoData) -> Vec<String> {
        let mut ids = alloc::vec![0_u16; IDS_UNITS];
        // SAFETY: a device of the list, and room for so many bytes.
        let done = unsafe {
            let (bytes, size) = (ids.as_mut_ptr().cast(), 2 * IDS_UNITS as u32);
            (self.layer.registry_property)(self.list, device, HARDWARE_ID, null_mut(), bytes, size, null_mut())
        };
        if done == 0 {
            return Vec::new();
        }
        ids.split(|unit| *unit == 0).take_while(|id| !id.is_empty()).map(String::from_utf16_lossy).collect()
    }

    fn find(&self, instance: &str) -> Result<DevInfoData, SystemError> {
        for index in 0.. {
            let Some(device) = self.device(index)? else { break };
            if self.instance(&device)?.eq_ignore_ascii_case(instance) {
                return Ok(device);
            }
        }
        Err(SystemError(api::ERROR_NO_MORE_ITEMS))
    }

    /// Has the class installer do something to a device, with parameters. Returns whether it waits for a reboot.
    fn call<P>(&self, device: &DevInfoData, function: u32, parameters: &P) -> Result<bool, SystemError> {
        let size = size_of::<P>() as u32;
        // SAFETY: parameters of the size that they say.
        unsafe {
            let parameters = core::ptr::from_ref(parameters).cast();
            if (self.layer.set_parameters)(self.list, device, parameters, size) == 0
                || (self.layer.call_installer)(function, self.list, device) == 0
            {
                return Err(api::last_error());
            }
        }
        // SAFETY: all zero is valid, and the size is what the system checks.
        let mut after: InstallParameters = unsafe { core::mem::zeroed() };
        after.size = size_of::<InstallParameters>() as u32;
        // SAFETY: as above.
        if unsafe { (self.layer.install_parameters)(self.list, device, &raw mut after) } == 0 {
            return Err(api::last_error());
        }
        Ok(after.flags & NEEDS_RESTART != 0)
    }
}

impl Drop for Devices<'_> {
    fn drop(&mut self) {
        // SAFETY: its only owner.
        unsafe { (self.layer.destroy_list)(self.list) };
    }
}

/// Returns the paths of a category's device interfaces.
pub(super) fn interfaces(layer: &Layer, category: &Guid) -> Result<Vec<String>, SystemError> {
    let category = api::Guid(*category);
    let devices = Devices::new(layer, Some(&category))?;
    let mut paths = Vec::new();
    for index in 0.. {
        let mut data =
            InterfaceData { size: size_of::<InterfaceData>() as u32, class: api::Guid([0; 16]), flags: 0, reserved: 0 };
        // SAFETY: a structure of the size that it says.
        if unsafe { (layer.enum_interface)(devices.list, null(), &raw const category, index, &raw mut data) } == 0 {
            match api::last_error() {
                SystemError(api::ERROR_NO_MORE_ITEMS) => break,
                error => return Err(error),
            }
        }
        let mut detail = InterfaceDetail { size: api::INTERFACE_DETAIL_SIZE, path: [0; 1024] };
        let size = size_of::<InterfaceDetail>() as u32;
        // SAFETY: room for so many bytes.
        if unsafe {
            (layer.interface_detail)(devices.list, &raw const data, &raw mut detail, size, null_mut(), null_mut())
        } == 0
        {
            return Err(api::last_error());
        }
        paths.push(text::narrow(&detail.path));
    }
    Ok(paths)
}

/// Returns the present devices whose hardware id begins so.
pub(super) fn devices(layer: &Layer, hardware_id: &str) -> Result<Vec<DeviceState>, SystemError> {
    let devices = Devices::new(layer, None)?;
    let wanted = hardware_id.to_ascii_lowercase();
    let mut found = Vec::new();
    for index in 0.. {
        let Some(device) = devices.device(index)? else { break };
        if devices.hardware_ids(&device).iter().any(|id| id.to_ascii_lowercase().starts_with(&wanted)) {
            let (mut status, mut problem) = (0, 0);
            // SAFETY: two places for numbers.
            let code = unsafe { (layer.node_status)(&raw mut status, &raw mut problem, device.instance, 0) };
            if code != 0 {
                // A CONFIGRET, which has no place among the system's errors.
                return Err(SystemError(api::ERROR_GEN_FAILURE));
            }
            found.push(DeviceState { instance: devices.instance(&device)?, status, problem });
        }
    }
    Ok(found)
}

/// Changes a device's state.
pub(super) fn change(layer: &Layer, instance: &str, change: DeviceChange) -> Result<bool, SystemError> {
    let devices = Devices::new(layer, None)?;
    let device = devices.find(instance)?;
    let change = match change {
        DeviceChange::Enable => 1,
        DeviceChange::Disable => 2,
        DeviceChange::Restart => 3,
    };
    let parameters = PropertyChange { size: 8, function: PROPERTY_CHANGE, change, scope: GLOBAL, profile: 0 };
    devices.call(&device, PROPERTY_CHANGE, &parameters)
}

/// Removes a device.
pub(super) fn remove(layer: &Layer, instance: &str) -> Result<(), SystemError> {
    let devices = Devices::new(layer, None)?;
    let device = devices.find(instance)?;
    let parameters = api::RemoveDevice { size: 8, function: REMOVE, scope: GLOBAL, profile: 0 };
    devices.call(&device, REMOVE, &parameters).map(drop)
}

/// Installs a driver for every device with a hardware id.
pub(super) fn install(layer: &Layer, inf: &str, hardware_id: &str) -> Result<bool, SystemError> {
    let (inf, id) = (text::wide(inf), text::wide(hardware_id));
    let mut reboot = 0;
    // SAFETY: texts that end with a zero, and a place for a number.
    let done = unsafe {
        (layer.update_driver)(null_mut(), id.as_ptr(), inf.as_ptr(), FORCE | NON_INTERACTIVE, &raw mut reboot)
    };
    if done == 0 { Err(api::last_error()) } else { Ok(reboot != 0) }
}
