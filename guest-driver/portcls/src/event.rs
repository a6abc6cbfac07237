//! Events: the kernel's (`dmusicks.h`) and the ones in a DirectMusic buffer (`dmusbuff.h`).

use crate::ReferenceTime;

/// Bytes of data that an event carries inside itself.
pub const INLINE_BYTES: usize = size_of::<*mut u8>();

/// [`DmusKernelEvent::byte_position`] when it is not known.
pub const BYTE_POSITION_NONE: u64 = u64::MAX;

/// Bits of [`DmusKernelEvent::flags`].
pub mod event_flag {
    /// The data is a whole message: no bit.
    pub const COMPLETE: u16 = 0;
    /// The data is a fragment; the message goes on in a later event.
    pub const INCOMPLETE: u16 = 1;
    /// The event is a package: its data is a list of events that belong together.
    pub const PACKAGE: u16 = 2;
}

/// An event in the kernel (`DMUS_KERNEL_EVENT`).
///
/// The data of a package is a list of events, at any value of [`cb_event`](Self::cb_event); of other events up to
/// [`INLINE_BYTES`] are inside, and more are in a buffer of the allocator. The allocator decides by the same rule what
/// it gets back, so `cb_event` of a long event must not be changed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct DmusKernelEvent {
    /// The allocator's.
    pub reserved: u8,
    /// The allocator's: the structure's size.
    pub cb_struct: u8,
    /// Bytes of data.
    pub cb_event: u16,
    /// The channel group.
    pub channel_group: u16,
    /// Bits of [`event_flag`].
    pub flags: u16,
    /// When it plays, or was captured: master-clock time.
    pub presentation_time: ReferenceTime,
    /// Its place in the stream of bytes, or [`BYTE_POSITION_NONE`].
    pub byte_position: u64,
    /// The next event of a chain, or null.
    pub next_event: *mut DmusKernelEvent,
    /// The data.
    pub data: EventData,
}

/// The data of an event, or a pointer to it.
#[repr(C)]
#[derive(Clone, Copy)]
pub union EventData {
    /// Short data.
    pub inline: [u8; INLINE_BYTES],
    /// Long data, in a buffer of the allocator.
    pub buffer: *mut u8,
    /// A package's events.
    pub package: *mut DmusKernelEvent,
}

layout! { DmusKernelEvent = "DMUS_KERNEL_EVENT", 40 / 32 {
    reserved = "bReserved", 0 / 0;
    cb_struct = "cbStruct", 1 / 1;
    cb_event = "cbEvent", 2 / 2;
    channel_group = "usChannelGroup", 4 / 4;
    flags = "usFlags", 6 / 6;
    presentation_time = "ullPresTime100ns", 8 / 8;
    byte_position = "ullBytePosition", 16 / 16;
    next_event = "pNextEvt", 24 / 24;
    data = "uData", 32 / 28;
} }

impl DmusKernelEvent {
    /// Returns whether the event is a package. Checked first, for a package's `cb_event` has no meaning.
    #[must_use]
    pub const fn is_package(&self) -> bool {
        self.flags & event_flag::PACKAGE != 0
    }

    /// Returns whether the data is a fragment.
    #[must_use]
    pub const fn is_incomplete(&self) -> bool {
        self.flags & event_flag::INCOMPLETE != 0
    }

    /// Returns whether the data is inside the event.
    #[must_use]
    pub const fn is_short(&self) -> bool {
        self.cb_event as usize <= INLINE_BYTES
    }
}

impl core::fmt::Debug for DmusKernelEvent {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("DmusKernelEvent")
            .field("cb_event", &self.cb_event)
            .field("channel_group", &self.channel_group)
            .field("flags", &self.flags)
            .field("presentation_time", &self.presentation_time)
            .field("next_event", &self.next_event)
            .finish_non_exhaustive()
    }
}

/// The header of a record in a DirectMusic buffer (`DMUS_EVENTHEADER`); the data follows, padded to 8 bytes.
#[repr(C, packed(4))]
#[derive(Clone, Copy, Debug)]
pub struct DmusEventHeader {
    /// Bytes of data.
    pub cb_event: u32,
    /// The channel group; 0 means all.
    pub channel_group: u32,
    /// Time since the buffer's start time.
    pub delta: ReferenceTime,
    /// [`EVENT_STRUCTURED`] or 0.
    pub flags: u32,
}

/// [`DmusEventHeader::flags`]: the data is one whole channel message.
pub const EVENT_STRUCTURED: u32 = 1;

layout! { DmusEventHeader = "DMUS_EVENTHEADER", 20 / 20 {
    cb_event = "cbEvent", 0 / 0;
    channel_group = "dwChannelGroup", 4 / 4;
    delta = "rtDelta", 8 / 8;
    flags = "dwFlags", 16 / 16;
} }
