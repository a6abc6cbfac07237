//! The wave queue: the card renders straight into guest pages.
//!
//! A chain is a readable [`WaveRequest`], a writable [`WaveHeader`], and `frames` times the frame size of writable
//! pages. Buffers are filled in ring order, only while the wave stream is in
//! [`RUN`](crate::control::StreamState::RUN), each completely; PCM is 16-bit signed, interleaved.
//!
//! Before it fills a buffer the card takes every event batch that was available on midi-out when the buffer's kick
//! arrived. So an event that is made available before the buffer is never late for it.
//!
//! In real time a buffer is returned when the clock has reached its last frame; frames that are due while no buffer is
//! posted wait in the output FIFO. In lockstep a buffer is returned at once and moves the clock by `frames`.

use zerocopy::little_endian::{I64, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::open_enum;

/// The readable part.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct WaveRequest {
    /// The wave stream.
    pub stream: U32,
    /// Frames wanted, at least 1.
    pub frames: U32,
}

/// The first writable part.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct WaveHeader {
    /// [`WaveStatus`].
    pub status: U32,
    /// Frames written: all that were wanted, or 0.
    pub frames: U32,
    /// The sample clock at the first frame.
    pub position: U64,
    /// Master time of the first frame, by the anchor in force, in 100 ns units.
    pub master_time: I64,
    /// When it was rendered, in 100 ns units since the card's process started.
    pub card_time: U64,
}

open_enum! {
    /// How a wave buffer came back.
    WaveStatus: u32 {
        /// Filled.
        OK = 0,
        /// Not filled: the stream left `RUN`.
        FLUSHED = 1,
        /// Not filled: the request is wrong; the diagnosis registers say how.
        REFUSED = 2,
        /// Filled, but frames were lost before it: the output FIFO had overflowed.
        AFTER_UNDERRUN = 3,
    }
}

const _: () = assert!(size_of::<WaveRequest>() == 8);
const _: () = assert!(size_of::<WaveHeader>() == 32);
