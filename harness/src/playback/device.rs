//! What the device says about the bytes that it received from the driver.

use std::time::{Duration, Instant};

use super::error::PlaybackError;
use super::judge::compare_midi;
use crate::machine::{Offer, Received};
use crate::sound::midi::MidiEvent;
use crate::testbed::TestBed;

/// The time without a byte after which a device has received all that comes: a line of 31250 baud brings one each 320 µs,
/// and a busy host keeps a device from running for some time.
const QUIET: Duration = Duration::from_secs(1);

/// The interval between two requests.
const EACH: Duration = Duration::from_millis(20);

/// The longest time for the rest of a song to arrive: at 31250 baud, three bytes of each of 60,000 messages.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(60);

/// Takes the bytes that the device received, until they are the song's or no more come.
///
/// # Errors
/// [`PlaybackError::NoBytes`] for a device that does not offer them; [`PlaybackError::Device`] for one that does not answer.
pub fn received(bed: &mut TestBed<'_>, song: &[MidiEvent]) -> Result<Received, PlaybackError> {
    let device = bed.device_name();
    let Some(control) = bed.device_control().filter(|control| control.offers(Offer::Bytes)) else {
        return Err(PlaybackError::NoBytes { device });
    };
    let (begun, mut last) = (Instant::now(), Instant::now());
    let mut all = Received::default();
    loop {
        let more = control.bytes()?;
        if !more.bytes.is_empty() {
            last = Instant::now();
        }
        all.bytes.extend(more.bytes);
        all.lost += more.lost;
        if compare_midi(song, &all, false, 0).passed() || last.elapsed() > QUIET || begun.elapsed() > ARRIVAL_LIMIT {
            return Ok(all);
        }
        std::thread::sleep(EACH);
    }
}
