//! Event batches: queues midi-out (driver to card) and midi-in (card to driver).
//!
//! A batch is a [`BatchHeader`] and `count` records. A record is an [`EventHeader`], `length` bytes of data, and
//! padding to the next multiple of 8. One batch is at most
//! [`BATCH_BYTES_MAX`](crate::limits::BATCH_BYTES_MAX) long, header included. The buffer that holds it may be longer.
//!
//! The render stream must be open and not in [`STOP`](crate::control::StreamState::STOP). Its events play while it is
//! in [`RUN`](crate::control::StreamState::RUN); events that fall due in another state are held, and play at the next
//! frame when it runs again.
//!
//! The card takes batches in ring order and returns each as soon as its events are in the card's own memory. Nothing is
//! written back to a midi-out chain (used length 0).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use zerocopy::little_endian::{I64, U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The header of a batch.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct BatchHeader {
    /// The render stream (midi-out) or capture stream (midi-in) that it belongs to.
    pub stream: U32,
    /// Number of records.
    pub count: U32,
    /// Bytes of the whole batch, this header included.
    pub length: U32,
    /// The sender's own count of batches, from 0: a gap is a lost batch.
    pub sequence: U32,
}

/// The header of a record.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct EventHeader {
    /// When it plays, or was captured: master-clock time in 100 ns units.
    pub time: I64,
    /// The channel group. 0 means every group, `g` above 0 the group number `g - 1`: DirectMusic's own numbering.
    pub channel_group: U16,
    /// Bits of [`event_flag`].
    pub flags: U16,
    /// Bytes of data.
    pub length: U16,
    /// Reserved.
    pub reserved: U16,
}

/// Bits of [`EventHeader::flags`].
pub mod event_flag {
    /// The data is a fragment of a system-exclusive message; more follows in a later record of the same stream and
    /// group. A record without this bit ends it. Fragments play at the time of the last one.
    pub const INCOMPLETE: u16 = 1;
}

/// Records begin at multiples of this many bytes.
pub const RECORD_ALIGNMENT: usize = 8;

/// Returns how many bytes a record with `length` bytes of data takes in a batch.
#[must_use]
pub const fn record_bytes(length: usize) -> usize {
    match size_of::<EventHeader>().saturating_add(length).checked_next_multiple_of(RECORD_ALIGNMENT) {
        Some(bytes) => bytes,
        None => usize::MAX,
    }
}

const _: () = assert!(size_of::<BatchHeader>() == 16);
const _: () = assert!(size_of::<EventHeader>() == 16);
