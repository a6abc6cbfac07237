//! Files: this system has none. The functions answer as Windows does for what is not there.
#![allow(unsafe_code, reason = "exported functions")]

use crate::export_functions;
use crate::nt::status::*;
use crate::nt::{HANDLE, IO_STATUS_BLOCK, NTSTATUS, OBJECT_ATTRIBUTES, PVOID};

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
}
