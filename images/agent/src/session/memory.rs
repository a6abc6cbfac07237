//! Ranges of the agent's own memory, which the harness reads and writes by requests, and processes' pointers point into.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use guest_protocol::{Bulk, Failure, FailureKind, LINE_BULK_BYTES_MAX};

use super::request;

/// Most bytes of all ranges: an hour of a song's records, or some minutes of PCM, in a process of 2 GiB.
const BYTES_MAX: u64 = 256 << 20;

/// The ranges that are lent.
#[derive(Default)]
pub(super) struct Ranges {
    lent: Vec<Box<[u8]>>,
}

fn address(range: &[u8]) -> u64 {
    range.as_ptr().addr() as u64
}

impl Ranges {
    /// Reserves a range, zeroed.
    pub(super) fn allocate(&mut self, bytes: u64) -> Result<Bulk, Failure> {
        if bytes == 0 {
            return Err(request("a range has at least one byte"));
        }
        let lent: u64 = self.lent.iter().map(|range| range.len() as u64).sum();
        let full = || Failure {
            kind: FailureKind::Memory,
            message: format!("{bytes} bytes are more than is left of {BYTES_MAX}: {lent} are lent"),
        };
        if bytes > BYTES_MAX.saturating_sub(lent) {
            return Err(full());
        }
        let mut range = Vec::new();
        range.try_reserve_exact(bytes as usize).map_err(|_| full())?;
        range.resize(bytes as usize, 0);
        let range = range.into_boxed_slice();
        let bulk = Bulk { address: address(&range), length: bytes };
        self.lent.push(range);
        Ok(bulk)
    }

    /// Gives a range back.
    pub(super) fn free(&mut self, bulk: Bulk) -> Result<(), Failure> {
        let is_it = |range: &[u8]| address(range) == bulk.address && range.len() as u64 == bulk.length;
        let index = self.lent.iter().position(|range| is_it(range)).ok_or_else(|| unknown(bulk))?;
        self.lent.swap_remove(index);
        Ok(())
    }

    /// Returns the range that a part is in, and where it is in it.
    fn find(&self, part: Bulk) -> Result<(usize, core::ops::Range<usize>), Failure> {
        let inside = |range: &[u8]| {
            let offset = part.address.checked_sub(address(range))?;
            let end = offset.checked_add(part.length)?;
            (end <= range.len() as u64).then_some(offset as usize..end as usize)
        };
        let found = self.lent.iter().enumerate().find_map(|(index, range)| Some((index, inside(range)?)));
        found.ok_or_else(|| unknown(part))
    }

    /// Returns the bytes of a part of a range.
    pub(super) fn bytes(&self, part: Bulk) -> Result<&[u8], Failure> {
        let (index, place) = self.find(part)?;
        Ok(&self.lent[index][place])
    }

    /// Returns the bytes of a part that pass through the line.
    pub(super) fn line_bytes(&self, part: Bulk) -> Result<&[u8], Failure> {
        if part.length > LINE_BULK_BYTES_MAX.into() {
            return Err(request(format!("at most {LINE_BULK_BYTES_MAX} bytes pass at once, not {}", part.length)));
        }
        self.bytes(part)
    }

    /// Writes a part of a range.
    pub(super) fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), Failure> {
        let (index, place) = self.find(Bulk { address, length: bytes.len() as u64 })?;
        self.lent[index][place].copy_from_slice(bytes);
        Ok(())
    }
}

fn unknown(bulk: Bulk) -> Failure {
    request(format!(
        "{} bytes at {:#x} are not in a range that AllocateBulk gave and FreeBulk has not taken back",
        bulk.length, bulk.address
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_not_in_a_lent_range() {
        let mut ranges = Ranges::default();
        let bulk = ranges.allocate(100).unwrap();
        ranges.write(bulk.address + 90, &[7; 10]).unwrap();
        assert_eq!(ranges.bytes(Bulk { address: bulk.address + 89, length: 2 }).unwrap(), [0, 7]);
        for (address, length) in
            [(bulk.address + 91, 10), (bulk.address - 1, 2), (bulk.address, u64::MAX), (u64::MAX, 2)]
        {
            assert!(ranges.bytes(Bulk { address, length }).is_err(), "{address:#x} {length}");
        }
        assert!(ranges.write(bulk.address + 99, &[0; 2]).is_err());
        assert_eq!(ranges.allocate(BYTES_MAX).unwrap_err().kind, FailureKind::Memory);
        assert_eq!(ranges.allocate(0).unwrap_err().kind, FailureKind::Request);
        ranges.free(bulk).unwrap();
        assert!(ranges.free(bulk).is_err() && ranges.bytes(bulk).is_err());
    }
}
