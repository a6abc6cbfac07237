//! The news queue: what happened without being asked for.
//!
//! The driver posts writable buffers of at least a [`NewsRecord`]. The card keeps the last few records when none is
//! posted and drops the oldest beyond that; `sequence` shows the gap.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::open_enum;

open_enum! {
    /// What happened.
    NewsKind: u16 {
        /// The output FIFO overflowed. `value`: frames lost.
        UNDERRUN = 1,
        /// An event was dropped. `value`: how many since the last such record.
        EVENT_LOST = 2,
        /// A pending unload is done. `value`: the handle.
        UNLOADED = 3,
        /// A stream changed state without being asked. `value`: the new state.
        STATE_CHANGED = 4,
        /// The card found something wrong. `code`, `expected`, `got` as in the diagnosis registers.
        DIAGNOSED = 5,
    }
}

/// One piece of news.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct NewsRecord {
    /// [`NewsKind`].
    pub kind: U16,
    /// [`Diagnosis`](crate::diagnosis::Diagnosis), for [`NewsKind::DIAGNOSED`]; else 0.
    pub code: U16,
    /// Counts records from 0: a gap is lost news.
    pub sequence: U32,
    /// The stream, or the queue for a diagnosis.
    pub stream: U32,
    /// What the diagnosis expected.
    pub expected: U32,
    /// What the diagnosis found.
    pub got: U32,
    /// Reserved.
    pub reserved: U32,
    /// What the kind says.
    pub value: U64,
    /// When, in 100 ns units since the card's process started.
    pub card_time: U64,
}

const _: () = assert!(size_of::<NewsRecord>() == 40);
