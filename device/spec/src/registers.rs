//! The PCI function of the card on transport vfio-user: identity, base address registers, and every register.
//!
//! On transport vhost-user QEMU owns the function, and nothing here but the virtio structures holds, at places that QEMU
//! chooses. A driver finds those structures by the vendor capabilities of configuration space (virtio 1.2, section 4.1.4)
//! on either transport, and needs the register file on neither.
//!
//! # Configuration space
//!
//! | what | value |
//! |---|---|
//! | vendor, device | [`PCI_VENDOR_ID`](crate::PCI_VENDOR_ID), [`DEVICE_ID`]: experimental, see there |
//! | subsystem | [`SUBSYSTEM_VENDOR_ID`], [`SUBSYSTEM_ID`] |
//! | class | [`CLASS`]: a multimedia audio device |
//! | revision | [`REVISION`] |
//! | interrupts | pin INTA; MSI-X with [`VECTORS`] vectors, table and pending bits in BAR 2 |
//! | BAR 0 | [`BAR_BYTES`] bytes of 64-bit memory, not prefetchable: the areas below |
//! | BAR 2 | [`MSIX_BAR_BYTES`] bytes of 64-bit memory, not prefetchable |
//! | capabilities | PCI Express (an endpoint with function-level reset), power management (D0, D3hot), MSI-X, five of virtio |
//!
//! # Areas of BAR 0
//!
//! | offset | area | virtio capability |
//! |---|---|---|
//! | [`COMMON`] | common configuration | type 1 |
//! | [`ISR`] | interrupt status | type 3 |
//! | [`DEVICE`] | device configuration: the [identity block](crate::identity::IdentityBlock), read only | type 4 |
//! | [`NOTIFY`] | doorbells, [`NOTIFY_MULTIPLIER`] bytes a queue | type 2 |
//! | [`FILE`] | the register file | |
//! | [`STATUS_PAGE`] | the [status page](crate::status_page::StatusPage), which the guest maps: a read costs no exit | |
//!
//! # Accesses
//!
//! Each register takes naturally aligned accesses of its own width and no others (virtio 1.2, section 4.1.3.1); the device
//! configuration takes 1, 2 and 4 bytes. Any other access, or one where no register is, reads as all ones, changes nothing,
//! and is [`REGISTER_ACCESS`](crate::diagnosis::Diagnosis::REGISTER_ACCESS). A write to a read-only register changes
//! nothing, and is [`REGISTER_READ_ONLY`](crate::diagnosis::Diagnosis::REGISTER_READ_ONLY).
//!
//! Reading the low word of a 64-bit number of the register file latches its high word, so that reading low and then high
//! gives a number that does not tear. The latch holds one number.
//!
//! # The register file
//!
//! Offsets are from [`FILE`]. *RO* is read only, *RW* is read and write, *W1C* is cleared where a 1 is written.
//!
//! | offset | name | access | meaning |
//! |---|---|---|---|
//! | `0x00` | `IDENT` | RO | [`IDENT_VALUE`]: `DMUS` |
//! | `0x04` | `VERSION` | RO | bits 31 to 16 the major, 15 to 0 the minor ABI version |
//! | `0x08` | `STATE` | RO | bits of [`state`] |
//! | `0x0c` | `SCRATCH` | RW | whatever is written; 0 after a reset |
//! | `0x10` | `CAUSE` | W1C | bit *n*: queue *n* has interrupted since the bit was cleared; bit 31: an error was diagnosed since. It neither raises nor holds an interrupt |
//! | `0x14` | `DIAGNOSIS` | W1C | bit 0: a first error is latched; writing 1 lets go of it, so that the next error is the first. Bits 31 to 16, RO: its code |
//! | `0x20` to `0x3f` | `ERROR` | RO | the [first error](crate::identity::FirstError), in words |
//! | `0x40` to `0x7f` | `COUNTERS` | RO | the [counters](crate::identity::Counters), in words; each low word latches |
//! | `0x80`, `0x84` | `MASTER_CLOCK` | RO | master time of the next frame, in 100 ns units, signed; 0 without a session |
//! | `0x88`, `0x8c` | `FRAME` | RO | the next frame to render |
//! | `0x90`, `0x94` | `LATENCY_CLOCK` | RO | an event stamped with this time or later is not late; 100 ns units, signed |
//! | `0x98`, `0x9c` | `CARD_TIME` | RO | 100 ns units since the card's process started |
//!
//! # Interrupts
//!
//! Without MSI-X, a queue that interrupts sets bit 0 of `ISR` and asserts INTA; reading `ISR` clears it and deasserts
//! the line (virtio 1.2, section 4.1.4.5). With MSI-X, it sends the message of the vector that `queue_msix_vector` names,
//! and leaves `ISR` alone. The configuration never changes: bit 1 of `ISR`, and the vector of the configuration, say that
//! the device has set `DEVICE_NEEDS_RESET` (virtio 1.2, section 2.1.2). Then it serves no queue until it is reset.
//!
//! # Resets
//!
//! Status 0, function-level reset, D3hot to D0 and a reset of the machine all put every register back to its value after
//! power-on, take all rings out of use and end the session. The counters and the first error stay until a ring starts again,
//! so that a driver which gives up can still say why; `CAUSE` forgets them. With bus mastering off no ring is used: rings that ran
//! go on where they were when it is on again.

use crate::identity::{Counters, FirstError, IdentityBlock};
use crate::queue::QUEUE_COUNT;

/// The device id: one of those that QEMU's list of PCI ids leaves to experiments (`docs/specs/pci-ids.rst`, 1af4:10f0 to
/// 1af4:10ff). It is not registered for this card.
pub const DEVICE_ID: u16 = 0x10f0;

/// The subsystem's vendor id: that of the function.
pub const SUBSYSTEM_VENDOR_ID: u16 = crate::PCI_VENDOR_ID;

/// The subsystem id: that of the function. As experimental as [`DEVICE_ID`].
pub const SUBSYSTEM_ID: u16 = DEVICE_ID;

/// The revision.
pub const REVISION: u8 = 1;

/// Base class, subclass and programming interface: multimedia, audio device (PCI Code and ID Assignment, 1.5).
pub const CLASS: [u8; 3] = [0x04, 0x01, 0x00];

/// MSI-X vectors: one for each queue, and one for the configuration.
pub const VECTORS: u16 = QUEUE_COUNT as u16 + 1;

/// The base address register of all areas.
pub const BAR: u8 = 0;

/// Bytes of BAR 0.
pub const BAR_BYTES: u32 = 0x8000;

/// The base address register of MSI-X: the table at 0, the pending bits at [`MSIX_PENDING`].
pub const MSIX_BAR: u8 = 2;

/// Bytes of BAR 2.
pub const MSIX_BAR_BYTES: u32 = 0x1000;

/// Where the pending bits are in BAR 2.
pub const MSIX_PENDING: u32 = 0x800;

/// The area of the common configuration.
pub const COMMON: u32 = 0x0000;
/// Bytes of the common configuration, to `queue_reset` (virtio 1.2, section 4.1.4.3).
pub const COMMON_BYTES: u32 = 60;
/// The area of the interrupt status.
pub const ISR: u32 = 0x1000;
/// The area of the device configuration.
pub const DEVICE: u32 = 0x2000;
/// Bytes of the device configuration.
pub const DEVICE_BYTES: u32 = size_of::<IdentityBlock>() as u32;
/// The area of the doorbells.
pub const NOTIFY: u32 = 0x3000;
/// Bytes from a queue's doorbell to the next one's.
pub const NOTIFY_MULTIPLIER: u32 = 4;
/// Bytes of the doorbells.
pub const NOTIFY_BYTES: u32 = NOTIFY_MULTIPLIER * QUEUE_COUNT as u32;
/// The register file.
pub const FILE: u32 = 0x4000;
/// Bytes of the register file.
pub const FILE_BYTES: u32 = 0xa0;
/// The status page.
pub const STATUS_PAGE: u32 = 0x5000;
/// Bytes of the status page.
pub const STATUS_PAGE_BYTES: u32 = 0x1000;

/// What `IDENT` reads as: [`MAGIC`](crate::identity::MAGIC), little-endian.
pub const IDENT_VALUE: u32 = u32::from_le_bytes(crate::identity::MAGIC);

/// Registers of the common configuration, by offset (virtio 1.2, section 4.1.4.3). Numbers of 64 bits are two registers.
pub mod common {
    /// `device_feature_select`, 4 bytes, RW.
    pub const DEVICE_FEATURE_SELECT: u32 = 0x00;
    /// `device_feature`, 4 bytes, RO.
    pub const DEVICE_FEATURE: u32 = 0x04;
    /// `driver_feature_select`, 4 bytes, RW.
    pub const DRIVER_FEATURE_SELECT: u32 = 0x08;
    /// `driver_feature`, 4 bytes, RW.
    pub const DRIVER_FEATURE: u32 = 0x0c;
    /// `config_msix_vector`, 2 bytes, RW.
    pub const CONFIG_MSIX_VECTOR: u32 = 0x10;
    /// `num_queues`, 2 bytes, RO.
    pub const NUM_QUEUES: u32 = 0x12;
    /// `device_status`, 1 byte, RW.
    pub const DEVICE_STATUS: u32 = 0x14;
    /// `config_generation`, 1 byte, RO: another number after the device configuration has changed.
    pub const CONFIG_GENERATION: u32 = 0x15;
    /// `queue_select`, 2 bytes, RW.
    pub const QUEUE_SELECT: u32 = 0x16;
    /// `queue_size`, 2 bytes, RW; 0 for a queue that does not exist.
    pub const QUEUE_SIZE: u32 = 0x18;
    /// `queue_msix_vector`, 2 bytes, RW.
    pub const QUEUE_MSIX_VECTOR: u32 = 0x1a;
    /// `queue_enable`, 2 bytes, RW: 1 once, until a reset.
    pub const QUEUE_ENABLE: u32 = 0x1c;
    /// `queue_notify_off`, 2 bytes, RO.
    pub const QUEUE_NOTIFY_OFF: u32 = 0x1e;
    /// `queue_desc`, low word, 4 bytes, RW.
    pub const QUEUE_DESC: u32 = 0x20;
    /// `queue_driver`, low word, 4 bytes, RW.
    pub const QUEUE_DRIVER: u32 = 0x28;
    /// `queue_device`, low word, 4 bytes, RW.
    pub const QUEUE_DEVICE: u32 = 0x30;
    /// `queue_notify_data`, 2 bytes, RO: the queue's number. `VIRTIO_F_NOTIF_CONFIG_DATA` is not offered.
    pub const QUEUE_NOTIFY_DATA: u32 = 0x38;
    /// `queue_reset`, 2 bytes, RO: 0. `VIRTIO_F_RING_RESET` is not offered.
    pub const QUEUE_RESET: u32 = 0x3a;
}

/// Bits of `device_status` (virtio 1.2, section 2.1).
pub mod device_status {
    /// `ACKNOWLEDGE`.
    pub const ACKNOWLEDGE: u8 = 1;
    /// `DRIVER`.
    pub const DRIVER: u8 = 2;
    /// `DRIVER_OK`.
    pub const DRIVER_OK: u8 = 4;
    /// `FEATURES_OK`.
    pub const FEATURES_OK: u8 = 8;
    /// `DEVICE_NEEDS_RESET`.
    pub const NEEDS_RESET: u8 = 64;
    /// `FAILED`.
    pub const FAILED: u8 = 128;
}

/// `VIRTIO_MSI_NO_VECTOR`: no message.
pub const NO_VECTOR: u16 = 0xffff;

/// Registers of the register file, by offset from [`FILE`].
pub mod file {
    /// `IDENT`.
    pub const IDENT: u32 = 0x00;
    /// `VERSION`.
    pub const VERSION: u32 = 0x04;
    /// `STATE`.
    pub const STATE: u32 = 0x08;
    /// `SCRATCH`.
    pub const SCRATCH: u32 = 0x0c;
    /// `CAUSE`.
    pub const CAUSE: u32 = 0x10;
    /// `DIAGNOSIS`.
    pub const DIAGNOSIS: u32 = 0x14;
    /// `ERROR`, 8 words.
    pub const ERROR: u32 = 0x20;
    /// `COUNTERS`, 16 words.
    pub const COUNTERS: u32 = 0x40;
    /// `MASTER_CLOCK`, 2 words.
    pub const MASTER_CLOCK: u32 = 0x80;
    /// `FRAME`, 2 words.
    pub const FRAME: u32 = 0x88;
    /// `LATENCY_CLOCK`, 2 words.
    pub const LATENCY_CLOCK: u32 = 0x90;
    /// `CARD_TIME`, 2 words.
    pub const CARD_TIME: u32 = 0x98;
}

/// Bits of `STATE`.
pub mod state {
    /// The driver has set `DRIVER_OK`.
    pub const DRIVER_OK: u32 = 1 << 0;
    /// Bus mastering is on.
    pub const BUS_MASTER: u32 = 1 << 1;
    /// MSI-X is enabled.
    pub const MSIX: u32 = 1 << 2;
    /// Time moves in lockstep ([`ClockMode::LOCKSTEP`](crate::identity::ClockMode::LOCKSTEP)).
    pub const LOCKSTEP: u32 = 1 << 3;
    /// Bits 8 to 12: the ring of queue 0 to 4 is in use.
    pub const RING_SHIFT: u32 = 8;
    /// Bits 16 to 20: the ring of queue 0 to 4 is parked.
    pub const PARKED_SHIFT: u32 = 16;
}

/// Bit of `CAUSE`: an error was diagnosed.
pub const CAUSE_DIAGNOSED: u32 = 1 << 31;

/// Bit of `DIAGNOSIS`: a first error is latched.
pub const DIAGNOSIS_LATCHED: u32 = 1 << 0;

/// Where the code of the first error is in `DIAGNOSIS`.
pub const DIAGNOSIS_CODE_SHIFT: u32 = 16;

/// How a register is accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A write changes nothing.
    ReadOnly,
    /// A write replaces it, as far as the register takes the value.
    ReadWrite,
    /// A read returns it and clears it.
    ReadClears,
    /// A write clears the bits that are 1.
    WriteOneClears,
    /// A write acts; it reads as 0.
    WriteOnly,
}

/// A register of BAR 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register {
    /// Its name.
    pub name: &'static str,
    /// Its offset in BAR 0.
    pub offset: u32,
    /// Its width in bytes: 1, 2 or 4.
    pub width: u8,
    /// How it is accessed.
    pub access: Access,
}

const fn register(name: &'static str, offset: u32, width: u8, access: Access) -> Register {
    Register { name, offset, width, access }
}

use Access::{ReadClears, ReadOnly, ReadWrite, WriteOneClears, WriteOnly};

/// Every register of BAR 0 but the words of the device configuration, by offset.
pub const REGISTERS: &[Register] = &[
    register("device_feature_select", COMMON + common::DEVICE_FEATURE_SELECT, 4, ReadWrite),
    register("device_feature", COMMON + common::DEVICE_FEATURE, 4, ReadOnly),
    register("driver_feature_select", COMMON + common::DRIVER_FEATURE_SELECT, 4, ReadWrite),
    register("driver_feature", COMMON + common::DRIVER_FEATURE, 4, ReadWrite),
    register("config_msix_vector", COMMON + common::CONFIG_MSIX_VECTOR, 2, ReadWrite),
    register("num_queues", COMMON + common::NUM_QUEUES, 2, ReadOnly),
    register("device_status", COMMON + common::DEVICE_STATUS, 1, ReadWrite),
    register("config_generation", COMMON + common::CONFIG_GENERATION, 1, ReadOnly),
    register("queue_select", COMMON + common::QUEUE_SELECT, 2, ReadWrite),
    register("queue_size", COMMON + common::QUEUE_SIZE, 2, ReadWrite),
    register("queue_msix_vector", COMMON + common::QUEUE_MSIX_VECTOR, 2, ReadWrite),
    register("queue_enable", COMMON + common::QUEUE_ENABLE, 2, ReadWrite),
    register("queue_notify_off", COMMON + common::QUEUE_NOTIFY_OFF, 2, ReadOnly),
    register("queue_desc", COMMON + common::QUEUE_DESC, 4, ReadWrite),
    register("queue_desc_high", COMMON + common::QUEUE_DESC + 4, 4, ReadWrite),
    register("queue_driver", COMMON + common::QUEUE_DRIVER, 4, ReadWrite),
    register("queue_driver_high", COMMON + common::QUEUE_DRIVER + 4, 4, ReadWrite),
    register("queue_device", COMMON + common::QUEUE_DEVICE, 4, ReadWrite),
    register("queue_device_high", COMMON + common::QUEUE_DEVICE + 4, 4, ReadWrite),
    register("queue_notify_data", COMMON + common::QUEUE_NOTIFY_DATA, 2, ReadOnly),
    register("queue_reset", COMMON + common::QUEUE_RESET, 2, ReadOnly),
    register("ISR", ISR, 1, ReadClears),
    register("notify[control]", NOTIFY, 2, WriteOnly),
    register("notify[midi-out]", NOTIFY + NOTIFY_MULTIPLIER, 2, WriteOnly),
    register("notify[midi-in]", NOTIFY + 2 * NOTIFY_MULTIPLIER, 2, WriteOnly),
    register("notify[wave]", NOTIFY + 3 * NOTIFY_MULTIPLIER, 2, WriteOnly),
    register("notify[event]", NOTIFY + 4 * NOTIFY_MULTIPLIER, 2, WriteOnly),
    register("IDENT", FILE + file::IDENT, 4, ReadOnly),
    register("VERSION", FILE + file::VERSION, 4, ReadOnly),
    register("STATE", FILE + file::STATE, 4, ReadOnly),
    register("SCRATCH", FILE + file::SCRATCH, 4, ReadWrite),
    register("CAUSE", FILE + file::CAUSE, 4, WriteOneClears),
    register("DIAGNOSIS", FILE + file::DIAGNOSIS, 4, WriteOneClears),
    register("ERROR.code", FILE + file::ERROR, 4, ReadOnly),
    register("ERROR.descriptor", FILE + file::ERROR + 0x04, 4, ReadOnly),
    register("ERROR.expected", FILE + file::ERROR + 0x08, 4, ReadOnly),
    register("ERROR.got", FILE + file::ERROR + 0x0c, 4, ReadOnly),
    register("ERROR.count", FILE + file::ERROR + 0x10, 4, ReadOnly),
    register("ERROR.count_high", FILE + file::ERROR + 0x14, 4, ReadOnly),
    register("ERROR.card_time", FILE + file::ERROR + 0x18, 4, ReadOnly),
    register("ERROR.card_time_high", FILE + file::ERROR + 0x1c, 4, ReadOnly),
    register("kicks", FILE + file::COUNTERS, 4, ReadOnly),
    register("kicks_high", FILE + file::COUNTERS + 0x04, 4, ReadOnly),
    register("interrupts", FILE + file::COUNTERS + 0x08, 4, ReadOnly),
    register("interrupts_high", FILE + file::COUNTERS + 0x0c, 4, ReadOnly),
    register("frames_rendered", FILE + file::COUNTERS + 0x10, 4, ReadOnly),
    register("frames_rendered_high", FILE + file::COUNTERS + 0x14, 4, ReadOnly),
    register("events", FILE + file::COUNTERS + 0x18, 4, ReadOnly),
    register("events_high", FILE + file::COUNTERS + 0x1c, 4, ReadOnly),
    register("events_late", FILE + file::COUNTERS + 0x20, 4, ReadOnly),
    register("events_late_high", FILE + file::COUNTERS + 0x24, 4, ReadOnly),
    register("notes_lost", FILE + file::COUNTERS + 0x28, 4, ReadOnly),
    register("notes_lost_high", FILE + file::COUNTERS + 0x2c, 4, ReadOnly),
    register("underruns", FILE + file::COUNTERS + 0x30, 4, ReadOnly),
    register("underruns_high", FILE + file::COUNTERS + 0x34, 4, ReadOnly),
    register("wave_buffers", FILE + file::COUNTERS + 0x38, 4, ReadOnly),
    register("wave_buffers_high", FILE + file::COUNTERS + 0x3c, 4, ReadOnly),
    register("MASTER_CLOCK", FILE + file::MASTER_CLOCK, 4, ReadOnly),
    register("MASTER_CLOCK_high", FILE + file::MASTER_CLOCK + 4, 4, ReadOnly),
    register("FRAME", FILE + file::FRAME, 4, ReadOnly),
    register("FRAME_high", FILE + file::FRAME + 4, 4, ReadOnly),
    register("LATENCY_CLOCK", FILE + file::LATENCY_CLOCK, 4, ReadOnly),
    register("LATENCY_CLOCK_high", FILE + file::LATENCY_CLOCK + 4, 4, ReadOnly),
    register("CARD_TIME", FILE + file::CARD_TIME, 4, ReadOnly),
    register("CARD_TIME_high", FILE + file::CARD_TIME + 4, 4, ReadOnly),
];

const _: () = assert!(size_of::<FirstError>() as u32 == file::COUNTERS - file::ERROR);
const _: () = assert!(size_of::<Counters>() as u32 == file::MASTER_CLOCK - file::COUNTERS);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_ascend_without_overlap_and_are_aligned() {
        let mut end = 0;
        for Register { name, offset, width, .. } in REGISTERS {
            assert!(*offset >= end && offset.is_multiple_of(u32::from(*width)), "{name}");
            end = offset + u32::from(*width);
        }
        assert!(end <= FILE + FILE_BYTES && FILE + FILE_BYTES <= STATUS_PAGE);
    }

    #[test]
    fn areas_hold_their_registers() {
        let areas = [(COMMON, COMMON_BYTES), (ISR, 1), (NOTIFY, NOTIFY_BYTES), (FILE, FILE_BYTES)];
        for Register { name, offset, width, .. } in REGISTERS {
            let end = offset + u32::from(*width);
            assert!(areas.iter().any(|(start, bytes)| *start <= *offset && end <= start + bytes), "{name}");
        }
        assert_eq!(REGISTERS.iter().filter(|register| register.name.starts_with("notify")).count(), QUEUE_COUNT);
    }
}
