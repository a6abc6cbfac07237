//! `IMiniportMidi::NewStream`: the call, and what the documentation demands of its outcome.

#![allow(unsafe_code, reason = "the miniport is called by slot number, with out parameters")]

use alloc::format;

use crate::contract::midi;
use crate::contract::violation::{Violation, violation};
use crate::nt::status::{STATUS_INVALID_DEVICE_REQUEST, STATUS_UNSUCCESSFUL, success};
use crate::nt::{NTSTATUS, PVOID};
use crate::portcls::com::abi::DataFormat;
use crate::portcls::com::guids;
use crate::portcls::com::object::Com;
use crate::portcls::com::slots::{self, Foreign};
use crate::portcls::ks::formats;
use crate::portcls::port::{Port, interface_checks};

/// What `*ServiceGroup` is before the call: a miniport that does not write it is noticed. No address.
const GROUP_UNWRITTEN: usize = usize::MAX;

/// `NonPagedPoolNx`.
const NON_PAGED_POOL_NX: i32 = 512;

/// A stream as its miniport gave it.
pub(crate) struct NewStream {
    /// `IMiniportMidiStream`.
    pub(crate) stream: Foreign,
    /// The stream's own service group, if it has one.
    pub(crate) group: Option<Foreign>,
    /// References to the miniport that it took.
    pub(crate) taken: u32,
}

/// Asks a miniport for a stream.
///
/// # Errors
/// `STATUS_INVALID_DEVICE_REQUEST` without a miniport, or the status that `NewStream` failed with.
pub(crate) fn new_stream(port: &Com<Port>, pin: u32, capture: bool, format: &[u8]) -> Result<NewStream, NTSTATUS> {
    let miniport = port.miniport().ok_or(STATUS_INVALID_DEVICE_REQUEST)?;
    let (mut stream, mut group) = (core::ptr::null_mut(), GROUP_UNWRITTEN as PVOID);
    let before = (port.references(), miniport.references());
    // The format as the driver sees it: aligned, and gone after the call.
    let copy = formats::aligned(format);
    // SAFETY: every pointer lives for the call; the format is as long as it says.
    let status = unsafe {
        slots::miniport_midi::new_stream(
            miniport.as_raw(),
            &raw mut stream,
            core::ptr::null_mut(),
            NON_PAGED_POOL_NX,
            pin,
            u8::from(capture),
            copy.as_ptr().cast::<DataFormat>(),
            &raw mut group,
        )
    };
    drop(copy);
    let after = (port.references(), miniport.references());
    if !success(status) {
        let group_left = !group.is_null() && group as usize != GROUP_UNWRITTEN;
        if !stream.is_null() || group_left || before != after {
            violation(
                "IMiniportMidi::NewStream",
                Violation::new(
                    midi::NEW_STREAM_FAILURE,
                    format!(
                        "it failed with {status:#010x} and put out stream {stream:p} and group {group:p}; references to port and \
                         miniport went from {before:?} to {after:?}"
                    ),
                    "on failure release all that was taken and store NULL in both outputs",
                ),
            );
        } else {
            midi::NEW_STREAM_FAILURE.held();
        }
        return Err(status);
    }
    let missing = if stream.is_null() {
        Some("puts out no stream")
    } else if group as usize == GROUP_UNWRITTEN {
        Some("does not write the service group")
    } else {
        None
    };
    if let Some(what) = missing {
        violation(
            "IMiniportMidi::NewStream",
            Violation::new(
                midi::NEW_STREAM,
                format!("it succeeds and {what}"),
                "on success write *Stream, and *ServiceGroup (NULL if there is none)",
            ),
        );
        if stream.is_null() {
            return Err(STATUS_UNSUCCESSFUL);
        }
        group = core::ptr::null_mut();
    } else {
        midi::NEW_STREAM.held();
    }
    // SAFETY: both references are the caller's, by the contract of NewStream.
    let (stream, group) =
        unsafe { (Foreign::from_owned(stream), (!group.is_null()).then(|| Foreign::from_owned(group))) };
    port.check_description();
    interface_checks::check_interfaces(
        &stream,
        &[guids::IID_IMINIPORTMIDISTREAM],
        midi::STREAM_INTERFACES,
        "IMiniportMidiStream",
    );
    interface_checks::check_slots(&stream, interface_checks::MIDI_STREAM_METHODS, "IMiniportMidiStream");
    Ok(NewStream { stream, group, taken: after.1.wrapping_sub(before.1) })
}
