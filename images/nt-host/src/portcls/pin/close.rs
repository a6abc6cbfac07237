//! The end of a stream: what it holds comes back, and every reference.

#![allow(unsafe_code, reason = "streams and groups are called by slot number")]

use alloc::boxed::Box;
use alloc::format;

use super::Pin;
use super::group::Group;
use crate::contract::note::note;
use crate::contract::rules::{self, Rule};
use crate::contract::violation::{Violation, violation};
use crate::nt::PVOID;
use crate::portcls::com::abi::KsState;
use crate::portcls::com::slots::{self, Foreign};
use crate::portcls::ks::{event_list, pending};
use crate::portcls::port::miniport_kind::MiniportKind;

impl Pin {
    /// Stops and closes the stream, and checks that everything came back.
    pub(crate) fn close(mut self: Box<Self>) {
        // A stream that refuses to stop is destroyed all the same, and must then flush by itself.
        let _ = self.set_state(KsState::Stop);
        self.discard_held();
        self.finish_closing();
    }

    /// Closes the stream without setting it to stop first: the stream must then return its events by itself (rule 53).
    pub(crate) fn abandon(mut self: Box<Self>) {
        self.discard_held();
        rules::must_survive(rules::UNSTOPPED_STREAM, || self.finish_closing_as(rules::UNSTOPPED_STREAM));
    }

    fn finish_closing(&mut self) {
        self.finish_closing_as(rules::CONSERVATION);
    }

    /// Does the rest of closing. `kept` is the rule that a stream breaks that keeps events.
    fn finish_closing_as(&mut self, kept: &'static Rule) {
        if let Some(major) = self.port.major_target() {
            event_list::end_all(self.minor_target() as usize, major.as_raw(), self.minor_target());
        }
        self.connect_capture(false);
        self.leave_groups_of_bytes();
        if let Some(Group { group, sink, place }) = self.group.take() {
            if let Some(place) = place {
                self.port.remove_group(place);
            }
            // SAFETY: the pin holds both.
            unsafe { slots::service_group::remove_member(group.as_raw(), sink.as_raw()) };
            let references = sink.references();
            if references != 1 {
                violation(
                    "IServiceGroup::RemoveMember",
                    Violation::new(
                        rules::REFERENCES_RETURNED,
                        format!("the sink has left the group, and {} references to it are left", references - 1),
                        "release a sink when it is removed",
                    ),
                );
            }
        }
        self.wave = None;
        self.port.count_instance(self.id, -1);
        if let Some(stream) = self.stream.take() {
            self.release_stream(stream, kept);
            self.port.finish_departure();
        }
    }

    fn release_stream(&self, stream: Foreign, kept: &'static Rule) {
        // A miniport may serve two pins with one object; it goes with the second.
        let shared = self.port.remove_stream(stream.as_raw());
        let miniport = self.port.miniport();
        let references = || miniport.as_ref().map_or(0, |miniport| miniport.references());
        let before = references();
        let (address, waiting) = (stream.as_raw(), pending::kept_of(stream.as_raw()));
        let left = stream.release();
        if shared {
            return;
        }
        if waiting > 0 {
            Self::check_answered(address);
        }
        let given = before.wrapping_sub(references());
        let broken = if left != 0 {
            Some((
                rules::REFERENCES_RETURNED,
                format!("{left} references to the stream are left when its pin is closed"),
            ))
        } else if given != self.taken {
            let rule = if given > self.taken { rules::REFERENCE_COUNTS } else { rules::REFERENCES_RETURNED };
            Some((rule, format!("the stream took {} references to its miniport and released {given}", self.taken)))
        } else {
            None
        };
        if let Some((rule, what)) = broken {
            violation(
                self.port.miniport_kind().map_or("IMXF::Release", MiniportKind::stream_release),
                Violation::new(
                    rule,
                    what,
                    "give a new stream out with one reference, and release once what the stream AddRefed",
                ),
            );
        }
        self.check_returned(kept);
    }

    /// Checks that every request that was pending on the stream has been completed when it is gone (rule 76).
    fn check_answered(stream: PVOID) {
        let kept = pending::kept_of(stream);
        if kept > 0 {
            violation(
                "IMXF::Release",
                Violation::new(
                    rules::UNLOAD_AT_CLOSE,
                    format!("the stream is destroyed, and {kept} requests that came on it are still pending"),
                    "complete every request that waits on a stream with PcCompletePendingPropertyRequest, at the latest in its destructor",
                ),
            );
        } else {
            rules::UNLOAD_AT_CLOSE.held();
        }
    }

    fn check_returned(&self, kept: &'static Rule) {
        self.allocator.check();
        let (events, buffers) = (self.allocator.events_out(), self.allocator.buffers_out());
        let kept_some = events != 0 || buffers != 0;
        if kept_some && *kept == *rules::UNSTOPPED_STREAM {
            note(
                kept,
                "IMXF::Release",
                format!(
                    "the stream is destroyed in PAUSE, and {events} events and {buffers} buffers did not come back"
                ),
            );
        } else if kept_some {
            violation(
                "IMXF::Release",
                Violation::new(
                    kept,
                    format!("the stream is destroyed, and {events} events and {buffers} buffers did not come back"),
                    "give every event to the allocator's PutMessage, at the latest in SetState(STOP) and in the destructor",
                ),
            );
        } else if self.bytes.is_none() {
            kept.held();
        }
        let own = 1 + u32::from(self.capture.is_some()) + u32::from(self.bytes.is_some());
        let (allocator, clock) = (self.allocator.references() - own, self.clock.references() - 1);
        let held_sink = self.capture.as_ref().filter(|sink| sink.references() != 1);
        if let Some(sink) = held_sink {
            violation(
                "IMXF::Release",
                Violation::new(
                    rules::REFERENCES_RETURNED,
                    format!("the stream is destroyed, and keeps {} references to the sink", sink.references() - 1),
                    "release in DisconnectOutput what ConnectOutput AddRefed",
                ),
            );
        }
        if allocator != 0 || clock != 0 {
            violation(
                "IMXF::Release",
                Violation::new(
                    rules::REFERENCES_RETURNED,
                    format!(
                        "the stream is destroyed, and it keeps {allocator} references to its allocator and {clock} to its clock"
                    ),
                    "release both in the stream's destructor",
                ),
            );
            return;
        }
        if held_sink.is_some() {
            return;
        }
        [rules::REFERENCES_RETURNED, rules::DESTROYED_STREAM, rules::REFERENCE_COUNTS]
            .iter()
            .for_each(|rule| rule.held());
    }
}
