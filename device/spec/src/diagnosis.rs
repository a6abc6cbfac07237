//! The errors of a driver that the card diagnoses.

use crate::open_enum;

open_enum! {
    /// The code of a diagnosis. `expected` and `got` are those of
    /// [`FirstError`](crate::identity::FirstError) and [`Notice`](crate::notice::Notice).
    Diagnosis: u16 {
        /// Nothing has been found.
        NONE = 0,

        /// `DRIVER_OK` without `VIRTIO_F_VERSION_1`. Got: feature bits 32 to 63.
        VERSION_1_MISSING = 0x01,
        /// A ring is not (wholly) in guest memory; the ring is parked. Descriptor: 0 descriptor table, 1 available
        /// ring, 2 used ring. Got: bits 12 to 43 of its address, where the transport knows them.
        RING_OUTSIDE_MEMORY = 0x02,
        /// A ring size is not a power of two from 1 to [`QUEUE_SIZE_MAX`](crate::limits::QUEUE_SIZE_MAX); the ring is
        /// parked. Expected: the bound. Got: the size.
        RING_SIZE = 0x03,
        /// A ring part is not aligned as virtio 1.2, section 2.7 demands; parked. Expected: the alignment. Got: the low
        /// 32 address bits.
        RING_MISALIGNED = 0x04,
        /// The available index ran ahead of the ring by more than its size. Expected: the size. Got: the distance.
        AVAILABLE_INDEX = 0x05,
        /// The device configuration was written. It is read-only.
        CONFIG_WRITE = 0x06,
        /// More than a thousand kicks found an empty ring, in one second. Expected: the bound. Got: how many.
        KICK_STORM = 0x07,
        /// The guest's memory is not shared with the card: no ring can work. Give the machine a shareable memory
        /// backend.
        MEMORY_NOT_SHARED = 0x08,
        /// Two parts of rings share memory; the ring is parked. Descriptor: this ring's part, as for
        /// [`RING_OUTSIDE_MEMORY`](Self::RING_OUTSIDE_MEMORY). Expected: the queue of the other part. Got: the other
        /// part.
        RING_OVERLAP = 0x09,
        /// The file behind a region of guest memory became shorter than the region. The card works on with zeroed
        /// memory in its place, and the rings in it are parked. Got: bits 12 to 43 of the region's address.
        MEMORY_LOST = 0x0a,
        /// A register was accessed in another width than its own, or where there is none (transport vfio-user).
        /// Descriptor: the offset in BAR 0. Expected: the width in bytes, 0 where no register is. Got: the width.
        REGISTER_ACCESS = 0x0b,
        /// A register was given a value that it does not take, such as a vector that does not exist or features that are
        /// not offered (transport vfio-user). Descriptor: the offset in BAR 0. Expected: the bound, or the bits that
        /// it takes. Got: the value.
        REGISTER_VALUE = 0x0c,
        /// A read-only register was written (transport vfio-user). Descriptor: the offset in BAR 0. Got: the value.
        REGISTER_READ_ONLY = 0x0d,
        /// The driver started the card with bus mastering off in the command register: no ring is used until it is on
        /// (transport vfio-user).
        BUS_MASTER_OFF = 0x0e,
        /// A queue was notified that is not enabled, or before `DRIVER_OK` (transport vfio-user). Got: the device status.
        QUEUE_NOT_READY = 0x0f,

        /// A chain is cut short, loops, or has more than
        /// [`CHAIN_DESCRIPTORS_MAX`](crate::limits::CHAIN_DESCRIPTORS_MAX) descriptors. Got: descriptors seen.
        CHAIN_MALFORMED = 0x10,
        /// A writable descriptor stands before a readable one.
        CHAIN_ORDER = 0x11,
        /// A buffer is not (wholly) in guest memory. Got: bits 12 to 43 of its address.
        BUFFER_OUTSIDE_MEMORY = 0x12,
        /// The readable part is too short for what it must hold. Expected and got: bytes.
        READABLE_TOO_SHORT = 0x13,
        /// The writable part is too short for what the card must write. Expected and got: bytes.
        WRITABLE_TOO_SHORT = 0x14,
        /// A length field disagrees with the buffer, or exceeds its limit. Expected and got: bytes.
        LENGTH = 0x15,
        /// A descriptor has `VIRTQ_DESC_F_INDIRECT`, but the driver did not accept `VIRTIO_F_INDIRECT_DESC`.
        INDIRECT_NOT_NEGOTIATED = 0x16,
        /// A descriptor has both `VIRTQ_DESC_F_INDIRECT` and `VIRTQ_DESC_F_NEXT` (virtio 1.2, section 2.7.5.3.1).
        INDIRECT_WITH_NEXT = 0x17,
        /// An indirect table is not (wholly) in guest memory. Got: bits 12 to 43 of its address.
        INDIRECT_OUTSIDE_MEMORY = 0x18,

        /// A request, batch or wave buffer came before `OPEN`.
        NO_SESSION = 0x20,
        /// `OPEN` with another major ABI version. Expected and got: the versions.
        ABI_MISMATCH = 0x21,
        /// `OPEN` declares queue sizes other than those that the rings were given. Descriptor: the queue. Expected: the
        /// ring's. Got: the declared one.
        QUEUE_SIZE_DECLARED = 0x22,
        /// A request code that the card does not know. Got: the code.
        UNKNOWN_REQUEST = 0x23,
        /// A request's parameter is out of range. Descriptor: the parameter's byte offset in the payload. Expected: the
        /// bound. Got: the value.
        PARAMETER = 0x24,
        /// A stream id that is not open, or is open already, or is of the wrong kind. Got: the id.
        STREAM = 0x25,
        /// An act that the stream's state forbids. Expected: the state needed. Got: the state.
        STREAM_STATE = 0x26,
        /// A handle that names no download. Got: the handle.
        HANDLE = 0x27,
        /// A download buffer is malformed. Descriptor: the byte offset. Got: the reason, as
        /// [`DownloadResponse`](crate::control::DownloadResponse) gives it.
        DOWNLOAD = 0x28,

        /// An event record runs past its batch, is longer than its limit, or has no data. Descriptor: its byte offset.
        EVENT_MALFORMED = 0x30,
        /// An event's channel group does not exist. Expected: the number of groups. Got: the group.
        EVENT_GROUP = 0x31,
        /// A complete event's data is not one MIDI message. Got: the status byte.
        EVENT_MIDI = 0x32,
    }
}
