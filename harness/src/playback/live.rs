//! Brings live MIDI in at the device's MIDI input, and takes what comes out of the driver's capture pin, with the time that it took.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use guest_protocol::{KsState, Request};
use serde::Serialize;

use super::capture::{UNDER_WAY_MAX, bring_in, open_capture};
use super::error::PlaybackError;
use crate::event::{Event, Observer};
use crate::machine::{Received, ReceivedBytes};
use crate::sound::live::{Garbage, Latencies, LatencySummary, LiveInput};
use crate::sound::midi::{CHANNEL_GROUP, MidiEvent, MidiReader};
use crate::testbed::TestBed;
use crate::testbed::session::StartedDevice;

/// The time that live MIDI is taken in without a limit of the user's.
pub const LIVE_SECONDS_DEFAULT: u32 = 60;

/// The longest wait for the input before the guest is looked at again.
const WAIT: Duration = Duration::from_millis(1);

/// How often the user is told how it goes.
const TELL_EVERY: Duration = Duration::from_millis(250);

/// The longest time in which nothing comes out although something has come in.
const PATIENCE: Duration = Duration::from_secs(2);

/// Messages that have come and wait for the device: the input is not read while there are more.
const WAITING_MAX: usize = 4096;

/// How far behind the oldest message one may come out that is looked for: real-time messages overtake others.
const OVERTAKE_MAX: usize = 32;

/// Live MIDI for the device's input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveMidi {
    /// A song (.mid), a file of MIDI bytes, a FIFO, or a MIDI device.
    pub source: PathBuf,
    /// How long it is taken in, in seconds; what ends before ends the test.
    pub seconds: u32,
}

/// What came in, and how long it took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LiveReport {
    /// Where it came from.
    pub source: PathBuf,
    /// Messages that came in.
    pub messages: u64,
    /// What of a byte stream was no message.
    pub garbage: Garbage,
    /// From the moment when a message was read on the host until the harness had it from the driver's capture pin.
    pub latency: Option<LatencySummary>,
}

impl LiveReport {
    /// Returns it in lines for a person: what came, what was left out, how long it took.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{}: {} messages", self.source.display(), self.messages)];
        if self.garbage.bytes > 0 {
            lines.push(format!("{} bytes were left out; {}", self.garbage.bytes, self.garbage.named.join("; ")));
        }
        lines.extend(self.latency.map(|latency| format!("latency {latency}")));
        lines
    }
}

/// What was played live.
#[derive(Debug)]
pub struct PlayedLive {
    /// The messages that came in, in their order.
    pub events: Vec<MidiEvent>,
    /// What came out of the capture pin.
    pub received: Received,
    /// How many events that were.
    pub captured: u64,
    /// What is told of it.
    pub report: LiveReport,
}

/// Messages on their way through device and driver.
#[derive(Default)]
struct UnderWay {
    messages: VecDeque<(Instant, Vec<u8>)>,
    latencies: Latencies,
    last: Duration,
}

impl UnderWay {
    fn bytes(&self) -> usize {
        self.messages.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    /// A message has come out. One that has not come in is for the judge.
    fn came_out(&mut self, bytes: &[u8]) {
        let place = self.messages.iter().take(OVERTAKE_MAX).position(|(_, sent)| sent == bytes);
        if let Some((since, _)) = place.and_then(|at| self.messages.remove(at)) {
            self.last = since.elapsed();
            self.latencies.add(self.last);
        }
    }
}

/// Opens the capture pin, brings messages in as they come, until the input ends or its time is over, and closes the pin. A prompt calls
/// it as a test does. The input is not waited for, whatever it is.
///
/// # Errors
/// [`PlaybackError::Live`] for an input that cannot be read; [`PlaybackError::NoCapturePin`], [`PlaybackError::NoMidiIn`],
/// [`PlaybackError::NotTaken`], [`PlaybackError::Device`] and [`PlaybackError::TestBed`] as of a song that is captured.
pub fn play_live(
    bed: &mut TestBed<'_>,
    device: &StartedDevice,
    live: &LiveMidi,
    observer: &dyn Observer,
) -> Result<PlayedLive, PlaybackError> {
    let mut input = LiveInput::open(&live.source)?;
    let (filter, pin) = open_capture(bed, device)?;
    bed.session.done("run the capture pin", Request::SetState { pin, state: KsState::Run })?;
    observer.event(&Event::Note {
        text: format!("live MIDI from {}, for {} s at most", live.source.display(), live.seconds),
    });
    let limit = Duration::from_secs(live.seconds.into());
    let (begun, mut told) = (Instant::now(), Instant::now());
    let (mut waiting, mut under_way) = (VecDeque::new(), UnderWay::default());
    let mut events: Vec<MidiEvent> = Vec::new();
    let mut received = Received::default();
    let (mut captured, mut reader) = (0, MidiReader::default());
    let mut ended = false;
    let mut moved = (Instant::now(), bed.stood_still());
    input.begin();
    loop {
        if !ended && waiting.len() < WAITING_MAX {
            let polled = input.poll(WAIT)?;
            polled.notes.into_iter().for_each(|text| observer.event(&Event::Note { text }));
            waiting.extend(polled.messages.into_iter().map(|message| (Instant::now(), message)));
            ended = polled.ended || begun.elapsed() > limit;
        } else {
            std::thread::sleep(WAIT);
        }
        while let Some((since, message)) = waiting.front() {
            let in_device = under_way.bytes();
            if in_device > 0 && in_device + message.bytes.len() > UNDER_WAY_MAX {
                break;
            }
            let event =
                MidiEvent { time: message.time_ns / 100, channel_group: CHANNEL_GROUP, bytes: message.bytes.clone() };
            under_way.messages.push_back((*since, message.bytes.clone()));
            waiting.pop_front();
            bring_in(bed, std::slice::from_ref(&event))?;
            events.push(event);
        }
        let (out, lost) = bed.session.take_captured(pin)?;
        received.lost = lost;
        captured += out.len() as u64;
        if !out.is_empty() {
            moved = (Instant::now(), bed.stood_still());
        }
        for event in out {
            let time_ns = event.time.max(0).cast_unsigned().saturating_mul(100);
            reader.push(time_ns, &event.data);
            reader.take_messages().iter().for_each(|message| under_way.came_out(&message.bytes));
            received.bytes.push(ReceivedBytes { time_ns, data: event.data });
        }
        if under_way.messages.is_empty() {
            moved = (Instant::now(), bed.stood_still());
            if ended && waiting.is_empty() {
                break;
            }
        } else if moved.0.elapsed() > PATIENCE + bed.stood_still().saturating_sub(moved.1) {
            // The judge says what is missing.
            break;
        }
        if told.elapsed() > TELL_EVERY {
            told = Instant::now();
            let (messages, last_us) = (events.len() as u64, under_way.last.as_micros() as u64);
            let latency = under_way.latencies.summary();
            let latency_us = latency.map(|latency| [latency.min_us, latency.median_us, latency.max_us]);
            observer.event(&Event::Live { messages, last_us, latency_us });
        }
    }
    bed.session.done("stop the capture pin", Request::SetState { pin, state: KsState::Stop })?;
    bed.session.done("close the capture pin", Request::Close(pin))?;
    bed.session.done("close the filter", Request::Close(filter.handle))?;
    let report = LiveReport {
        source: live.source.clone(),
        messages: events.len() as u64,
        garbage: input.garbage().clone(),
        latency: under_way.latencies.summary(),
    };
    Ok(PlayedLive { events, received, captured, report })
}
