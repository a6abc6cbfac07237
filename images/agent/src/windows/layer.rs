//! The functions that reach drivers and devices: the system's, or those of a library that stands in their place.
//!
//! The option `--layer` names a library whose exports replace those of the system, name by name; it has to have all of them. A
//! system without a driver (Wine) can so show what the agent sends.
#![allow(unsafe_code, reason = "functions are found by their names")]

use core::ffi::{CStr, c_void};
use core::mem::transmute_copy;

use dmus_agent::system::SystemError;

use super::api::{self, DevInfoData, Guid, Handle, InterfaceData, InterfaceDetail, IoStatusBlock};
use super::text;

macro_rules! layer {
    ($($(#[$note:meta])* $field:ident: $library:literal, $name:literal, fn($($argument:ty),*) -> $result:ty;)*) => {
        /// The functions.
        pub(super) struct Layer {
            $($(#[$note])* pub(super) $field: unsafe extern "system" fn($($argument),*) -> $result,)*
        }

        impl Layer {
            /// Finds the functions.
            ///
            /// # Errors
            /// The name of the library or function that is missing, and the system's error.
            pub(super) fn load(stand_in: Option<&str>) -> Result<Self, (&'static str, SystemError)> {
                let stand_in = stand_in.map(library).transpose().map_err(|error| ("the library of --layer", error))?;
                Ok(Self {
                    $($field: {
                        let module = match stand_in {
                            Some(module) => module,
                            None => library($library).map_err(|error| ($library, error))?,
                        };
                        let name: &CStr = $name;
                        // SAFETY: a loaded library and a name that ends with a zero.
                        let function = unsafe { api::GetProcAddress(module, name.as_ptr().cast()) };
                        if function.is_null() {
                            return Err((name.to_str().unwrap_or($library), SystemError(api::ERROR_PROC_NOT_FOUND)));
                        }
                        // SAFETY: the function of that name has this signature, by its reference page.
                        unsafe { transmute_copy::<*const c_void, _>(&function) }
                    },)*
                })
            }
        }
    };
}

fn library(name: &str) -> Result<Handle, SystemError> {
    // SAFETY: the name ends with a zero.
    let module = unsafe { api::LoadLibraryW(text::wide(name).as_ptr()) };
    if module.is_null() { Err(api::last_error()) } else { Ok(module) }
}

layer! {
    create_file: "kernel32.dll", c"CreateFileW", fn(*const u16, u32, u32, *const c_void, u32, u32, Handle) -> Handle;
    close_handle: "kernel32.dll", c"CloseHandle", fn(Handle) -> i32;
    cancel_io: "kernel32.dll", c"CancelIo", fn(Handle) -> i32;
    device_io_control: "ntdll.dll", c"NtDeviceIoControlFile", fn(Handle, Handle, *const c_void, *const c_void, *mut IoStatusBlock, u32, *const c_void, u32, *mut c_void, u32) -> u32;
    create_pin: "ksuser.dll", c"KsCreatePin", fn(Handle, *const c_void, u32, *mut Handle) -> u32;
    class_devices: "setupapi.dll", c"SetupDiGetClassDevsW", fn(*const Guid, *const u16, Handle, u32) -> Handle;
    destroy_list: "setupapi.dll", c"SetupDiDestroyDeviceInfoList", fn(Handle) -> i32;
    enum_device: "setupapi.dll", c"SetupDiEnumDeviceInfo", fn(Handle, u32, *mut DevInfoData) -> i32;
    enum_interface: "setupapi.dll", c"SetupDiEnumDeviceInterfaces", fn(Handle, *const DevInfoData, *const Guid, u32, *mut InterfaceData) -> i32;
    interface_detail: "setupapi.dll", c"SetupDiGetDeviceInterfaceDetailW", fn(Handle, *const InterfaceData, *mut InterfaceDetail, u32, *mut u32, *mut DevInfoData) -> i32;
    instance_id: "setupapi.dll", c"SetupDiGetDeviceInstanceIdW", fn(Handle, *const DevInfoData, *mut u16, u32, *mut u32) -> i32;
    registry_property: "setupapi.dll", c"SetupDiGetDeviceRegistryPropertyW", fn(Handle, *const DevInfoData, u32, *mut u32, *mut u8, u32, *mut u32) -> i32;
    set_parameters: "setupapi.dll", c"SetupDiSetClassInstallParamsW", fn(Handle, *const DevInfoData, *const c_void, u32) -> i32;
    call_installer: "setupapi.dll", c"SetupDiCallClassInstaller", fn(u32, Handle, *const DevInfoData) -> i32;
    install_parameters: "setupapi.dll", c"SetupDiGetDeviceInstallParamsW", fn(Handle, *const DevInfoData, *mut api::InstallParameters) -> i32;
    node_status: "setupapi.dll", c"CM_Get_DevNode_Status", fn(*mut u32, *mut u32, u32, u32) -> u32;
    update_driver: "newdev.dll", c"UpdateDriverForPlugAndPlayDevicesW", fn(Handle, *const u16, *const u16, u32, *mut i32) -> i32;
}
