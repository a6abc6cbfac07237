//! Files: this system has none. The functions answer as Windows does for what is not there.
#![allow(unsafe_code, reason = "exported functions")]

use crate::export_functions;
use crate::nt::status::*;
use crate::nt::{HANDLE, IO_STATUS_BLOCK, NTSTATUS, OBJECT_ATTRIBUTES, PVOID, UNICODE_STRING};

export_functions! {
    /// Files.
    pub static EXPORTS;

    /// Creates or opens a file: no volume is mounted.
    [PASSIVE] fn ZwCreateFile(out: *mut HANDLE, _access: u32, _attributes: *const OBJECT_ATTRIBUTES, _result: *mut IO_STATUS_BLOCK,
        _size: *const i64, _file_attributes: u32, _share: u32, _disposition: u32, _options: u32, _extended: PVOID, _length: u32) -> NTSTATUS {
        out.write(core::ptr::null_mut());
        STATUS_OBJECT_PATH_NOT_FOUND
    }

    /// Opens a file: no volume is mounted.
    [PASSIVE] fn ZwOpenFile(out: *mut HANDLE, _access: u32, _attributes: *const OBJECT_ATTRIBUTES, _result: *mut IO_STATUS_BLOCK,
        _share: u32, _options: u32) -> NTSTATUS {
        out.write(core::ptr::null_mut());
        STATUS_OBJECT_PATH_NOT_FOUND
    }

    /// Reads a file; no handle is one's.
    [PASSIVE] fn ZwReadFile(_file: HANDLE, _event: HANDLE, _routine: PVOID, _context: PVOID, _result: *mut IO_STATUS_BLOCK,
        _buffer: PVOID, _length: u32, _offset: *const i64, _key: *const u32) -> NTSTATUS { STATUS_INVALID_HANDLE }

    /// Writes a file; no handle is one's.
    [PASSIVE] fn ZwWriteFile(_file: HANDLE, _event: HANDLE, _routine: PVOID, _context: PVOID, _result: *mut IO_STATUS_BLOCK,
        _buffer: PVOID, _length: u32, _offset: *const i64, _key: *const u32) -> NTSTATUS { STATUS_INVALID_HANDLE }

    /// Asks about a file; no handle is one's.
    [PASSIVE] fn ZwQueryInformationFile(_file: HANDLE, _result: *mut IO_STATUS_BLOCK, _buffer: PVOID, _length: u32, _class: i32) -> NTSTATUS {
        STATUS_INVALID_HANDLE
    }

    /// Changes a file; no handle is one's.
    [PASSIVE] fn ZwSetInformationFile(_file: HANDLE, _result: *mut IO_STATUS_BLOCK, _buffer: PVOID, _length: u32, _class: i32) -> NTSTATUS {
        STATUS_INVALID_HANDLE
    }

    /// Asks about a file by its name: no volume is mounted.
    [PASSIVE] fn ZwQueryFullAttributesFile(_attributes: *const OBJECT_ATTRIBUTES, _information: PVOID) -> NTSTATUS {
        STATUS_OBJECT_PATH_NOT_FOUND
    }

    /// Creates or opens a file, with the options of a kernel caller: no volume is mounted.
    [PASSIVE] fn IoCreateFile(out: *mut HANDLE, _access: u32, _attributes: *const OBJECT_ATTRIBUTES, _result: *mut IO_STATUS_BLOCK,
        _size: *const i64, _file_attributes: u32, _share: u32, _disposition: u32, _options: u32, _extended: PVOID, _length: u32,
        _kind: i32, _extra: PVOID, _more_options: u32) -> NTSTATUS {
        out.write(core::ptr::null_mut());
        STATUS_OBJECT_PATH_NOT_FOUND
    }

    /// Loads a driver by its service key, whose image this system has not: it hosts the one that the harness hands over.
    [PASSIVE] fn ZwLoadDriver(_service: *const UNICODE_STRING) -> NTSTATUS { STATUS_OBJECT_NAME_NOT_FOUND }

    /// Unloads a driver by its service key: the harness unloads the one that there is.
    [PASSIVE] fn ZwUnloadDriver(_service: *const UNICODE_STRING) -> NTSTATUS { STATUS_INVALID_DEVICE_REQUEST }

    /// Reserves bandwidth of a file: no file system schedules any.
    [APC] fn IoAllocateSfioStreamIdentifier(_file: PVOID, _length: u32, _signature: PVOID, out: *mut PVOID) -> NTSTATUS {
        out.write(core::ptr::null_mut());
        STATUS_NOT_SUPPORTED
    }

    /// Frees a reservation of bandwidth, of which there are none.
    [APC] fn IoFreeSfioStreamIdentifier(_file: PVOID, _signature: PVOID) -> NTSTATUS { STATUS_NOT_FOUND }

    /// Returns a reservation of bandwidth, of which there are none.
    [APC] fn IoGetSfioStreamIdentifier(_file: PVOID, _signature: PVOID) -> PVOID { core::ptr::null_mut() }
}
