//! Guest memory for a song: event records in, PCM out.

use guest_protocol::{Bulk, Delivery, Pace, Play, Request};

use super::bed::TestBed;
use super::error::TestBedError;
use super::pins::Pins;
use crate::sound::pcm::FRAME_BYTES;

/// Frames of a request to the wave stream, unless told otherwise: 10 ms at 48 kHz.
pub const QUANTUM_DEFAULT: u32 = 480;

/// Guest memory that holds a song's event records, and takes its PCM.
#[derive(Clone, Copy, Debug)]
pub struct StreamMemory {
    records: Bulk,
    records_bytes: u64,
    event_count: u32,
    pcm: Bulk,
    frames: u64,
}

impl StreamMemory {
    /// Reserves memory for records and for the PCM of some frames, and writes the records.
    ///
    /// # Errors
    /// [`TestBedError::Session`] where the guest has no memory left; [`TestBedError::Memory`] where it cannot be written.
    pub fn prepare(bed: &mut TestBed<'_>, records: &[u8], event_count: u32, frames: u64) -> Result<Self, TestBedError> {
        let records_bytes = records.len() as u64;
        let bulk = bed.session.allocate(records_bytes)?;
        let pcm = bed.session.allocate(frames * FRAME_BYTES)?;
        bed.memory().write(bulk, records).map_err(TestBedError::Memory)?;
        Ok(Self { records: bulk, records_bytes, event_count, pcm, frames })
    }

    /// Returns the request that streams the records to the render pin, and collects PCM from the wave pin in quanta of some
    /// frames.
    #[must_use]
    pub const fn play(&self, pins: &Pins, quantum_frames: u32, pace: Pace, delivery: Delivery) -> Play {
        Play {
            render: pins.render,
            wave: pins.wave,
            events: Bulk { address: self.records.address, length: self.records_bytes },
            event_count: self.event_count,
            pcm: self.pcm_range(),
            frames: self.frames,
            quantum_frames,
            pace,
            delivery,
        }
    }

    const fn pcm_range(&self) -> Bulk {
        Bulk { address: self.pcm.address, length: self.frames * FRAME_BYTES }
    }

    /// Reads the PCM that the guest collected, 16-bit little-endian.
    ///
    /// # Errors
    /// [`TestBedError::Memory`] where the range is outside guest memory.
    pub fn read_pcm(&self, bed: &TestBed<'_>) -> Result<Vec<u8>, TestBedError> {
        bed.memory().read(self.pcm_range()).map_err(TestBedError::Memory)
    }

    /// Gives the memory back to the guest.
    ///
    /// # Errors
    /// [`TestBedError::Session`] for what the guest says.
    pub fn free(self, bed: &mut TestBed<'_>) -> Result<(), TestBedError> {
        for bulk in [self.records, self.pcm] {
            bed.session.done("give back guest memory", Request::FreeBulk(bulk))?;
        }
        Ok(())
    }
}

impl Pins {
    /// Closes both pins, and the filter.
    ///
    /// # Errors
    /// [`TestBedError::Session`] for what the guest says.
    pub fn close(self, bed: &mut TestBed<'_>) -> Result<(), TestBedError> {
        for (step, pin) in [("close the render pin", self.render), ("close the wave pin", self.wave)] {
            bed.session.done(step, Request::Close(pin))?;
        }
        Ok(bed.session.done("close the filter", Request::Close(self.filter))?)
    }
}
