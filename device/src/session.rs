//! A session: all that lives from one `OPEN` to the next.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::ops::Range;
use std::sync::Arc;

use card_spec::control::{PortParameters, StreamKind, StreamState, effect, port_parameter};
use card_spec::diagnosis::Diagnosis;
use card_spec::event::{EventHeader, event_flag};
use card_spec::limits::{
    CHANNEL_GROUPS_DEFAULT, CHANNEL_GROUPS_MAX, SAMPLE_RATE_DEFAULT, SAMPLE_RATE_MAX, SAMPLE_RATE_MIN, VOICES_DEFAULT,
};
use card_spec::midi::is_one_message;
use dls_synth::{Bank, ConfigError, Kernel, SynthConfig};
use sha2::{Digest, Sha256};

use crate::bus::Chain;
use crate::capture::Capture;
use crate::clock::RealtimeClock;
use crate::diagnosis::DriverError;
use crate::output::Output;
use crate::session_synth::SessionSynth;
use crate::statistics::RunningStatistics;
use crate::stream::Streams;
use crate::sysex::{Assembled, Assembly};
use crate::timeline::{Group, Message, Pending, Timeline};

/// A wave buffer that has been taken and is not filled yet. Only the oldest one is ever taken, the rest wait in the
/// ring, so that a stopped ring gives every buffer back.
#[derive(Debug)]
pub(crate) struct WaveBuffer {
    pub(crate) chain: Chain,
    pub(crate) frames: usize,
}

/// An event that plays: the groups that are still to get it.
#[derive(Debug)]
pub(crate) struct Playing {
    pub(crate) event: Pending,
    pub(crate) groups: Range<u16>,
}

/// The page that the driver has lent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StatusPageLoan {
    pub(crate) address: u64,
    pub(crate) sequence: u32,
}

/// The settings that a driver can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Voices.
    pub voices: u16,
    /// Channel groups.
    pub channel_groups: u16,
    /// Audio channels, 1 or 2.
    pub audio_channels: u16,
    /// Frames a second.
    pub sample_rate: u32,
    /// The reverb is heard.
    pub reverb: bool,
    /// The chorus is heard.
    pub chorus: bool,
}

impl Parameters {
    /// What a session starts with on a card of `voices_max` voices.
    #[must_use]
    pub fn defaults(voices_max: u16) -> Self {
        Self {
            voices: VOICES_DEFAULT.min(voices_max),
            channel_groups: CHANNEL_GROUPS_DEFAULT,
            audio_channels: 2,
            sample_rate: SAMPLE_RATE_DEFAULT,
            reverb: true,
            chorus: true,
        }
    }

    /// What the card makes of a driver's wish, and whether it is all that was wished.
    #[must_use]
    pub fn adjusted(self, wish: &PortParameters, voices_max: u16) -> (Self, bool) {
        let valid = wish.valid.get();
        let mut granted = valid & !port_parameter::ALL == 0;
        let mut ask = |bit: u32, wished: u32, low: u32, high: u32| -> Option<u32> {
            if valid & bit == 0 {
                return None;
            }
            let given = wished.clamp(low, high);
            granted &= given == wished;
            Some(given)
        };
        let voices = ask(port_parameter::VOICES, wish.voices.get(), 1, voices_max.into());
        let groups = ask(port_parameter::CHANNEL_GROUPS, wish.channel_groups.get(), 1, CHANNEL_GROUPS_MAX.into());
        let channels = ask(port_parameter::AUDIO_CHANNELS, wish.audio_channels.get(), 1, 2);
        let rate = ask(port_parameter::SAMPLE_RATE, wish.sample_rate.get(), SAMPLE_RATE_MIN, SAMPLE_RATE_MAX);
        ask(port_parameter::SHARE, wish.share.get(), 0, 0);
        let mut adjusted = self;
        if valid & port_parameter::EFFECTS != 0 {
            let effects = wish.effects.get();
            granted &= effects & !(effect::REVERB | effect::CHORUS) == 0;
            adjusted.reverb = effects & effect::REVERB != 0;
            adjusted.chorus = effects & effect::CHORUS != 0;
        }
        // Each is within the bounds of its narrower type after the clamp.
        adjusted.voices = voices.map_or(self.voices, |value| value as u16);
        adjusted.channel_groups = groups.map_or(self.channel_groups, |value| value as u16);
        adjusted.audio_channels = channels.map_or(self.audio_channels, |value| value as u16);
        adjusted.sample_rate = rate.unwrap_or(self.sample_rate);
        (adjusted, granted)
    }

    /// As the driver reads them.
    #[must_use]
    pub fn to_spec(self) -> PortParameters {
        let effects = if self.reverb { effect::REVERB } else { 0 } | if self.chorus { effect::CHORUS } else { 0 };
        PortParameters {
            valid: port_parameter::ALL.into(),
            voices: u32::from(self.voices).into(),
            channel_groups: u32::from(self.channel_groups).into(),
            audio_channels: u32::from(self.audio_channels).into(),
            sample_rate: self.sample_rate.into(),
            effects: effects.into(),
            share: 0.into(),
        }
    }

    fn to_synth(self) -> SynthConfig {
        SynthConfig {
            sample_rate: self.sample_rate,
            voices: self.voices,
            channel_groups: self.channel_groups,
            reverb: self.reverb,
            chorus: self.chorus,
            kernel: Kernel::Auto,
        }
    }
}

/// A session.
pub struct Session {
    /// The number that the driver gave.
    pub id: u64,
    /// What is in force.
    pub parameters: Parameters,
    /// The streams.
    pub streams: Streams,
    /// Time, and what waits for it.
    pub timeline: Timeline,
    /// The synthesizer and its downloads.
    pub synth: SessionSynth,
    /// Rendered frames that no buffer has taken.
    pub output: Output,
    /// What moves time, in real time.
    pub(crate) clock: RealtimeClock,
    /// `CLOCK_SYNC` with `START` has been seen since the wave stream was last stopped.
    pub(crate) clock_started: bool,
    /// The wave buffer to be filled next.
    pub(crate) wave_buffer: Option<WaveBuffer>,
    /// Some frames of the wave buffer have been rendered, and not all.
    pub(crate) filling: bool,
    /// The event in whose middle the last slice of work ended.
    pub(crate) playing: Option<Playing>,
    /// Batches wait in the ring for want of room.
    pub(crate) backlog: bool,
    pub(crate) assembly: Assembly,
    pub(crate) capture: Capture,
    pub(crate) statistics: RunningStatistics,
    pub(crate) status_page: Option<StatusPageLoan>,
    /// Over all frames rendered since the sample clock was last set.
    pub(crate) hash: Sha256,
    /// Of the synthesizer's count, how many the registers have been told.
    pub(crate) notes_lost_counted: u64,
}

impl Session {
    /// A fresh one.
    ///
    /// # Errors
    /// Parameters that the synthesizer does not take.
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
    /// Parameters that the synthesizer does not take; nothing has changed then.
    pub fn set_parameters(&mut self, parameters: Parameters) -> Result<(), ConfigError> {
        self.synth.reconfigure(parameters.to_synth())?;
        self.timeline.set_sample_rate(parameters.sample_rate);
        self.parameters = parameters;
        Ok(())
    }

    /// Takes one event record, already bounded by its batch. `Ok(true)` when it came late.
    ///
    /// # Errors
    /// What is wrong with it. It has been dropped.
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
                Assembled::Incomplete | Assembled::Swallowed => return Ok(false),
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

    /// Events of a stream were dropped.
    pub(crate) fn lose(&mut self, stream: u32, events: u64) {
        if let Some(stream) = self.streams.get_mut(stream) {
            stream.lost = stream.lost.saturating_add(events);
        }
    }

    /// Time begins anew at `frame`: what was rendered before belongs to the past.
    pub(crate) fn set_clock(&mut self, frame: i64) {
        self.timeline.set_position(frame);
        self.output.clear();
        self.hash.reset();
        self.clock.stop();
    }

    /// Whether frames may be rendered now.
    #[must_use]
    pub fn time_may_move(&self) -> bool {
        self.streams.wave_state().is_none_or(|state| state == StreamState::RUN)
    }

    /// The oldest frame in the output FIFO; the next one to be rendered when it is empty.
    #[must_use]
    pub fn first_waiting_frame(&self) -> i64 {
        self.timeline.position().saturating_sub_unsigned(self.output.len() as u64)
    }

    /// Master time of the frame to be rendered next.
    #[must_use]
    pub fn master_time(&self) -> i64 {
        self.timeline.master_time(self.timeline.position())
    }

    /// The open render stream of this number.
    #[must_use]
    pub fn render_state(&self, stream: u32) -> Option<StreamState> {
        self.streams.get(stream).filter(|stream| stream.kind == StreamKind::RENDER).map(|stream| stream.state)
    }
}
