//! Steps about driver, device and streams.

use guest_protocol::{CapturedEvent, KsState, Request, StreamFormat};

use super::side::{Side, StepError, within};
use super::state::{Engine, Stream, StreamPins};
use crate::machine::{Received, ReceivedBytes};
use crate::playback::judge::compare_midi;
use crate::playback::{PlaybackError, bring_in, open_capture};
use crate::sound::midi::{CHANNEL_GROUP, MidiEvent, event_at};
use crate::sound::pcm::PcmFormat;
use crate::sound::song_source::SongSource;
use crate::steps::document::{
    CaptureStep, FormatStep, OpenStep, PinName, PowerState, SendStep, StateStep, StreamKind, StreamState, WaitStep,
};
use crate::steps::plan::{STREAM, implied};
use crate::testbed::session::StartedDevice;
use crate::testbed::{DevicePower, MusicFormat, PinOptions, SongPins, TestBedError, open_song_pins, wave_format};

/// The time in which what was brought in at the device comes out of the driver, unless nothing comes for so long.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

impl Engine<'_, '_> {
    /// Loads the driver.
    pub(super) fn load(&mut self) -> Result<String, StepError> {
        let hash = self.bed.load_driver()?;
        self.loaded = true;
        Ok(format!("the driver {}", &hash[..16]))
    }

    /// Starts the device.
    pub(super) fn start(&mut self) -> Result<String, StepError> {
        let device = self.bed.start_device()?.device.clone();
        self.started = true;
        self.removed = false;
        Ok(device)
    }

    /// Removes the device in order; the guest closes what is open.
    pub(super) fn stop(&mut self) -> Result<String, StepError> {
        // The guest closes every handle first.
        self.streams.clear();
        self.downloads.clear();
        self.bed.session.done("stop the device", Request::StopDevice)?;
        self.started = false;
        Ok(String::new())
    }

    /// Stops the device and starts it with other resources.
    pub(super) fn restart(&mut self) -> Result<String, StepError> {
        let resources = self.bed.restart_device()?.resources.join(", ");
        Ok(resources)
    }

    /// Sets the device's power state.
    pub(super) fn power(&mut self, state: PowerState) -> Result<String, StepError> {
        let power = match state {
            PowerState::D0 => DevicePower::D0,
            PowerState::D1 => DevicePower::D1,
            PowerState::D2 => DevicePower::D2,
            PowerState::D3 => DevicePower::D3,
        };
        self.bed.set_power(power)?;
        Ok(String::new())
    }

    /// Pulls the device out.
    pub(super) fn remove(&mut self) -> Result<String, StepError> {
        self.bed.remove_by_surprise()?;
        self.removed = true;
        Ok(String::new())
    }

    /// Unloads the driver.
    pub(super) fn unload(&mut self) -> Result<String, StepError> {
        self.bed.session.unload_driver()?;
        self.loaded = false;
        Ok(String::new())
    }

    /// Returns the name of the stream that a step is about: the one that it names, else the only one, or the only one that captures, or
    /// takes music, as the step needs.
    pub(super) fn stream_name(
        &self,
        named: Option<&toml::Spanned<String>>,
        captures: Option<bool>,
    ) -> Result<String, StepError> {
        let streams = self.streams.iter().map(|(name, stream)| (name, stream.open.kind));
        let name = match named {
            Some(name) => Some(name.get_ref().clone()),
            None => implied(streams, captures).unwrap_or_else(|names| names.first().copied()).cloned(),
        };
        name.filter(|name| self.streams.contains_key(name)).ok_or_else(|| {
            StepError::Unexpected(
                "the stream that this step is about is not open: an earlier step has closed it".into(),
            )
        })
    }

    /// Opens a stream under a name.
    pub(super) fn open(&mut self, open: &OpenStep) -> Result<String, StepError> {
        let pins = self.open_pins(open)?;
        let name = open.name.clone().unwrap_or_else(|| STREAM.into());
        self.streams.insert(name.clone(), Stream { open: open.clone(), pins, memory: None });
        if let Some(state) = open.state {
            self.set_state(&name, None, state)?;
        }
        Ok(match pins {
            StreamPins::Song(SongPins { wave: Some((_, format)), music, .. }) => format!("{music:?}, {format}"),
            StreamPins::Song(SongPins { music, .. }) => format!("{music:?}, no PCM"),
            StreamPins::Wave { format, .. } => format.to_string(),
            StreamPins::Capture { .. } => String::new(),
        })
    }

    fn open_pins(&mut self, open: &OpenStep) -> Result<StreamPins, StepError> {
        let mut device = self.started_device()?;
        if let Some(filter) = &open.filter {
            only(&mut device, filter)?;
        }
        let sample_rate = open.sample_rate.or(self.test.sample_rate);
        let music = match open.kind {
            StreamKind::Song => None,
            StreamKind::DirectMusic => Some(MusicFormat::DirectMusic),
            StreamKind::Midi => Some(MusicFormat::Midi),
            StreamKind::Capture => {
                let (filter, pin) = open_capture(self.bed, &device)?;
                return Ok(StreamPins::Capture { filter: filter.handle, pin });
            }
            StreamKind::Wave => return self.open_wave(&device, sample_rate),
        };
        let channel_groups = open.channel_groups.unwrap_or(CHANNEL_GROUP);
        let options = PinOptions { music, channel_groups, sample_rate, without_wave: true };
        Ok(StreamPins::Song(open_song_pins(&mut self.bed.session, &device, options)?))
    }

    fn open_wave(&mut self, device: &StartedDevice, wanted: Option<u32>) -> Result<StreamPins, StepError> {
        let found = self.bed.open_filter_with(device, |pin| wave_format(pin, wanted).is_some())?;
        let Some((filter, id)) = found else {
            return Err(TestBedError::NoPins { sample_rate: wanted, found: String::new() }.into());
        };
        let Some(format) = filter.pins.get(id as usize).and_then(|pin| wave_format(pin, wanted)) else {
            return Err(TestBedError::NoPins { sample_rate: wanted, found: String::new() }.into());
        };
        let PcmFormat { sample_rate, channels, bits } = format;
        let pin = self.bed.session.create_pin(filter.handle, id, StreamFormat::Pcm { sample_rate, channels, bits })?;
        Ok(StreamPins::Wave { filter: filter.handle, pin, format })
    }

    /// Closes a stream, its pins in reverse.
    pub(super) fn close(&mut self, name: &str) -> Result<String, StepError> {
        let Some(stream) = self.streams.remove(name) else {
            return Err(StepError::Unexpected(format!("stream `{name}` is not open: an earlier step has closed it")));
        };
        for pin in stream.pins.pins(None).into_iter().rev() {
            self.bed.session.done(&format!("close a pin of {name}"), Request::Close(pin))?;
        }
        self.bed.session.done(&format!("close the filter of {name}"), Request::Close(stream.pins.filter()))?;
        if let Some(memory) = stream.memory {
            memory.free(self.bed)?;
        }
        Ok(String::new())
    }

    /// Sets the state of a stream's pins.
    pub(super) fn state(&mut self, state: &StateStep) -> Result<String, StepError> {
        let name = self.stream_name(state.stream.as_ref(), None)?;
        self.set_state(&name, state.pin, state.to)?;
        Ok(String::new())
    }

    fn set_state(&mut self, name: &str, pin: Option<PinName>, to: StreamState) -> Result<(), StepError> {
        let (state, down) = match to {
            StreamState::Stop => (KsState::Stop, true),
            StreamState::Acquire => (KsState::Acquire, true),
            StreamState::Pause => (KsState::Pause, true),
            StreamState::Run => (KsState::Run, false),
        };
        let mut pins = self.streams.get(name).map(|stream| stream.pins.pins(pin)).unwrap_or_default();
        if pins.is_empty() {
            return Err(StepError::Unexpected(format!("stream `{name}` has no such pin")));
        }
        if down {
            // As they are brought up, in reverse.
            pins.reverse();
        }
        for pin in pins {
            self.bed.session.done(&format!("set the state of {name}"), Request::SetState { pin, state })?;
        }
        Ok(())
    }

    /// Connects a stream again, at another rate.
    pub(super) fn format(&mut self, format: &FormatStep) -> Result<String, StepError> {
        let name = self.stream_name(format.stream.as_ref(), None)?;
        let open = self.streams.get(&name).map(|stream| stream.open.clone()).unwrap_or_default();
        self.close(&name)?;
        self.open(&OpenStep { name: Some(name), sample_rate: Some(format.sample_rate), ..open })
    }

    /// Brings messages in at the device.
    pub(super) fn send(&mut self, send: &SendStep, song: Option<&SongSource>) -> Result<String, StepError> {
        let events: Vec<MidiEvent> = match song {
            Some(song) => song.read(&self.bed.provisioned().artefacts.card)?.song.events,
            None => send.messages.iter().map(|bytes| event_at(0, None, bytes.0.clone())).collect(),
        };
        let group = send.group.unwrap_or(1);
        let bytes = match &self.side.card {
            Some(card) => {
                let messages: Vec<Vec<u8>> = events.iter().map(|event| event.bytes.clone()).collect();
                let answers = card.midi_in(&messages, group).map_err(TestBedError::Control)?;
                if let Some(reason) = answers.into_iter().find_map(Result::err) {
                    return Err(PlaybackError::NotTaken { reason }.into());
                }
                messages.iter().map(Vec::len).sum()
            }
            None => bring_in(self.bed, &events)?,
        };
        Ok(format!("{} messages, {bytes} bytes", events.len()))
    }

    /// Takes what came out of a capture stream, and compares it.
    pub(super) fn capture(&mut self, capture: &CaptureStep, song: Option<&SongSource>) -> Result<String, StepError> {
        let name = self.stream_name(capture.stream.as_ref(), Some(true))?;
        let Some(Stream { pins: StreamPins::Capture { pin, .. }, .. }) = self.streams.get(&name) else {
            return Err(StepError::Unexpected(format!("nothing comes out of stream `{name}`")));
        };
        let pin = *pin;
        let expected: Vec<MidiEvent> = match song {
            Some(song) => song.read(&self.bed.provisioned().artefacts.card)?.song.events,
            None => {
                let messages = capture.messages.iter().flatten();
                messages.map(|bytes| event_at(0, None, bytes.0.clone())).collect()
            }
        };
        let wanted: usize = expected.iter().map(|event| event.bytes.len()).sum();
        let (mut taken, mut discarded): (Vec<CapturedEvent>, u64) = (Vec::new(), 0);
        let mut came = (std::time::Instant::now(), self.bed.stood_still());
        // Until all of it is there, and a look more, which shows what is too much.
        let mut last_look = false;
        loop {
            let (events, dropped) = self.bed.session.take_captured(pin)?;
            discarded = discarded.max(dropped);
            if !events.is_empty() {
                came = (std::time::Instant::now(), self.bed.stood_still());
            }
            taken.extend(events);
            let all = taken.iter().map(|event| event.data.len()).sum::<usize>() >= wanted;
            let stood_still = self.bed.stood_still().saturating_sub(came.1);
            if (all && last_look) || came.0.elapsed() > PATIENCE + stood_still {
                break;
            }
            last_look = all;
            std::thread::sleep(super::side::POLL);
        }
        self.captured_messages = taken.len() as u64;
        let bytes = taken.into_iter().map(|event| ReceivedBytes {
            time_ns: event.time.max(0).cast_unsigned().saturating_mul(100),
            data: event.data,
        });
        let received = Received { bytes: bytes.collect(), lost: 0 };
        let verdict = compare_midi(&expected, &received, false, 0);
        let mut wrong = Vec::new();
        if !verdict.passed() {
            wrong.push(verdict.of_capture());
        }
        if discarded > capture.discarded_max {
            wrong.push(format!("{discarded} events were dropped, at most {} may be", capture.discarded_max));
        }
        if wrong.is_empty() { Ok(verdict.of_capture()) } else { Err(StepError::Unexpected(wrong.join("; "))) }
    }

    /// Waits for what card, log or guest tell.
    pub(super) fn wait(&mut self, wait: &WaitStep, host_s: Option<u32>) -> Result<String, StepError> {
        let limit = host_s.map_or(self.side.timeout, |seconds| std::time::Duration::from_secs(seconds.into()));
        let side: &Side<'_> = self.side;
        let since = wait.since.as_ref().map(|name| name.get_ref().as_str());
        side.wait(wait, limit, || {
            // A guest that has stopped says why; the card only follows it.
            let statistics = self.bed.session.statistics()?;
            if let Some(rule) = wait.finding
                && self.bed.findings().rules().any(|found| found == rule)
            {
                return Ok(Some(format!("a finding about rule {rule}")));
            }
            if let Some(name) = wait.value.filter(|name| name.is_of_guest())
                && let Some(value) = self.value_of_guest(name, &statistics)
                && let value = side.since(value, since)
                && within(wait, value)
            {
                return Ok(Some(format!("{} is {value}", name.name())));
            }
            Ok(None)
        })
    }
}

/// Leaves a device only one of its subdevices.
fn only(device: &mut StartedDevice, filter: &str) -> Result<(), StepError> {
    if !device.subdevices.iter().any(|name| name == filter) {
        let names = device.subdevices.join(", ");
        let text = format!("the driver has registered no subdevice `{filter}`, there is {names}");
        return Err(PlaybackError::Act(text).into());
    }
    device.subdevices.retain(|name| name == filter);
    Ok(())
}
