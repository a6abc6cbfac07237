//! The identity block: the card's device configuration space, read-only, [`IdentityBlock`] long.
//!
//! Read it in aligned 4-byte accesses. Each access is answered from a snapshot of its own, so a 64-bit counter that is
//! read in two accesses can tear: read high, low, high again.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::open_enum;
use crate::queue::QUEUE_COUNT;

/// The first four bytes of the identity block: `DMUS` in ASCII.
pub const MAGIC: [u8; 4] = *b"DMUS";

/// Bits of [`IdentityBlock::capabilities`].
pub mod capability {
    /// The card captures events (queue midi-in).
    pub const CAPTURE: u32 = 1 << 0;
    /// The card takes DLS level 1 downloads.
    pub const DLS1: u32 = 1 << 1;
    /// The card takes DLS level 2 downloads.
    pub const DLS2: u32 = 1 << 2;
    /// A General MIDI bank is present without any download.
    pub const GM_BANK: u32 = 1 << 3;
    /// The card has a reverb.
    pub const REVERB: u32 = 1 << 4;
    /// The card has a chorus.
    pub const CHORUS: u32 = 1 << 5;
}

open_enum! {
    /// What moves the card's time.
    ClockMode: u32 {
        /// Frames follow the host's monotonic clock.
        REALTIME = 0,
        /// Frames move only when a wave buffer is filled, or when the host's control socket says so.
        LOCKSTEP = 1,
    }
}

open_enum! {
    /// Whether the process behind the card is the one that the driver has set up.
    Presence: u16 {
        /// It is.
        PRESENT = 0,
        /// It was lost: its session, downloads and streams are gone, and the queues are not served until the driver has
        /// reset the device. The driver is interrupted once, without a chain in any queue. From the loss to the reset; only
        /// behind a guard, which outlives the process and writes this field in its place.
        LOST = 1,
    }
}

/// Offset of [`IdentityBlock::presence`] in bytes.
pub const PRESENCE_OFFSET: usize = core::mem::offset_of!(IdentityBlock, presence);

/// The device configuration space.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct IdentityBlock {
    /// `0x00`: [`MAGIC`].
    pub magic: [u8; 4],
    /// `0x04`: [`ABI_MAJOR`](crate::ABI_MAJOR).
    pub abi_major: U16,
    /// `0x06`: [`ABI_MINOR`](crate::ABI_MINOR).
    pub abi_minor: U16,
    /// `0x08`: length of this block in bytes.
    pub length: U16,
    /// `0x0a`: number of queues.
    pub queue_count: U16,
    /// `0x0c`: bits of [`capability`].
    pub capabilities: U32,
    /// `0x10`: largest ring size of each queue.
    pub queue_sizes: [U16; QUEUE_COUNT],
    /// `0x1a`: [`Presence`].
    pub presence: U16,
    /// `0x1c`: [`ClockMode`].
    pub clock_mode: U32,
    /// `0x20`: most voices.
    pub voices: U16,
    /// `0x22`: most channel groups.
    pub channel_groups: U16,
    /// `0x24`: lowest sample rate in Hz.
    pub sample_rate_min: U32,
    /// `0x28`: highest sample rate in Hz.
    pub sample_rate_max: U32,
    /// `0x2c`: sample rate in Hz of a session that requests none.
    pub sample_rate_default: U32,
    /// `0x30`: memory for DLS downloads, in bytes.
    pub download_memory: U32,
    /// `0x34`: depth of the output FIFO in milliseconds (real time only).
    pub wave_fifo_ms: U32,
    /// `0x38`: most events that the card keeps ahead of their frame.
    pub pending_events: U32,
    /// `0x3c`: reserved.
    pub reserved_3c: U32,
    /// `0x40`: the first error since the last `OPEN` or device reset. A ring that was parked before an `OPEN` still is
    /// after it, and is reported again.
    pub first_error: FirstError,
    /// `0x60`: counters since the last `OPEN`.
    pub counters: Counters,
}

/// The sticky first error. All zero when there is none.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct FirstError {
    /// `+0x00`: [`Diagnosis`](crate::diagnosis::Diagnosis).
    pub code: U16,
    /// `+0x02`: the queue that it was found on, or [`NO_QUEUE`].
    pub queue: U16,
    /// `+0x04`: the head descriptor's index, or what the code says.
    pub descriptor: U32,
    /// `+0x08`: what the card expected; the code says in which unit.
    pub expected: U32,
    /// `+0x0c`: what it found.
    pub got: U32,
    /// `+0x10`: errors since the last `OPEN`, this one included.
    pub count: U64,
    /// `+0x18`: when, in 100 ns units since the card's process started.
    pub card_time: U64,
}

/// Value of [`FirstError::queue`] for an error that is no queue's.
pub const NO_QUEUE: u16 = 0xffff;

/// Counters since the last `OPEN`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct Counters {
    /// `+0x00`: kicks received, all queues.
    pub kicks: U64,
    /// `+0x08`: interrupts raised.
    pub interrupts: U64,
    /// `+0x10`: frames rendered.
    pub frames_rendered: U64,
    /// `+0x18`: events taken from midi-out.
    pub events: U64,
    /// `+0x20`: events that came after their frame.
    pub events_late: U64,
    /// `+0x28`: notes that found no voice.
    pub notes_lost: U64,
    /// `+0x30`: times that the output FIFO overflowed for want of a wave buffer.
    pub underruns: U64,
    /// `+0x38`: wave buffers filled.
    pub wave_buffers: U64,
}

const _: () = assert!(size_of::<FirstError>() == 0x20);
const _: () = assert!(size_of::<Counters>() == 0x40);
const _: () = assert!(size_of::<IdentityBlock>() == 0xa0);
const _: () = assert!(PRESENCE_OFFSET == 0x1a);
// QEMU's vhost-user-test-device aborts when a guest reads a longer one.
const _: () = assert!(size_of::<IdentityBlock>() <= 256);
