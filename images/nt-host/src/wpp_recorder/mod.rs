//! This guest's own `WppRecorder.sys`: the in-flight recorder of WPP software tracing.
//!
//! A log keeps the newest messages by number: what identifies a message in the driver's trace format files. The arguments
//! are not kept, because they have no meaning without these files, which this guest does not read.

#![cfg(target_os = "none")]
#![allow(unsafe_code, reason = "handles and out parameters of the driver's")]

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::arch::uninterrupted::Uninterrupted;
use crate::contract::kernel;
use crate::contract::violation::{Violation, violation};
use crate::nt::status::*;
use crate::nt::{DRIVER_OBJECT, GUID, NTSTATUS, PVOID, UNICODE_STRING};

/// Messages that a log keeps: a page of them.
const MESSAGES: usize = 128;

/// A message that was recorded.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Message {
    guid: GUID,
    number: u16,
    level: u8,
    flags: u32,
}

/// A log, which the driver knows by its address.
struct Log {
    messages: [Message; MESSAGES],
    /// How many were recorded since the log was made.
    recorded: u64,
}

/// The logs that live: the default one, if tracing was started, and those of the driver.
struct Logs {
    default: Option<Box<Log>>,
    own: Vec<Box<Log>>,
}

static LOGS: Uninterrupted<Logs> = Uninterrupted::new(Logs { default: None, own: Vec::new() });

fn address(log: &Log) -> PVOID {
    core::ptr::from_ref(log).cast_mut().cast()
}

fn new_log() -> Box<Log> {
    Box::new(Log { messages: [Message::default(); MESSAGES], recorded: 0 })
}

/// Returns what the driver has made here and not deleted, for the report at unload.
#[must_use]
pub(crate) fn leftovers() -> Option<String> {
    let own = LOGS.with(|logs| {
        logs.default = None;
        core::mem::take(&mut logs.own)
    });
    (!own.is_empty()).then(|| format!("{} logs of WppRecorderLogCreate", own.len()))
}

/// Runs `body` on a log that the driver names.
fn with_log<R>(function: &str, handle: PVOID, body: impl FnOnce(&mut Log) -> R) -> Option<R> {
    let found = LOGS.with(|logs| {
        logs.default.iter_mut().chain(&mut logs.own).find(|log| address(log) == handle).map(|log| body(log))
    });
    if found.is_none() {
        no_log(function, handle);
    }
    found
}

fn no_log(function: &str, handle: PVOID) {
    violation(
        function,
        Violation::new(
            kernel::RECORDER_LOG,
            format!("{handle:p} is no recorder log, or one that was deleted"),
            "pass what WppRecorderLogCreate or WppRecorderLogGetDefault gave, between WPP_INIT_TRACING and WPP_CLEANUP; \
             after WppRecorderLogCreate failed use the default log",
        ),
    );
}

/// Gives out a log's messages.
unsafe fn dump(log: PVOID, function: &str, buffer: *mut PVOID, bytes: *mut u32, guid: *mut GUID) -> NTSTATUS {
    if buffer.is_null() || bytes.is_null() || guid.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    let Some(messages) = with_log(function, log, |log| (&raw mut log.messages).cast()) else {
        return STATUS_INVALID_PARAMETER;
    };
    // SAFETY: the caller's out parameters.
    unsafe {
        buffer.write(messages);
        bytes.write(size_of::<[Message; MESSAGES]>() as u32);
        guid.write(GUID::default());
    }
    STATUS_SUCCESS
}

fn default_log() -> PVOID {
    LOGS.with(|logs| logs.default.as_deref().map_or(core::ptr::null_mut(), address))
}

crate::export_functions! {
    /// What drivers import from `WppRecorder.sys`.
    pub(crate) static EXPORTS;

    /// Makes the default log.
    [PASSIVE] fn WppAutoLogStart(_control: PVOID, _driver: *mut DRIVER_OBJECT, _path: *const UNICODE_STRING) {
        let log = new_log();
        LOGS.with(|logs| _ = logs.default.get_or_insert(log));
    }

    /// Deletes the default log.
    [PASSIVE] fn WppAutoLogStop(_control: PVOID, _driver: *mut DRIVER_OBJECT) {
        drop(LOGS.with(|logs| logs.default.take()));
    }

    /// Records a message. Its arguments follow these parameters.
    [ANY] fn WppAutoLogTrace(log: PVOID, level: u8, flags: u32, guid: *const GUID, number: u16) -> NTSTATUS {
        if log.is_null() {
            // The control block of a driver that records nothing has no log.
            return STATUS_SUCCESS;
        }
        let guid = guid.as_ref().copied().unwrap_or_default();
        with_log("WppAutoLogTrace", log, |log| {
            let place = (log.recorded % MESSAGES as u64) as usize;
            log.messages[place] = Message { guid, number, level, flags };
            log.recorded += 1;
        });
        STATUS_SUCCESS
    }

    /// Replays messages to a trace session that has begun, of which there are none.
    [DISPATCH] fn imp_WppRecorderReplay(_control: PVOID, _session: u64, _flags: u32, _level: u8) {}

    /// Says whether the default log records.
    [PASSIVE] fn imp_WppRecorderConfigure(_control: PVOID, parameters: *const u32) {
        if parameters.is_null() { no_log("WppRecorderConfigure", core::ptr::null_mut()) }
    }

    /// Makes a log.
    [DISPATCH] fn imp_WppRecorderLogCreate(_control: PVOID, parameters: *const u32, out: *mut PVOID) -> NTSTATUS {
        if out.is_null() || parameters.is_null() || parameters.read() == 0 {
            return STATUS_INVALID_PARAMETER;
        }
        if crate::alloc_faults::fails("WppRecorderLogCreate") {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
        let log = new_log();
        out.write(address(&log));
        LOGS.with(|logs| logs.own.push(log));
        STATUS_SUCCESS
    }

    /// Deletes a log.
    [DISPATCH] fn imp_WppRecorderLogDelete(_control: PVOID, handle: PVOID) {
        let found = LOGS.with(|logs| {
            let index = logs.own.iter().position(|log| address(log) == handle)?;
            Some(logs.own.swap_remove(index))
        });
        if found.is_none() { no_log("WppRecorderLogDelete", handle) }
    }

    /// Returns the default log.
    [ANY] fn imp_WppRecorderLogGetDefault(_control: PVOID) -> PVOID { default_log() }

    /// Returns whether there is a default log.
    [ANY] fn imp_WppRecorderIsDefaultLogAvailable(_control: PVOID) -> u8 { u8::from(!default_log().is_null()) }

    /// Names a log for those who read it.
    [DISPATCH] fn imp_WppRecorderLogSetIdentifier(_control: PVOID, handle: PVOID, identifier: *const u8) -> NTSTATUS {
        with_log("WppRecorderLogSetIdentifier", handle, |_| ());
        if identifier.is_null() { STATUS_INVALID_PARAMETER } else { STATUS_SUCCESS }
    }

    /// Gives out the messages of the default log.
    [ANY] fn imp_WppRecorderDumpLiveDriverData(_control: PVOID, buffer: *mut PVOID, bytes: *mut u32, guid: *mut GUID) -> NTSTATUS {
        let log = default_log();
        if log.is_null() { STATUS_NOT_FOUND } else { dump(log, "WppRecorderDumpLiveDriverData", buffer, bytes, guid) }
    }

    /// Gives out the messages of a log.
    [ANY] fn imp_WppRecorderLogDumpLiveData(_control: PVOID, log: PVOID, buffer: *mut PVOID, bytes: *mut u32, guid: *mut GUID) -> NTSTATUS {
        dump(log, "WppRecorderLogDumpLiveData", buffer, bytes, guid)
    }

    /// Returns a handle of counters, which this recorder has not.
    [DISPATCH] fn imp_WppRecorderGetCounterHandle(_control: PVOID) -> PVOID { core::ptr::null_mut() }

    /// Joins counters, which this recorder has not.
    [DISPATCH] fn imp_WppRecorderLinkCounters(_control: PVOID, _owner: PVOID) -> NTSTATUS { STATUS_NOT_SUPPORTED }

    /// Describes the recorder's memory to a debugger: its layout is Windows' own.
    [DISPATCH] fn imp_WppRecorderGetTriageInfo(_control: PVOID, _out: PVOID) -> NTSTATUS { STATUS_NOT_SUPPORTED }
}
