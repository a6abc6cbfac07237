//! What card or device say about the bytes that they received from the driver.

use std::time::{Duration, Instant};

use super::error::PlaybackError;
use super::judge::compare_midi;
use crate::machine::Received;
use crate::sound::midi::MidiEvent;
use crate::testbed::TestBed;

/// The time without a byte after which a device has received all that comes: a line of 31250 baud brings one each 320 µs,
/// and a busy host keeps a device from running for some time.
const QUIET: Duration = Duration::from_secs(1);

/// The interval between two requests.
const EACH: Duration = Duration::from_millis(20);

/// The longest time for the rest of a song to arrive: at 31250 baud, three bytes of each of 60,000 messages.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(60);

/// Takes the bytes that the device received, and adds them to `taken`, until they are the song's or no more come.
///
/// # Errors
/// [`PlaybackError::NoBytes`] for a device that does not offer them; [`PlaybackError::TestBed`] for one that does not answer.
pub fn receive(bed: &mut TestBed<'_>, song: &[MidiEvent], taken: &mut Received) -> Result<(), PlaybackError> {
    let (begun, mut last) = (Instant::now(), Instant::now());
    loop {
        let Some(more) = bed.take_received()? else {
            return Err(PlaybackError::NoBytes { device: bed.device_name() });
        };
        if !more.bytes.is_empty() {
            last = Instant::now();
        }
        taken.extend(more);
        if compare_midi(song, taken, false, 0).passed() || last.elapsed() > QUIET || begun.elapsed() > ARRIVAL_LIMIT {
            return Ok(());
        }
        std::thread::sleep(EACH);
    }
}
