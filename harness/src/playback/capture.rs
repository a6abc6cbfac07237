//! Brings a song in at the device's MIDI input, and takes what comes out of the driver's capture pin.

use std::time::{Duration, Instant};

use guest_protocol::{CapturedEvent, DataRange, Handle, KsState, PinFactory, Request, StreamFormat};

use super::error::PlaybackError;
use crate::machine::{Offer, Received, ReceivedBytes};
use crate::sound::midi::{MidiEvent, Song};
use crate::testbed::session::{OpenedFilter, StartedDevice};
use crate::testbed::{TestBed, TestBedError};

/// Bytes that are under way at most: more than a message of most kinds, fewer than the queue of a device or a driver holds.
pub(super) const UNDER_WAY_MAX: usize = 128;

/// The longest time in which nothing comes out although something has come in.
const PATIENCE: Duration = Duration::from_secs(2);

/// The interval at which captured data is requested of the guest.
const POLL: Duration = Duration::from_millis(2);

/// Nanoseconds in a unit of the guest's times.
const NS_A_TICK: u64 = 100;

/// Opens the capture pin, brings the song's messages in as fast as they come out, and closes the pin. Returns what came out, and
/// the number of its events.
///
/// # Errors
/// [`PlaybackError::NoCapturePin`] for a driver without one; [`PlaybackError::NoMidiIn`] for a device that nothing can be brought
/// in at; [`PlaybackError::Device`] and [`PlaybackError::TestBed`] for a device that refuses, and what the guest says.
pub(super) fn capture(
    bed: &mut TestBed<'_>,
    device: &StartedDevice,
    song: &Song,
) -> Result<(Received, u64), PlaybackError> {
    let (filter, pin) = open_capture(bed, device)?;
    bed.session.done("run the capture pin", Request::SetState { pin, state: KsState::Run })?;
    let (mut taken, mut lost): (Vec<CapturedEvent>, u64) = (Vec::new(), 0);
    let mut sent = 0;
    for messages in portions(&song.events) {
        sent += bring_in(bed, messages)?;
        let mut came = (Instant::now(), bed.stood_still());
        while taken.iter().map(|event| event.data.len()).sum::<usize>() < sent {
            let (events, dropped) = bed.session.take_captured(pin)?;
            lost = dropped;
            if !events.is_empty() {
                came = (Instant::now(), bed.stood_still());
            } else if came.0.elapsed() > PATIENCE + bed.stood_still().saturating_sub(came.1) {
                break;
            }
            taken.extend(events);
            std::thread::sleep(POLL);
        }
    }
    bed.session.done("stop the capture pin", Request::SetState { pin, state: KsState::Stop })?;
    bed.session.done("close the capture pin", Request::Close(pin))?;
    bed.session.done("close the filter", Request::Close(filter.handle))?;
    let events = taken.len() as u64;
    let bytes = |event: CapturedEvent| ReceivedBytes {
        time_ns: event.time.max(0).cast_unsigned().saturating_mul(NS_A_TICK),
        data: event.data,
    };
    Ok((Received { bytes: taken.into_iter().map(bytes).collect(), lost }, events))
}

/// Opens the capture pin of the first filter that has one.
///
/// # Errors
/// [`PlaybackError::NoCapturePin`] for a driver without one; [`PlaybackError::TestBed`] for what the guest says.
pub fn open_capture(bed: &mut TestBed<'_>, device: &StartedDevice) -> Result<(OpenedFilter, Handle), PlaybackError> {
    let is_music = |carries: &DataRange| matches!(carries, DataRange::DirectMusic | DataRange::Midi);
    let captures = |pin: &PinFactory| !pin.flow_in && pin.data_ranges.iter().any(is_music);
    let Some((filter, id)) = bed.open_filter_with(device, captures)? else { return Err(PlaybackError::NoCapturePin) };
    let has_events = filter.pins[id as usize].data_ranges.contains(&DataRange::DirectMusic);
    let format = if has_events { StreamFormat::DirectMusic } else { StreamFormat::Midi };
    let pin = bed.session.create_pin(filter.handle, id, format)?;
    Ok((filter, pin))
}

/// Returns messages in portions of at most [`UNDER_WAY_MAX`] bytes; a longer message is one of its own.
fn portions(events: &[MidiEvent]) -> Vec<&[MidiEvent]> {
    let mut portions = Vec::new();
    let (mut from, mut bytes) = (0, 0);
    for (at, event) in events.iter().enumerate() {
        if at > from && bytes + event.bytes.len() > UNDER_WAY_MAX {
            portions.push(&events[from..at]);
            (from, bytes) = (at, 0);
        }
        bytes += event.bytes.len();
    }
    if from < events.len() {
        portions.push(&events[from..]);
    }
    portions
}

/// Brings messages in at the device. Returns how many bytes they have.
///
/// # Errors
/// [`PlaybackError::NoMidiIn`] for a device that nothing can be brought in at; [`PlaybackError::NotTaken`],
/// [`PlaybackError::Device`] and [`PlaybackError::TestBed`] for one that refuses, or does not answer.
pub fn bring_in(bed: &mut TestBed<'_>, messages: &[MidiEvent]) -> Result<usize, PlaybackError> {
    let bytes: Vec<u8> = messages.iter().flat_map(|event| event.bytes.iter().copied()).collect();
    if let Some(card) = bed.card() {
        let messages: Vec<Vec<u8>> = messages.iter().map(|event| event.bytes.clone()).collect();
        let answers = card.midi_in(&messages, 1).map_err(TestBedError::Control)?;
        return match answers.into_iter().find_map(Result::err) {
            Some(reason) => Err(PlaybackError::NotTaken { reason }),
            None => Ok(bytes.len()),
        };
    }
    let device = bed.device_name();
    let Some(control) = bed.device_control().filter(|control| control.offers(Offer::MidiIn)) else {
        return Err(PlaybackError::NoMidiIn { device });
    };
    control.midi_in(&bytes)?;
    Ok(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brings_in_no_more_at_a_time_than_a_queue_holds_and_no_message_in_parts() {
        let event = |bytes: usize| MidiEvent { time: 0, channel_group: 1, bytes: vec![0xF0; bytes] };
        let events: Vec<_> = [100, 28, 1, 500, 3, 3].into_iter().map(event).collect();
        let lengths: Vec<Vec<usize>> =
            portions(&events).iter().map(|part| part.iter().map(|event| event.bytes.len()).collect()).collect();
        assert_eq!(lengths, [vec![100, 28], vec![1], vec![500], vec![3, 3]]);
        assert!(portions(&[]).is_empty());
    }
}
