//! Reads numbers and runs of bytes of a file, with the place of each.

use super::error::Rule;

/// A broken rule and its byte in the file.
pub(super) type Broken = (usize, Rule);

/// A place within a part of a file.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    /// The place in the file.
    pub(super) at: usize,
    /// The end of the part in the file.
    pub(super) end: usize,
}

impl<'a> Cursor<'a> {
    /// Begins at a place, for a part that ends within the file.
    pub(super) fn new(bytes: &'a [u8], at: usize, end: usize) -> Self {
        Self { bytes, at, end: end.min(bytes.len()) }
    }

    /// Returns the next bytes as a part of their own, fewer where the part ends before.
    pub(super) fn part(&self, length: usize) -> Self {
        Self { end: self.at.saturating_add(length).min(self.end), ..*self }
    }

    /// Returns whether the part is at its end.
    pub(super) const fn is_done(&self) -> bool {
        self.at >= self.end
    }

    /// Returns how many bytes are left.
    pub(super) const fn left(&self) -> usize {
        self.end.saturating_sub(self.at)
    }

    /// Returns the next byte, and stays.
    pub(super) fn peek(&self) -> Result<u8, Broken> {
        if self.is_done() { Err((self.at, Rule::EventBeyondTrack)) } else { Ok(self.bytes[self.at]) }
    }

    /// Takes a byte.
    pub(super) fn byte(&mut self) -> Result<u8, Broken> {
        let byte = self.peek()?;
        self.at += 1;
        Ok(byte)
    }

    /// Takes some bytes.
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Broken> {
        if length > self.left() {
            return Err((self.at, Rule::EventBeyondTrack));
        }
        let taken = &self.bytes[self.at..self.at + length];
        self.at += length;
        Ok(taken)
    }

    /// Takes a variable-length quantity (RP-001, page 2): four bytes at most.
    pub(super) fn quantity(&mut self) -> Result<u32, Broken> {
        const BYTES_MAX: usize = 4;
        let begun = self.at;
        let mut value = 0;
        for _ in 0..BYTES_MAX {
            let byte = self.byte()?;
            value = value << 7 | u32::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err((begun, Rule::Quantity))
    }

    /// Takes a number of two bytes, the upper one first; `None` where the part ends before.
    pub(super) fn half(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(*self.take(2).ok()?.first_chunk()?))
    }

    /// Takes a number of four bytes, the upper ones first; `None` where the part ends before.
    pub(super) fn word(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(*self.take(4).ok()?.first_chunk()?))
    }
}
