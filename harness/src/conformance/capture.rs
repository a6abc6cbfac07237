//! Probes a capture pin: MIDI that comes in at the card comes out of the pin whole, in order, with times; or it is lost
//! and counted.

use std::time::Duration;

use card_control::limits::{CAPTURED_EVENTS_MAX, CAPTURED_MESSAGE_BYTES_MAX, captured_messages_per_batch};
use card_control::qemu::RING_SIZE;
use guest_protocol::{CapturedEvent, DataRange, Handle, KsState, PinFactory, Request, Starvation, StreamFormat};

use super::captured::joined;
use super::device_capture;
use super::error::ProbeError;
use super::probe::ProbeContext;
use crate::testbed::TestBedError;
use crate::testbed::session::StartedDevice;

/// The longest time for captured data to come out, and the number of requests that must find nothing before that is
/// over: on a host so busy that requests take long, data takes longer.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOKS: u32 = 1000;

/// The time that the probe waits for data that must not come.
const SILENCE: Duration = Duration::from_millis(30);

/// The interval at which the probe requests captured data of the guest.
const POLL: Duration = Duration::from_millis(2);

/// Most messages of a burst: more than the largest ring of the largest buffers and the card's own memory hold, of the
/// shortest messages.
const BURST_MAX: usize = RING_SIZE as usize * captured_messages_per_batch(3) + CAPTURED_EVENTS_MAX;

/// Messages of a burst that are sent at a time, and how many of them the card must have refused before the burst ends.
const BURST_PART: usize = 100;
const REFUSED_MIN: usize = 100;

/// Messages that mark the end of a part of the probe.
const MARKS: [&[u8]; 2] = [&[0xC0, 99], &[0xC0, 98]];

/// Returns what comes in, one message each: channel messages, a real-time message, a system-exclusive message that
/// needs a buffer.
fn messages() -> Vec<Vec<u8>> {
    let exclusive: Vec<u8> = [0xF0, 0x7D].into_iter().chain((0..40).map(|byte| byte & 0x7F)).chain([0xF7]).collect();
    vec![vec![0x90, 60, 100], vec![0xC5, 12], vec![0xF8], exclusive, vec![0xF0, 0x7D, 1, 2, 0xF7], vec![0x80, 60, 0]]
}

/// Longest message that the card captures, in bytes.
const LONGEST: usize = CAPTURED_MESSAGE_BYTES_MAX;

/// Lengths of system-exclusive messages: about what an event holds, about what a small buffer holds, and much more.
const LENGTHS: [usize; 9] = [8, 9, 20, 21, 41, 255, 1000, 4000, LONGEST];

/// Bytes of an allocator's small buffers, and of the longest message for which it has enough of them at once.
const SMALL: u16 = 20;
const SMALL_LONGEST: usize = 1000;

/// Returns a system-exclusive message of a length, unlike that of any other length.
fn exclusive(length: usize) -> Vec<u8> {
    let content = (0..length.saturating_sub(3)).map(|at| ((at * 5 + length) & 0x7F) as u8);
    [0xF0, 0x7D].into_iter().chain(content).chain([0xF7]).collect()
}

/// Runs the capture probe, with each format that the pin carries.
pub(super) fn run(probe: &mut ProbeContext<'_, '_>) -> Result<(), ProbeError> {
    let device = probe.start()?;
    again(probe, &device)
}

/// Runs the probe on a device that is started.
pub(super) fn again(probe: &mut ProbeContext<'_, '_>, device: &StartedDevice) -> Result<(), ProbeError> {
    let captures = |pin: &PinFactory| {
        !pin.flow_in
            && pin.data_ranges.iter().any(|carries| matches!(carries, DataRange::Midi | DataRange::DirectMusic))
    };
    let Some((filter, id)) = probe.open_filter_with(device, captures)? else {
        return Err(ProbeError::Inapplicable("the driver has no capture pin".into()));
    };
    if probe.bed.card().is_none() {
        device_capture::run(probe, &filter, id)?;
        return probe.close(filter.handle);
    }
    // Only the card can bring something in, and only for the driver that has opened a session with it.
    if probe.bed.card_status()?.is_none_or(|status| status.session.is_none()) {
        probe.close(filter.handle)?;
        return Err(ProbeError::NotExercised(
            "the driver has opened no session with the card, so that nothing can be brought in to be captured".into(),
        ));
    }
    let carried = filter.pins[id as usize].data_ranges.clone();
    for (carries, format) in
        [(DataRange::Midi, StreamFormat::Midi), (DataRange::DirectMusic, StreamFormat::DirectMusic)]
    {
        if carried.contains(&carries) {
            let pin = probe.bed.session.create_pin(filter.handle, id, format)?;
            Pin { probe, handle: pin }.check()?;
            probe.close(pin)?;
        }
    }
    let format = if carried.contains(&DataRange::Midi) { StreamFormat::Midi } else { StreamFormat::DirectMusic };
    for (piece_bytes, longest) in [(0, LONGEST), (SMALL, SMALL_LONGEST)] {
        probe.done("choose the size of buffers", Request::Allocators { piece_bytes })?;
        let pin = probe.bed.session.create_pin(filter.handle, id, format)?;
        Pin { probe, handle: pin }.long(longest)?;
        probe.close(pin)?;
    }
    probe.done("choose the size of buffers", Request::Allocators { piece_bytes: 0 })?;
    // Once more, to see that nothing of the streams before is left.
    let pin = probe.bed.session.create_pin(filter.handle, id, format)?;
    probe.close(pin)?;
    probe.close(filter.handle)
}

struct Pin<'a, 'b, 'c> {
    probe: &'a mut ProbeContext<'b, 'c>,
    handle: Handle,
}

impl Pin<'_, '_, '_> {
    fn check(&mut self) -> Result<(), ProbeError> {
        let all = messages();
        self.set_state(KsState::Run)?;
        // What comes in comes out.
        let taken = self.play_in(&all)?;
        self.expect_whole(&all, &taken, 57)?;
        // Not while no sink is connected.
        self.connect(false)?;
        self.inject(&all[..2])?;
        self.expect_nothing("while no sink is connected", 54)?;
        self.connect(true)?;
        let taken = self.play_in(&all)?;
        self.expect_whole(&all, &taken, 54)?;
        // Not in STOP; and what was captured before the stream was stopped does not come after it.
        self.inject(&all)?;
        self.set_state(KsState::Stop)?;
        self.probe.bed.session.take_captured(self.handle)?;
        self.inject(&all[..2])?;
        self.expect_nothing("in STOP", 55)?;
        self.set_state(KsState::Run)?;
        self.expect_nothing("that had come in before", 55)?;
        let taken = self.play_in(&all)?;
        self.expect_whole(&all, &taken, 55)?;
        self.starved(&all)?;
        self.burst()?;
        self.set_state(KsState::Stop)
    }

    /// Sends messages longer than an event, and longer than a buffer; one that the card refuses does not tear the
    /// others.
    fn long(&mut self, longest: usize) -> Result<(), ProbeError> {
        self.set_state(KsState::Run)?;
        let between = vec![0x90, 60, 100];
        let lengths = LENGTHS.iter().filter(|length| **length <= longest);
        let long = lengths.flat_map(|length| [exclusive(*length), between.clone()]).collect::<Vec<_>>();
        // One after another: how much a driver holds at a time is not prescribed.
        let mut taken = Vec::new();
        for message in &long {
            taken.extend(self.play_in(std::slice::from_ref(message))?);
        }
        self.expect_whole(&long, &taken, 57)?;
        let (first, last) = (exclusive(100), exclusive(101));
        let answers = self.put_in(&[first.clone(), exclusive(LONGEST + 1), last.clone()])?;
        let refused = answers.iter().filter(|answer| answer.is_err()).count() as u64;
        self.probe.findings.figures.push(("messages too long for the card, refused".into(), refused));
        let taken = self.take_until(|taken| taken.iter().map(|event| event.data.len()).sum::<usize>() >= 201)?;
        self.expect_whole(&[first, last], &taken, 59)?;
        self.set_state(KsState::Stop)
    }

    /// Empties the allocator for a while (rule 58).
    fn starved(&mut self, all: &[Vec<u8>]) -> Result<(), ProbeError> {
        for what in [Starvation::Events, Starvation::Buffers] {
            self.probe.done("empty the allocator", Request::Starve { pin: self.handle, what })?;
            self.inject(all)?;
            std::thread::sleep(SILENCE);
            self.probe.done("fill the allocator", Request::Starve { pin: self.handle, what: Starvation::Nothing })?;
            let last = MARKS[0].to_vec();
            self.inject(std::slice::from_ref(&last))?;
            let taken = self.take_until(|taken| taken.iter().any(|event| event.data == last))?;
            let heard: Vec<&[u8]> = taken.iter().map(|event| &event.data[..]).collect();
            if heard.last() != Some(&&last[..]) || !is_in_order(&joined(&taken), all) {
                return Err(broken(
                    58,
                    format!("with an allocator without {what:?} for a while, {heard:02x?} come out"),
                ));
            }
        }
        Ok(())
    }

    /// Sends more than fits, while the guest's processors run nothing (rule 59), until the card itself refuses some:
    /// how much fits depends on how the card fills the driver's buffers.
    fn burst(&mut self) -> Result<(), ProbeError> {
        let (mut taken_in, mut sent, mut refused) = (Vec::new(), 0, 0);
        self.probe.bed.freeze_machine(true);
        let answered = loop {
            if refused >= REFUSED_MIN || sent >= BURST_MAX {
                break Ok(());
            }
            let part: Vec<Vec<u8>> = (sent..sent + BURST_PART).map(numbered).collect();
            match self.put_in(&part) {
                Ok(answers) => {
                    sent += part.len();
                    refused += answers.iter().filter(|answer| answer.is_err()).count();
                    let accepted = part.into_iter().zip(&answers).filter(|(_, answer)| answer.is_ok());
                    taken_in.extend(accepted.map(|(message, _)| message));
                }
                Err(error) => break Err(error),
            }
        };
        self.probe.bed.freeze_machine(false);
        answered?;
        let last = MARKS[1].to_vec();
        self.inject(std::slice::from_ref(&last))?;
        let taken = self.take_until(|taken| taken.iter().any(|event| event.data == last))?;
        let heard: Vec<Vec<u8>> = joined(&taken).into_iter().filter(|message| *message != last).collect();
        for (name, value) in [
            ("messages of a burst", sent),
            ("of them taken in by the card", taken_in.len()),
            ("of them captured", heard.len()),
            ("of them lost by the card, and counted", refused),
        ] {
            self.probe.findings.figures.push((name.into(), value as u64));
        }
        if !is_in_order(&heard, &taken_in) {
            return Err(broken(
                59,
                format!("of a burst of {sent} messages {} come out torn or out of order", heard.len()),
            ));
        }
        if refused > 0 && !taken_in.is_empty() {
            self.probe.findings.held(59);
        }
        Ok(())
    }

    fn set_state(&mut self, state: KsState) -> Result<(), ProbeError> {
        self.probe.done("set the capture pin's state", Request::SetState { pin: self.handle, state })
    }

    fn connect(&mut self, connected: bool) -> Result<(), ProbeError> {
        self.probe.done("connect the sink, or disconnect it", Request::ConnectCapture { pin: self.handle, connected })
    }

    /// Sends messages in. A card whose stream does not run may refuse them. When this returns, the card has handed on
    /// what it can, and its interrupt comes before the next request to the guest: the card answers a command after it
    /// has served the one before.
    fn inject(&mut self, messages: &[Vec<u8>]) -> Result<(), ProbeError> {
        self.put_in(messages)?;
        self.probe.bed.the_card()?.status().map_err(TestBedError::Control)?;
        Ok(())
    }

    /// Sends messages in. Returns the card's answer to each.
    fn put_in(&mut self, messages: &[Vec<u8>]) -> Result<Vec<Result<(), String>>, ProbeError> {
        let card = self.probe.bed.the_card()?;
        Ok(card.midi_in(messages, 1).map_err(TestBedError::Control)?)
    }

    /// Sends messages in and waits until as many bytes have come out.
    fn play_in(&mut self, messages: &[Vec<u8>]) -> Result<Vec<CapturedEvent>, ProbeError> {
        self.inject(messages)?;
        let bytes: usize = messages.iter().map(Vec::len).sum();
        self.take_until(|taken| taken.iter().map(|event| event.data.len()).sum::<usize>() >= bytes)
    }

    fn take_until(&mut self, enough: impl Fn(&[CapturedEvent]) -> bool) -> Result<Vec<CapturedEvent>, ProbeError> {
        let patience = self.probe.patience(PATIENCE);
        let (mut taken, mut looks) = (Vec::new(), 0);
        loop {
            let (events, dropped) = self.probe.bed.session.take_captured(self.handle)?;
            taken.extend(events);
            looks += 1;
            if enough(&taken) || dropped > 0 || (looks > LOOKS && patience.has_ended(self.probe)) {
                return Ok(taken);
            }
            std::thread::sleep(POLL);
        }
    }

    fn expect_whole(&mut self, sent: &[Vec<u8>], taken: &[CapturedEvent], rule: u16) -> Result<(), ProbeError> {
        let heard = joined(taken);
        if heard != sent {
            return Err(broken(rule, format!("{sent:02x?} came in, and {heard:02x?} came out")));
        }
        self.probe.findings.held(rule);
        Ok(())
    }

    fn expect_nothing(&mut self, when: &str, rule: u16) -> Result<(), ProbeError> {
        std::thread::sleep(SILENCE);
        // QEMU has raised the card's interrupt before it passes the next request but one to the guest: it handles both
        // in one loop.
        self.probe.bed.session.statistics()?;
        let (events, _) = self.probe.bed.session.take_captured(self.handle)?;
        if !events.is_empty() {
            return Err(broken(rule, format!("{:02x?} came out {when}", joined(&events))));
        }
        self.probe.findings.held(rule);
        Ok(())
    }
}

/// Returns a message of a burst, unlike any other of it; each third is longer than an event.
fn numbered(number: usize) -> Vec<u8> {
    let part = |shift: usize| (number >> shift & 0x7F) as u8;
    match number % 3 {
        0 => [&[0xF0, 0x7D, part(0), part(7), part(14)], &[0x55; 40][..], &[0xF7]].concat(),
        _ => vec![0xA0 | (part(14) & 0x0F), part(0), part(7)],
    }
}

fn broken(rule: u16, what: String) -> ProbeError {
    ProbeError::Violated { rule, what }
}

/// Tells whether what came out is a part of what was sent, each message whole and in order; [`MARKS`] aside.
fn is_in_order(heard: &[Vec<u8>], sent: &[Vec<u8>]) -> bool {
    let mut sent = sent.iter();
    heard
        .iter()
        .filter(|message| !MARKS.iter().any(|mark| *mark == &message[..]))
        .all(|message| sent.any(|one| one == message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(data: &[u8]) -> CapturedEvent {
        CapturedEvent { time: 0, channel_group: 1, flags: 0, data: data.to_vec() }
    }

    #[test]
    fn numbers_the_messages_of_a_burst_uniquely() {
        let all: std::collections::HashSet<Vec<u8>> = (0..BURST_MAX + BURST_PART).map(numbered).collect();
        assert_eq!(all.len(), BURST_MAX + BURST_PART);
    }

    #[test]
    fn joins_fragments_to_messages() {
        let events = [event(&[0xF0, 1, 2]), event(&[3, 4]), event(&[0xF7]), event(&[0x90, 1, 2])];
        assert_eq!(joined(&events), [vec![0xF0, 1, 2, 3, 4, 0xF7], vec![0x90, 1, 2]]);
    }

    #[test]
    fn recognises_a_part_of_the_messages_in_order() {
        let sent = [vec![1], vec![2], vec![3]];
        assert!(is_in_order(&[vec![1], vec![3]], &sent));
        assert!(!is_in_order(&[vec![3], vec![1]], &sent));
        assert!(!is_in_order(&[vec![4]], &sent));
    }
}
