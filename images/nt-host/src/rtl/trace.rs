//! Event tracing: providers register and write; no session consumes them in this guest.
#![allow(unsafe_code, reason = "exported functions")]

use crate::export_functions;
use crate::nt::status::*;
use crate::nt::{GUID, NTSTATUS, PVOID};

/// What a provider gets for a handle; never null, so that it can tell that it is registered.
const HANDLE: u64 = 1;

export_functions! {
    /// Event tracing.
    pub static EXPORTS;

    /// Registers a provider.
    [PASSIVE] fn EtwRegister(_provider: *const GUID, _callback: PVOID, _context: PVOID, handle: *mut u64) -> NTSTATUS {
        handle.write(HANDLE);
        STATUS_SUCCESS
    }

    /// Ends a registration.
    [PASSIVE] fn EtwUnregister(_handle: u64) -> NTSTATUS { STATUS_SUCCESS }

    /// Returns whether a session wants an event.
    [ANY] fn EtwEventEnabled(_handle: u64, _event: PVOID) -> u8 { 0 }

    /// Returns whether a session wants a provider's events.
    [ANY] fn EtwProviderEnabled(_handle: u64, _level: u8, _keyword: u64) -> u8 { 0 }

    /// Writes an event.
    [ANY] fn EtwWrite(_handle: u64, _event: PVOID, _activity: *const GUID, _count: u32, _data: PVOID) -> NTSTATUS { STATUS_SUCCESS }

    /// Writes an event.
    [ANY] fn EtwWriteTransfer(_handle: u64, _event: PVOID, _activity: *const GUID, _related: *const GUID, _count: u32, _data: PVOID) -> NTSTATUS {
        STATUS_SUCCESS
    }

    /// Writes an event.
    [ANY] fn EtwWriteEx(_handle: u64, _event: PVOID, _filter: u64, _flags: u32, _activity: *const GUID, _related: *const GUID,
        _count: u32, _data: PVOID) -> NTSTATUS { STATUS_SUCCESS }

    /// Writes an event that is a string.
    [ANY] fn EtwWriteString(_handle: u64, _level: u8, _keyword: u64, _activity: *const GUID, _string: *const u16) -> NTSTATUS { STATUS_SUCCESS }

    /// Returns the activity of the thread that runs: none was ever set.
    [ANY] fn EtwActivityIdControl(_code: u32, activity: *mut GUID) -> NTSTATUS {
        if !activity.is_null() { activity.write(GUID::default()) }
        STATUS_SUCCESS
    }

    /// Writes a WPP message to a session, of which there are none.
    [ANY] fn WmiTraceMessage(_session: u64, _flags: u32, _guid: *const GUID, _number: u16) -> NTSTATUS { STATUS_INVALID_HANDLE }

    /// Writes a WPP message to a session, of which there are none.
    [ANY] fn WmiTraceMessageVa(_session: u64, _flags: u32, _guid: *const GUID, _number: u16, _arguments: PVOID) -> NTSTATUS { STATUS_INVALID_HANDLE }

    /// Writes a WMI event, for which no consumer exists: the caller keeps its buffer.
    [DISPATCH] fn IoWMIWriteEvent(_event: PVOID) -> NTSTATUS { STATUS_UNSUCCESSFUL }

    /// Tells something about a provider.
    [PASSIVE] fn EtwSetInformation(_handle: u64, _class: i32, _information: PVOID, _length: u32) -> NTSTATUS { STATUS_SUCCESS }

    /// Asks WMI for something of tracing.
    [ANY] fn WmiQueryTraceInformation(_class: i32, _information: PVOID, _length: u32, _needed: *mut u32, _buffer: PVOID) -> NTSTATUS {
        STATUS_NOT_SUPPORTED
    }
}
