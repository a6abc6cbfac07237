//! Initialises a modern virtio PCI function (virtio 1.2, sections 3.1 and 4.1.4), and reads and writes its registers.

use card_spec::identity::{IdentityBlock, MAGIC, PRESENCE_OFFSET, Presence};
use card_spec::queue::{QUEUE_COUNT, Queue};
use card_spec::{ABI_MAJOR, feature, limits};
use zerocopy::{FromZeros, IntoBytes};

use crate::irql::Passive;
use crate::kernel::{Kernel, Registers};
use crate::log::Reason;
use crate::pending::cause;
use crate::ring::RingAddresses;

/// The mapped structures of the function.
pub struct Mapped<R> {
    /// Common configuration.
    pub common: R,
    /// Notification area.
    pub notify: R,
    /// Bytes by which a queue's notification offset is multiplied (virtio 1.2, section 4.1.4.4).
    pub notify_multiplier: u32,
    /// Interrupt status.
    pub isr: R,
    /// Device configuration: the identity block.
    pub device: R,
    /// How the function interrupts.
    pub interrupt: Interrupt,
}

/// How the function interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// By a line, which it may share with other functions: its interrupt status says whether it interrupts.
    Line,
    /// By a message of its own, for all queues and the configuration.
    Message {
        /// The entry of the MSI-X table.
        vector: u16,
    },
}

/// Why the function could not be initialised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportError {
    /// Registers read all ones.
    Absent,
    /// The function did not reset in time.
    ResetTimeout,
    /// The identity block does not begin with the magic value: it is another device with the same virtio id.
    Magic,
    /// The card has this other major ABI version.
    Abi(u16),
    /// It has this number of queues, fewer than the driver needs.
    QueueCount(u16),
    /// It does not offer `VIRTIO_F_VERSION_1`.
    NotModern,
    /// It did not accept the driver's features.
    Features,
    /// This queue has no descriptors, or fewer than a chain needs.
    QueueSize(u16),
    /// This queue's notification address is outside the notification area.
    Notification(u16),
    /// The card does not accept this vector for its interrupts.
    Vector(u16),
}

impl From<TransportError> for Reason {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Absent => Reason::plain("its registers read all ones"),
            TransportError::ResetTimeout => Reason::plain("it does not reset in time"),
            TransportError::Magic => Reason::plain("it is another device: its identity block has no magic"),
            TransportError::Abi(major) => Reason::with("another major ABI version", major.into()),
            TransportError::QueueCount(count) => Reason::with("too few queues", count.into()),
            TransportError::NotModern => Reason::plain("it does not offer VIRTIO_F_VERSION_1"),
            TransportError::Features => Reason::plain("it does not accept the features"),
            TransportError::QueueSize(queue) => Reason::with("a queue is too small", queue.into()),
            TransportError::Notification(queue) => Reason::with("a queue is notified outside the area", queue.into()),
            TransportError::Vector(vector) => Reason::with("it has no message for its interrupts", vector.into()),
        }
    }
}

/// Offsets of the registers of the common configuration (virtio 1.2, section 4.1.4.3).
mod common {
    /// `device_feature_select`.
    pub(super) const DEVICE_FEATURE_SELECT: usize = 0;
    /// `device_feature`.
    pub(super) const DEVICE_FEATURE: usize = 4;
    /// `driver_feature_select`.
    pub(super) const DRIVER_FEATURE_SELECT: usize = 8;
    /// `driver_feature`.
    pub(super) const DRIVER_FEATURE: usize = 12;
    /// `config_msix_vector`.
    pub(super) const MSIX_CONFIG: usize = 16;
    /// `num_queues`.
    pub(super) const NUM_QUEUES: usize = 18;
    /// `device_status`.
    pub(super) const DEVICE_STATUS: usize = 20;
    /// `queue_select`.
    pub(super) const QUEUE_SELECT: usize = 22;
    /// `queue_size`.
    pub(super) const QUEUE_SIZE: usize = 24;
    /// `queue_msix_vector`.
    pub(super) const QUEUE_MSIX_VECTOR: usize = 26;
    /// `queue_enable`.
    pub(super) const QUEUE_ENABLE: usize = 28;
    /// `queue_notify_off`.
    pub(super) const QUEUE_NOTIFY_OFF: usize = 30;
    /// `queue_desc`.
    pub(super) const QUEUE_DESC: usize = 32;
    /// `queue_driver`.
    pub(super) const QUEUE_DRIVER: usize = 40;
    /// `queue_device`.
    pub(super) const QUEUE_DEVICE: usize = 48;
}

/// Bits of the device status (section 2.1).
mod status {
    /// `ACKNOWLEDGE`.
    pub(super) const ACKNOWLEDGE: u8 = 1;
    /// `DRIVER`.
    pub(super) const DRIVER: u8 = 2;
    /// `DRIVER_OK`.
    pub(super) const DRIVER_OK: u8 = 4;
    /// `FEATURES_OK`.
    pub(super) const FEATURES_OK: u8 = 8;
    /// `DEVICE_NEEDS_RESET`.
    pub(super) const NEEDS_RESET: u8 = 64;
    /// `FAILED`.
    pub(super) const FAILED: u8 = 128;
}

/// `VIRTIO_MSI_NO_VECTOR`.
const NO_VECTOR: u16 = 0xffff;

/// How long a reset may take. The specification sets no bound; a second is 1000 times the longest that was measured.
const RESET_MILLISECONDS: u32 = 1000;

/// A function that has been reset and has agreed on features.
pub struct Transport<K: Kernel> {
    mapped: Mapped<K::Registers>,
    identity: IdentityBlock,
    event_idx: bool,
    notify_offsets: [usize; QUEUE_COUNT],
}

impl<K: Kernel> Transport<K> {
    /// Resets the function, checks that it is the card, and agrees on features.
    ///
    /// # Errors
    /// Every [`TransportError`] but [`TransportError::QueueSize`]. The function is left reset, or with status `FAILED`.
    pub fn negotiate(kernel: &K, level: Passive, mapped: Mapped<K::Registers>) -> Result<Self, TransportError> {
        let mut transport =
            Self { mapped, identity: IdentityBlock::new_zeroed(), event_idx: false, notify_offsets: [0; QUEUE_COUNT] };
        transport.reset(kernel, level)?;
        transport.identity = transport.read_identity()?;
        transport.add_status(status::ACKNOWLEDGE);
        transport.add_status(status::DRIVER);
        transport.event_idx = transport.agree_on_features().inspect_err(|_| transport.add_status(status::FAILED))?;
        for queue in Queue::ALL {
            let offset = transport.notify_offset(queue.0)?;
            if let Some(place) = transport.notify_offsets.get_mut(queue.index()) {
                *place = offset;
            }
        }
        Ok(transport)
    }

    /// Initialises the function again after it has lost its state. The features agreed on must be the same.
    ///
    /// # Errors
    /// As for [`negotiate`](Self::negotiate); [`TransportError::Features`] also when they are other ones.
    pub fn renegotiate(&self, kernel: &K, level: Passive) -> Result<(), TransportError> {
        self.reset(kernel, level)?;
        self.read_identity()?;
        self.add_status(status::ACKNOWLEDGE);
        self.add_status(status::DRIVER);
        match self.agree_on_features() {
            Ok(event_idx) if event_idx == self.event_idx => Ok(()),
            Ok(_) => {
                self.add_status(status::FAILED);
                Err(TransportError::Features)
            }
            Err(error) => {
                self.add_status(status::FAILED);
                Err(error)
            }
        }
    }

    /// Reads at which offset of the notification area a queue is notified.
    fn notify_offset(&self, queue: u16) -> Result<usize, TransportError> {
        let registers = &self.mapped.common;
        registers.write16(common::QUEUE_SELECT, queue);
        let offset = u64::from(registers.read16(common::QUEUE_NOTIFY_OFF)) * u64::from(self.mapped.notify_multiplier);
        let end = offset + size_of::<u16>() as u64;
        if end > self.mapped.notify.len() as u64 {
            Err(TransportError::Notification(queue))
        } else {
            Ok(offset as usize)
        }
    }

    /// Returns the identity block, as read at the start.
    #[must_use]
    pub const fn identity(&self) -> &IdentityBlock {
        &self.identity
    }

    /// Returns whether `VIRTIO_F_EVENT_IDX` is agreed on.
    #[must_use]
    pub const fn event_idx(&self) -> bool {
        self.event_idx
    }

    /// Returns the ring size to use for a queue: the largest power of two that both the card and the driver support.
    ///
    /// # Errors
    /// [`TransportError::QueueSize`] when a chain of `shape` descriptors does not fit.
    pub fn queue_size(&self, queue: u16, shape: u16) -> Result<u16, TransportError> {
        self.mapped.common.write16(common::QUEUE_SELECT, queue);
        let offered = self.mapped.common.read16(common::QUEUE_SIZE).min(limits::QUEUE_SIZE_MAX);
        let size = if offered == 0 { 0 } else { 1 << offered.ilog2() };
        if size < shape { Err(TransportError::QueueSize(queue)) } else { Ok(size) }
    }

    /// Writes a ring's size, vector and addresses, and enables the queue.
    ///
    /// # Errors
    /// [`TransportError::Vector`] when the card does not accept the queue's vector.
    pub fn enable_queue(&self, queue: u16, size: u16, ring: RingAddresses) -> Result<(), TransportError> {
        let registers = &self.mapped.common;
        registers.write16(common::QUEUE_SELECT, queue);
        registers.write16(common::QUEUE_SIZE, size);
        self.set_vector(common::QUEUE_MSIX_VECTOR)?;
        for (register, address) in [
            (common::QUEUE_DESC, ring.descriptors),
            (common::QUEUE_DRIVER, ring.available),
            (common::QUEUE_DEVICE, ring.used),
        ] {
            registers.write32(register, address as u32);
            registers.write32(register + 4, (address >> 32) as u32);
        }
        registers.write16(common::QUEUE_ENABLE, 1);
        Ok(())
    }

    /// Sets the vector of a queue or of the configuration. For an interrupt line it is none.
    fn set_vector(&self, register: usize) -> Result<(), TransportError> {
        let vector = match self.mapped.interrupt {
            Interrupt::Line => NO_VECTOR,
            Interrupt::Message { vector } => vector,
        };
        self.mapped.common.write16(register, vector);
        // The register reads as no vector when the card has run out of them (section 4.1.5.1.2.1).
        let is_taken = vector == NO_VECTOR || self.mapped.common.read16(register) == vector;
        if is_taken { Ok(()) } else { Err(TransportError::Vector(vector)) }
    }

    /// Sets status `DRIVER_OK`: from here on the card may interrupt.
    pub fn driver_ok(&self) {
        self.add_status(status::DRIVER_OK);
    }

    /// Notifies the card that a queue has new chains.
    pub fn kick(&self, queue: u16) {
        if let Some(offset) = self.notify_offsets.get(usize::from(queue)) {
            self.mapped.notify.write16(*offset, queue);
        }
    }

    /// Reads and so acknowledges the interrupt status. Returns the causes ([`cause`]), 0 when the card does not
    /// interrupt. The status of a removed card reads all ones, which is no interrupt of it. A message is only this
    /// card's, and names no cause. Any IRQL.
    pub fn acknowledge_interrupt(&self) -> u32 {
        match self.mapped.interrupt {
            Interrupt::Line => match self.mapped.isr.read8(0) {
                0xff => 0,
                causes => u32::from(causes) & (cause::QUEUE | cause::CONFIGURATION),
            },
            Interrupt::Message { .. } => cause::QUEUE | cause::CONFIGURATION,
        }
    }

    /// Returns whether the registers read all ones: the card was removed.
    pub fn is_absent(&self) -> bool {
        self.mapped.common.read8(common::DEVICE_STATUS) == 0xff
    }

    /// Reads the identity block. Where the card is a process of its own, it answers this read, while the machine
    /// answers those of the other registers: the processor waits at the read until the card runs.
    pub fn wait_for_card(&self) {
        _ = self.mapped.device.read32(0);
    }

    /// Returns whether the identity block says that the process behind the card was lost since the last reset.
    pub fn is_lost(&self) -> bool {
        self.mapped.device.read16(PRESENCE_OFFSET) == Presence::LOST.0
    }

    /// Returns whether the status has `DEVICE_NEEDS_RESET`.
    pub fn needs_reset(&self) -> bool {
        self.mapped.common.read8(common::DEVICE_STATUS) & status::NEEDS_RESET != 0
    }

    /// Resets the function, which then accesses no memory any more.
    ///
    /// # Errors
    /// [`TransportError::Absent`] when the registers read all ones; [`TransportError::ResetTimeout`] when the status is
    /// not 0 after a second.
    pub fn reset(&self, kernel: &K, level: Passive) -> Result<(), TransportError> {
        self.mapped.common.write8(common::DEVICE_STATUS, 0);
        for _ in 0..RESET_MILLISECONDS {
            match self.mapped.common.read8(common::DEVICE_STATUS) {
                0 => return Ok(()),
                0xff => return Err(TransportError::Absent),
                _ => kernel.pause(level, 1),
            }
        }
        Err(TransportError::ResetTimeout)
    }

    fn read_identity(&self) -> Result<IdentityBlock, TransportError> {
        let mut identity = IdentityBlock::new_zeroed();
        for (index, word) in identity.as_mut_bytes().chunks_exact_mut(4).enumerate() {
            word.copy_from_slice(&self.mapped.device.read32(4 * index).to_le_bytes());
        }
        if identity.magic == [0xff; 4] {
            return Err(TransportError::Absent);
        }
        if identity.magic != MAGIC {
            return Err(TransportError::Magic);
        }
        if identity.abi_major != ABI_MAJOR {
            return Err(TransportError::Abi(identity.abi_major.get()));
        }
        let queues = self.mapped.common.read16(common::NUM_QUEUES);
        if usize::from(queues) < QUEUE_COUNT {
            return Err(TransportError::QueueCount(queues));
        }
        Ok(identity)
    }

    /// Agrees on features. Returns whether event indices are among them.
    fn agree_on_features(&self) -> Result<bool, TransportError> {
        let registers = &self.mapped.common;
        let mut offered = 0;
        for half in 0..2 {
            registers.write32(common::DEVICE_FEATURE_SELECT, half);
            offered |= u64::from(registers.read32(common::DEVICE_FEATURE)) << (32 * half);
        }
        if offered & feature::VERSION_1 == 0 {
            return Err(TransportError::NotModern);
        }
        let accepted = offered & (feature::VERSION_1 | feature::EVENT_IDX);
        for half in 0..2 {
            registers.write32(common::DRIVER_FEATURE_SELECT, half);
            registers.write32(common::DRIVER_FEATURE, (accepted >> (32 * half)) as u32);
        }
        self.add_status(status::FEATURES_OK);
        if registers.read8(common::DEVICE_STATUS) & status::FEATURES_OK == 0 {
            return Err(TransportError::Features);
        }
        self.set_vector(common::MSIX_CONFIG)?;
        Ok(accepted & feature::EVENT_IDX != 0)
    }

    fn add_status(&self, bit: u8) {
        let registers = &self.mapped.common;
        registers.write8(common::DEVICE_STATUS, registers.read8(common::DEVICE_STATUS) | bit);
    }
}
