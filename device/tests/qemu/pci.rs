//! The card as a PCI function (virtio 1.2, section 4.1), and the machine that it is in.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use card_spec::identity::IdentityBlock;
use card_spec::limits::QUEUE_SIZE_MAX;
use card_spec::queue::{QUEUE_COUNT, Queue};
use card_spec::{PCI_DEVICE_ID, PCI_VENDOR_ID, feature};
use dmus_card::fake::{Board, DriverRing, Ram};
use serde_json::{Value, json};
use tempfile::TempDir;
use zerocopy::FromBytes;

use super::qtest::{Qemu, RAM};

/// How long the card's process may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the function's memory is put: in the hole below 4 GiB.
const BAR_BASE: u32 = 0xe000_0000;

/// Room that each BAR is given.
const BAR_ROOM: u32 = 0x10_0000;

/// The device number on bus 0 that it was given.
const DEVICE: u32 = 4;

/// Status bits (virtio 1.2, section 2.1).
const ACKNOWLEDGE: u8 = 1;
const DRIVER: u8 = 2;
const DRIVER_OK: u8 = 4;
const FEATURES_OK: u8 = 8;

/// What a driver tells the device about a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RingPlan {
    /// Entries.
    pub(crate) size: u16,
    /// Guest-physical addresses of the descriptor table, the available ring and the used ring.
    pub(crate) addresses: [u64; 3],
}

/// Places of the structures that the vendor capabilities name.
#[derive(Clone, Copy, Debug, Default)]
struct Structures {
    common: u64,
    notify: u64,
    notify_multiplier: u64,
    isr: u64,
    device: u64,
}

/// A machine in a real QEMU.
pub(crate) struct PciBoard {
    pub(crate) qemu: Qemu,
    ram: Ram,
    pub(crate) rings: [DriverRing; QUEUE_COUNT],
    structures: Structures,
    notify: [u64; QUEUE_COUNT],
    control: BufReader<UnixStream>,
    card: Child,
    _folder: TempDir,
}

impl PciBoard {
    /// Starts card and QEMU, and finds the function.
    pub(crate) fn new(qemu: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| -> PathBuf { folder.path().join(name) };
        let (socket, control, memory) = (path("card.sock"), path("control.sock"), path("memory"));
        let mut card = Command::new(env!("CARGO_BIN_EXE_vhost-device-dmus"))
            .arg("--socket-path")
            .arg(&socket)
            .arg("--control")
            .arg(&control)
            .args(["--clock", "lockstep"])
            .env("RUST_LOG", "off")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + PATIENCE;
        let stream = loop {
            match UnixStream::connect(&control) {
                Ok(stream) => break stream,
                Err(error) => assert!(Instant::now() < deadline, "the card does not start: {error}"),
            }
            if let Some(status) = card.try_wait().unwrap() {
                panic!("the card ended at its start: {status}");
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&memory).unwrap();
        file.set_len(RAM).unwrap();
        // The first megabyte belongs to the PC.
        let ram = Ram::of_file(file, 0, RAM, 1 << 20);
        let qemu = Qemu::start(qemu, folder.path(), &memory, &socket);
        let mut board = Self {
            qemu,
            rings: [(); QUEUE_COUNT].map(|()| DriverRing::new(&ram, QUEUE_SIZE_MAX)),
            ram,
            structures: Structures::default(),
            notify: [0; QUEUE_COUNT],
            control: BufReader::new(stream),
            card,
            _folder: folder,
        };
        board.enumerate();
        board
    }

    fn config_read(&mut self, offset: u32) -> u32 {
        self.qemu.out32(0xcf8, 0x8000_0000 | DEVICE << 11 | offset);
        self.qemu.in32(0xcfc)
    }

    fn config_write(&mut self, offset: u32, value: u32) {
        self.qemu.out32(0xcf8, 0x8000_0000 | DEVICE << 11 | offset);
        self.qemu.out32(0xcfc, value);
    }

    /// Places the BARs and finds the structures: what firmware and a driver do after each reset.
    pub(crate) fn enumerate(&mut self) {
        let ids = self.config_read(0);
        assert_eq!(ids, u32::from(PCI_DEVICE_ID) << 16 | u32::from(PCI_VENDOR_ID));
        let mut bases = [0_u64; 6];
        let mut index = 0;
        while index < 6 {
            let at = 0x10 + 4 * index;
            let kind = self.config_read(at);
            let base = BAR_BASE + index * BAR_ROOM;
            self.config_write(at, base);
            bases[index as usize] = base.into();
            if kind & 6 == 4 {
                self.config_write(at + 4, 0);
                index += 1;
            }
            index += 1;
        }
        // Memory accesses and bus mastering.
        self.config_write(4, 6);
        let mut capability = self.config_read(0x34) & 0xff;
        while capability != 0 {
            let head = self.config_read(capability);
            if head & 0xff == 9 {
                let bar = self.config_read(capability + 4) & 0xff;
                let offset = u64::from(self.config_read(capability + 8));
                let place = bases.get(bar as usize).copied().unwrap_or(0) + offset;
                match head >> 24 {
                    1 => self.structures.common = place,
                    2 => {
                        self.structures.notify = place;
                        self.structures.notify_multiplier = self.config_read(capability + 16).into();
                    }
                    3 => self.structures.isr = place,
                    4 => self.structures.device = place,
                    _ => {}
                }
            }
            capability = head >> 8 & 0xff;
        }
        assert!(self.structures.common != 0 && self.structures.notify != 0 && self.structures.device != 0);
    }

    /// The device status.
    pub(crate) fn status(&mut self) -> u8 {
        self.qemu.read8(self.structures.common + 0x14)
    }

    fn set_status(&mut self, status: u8) {
        self.qemu.write8(self.structures.common + 0x14, status);
    }

    /// The interrupt status, which reading clears.
    pub(crate) fn isr(&mut self) -> u8 {
        self.qemu.read8(self.structures.isr)
    }

    /// What an honest driver says about its rings.
    pub(crate) fn plan(&self) -> [RingPlan; QUEUE_COUNT] {
        std::array::from_fn(|index| {
            let ring = &self.rings[index];
            RingPlan { size: ring.size(), addresses: [ring.descriptors, ring.available, ring.used] }
        })
    }

    /// Resets the device and sets it up with these rings.
    pub(crate) fn start_as(&mut self, plan: &[RingPlan; QUEUE_COUNT]) {
        let common = self.structures.common;
        self.set_status(0);
        self.set_status(ACKNOWLEDGE | DRIVER);
        let wanted = feature::VERSION_1 | feature::EVENT_IDX | feature::INDIRECT_DESC;
        for (select, bits) in [(0, wanted as u32), (1, (wanted >> 32) as u32)] {
            self.qemu.write32(common, select);
            let offered = self.qemu.read32(common + 4);
            assert_eq!(offered & bits, bits);
            self.qemu.write32(common + 8, select);
            self.qemu.write32(common + 0xc, bits);
        }
        self.set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK);
        for (index, ring) in plan.iter().enumerate() {
            self.qemu.write16(common + 0x16, index as u16);
            self.qemu.write16(common + 0x18, ring.size);
            for (part, address) in ring.addresses.into_iter().enumerate() {
                let at = common + 0x20 + 8 * part as u64;
                self.qemu.write32(at, address as u32);
                self.qemu.write32(at + 4, (address >> 32) as u32);
            }
            let offset = u64::from(self.qemu.read16(common + 0x1e));
            self.notify[index] = self.structures.notify + offset * self.structures.notify_multiplier;
            self.qemu.write16(common + 0x1c, 1);
        }
        self.set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    }

    /// Resets the device; the driver forgets its rings and makes new ones.
    pub(crate) fn reset(&mut self) {
        self.set_status(0);
        self.rings = std::array::from_fn(|_| DriverRing::new(&self.ram, QUEUE_SIZE_MAX));
    }

    /// Resets the device and sets it up again.
    pub(crate) fn restart(&mut self) {
        self.reset();
        self.start();
    }

    /// The identity block, as a guest reads it.
    pub(crate) fn identity(&mut self) -> IdentityBlock {
        let words = size_of::<IdentityBlock>() as u64 / 4;
        let device = self.structures.device;
        let bytes: Vec<u8> = (0..words).flat_map(|word| self.qemu.read32(device + 4 * word).to_le_bytes()).collect();
        IdentityBlock::read_from_bytes(&bytes).unwrap()
    }

    /// Writes to the device configuration.
    pub(crate) fn write_config(&mut self, offset: u64, value: u32) {
        self.qemu.write32(self.structures.device + offset, value);
    }

    /// What the card says about itself.
    pub(crate) fn card_status(&mut self) -> Value {
        writeln!(self.control.get_ref(), "{}", json!({"cmd": "status"})).unwrap();
        let mut line = String::new();
        self.control.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// QEMU leaves, and the card with it.
    pub(crate) fn quit(self) {
        let Self { qemu, mut card, _folder, .. } = self;
        qemu.quit();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = card.try_wait().unwrap() {
                assert!(status.success(), "the card left with {status}");
                return;
            }
            if Instant::now() > deadline {
                let _ = card.kill();
                panic!("the card does not leave with QEMU");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Board for PciBoard {
    fn ram(&self) -> &Ram {
        &self.ram
    }

    fn ring(&mut self, queue: Queue) -> &mut DriverRing {
        &mut self.rings[queue.index()]
    }

    fn start(&mut self) {
        let plan = self.plan();
        self.start_as(&plan);
    }

    fn kick(&mut self, queue: Queue) {
        self.qemu.write16(self.notify[queue.index()], queue.0);
    }
}
