//! The guest-visible volatile state of the card: the session, from one `OPEN` to the next, and the notices.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use card_control::Clock;
use card_spec::control::{StreamKind, StreamState};
use card_spec::diagnosis::Diagnosis;
use card_spec::event::{EventHeader, event_flag};
use card_spec::limits::FRAME_MAX;
use card_spec::midi::is_one_message;
use card_spec::notice::NoticeKind;
use dls_synth::{Bank, ConfigError};
use sha2::{Digest, Sha256};

use super::capture::{Capture, CaptureError};
use super::clock::RealtimeClock;
use super::notices::Notices;
use super::output::{Lost, Output};
use super::parameters::Parameters;
use super::statistics::RunningStatistics;
use super::streams::Streams;
use super::synth::SessionSynth;
use super::sysex::{Assembled, Assembly};
use super::timeline::{Group, Message, Pending, Timeline};
use crate::bus::Chain;
use crate::diagnosis::DriverError;

/// A wave buffer that has been taken and is not filled yet. Only the oldest one is ever taken, the rest wait in the
/// ring, so that a stopped ring gives every buffer back.
#[derive(Debug)]
pub(crate) struct WaveBuffer {
    /// The chain.
    pub(crate) chain: Chain,
    /// Frames that it holds.
    pub(crate) frames: usize,
}

/// An event that is being played, and the groups that have not received it yet.
#[derive(Debug)]
pub(crate) struct Playing {
    /// The event.
    pub(crate) event: Pending,
    /// The groups.
    pub(crate) groups: Range<u16>,
}

/// The page that the driver has lent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StatusPageLoan {
    /// Its guest-physical address.
    pub(crate) address: u64,
    /// The sequence number that was written last.
    pub(crate) sequence: u32,
}

/// The state of the device that a reset clears.
#[derive(Default)]
pub struct DeviceState {
    /// The session, if the driver has opened one.
    pub session: Option<Session>,
    /// The notices that wait for a buffer.
    pub notices: Notices,
}

impl DeviceState {
    /// Drops everything, as a reset of the device and an `OPEN` do.
    pub fn reset(&mut self) {
        self.session = None;
        self.notices.clear();
    }

    /// Drops a session that failed outside a request, at `card_time` (100 ns units): its streams stop, and a notice
    /// says so for each.
    pub fn give_up_session(&mut self, card_time: u64) {
        let Some(session) = self.session.take() else { return };
        for (id, _) in session.streams.iter() {
            self.notices.post(NoticeKind::STATE_CHANGED, id, StreamState::STOP.0.into(), card_time);
        }
    }

    /// Queues a notice that the output FIFO has lost `frames` frames.
    pub fn notify_underrun(&mut self, frames: Lost, card_time: u64) {
        let wave = self.session.as_ref().and_then(|session| session.streams.first(StreamKind::WAVE));
        let stream = wave.map_or(0, |(id, _)| id);
        self.notices.post(NoticeKind::UNDERRUN, stream, frames, card_time);
    }
}

/// A session.
pub struct Session {
    /// The number that the driver gave.
    pub id: u64,
    /// The parameters in force.
    pub parameters: Parameters,
    /// The streams.
    pub streams: Streams,
    /// The sample clock, and the events that wait for their frame.
    pub timeline: Timeline,
    /// The synthesizer and its downloads.
    pub synth: SessionSynth,
    /// Rendered frames that no buffer has taken.
    pub output: Output,
    /// Moves time, in real time.
    pub(crate) clock: RealtimeClock,
    /// `CLOCK_SYNC` with `START` has been seen since the wave stream was last stopped.
    pub(crate) clock_started: bool,
    /// The wave buffer to be filled next.
    pub(crate) wave_buffer: Option<WaveBuffer>,
    /// Some frames of the wave buffer have been rendered, and not all.
    pub(crate) filling: bool,
    /// The event in whose middle the last slice of work ended.
    pub(crate) playing: Option<Playing>,
    /// Batches wait in the ring, because the card holds as many events as it may.
    pub(crate) backlog: bool,
    /// Fragments of system-exclusive messages.
    pub(crate) assembly: Assembly,
    /// Captured messages that wait for a buffer.
    pub(crate) capture: Capture,
    /// Running statistics.
    pub(crate) statistics: RunningStatistics,
    /// The status page, if the driver has lent one.
    pub(crate) status_page: Option<StatusPageLoan>,
    /// Over all frames rendered since the sample clock was last set.
    pub(crate) hash: Sha256,
    /// The lost notes of the synthesizer's count that are in the registers.
    pub(crate) notes_lost_counted: u64,
}

impl Session {
    /// Returns a session without streams, events and downloads.
    ///
    /// # Errors
    /// [`ConfigError`], when the synthesizer does not take the parameters.
    pub fn new(id: u64, parameters: Parameters, bank: Arc<Bank>) -> Result<Self, ConfigError> {
        Ok(Self {
            id,
            parameters,
            streams: Streams::default(),
            timeline: Timeline::new(parameters.sample_rate),
            synth: SessionSynth::new(parameters.to_synth(), bank)?,
            output: Output::default(),
            clock: RealtimeClock::default(),
            clock_started: false,
            wave_buffer: None,
            filling: false,
            playing: None,
            backlog: false,
            assembly: Assembly::default(),
            capture: Capture::default(),
            statistics: RunningStatistics::default(),
            status_page: None,
            hash: Sha256::new(),
            notes_lost_counted: 0,
        })
    }

    /// Puts other parameters in force.
    ///
    /// # Errors
    /// [`ConfigError`], when the synthesizer does not take the parameters; nothing has changed then.
    pub fn set_parameters(&mut self, parameters: Parameters) -> Result<(), ConfigError> {
        self.synth.reconfigure(parameters.to_synth())?;
        self.timeline.set_sample_rate(parameters.sample_rate);
        self.parameters = parameters;
        Ok(())
    }

    /// Takes one event record, already bounded by its batch. `Ok(true)` when it came late.
    ///
    /// # Errors
    /// The [`DriverError`] for which the event was dropped: it has no data, is too long, is for a group that does not
    /// exist, or is not one MIDI message.
    pub fn accept_event(&mut self, stream: u32, header: &EventHeader, data: &[u8]) -> Result<bool, DriverError> {
        let group = header.channel_group.get();
        let status = u32::from(data.first().copied().unwrap_or(0));
        let groups = self.parameters.channel_groups;
        if data.is_empty() {
            return Err(DriverError::new(Diagnosis::EVENT_MALFORMED));
        }
        if group > groups {
            return Err(DriverError::new(Diagnosis::EVENT_GROUP).expected(groups.into(), group.into()));
        }
        let incomplete = header.flags.get() & event_flag::INCOMPLETE != 0;
        let message = if incomplete || self.assembly.expects(stream, group) {
            match self.assembly.push(stream, group, data, !incomplete) {
                Assembled::Incomplete | Assembled::Dropped => return Ok(false),
                Assembled::TooLong => return Err(DriverError::new(Diagnosis::EVENT_MALFORMED)),
                Assembled::Whole(message) if is_one_message(&message) => Message::new(&message),
                Assembled::Whole(message) => {
                    let status = message.first().copied().unwrap_or(0);
                    return Err(DriverError::new(Diagnosis::EVENT_MIDI).got(status.into()));
                }
            }
        } else if is_one_message(data) {
            Message::new(data)
        } else {
            return Err(DriverError::new(Diagnosis::EVENT_MIDI).got(status));
        };
        let group = group.checked_sub(1).map_or(Group::Every, Group::One);
        Ok(self.timeline.schedule(header.time.get(), stream, group, message))
    }

    /// Discards what one stream has sent and not played.
    pub(crate) fn discard(&mut self, stream: u32) {
        self.timeline.discard(stream);
        self.assembly.discard(stream);
        self.playing.take_if(|playing| playing.event.stream == stream);
    }

    /// Counts events of a stream as dropped.
    pub(crate) fn lose(&mut self, stream: u32, events: u64) {
        if let Some(stream) = self.streams.get_mut(stream) {
            stream.lost = stream.lost.saturating_add(events);
        }
    }

    /// Sets the sample clock to `frame`, and drops frames that were rendered before.
    pub(crate) fn set_clock(&mut self, frame: i64) {
        self.timeline.set_position(frame);
        self.output.clear();
        self.hash.reset();
        self.clock.stop();
    }

    /// Moves the sample clock by `frames` frames: not beyond [`FRAME_MAX`], and not to before the first frame of those that
    /// wait in the output FIFO.
    pub(crate) fn jump(&mut self, frames: i64) {
        let least = i64::try_from(self.output.len()).unwrap_or(FRAME_MAX);
        let position = self.timeline.position().saturating_add(frames).clamp(least, FRAME_MAX.max(least));
        self.timeline.set_position(position);
        if self.clock.is_running() {
            self.clock.stop();
            self.clock.run(Instant::now(), position);
        }
    }

    /// Returns the frame of a master time, once the driver has started the clock.
    #[must_use]
    pub fn frame_of(&self, time: i64) -> Option<i64> {
        self.clock_started.then(|| self.timeline.frame_of(time))
    }

    /// Starts or stops the real-time clock: it runs on a card in real time, after `CLOCK_SYNC` with `START`, while the
    /// wave stream is in `RUN`.
    pub(crate) fn run_clock(&mut self, clock: Clock) {
        let run = clock == Clock::Realtime && self.clock_started && self.streams.wave_state() == Some(StreamState::RUN);
        if run {
            self.clock.run(Instant::now(), self.timeline.position());
        } else {
            self.clock.stop();
        }
    }

    /// Returns whether the frames of a wave buffer are being rendered in lockstep, and time passes: not while a slice has
    /// ended among the events of one frame, of which there may be any number.
    pub(crate) fn is_filling(&self, clock: Clock) -> bool {
        clock == Clock::Lockstep
            && self.filling
            && self.wave_buffer.is_some()
            && self.playing.is_none()
            && !self.timeline.is_due()
    }

    /// Returns how many frames the wave buffer still needs; no bound when there is none.
    pub(crate) fn missing_frames(&self) -> u64 {
        let buffer = self.wave_buffer.as_ref();
        buffer.map_or(u64::MAX, |buffer| buffer.frames.saturating_sub(self.output.len()) as u64)
    }

    /// Captures a message for a group numbered from 1, at a master time in 100 ns units, or now.
    ///
    /// # Errors
    /// [`CaptureError::NotRunning`] when no capture stream runs, [`CaptureError::Malformed`] when the data is not one MIDI
    /// message or there is no such group, [`CaptureError::Full`] when no more captured messages are kept.
    pub fn capture(&mut self, group: u16, data: &[u8], time: Option<i64>) -> Result<(), CaptureError> {
        let (id, stream) = self.streams.first(StreamKind::CAPTURE).ok_or(CaptureError::NotRunning)?;
        if stream.state != StreamState::RUN {
            return Err(CaptureError::NotRunning);
        }
        if !(1..=self.parameters.channel_groups).contains(&group) || !is_one_message(data) {
            return Err(CaptureError::Malformed);
        }
        let time = time.unwrap_or_else(|| self.master_time());
        if self.capture.push(time, group, data) {
            return Ok(());
        }
        self.lose(id, 1);
        Err(CaptureError::Full)
    }

    /// Returns whether frames may be rendered now.
    #[must_use]
    pub fn time_may_move(&self) -> bool {
        self.streams.wave_state().is_none_or(|state| state == StreamState::RUN)
    }

    /// Returns the oldest frame in the output FIFO; the next one to be rendered when it is empty.
    #[must_use]
    pub fn first_waiting_frame(&self) -> i64 {
        self.timeline.position().saturating_sub_unsigned(self.output.len() as u64)
    }

    /// Returns the master time of the frame to be rendered next.
    #[must_use]
    pub fn master_time(&self) -> i64 {
        self.timeline.master_time(self.timeline.position())
    }

    /// Returns the open render stream of this number.
    #[must_use]
    pub fn render_state(&self, stream: u32) -> Option<StreamState> {
        self.streams.get(stream).filter(|stream| stream.kind == StreamKind::RENDER).map(|stream| stream.state)
    }
}
