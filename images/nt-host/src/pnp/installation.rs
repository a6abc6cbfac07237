//! Writes into the registry what the installation of the driver leaves there, as its INF says: before `DriverEntry` the
//! keys of the service, before `AddDevice` those of the device, its driver and its interfaces.
//!
//! Specification: Microsoft, "Registry Trees and Keys for Devices and Drivers".

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use guest_protocol::{Install, Model, RegistryRoot, RegistryValue};

use crate::arch::boot_files;
use crate::arch::fw_cfg::FwCfgError;
use crate::devnode::{Node, installation};
use crate::io::registry::{self, Value};
use crate::io::{names, property};
use crate::nt::{DEVICE_OBJECT, GUID};

/// The key that holds what belongs to the running system.
const CONTROL_SET: &str = "\\Registry\\Machine\\System\\CurrentControlSet";

/// `REG_SZ` (wdm.h).
const REG_SZ: u32 = 1;
/// `REG_MULTI_SZ` (wdm.h).
const REG_MULTI_SZ: u32 = 7;

/// Reads what the harness has found in the driver's INF, if one was given.
///
/// # Panics
/// If the file is there and cannot be read: harness and guest are not of one build.
pub fn init() {
    match boot_files::file(guest_protocol::INSTALLATION_FILE) {
        Ok(bytes) => match guest_protocol::Installation::from_bytes(&bytes) {
            Ok(installed) => installation::set(installed),
            Err(error) => panic!("{error}"),
        },
        Err(FwCfgError::NotFound(_) | FwCfgError::Absent) => {}
        Err(error) => panic!("{error}"),
    }
}

fn write(path: &str, value: &RegistryValue) {
    let RegistryValue { name, kind, data } = value;
    registry::write_value(path, Value { kind: *kind, data: data.clone(), name: name.clone() });
}

fn write_text(path: &str, name: &str, text: &str) {
    write_texts(path, name, REG_SZ, &[text.to_owned()]);
}

/// Writes a string, or a list of strings with an empty one at its end.
fn write_texts(path: &str, name: &str, kind: u32, texts: &[String]) {
    let wide = |text: &String| text.encode_utf16().chain([0]).collect::<Vec<u16>>();
    let mut units: Vec<u16> = texts.iter().flat_map(wide).collect();
    if kind == REG_MULTI_SZ {
        units.push(0);
    }
    let data = units.into_iter().flat_map(u16::to_le_bytes).collect();
    registry::write_value(path, Value { kind, data, name: name.into() });
}

fn below(base: &str, path: &str) -> String {
    if path.is_empty() { base.into() } else { format!("{base}\\{path}") }
}

/// Writes the keys of one root, and those of no device where `machine` says so.
fn write_keys(install: &Install, root: RegistryRoot, base: &str) {
    for key in install.keys.iter().filter(|key| key.root == root) {
        let path = below(base, &key.path);
        registry::create(&path);
        key.values.iter().for_each(|value| write(&path, value));
    }
}

/// Writes the keys of the driver's service. `key` is its own.
pub fn install_service(install: &Install, key: &str) {
    write_keys(install, RegistryRoot::Service, key);
    write_keys(install, RegistryRoot::Machine, "\\Registry\\Machine");
    write_keys(install, RegistryRoot::Users, "\\Registry\\User");
}

/// Writes the keys of a device, of its driver, and of its interfaces, which are there and disabled until the driver
/// enables them.
pub fn install_device(pdo: *mut DEVICE_OBJECT, node: &Node) {
    let Some((model, install)) = installation::of(node) else { return };
    let device = format!("{CONTROL_SET}\\Enum\\{}", node.instance_path());
    let parameters = format!("{device}\\Device Parameters");
    let driver = format!("{CONTROL_SET}\\Control\\Class\\{}", property::driver_key_name());
    for key in [&device, &parameters, &driver] {
        registry::create(key);
    }
    describe_device(&device, node, &model, &install);
    describe_driver(&driver, node, &model, &install);
    write_keys(&install, RegistryRoot::Driver, &driver);
    write_keys(&install, RegistryRoot::Device, &parameters);
    for interface in &install.interfaces {
        let class = GUID::from_bytes(interface.class);
        let reference = (!interface.reference.is_empty()).then_some(interface.reference.as_str());
        let Some(link) = names::register_interface(pdo, &class, reference) else { continue };
        let key = registry::interface_key(&link);
        registry::create(&key);
        for (path, values) in &interface.keys {
            let path = below(&key, path);
            registry::create(&path);
            values.iter().for_each(|value| write(&path, value));
        }
    }
}

/// Writes the values that Windows keeps of a device.
fn describe_device(key: &str, node: &Node, model: &Model, install: &Install) {
    for (name, text) in [
        ("DeviceDesc", model.description.as_str()),
        ("Mfg", &model.manufacturer),
        ("Service", &install.service),
        ("ClassGUID", &installation::class_guid()),
        ("Driver", &property::driver_key_name()),
    ] {
        write_text(key, name, text);
    }
    write_texts(key, "HardwareID", REG_MULTI_SZ, &node.hardware_ids());
    write_texts(key, "CompatibleIDs", REG_MULTI_SZ, &node.compatible_ids());
}

/// Writes the values that Windows keeps of a driver.
fn describe_driver(key: &str, node: &Node, model: &Model, install: &Install) {
    let Some(installed) = installation::installed() else { return };
    let ids = node.ids();
    let named = core::iter::once(&model.hardware_id).chain(&model.compatible_ids);
    let matching = named.into_iter().find(|id| ids.iter().any(|own| own.eq_ignore_ascii_case(id)));
    for (name, text) in [
        ("DriverDesc", model.description.as_str()),
        ("ProviderName", &installed.provider),
        ("InfPath", &installed.inf),
        ("InfSection", &install.section),
        ("MatchingDeviceId", matching.map_or("", String::as_str)),
        ("DriverDate", &installed.driver_date),
        ("DriverVersion", &installed.driver_version),
    ] {
        write_text(key, name, text);
    }
}
