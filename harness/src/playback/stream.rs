//! Streams a song through the driver of a running test bed.

use card_control::Clock;
use guest_protocol::{Delivery, KsState, Pace, Request, Statistics};

use super::error::PlaybackError;
use super::options::{LEAD_MS_DEFAULT, LEADS_BEFORE_SONG, TAIL_MS_DEFAULT};
use crate::host::leftovers::Scratch;
use crate::sound::midi::Song;
use crate::sound::pcm::{Difference, Pcm, PcmFormat, difference};
use crate::sound::render::{self, RenderOptions};
use crate::testbed::session::StartedDevice;
use crate::testbed::{Pins, QUANTUM_DEFAULT, StreamMemory, TestBed, TestBedError, open_pins};

/// Frames a second.
const SAMPLE_RATE: u32 = 48_000;

/// Frames of the beginning of a song: a second.
const BEGINNING_FRAMES: u64 = SAMPLE_RATE as u64;

/// The PCM of a song that was streamed through a driver, and its verdict.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The PCM that the card rendered into guest memory.
    pub pcm: Pcm,
    /// The first difference from the offline render of the same events; `None` where it is bit-identical.
    pub difference: Option<Difference>,
    /// The guest's counters since its boot.
    pub statistics: Statistics,
}

impl Recording {
    /// Tells whether the PCM is bit-identical to the offline render, and not silent.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.difference.is_none() && self.pcm.peak() > 0
    }

    /// Returns the recording if it passed.
    ///
    /// # Errors
    /// [`PlaybackError::Differs`] with the first frame that differs; [`PlaybackError::Silent`] for silence.
    pub fn expect_passed(self) -> Result<Self, PlaybackError> {
        match self.difference {
            Some(difference) => Err(PlaybackError::Differs(difference.frame)),
            None if self.passed() => Ok(self),
            None => Err(PlaybackError::Silent),
        }
    }
}

/// Opens the driver's pins, streams a song at 48 kHz with two seconds of silence after it, closes the pins, and compares
/// the PCM with the offline render.
///
/// # Errors
/// [`PlaybackError::TestBed`] for what the guest, the driver or a process did, with its cause and the report of a bug check
/// in the run folder; [`PlaybackError::Short`] for a song that was cut short; [`PlaybackError::Render`] for an offline
/// render that failed.
pub fn stream_song(bed: &mut TestBed<'_>, song: &Song) -> Result<Recording, PlaybackError> {
    let (song, pace) = match bed.card_options().clock {
        Clock::Lockstep => (song.clone(), Pace::Lockstep),
        Clock::Realtime => {
            (song.delayed(LEADS_BEFORE_SONG * LEAD_MS_DEFAULT), Pace::Realtime { lead_ms: LEAD_MS_DEFAULT })
        }
    };
    let pins = match open(bed) {
        Ok(pins) => pins,
        Err(error) => return Err(bed.explain("open the pins of a song", error).into()),
    };
    if pins.format != PcmFormat::of_card(SAMPLE_RATE) {
        return Err(PlaybackError::OfflineFormat(pins.format));
    }
    let song = pins.music.song(&song);
    let frames = song.frames(SAMPLE_RATE, TAIL_MS_DEFAULT);
    let scratch = Scratch::new()?;
    let (events, wav) = (scratch.path().join("events.txt"), scratch.path().join("offline.wav"));
    render::write_events(&song.events, &events)?;
    let rendering = render::start(&RenderOptions {
        card: bed.provisioned().artefacts.card.clone(),
        events,
        out: wav.clone(),
        sample_rate: SAMPLE_RATE,
        frames,
        channel_groups: song.channel_groups(),
        bank: bed.card_options().bank.clone(),
    })?;
    let played = play(bed, pins, &song, frames, pace);
    let (pcm, statistics) = match played {
        Ok(played) => played,
        Err(PlaybackError::TestBed(error)) => return Err(bed.explain("stream a song", error).into()),
        Err(error) => return Err(bed.cause("stream a song", error).after(bed.standstills())),
    };
    rendering.finish()?;
    let difference = difference(&pcm, &Pcm::read_wav(&wav)?);
    Ok(Recording { pcm, difference, statistics })
}

fn open(bed: &mut TestBed<'_>) -> Result<Pins, TestBedError> {
    let device = started_device(bed)?;
    open_pins(&mut bed.session, &device, SAMPLE_RATE)
}

/// Opens the driver's pins, plays the beginning of a song, and calls `body` while the pins are in RUN and notes sound; then
/// stops and closes the pins.
///
/// # Errors
/// The error of `body`, and [`PlaybackError::TestBed`] for what the guest, the driver or a process did.
pub fn while_streaming<T>(
    bed: &mut TestBed<'_>,
    song: &Song,
    body: impl FnOnce(&mut TestBed<'_>) -> Result<T, TestBedError>,
) -> Result<T, PlaybackError> {
    let result = try_while_streaming(bed, song, body);
    result.map_err(|error| bed.explain("stream the beginning of a song", error).into())
}

fn try_while_streaming<T>(
    bed: &mut TestBed<'_>,
    song: &Song,
    body: impl FnOnce(&mut TestBed<'_>) -> Result<T, TestBedError>,
) -> Result<T, TestBedError> {
    let pins = open(bed)?;
    let events = song.events.len() as u32;
    let memory =
        StreamMemory::prepare(bed, &pins.music.records(&song.events), events, (BEGINNING_FRAMES, pins.format))?;
    bed.session.play_on(memory.play(&pins, QUANTUM_DEFAULT, Pace::Lockstep, Delivery::InOrder))?;
    let result = body(bed)?;
    for pin in [pins.render, pins.wave] {
        bed.session.done("stop a pin", Request::SetState { pin, state: KsState::Stop })?;
    }
    pins.close(bed)?;
    memory.free(bed)?;
    Ok(result)
}

fn started_device(bed: &TestBed<'_>) -> Result<StartedDevice, TestBedError> {
    bed.device().cloned().ok_or_else(|| TestBedError::Expectation {
        expected: "a device that is started".into(),
        found: "none: boot the test bed, or start the device".into(),
    })
}

fn play(
    bed: &mut TestBed<'_>,
    pins: Pins,
    song: &Song,
    frames: u64,
    pace: Pace,
) -> Result<(Pcm, Statistics), PlaybackError> {
    // A song's events are bounded by its file's size, which is below 4 GiB.
    let of_events = song.events.len() as u32;
    let memory = StreamMemory::prepare(bed, &pins.music.records(&song.events), of_events, (frames, pins.format))?;
    let played = bed.session.play(memory.play(&pins, QUANTUM_DEFAULT, pace, Delivery::InOrder))?;
    if (played.frames, played.events) != (frames, u64::from(of_events)) {
        return Err(PlaybackError::Short {
            frames: played.frames,
            of_frames: frames,
            events: played.events,
            of_events: of_events.into(),
        });
    }
    let pcm = Pcm::from_bytes(&memory.read_pcm(bed)?, pins.format);
    pins.close(bed)?;
    memory.free(bed)?;
    Ok((pcm, played.statistics))
}
