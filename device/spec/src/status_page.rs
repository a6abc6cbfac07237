//! The status page: a page of guest memory that the card writes by DMA at every render quantum while the wave stream
//! runs, so that reading the clock costs a memory read.
//!
//! `sequence` is a sequence lock: odd while the card writes. Read it, read the rest, read it again; both equal and even
//! is a consistent picture.

use zerocopy::little_endian::{I64, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The page's first bytes; the rest of the page is not touched.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct StatusPage {
    /// `0x00`: the sequence lock.
    pub sequence: U32,
    /// `0x04`: voices that sound.
    pub voices: U32,
    /// `0x08`: the next frame to render.
    pub frame: U64,
    /// `0x10`: its master time by the anchor in force, in 100 ns units.
    pub master_time: I64,
    /// `0x18`: the latency clock: an event stamped with this time or later is not late. 100 ns units.
    pub latency_time: I64,
    /// `0x20`: when this was written, in 100 ns units since the card's process started.
    pub card_time: U64,
    /// `0x28`: events late.
    pub events_late: U64,
    /// `0x30`: underruns.
    pub underruns: U64,
    /// `0x38`: events that wait for their frame.
    pub pending_events: U64,
}

const _: () = assert!(size_of::<StatusPage>() == 64);
