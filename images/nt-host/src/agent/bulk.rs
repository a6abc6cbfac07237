//! Ranges of guest memory that the harness writes and reads directly.

#![allow(unsafe_code, reason = "memory is reached by its physical address")]

use alloc::format;
use alloc::vec::Vec;

use guest_protocol::{Bulk, Failure};

use crate::arch::boot::DIRECT_MAP;
use crate::arch::frames;
use crate::harness::failure;
use crate::portcls::pin::RENDER_GUARD_BYTES;

/// Bytes behind each range, so that a write of the driver behind it is detected and corrupts nothing.
const SLACK_BYTES: u64 = RENDER_GUARD_BYTES as u64;

/// The ranges that are lent.
#[derive(Default)]
pub(super) struct Ranges {
    lent: Vec<Bulk>,
}

impl Ranges {
    /// Reserves a range, zeroed.
    pub(super) fn allocate(&mut self, bytes: u64) -> Result<Bulk, Failure> {
        if bytes == 0 {
            return Err(failure::request("a range has at least one byte"));
        }
        let taken = bytes.checked_add(SLACK_BYTES).ok_or_else(|| failure::memory(bytes))?;
        let address = frames::allocate_bulk(taken).ok_or_else(|| failure::memory(bytes))?;
        // SAFETY: the frames are ours, and the direct map covers all memory.
        unsafe { ((DIRECT_MAP + address) as *mut u8).write_bytes(0, taken as usize) };
        let bulk = Bulk { address, length: bytes };
        self.lent.push(bulk);
        Ok(bulk)
    }

    /// Gives a range back.
    pub(super) fn free(&mut self, bulk: Bulk) -> Result<(), Failure> {
        let index = self.lent.iter().position(|lent| *lent == bulk).ok_or_else(|| unknown(bulk))?;
        self.lent.swap_remove(index);
        frames::free(bulk.address, bulk.length + SLACK_BYTES);
        Ok(())
    }

    /// Returns the bytes of a part of a range. The harness leaves them alone while a request is under way.
    pub(super) fn bytes(&mut self, part: Bulk) -> Result<&mut [u8], Failure> {
        let length = part.length as usize;
        self.bytes_and_slack(part).map(|bytes| &mut bytes[..length])
    }

    /// Returns the same, and [`RENDER_GUARD_BYTES`] behind it.
    pub(super) fn bytes_and_slack(&mut self, part: Bulk) -> Result<&mut [u8], Failure> {
        let inside = |lent: &Bulk| {
            part.address >= lent.address
                && part.length <= lent.length
                && part.address - lent.address <= lent.length - part.length
        };
        if !self.lent.iter().any(inside) {
            return Err(unknown(part));
        }
        let length = (part.length + SLACK_BYTES) as usize;
        // SAFETY: inside a range of ours and its slack, which the direct map covers; `&mut self` keeps others away.
        Ok(unsafe { core::slice::from_raw_parts_mut((DIRECT_MAP + part.address) as *mut u8, length) })
    }
}

fn unknown(bulk: Bulk) -> Failure {
    failure::request(format!(
        "{} bytes at {:#x} are not in a range that AllocateBulk gave and FreeBulk has not taken back",
        bulk.length, bulk.address
    ))
}
