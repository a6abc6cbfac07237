//! The probes of the contract, one after another.

use card_control::qemu::RING_SIZE;
use card_control::{Clock, Transport};
use guest_protocol::{Caller, DataRange, DevicePower, KsState, PinFactory, Request, StreamFormat};
use serde_json::json;

use super::context::Context;
use super::error::ProbeError;
use super::findings::Findings;
use super::phrase::{Phrase, takes_downloads};
use super::probe::{Probe, ProbeContext, with_guest};
use super::{capture, delivery, download, unloading};
use crate::machine::device::DeviceSource;
use crate::machine::{CardOptions, DeviceControl};
use crate::sound::pcm::PcmFormat;
use crate::testbed::run_folder::RunFolder;
use crate::testbed::session::{OpenedFilter, SessionError, StartedDevice};
use crate::testbed::{TestBedError, wave_format};

/// The probes, in their order.
pub(super) const ALL: [Probe; 10] = [
    Probe {
        name: "start",
        text: "starts with other resources, with services that refuse, again and again",
        rules: &[],
        run: start,
    },
    Probe {
        name: "streams",
        text: "events of every shape, states out of turn, limits, storms",
        rules: &[],
        run: streams,
    },
    Probe {
        name: "properties",
        text: "every property with every size, verb and target; every event",
        rules: &[65, 66, 67, 68, 69, 70, 71, 72],
        run: properties,
    },
    Probe {
        name: "filters",
        text: "mixers and wave devices: pins, wires, every property of a filter",
        rules: &[],
        run: filters,
    },
    Probe {
        name: "playing",
        text: "songs in pieces, in packages, out of order",
        rules: &[45, 46, 51],
        run: delivery::run,
    },
    Probe { name: "capture", text: "MIDI that comes in", rules: &[54, 55, 57, 58, 59], run: capturing },
    Probe {
        name: "downloads",
        text: "instruments, good and bad, from 64-bit and 32-bit callers; unloads of what sounds",
        rules: &[74, 75, 76],
        run: downloads,
    },
    Probe { name: "power", text: "power lost and regained with streams open", rules: &[38, 77, 78, 79], run: power },
    Probe { name: "back-pressure", text: "a card that takes nothing for a while", rules: &[50], run: back_pressure },
    Probe { name: "removal", text: "a card that is pulled out", rules: &[80], run: removal },
];

/// Events that overwhelm a card which takes nothing: more than the largest ring of the largest batches and an allocator
/// hold (the card's datasheet: 4096 bytes, and 24 for an event). The burst is over when the allocator stays empty.
const BURST_EVENTS: u32 = RING_SIZE * (4096 / 24) + 2000;

/// The rule that a device which takes nothing costs no time and no event.
const BACK_PRESSURE: u16 = 50;

fn lockstep() -> CardOptions {
    CardOptions::default()
}

fn start(context: &Context<'_>, folder: &RunFolder, findings: &mut Findings) -> Result<(), ProbeError> {
    with_guest(context, folder, findings, &lockstep(), |probe| {
        let figures = probe.bed.session.run_probe(guest_protocol::Probe::Start)?;
        probe.keep(figures);
        probe.start()?;
        probe.bed.session.restart_device()?;
        Ok(())
    })
}

fn streams(context: &Context<'_>, folder: &RunFolder, findings: &mut Findings) -> Result<(), ProbeError> {
    with_guest(context, folder, findings, &lockstep(), |probe| {
        let device = probe.start()?;
        let (filter, _, _) = probe.open_music_filter(&device)?;
        let figures = probe.bed.session.run_probe(guest_protocol::Probe::Streams { filter: filter.handle })?;
        probe.keep(figures);
        probe.close(filter.handle)
    })
}

fn properties(context: &Context<'_>, folder: &RunFolder, findings: &mut Findings) -> Result<(), ProbeError> {
    with_guest(context, folder, findings, &lockstep(), |probe| {
        let device = probe.start()?;
        let (filter, id, format) = probe.open_music_filter(&device)?;
        let pin = probe.bed.session.create_pin(filter.handle, id, format)?;
        let figures = probe.bed.session.run_probe(guest_protocol::Probe::Properties { filter: filter.handle, pin })?;
        probe.keep(figures);
        let figures = probe.bed.session.run_probe(guest_protocol::Probe::Events { filter: filter.handle, pin })?;
        probe.keep(figures);
        probe.close(pin)?;
        probe.close(filter.handle)
    })
}

fn filters(context: &Context<'_>, folder: &RunFolder, findings: &mut Findings) -> Result<(), ProbeError> {
    with_guest(context, folder, findings, &lockstep(), |probe| {
        let device = probe.start()?;
        let mut probed = 0;
        for subdevice in &device.subdevices {
            let filter = probe.bed.session.open_filter(subdevice)?;
            if !filter.data_path {
                let figures = probe.bed.session.run_probe(guest_protocol::Probe::Filter { filter: filter.handle })?;
                probe.keep(figures);
                refused_streams(probe, &filter)?;
                probed += 1;
            }
            probe.close(filter.handle)?;
        }
        if probed == 0 {
            return Err(ProbeError::Inapplicable("the driver has filters for music only".into()));
        }
        Ok(())
    })
}

/// Requests a stream on each pin of a filter without a data path: the guest refuses, and does not ask the driver.
fn refused_streams(probe: &mut ProbeContext<'_, '_>, filter: &OpenedFilter) -> Result<(), ProbeError> {
    for (id, pin) in filter.pins.iter().enumerate() {
        let pcm = pin.data_ranges.iter().find_map(|carries| match *carries {
            DataRange::Pcm { sample_rate_min, .. } => {
                Some(StreamFormat::Pcm { sample_rate: sample_rate_min, channels: 2, bits: 16 })
            }
            _ => None,
        });
        let Some(format) = pcm.filter(|_| pin.instances > 0) else { continue };
        match probe.bed.session.create_pin(filter.handle, id as u32, format) {
            Err(SessionError::Refused { .. }) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => {
                let what = "a pin opens of a filter that was said to have no data path".into();
                return Err(SessionError::Protocol { step: format!("create pin {id}"), what }.into());
            }
        }
    }
    Ok(())
}

fn capturing(context: &Context<'_>, folder: &RunFolder, findings: &mut Findings) -> Result<(), ProbeError> {
    let options = CardOptions { clock: Clock::Realtime, ..CardOptions::default() };
    with_guest(context, folder, findings, &options, capture::run)
}

fn downloads(context: &Context<'_>, folder: &RunFolder, findings: &mut Findings) -> Result<(), ProbeError> {
    with_guest(context, folder, findings, &lockstep(), |probe| {
        let device = probe.start()?;
        let (filter, id, format) = probe.open_music_filter(&device)?;
        let pin = probe.bed.session.create_pin(filter.handle, id, format)?;
        let Some(synthesizer) = takes_downloads(probe, &filter, pin)? else {
            probe.close(pin)?;
            probe.close(filter.handle)?;
            return Err(ProbeError::Inapplicable("the driver's synthesizer takes no downloads (SYNTHCAPS)".into()));
        };
        download::corpus(probe, &synthesizer)?;
        // What is still downloaded goes with the pin.
        download::download_both(probe, &synthesizer, Caller::User64)?;
        probe.close(pin)?;
        probe.close(filter.handle)?;
        unloading::run(probe, &device)
    })
}

fn power(context: &Context<'_>, folder: &RunFolder, findings: &mut Findings) -> Result<(), ProbeError> {
    with_guest(context, folder, findings, &lockstep(), |probe| {
        let device = probe.start()?;
        let (filter, _, _) = probe.open_music_filter(&device)?;
        let figures = probe.bed.session.run_probe(guest_protocol::Probe::Power { filter: filter.handle })?;
        probe.keep(figures);
        probe.close(filter.handle)?;
        let Some((filter, _)) = probe.open_filter_with(&device, gives_pcm)? else {
            return power_without_sound(probe, &device);
        };
        probe.close(filter.handle)?;
        let phrase = Phrase::prepare(probe, &device)?;
        let (opened, _, _) = probe.open_music_filter(&device)?;
        let synthesizer = takes_downloads(probe, &opened, phrase.pins.render)?;
        if let Some(synthesizer) = &synthesizer {
            download::download_both(probe, synthesizer, Caller::User64)?;
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
                // Clients continue as if nothing had happened.
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
                        first as u64 / phrase.pins.format.frame_bytes()
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

/// Probes a driver without a PCM pin: its streams, at least, must survive.
fn power_without_sound(probe: &mut ProbeContext<'_, '_>, device: &StartedDevice) -> Result<(), ProbeError> {
    let (filter, id, format) = probe.open_music_filter(device)?;
    let pin = probe.bed.session.create_pin(filter.handle, id, format)?;
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
        let can_be_told = probe.bed.device_control().is_some_and(|control| has_faults(control));
        match probe.bed.device_source().source {
            // QEMU gives up a vfio-user device that does not answer for seconds.
            DeviceSource::Card if context.transport == Transport::VfioUser => {
                let reason = "over vfio-user QEMU gives up a card that takes nothing for seconds, as it was pulled out";
                return Err(ProbeError::Inapplicable(reason.into()));
            }
            DeviceSource::Card => {}
            // A synthesizer that renders itself takes nothing as long as no frames are pulled from it.
            DeviceSource::None if filter.pins.iter().any(gives_pcm) => {}
            DeviceSource::None => {
                let reason = "there is no device, and the filter has no wave pin, so that nothing can be kept from taking events";
                probe.findings.not_exercised(BACK_PRESSURE, reason);
                return probe.close(filter.handle);
            }
            _ if can_be_told => {}
            _ => {
                let reason = format!("{} cannot be made to take nothing for a while", probe.bed.device_name());
                probe.findings.not_exercised(BACK_PRESSURE, &reason);
                return probe.close(filter.handle);
            }
        }
        let pin = probe.bed.session.create_pin(filter.handle, id, format)?;
        probe.done("run a pin", Request::SetState { pin, state: KsState::Run })?;
        take_nothing(probe, true)?;
        let sent = probe.bed.session.run_probe(guest_protocol::Probe::Burst { pin, events: BURST_EVENTS });
        take_nothing(probe, false)?;
        let figures = sent?;
        probe.keep(figures);
        probe.done("stop a pin", Request::SetState { pin, state: KsState::Stop })?;
        probe.close(pin)?;
        probe.close(filter.handle)
    })
}

/// The faults by which a device takes nothing for a while, and does again (`device/pci/CONTROL.md`).
const TAKES_NOTHING: &str = "not-ready";
const TAKES_AGAIN: &str = "none";

/// Tells whether a device can be made to take nothing for a while.
fn has_faults(control: &DeviceControl) -> bool {
    [TAKES_NOTHING, TAKES_AGAIN].iter().all(|kind| control.faults().iter().any(|known| known == kind))
}

/// Keeps the device from taking what the driver sends, or lets it again. What sound is pulled from takes nothing by itself.
fn take_nothing(probe: &mut ProbeContext<'_, '_>, nothing: bool) -> Result<(), ProbeError> {
    if probe.bed.card().is_some() {
        probe.bed.freeze_card(nothing);
    } else if let Some(control) = probe.bed.device_control().filter(|control| has_faults(control)) {
        let kind = if nothing { TAKES_NOTHING } else { TAKES_AGAIN };
        control.inject_fault(&json!({ "kind": kind })).map_err(TestBedError::Device)?;
    }
    Ok(())
}

/// Tells whether sound is pulled from a pin.
fn gives_pcm(pin: &PinFactory) -> bool {
    !pin.flow_in && pin.instances > 0 && pin.data_ranges.iter().any(|carries| matches!(carries, DataRange::Pcm { .. }))
}

fn removal(context: &Context<'_>, folder: &RunFolder, findings: &mut Findings) -> Result<(), ProbeError> {
    with_guest(context, folder, findings, &lockstep(), |probe| {
        let device = probe.start()?;
        let mut open = Vec::new();
        for subdevice in &device.subdevices {
            let filter = probe.bed.session.open_filter(subdevice)?;
            for (id, pin) in filter.pins.iter().enumerate().filter(|(_, pin)| filter.data_path && pin.instances > 0) {
                let format = pin.data_ranges.iter().find_map(|carries| match carries {
                    DataRange::DirectMusic => Some(StreamFormat::DirectMusic),
                    DataRange::Midi => Some(StreamFormat::Midi),
                    DataRange::Pcm { .. } => {
                        let PcmFormat { sample_rate, channels, bits } = wave_format(pin, probe.sample_rate)?;
                        Some(StreamFormat::Pcm { sample_rate, channels, bits })
                    }
                    DataRange::Other => None,
                });
                let Some(format) = format else { continue };
                let pin = probe.bed.session.create_pin(filter.handle, id as u32, format)?;
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
