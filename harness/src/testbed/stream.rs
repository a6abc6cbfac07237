//! Guest memory for a song: event records in, PCM out.

use guest_protocol::{Bulk, Delivery, Handle, Pace, Play, PlayMidi, Request};

use super::bed::TestBed;
use super::error::TestBedError;
use super::pins::{Pins, SongPins};
use crate::sound::pcm::PcmFormat;

/// Frames of a request to the wave stream, unless told otherwise: 10 ms at 48 kHz.
pub const QUANTUM_DEFAULT: u32 = 480;

/// Guest memory that holds a song's event records, and takes its PCM.
#[derive(Clone, Copy, Debug)]
pub struct StreamMemory {
    records: Bulk,
    records_bytes: u64,
    event_count: u32,
    /// The range for PCM, and its frames and format; none for a filter that gives none.
    pcm: Option<(Bulk, u64, PcmFormat)>,
}

impl StreamMemory {
    /// Reserves memory for records, and for the PCM of some frames, if there is any, and writes the records.
    ///
    /// # Errors
    /// [`TestBedError::Session`] where the guest has no memory left; [`TestBedError::Memory`] where it cannot be written.
    pub fn prepare(
        bed: &mut TestBed<'_>,
        records: &[u8],
        event_count: u32,
        frames: impl Into<Option<(u64, PcmFormat)>>,
    ) -> Result<Self, TestBedError> {
        let records_bytes = records.len() as u64;
        let bulk = bed.session.allocate(records_bytes)?;
        let pcm = match frames.into() {
            Some((frames, format)) => Some((bed.session.allocate(frames * format.frame_bytes())?, frames, format)),
            None => None,
        };
        bed.write_bulk(bulk, records)?;
        Ok(Self { records: bulk, records_bytes, event_count, pcm })
    }

    /// Returns the request that streams the records to the render pin, and collects PCM from the wave pin in quanta of some
    /// frames.
    #[must_use]
    pub const fn play(&self, pins: &Pins, quantum_frames: u32, pace: Pace, delivery: Delivery) -> Play {
        Play {
            render: pins.render,
            wave: pins.wave,
            events: self.events(),
            event_count: self.event_count,
            pcm: self.pcm_range(),
            frames: match self.pcm {
                Some((_, frames, _)) => frames,
                None => 0,
            },
            quantum_frames,
            pace,
            delivery,
        }
    }

    /// Returns the request that streams the records to a render pin whose filter gives no PCM, until a time in 100 ns units.
    #[must_use]
    pub const fn play_midi(&self, render: Handle, duration: u64, pace: Pace, delivery: Delivery) -> PlayMidi {
        PlayMidi { render, events: self.events(), event_count: self.event_count, duration, pace, delivery }
    }

    const fn events(&self) -> Bulk {
        Bulk { address: self.records.address, length: self.records_bytes }
    }

    const fn pcm_range(&self) -> Bulk {
        match self.pcm {
            Some((bulk, frames, format)) => Bulk { address: bulk.address, length: frames * format.frame_bytes() },
            None => Bulk { address: 0, length: 0 },
        }
    }

    /// Reads the PCM that the guest collected, in the pin's format.
    ///
    /// # Errors
    /// [`TestBedError::Memory`] where the range is outside guest memory, [`TestBedError::Session`] for what the guest says.
    pub fn read_pcm(&self, bed: &mut TestBed<'_>) -> Result<Vec<u8>, TestBedError> {
        bed.read_bulk(self.pcm_range())
    }

    /// Gives the memory back to the guest.
    ///
    /// # Errors
    /// [`TestBedError::Session`] for what the guest says.
    pub fn free(self, bed: &mut TestBed<'_>) -> Result<(), TestBedError> {
        for bulk in [self.records].into_iter().chain(self.pcm.map(|(bulk, ..)| bulk)) {
            bed.session.done("give back guest memory", Request::FreeBulk(bulk))?;
        }
        Ok(())
    }
}

impl SongPins {
    /// Returns the pins of a song with sound.
    #[must_use]
    pub const fn sounding(&self) -> Option<Pins> {
        match self.wave {
            Some((wave, format)) => {
                Some(Pins { filter: self.filter, render: self.render, music: self.music, wave, format })
            }
            None => None,
        }
    }

    /// Closes the pins, and the filter. A render pin without a wave pin is still in `RUN`, and is stopped by that.
    ///
    /// # Errors
    /// [`TestBedError::Session`] for what the guest says.
    pub fn close(self, bed: &mut TestBed<'_>) -> Result<(), TestBedError> {
        match self.sounding() {
            Some(pins) => pins.close(bed),
            None => {
                bed.session.done("close the render pin", Request::Close(self.render))?;
                Ok(bed.session.done("close the filter", Request::Close(self.filter))?)
            }
        }
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
