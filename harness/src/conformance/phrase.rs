//! A short phrase on a downloaded instrument: what a driver plays before and after something happens to it.

use guest_protocol::{Delivery, Handle, Pace, Play};

use super::download::{BANK, PROGRAM, Synthesizer};
use super::error::ProbeError;
use super::probe::ProbeContext;
use crate::sound::midi::MidiEvent;
use crate::testbed::session::{OpenedFilter, StartedDevice};
use crate::testbed::synthesizer::caps;
use crate::testbed::{Pins, StreamMemory, open_pins};

/// Frames of a phrase: a second at 48 kHz; at any rate, more than its notes take, or as many of them as fit.
const PHRASE_FRAMES: u64 = 48_000;

/// Frames of a request to the wave stream. A synthesizer may move its envelopes in steps of some frames, and may count
/// these through silence: the phrase sounds the same only after a multiple of as many, whatever was lost in between.
pub(super) const PHRASE_QUANTUM: u32 = 1920;

/// Returns the synthesizer, if its capabilities say that it takes DLS.
pub(super) fn takes_downloads(
    probe: &mut ProbeContext<'_, '_>,
    filter: &OpenedFilter,
    pin: Handle,
) -> Result<Option<Synthesizer>, ProbeError> {
    /// `SYNTH_PC_DLS` and `SYNTH_PC_DLS2`.
    const DLS: u32 = 0x201;
    let Some(synthesizer) = Synthesizer::of(filter, pin) else { return Ok(None) };
    let caps = caps(&mut probe.bed.session, pin, synthesizer.node)?;
    Ok((caps.is_some_and(|caps| caps & DLS != 0)).then_some(synthesizer))
}

/// Returns a short phrase on the downloaded instrument.
fn phrase() -> Vec<MidiEvent> {
    let event = |time: u64, bytes: &[u8]| MidiEvent { time, channel_group: 1, bytes: bytes.to_vec() };
    vec![
        event(0, &[0xB2, 0, BANK[0]]),
        event(0, &[0xB2, 32, BANK[1]]),
        event(0, &[0xC2, PROGRAM]),
        event(100_000, &[0x92, 64, 100]),
        event(2_000_000, &[0x92, 71, 90]),
        event(5_000_000, &[0x82, 64, 0]),
        event(6_000_000, &[0x82, 71, 0]),
    ]
}

/// The pins of a song, and guest memory for the phrase.
pub(super) struct Phrase {
    pub(super) pins: Pins,
    memory: StreamMemory,
}

impl Phrase {
    /// Opens the pins and writes the phrase into guest memory.
    pub(super) fn prepare(probe: &mut ProbeContext<'_, '_>, device: &StartedDevice) -> Result<Self, ProbeError> {
        let pins = open_pins(&mut probe.bed.session, device, probe.sample_rate)?;
        let events = phrase();
        let records = pins.music.records(&events);
        let memory = StreamMemory::prepare(probe.bed, &records, events.len() as u32, (PHRASE_FRAMES, pins.format))?;
        Ok(Self { pins, memory })
    }

    /// Plays the phrase. Returns the PCM.
    pub(super) fn play(&self, probe: &mut ProbeContext<'_, '_>) -> Result<Vec<u8>, ProbeError> {
        probe.bed.session.play(self.request())?;
        Ok(self.memory.read_pcm(probe.bed)?)
    }

    /// Plays the beginning, and leaves the pins in `RUN`. Returns the PCM.
    pub(super) fn play_on(&self, probe: &mut ProbeContext<'_, '_>, frames: u64) -> Result<Vec<u8>, ProbeError> {
        probe.bed.session.play_on(Play { frames, ..self.request() })?;
        Ok(self.memory.read_pcm(probe.bed)?)
    }

    fn request(&self) -> Play {
        self.memory.play(&self.pins, PHRASE_QUANTUM, Pace::Lockstep, Delivery::InOrder)
    }
}
