//! The messages of vfio-user, version 0.0 (libvfio-user, `docs/vfio-user.rst`). Numbers are in the host's byte order.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The longest run of bytes that one message reads or writes.
pub(super) const TRANSFER_BYTES_MAX: usize = 1 << 20;
/// The most descriptors that come with a message.
pub(super) const FDS_MAX: usize = 16;
/// The longest message: a write of [`TRANSFER_BYTES_MAX`] with its headers.
pub(super) const MESSAGE_BYTES_MAX: usize = TRANSFER_BYTES_MAX + 64;

/// Flags of [`Header`].
pub(super) mod flags {
    /// The kind of message, of which replies are one.
    pub(crate) const KIND: u32 = 0xf;
    /// A command.
    pub(crate) const COMMAND: u32 = 0;
    /// A reply.
    pub(crate) const REPLY: u32 = 1;
    /// The client wants no reply.
    pub(crate) const NO_REPLY: u32 = 1 << 4;
    /// The command has failed.
    pub(crate) const ERROR: u32 = 1 << 5;
}

macro_rules! wire {
    ($($(#[$meta:meta])* $name:ident { $($field:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
        #[repr(C)]
        pub(super) struct $name { $(pub(super) $field: $type),* }
    )*};
}

wire! {
    /// Begins every message.
    Header { id: u16, command: u16, bytes: u32, flags: u32, error: u32 }
    /// `VERSION`; capabilities follow, in JSON with a zero byte at its end.
    Version { major: u16, minor: u16 }
    /// `DMA_MAP`.
    DmaMap { argsz: u32, flags: u32, offset: u64, address: u64, bytes: u64 }
    /// `DMA_UNMAP`.
    DmaUnmap { argsz: u32, flags: u32, address: u64, bytes: u64 }
    /// `DEVICE_GET_INFO`.
    DeviceInfo { argsz: u32, flags: u32, regions: u32, irqs: u32 }
    /// `DEVICE_GET_REGION_INFO`.
    RegionInfo { argsz: u32, flags: u32, index: u32, capabilities: u32, bytes: u64, offset: u64 }
    /// The sparse-mmap capability of a region (`linux/vfio.h`); its areas follow.
    SparseMmap { id: u16, version: u16, next: u32, areas: u32, reserved: u32 }
    /// An area of a region that a client can map.
    SparseArea { offset: u64, bytes: u64 }
    /// `DEVICE_GET_IRQ_INFO`.
    IrqInfo { argsz: u32, flags: u32, index: u32, count: u32 }
    /// `DEVICE_SET_IRQS`; one byte an interrupt may follow.
    SetIrqs { argsz: u32, flags: u32, index: u32, start: u32, count: u32 }
    /// `REGION_READ` and `REGION_WRITE`; the bytes follow a write, and the reply to a read.
    RegionAccess { offset: u64, region: u32, count: u32 }
}
