//! A pin: the port's side of one stream, from `NewStream` through the state ladder to the last release.

#![allow(unsafe_code, reason = "streams are called by slot number")]

pub(crate) mod allocator;
mod background;
mod bytes;
pub(crate) mod capture;
pub(crate) mod clock;
mod close;
pub(crate) mod delivery;
mod event_pool;
mod group;
pub(crate) mod new_stream;
mod no_data_path;
mod probe;
mod render;
mod sequencer;
pub(crate) mod unpack;
mod wave;

use alloc::boxed::Box;
use alloc::format;
use core::sync::atomic::AtomicU64;

use self::allocator::Allocator;
use self::allocator::starve::NOTHING;
use self::bytes::Bytes;
use self::capture::CaptureSink;
use self::clock::MasterClock;
use self::group::Group;
use self::new_stream::{NewStream, new_stream};
use self::probe::probe;
use self::render::Render;
use self::unpack::{DirectMusicRecords, MidiRecords, Records};
use self::wave::Wave;
use crate::contract::note::note;
use crate::contract::rules::{self, Rule};
use crate::contract::violation::{Violation, violation};
use crate::contract::watch;
use crate::nt::status::{
    STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER, STATUS_NO_MATCH,
    STATUS_NOT_SUPPORTED, success,
};
use crate::nt::{NTSTATUS, PVOID};
use crate::portcls::com::abi::{KsState, StreamType, data_flow};
use crate::portcls::com::object::Com;
use crate::portcls::com::slots::{self, Foreign};
use crate::portcls::kernel;
use crate::portcls::kernel::deadline::Deadline;
use crate::portcls::ks::descriptor::{Filter, Pin as Factory};
use crate::portcls::ks::formats;
use crate::portcls::port::Port;
use crate::portcls::port::miniport_kind::MiniportKind;

/// Bytes behind a render buffer that `Render` may not touch.
pub(crate) const RENDER_GUARD_BYTES: usize = 64;

/// How long a capture stream may take to notice that there are no events, 100 ns units: a driver may have nothing to
/// capture, and an interrupt of a busy host's device comes late.
const NOTICE_LIMIT: i64 = 100_000_000;

/// A pin.
pub(crate) struct Pin {
    port: Com<Port>,
    id: u32,
    state: KsState,
    stream: Option<Foreign>,
    group: Option<Group>,
    allocator: Com<Allocator>,
    clock: Com<MasterClock>,
    prefetch: u64,
    /// References to the miniport that the stream took.
    taken: u32,
    /// The format is MIDI, not DirectMusic.
    midi: bool,
    render: Option<Render>,
    wave: Option<Wave>,
    capture: Option<Com<CaptureSink>>,
    /// The port's side of an `IMiniportMidiStream`.
    bytes: Option<Bytes>,
    longest_put: AtomicU64,
    /// Events that the driver took for itself in `NewStream`, and keeps until the stream goes.
    own_events: usize,
}

// SAFETY: timer and DPC are the kernel's to synchronise; everything else is `Send` by itself.
unsafe impl Send for Pin {}

impl Pin {
    /// Opens a pin with a connection format.
    ///
    /// # Errors
    /// `STATUS_INVALID_PARAMETER` for a pin that does not exist or a format that is none, `STATUS_NO_MATCH` for one
    /// that does not fit, `STATUS_INSUFFICIENT_RESOURCES` when all instances are open, `STATUS_NOT_SUPPORTED` for wave
    /// into the filter and for every stream of a wave port, or what `NewStream` returned.
    pub(crate) fn open(port: &Com<Port>, id: u32, format: &[u8]) -> Result<Box<Self>, NTSTATUS> {
        port.check_description();
        let filter = port.filter().ok_or(STATUS_INVALID_DEVICE_REQUEST)?;
        let factory = filter.pins.get(id as usize).ok_or(STATUS_INVALID_PARAMETER)?;
        if !port.kind().is_music() {
            return Err(no_data_path::refusal(port, id, factory, format));
        }
        formats::fit(factory, format).map_err(|unfit| match unfit {
            formats::Unfit::Length { .. } => STATUS_INVALID_PARAMETER,
            formats::Unfit::NoMatch if port.miniport_kind() == Some(MiniportKind::Midi) => STATUS_NO_MATCH,
            formats::Unfit::NoMatch => Self::expect_refusal(port, id, &filter, format),
        })?;
        let kind = stream_type(factory, format)?;
        let instances = port.instances(id).ok_or(STATUS_INVALID_PARAMETER)?;
        if instances.current >= instances.possible || instances.global_current >= instances.global_possible {
            return Err(STATUS_INSUFFICIENT_RESOURCES);
        }
        let pin = match port.miniport_kind() {
            Some(MiniportKind::Midi) => Self::create_of_bytes(port, id, kind, format)?,
            _ => Self::create(port, id, kind, format)?,
        };
        port.count_instance(id, 1);
        Ok(pin)
    }

    fn create(port: &Com<Port>, id: u32, kind: StreamType, format: &[u8]) -> Result<Box<Self>, NTSTATUS> {
        let (allocator, clock) = (Allocator::create(), MasterClock::create());
        let NewStream { stream, group, prefetch, taken, synth_sink } =
            new_stream(port, id, kind, format, &allocator, &clock)?;
        port.add_stream(stream.as_raw());
        let (room, own_events) = (allocator.capacity(), allocator.events_out());
        let mut pin = Box::new(Self {
            port: port.clone(),
            id,
            state: KsState::Stop,
            group: None,
            prefetch,
            taken,
            midi: formats::is_midi(format),
            render: (kind == StreamType::MidiRender).then(|| Render::new(prefetch, room)),
            wave: synth_sink.map(|sink| {
                let block_align = formats::block_align(format).unwrap_or(1);
                let rate = formats::sample_rate(format).unwrap_or(1);
                Wave::new(sink, block_align, rate, formats::bits(format).unwrap_or(0))
            }),
            capture: (kind == StreamType::MidiCapture).then(|| CaptureSink::create(allocator.clone())),
            bytes: None,
            allocator,
            clock,
            stream: Some(stream),
            longest_put: AtomicU64::new(0),
            own_events,
        });
        pin.join_group(group);
        pin.start_render();
        pin.connect_capture(true);
        probe(&mut pin);
        Ok(pin)
    }

    /// Passes a format on to the miniport that a data range of the pin has by its three GUIDs and not by its numbers,
    /// which is as far as kernel streaming looks. What has other GUIDs, or a pin that cannot be opened, no client gets
    /// past kernel streaming (rule 33).
    fn expect_refusal(port: &Com<Port>, id: u32, filter: &Filter, format: &[u8]) -> NTSTATUS {
        if !watch::is_on() {
            return STATUS_NO_MATCH;
        }
        let factory = &filter.pins[id as usize];
        let Ok(kind) = stream_type(factory, format) else { return STATUS_NO_MATCH };
        if factory.max_filter == 0 || !formats::fits_by_kind(factory, format) {
            return STATUS_NO_MATCH;
        }
        if new_stream(port, id, kind, format, &Allocator::create(), &MasterClock::create()).is_ok() {
            note(
                rules::NEW_STREAM_FAILURE,
                "IMiniportDMus::NewStream",
                format!("pin {id} makes a {kind:?} stream for a format beyond the numbers of its data ranges"),
            );
        }
        STATUS_NO_MATCH
    }

    /// Returns the factory.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Returns the port.
    pub(crate) fn port(&self) -> &Com<Port> {
        &self.port
    }

    /// Returns the state.
    pub(crate) fn state(&self) -> KsState {
        self.state
    }

    /// Returns the `SchedulePreFetch` that the miniport requested.
    pub(crate) fn prefetch(&self) -> u64 {
        self.prefetch
    }

    /// Returns the stream: the minor target of property requests.
    pub(crate) fn minor_target(&self) -> PVOID {
        self.stream.as_ref().map_or(core::ptr::null_mut(), Foreign::as_raw)
    }

    /// Returns whether events can be sent.
    pub(crate) fn is_render(&self) -> bool {
        self.render.is_some()
    }

    /// Returns the records in a client's stream data, in the format that the pin was opened with.
    pub(crate) fn records<'a>(&self, data: &'a [u8]) -> Records<'a> {
        if self.midi {
            Records::Midi(MidiRecords::new(data))
        } else {
            Records::DirectMusic(DirectMusicRecords::new(data))
        }
    }

    /// Moves to a state through those between.
    ///
    /// # Errors
    /// The status that `SetState` failed with; the pin stays in the last state that was reached.
    pub(crate) fn set_state(&mut self, target: KsState) -> Result<(), NTSTATUS> {
        while self.state != target {
            let next = neighbour(self.state, target);
            if self.bytes.is_some() {
                self.step_of_bytes(next)?;
                continue;
            }
            let stream = self.minor_target();
            // Captured data may come from the moment that SetState lets it flow, until SetState has stopped it.
            let flows = next >= KsState::Pause;
            if let Some(sink) = self.capture.as_ref().filter(|_| flows) {
                sink.set_flows(true);
            }
            // SAFETY: the pin holds the stream.
            let status = unsafe { slots::mxf::set_state(stream, next) };
            if let Some(sink) = self.capture.as_ref().filter(|_| !flows) {
                sink.set_flows(false);
            }
            if !success(status) && next == KsState::Run {
                return Err(status);
            }
            if !success(status) {
                violation(
                    "IMXF::SetState",
                    Violation::new(
                        rules::STREAM_STATES,
                        format!("it answers {next:?} with {status:#010x}"),
                        "accept STOP, ACQUIRE and PAUSE from any state; only RUN may fail, when the hardware is not ready",
                    ),
                );
                return Err(status);
            }
            rules::STREAM_STATES.held();
            if next == KsState::Stop {
                self.discard_held();
                if let Some(wave) = &mut self.wave {
                    wave.position = 0;
                }
            }
            self.state = next;
        }
        Ok(())
    }

    /// Makes the allocator withhold events or buffers, or neither: bits of [`starve`](super::allocator::starve).
    ///
    /// A fault of a capture stream that is starved breaks rule 58. The allocator gives again only after the driver has
    /// called it without success, or the test would show nothing.
    pub(crate) fn starve(&self, what: u8) {
        if self.bytes.is_some() {
            // An IMiniportMidi has no allocator to starve.
            return;
        }
        if self.capture.is_some() {
            let deadline = Deadline::after(NOTICE_LIMIT);
            while what == NOTHING && self.allocator.failures() == 0 && !deadline.has_passed() {
                kernel::pause();
            }
            rules::blame((what != NOTHING).then_some(rules::CAPTURE_EMPTY_POOL));
        }
        self.allocator.starve(what);
    }

    /// Returns where the stream's events come from.
    pub(crate) fn allocator(&self) -> &Com<Allocator> {
        &self.allocator
    }

    /// Waits, in STOP, until the stream has given every event back; after `limit` (100 ns units) `rule` is broken.
    pub(crate) fn expect_returned(&self, rule: &'static Rule, limit: i64, mut wait: impl FnMut()) {
        let deadline = Deadline::after(limit);
        while self.allocator.events_out() > self.own_events {
            if deadline.has_passed() {
                deadline.note_missed();
                violation(
                    "IMXF::SetState",
                    Violation::new(
                        rule,
                        format!(
                            "the stream is in STOP, and {} events did not come back",
                            self.allocator.events_out() - self.own_events
                        ),
                        "give every event to the allocator exactly once: when it has been sent, or in SetState(STOP)",
                    ),
                );
                return;
            }
            wait();
        }
    }
}

/// Returns the next state on the way.
fn neighbour(from: KsState, to: KsState) -> KsState {
    match (from, to) {
        (KsState::Stop, KsState::Stop) | (KsState::Acquire, KsState::Stop) => KsState::Stop,
        (KsState::Stop, _) | (KsState::Acquire, KsState::Acquire) => KsState::Acquire,
        (KsState::Acquire, _) => KsState::Pause,
        (KsState::Pause, KsState::Run) | (KsState::Run, KsState::Run) => KsState::Run,
        (KsState::Pause, KsState::Pause) | (KsState::Run, _) => KsState::Pause,
        (KsState::Pause, _) => KsState::Acquire,
    }
}

/// Returns the stream type that the port chooses for a pin.
fn stream_type(factory: &Factory, format: &[u8]) -> Result<StreamType, NTSTATUS> {
    let wave = formats::block_align(format).is_some();
    match (factory.data_flow, wave) {
        (data_flow::IN, false) => Ok(StreamType::MidiRender),
        (data_flow::OUT, true) => Ok(StreamType::WaveSink),
        (data_flow::OUT, false) => Ok(StreamType::MidiCapture),
        // Wave into the filter.
        _ => Err(STATUS_NOT_SUPPORTED),
    }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;

    #[test]
    fn states_are_reached_through_their_neighbours() {
        let path = |from, to| {
            let mut path = vec![];
            let mut state = from;
            while state != to {
                state = neighbour(state, to);
                path.push(state);
            }
            path
        };
        assert_eq!(path(KsState::Stop, KsState::Run), [KsState::Acquire, KsState::Pause, KsState::Run]);
        assert_eq!(path(KsState::Run, KsState::Stop), [KsState::Pause, KsState::Acquire, KsState::Stop]);
        assert_eq!(path(KsState::Pause, KsState::Run), [KsState::Run]);
        assert_eq!(path(KsState::Acquire, KsState::Acquire), Vec::new());
    }
}
