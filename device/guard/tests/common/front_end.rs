//! A front-end and the driver behind it, which can be made to do anything.

use std::io::{self, IoSlice, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use vhost::vhost_user::message::{FrontendReq, VhostUserProtocolFeatures, VhostUserVirtioFeatures};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::PATIENCE;

pub(crate) const VERSION_1: u32 = 1;
pub(crate) const NEED_REPLY: u32 = 8;

/// Guest memory: its guest address, its address in the front-end, and its length.
pub(crate) const GUEST: u64 = 0x10_0000;
pub(crate) const USER: u64 = 0x7f00_0000_0000;
pub(crate) const RAM: u64 = 0x10_0000;

/// Rings lie this far apart, and so do their buffers behind them.
const RING_STRIDE: u64 = 0x4000;
const AVAILABLE: u64 = 0x1000;
const USED: u64 = 0x2000;
const BUFFERS: u64 = 0x8_0000;
pub(crate) const SIZE: u32 = 64;

/// An answer of the other side.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) code: u32,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn number(&self) -> u64 {
        u64::from_ne_bytes(self.body[..8].try_into().unwrap())
    }
}

/// A ring of the driver.
pub(crate) struct DriverRing {
    pub(crate) kick: EventFd,
    pub(crate) call: EventFd,
    available: u16,
    used: u16,
}

/// A front-end.
pub(crate) struct FrontEnd {
    pub(crate) socket: UnixStream,
    pub(crate) ram: std::fs::File,
    pub(crate) rings: Vec<DriverRing>,
}

pub(crate) fn eventfd() -> EventFd {
    EventFd::new(EFD_NONBLOCK).unwrap()
}

pub(crate) fn ring_body(index: u32, number: u32) -> Vec<u8> {
    [index.to_ne_bytes(), number.to_ne_bytes()].concat()
}

/// A description of a memory region: guest address, length, front-end's address, offset in the file.
pub(crate) fn region_body(region: [u64; 4]) -> Vec<u8> {
    region.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

pub(crate) fn table_body(regions: &[[u64; 4]]) -> Vec<u8> {
    let mut body = ring_body(regions.len() as u32, 0);
    regions.iter().for_each(|region| body.extend(region_body(*region)));
    body
}

pub(crate) fn config_body(offset: u32, size: u32, flags: u32, payload: &[u8]) -> Vec<u8> {
    let mut body: Vec<u8> = [offset, size, flags].iter().flat_map(|word| word.to_ne_bytes()).collect();
    body.extend(payload);
    body
}

pub(crate) fn address_body(index: u32, flags: u32, [descriptors, used, available]: [u64; 3]) -> Vec<u8> {
    let mut body = ring_body(index, flags);
    [descriptors, used, available, 0].iter().for_each(|word| body.extend(word.to_ne_bytes()));
    body
}

impl FrontEnd {
    pub(crate) fn connect(path: &Path) -> Self {
        Self::over(super::until("a connection", || UnixStream::connect(path).ok()))
    }

    /// Returns a front-end at the other end of a guard's connection.
    pub(crate) fn over(socket: UnixStream) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let ram = tempfile::tempfile().unwrap();
        ram.set_len(RAM).unwrap();
        Self { socket, ram, rings: Vec::new() }
    }

    /// Sends bytes with descriptors. A peer that is gone is found out by the next answer.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8], files: &[BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(64))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !files.is_empty() {
            assert!(ancillary.push(SendAncillaryMessage::ScmRights(files)));
        }
        let _ = sendmsg(&self.socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL);
    }

    pub(crate) fn send(&mut self, code: FrontendReq, flags: u32, body: &[u8], files: &[BorrowedFd<'_>]) {
        let mut bytes: Vec<u8> = Vec::new();
        for word in [code.into(), VERSION_1 | flags, body.len() as u32] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(body);
        self.send_bytes(&bytes, files);
    }

    pub(crate) fn receive(&mut self) -> io::Result<Reply> {
        let mut header = [0; 12];
        self.socket.read_exact(&mut header)?;
        let word = |at: usize| u32::from_ne_bytes(header[at..at + 4].try_into().unwrap());
        let mut body = vec![0; word(8) as usize];
        self.socket.read_exact(&mut body)?;
        assert_eq!(word(4), VERSION_1 | 4);
        Ok(Reply { code: word(0), body })
    }

    /// Sends a request that has an answer, and returns it.
    pub(crate) fn ask(&mut self, code: FrontendReq, body: &[u8]) -> io::Result<Reply> {
        self.send(code, 0, body, &[]);
        let reply = self.receive()?;
        assert_eq!(reply.code, u32::from(code), "{code:?}");
        Ok(reply)
    }

    /// Sends a request with a wish for an acknowledgement, and returns that.
    pub(crate) fn tell(&mut self, code: FrontendReq, body: &[u8], files: &[BorrowedFd<'_>]) -> io::Result<u64> {
        self.send(code, NEED_REPLY, body, files);
        let reply = self.receive()?;
        assert_eq!(reply.code, u32::from(code), "{code:?}");
        Ok(reply.number())
    }

    /// Does what QEMU does when the device is created.
    pub(crate) fn introduce(&mut self) -> io::Result<()> {
        self.ask(FrontendReq::GET_FEATURES, &[])?;
        let offered = self.ask(FrontendReq::GET_PROTOCOL_FEATURES, &[])?.number();
        self.send(FrontendReq::SET_PROTOCOL_FEATURES, 0, &offered.to_ne_bytes(), &[]);
        let rings = self.ask(FrontendReq::GET_QUEUE_NUM, &[])?.number();
        if offered & VhostUserProtocolFeatures::CONFIGURE_MEM_SLOTS.bits() != 0 {
            assert!(self.ask(FrontendReq::GET_MAX_MEM_SLOTS, &[])?.number() >= 8);
        }
        self.send(FrontendReq::SET_OWNER, 0, &[], &[]);
        self.ask(FrontendReq::GET_FEATURES, &[])?;
        for index in 0..rings {
            let ring = DriverRing { kick: eventfd(), call: eventfd(), available: 0, used: 0 };
            let call = rustix::io::dup(ring.call_fd()).unwrap();
            self.tell(FrontendReq::SET_VRING_CALL, &index.to_ne_bytes(), &[call.as_fd()])?;
            self.rings.push(ring);
        }
        Ok(())
    }

    /// Does what QEMU does when the driver sets DRIVER_OK.
    pub(crate) fn start(&mut self) -> io::Result<()> {
        let features = 1 << 32 | VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits();
        self.tell(FrontendReq::SET_FEATURES, &features.to_ne_bytes(), &[])?;
        self.share_memory()?;
        for index in 0..self.rings.len() as u32 {
            self.start_ring(index, 0)?;
        }
        for index in 0..self.rings.len() as u32 {
            self.tell(FrontendReq::SET_VRING_ENABLE, &ring_body(index, 1), &[])?;
        }
        Ok(())
    }

    pub(crate) fn share_memory(&mut self) -> io::Result<u64> {
        let ram = self.ram.try_clone().unwrap();
        self.tell(FrontendReq::SET_MEM_TABLE, &table_body(&[[GUEST, RAM, USER, 0]]), &[ram.as_fd()])
    }

    /// Returns the addresses of a ring's parts: descriptors, used, available.
    pub(crate) fn addresses(index: u32) -> [u64; 3] {
        let begin = USER + u64::from(index + 1) * RING_STRIDE;
        [begin, begin + USED, begin + AVAILABLE]
    }

    /// Sets a ring up anew, as after a reset: its base is `base`, and its indices are 0 then.
    pub(crate) fn start_ring(&mut self, index: u32, base: u32) -> io::Result<()> {
        if base == 0 {
            let ring = &mut self.rings[index as usize];
            (ring.available, ring.used) = (0, 0);
            self.clear(index);
        }
        self.tell(FrontendReq::SET_VRING_NUM, &ring_body(index, SIZE), &[])?;
        self.tell(FrontendReq::SET_VRING_BASE, &ring_body(index, base), &[])?;
        self.tell(FrontendReq::SET_VRING_ADDR, &address_body(index, 0, Self::addresses(index)), &[])?;
        self.kick_and_call(index)
    }

    /// Gives a ring its descriptors; QEMU's kicks come signalled.
    pub(crate) fn kick_and_call(&mut self, index: u32) -> io::Result<()> {
        let ring = &self.rings[index as usize];
        ring.kick.write(1).unwrap();
        let [kick, call] = [ring.kick_fd(), ring.call_fd()].map(|file| rustix::io::dup(file).unwrap());
        let number = u64::from(index).to_ne_bytes();
        self.tell(FrontendReq::SET_VRING_KICK, &number, &[kick.as_fd()])?;
        self.tell(FrontendReq::SET_VRING_CALL, &number, &[call.as_fd()]).map(drop)
    }

    fn clear(&self, index: u32) {
        let begin = u64::from(index + 1) * RING_STRIDE;
        self.ram.write_all_at(&vec![0; RING_STRIDE as usize], begin).unwrap();
    }

    /// Does what QEMU does when the driver resets the device, or the machine is paused; returns the rings' bases.
    pub(crate) fn stop(&mut self) -> io::Result<Vec<u32>> {
        for index in 0..self.rings.len() as u32 {
            self.tell(FrontendReq::SET_VRING_ENABLE, &ring_body(index, 0), &[])?;
        }
        (0..self.rings.len() as u32).map(|index| self.base(index)).collect()
    }

    pub(crate) fn base(&mut self, index: u32) -> io::Result<u32> {
        let reply = self.ask(FrontendReq::GET_VRING_BASE, &ring_body(index, 0))?;
        assert_eq!(reply.body[..4], index.to_ne_bytes());
        Ok(u32::from_ne_bytes(reply.body[4..8].try_into().unwrap()))
    }

    pub(crate) fn config(&mut self, size: u32) -> io::Result<Vec<u8>> {
        let reply = self.ask(FrontendReq::GET_CONFIG, &config_body(0, size, 0, &vec![0; size as usize]))?;
        Ok(reply.body[12..].to_vec())
    }

    /// Makes a request available and kicks.
    pub(crate) fn offer(&mut self, index: u32, request: &[u8]) {
        let begin = u64::from(index + 1) * RING_STRIDE;
        let ring = &mut self.rings[index as usize];
        let slot = u64::from(ring.available) % u64::from(SIZE / 2);
        let buffer = BUFFERS + u64::from(index) * 0x1_0000 + slot * 512;
        self.ram.write_all_at(request, buffer).unwrap();
        let length = request.len() as u32;
        for (descriptor, address, flags, next) in
            [(2 * slot, buffer, 1_u16, 2 * slot + 1), (2 * slot + 1, buffer + 256, 2, 0)]
        {
            let mut bytes = (GUEST + address).to_le_bytes().to_vec();
            bytes.extend(length.to_le_bytes());
            bytes.extend(flags.to_le_bytes());
            bytes.extend((next as u16).to_le_bytes());
            self.ram.write_all_at(&bytes, begin + 16 * descriptor).unwrap();
        }
        let entry = begin + AVAILABLE + 4 + 2 * (u64::from(ring.available) % u64::from(SIZE));
        self.ram.write_all_at(&(2 * slot as u16).to_le_bytes(), entry).unwrap();
        ring.available = ring.available.wrapping_add(1);
        self.ram.write_all_at(&ring.available.to_le_bytes(), begin + AVAILABLE + 2).unwrap();
        ring.kick.write(1).unwrap();
    }

    /// Waits for an interrupt; false when none comes in time.
    pub(crate) fn interrupted(&self, index: u32, time: Duration) -> bool {
        let ring = &self.rings[index as usize];
        let call = ring.call_fd();
        let mut watched = [PollFd::new(&call, PollFlags::IN)];
        let time = Timespec::try_from(time).unwrap();
        poll(&mut watched, Some(&time)).unwrap();
        ring.call.read().is_ok()
    }

    /// Returns the used index.
    pub(crate) fn used(&self, index: u32) -> u16 {
        let mut word = [0; 2];
        self.ram.read_exact_at(&mut word, u64::from(index + 1) * RING_STRIDE + USED + 2).unwrap();
        u16::from_le_bytes(word)
    }

    /// Waits until the device has completed everything; false when it does not in `time`.
    pub(crate) fn completed(&mut self, index: u32, time: Duration) -> bool {
        let deadline = std::time::Instant::now() + time;
        while self.used(index) != self.rings[index as usize].available {
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                return false;
            }
            self.interrupted(index, left.min(Duration::from_millis(20)));
        }
        self.rings[index as usize].used = self.rings[index as usize].available;
        true
    }

    /// Sends a request through a ring; whether it comes back reversed in time.
    pub(crate) fn echoes(&mut self, index: u32, time: Duration) -> bool {
        let request = [1, 2, 3, index as u8];
        let slot = u64::from(self.rings[index as usize].available) % u64::from(SIZE / 2);
        self.offer(index, &request);
        if !self.completed(index, time) {
            return false;
        }
        let mut answer = [0; 4];
        let at = BUFFERS + u64::from(index) * 0x1_0000 + slot * 512 + 256;
        self.ram.read_exact_at(&mut answer, at).unwrap();
        answer.iter().rev().eq(&request)
    }
}

impl DriverRing {
    pub(crate) fn kick_fd(&self) -> BorrowedFd<'_> {
        fd(&self.kick)
    }

    /// Returns whether a kick waits to be read.
    pub(crate) fn is_kicked(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let mut ready = [PollFd::from_borrowed_fd(self.kick_fd(), PollFlags::IN)];
        poll(&mut ready, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() > 0
    }

    pub(crate) fn call_fd(&self) -> BorrowedFd<'_> {
        fd(&self.call)
    }
}

/// Borrows the descriptor of an event counter.
#[allow(unsafe_code, reason = "EventFd implements AsRawFd only")]
pub(crate) fn fd(counter: &EventFd) -> BorrowedFd<'_> {
    use std::os::fd::AsRawFd;
    // SAFETY: the descriptor is open as long as the counter that is borrowed.
    unsafe { BorrowedFd::borrow_raw(counter.as_raw_fd()) }
}
