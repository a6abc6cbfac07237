//! The harness's ends of the rings in guest memory.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use guest_protocol::{Bulk, RING_READ, RING_WRITTEN, RingPlace};

use crate::machine::GuestMemory;

/// Bytes of a count.
const COUNT_BYTES: u64 = 8;

/// The end that reads.
#[derive(Debug)]
pub(super) struct RingReader {
    memory: Arc<GuestMemory>,
    place: RingPlace,
    read: u64,
}

/// The end that writes.
#[derive(Debug)]
pub(super) struct RingWriter {
    memory: Arc<GuestMemory>,
    place: RingPlace,
    written: u64,
}

/// Opens both ends of the rings in a range that a guest lends.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] for a range that is too short, or not guest memory.
pub(super) fn open(memory: &Arc<GuestMemory>, range: Bulk) -> io::Result<(RingReader, RingWriter)> {
    let too_short = || {
        let text = format!("{:#x} bytes at {:#x} are too short for two rings", range.length, range.address);
        io::Error::new(io::ErrorKind::InvalidInput, text)
    };
    let (to_host, to_guest) = RingPlace::both(range).ok_or_else(too_short)?;
    memory.check(range)?;
    Ok((RingReader::new(memory.clone(), to_host), RingWriter::new(memory.clone(), to_guest)))
}

impl RingReader {
    /// Opens the end of a ring that nothing was read from.
    pub(super) const fn new(memory: Arc<GuestMemory>, place: RingPlace) -> Self {
        Self { memory, place, read: 0 }
    }

    /// Takes the bytes that have been written since the last time.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] for a count that cannot be: something in the guest has overwritten it.
    pub(super) fn take(&mut self) -> io::Result<Vec<u8>> {
        let written = count(&self.memory, self.place, RING_WRITTEN)?;
        let Some(parts) = self.place.parts(self.read, written) else {
            let text = format!(
                "the ring at {:#x} says that {written} bytes were written; {} of them were read and it holds {}",
                self.place.address, self.read, self.place.capacity
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        };
        // The bytes are read after the count that covers them.
        fence(Ordering::SeqCst);
        let mut bytes = Vec::new();
        for part in parts.into_iter().filter(|part| part.length != 0) {
            bytes.extend(self.memory.read(inside(self.place, part))?);
        }
        if written != self.read {
            self.read = written;
            set_count(&self.memory, self.place, RING_READ, written)?;
        }
        Ok(bytes)
    }
}

impl RingWriter {
    /// Opens the end of a ring that nothing was written to.
    pub(super) const fn new(memory: Arc<GuestMemory>, place: RingPlace) -> Self {
        Self { memory, place, written: 0 }
    }

    /// Writes bytes, if there is room for all. Tells whether there was.
    ///
    /// # Errors
    /// The error of the host that cannot reach guest memory.
    pub(super) fn put(&mut self, bytes: &[u8]) -> io::Result<bool> {
        let read = count(&self.memory, self.place, RING_READ)?;
        let written = self.written.saturating_add(bytes.len() as u64);
        if self.place.parts(read, written).is_none() {
            return Ok(false);
        }
        let Some(parts) = self.place.parts(self.written, written) else { return Ok(false) };
        let mut rest = bytes;
        for part in parts {
            // A part is no longer than the bytes.
            let (now, later) = rest.split_at(part.length as usize);
            self.memory.write(inside(self.place, part), now)?;
            rest = later;
        }
        // The count covers bytes that are there.
        fence(Ordering::SeqCst);
        self.written = written;
        set_count(&self.memory, self.place, RING_WRITTEN, written)?;
        Ok(true)
    }
}

const fn inside(place: RingPlace, part: Bulk) -> Bulk {
    Bulk { address: place.address + part.address, length: part.length }
}

const fn place_of_count(place: RingPlace, offset: u64) -> Bulk {
    Bulk { address: place.address + offset, length: COUNT_BYTES }
}

fn count(memory: &GuestMemory, place: RingPlace, offset: u64) -> io::Result<u64> {
    let bytes = memory.read(place_of_count(place, offset))?;
    Ok(bytes.try_into().map_or(0, u64::from_le_bytes))
}

fn set_count(memory: &GuestMemory, place: RingPlace, offset: u64, value: u64) -> io::Result<()> {
    memory.write(place_of_count(place, offset), &value.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: Bulk = Bulk { address: 0x2000, length: 0x100 };

    #[test]
    fn passes_bytes_round_the_end_and_refuses_what_has_no_room() {
        let memory = Arc::new(GuestMemory::new(1 << 20).unwrap());
        let (_, mut writer) = open(&memory, RANGE).unwrap();
        let mut reader = RingReader::new(memory.clone(), writer.place);
        assert_eq!(writer.place.capacity, 112);
        let mut sent = Vec::new();
        let mut received = Vec::new();
        for round in 0..50_u8 {
            let bytes: Vec<u8> = (0..round).collect();
            assert!(writer.put(&bytes).unwrap());
            sent.extend(bytes);
            received.extend(reader.take().unwrap());
        }
        assert_eq!(sent, received);
        assert!(writer.put(&[1; 112]).unwrap());
        assert!(!writer.put(&[2]).unwrap());
        assert_eq!(reader.take().unwrap(), [1; 112]);
        assert!(writer.put(&[2]).unwrap());
        assert_eq!(reader.take().unwrap(), [2]);
    }

    #[test]
    fn refuses_rings_and_counts_that_cannot_be() {
        let memory = Arc::new(GuestMemory::new(1 << 20).unwrap());
        for (address, length) in [(0x2000, 32), (1 << 20, 0x100), ((1 << 20) - 0x80, 0x100), (u64::MAX, 0x100)] {
            assert!(open(&memory, Bulk { address, length }).is_err());
        }
        let (mut reader, _) = open(&memory, RANGE).unwrap();
        set_count(&memory, reader.place, RING_WRITTEN, 113).unwrap();
        assert_eq!(reader.take().unwrap_err().kind(), io::ErrorKind::InvalidData);
        set_count(&memory, reader.place, RING_WRITTEN, 0).unwrap();
        assert!(reader.take().unwrap().is_empty());
    }
}
