//! A pin whose stream is an `IMiniportMidiStream`: the events that the sequencer delivers become bytes, and what was
//! read becomes captured messages.

#![allow(unsafe_code, reason = "streams and groups are called by slot number, events are linked by address")]

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use core::sync::atomic::AtomicU64;

use super::Pin;
use super::allocator::Allocator;
use super::capture::Captured;
use super::clock::MasterClock;
use super::render::Render;
use crate::contract::midi;
use crate::contract::rules;
use crate::contract::violation::{Violation, violation};
use crate::nt::NTSTATUS;
use crate::nt::status::{STATUS_NOT_SUPPORTED, STATUS_SUCCESS, success};
use crate::portcls::com::abi::{EVENT_INCOMPLETE, EVENT_PACKAGE, KernelEvent, KsState, StreamType};
use crate::portcls::com::object::Com;
use crate::portcls::com::slots::{self, Foreign};
use crate::portcls::ks::formats;
use crate::portcls::midi::new_stream::{NewStream, new_stream};
use crate::portcls::midi::stream::{Incoming, MidiStream};
use crate::portcls::port::Port;

/// `SchedulePreFetch` of a miniport that has none: each event is delivered when it is due.
const WHEN_DUE: u64 = 0;

/// The channel group of raw MIDI.
const CHANNEL_GROUP: u16 = 1;

/// The port's side of an `IMiniportMidiStream`, and where its sink is served.
pub(super) struct Bytes {
    stream: Com<MidiStream>,
    served: Served,
}

/// Where a stream's sink is served.
enum Served {
    /// In the stream's own service group; with the place by which `Notify(NULL)` reaches it.
    OwnGroup(Foreign, Option<usize>),
    /// With the miniport's group.
    WithMiniport,
}

impl Bytes {
    /// Hands events over, each to be given back when its bytes are written.
    pub(super) fn put(&self, allocator: &Com<Allocator>, first: *mut KernelEvent) -> NTSTATUS {
        self.stream.put(first, messages_of(allocator, first));
        STATUS_SUCCESS
    }

    /// Gives back what has not been written.
    pub(super) fn discard(&self) {
        self.stream.discard();
    }

    /// Returns the first failure that `Write` returned.
    pub(super) fn refused(&self) -> Option<NTSTATUS> {
        self.stream.refused()
    }

    /// Returns what a capture stream has brought since the last time. `None` for other streams.
    pub(super) fn take(&self) -> Option<Vec<Captured>> {
        let captured = |Incoming { time, incomplete, data }| Captured {
            time,
            channel_group: CHANNEL_GROUP,
            flags: if incomplete { EVENT_INCOMPLETE } else { 0 },
            data,
        };
        self.stream.captures().then(|| self.stream.take().into_iter().map(captured).collect())
    }

    /// Returns how much of what came in was lost.
    pub(super) fn dropped(&self) -> u64 {
        self.stream.dropped()
    }
}

/// Returns the messages of a chain, of those in its packages too, in their order.
fn messages_of(allocator: &Com<Allocator>, first: *mut KernelEvent) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    let mut event = first;
    while !event.is_null() {
        // SAFETY: an event of the port's own, out of the pool and known to no driver.
        let content = unsafe { event.read() };
        if content.flags & EVENT_PACKAGE == 0 {
            match allocator.read(event) {
                Ok((_, data)) => messages.push(data),
                Err(broken) => violation("IAllocatorMXF", broken),
            }
        } else {
            // SAFETY: the flag says which member of the union it is.
            messages.extend(messages_of(allocator, unsafe { content.data.package }));
        }
        event = content.next;
    }
    messages.retain(|message| !message.is_empty());
    messages
}

impl Pin {
    /// Opens a pin of an `IMiniportMidi`.
    pub(super) fn create_of_bytes(
        port: &Com<Port>,
        id: u32,
        kind: StreamType,
        format: &[u8],
    ) -> Result<Box<Self>, NTSTATUS> {
        if kind == StreamType::WaveSink {
            return Err(STATUS_NOT_SUPPORTED);
        }
        let captures = kind == StreamType::MidiCapture;
        let (allocator, clock) = (Allocator::create(), MasterClock::create());
        let NewStream { stream, group, taken } = new_stream(port, id, captures, format)?;
        port.add_stream(stream.as_raw());
        let pool = allocator.clone();
        let sink = MidiStream::create(stream.as_raw(), captures, Box::new(move |event| pool.discard(event)));
        let served = match group {
            Some(group) => {
                // SAFETY: both live; the sink leaves the group in `close`.
                unsafe { slots::service_group::add_member(group.as_raw(), sink.as_raw()) };
                let place = port.add_group(&group);
                Served::OwnGroup(group, place)
            }
            None => {
                // SAFETY: a live object.
                port.add_sink(unsafe { Foreign::from_borrowed(sink.as_raw()) });
                Served::WithMiniport
            }
        };
        let room = allocator.capacity();
        let mut pin = Box::new(Self {
            port: port.clone(),
            id,
            state: KsState::Stop,
            group: None,
            prefetch: WHEN_DUE,
            taken,
            midi: formats::is_midi(format),
            render: (!captures).then(|| Render::new(WHEN_DUE, room)),
            wave: None,
            capture: None,
            bytes: Some(Bytes { stream: sink, served }),
            allocator,
            clock,
            stream: Some(stream),
            longest_put: AtomicU64::new(0),
            own_events: 0,
        });
        pin.start_render();
        Ok(pin)
    }

    /// Takes one step of the state ladder.
    ///
    /// # Errors
    /// The status that a step up failed with; the stream stays in the state before.
    pub(super) fn step_of_bytes(&mut self, next: KsState) -> Result<(), NTSTATUS> {
        let Some(bytes) = &self.bytes else { return Ok(()) };
        if next != KsState::Run {
            bytes.stream.set_flows(false);
        }
        // SAFETY: the pin holds the stream.
        let status = unsafe { slots::midi_stream::set_state(self.minor_target(), next) };
        if success(status) {
            midi::STREAM_STATES.held();
        } else {
            if next > self.state {
                return Err(status);
            }
            violation(
                "IMiniportMidiStream::SetState",
                Violation::new(
                    midi::STREAM_STATES,
                    format!("on the way down it answers {next:?} with {status:#010x}"),
                    "accept PAUSE, ACQUIRE and STOP after RUN, one after another: a stream must be able to end",
                ),
            );
        }
        if next == KsState::Run {
            bytes.stream.set_flows(true);
        }
        self.state = next;
        if next == KsState::Stop {
            self.discard_held();
            if let Some(bytes) = &self.bytes {
                bytes.discard();
            }
        }
        Ok(())
    }

    /// Takes the sink from the group that serves it, and checks that its references came back. Nothing calls the stream
    /// after this.
    pub(super) fn leave_groups_of_bytes(&self) {
        let Some(Bytes { stream: sink, served }) = &self.bytes else { return };
        match served {
            Served::OwnGroup(group, place) => {
                if let Some(place) = place {
                    self.port.remove_group(*place);
                }
                // SAFETY: the pin holds both.
                unsafe { slots::service_group::remove_member(group.as_raw(), sink.as_raw()) };
            }
            Served::WithMiniport => self.port.remove_sink(sink.as_raw()),
        }
        sink.retire();
        let references = sink.references();
        if references != 1 {
            violation(
                "IServiceGroup::RemoveMember",
                Violation::new(
                    rules::REFERENCES_RETURNED,
                    format!(
                        "the sink has left the group, and {references} references to it are left, of which one is the port's"
                    ),
                    "release a sink when it is removed",
                ),
            );
        }
    }

    /// Calls `SetFormat` with the format at this address: a `KSDATAFORMAT`.
    pub(crate) fn set_own_format(&self, format: *const u8) -> Option<NTSTATUS> {
        self.bytes.as_ref()?;
        // SAFETY: the pin holds the stream; the caller's format lives for the call.
        Some(unsafe { slots::midi_stream::set_format(self.minor_target(), format.cast()) })
    }

    /// Serves the stream as its group does.
    pub(crate) fn serve(&self) {
        if let Some(bytes) = &self.bytes {
            bytes.stream.serve();
        }
    }
}
