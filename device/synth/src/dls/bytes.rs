//! Little-endian numbers out of untrusted bytes.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

/// Reads a little-endian number of 16 bits.
pub(crate) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes.get(offset..)?.first_chunk().map(|b| u16::from_le_bytes(*b))
}

/// Reads a little-endian number of 32 bits.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().map(|b| u32::from_le_bytes(*b))
}

/// Reads a signed little-endian number of 16 bits.
pub(crate) fn i16_at(bytes: &[u8], offset: usize) -> Option<i16> {
    u16_at(bytes, offset).map(|x| x as i16)
}

/// Reads a signed little-endian number of 32 bits.
pub(crate) fn i32_at(bytes: &[u8], offset: usize) -> Option<i32> {
    u32_at(bytes, offset).map(|x| x as i32)
}
