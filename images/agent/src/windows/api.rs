//! The functions and structures of Windows that the agent uses, from their reference pages. Windows XP has all of them.
#![allow(unsafe_code, reason = "the system is behind a foreign interface")]
#![allow(non_snake_case, reason = "functions have the names that the system exports")]

use core::ffi::c_void;

/// `HANDLE`.
pub(super) type Handle = *mut c_void;

/// `INVALID_HANDLE_VALUE`.
pub(super) const INVALID_HANDLE: Handle = usize::MAX as Handle;

/// Access for reading.
pub(super) const GENERIC_READ: u32 = 0x8000_0000;
/// Access for writing.
pub(super) const GENERIC_WRITE: u32 = 0x4000_0000;
/// `FILE_SHARE_READ`, `_WRITE` and `_DELETE`.
pub(super) const FILE_SHARE_ALL: u32 = 7;
/// Opens what is there.
pub(super) const OPEN_EXISTING: u32 = 3;
/// Opens for requests that are waited for by events.
pub(super) const FILE_FLAG_OVERLAPPED: u32 = 0x4000_0000;

/// A device does not function: a failure without a reason.
pub(super) const ERROR_GEN_FAILURE: u32 = 31;
/// The end of a file.
pub(super) const ERROR_HANDLE_EOF: u32 = 38;
/// A buffer that is too short.
pub(super) const ERROR_INSUFFICIENT_BUFFER: u32 = 122;
/// A library does not have a function.
pub(super) const ERROR_PROC_NOT_FOUND: u32 = 127;
/// The end of a list.
pub(super) const ERROR_NO_MORE_ITEMS: u32 = 259;
/// A request that was begun.
pub(super) const ERROR_IO_PENDING: u32 = 997;
/// No service manager has started the program.
pub(super) const ERROR_FAILED_SERVICE_CONTROLLER_CONNECT: u32 = 1063;

/// What was waited for has happened.
pub(super) const WAIT_OBJECT_0: u32 = 0;
/// Without an end.
pub(super) const INFINITE: u32 = u32::MAX;

/// `STATUS_PENDING`.
pub(super) const STATUS_PENDING: u32 = 0x103;

/// `GUID`.
#[derive(Clone, Copy)]
#[repr(C, align(4))]
pub(super) struct Guid(pub(super) [u8; 16]);

/// `OVERLAPPED`.
#[repr(C)]
pub(super) struct Overlapped {
    pub(super) internal: usize,
    pub(super) internal_high: usize,
    pub(super) offset: u32,
    pub(super) offset_high: u32,
    pub(super) event: Handle,
}

/// `IO_STATUS_BLOCK`.
#[repr(C)]
pub(super) struct IoStatusBlock {
    /// `NTSTATUS`, in as many bytes as a pointer has.
    pub(super) status: usize,
    pub(super) information: usize,
}

/// `DCB`.
#[repr(C)]
pub(super) struct Dcb {
    pub(super) length: u32,
    pub(super) baud_rate: u32,
    pub(super) flags: u32,
    pub(super) reserved: u16,
    pub(super) xon_limit: u16,
    pub(super) xoff_limit: u16,
    pub(super) byte_size: u8,
    pub(super) parity: u8,
    pub(super) stop_bits: u8,
    pub(super) characters: [u8; 5],
    pub(super) reserved1: u16,
}

/// `COMMTIMEOUTS`.
#[repr(C)]
pub(super) struct CommTimeouts {
    pub(super) read_interval: u32,
    pub(super) read_multiplier: u32,
    pub(super) read_constant: u32,
    pub(super) write_multiplier: u32,
    pub(super) write_constant: u32,
}

/// `SECURITY_ATTRIBUTES`.
#[repr(C)]
pub(super) struct SecurityAttributes {
    pub(super) length: u32,
    pub(super) descriptor: *mut c_void,
    pub(super) inherit: i32,
}

/// `STARTUPINFOW`.
#[repr(C)]
pub(super) struct StartupInfo {
    pub(super) size: u32,
    pub(super) reserved: *mut u16,
    pub(super) desktop: *mut u16,
    pub(super) title: *mut u16,
    pub(super) place: [u32; 7],
    pub(super) flags: u32,
    pub(super) show_window: u16,
    pub(super) reserved_bytes: u16,
    pub(super) reserved2: *mut u8,
    pub(super) input: Handle,
    pub(super) output: Handle,
    pub(super) error: Handle,
}

/// `PROCESS_INFORMATION`.
#[repr(C)]
pub(super) struct ProcessInformation {
    pub(super) process: Handle,
    pub(super) thread: Handle,
    pub(super) process_id: u32,
    pub(super) thread_id: u32,
}

/// `OSVERSIONINFOW`.
#[repr(C)]
pub(super) struct OsVersionInfo {
    pub(super) size: u32,
    pub(super) major: u32,
    pub(super) minor: u32,
    pub(super) build: u32,
    pub(super) platform: u32,
    pub(super) service_pack: [u16; 128],
}

/// `MEMORYSTATUSEX`.
#[repr(C)]
pub(super) struct MemoryStatus {
    pub(super) length: u32,
    pub(super) load: u32,
    pub(super) total_physical: u64,
    pub(super) others: [u64; 6],
}

/// `SP_DEVINFO_DATA`.
#[repr(C)]
pub(super) struct DevInfoData {
    pub(super) size: u32,
    pub(super) class: Guid,
    pub(super) instance: u32,
    pub(super) reserved: usize,
}

/// `SP_DEVICE_INTERFACE_DATA`.
#[repr(C)]
pub(super) struct InterfaceData {
    pub(super) size: u32,
    pub(super) class: Guid,
    pub(super) flags: u32,
    pub(super) reserved: usize,
}

/// `SP_DEVICE_INTERFACE_DETAIL_DATA_W`, with room for a path. Its `cbSize` is that of the structure with one character.
#[repr(C)]
pub(super) struct InterfaceDetail {
    pub(super) size: u32,
    pub(super) path: [u16; 1024],
}

/// `sizeof(SP_DEVICE_INTERFACE_DETAIL_DATA_W)`, which is packed to one byte in 32-bit programs (setupapi.h).
pub(super) const INTERFACE_DETAIL_SIZE: u32 = if size_of::<usize>() == 8 { 8 } else { 6 };

/// `SP_PROPCHANGE_PARAMS`.
#[repr(C)]
pub(super) struct PropertyChange {
    pub(super) size: u32,
    pub(super) function: u32,
    pub(super) change: u32,
    pub(super) scope: u32,
    pub(super) profile: u32,
}

/// `SP_REMOVEDEVICE_PARAMS`.
#[repr(C)]
pub(super) struct RemoveDevice {
    pub(super) size: u32,
    pub(super) function: u32,
    pub(super) scope: u32,
    pub(super) profile: u32,
}

/// `SP_DEVINSTALL_PARAMS_W`: packed to one byte in 32-bit programs, where nothing here is at another place for it but the end.
#[repr(C)]
pub(super) struct InstallParameters {
    pub(super) size: u32,
    pub(super) flags: u32,
    pub(super) flags_ex: u32,
    pub(super) parent: Handle,
    pub(super) handler: *mut c_void,
    pub(super) handler_context: *mut c_void,
    pub(super) queue: *mut c_void,
    pub(super) class_reserved: usize,
    pub(super) reserved: u32,
    pub(super) driver_path: [u16; 260],
}

/// `SERVICE_STATUS`.
#[repr(C)]
pub(super) struct ServiceStatus {
    pub(super) kind: u32,
    pub(super) state: u32,
    pub(super) accepted: u32,
    pub(super) exit_code: u32,
    pub(super) specific_exit_code: u32,
    pub(super) check_point: u32,
    pub(super) wait_hint: u32,
}

/// `SERVICE_TABLE_ENTRYW`.
#[repr(C)]
pub(super) struct ServiceTableEntry {
    pub(super) name: *const u16,
    pub(super) main: Option<unsafe extern "system" fn(u32, *mut *mut u16)>,
}

/// `TOKEN_PRIVILEGES` with one privilege.
#[repr(C)]
pub(super) struct TokenPrivileges {
    pub(super) count: u32,
    pub(super) luid: [u32; 2],
    pub(super) attributes: u32,
}

macro_rules! import {
    ($library:literal: $($declaration:tt)*) => {
        #[cfg_attr(target_arch = "x86", link(name = $library, kind = "raw-dylib", modifiers = "+verbatim", import_name_type = "undecorated"))]
        #[cfg_attr(not(target_arch = "x86"), link(name = $library, kind = "raw-dylib", modifiers = "+verbatim"))]
        unsafe extern "system" {
            $($declaration)*
        }
    };
}

import! { "kernel32.dll":
    pub(super) fn CancelIo(file: Handle) -> i32;
    pub(super) fn CloseHandle(handle: Handle) -> i32;
    pub(super) fn CreateEventW(security: *const c_void, manual: i32, initial: i32, name: *const u16) -> Handle;
    pub(super) fn CreateFileW(name: *const u16, access: u32, share: u32, security: *const c_void, disposition: u32, flags: u32, template: Handle) -> Handle;
    pub(super) fn CreatePipe(read: *mut Handle, write: *mut Handle, security: *const SecurityAttributes, size: u32) -> i32;
    pub(super) fn CreateProcessW(name: *const u16, line: *mut u16, process: *const c_void, thread: *const c_void, inherit: i32, flags: u32, environment: *const c_void, folder: *const u16, startup: *const StartupInfo, information: *mut ProcessInformation) -> i32;
    pub(super) fn ExitProcess(code: u32) -> !;
    pub(super) fn ExpandEnvironmentStringsW(source: *const u16, target: *mut u16, size: u32) -> u32;
    pub(super) fn GetCommState(file: Handle, dcb: *mut Dcb) -> i32;
    pub(super) fn GetCommandLineW() -> *const u16;
    pub(super) fn GetCurrentProcess() -> Handle;
    pub(super) fn GetCurrentProcessId() -> u32;
    pub(super) fn GetExitCodeProcess(process: Handle, code: *mut u32) -> i32;
    pub(super) fn GetFileSizeEx(file: Handle, size: *mut i64) -> i32;
    pub(super) fn GetLastError() -> u32;
    pub(super) fn GetModuleFileNameW(module: Handle, name: *mut u16, size: u32) -> u32;
    pub(super) fn GetOverlappedResult(file: Handle, overlapped: *mut Overlapped, bytes: *mut u32, wait: i32) -> i32;
    pub(super) fn GetProcAddress(module: Handle, name: *const u8) -> *const c_void;
    pub(super) fn GetProcessHeap() -> Handle;
    pub(super) fn GetStdHandle(which: u32) -> Handle;
    pub(super) fn GetVersionExW(information: *mut OsVersionInfo) -> i32;
    pub(super) fn GlobalMemoryStatusEx(status: *mut MemoryStatus) -> i32;
    pub(super) fn HeapAlloc(heap: Handle, flags: u32, bytes: usize) -> *mut c_void;
    pub(super) fn HeapFree(heap: Handle, flags: u32, memory: *mut c_void) -> i32;
    pub(super) fn LoadLibraryW(name: *const u16) -> Handle;
    pub(super) fn PeekNamedPipe(pipe: Handle, buffer: *mut c_void, size: u32, read: *mut u32, available: *mut u32, left: *mut u32) -> i32;
    pub(super) fn PurgeComm(file: Handle, flags: u32) -> i32;
    pub(super) fn QueryPerformanceCounter(count: *mut i64) -> i32;
    pub(super) fn QueryPerformanceFrequency(frequency: *mut i64) -> i32;
    pub(super) fn ReadFile(file: Handle, buffer: *mut u8, size: u32, read: *mut u32, overlapped: *mut Overlapped) -> i32;
    pub(super) fn SetCommState(file: Handle, dcb: *const Dcb) -> i32;
    pub(super) fn SetCommTimeouts(file: Handle, timeouts: *const CommTimeouts) -> i32;
    pub(super) fn SetFilePointerEx(file: Handle, distance: i64, position: *mut i64, from: u32) -> i32;
    pub(super) fn SetHandleInformation(handle: Handle, mask: u32, flags: u32) -> i32;
    pub(super) fn SetupComm(file: Handle, in_queue: u32, out_queue: u32) -> i32;
    pub(super) fn Sleep(milliseconds: u32);
    pub(super) fn TerminateProcess(process: Handle, code: u32) -> i32;
    pub(super) fn WaitForSingleObject(handle: Handle, milliseconds: u32) -> u32;
    pub(super) fn WriteFile(file: Handle, buffer: *const u8, size: u32, written: *mut u32, overlapped: *mut Overlapped) -> i32;
}

import! { "advapi32.dll":
    pub(super) fn AdjustTokenPrivileges(token: Handle, disable_all: i32, new: *const TokenPrivileges, size: u32, previous: *mut c_void, length: *mut u32) -> i32;
    pub(super) fn CloseServiceHandle(handle: Handle) -> i32;
    pub(super) fn CreateServiceW(manager: Handle, name: *const u16, display: *const u16, access: u32, kind: u32, start: u32, error: u32, path: *const u16, group: *const u16, tag: *mut u32, dependencies: *const u16, account: *const u16, password: *const u16) -> Handle;
    pub(super) fn DeleteService(service: Handle) -> i32;
    pub(super) fn InitiateSystemShutdownW(machine: *const u16, message: *const u16, seconds: u32, force: i32, reboot: i32) -> i32;
    pub(super) fn LookupPrivilegeValueW(machine: *const u16, name: *const u16, luid: *mut [u32; 2]) -> i32;
    pub(super) fn OpenProcessToken(process: Handle, access: u32, token: *mut Handle) -> i32;
    pub(super) fn OpenSCManagerW(machine: *const u16, database: *const u16, access: u32) -> Handle;
    pub(super) fn OpenServiceW(manager: Handle, name: *const u16, access: u32) -> Handle;
    pub(super) fn RegisterServiceCtrlHandlerW(name: *const u16, handler: unsafe extern "system" fn(u32)) -> Handle;
    pub(super) fn SetServiceStatus(service: Handle, status: *const ServiceStatus) -> i32;
    pub(super) fn StartServiceCtrlDispatcherW(table: *const ServiceTableEntry) -> i32;
    pub(super) fn StartServiceW(service: Handle, count: u32, arguments: *const *const u16) -> i32;
}

/// Returns the last error of the thread.
pub(super) fn last_error() -> dmus_agent::system::SystemError {
    // SAFETY: reads a number of the thread.
    let code = unsafe { GetLastError() };
    // A failure without a reason is one all the same.
    dmus_agent::system::SystemError(if code == 0 { ERROR_GEN_FAILURE } else { code })
}

/// A handle that is closed with its owner.
pub(super) struct OwnedHandle(pub(super) Handle);

impl OwnedHandle {
    /// Creates an event that is reset by hand.
    pub(super) fn event() -> Result<Self, dmus_agent::system::SystemError> {
        // SAFETY: no name, no security.
        let event = unsafe { CreateEventW(core::ptr::null(), 1, 0, core::ptr::null()) };
        if event.is_null() { Err(last_error()) } else { Ok(Self(event)) }
    }
}

impl Drop for OwnedHandle {
    fn drop(&mut self) {
        // SAFETY: its only owner.
        unsafe { CloseHandle(self.0) };
    }
}
