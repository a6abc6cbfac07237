//! The event queue: notices of what happened outside a request. (Virtio's word: virtio 1.2, sections 5.6.2 and 5.14.2
//! have queues of this name. The MIDI events of [`event`](crate::event) travel on other queues.)
//!
//! The driver posts writable buffers of at least a [`Notice`] each. The card keeps
//! [`NOTICES_KEPT_MAX`](crate::limits::NOTICES_KEPT_MAX) notices while none is posted; beyond that it drops the oldest
//! [`DIAGNOSED`](NoticeKind::DIAGNOSED) notice, or else the oldest one. `sequence` shows the gap.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::open_enum;

open_enum! {
    /// The kind of a notice.
    NoticeKind: u16 {
        /// The output FIFO overflowed. `value`: frames lost.
        UNDERRUN = 1,
        /// MIDI events were dropped. `value`: how many since the last such notice.
        EVENT_LOST = 2,
        /// A pending unload is done. `value`: the handle.
        UNLOADED = 3,
        /// A stream changed state without a request. `value`: the new state.
        STATE_CHANGED = 4,
        /// The card found an error of the driver. `code`, `expected`, `got` as in the diagnosis registers.
        DIAGNOSED = 5,
    }
}

/// A notice to the driver.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct Notice {
    /// [`NoticeKind`].
    pub kind: U16,
    /// [`Diagnosis`](crate::diagnosis::Diagnosis), for [`NoticeKind::DIAGNOSED`]; else 0.
    pub code: U16,
    /// Counts notices from 0: a gap is a lost notice.
    pub sequence: U32,
    /// The stream, or the queue for a diagnosis.
    pub stream: U32,
    /// What the diagnosis expected.
    pub expected: U32,
    /// What the diagnosis found.
    pub got: U32,
    /// Reserved.
    pub reserved: U32,
    /// As [`NoticeKind`] says for the kind.
    pub value: U64,
    /// When, in 100 ns units since the card's process started.
    pub card_time: U64,
}

const _: () = assert!(size_of::<Notice>() == 40);
