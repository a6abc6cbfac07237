//! Names: of devices, symbolic links, device interfaces.
#![allow(unsafe_code, reason = "strings of the Windows ABI")]

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::arch::uninterrupted::Uninterrupted;
use crate::base::guid;
use crate::contract::{services, verifier};
use crate::devnode;
use crate::export_functions;
use crate::mm::pool;
use crate::nt::status::*;
use crate::nt::{DEVICE_OBJECT, FILE_OBJECT, GUID, NTSTATUS, PVOID, UNICODE_STRING};
use crate::rtl::string::{allocate, text};

/// A device interface that a driver registered.
#[derive(Clone, Debug)]
pub struct Interface {
    /// The symbolic link.
    pub link: String,
    /// Its class.
    pub class: GUID,
    /// The reference string; empty without one.
    pub reference: String,
    /// The physical device object.
    pub device: u64,
    /// Whether it is enabled.
    pub enabled: bool,
}

struct Names {
    devices: BTreeMap<String, u64>,
    links: BTreeMap<String, String>,
    interfaces: Vec<Interface>,
}

static NAMES: Uninterrupted<Names> =
    Uninterrupted::new(Names { devices: BTreeMap::new(), links: BTreeMap::new(), interfaces: Vec::new() });

/// Returns the device of a name.
#[must_use]
pub fn device(name: &str) -> Option<u64> {
    NAMES.with(|names| names.devices.get(&name.to_lowercase()).copied())
}

/// Names a device.
pub fn name_device(name: String, device: *mut DEVICE_OBJECT) {
    NAMES.with(|names| names.devices.insert(name.to_lowercase(), device as u64));
}

/// Forgets a device's names.
pub fn forget_device(device: *mut DEVICE_OBJECT) {
    NAMES.with(|names| {
        names.devices.retain(|_, at| *at != device as u64);
        names.interfaces.retain(|interface| interface.device != device as u64);
    });
}

/// Returns what a symbolic link leads to.
#[must_use]
pub(super) fn link_target(link: &str) -> Option<String> {
    NAMES.with(|names| names.links.get(&link.to_lowercase()).cloned())
}

/// Returns the symbolic links that were not deleted, for the leak check.
#[must_use]
pub fn links() -> Vec<String> {
    NAMES.with(|names| names.links.keys().cloned().collect())
}

/// Returns the device interfaces that drivers registered.
#[must_use]
pub fn interfaces() -> Vec<Interface> {
    NAMES.with(|names| names.interfaces.clone())
}

fn create_link(link: &UNICODE_STRING, target: &UNICODE_STRING) -> NTSTATUS {
    let link = match check_name(link) {
        Ok(link) => link,
        Err(refused) => return refused,
    };
    // SAFETY: a string of the caller's.
    let target = unsafe { text(target) };
    NAMES.with(|names| {
        if names.links.contains_key(&link.to_lowercase()) {
            return STATUS_OBJECT_NAME_COLLISION;
        }
        names.links.insert(link.to_lowercase(), target);
        STATUS_SUCCESS
    })
}

/// Registers a device interface. Returns its symbolic link.
pub(crate) fn register_interface(pdo: *mut DEVICE_OBJECT, class: &GUID, reference: Option<&str>) -> Option<String> {
    let id = devnode::instance_path(pdo)?;
    let mut link = format!("\\??\\{}#{}", id.replace('\\', "#"), guid::text(class));
    if let Some(reference) = reference {
        link = format!("{link}\\{reference}");
    }
    NAMES.with(|names| {
        if !names.interfaces.iter().any(|interface| interface.link == link) {
            let (class, reference) = (*class, reference.unwrap_or_default().into());
            names.interfaces.push(Interface {
                link: link.clone(),
                class,
                reference,
                device: pdo as u64,
                enabled: false,
            });
        }
    });
    Some(link)
}

/// Returns whether a text may be a reference string, which becomes one component of the interface's name; reports one that
/// may not (rule 209).
pub(crate) fn is_reference_string(function: &str, text: &str) -> bool {
    let Some(separator) = text.chars().find(|unit| matches!(unit, '\\' | '/')) else { return true };
    verifier::violation(
        Some(services::REFERENCE_STRING.number),
        function,
        format_args!(
            "the reference string \"{text}\" has a path separator, {separator}, and IoRegisterDeviceInterface refuses it: name \
             the subdevice as the reference string of the INF's AddInterface, without separators [{}]",
            services::REFERENCE_STRING.source
        ),
    );
    false
}

/// Returns how the object manager takes a name: absolute, without empty components, in a directory that there is.
fn name_status(name: &str) -> NTSTATUS {
    /// Directories in which drivers name devices, links and events.
    const DIRECTORIES: [&str; 6] = ["device", "dosdevices", "??", "global??", "basenamedobjects", "callback"];
    let Some(path) = name.strip_prefix('\\') else { return STATUS_OBJECT_PATH_SYNTAX_BAD };
    let mut components = path.split('\\');
    if components.clone().any(str::is_empty) {
        return STATUS_OBJECT_NAME_INVALID;
    }
    let directory = components.next().unwrap_or_default();
    let known = DIRECTORIES.iter().any(|known| known.eq_ignore_ascii_case(directory));
    if components.next().is_none() || known { STATUS_SUCCESS } else { STATUS_OBJECT_PATH_NOT_FOUND }
}

/// Checks the name of a device, or of a link to one.
///
/// # Errors
/// The status with which the object manager refuses it.
pub(super) fn check_name(name: &UNICODE_STRING) -> Result<String, NTSTATUS> {
    if !name.Length.is_multiple_of(2) {
        return Err(STATUS_OBJECT_NAME_INVALID);
    }
    // SAFETY: a string of the caller's.
    let name = unsafe { text(name) };
    match name_status(&name) {
        STATUS_SUCCESS => Ok(name),
        refused => Err(refused),
    }
}

/// Enables or disables a device interface.
pub(crate) fn enable_interface(link: &str, enable: bool) -> NTSTATUS {
    NAMES.with(|names| match names.interfaces.iter_mut().find(|interface| interface.link == link) {
        Some(interface) if interface.enabled == enable && enable => STATUS_OBJECT_NAME_EXISTS,
        Some(interface) => {
            interface.enabled = enable;
            STATUS_SUCCESS
        }
        None => STATUS_OBJECT_NAME_NOT_FOUND,
    })
}

export_functions! {
    /// Names.
    pub static EXPORTS;

    /// Creates a symbolic link to a device.
    [PASSIVE] fn IoCreateSymbolicLink(link: *const UNICODE_STRING, target: *const UNICODE_STRING) -> NTSTATUS {
        create_link(&*link, &*target)
    }

    /// Creates a symbolic link that every caller may use.
    [PASSIVE] fn IoCreateUnprotectedSymbolicLink(link: *const UNICODE_STRING, target: *const UNICODE_STRING) -> NTSTATUS {
        create_link(&*link, &*target)
    }

    /// Deletes a symbolic link.
    [PASSIVE] fn IoDeleteSymbolicLink(link: *const UNICODE_STRING) -> NTSTATUS {
        let link = text(&*link).to_lowercase();
        match NAMES.with(|names| names.links.remove(&link)) {
            Some(_) => STATUS_SUCCESS,
            None => STATUS_OBJECT_NAME_NOT_FOUND,
        }
    }

    /// Returns the device of a name, with a reference through its file object: files are opened by requests here, so
    /// that only the name's existence can be answered.
    [PASSIVE] fn IoGetDeviceObjectPointer(name: *const UNICODE_STRING, _access: u32, file: *mut *mut FILE_OBJECT,
        device_out: *mut *mut DEVICE_OBJECT) -> NTSTATUS {
        {
            file.write(core::ptr::null_mut());
            device_out.write(core::ptr::null_mut());
            if device(&text(&*name)).is_some() { STATUS_NOT_SUPPORTED } else { STATUS_OBJECT_NAME_NOT_FOUND }
        }
    }

    /// Registers a device interface and gives its symbolic link.
    [PASSIVE] fn IoRegisterDeviceInterface(pdo: *mut DEVICE_OBJECT, class: *const GUID, reference: *const UNICODE_STRING,
        link_out: *mut UNICODE_STRING) -> NTSTATUS {
        let reference = reference.as_ref().map(|reference| text(reference));
        if reference.as_deref().is_some_and(|reference| !is_reference_string("IoRegisterDeviceInterface", reference)) {
            return STATUS_INVALID_DEVICE_REQUEST;
        }
        let Some(link) = register_interface(pdo, &*class, reference.as_deref()) else { return STATUS_INVALID_DEVICE_REQUEST };
        let Some(string) = allocate(&link) else { return STATUS_INSUFFICIENT_RESOURCES };
        link_out.write(string);
        STATUS_SUCCESS
    }

    /// Enables or disables a device interface.
    [PASSIVE] fn IoSetDeviceInterfaceState(link: *const UNICODE_STRING, enable: u8) -> NTSTATUS {
        enable_interface(&text(&*link), enable != 0)
    }

    /// Returns the alias of a device interface in another class: its link with the class exchanged, if it is
    /// registered.
    [PASSIVE] fn IoGetDeviceInterfaceAlias(link: *const UNICODE_STRING, class: *const GUID, alias: *mut UNICODE_STRING) -> NTSTATUS {
        {
            let link = text(&*link);
            let Some((start, rest)) = link.rsplit_once('{') else { return STATUS_INVALID_PARAMETER };
            let tail = rest.split_once('}').map_or("", |(_, tail)| tail);
            let wanted = format!("{start}{}{tail}", guid::text(&*class));
            if !interfaces().iter().any(|interface| interface.link == wanted) {
                return STATUS_OBJECT_NAME_NOT_FOUND;
            }
            match allocate(&wanted) {
                Some(string) => { alias.write(string); STATUS_SUCCESS }
                None => STATUS_INSUFFICIENT_RESOURCES,
            }
        }
    }

    /// Registers for PnP events: there are none here, and the registration is kept for its owner to undo.
    [PASSIVE] fn IoRegisterPlugPlayNotification(_category: i32, _flags: u32, _data: PVOID, _driver: PVOID, _routine: PVOID,
        _context: PVOID, entry: *mut PVOID) -> NTSTATUS {
        entry.write(entry.cast());
        STATUS_SUCCESS
    }

    /// Returns the links of the interfaces of a class that are enabled, or of all (1): terminated, one behind the
    /// other, an empty one at the end. The caller frees them with `ExFreePool`.
    [PASSIVE] fn IoGetDeviceInterfaces(class: *const GUID, pdo: *mut DEVICE_OBJECT, flags: u32, links: *mut *mut u16) -> NTSTATUS {
        const INCLUDE_NONACTIVE: u32 = 1;
        let class = guid::text(&*class);
        let wanted = |interface: &&Interface| {
            interface.link.to_lowercase().contains(&class)
                && (pdo.is_null() || interface.device == pdo as u64)
                && (interface.enabled || flags & INCLUDE_NONACTIVE != 0)
        };
        let all = interfaces();
        let units: Vec<u16> = all.iter().filter(wanted).flat_map(|interface| interface.link.encode_utf16().chain([0])).chain([0]).collect();
        /// Of lists of links.
        const TAG: u32 = u32::from_le_bytes(*b"Link");
        let Some(memory) = pool::allocate(2 * units.len() as u64, TAG, true, pool::Owner::Driver) else { return STATUS_INSUFFICIENT_RESOURCES };
        core::ptr::copy_nonoverlapping(units.as_ptr(), memory as *mut u16, units.len());
        links.write(memory as *mut u16);
        STATUS_SUCCESS
    }

    /// Undoes it.
    [PASSIVE] fn IoUnregisterPlugPlayNotification(_entry: PVOID) -> NTSTATUS { STATUS_SUCCESS }

    /// Undoes it.
    [PASSIVE] fn IoUnregisterPlugPlayNotificationEx(_entry: PVOID) -> NTSTATUS { STATUS_SUCCESS }
}

/// Returns the text of a status, for log lines.
#[must_use]
pub fn status_text(status: NTSTATUS) -> String {
    crate::nt::status::name(status).map_or_else(|| format!("{status:#010x}"), ToString::to_string)
}
