//! `IMiniportDMus::NewStream`: the call, and what the documentation demands of its outcome.

#![allow(unsafe_code, reason = "the miniport is called by slot number, with out parameters")]

use alloc::format;

use super::allocator::Allocator;
use super::clock::MasterClock;
use crate::contract::note::note;
use crate::contract::rules;
use crate::contract::violation::{Violation, violation};
use crate::nt::status::{STATUS_INVALID_DEVICE_REQUEST, STATUS_UNSUCCESSFUL, success};
use crate::nt::{NTSTATUS, PVOID};
use crate::portcls::com::abi::{DataFormat, StreamType};
use crate::portcls::com::guids;
use crate::portcls::com::object::Com;
use crate::portcls::com::slots::{self, Foreign};
use crate::portcls::ks::formats;
use crate::portcls::midi;
use crate::portcls::port::miniport_kind::MiniportKind;
use crate::portcls::port::{Port, interface_checks};

/// What `SchedulePreFetch` is before the call: a miniport that does not write it is noticed.
const PREFETCH_UNWRITTEN: u64 = 0xDEAD_5EED_DEAD_5EED;

/// What `*ServiceGroup` is before the call, for the same reason. No address.
const GROUP_UNWRITTEN: usize = usize::MAX;

/// `NonPagedPoolNx`.
pub(crate) const NON_PAGED_POOL_NX: i32 = 512;

/// A stream as its miniport gave it.
pub(crate) struct NewStream {
    /// `IMXF`.
    pub(crate) stream: Foreign,
    /// The stream's own service group, if it has one.
    pub(crate) group: Option<Foreign>,
    /// `SchedulePreFetch`.
    pub(crate) prefetch: u64,
    /// References to the miniport that it took.
    pub(crate) taken: u32,
    /// `ISynthSinkDMus`, of a wave stream.
    pub(crate) synth_sink: Option<Foreign>,
}

/// Asks a miniport for a stream.
///
/// # Errors
/// `STATUS_INVALID_DEVICE_REQUEST` without a miniport, `STATUS_UNSUCCESSFUL` where `NewStream` succeeds without a stream, or
/// the status that it failed with.
pub(crate) fn new_stream(
    port: &Com<Port>,
    pin: u32,
    kind: StreamType,
    format: &[u8],
    allocator: &Com<Allocator>,
    clock: &Com<MasterClock>,
) -> Result<NewStream, NTSTATUS> {
    let miniport = port.miniport().ok_or(STATUS_INVALID_DEVICE_REQUEST)?;
    let (mut stream, mut group) = (core::ptr::null_mut(), GROUP_UNWRITTEN as PVOID);
    let mut prefetch = PREFETCH_UNWRITTEN;
    let before = (port.references(), miniport.references());
    // The format as the driver sees it: aligned, and gone after the call.
    let copy = formats::aligned(format);
    // SAFETY: every pointer lives for the call; the format is as long as it says.
    let status = unsafe {
        slots::miniport_dmus::new_stream(
            miniport.as_raw(),
            &raw mut stream,
            core::ptr::null_mut(),
            NON_PAGED_POOL_NX,
            pin,
            kind as i32,
            copy.as_ptr().cast::<DataFormat>(),
            &raw mut group,
            allocator.as_raw(),
            clock.as_raw(),
            &raw mut prefetch,
        )
    };
    drop(copy);
    let after = (port.references(), miniport.references());
    if !success(status) {
        let group_left = !group.is_null() && group as usize != GROUP_UNWRITTEN;
        let kept = (allocator.references() - 1, clock.references() - 1);
        if !stream.is_null() || group_left || before != after || kept != (0, 0) {
            violation(
                "IMiniportDMus::NewStream",
                Violation::new(
                    rules::NEW_STREAM_FAILURE,
                    format!(
                        "it failed with {status:#010x} and put out stream {stream:p} and group {group:p}; references to port and \
                         miniport went from {before:?} to {after:?}, to allocator and clock {kept:?} are kept"
                    ),
                    "on failure release all that was taken and store NULL in both outputs",
                ),
            );
        } else {
            rules::NEW_STREAM_FAILURE.held();
        }
        return Err(status);
    }
    let missing = if stream.is_null() {
        Some("puts out no stream")
    } else if prefetch == PREFETCH_UNWRITTEN {
        Some("does not write SchedulePreFetch")
    } else if group as usize == GROUP_UNWRITTEN {
        Some("does not write the service group")
    } else {
        None
    };
    if let Some(what) = missing {
        violation(
            "IMiniportDMus::NewStream",
            Violation::new(
                rules::NEW_STREAM,
                format!("it succeeds and {what}"),
                "on success write *MXF, *ServiceGroup (NULL if there is none) and *SchedulePreFetch (0 for no preference)",
            ),
        );
        if stream.is_null() {
            return Err(STATUS_UNSUCCESSFUL);
        }
        if prefetch == PREFETCH_UNWRITTEN {
            prefetch = 0;
        }
        if group as usize == GROUP_UNWRITTEN {
            group = core::ptr::null_mut();
        }
    } else {
        rules::NEW_STREAM.held();
    }
    if allocator.events_out() != 0 {
        note(
            rules::NEW_STREAM_QUIET,
            "IMiniportDMus::NewStream",
            format!(
                "{} events are taken from the allocator before there is anything to send; the samples take them in RUN",
                allocator.events_out()
            ),
        );
    }
    rules::NEW_STREAM_QUIET.held();
    // SAFETY: both references are the caller's, by the contract of NewStream.
    let (stream, group) =
        unsafe { (Foreign::from_owned(stream), (!group.is_null()).then(|| Foreign::from_owned(group))) };
    port.check_description();
    let synth_sink = check_stream(&stream, kind);
    Ok(NewStream { stream, group, prefetch, taken: after.1.wrapping_sub(before.1), synth_sink })
}

/// Asks for a stream and gives it up at once. Returns whether there was one.
pub(crate) fn makes_stream(
    port: &Com<Port>,
    pin: u32,
    kind: StreamType,
    format: &[u8],
    allocator: &Com<Allocator>,
    clock: &Com<MasterClock>,
) -> bool {
    if port.miniport_kind() == Some(MiniportKind::Midi) {
        return midi::new_stream::new_stream(port, pin, kind == StreamType::MidiCapture, format).is_ok();
    }
    new_stream(port, pin, kind, format, allocator, clock).is_ok()
}

/// Checks that a stream has the interfaces that its type needs (rule 5), and answers the port's service call (rule 47).
/// Returns the `ISynthSinkDMus` of a wave stream; whether another stream has one too is its own affair.
fn check_stream(stream: &Foreign, kind: StreamType) -> Option<Foreign> {
    interface_checks::check_interfaces(stream, &[guids::IID_IMXF], rules::STREAM_INTERFACES, "IMXF");
    interface_checks::check_slots(stream, interface_checks::MXF_METHODS, "IMXF");
    let sink = (kind == StreamType::WaveSink).then(|| stream.query(&guids::IID_ISYNTHSINKDMUS).ok()).flatten();
    if let Some(sink) = &sink {
        interface_checks::check_slots(sink, interface_checks::SYNTH_SINK_METHODS, "ISynthSinkDMus");
    }
    if sink.is_none() && kind == StreamType::WaveSink {
        violation(
            "IMXF::QueryInterface",
            Violation::new(
                rules::STREAM_INTERFACES,
                "a wave stream does not answer ISynthSinkDMus",
                "answer ISynthSinkDMus on wave streams: the port pulls what they render by it",
            ),
        );
    }
    if kind == StreamType::MidiRender {
        // SAFETY: the stream is alive.
        let status = unsafe { slots::put_message_at_dispatch(stream.as_raw(), core::ptr::null_mut()) };
        if success(status) {
            rules::NULL_MESSAGE.held();
        } else {
            violation(
                "IMXF::PutMessage",
                Violation::new(
                    rules::NULL_MESSAGE,
                    format!("PutMessage(NULL) returns {status:#010x} on a render stream"),
                    "return STATUS_SUCCESS for NULL: it is the port's service call",
                ),
            );
        }
    }
    sink
}
