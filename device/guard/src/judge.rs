//! Judges a message before anything is done about it.

use std::os::fd::OwnedFd;

use vhost::vhost_user::message::{
    FrontendReq, VHOST_USER_CONFIG_SIZE, VhostUserConfig, VhostUserConfigFlags, VhostUserMemory, VhostUserMemoryRegion,
    VhostUserVringAddr, VhostUserVringAddrFlags, VhostUserVringState,
};

use crate::finding::{Fault, Field};
use crate::limits::{RINGS_MAX, TABLE_REGIONS_MAX};
use crate::offer::{descriptors, required};
use crate::wire::{Message, NEED_REPLY, REPLY, VERSION, VERSION_1};

/// In a request about a ring's descriptor: there is none.
const NO_FILE: u64 = 0x100;

/// What is wrong, without who is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) field: Field,
    pub(crate) fault: Fault,
    pub(crate) expected: u64,
    pub(crate) got: u64,
    /// The ring and its part that are overlapped.
    pub(crate) other: Option<(u32, Field)>,
}

impl Wrong {
    /// Returns what is wrong with a field that overlaps nothing.
    pub(crate) const fn new(field: Field, fault: Fault, expected: u64, got: u64) -> Self {
        Self { field, fault, expected, got, other: None }
    }
}

/// Judges the header, and returns the request. What is attached without need is wrong too, but is only closed.
pub(crate) fn header(message: &Message) -> Result<FrontendReq, Wrong> {
    let got = u64::from(message.code);
    let code = FrontendReq::try_from(message.code).map_err(|_| Wrong::new(Field::Code, Fault::Unknown, 0, got))?;
    let flags = message.flags;
    if flags & VERSION != VERSION_1 || flags & REPLY != 0 || flags & !(VERSION | REPLY | NEED_REPLY) != 0 {
        let expected = VERSION_1 | flags & NEED_REPLY;
        return Err(Wrong::new(Field::Flags, Fault::Mismatch, expected.into(), flags.into()));
    }
    Ok(code)
}

/// Judges whether the front-end may send the request, after it has acknowledged `protocol` of `offered`.
pub(crate) fn negotiated(code: FrontendReq, protocol: u64, offered: u64) -> Result<(), Wrong> {
    let Some(feature) = required(code).map(|feature| feature.bits()) else { return Ok(()) };
    if offered & feature == 0 {
        return Err(Wrong::new(Field::Code, Fault::NotOffered, offered, feature));
    }
    if protocol & feature == 0 {
        return Err(Wrong::new(Field::Code, Fault::NotNegotiated, feature, protocol));
    }
    Ok(())
}

/// Judges the number of attached descriptors.
pub(crate) fn attached(code: FrontendReq, message: &Message) -> Result<(), Wrong> {
    let (most, got) = (descriptors(code) as u64, message.files.len() as u64);
    if message.files_lost {
        return Err(Wrong::new(Field::Descriptors, Fault::Lost, 0, got));
    }
    if got > most {
        return Err(Wrong::new(Field::Descriptors, Fault::TooLarge, most, got));
    }
    Ok(())
}

fn length(message: &Message, expected: usize) -> Wrong {
    Wrong::new(Field::Length, Fault::Mismatch, expected as u64, message.length as u64)
}

/// Reads an empty body.
pub(crate) fn empty(message: &Message) -> Result<(), Wrong> {
    if message.length == 0 { Ok(()) } else { Err(length(message, 0)) }
}

/// Reads a number.
pub(crate) fn number(message: &Message) -> Result<u64, Wrong> {
    message.read().ok_or_else(|| length(message, size_of::<u64>()))
}

/// Reads a ring and a number.
pub(crate) fn ring_number(message: &Message, rings: usize) -> Result<(usize, u32), Wrong> {
    let state: VhostUserVringState = message.read().ok_or_else(|| length(message, size_of::<VhostUserVringState>()))?;
    Ok((index(state.index.into(), rings)?, state.num))
}

fn index(got: u64, rings: usize) -> Result<usize, Wrong> {
    let wrong = Wrong::new(Field::Index, Fault::TooLarge, rings.saturating_sub(1) as u64, got);
    usize::try_from(got).ok().filter(|index| *index < rings.min(RINGS_MAX)).ok_or(wrong)
}

/// Reads the addresses of a ring.
pub(crate) fn ring_addresses(message: &Message, rings: usize) -> Result<(usize, VhostUserVringAddr), Wrong> {
    let addresses: VhostUserVringAddr =
        message.read().ok_or_else(|| length(message, size_of::<VhostUserVringAddr>()))?;
    Ok((index(addresses.index.into(), rings)?, addresses))
}

/// Judges what of a ring's addresses does not depend on its size. The flags of a log are never offered.
pub(crate) fn address_flags(addresses: &VhostUserVringAddr) -> Result<(), Wrong> {
    let flags = addresses.flags & !VhostUserVringAddrFlags::VHOST_VRING_F_LOG.bits();
    if flags == 0 { Ok(()) } else { Err(Wrong::new(Field::AddressFlags, Fault::NotOffered, 0, flags.into())) }
}

/// Reads a ring and its descriptor, which may be left out on purpose.
pub(crate) fn ring_file(message: &mut Message, rings: usize) -> Result<(usize, Option<OwnedFd>), Wrong> {
    let value = number(message)?;
    if value & !(NO_FILE | 0xff) != 0 {
        return Err(Wrong::new(Field::Index, Fault::Mismatch, value & (NO_FILE | 0xff), value));
    }
    let index = index(value & 0xff, rings)?;
    let expected = usize::from(value & NO_FILE == 0);
    if message.files.len() != expected {
        return Err(Wrong::new(Field::Descriptors, Fault::Mismatch, expected as u64, message.files.len() as u64));
    }
    Ok((index, message.files.pop()))
}

/// Reads a table of memory regions.
pub(crate) fn memory_table(message: &mut Message) -> Result<Vec<(VhostUserMemoryRegion, OwnedFd)>, Wrong> {
    let head = size_of::<VhostUserMemory>();
    let (header, table) = message.split::<VhostUserMemory>().ok_or_else(|| length(message, head))?;
    let count = header.num_regions as usize;
    if count > TABLE_REGIONS_MAX {
        return Err(Wrong::new(Field::Region, Fault::TooLarge, TABLE_REGIONS_MAX as u64, count as u64));
    }
    let expected = count.saturating_mul(size_of::<VhostUserMemoryRegion>()).saturating_add(head);
    if message.length != expected {
        return Err(length(message, expected));
    }
    let (table, _) = table.as_chunks::<{ size_of::<VhostUserMemoryRegion>() }>();
    let regions: Vec<VhostUserMemoryRegion> = table.iter().map(region_of).collect();
    if message.files.len() != count {
        let got = message.files.len() as u64;
        return Err(Wrong::new(Field::Descriptors, Fault::Mismatch, count as u64, got));
    }
    Ok(regions.into_iter().zip(message.files.drain(..)).collect())
}

fn region_of(bytes: &[u8; size_of::<VhostUserMemoryRegion>()]) -> VhostUserMemoryRegion {
    let (words, _) = bytes.as_chunks::<8>();
    let [guest, size, user, offset] =
        std::array::from_fn(|index| words.get(index).map_or(0, |word| u64::from_ne_bytes(*word)));
    VhostUserMemoryRegion::new(guest, size, user, offset)
}

/// Reads one memory region.
pub(crate) fn memory_region(message: &Message) -> Result<VhostUserMemoryRegion, Wrong> {
    /// Padding before the region.
    const PADDING: usize = 8;
    let expected = size_of::<VhostUserMemoryRegion>().saturating_add(PADDING);
    let region = message.body.get(PADDING..).and_then(<[u8]>::first_chunk);
    match region {
        Some(region) if message.length == expected => Ok(region_of(region)),
        _ => Err(length(message, expected)),
    }
}

/// Reads a range of configuration space, and what follows.
pub(crate) fn config(message: &Message) -> Result<(VhostUserConfig, &[u8]), Wrong> {
    let head = size_of::<VhostUserConfig>();
    let (config, payload) = message.split::<VhostUserConfig>().ok_or_else(|| length(message, head))?;
    let (offset, size, flags) = (config.offset, config.size, config.flags);
    let end = u64::from(offset).saturating_add(size.into());
    if size == 0 {
        return Err(Wrong::new(Field::Config, Fault::Zero, 1, 0));
    }
    if end > VHOST_USER_CONFIG_SIZE.into() {
        return Err(Wrong::new(Field::Config, Fault::TooLarge, VHOST_USER_CONFIG_SIZE.into(), end));
    }
    let known = VhostUserConfigFlags::all().bits();
    if flags & !known != 0 {
        return Err(Wrong::new(Field::Config, Fault::NotOffered, known.into(), flags.into()));
    }
    let expected = head.saturating_add(size as usize);
    if message.length != expected {
        return Err(length(message, expected));
    }
    Ok((config, payload))
}

#[cfg(test)]
mod tests;
