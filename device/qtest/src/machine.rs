//! A machine with the card in it: the card as a PCI function (virtio 1.2, section 4.1), guest memory, rings.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use card_control::{Clock, Transport};
use card_spec::diagnosis::Diagnosis;
use card_spec::identity::{FirstError, IdentityBlock};
use card_spec::limits::QUEUE_SIZE_MAX;
use card_spec::queue::{QUEUE_COUNT, Queue};
use card_spec::{PCI_DEVICE_ID, PCI_VENDOR_ID, feature, registers};
use zerocopy::FromBytes;

use crate::card::{Card, MACHINE_SOCKET};
use crate::failure::{Failure, Result, expect};
use crate::qemu::Qemu;
use crate::ram::Ram;
use crate::ring::{DriverRing, RingPlan};

/// How long the card may take to return a chain. It takes milliseconds; the bound is for machines with much else to do.
pub const RETURN_LIMIT: Duration = Duration::from_secs(20);

/// Where the function's memory is put: in the hole below 4 GiB.
pub const BAR_BASE: u32 = 0xe000_0000;

/// Room that each BAR is given.
pub const BAR_ROOM: u32 = 0x10_0000;

/// Status bits (virtio 1.2, section 2.1).
pub mod status {
    /// The guest has noticed the device.
    pub const ACKNOWLEDGE: u8 = 1;
    /// The guest has a driver for it.
    pub const DRIVER: u8 = 2;
    /// The driver is ready.
    pub const DRIVER_OK: u8 = 4;
    /// The driver has chosen its features.
    pub const FEATURES_OK: u8 = 8;
}

/// Offsets in the common configuration (virtio 1.2, section 4.1.4.3).
pub mod common {
    /// `device_feature_select`.
    pub const DEVICE_FEATURE_SELECT: u64 = 0x00;
    /// `device_feature`.
    pub const DEVICE_FEATURE: u64 = 0x04;
    /// `driver_feature_select`.
    pub const DRIVER_FEATURE_SELECT: u64 = 0x08;
    /// `driver_feature`.
    pub const DRIVER_FEATURE: u64 = 0x0c;
    /// `config_msix_vector`.
    pub const CONFIG_MSIX_VECTOR: u64 = 0x10;
    /// `device_status`.
    pub const DEVICE_STATUS: u64 = 0x14;
    /// `queue_select`.
    pub const QUEUE_SELECT: u64 = 0x16;
    /// `queue_size`.
    pub const QUEUE_SIZE: u64 = 0x18;
    /// `queue_msix_vector`.
    pub const QUEUE_MSIX_VECTOR: u64 = 0x1a;
    /// `queue_enable`.
    pub const QUEUE_ENABLE: u64 = 0x1c;
    /// `queue_notify_off`.
    pub const QUEUE_NOTIFY_OFF: u64 = 0x1e;
    /// `queue_desc`, and behind it `queue_driver` and `queue_device`.
    pub const QUEUE_DESC: u64 = 0x20;
    /// `queue_reset`.
    pub const QUEUE_RESET: u64 = 0x3a;
}

/// The kind of machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Wave buffers move the card's time.
    Lockstep,
    /// The host's clock moves the card's time.
    Realtime,
    /// Guest memory can be cut short.
    Unsealed,
    /// Guest memory is QEMU's own.
    Unshared,
}

impl Kind {
    const fn clock(self) -> Clock {
        match self {
            Self::Realtime => Clock::Realtime,
            Self::Lockstep | Self::Unsealed | Self::Unshared => Clock::Lockstep,
        }
    }
}

/// The programs of a machine, and the folder for its files.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The card's program.
    pub card: PathBuf,
    /// How the card is attached to QEMU.
    pub transport: Transport,
    /// QEMU.
    pub qemu: PathBuf,
    /// A folder. Each machine makes one of its own in it.
    pub folder: PathBuf,
}

/// Addresses of the structures that the vendor capabilities describe.
#[derive(Clone, Copy, Debug, Default)]
pub struct Structures {
    /// The common configuration.
    pub common: u64,
    /// The notification area.
    pub notify: u64,
    /// Bytes from one queue's notification address to the next.
    pub notify_multiplier: u64,
    /// The interrupt status.
    pub isr: u64,
    /// The device configuration: the identity block.
    pub device: u64,
    /// The offset of the MSI-X capability in the function's configuration space.
    pub msix: u32,
    /// The MSI-X table.
    pub msix_table: u64,
    /// The offset of the capability for accesses through the configuration space (virtio 1.2, section 4.1.4.9).
    pub window: u32,
}

/// The values that a driver gives the device when it sets it up.
#[derive(Clone, Copy, Debug)]
pub struct SetUp {
    /// Feature bits that it accepts.
    pub features: u64,
    /// The rings.
    pub rings: [RingPlan; QUEUE_COUNT],
    /// Which queues are enabled.
    pub enabled: [bool; QUEUE_COUNT],
}

/// The features that a driver of this card accepts.
pub const FEATURES: u64 = feature::VERSION_1 | feature::EVENT_IDX | feature::INDIRECT_DESC;

/// A machine with the card in it.
#[derive(Debug)]
pub struct Machine {
    /// QEMU.
    pub qemu: Qemu,
    /// The card.
    pub card: Card,
    /// Guest memory.
    pub ram: Ram,
    /// The driver's side of the rings.
    pub rings: [DriverRing; QUEUE_COUNT],
    /// The function's device id.
    device: u16,
    /// Where the function's structures are.
    pub structures: Structures,
    notify: [u64; QUEUE_COUNT],
}

impl Machine {
    /// Starts card and QEMU, and finds the function.
    ///
    /// # Errors
    /// [`Failure::Host`] when the host gives no folder, memory or process, [`Failure::Ended`] or [`Failure::Silent`] when card
    /// or QEMU do not start, [`Failure::Unexpected`] when the function has not all structures.
    pub fn start(programs: &Programs, folder: &Path, kind: Kind) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(Failure::host(format!("cannot create {}", folder.display())))?;
        let card = Card::start(&programs.card, programs.transport, folder, kind.clock())?;
        let ram = Ram::new(kind != Kind::Unsealed)?;
        let qemu =
            Qemu::start(&programs.qemu, programs.transport, folder, &ram, kind != Kind::Unshared, MACHINE_SOCKET)?;
        let mut machine = Self {
            qemu,
            card,
            rings: fresh_rings(&ram)?,
            ram,
            device: match programs.transport {
                Transport::VhostUser => PCI_DEVICE_ID,
                Transport::VfioUser => registers::DEVICE_ID,
            },
            structures: Structures::default(),
            notify: [0; QUEUE_COUNT],
        };
        machine.enumerate()?;
        Ok(machine)
    }

    /// Maps the BARs and finds the structures, as firmware and a driver do after each reset of the machine.
    ///
    /// # Errors
    /// As for [`Qemu::send`]; [`Failure::Unexpected`] when the function has not all structures.
    pub fn enumerate(&mut self) -> Result {
        /// Registers of the function's configuration space (PCI 3.0, section 6.1).
        const COMMAND: u32 = 4;
        const BARS: u32 = 0x10;
        const CAPABILITIES: u32 = 0x34;
        /// Memory accesses and bus mastering.
        const ENABLED: u32 = 6;
        let ids = self.qemu.config_read(0)?;
        expect("PCI ids", &(u32::from(self.device) << 16 | u32::from(PCI_VENDOR_ID)), &ids)?;
        let mut bases = [0_u64; 6];
        let mut index = 0;
        while index < 6 {
            let at = BARS + 4 * index;
            let kind = self.qemu.config_read(at)?;
            let base = BAR_BASE + index * BAR_ROOM;
            self.qemu.config_write(at, base)?;
            bases[index as usize] = base.into();
            if kind & 6 == 4 {
                self.qemu.config_write(at + 4, 0)?;
                index += 1;
            }
            index += 1;
        }
        self.qemu.config_write(COMMAND, ENABLED)?;
        let mut found = Structures::default();
        let mut capability = self.qemu.config_read(CAPABILITIES)? & 0xff;
        // A list of as many capabilities as fit the space has no loop.
        for _ in 0..48 {
            if capability == 0 {
                break;
            }
            let head = self.qemu.config_read(capability)?;
            let place = |bar: u32, offset: u32| bases.get(bar as usize).copied().unwrap_or(0) + u64::from(offset);
            match (head & 0xff, head >> 24) {
                (0x11, _) => {
                    let table = self.qemu.config_read(capability + 4)?;
                    (found.msix, found.msix_table) = (capability, place(table & 7, table & !7));
                }
                (9, structure) => {
                    let bar = self.qemu.config_read(capability + 4)? & 0xff;
                    let at = place(bar, self.qemu.config_read(capability + 8)?);
                    match structure {
                        1 => found.common = at,
                        2 => {
                            found.notify = at;
                            found.notify_multiplier = self.qemu.config_read(capability + 16)?.into();
                        }
                        3 => found.isr = at,
                        4 => found.device = at,
                        5 => found.window = capability,
                        _ => {}
                    }
                }
                _ => {}
            }
            capability = head >> 8 & 0xff;
        }
        let whole = found.common != 0 && found.notify != 0 && found.device != 0 && found.msix != 0;
        expect("the function's structures are all there", &true, &whole)?;
        // No MSI-X, in case an act has enabled it.
        self.qemu.config_write(found.msix, 0)?;
        self.structures = found;
        Ok(())
    }

    /// Reads a register of the common configuration.
    ///
    /// # Errors
    /// As for [`Qemu::send`], for the accesses that this makes.
    pub fn common(&mut self, offset: u64, bytes: usize) -> Result<u64> {
        self.qemu.read(self.structures.common + offset, bytes)
    }

    /// Writes a register of the common configuration.
    ///
    /// # Errors
    /// As for [`Qemu::send`], for the accesses that this makes.
    pub fn set_common(&mut self, offset: u64, bytes: usize, value: u64) -> Result {
        self.qemu.write(self.structures.common + offset, bytes, value)
    }

    /// Reads the device status.
    ///
    /// # Errors
    /// As for [`Qemu::send`], for the accesses that this makes.
    pub fn status(&mut self) -> Result<u8> {
        Ok(self.common(common::DEVICE_STATUS, 1)? as u8)
    }

    /// Writes the device status; 0 resets the device.
    ///
    /// # Errors
    /// As for [`Qemu::send`], for the accesses that this makes.
    pub fn set_status(&mut self, status: u8) -> Result {
        self.set_common(common::DEVICE_STATUS, 1, status.into())
    }

    /// Reads the interrupt status, which clears it.
    ///
    /// # Errors
    /// As for [`Qemu::send`], for the accesses that this makes.
    pub fn isr(&mut self) -> Result<u8> {
        Ok(self.qemu.read(self.structures.isr, 1)? as u8)
    }

    /// Returns the values that a conforming driver gives when it sets the device up.
    #[must_use]
    pub fn set_up(&self) -> SetUp {
        let rings = std::array::from_fn(|index| self.rings[index].plan);
        SetUp { features: FEATURES, rings, enabled: [true; QUEUE_COUNT] }
    }

    /// Resets the device: the driver forgets its rings and makes new ones.
    ///
    /// # Errors
    /// As for [`Qemu::send`]; [`Failure::NoMemory`] when the machine's memory has no room for rings.
    pub fn reset(&mut self) -> Result {
        self.set_status(0)?;
        self.ram.rewind();
        self.rings = fresh_rings(&self.ram)?;
        Ok(())
    }

    /// Writes the features that the driver accepts.
    ///
    /// # Errors
    /// As for [`Qemu::send`], for the accesses that this makes.
    pub fn accept_features(&mut self, features: u64) -> Result {
        for (select, bits) in [(0, features & 0xffff_ffff), (1, features >> 32)] {
            self.set_common(common::DRIVER_FEATURE_SELECT, 4, select)?;
            self.set_common(common::DRIVER_FEATURE, 4, bits)?;
        }
        Ok(())
    }

    /// Describes one ring to the device.
    ///
    /// # Errors
    /// As for [`Qemu::send`], for the accesses that this makes.
    pub fn set_up_ring(&mut self, queue: Queue, plan: RingPlan, enable: bool) -> Result {
        let at = self.structures.common;
        let mut lines = vec![
            format!("writew {:#x} {:#x}", at + common::QUEUE_SELECT, queue.0),
            format!("writew {:#x} {:#x}", at + common::QUEUE_SIZE, plan.size),
        ];
        for (part, address) in plan.parts.into_iter().enumerate() {
            let register = at + common::QUEUE_DESC + 8 * part as u64;
            lines.push(format!("writel {register:#x} {:#x}", address as u32));
            lines.push(format!("writel {:#x} {:#x}", register + 4, address >> 32));
        }
        if enable {
            lines.push(format!("writew {:#x} 0x1", at + common::QUEUE_ENABLE));
        }
        self.qemu.send(&lines)?;
        let offset = self.common(common::QUEUE_NOTIFY_OFF, 2)?;
        self.notify[queue.index()] = self.structures.notify + offset * self.structures.notify_multiplier;
        Ok(())
    }

    /// Resets the device and sets it up.
    ///
    /// # Errors
    /// As for [`Qemu::send`]; [`Failure::NoMemory`] when the machine's memory has no room for rings.
    pub fn start_as(&mut self, set_up: &SetUp) -> Result {
        use status::{ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK};
        self.set_status(0)?;
        self.set_status(ACKNOWLEDGE | DRIVER)?;
        self.accept_features(set_up.features)?;
        self.set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK)?;
        for queue in Queue::ALL {
            self.set_up_ring(queue, set_up.rings[queue.index()], set_up.enabled[queue.index()])?;
            self.rings[queue.index()].plan = set_up.rings[queue.index()];
        }
        self.set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK)
    }

    /// Returns the address that a queue's kicks are written to, once its ring was set up.
    #[must_use]
    pub fn doorbell(&self, queue: Queue) -> u64 {
        self.notify[queue.index()]
    }

    /// Kicks a queue.
    ///
    /// # Errors
    /// As for [`Qemu::send`], for the accesses that this makes.
    pub fn kick(&mut self, queue: Queue) -> Result {
        self.qemu.write(self.doorbell(queue), 2, queue.0.into())
    }

    /// Returns the driver's side of a ring.
    pub fn ring(&mut self, queue: Queue) -> &mut DriverRing {
        &mut self.rings[queue.index()]
    }

    /// Waits until the card returns a chain. Returns its head, and how many bytes were written.
    ///
    /// # Errors
    /// [`Failure::NotReturned`] when the card keeps the chain, [`Failure::Ended`] when the card has ended.
    pub fn wait(&mut self, queue: Queue) -> Result<(u16, u32)> {
        let deadline = Instant::now() + RETURN_LIMIT;
        loop {
            if let Some(returned) = self.ring(queue).returned()? {
                return Ok(returned);
            }
            if let Some(status) = self.card.process().ended() {
                return Err(Failure::Ended { process: "the card", status });
            }
            if Instant::now() > deadline {
                return Err(Failure::NotReturned { queue, limit: RETURN_LIMIT });
            }
            std::thread::sleep(Duration::from_micros(50));
        }
    }

    /// Reads the identity block as a guest does.
    ///
    /// # Errors
    /// As for [`Qemu::send`]; [`Failure::NoMemory`] when fewer bytes are read than were requested.
    pub fn identity(&mut self) -> Result<IdentityBlock> {
        let words = self.qemu.read_words(self.structures.device, size_of::<IdentityBlock>() / 4)?;
        let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
        IdentityBlock::read_from_bytes(&bytes).map_err(|_| Failure::NoMemory { bytes: bytes.len() as u64 })
    }

    /// Reads the code and queue of the first error in the identity block.
    ///
    /// # Errors
    /// As for [`Qemu::send`]; [`Failure::NoMemory`] when fewer bytes are read than were requested.
    pub fn first_error(&mut self) -> Result<(Diagnosis, u16)> {
        let offset = std::mem::offset_of!(IdentityBlock, first_error);
        let words = self.qemu.read_words(self.structures.device + offset as u64, size_of::<FirstError>() / 4)?;
        let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
        let first = FirstError::read_from_bytes(&bytes).map_err(|_| Failure::NoMemory { bytes: bytes.len() as u64 })?;
        Ok((Diagnosis(first.code.get()), first.queue.get()))
    }

    /// Waits until the card has served every kick that came before.
    ///
    /// # Errors
    /// As for [`Card::order`], for the commands that this sends.
    pub fn settle(&mut self) -> Result {
        // The card serves its queues after each command; so at the second answer it has done so once since the first.
        self.card.status()?;
        self.card.status().map(|_| ())
    }

    /// Ends QEMU, and the card with it.
    ///
    /// # Errors
    /// As for [`Qemu::quit`] and [`Card::wait_for_end`].
    pub fn quit(self) -> Result {
        let Self { qemu, card, .. } = self;
        qemu.quit()?;
        card.wait_for_end()
    }
}

fn fresh_rings(ram: &Ram) -> Result<[DriverRing; QUEUE_COUNT]> {
    let make = || DriverRing::new(ram, QUEUE_SIZE_MAX);
    Ok([make()?, make()?, make()?, make()?, make()?])
}
