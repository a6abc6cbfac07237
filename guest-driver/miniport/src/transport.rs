//! Brings a modern virtio PCI function to life (virtio 1.2, sections 3.1 and 4.1.4).

use card_spec::identity::{IdentityBlock, MAGIC};
use card_spec::queue::{QUEUE_COUNT, Queue};
use card_spec::{ABI_MAJOR, feature, limits};
use zerocopy::{FromZeros, IntoBytes};

use crate::irql::Passive;
use crate::kernel::{Kernel, Registers};
use crate::pending::cause;
use crate::ring::RingAddresses;

/// The mapped structures of the function.
pub struct Mapped<R> {
    /// Common configuration.
    pub common: R,
    /// Notification area.
    pub notify: R,
    /// Bytes between queues' places in it, times their notification offset.
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
    /// By a line, which it may share with other functions: its interrupt status tells.
    Line,
    /// By a message of its own: an entry of the MSI-X table, for everything.
    Message {
        /// The entry.
        vector: u16,
    },
}

/// Why the function did not come to life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportError {
    /// Registers read all ones.
    Absent,
    /// The function did not reset in time.
    ResetTimeout,
    /// The identity block does not begin with the magic: it is another device with the same virtio id.
    Magic,
    /// Another major ABI version.
    Abi(u16),
    /// It has fewer queues than the driver needs.
    QueueCount(u16),
    /// It does not offer `VIRTIO_F_VERSION_1`.
    NotModern,
    /// It did not accept the driver's features.
    Features,
    /// A queue has no descriptors, or fewer than a chain needs.
    QueueSize(u16),
    /// A queue's notification address lies outside the notification area.
    Notification(u16),
    /// The card takes no message for its interrupts.
    Vector(u16),
}

/// Registers of the common configuration.
mod common {
    pub(super) const DEVICE_FEATURE_SELECT: usize = 0;
    pub(super) const DEVICE_FEATURE: usize = 4;
    pub(super) const DRIVER_FEATURE_SELECT: usize = 8;
    pub(super) const DRIVER_FEATURE: usize = 12;
    pub(super) const MSIX_CONFIG: usize = 16;
    pub(super) const NUM_QUEUES: usize = 18;
    pub(super) const DEVICE_STATUS: usize = 20;
    pub(super) const QUEUE_SELECT: usize = 22;
    pub(super) const QUEUE_SIZE: usize = 24;
    pub(super) const QUEUE_MSIX_VECTOR: usize = 26;
    pub(super) const QUEUE_ENABLE: usize = 28;
    pub(super) const QUEUE_NOTIFY_OFF: usize = 30;
    pub(super) const QUEUE_DESC: usize = 32;
    pub(super) const QUEUE_DRIVER: usize = 40;
    pub(super) const QUEUE_DEVICE: usize = 48;
}

/// Bits of the device status (section 2.1).
mod status {
    pub(super) const ACKNOWLEDGE: u8 = 1;
    pub(super) const DRIVER: u8 = 2;
    pub(super) const DRIVER_OK: u8 = 4;
    pub(super) const FEATURES_OK: u8 = 8;
    pub(super) const NEEDS_RESET: u8 = 64;
    pub(super) const FAILED: u8 = 128;
}

/// `VIRTIO_MSI_NO_VECTOR`.
const NO_VECTOR: u16 = 0xffff;

/// How long a reset may take. The specification sets no bound; a second is 1000 times what is seen.
const RESET_MILLISECONDS: u32 = 1000;

/// A function on its way to life: reset, features agreed, queues to be set up.
pub struct Transport<K: Kernel> {
    mapped: Mapped<K::Registers>,
    identity: IdentityBlock,
    event_idx: bool,
    notify_offsets: [usize; QUEUE_COUNT],
}

impl<K: Kernel> Transport<K> {
    /// Checks that the function is the card, resets it and agrees on features.
    ///
    /// # Errors
    /// [`TransportError`]; the function is left reset or failed.
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

    /// Brings the function back to life after it has lost its state: as [`negotiate`](Self::negotiate), and the outcome
    /// must be the same.
    ///
    /// # Errors
    /// [`TransportError`]; the function is left reset or failed.
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

    /// Where a queue is notified.
    ///
    /// # Errors
    /// Outside the notification area.
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

    /// What the card said of itself.
    #[must_use]
    pub const fn identity(&self) -> &IdentityBlock {
        &self.identity
    }

    /// Both sides say at which index they want to be notified.
    #[must_use]
    pub const fn event_idx(&self) -> bool {
        self.event_idx
    }

    /// The ring size to use for a queue: the largest power of two that the card and the driver both can.
    ///
    /// # Errors
    /// The queue is too small for a chain of `shape` descriptors.
    pub fn queue_size(&self, queue: u16, shape: u16) -> Result<u16, TransportError> {
        self.mapped.common.write16(common::QUEUE_SELECT, queue);
        let offered = self.mapped.common.read16(common::QUEUE_SIZE).min(limits::QUEUE_SIZE_MAX);
        let size = if offered == 0 { 0 } else { 1 << offered.ilog2() };
        if size < shape { Err(TransportError::QueueSize(queue)) } else { Ok(size) }
    }

    /// Tells the card where a ring is, and turns it on.
    ///
    /// # Errors
    /// The card has no message for the queue.
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

    /// Says by which message a queue, or the configuration, interrupts. By a line it is none.
    fn set_vector(&self, register: usize) -> Result<(), TransportError> {
        let vector = match self.mapped.interrupt {
            Interrupt::Line => NO_VECTOR,
            Interrupt::Message { vector } => vector,
        };
        self.mapped.common.write16(register, vector);
        // The card answers that it has none for it when it has run out (section 4.1.5.1.2.1).
        let is_taken = vector == NO_VECTOR || self.mapped.common.read16(register) == vector;
        if is_taken { Ok(()) } else { Err(TransportError::Vector(vector)) }
    }

    /// The driver is ready.
    pub fn driver_ok(&self) {
        self.add_status(status::DRIVER_OK);
    }

    /// Tells the card to look at a queue.
    pub fn kick(&self, queue: u16) {
        if let Some(offset) = self.notify_offsets.get(usize::from(queue)) {
            self.mapped.notify.write16(*offset, queue);
        }
    }

    /// Reads and so acknowledges the interrupt status: why the card interrupts, 0 when it does not. A card that is gone
    /// reads all ones, which is no interrupt of its own. A message is nobody else's, and says nothing more. Any IRQL.
    pub fn acknowledge_interrupt(&self) -> u32 {
        match self.mapped.interrupt {
            Interrupt::Line => match self.mapped.isr.read8(0) {
                0xff => 0,
                causes => u32::from(causes) & (cause::QUEUE | cause::CONFIGURATION),
            },
            Interrupt::Message { .. } => cause::QUEUE | cause::CONFIGURATION,
        }
    }

    /// The registers read all ones: the card is not there any more.
    pub fn is_absent(&self) -> bool {
        self.mapped.common.read8(common::DEVICE_STATUS) == 0xff
    }

    /// Reads the identity block, which the card itself answers where it is a process of its own and the other registers
    /// are its machine's: the processor waits at the read until the card runs.
    pub fn hear(&self) {
        _ = self.mapped.device.read32(0);
    }

    /// The card is in trouble, and a reset may help.
    pub fn needs_reset(&self) -> bool {
        self.mapped.common.read8(common::DEVICE_STATUS) & status::NEEDS_RESET != 0
    }

    /// Resets the function: afterwards it touches no memory.
    ///
    /// # Errors
    /// It is gone, or did not reset in time.
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

    /// Whether event indices are among the features agreed on.
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
