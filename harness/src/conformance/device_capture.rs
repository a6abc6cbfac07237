//! Probes a capture pin over a device's own MIDI input: what comes in at the device comes out of the pin whole and in
//! order.
//!
//! A device that is not the card has no sessions, and no driver's allocator to empty, that the harness knows of; it has
//! bytes that arrive, if it offers them ([`Offer::MidiIn`]).

use std::time::Duration;

use guest_protocol::{CapturedEvent, DataRange, Handle, KsState, Request, StreamFormat};

use super::captured::joined;
use super::error::ProbeError;
use super::probe::ProbeContext;
use crate::machine::Offer;
use crate::testbed::TestBedError;
use crate::testbed::session::OpenedFilter;

/// The rule of captured events, and the one of what `IMiniportMidiStream::Read` brings.
const CAPTURED_EVENTS: u16 = 57;
const CAPTURED_BYTES: u16 = 313;

/// The rules about what must not come out, and about what is lost.
const NEED_THE_CARD: [u16; 4] = [54, 55, 58, 59];

/// The longest time in which nothing comes out although something has come in: an interrupt of a busy host's device comes late.
const PATIENCE: Duration = Duration::from_secs(2);

/// The interval at which the probe requests captured data of the guest.
const POLL: Duration = Duration::from_millis(2);

/// Messages that arrive at once: more bytes than one buffer of a driver's holds, fewer than a device's own queue.
const TOGETHER: usize = 60;

/// Runs the probe on the capture pin of an open filter, with each format that the pin carries.
pub(super) fn run(probe: &mut ProbeContext<'_, '_>, filter: &OpenedFilter, id: u32) -> Result<(), ProbeError> {
    if !probe.bed.device_control().is_some_and(|control| control.offers(Offer::MidiIn)) {
        probe.close(filter.handle)?;
        return Err(ProbeError::NotExercised(format!(
            "{} does not offer `midi-in`, so that nothing can be brought in to be captured",
            probe.bed.device_name()
        )));
    }
    let of_bytes = probe.bed.session.contract()?.iter().any(|rule| rule.number == CAPTURED_BYTES);
    let rule = if of_bytes { CAPTURED_BYTES } else { CAPTURED_EVENTS };
    let carried = filter.pins[id as usize].data_ranges.clone();
    for (carries, format) in
        [(DataRange::Midi, StreamFormat::Midi), (DataRange::DirectMusic, StreamFormat::DirectMusic)]
    {
        if carried.contains(&carries) {
            let pin = probe.bed.session.create_pin(filter.handle, id, format)?;
            probe.done("set the capture pin's state", Request::SetState { pin, state: KsState::Run })?;
            let all: Vec<Vec<u8>> = messages();
            for message in &all {
                expect(probe, pin, std::slice::from_ref(message), rule)?;
            }
            expect(probe, pin, &all, rule)?;
            let many: Vec<Vec<u8>> = (0..TOGETHER).map(|number| vec![0xA5, number as u8, 0x55]).collect();
            expect(probe, pin, &many, rule)?;
            probe.done("set the capture pin's state", Request::SetState { pin, state: KsState::Stop })?;
            probe.close(pin)?;
        }
    }
    let reason = format!(
        "the harness cannot tell of {} when what came in has reached the driver, and what it has no room for",
        probe.bed.device_name()
    );
    for rule in NEED_THE_CARD {
        probe.findings.not_exercised(rule, &reason);
    }
    Ok(())
}

/// Returns what comes in, one message each: channel messages, a real-time message, system-exclusive messages.
fn messages() -> Vec<Vec<u8>> {
    let exclusive: Vec<u8> = [0xF0, 0x7D].into_iter().chain((0..40).map(|byte| byte & 0x7F)).chain([0xF7]).collect();
    vec![vec![0x90, 60, 100], vec![0xC5, 12], vec![0xF8], exclusive, vec![0xF0, 0x7D, 1, 2, 0xF7], vec![0x80, 60, 0]]
}

/// Has messages arrive at once, and waits until as many bytes have come out: they are those messages.
fn expect(probe: &mut ProbeContext<'_, '_>, pin: Handle, messages: &[Vec<u8>], rule: u16) -> Result<(), ProbeError> {
    let bytes = messages.concat();
    if let Some(control) = probe.bed.device_control() {
        control.midi_in(&bytes).map_err(TestBedError::Device)?;
    }
    let mut patience = probe.patience(PATIENCE);
    let mut taken: Vec<CapturedEvent> = Vec::new();
    while taken.iter().map(|event| event.data.len()).sum::<usize>() < bytes.len() && !patience.has_ended(probe) {
        let (events, _) = probe.bed.session.take_captured(pin)?;
        if !events.is_empty() {
            patience = probe.patience(PATIENCE);
        }
        taken.extend(events);
        std::thread::sleep(POLL);
    }
    let heard = joined(&taken);
    if heard != messages {
        return Err(ProbeError::Violated {
            rule,
            what: format!("{messages:02x?} came in at the device, and {heard:02x?} came out of the pin"),
        });
    }
    probe.findings.held(rule);
    Ok(())
}
