//! A machine with the card as a PCI function of its own: speaks vfio-user in the order and by the calls in which QEMU does.

use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use card_spec::limits::QUEUE_SIZE_MAX;
use card_spec::queue::{QUEUE_COUNT, Queue};
use card_spec::registers::{COMMON, NOTIFY, NOTIFY_MULTIPLIER, common, device_status as status};
use dmus_card::bus::FEATURES;
use dmus_card::fake::{Board, DriverRing, Ram};
use rustix::event::{EventfdFlags, eventfd};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use vfio_bindings::bindings::vfio::{
    VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_IRQ_SET_DATA_EVENTFD, VFIO_PCI_CONFIG_REGION_INDEX, VFIO_PCI_MSIX_IRQ_INDEX,
};
use vfio_user::Command;

/// Where configuration space holds the offset of the first capability.
pub(crate) const CAPABILITIES: u64 = 0x34;

/// The identifier of the MSI-X capability.
pub(crate) const MSIX_ID: u8 = 0x11;

/// Where the bare function has it.
pub(crate) const MSIX_CAPABILITY: u8 = 0x40;

/// The command register, with memory and bus mastering on.
const COMMAND: u64 = 4;
const MEMORY_AND_BUS_MASTER: u16 = 6;

/// The upper byte of MSI-X's message control, with messages enabled.
const MSIX_ENABLE: u8 = 0x80;

/// The flag of a message that wants no reply: QEMU posts the writes of a guest so.
const NO_REPLY: u32 = 1 << 4;
const FAILED: u32 = 1 << 5;

/// Readable and writable memory.
const READ_WRITE: u32 = 3;

const RAM_START: u64 = 0x10_0000;
const RAM_BYTES: u64 = 64 << 20;
const HEADER_BYTES: usize = 16;
const ACCESS_BYTES: usize = 16;
const START_LIMIT: Duration = Duration::from_secs(20);

/// A machine with a function in it.
pub(crate) struct Client {
    stream: UnixStream,
    id: u16,
    ram: Ram,
    rings: [DriverRing; QUEUE_COUNT],
    triggers: [OwnedFd; QUEUE_COUNT],
}

impl Client {
    /// Connects to the function on a path, shares memory, and has it interrupt by messages.
    pub(crate) fn connect(path: &Path) -> io::Result<Self> {
        let begun = Instant::now();
        let stream = loop {
            match UnixStream::connect(path) {
                Ok(stream) => break stream,
                Err(error) if begun.elapsed() > START_LIMIT => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        stream.set_read_timeout(Some(START_LIMIT))?;
        let ram = Ram::anonymous(RAM_START, RAM_BYTES);
        let rings = [(); QUEUE_COUNT].map(|()| DriverRing::new(&ram, QUEUE_SIZE_MAX));
        let triggers = (0..QUEUE_COUNT).map(|_| eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC));
        let triggers = triggers.collect::<rustix::io::Result<Vec<_>>>()?;
        let triggers = triggers.try_into().map_err(|_| io::ErrorKind::InvalidData)?;
        let mut client = Self { stream, id: 0, ram, rings, triggers };
        // Version 0.1, as QEMU says it.
        let mut hello = [0_u16.to_ne_bytes(), 1_u16.to_ne_bytes()].concat();
        hello.extend_from_slice(b"{\"capabilities\":{\"max_msg_fds\":8}}\0");
        client.ask(Command::Version, &hello, &[])?;
        client.share_memory()?;
        client.write(VFIO_PCI_CONFIG_REGION_INDEX, COMMAND, &MEMORY_AND_BUS_MASTER.to_le_bytes())?;
        client.enable_messages()?;
        Ok(client)
    }

    fn share_memory(&mut self) -> io::Result<()> {
        let file = self.ram.file().try_clone()?;
        let mut map = [32_u32.to_ne_bytes(), READ_WRITE.to_ne_bytes()].concat();
        for number in [0, RAM_START, RAM_BYTES] {
            map.extend_from_slice(&number.to_ne_bytes());
        }
        self.ask(Command::DmaMap, &map, &[file.as_fd()]).map(drop)
    }

    fn enable_messages(&mut self) -> io::Result<()> {
        let config = VFIO_PCI_CONFIG_REGION_INDEX;
        let mut at = u64::from(self.read(config, CAPABILITIES, 1)?);
        while at != 0 && self.read(config, at, 1)? != u32::from(MSIX_ID) {
            at = self.read(config, at + 1, 1)?.into();
        }
        self.write(config, at + 3, &[MSIX_ENABLE])?;
        let flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
        let words = [20, flags, VFIO_PCI_MSIX_IRQ_INDEX, 0, QUEUE_COUNT as u32];
        let message: Vec<u8> = words.iter().flat_map(|word: &u32| word.to_ne_bytes()).collect();
        let triggers = self.triggers.each_ref().map(OwnedFd::try_clone).into_iter().collect::<io::Result<Vec<_>>>()?;
        let triggers: Vec<BorrowedFd<'_>> = triggers.iter().map(AsFd::as_fd).collect();
        self.ask(Command::SetIrqs, &message, &triggers).map(drop)
    }

    fn send(&mut self, command: Command, payload: &[u8], flags: u32, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.id = self.id.wrapping_add(1);
        let mut message = Vec::with_capacity(HEADER_BYTES + payload.len());
        message.extend_from_slice(&self.id.to_ne_bytes());
        message.extend_from_slice(&(command as u16).to_ne_bytes());
        for word in [(HEADER_BYTES + payload.len()) as u32, flags, 0] {
            message.extend_from_slice(&word.to_ne_bytes());
        }
        message.extend_from_slice(payload);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let sent = sendmsg(&self.stream, &[IoSlice::new(&message)], &mut control, SendFlags::NOSIGNAL)?;
        self.stream.write_all(&message[sent..])
    }

    /// Sends a command and returns the payload of the reply: the header is read first, and then the rest.
    fn ask(&mut self, command: Command, payload: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<Vec<u8>> {
        self.send(command, payload, 0, fds)?;
        let mut header = [0; HEADER_BYTES];
        self.stream.read_exact(&mut header)?;
        let word = |at: usize| header[at..at + 4].iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
        let mut payload = vec![0; (word(4) as usize).saturating_sub(HEADER_BYTES)];
        self.stream.read_exact(&mut payload)?;
        if word(8) & FAILED != 0 || header[..2] != self.id.to_ne_bytes() {
            return Err(io::Error::other(format!("{command:?} is refused")));
        }
        Ok(payload)
    }

    fn access(region: u32, offset: u64, bytes: usize) -> Vec<u8> {
        let mut access = offset.to_ne_bytes().to_vec();
        access.extend_from_slice(&region.to_ne_bytes());
        access.extend_from_slice(&(bytes as u32).to_ne_bytes());
        access
    }

    /// Reads a number of up to four bytes, as one access of a guest does.
    pub(crate) fn read(&mut self, region: u32, offset: u64, bytes: usize) -> io::Result<u32> {
        let reply = self.ask(Command::RegionRead, &Self::access(region, offset, bytes), &[])?;
        let data = reply.get(ACCESS_BYTES..).unwrap_or_default();
        Ok(data.iter().take(bytes).rev().fold(0, |word, byte| word << 8 | u32::from(*byte)))
    }

    fn write(&mut self, region: u32, offset: u64, data: &[u8]) -> io::Result<()> {
        let access = [Self::access(region, offset, data.len()), data.to_vec()].concat();
        self.ask(Command::RegionWrite, &access, &[]).map(drop)
    }

    /// Writes a register of the common configuration.
    fn set<const BYTES: usize>(&mut self, register: u32, value: [u8; BYTES]) {
        self.write(0, (COMMON + register).into(), &value).expect("a register that can be written");
    }

    /// Returns whether a queue has interrupted since the last call.
    pub(crate) fn interrupted(&self, queue: Queue) -> bool {
        rustix::io::read(&self.triggers[queue.index()], &mut [0_u8; 8]).is_ok()
    }
}

impl Board for Client {
    fn ram(&self) -> &Ram {
        &self.ram
    }

    fn ring(&mut self, queue: Queue) -> &mut DriverRing {
        &mut self.rings[queue.index()]
    }

    fn start(&mut self) {
        let negotiated = status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK;
        self.set(common::DEVICE_STATUS, [0]);
        self.set(common::DEVICE_STATUS, [status::ACKNOWLEDGE | status::DRIVER]);
        for (select, bits) in [(0_u32, FEATURES as u32), (1, (FEATURES >> 32) as u32)] {
            self.set(common::DRIVER_FEATURE_SELECT, select.to_le_bytes());
            self.set(common::DRIVER_FEATURE, bits.to_le_bytes());
        }
        self.set(common::DEVICE_STATUS, [negotiated]);
        for queue in Queue::ALL {
            let ring = &self.rings[queue.index()];
            let parts = [
                (common::QUEUE_DESC, ring.descriptors),
                (common::QUEUE_DRIVER, ring.available),
                (common::QUEUE_DEVICE, ring.used),
            ];
            let size = ring.size();
            self.set(common::QUEUE_SELECT, queue.0.to_le_bytes());
            self.set(common::QUEUE_SIZE, size.to_le_bytes());
            self.set(common::QUEUE_MSIX_VECTOR, queue.0.to_le_bytes());
            for (register, address) in parts {
                self.set(register, (address as u32).to_le_bytes());
                self.set(register + 4, ((address >> 32) as u32).to_le_bytes());
            }
            self.set(common::QUEUE_ENABLE, 1_u16.to_le_bytes());
        }
        self.set(common::DEVICE_STATUS, [negotiated | status::DRIVER_OK]);
        let status = self.read(0, (COMMON + common::DEVICE_STATUS).into(), 1).expect("the status");
        assert_eq!(status, u32::from(negotiated | status::DRIVER_OK), "the function refuses its driver");
    }

    fn kick(&mut self, queue: Queue) {
        let doorbell = NOTIFY + NOTIFY_MULTIPLIER * u32::from(queue.0);
        let write = [Self::access(0, doorbell.into(), 2), queue.0.to_le_bytes().to_vec()].concat();
        self.send(Command::RegionWrite, &write, NO_REPLY, &[]).expect("a function that takes messages");
    }
}
