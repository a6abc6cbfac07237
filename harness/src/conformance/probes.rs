//! The examinations, one after another.

use guest_protocol::{
    Bulk, Caller, Carries, DevicePower, Examination, KsState, Manner, Pace, PinFactory, Play, Request, StreamFormat,
};

use super::download::{self, BANK, PROGRAM, Synthesizer};
use super::probe::with_guest;
use super::{Context, Findings, ProbeContext, ProbeError, capture, delivery, unloading};
use crate::machine::{CARD_RING_SIZE, CardOptions, Clock};
use crate::playback::{PlaybackError, open_pins};
use crate::sound::midi::{MidiEvent, write_records};
use crate::sound::pcm::{BITS, CHANNELS, FRAME_BYTES};
use crate::testbed::run_folder::RunFolder;

/// What an examination does with a context, a folder for its artefacts, and a place for its findings.
type Run = fn(&Context<'_>, &RunFolder, &mut Findings) -> Result<(), ProbeError>;

/// An examination.
pub(super) struct Script {
    /// Its name, as the guest's rules name it.
    pub(super) name: &'static str,
    /// What it does.
    pub(super) text: &'static str,
    /// The rules that are inapplicable if it is.
    pub(super) rules: &'static [u16],
    /// It.
    pub(super) run: Run,
}

/// All of them.
pub(super) const ALL: [Script; 9] = [
    Script {
        name: "start",
        text: "starts with other resources, with services that refuse, again and again",
        rules: &[],
        run: start,
    },
    Script {
        name: "streams",
        text: "events of every shape, states out of turn, limits, storms",
        rules: &[],
        run: streams,
    },
    Script {
        name: "properties",
        text: "every property with every size, verb and target; every event",
        rules: &[],
        run: properties,
    },
    Script {
        name: "playing",
        text: "songs in pieces, in packages, out of order",
        rules: &[45, 46, 51],
        run: delivery::run,
    },
    Script { name: "capture", text: "MIDI that comes in", rules: &[54, 55, 57, 58, 59], run: capturing },
    Script {
        name: "downloads",
        text: "instruments, good and bad, from 64-bit and 32-bit callers; unloads of what sounds",
        rules: &[74, 75, 76],
        run: downloads,
    },
    Script { name: "power", text: "power lost and regained with streams open", rules: &[38, 77, 78, 79], run: power },
    Script { name: "back-pressure", text: "a card that takes nothing for a while", rules: &[50], run: back_pressure },
    Script { name: "removal", text: "a card that is pulled out", rules: &[80], run: removal },
];

/// Frames a second wherever something is rendered.
pub(super) const RATE: u32 = 48_000;

/// Frames of a phrase.
const PHRASE_FRAMES: u64 = RATE as u64;

/// Frames of it that are asked for at a time. A synthesizer may move its envelopes in steps of some frames, and may count
/// these through silence: the phrase sounds the same only after a multiple of as many, whatever was lost in between.
pub(super) const PHRASE_QUANTUM: u32 = 1920;

/// Events with which a card that takes nothing is overwhelmed: more than the largest ring of the largest batches and an
/// allocator hold (the card's datasheet: 4096 bytes, and 24 for an event). The burst is over when the allocator stays
/// empty.
const BURST_EVENTS: u32 = CARD_RING_SIZE * (4096 / 24) + 2000;

fn lockstep() -> CardOptions {
    CardOptions::default()
}

fn start(context: &Context<'_>, folder: &RunFolder, findings: &mut Findings) -> Result<(), ProbeError> {
    with_guest(context, folder, findings, &lockstep(), |probe| {
        let figures = probe.session.examine(Examination::Start)?;
        probe.keep(figures);
        probe.start()?;
        probe.session.restart_device()?;
        Ok(())
    })
}

fn streams(context: &Context<'_>, folder: &RunFolder, findings: &mut Findings) -> Result<(), ProbeError> {
    with_guest(context, folder, findings, &lockstep(), |probe| {
        let device = probe.start()?;
        let (filter, _, _) = probe.open_music_filter(&device)?;
        let figures = probe.session.examine(Examination::Streams { filter: filter.handle })?;
        probe.keep(figures);
        probe.close(filter.handle)
    })
}

fn properties(context: &Context<'_>, folder: &RunFolder, findings: &mut Findings) -> Result<(), ProbeError> {
    with_guest(context, folder, findings, &lockstep(), |probe| {
        let device = probe.start()?;
        let (filter, id, format) = probe.open_music_filter(&device)?;
        let pin = probe.session.create_pin(filter.handle, id, format)?;
        let figures = probe.session.examine(Examination::Properties { filter: filter.handle, pin })?;
        probe.keep(figures);
        let figures = probe.session.examine(Examination::Events { filter: filter.handle, pin })?;
        probe.keep(figures);
        probe.close(pin)?;
        probe.close(filter.handle)
    })
}

fn capturing(context: &Context<'_>, folder: &RunFolder, findings: &mut Findings) -> Result<(), ProbeError> {
    let options = CardOptions { clock: Clock::Realtime, ..CardOptions::default() };
    with_guest(context, folder, findings, &options, capture::run)
}

fn downloads(context: &Context<'_>, folder: &RunFolder, findings: &mut Findings) -> Result<(), ProbeError> {
    with_guest(context, folder, findings, &lockstep(), |probe| {
        let device = probe.start()?;
        let (filter, id, format) = probe.open_music_filter(&device)?;
        let pin = probe.session.create_pin(filter.handle, id, format)?;
        let Some(synthesizer) = takes_downloads(probe, &filter, pin)? else {
            probe.close(pin)?;
            probe.close(filter.handle)?;
            return Err(ProbeError::Inapplicable("the driver's synthesizer takes no downloads (SYNTHCAPS)".into()));
        };
        download::corpus(probe, &synthesizer)?;
        // What is still downloaded goes with the pin.
        download::download_both(probe, &synthesizer, Caller::Wide)?;
        probe.close(pin)?;
        probe.close(filter.handle)?;
        unloading::run(probe, &device)
    })
}

/// The synthesizer, if its capabilities say that it takes DLS.
pub(super) fn takes_downloads(
    probe: &mut ProbeContext<'_, '_>,
    filter: &crate::testbed::session::OpenedFilter,
    pin: guest_protocol::Handle,
) -> Result<Option<Synthesizer>, ProbeError> {
    /// `SYNTH_PC_DLS` and `SYNTH_PC_DLS2`.
    const DLS: u32 = 0x201;
    let Some(synthesizer) = Synthesizer::of(filter, pin) else { return Ok(None) };
    let caps = crate::testbed::synthesizer::caps(probe.session, pin, synthesizer.node)?;
    Ok((caps.is_some_and(|caps| caps & DLS != 0)).then_some(synthesizer))
}

/// A short phrase on the downloaded instrument.
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

/// The pins of a song, and guest memory for a phrase.
pub(super) struct Phrase {
    pub(super) pins: crate::playback::Pins,
    events: Bulk,
    pcm: Bulk,
    count: u32,
}

impl Phrase {
    pub(super) fn prepare(
        probe: &mut ProbeContext<'_, '_>,
        device: &crate::testbed::session::StartedDevice,
    ) -> Result<Self, ProbeError> {
        let pins = open_pins(probe.session, device, RATE)?;
        let events = phrase();
        let records = write_records(&events);
        let bulk = probe.session.allocate(records.len() as u64)?;
        let events_bulk = Bulk { address: bulk.address, length: records.len() as u64 };
        probe.session.health.machine.memory.write(events_bulk, &records).map_err(PlaybackError::Memory)?;
        let pcm = probe.session.allocate(PHRASE_FRAMES * FRAME_BYTES)?;
        let pcm = Bulk { address: pcm.address, length: PHRASE_FRAMES * FRAME_BYTES };
        Ok(Self { pins, events: events_bulk, pcm, count: events.len() as u32 })
    }

    pub(super) fn play(&self, probe: &mut ProbeContext<'_, '_>) -> Result<Vec<u8>, ProbeError> {
        probe.session.play(self.request(PHRASE_FRAMES))?;
        self.heard(probe)
    }

    /// Plays the beginning, and leaves the pins in `RUN`.
    pub(super) fn play_on(&self, probe: &mut ProbeContext<'_, '_>, frames: u64) -> Result<Vec<u8>, ProbeError> {
        probe.session.play_on(self.request(frames))?;
        self.heard(probe)
    }

    fn request(&self, frames: u64) -> Play {
        Play {
            render: self.pins.render,
            wave: self.pins.wave,
            events: self.events,
            event_count: self.count,
            pcm: self.pcm,
            frames,
            quantum_frames: PHRASE_QUANTUM,
            pace: Pace::Lockstep,
            manner: Manner::InOrder,
        }
    }

    fn heard(&self, probe: &mut ProbeContext<'_, '_>) -> Result<Vec<u8>, ProbeError> {
        Ok(probe.session.health.machine.memory.read(self.pcm).map_err(PlaybackError::Memory)?)
    }
}

fn power(context: &Context<'_>, folder: &RunFolder, findings: &mut Findings) -> Result<(), ProbeError> {
    with_guest(context, folder, findings, &lockstep(), |probe| {
        let device = probe.start()?;
        let (filter, _, _) = probe.open_music_filter(&device)?;
        let figures = probe.session.examine(Examination::Power { filter: filter.handle })?;
        probe.keep(figures);
        probe.close(filter.handle)?;
        let wave =
            |pin: &PinFactory| !pin.flow_in && pin.carries.iter().any(|carries| matches!(carries, Carries::Pcm { .. }));
        let Some((filter, _)) = probe.open_filter_with(&device, wave)? else {
            return power_without_sound(probe, &device);
        };
        probe.close(filter.handle)?;
        let phrase = Phrase::prepare(probe, &device)?;
        let opened = probe.session.open_filter(&device.subdevices[0])?;
        let synthesizer = takes_downloads(probe, &opened, phrase.pins.render)?;
        if let Some(synthesizer) = &synthesizer {
            download::download_both(probe, synthesizer, Caller::Wide)?;
        }
        let before = phrase.play(probe)?;
        if before.iter().all(|byte| *byte == 0) {
            return Err(ProbeError::Violated {
                rule: 77,
                what: "the phrase is silent before power was ever lost".into(),
            });
        }
        for state in [KsState::Stop, KsState::Run] {
            for pin in [phrase.pins.wave, phrase.pins.render] {
                probe.done("set a pin's state", Request::SetState { pin, state })?;
            }
            probe.done("take the device's power away", Request::SetPower(DevicePower::D3))?;
            if state == KsState::Stop {
                // Clients go on as if nothing had happened.
                for asleep in [KsState::Pause, KsState::Stop] {
                    probe.done("set a pin's state", Request::SetState { pin: phrase.pins.render, state: asleep })?;
                }
            }
            probe.done("give the device its power back", Request::SetPower(DevicePower::D0))?;
            for pin in [phrase.pins.render, phrase.pins.wave] {
                probe.done("set a pin's state", Request::SetState { pin, state: KsState::Stop })?;
            }
            let after = phrase.play(probe)?;
            if after != before {
                let first = after.iter().zip(&before).position(|(after, before)| after != before).unwrap_or(0);
                return Err(ProbeError::Violated {
                    rule: 77,
                    what: format!(
                        "after D3 and back with the streams in {state:?} the same phrase sounds different, from frame {} on: send \
                         downloads, volumes and channel state again when power is back",
                        first as u64 / FRAME_BYTES
                    ),
                });
            }
            probe.findings.held(77);
        }
        probe.close(opened.handle)?;
        for pin in [phrase.pins.render, phrase.pins.wave] {
            probe.close(pin)?;
        }
        probe.close(phrase.pins.filter)
    })
}

/// A driver whose sound does not come back to the host: streams, at least, must live through it.
fn power_without_sound(
    probe: &mut ProbeContext<'_, '_>,
    device: &crate::testbed::session::StartedDevice,
) -> Result<(), ProbeError> {
    let (filter, id, format) = probe.open_music_filter(device)?;
    let pin = probe.session.create_pin(filter.handle, id, format)?;
    probe.done("run a pin", Request::SetState { pin, state: KsState::Run })?;
    for power in [DevicePower::D3, DevicePower::D0] {
        probe.done("set the device's power", Request::SetPower(power))?;
    }
    probe.close(pin)?;
    probe.close(filter.handle)
}

fn back_pressure(context: &Context<'_>, folder: &RunFolder, findings: &mut Findings) -> Result<(), ProbeError> {
    let options = CardOptions { clock: Clock::Realtime, ..CardOptions::default() };
    with_guest(context, folder, findings, &options, |probe| {
        let device = probe.start()?;
        let (filter, id, format) = probe.open_music_filter(&device)?;
        let pin = probe.session.create_pin(filter.handle, id, format)?;
        probe.done("run a pin", Request::SetState { pin, state: KsState::Run })?;
        probe.session.health.card.freeze(true);
        let sent = probe.session.examine(Examination::Burst { pin, events: BURST_EVENTS });
        probe.session.health.card.freeze(false);
        let figures = sent?;
        probe.keep(figures);
        probe.done("stop a pin", Request::SetState { pin, state: KsState::Stop })?;
        probe.close(pin)?;
        probe.close(filter.handle)
    })
}

fn removal(context: &Context<'_>, folder: &RunFolder, findings: &mut Findings) -> Result<(), ProbeError> {
    with_guest(context, folder, findings, &lockstep(), |probe| {
        let device = probe.start()?;
        let mut open = Vec::new();
        for subdevice in &device.subdevices {
            let filter = probe.session.open_filter(subdevice)?;
            for (id, pin) in filter.pins.iter().enumerate().filter(|(_, pin)| pin.instances > 0) {
                let format = pin.carries.iter().find_map(|carries| match carries {
                    Carries::DirectMusic => Some(StreamFormat::DirectMusic),
                    Carries::Midi => Some(StreamFormat::Midi),
                    Carries::Pcm { .. } => {
                        Some(StreamFormat::Pcm { sample_rate: RATE, channels: CHANNELS, bits: BITS })
                    }
                    Carries::Other => None,
                });
                let Some(format) = format else { continue };
                let pin = probe.session.create_pin(filter.handle, id as u32, format)?;
                probe.done("run a pin", Request::SetState { pin, state: KsState::Run })?;
                open.push(pin);
            }
        }
        probe.done("pull the card out", Request::SurpriseRemoval)?;
        for pin in open {
            probe.close(pin)?;
        }
        Ok(())
    })
}
