//! A vfio-user client that sends what a test says, and shows each reply.

use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};

use super::SOON;

pub(crate) const VERSION: u16 = 1;
pub(crate) const DMA_MAP: u16 = 2;
pub(crate) const DMA_UNMAP: u16 = 3;
pub(crate) const GET_INFO: u16 = 4;
pub(crate) const GET_REGION_INFO: u16 = 5;
pub(crate) const GET_IRQ_INFO: u16 = 7;
pub(crate) const SET_IRQS: u16 = 8;
pub(crate) const REGION_READ: u16 = 9;
pub(crate) const REGION_WRITE: u16 = 10;
pub(crate) const RESET: u16 = 13;

/// The region of configuration space.
pub(crate) const CONFIG: u32 = 7;
/// The interrupt indices.
pub(crate) const INTX: u32 = 0;
pub(crate) const MSI: u32 = 1;
pub(crate) const MSIX: u32 = 2;
/// Data and actions of `SET_IRQS`.
pub(crate) const NONE: u32 = 1;
pub(crate) const BOOL: u32 = 2;
pub(crate) const EVENTFD: u32 = 4;
pub(crate) const MASK: u32 = 8;
pub(crate) const UNMASK: u32 = 16;
pub(crate) const TRIGGER: u32 = 32;

pub(crate) const NO_REPLY: u32 = 1 << 4;

/// Joins numbers to bytes.
#[macro_export]
macro_rules! wire {
    ($($value:expr),* $(,)?) => {{
        let mut bytes: Vec<u8> = Vec::new();
        $(bytes.extend_from_slice(&$value.to_ne_bytes());)*
        bytes
    }};
}

pub(crate) struct Raw {
    pub(crate) stream: UnixStream,
    id: u16,
}

impl Raw {
    pub(crate) fn connect(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.set_write_timeout(Some(SOON)).unwrap();
        Self { stream, id: 100 }
    }

    pub(crate) fn greeted(path: &Path) -> Self {
        let mut client = Self::connect(path);
        let mut hello = wire!(0u16, 1u16);
        hello.extend_from_slice(b"{\"capabilities\":{\"max_msg_fds\":16}}\0");
        client.ask(VERSION, &hello).unwrap();
        client
    }

    pub(crate) fn header(&mut self, command: u16, bytes: u32, flags: u32) -> Vec<u8> {
        self.id += 1;
        wire!(self.id, command, bytes, flags, 0u32)
    }

    pub(crate) fn send(&mut self, command: u16, payload: &[u8], flags: u32, fds: &[BorrowedFd<'_>]) {
        let mut message = self.header(command, 16 + payload.len() as u32, flags);
        message.extend_from_slice(payload);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(32))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            assert!(control.push(SendAncillaryMessage::ScmRights(fds)));
        }
        let sent = sendmsg(&self.stream, &[IoSlice::new(&message)], &mut control, SendFlags::NOSIGNAL).unwrap();
        (&self.stream).write_all(&message[sent..]).unwrap();
    }

    /// Reads a reply and the descriptors that come with it.
    pub(crate) fn reply_with_fds(&mut self) -> (Vec<u8>, Vec<OwnedFd>) {
        let mut bytes = vec![0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let got = recvmsg(&self.stream, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC);
        let got = got.unwrap().bytes;
        let mut fds = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                fds.extend(rights);
            }
        }
        assert_eq!(u32::from_ne_bytes(bytes[4..8].try_into().unwrap()) as usize, got, "a whole reply");
        (bytes[16..got].to_vec(), fds)
    }

    /// Reads a reply; `None` when the server has disconnected.
    pub(crate) fn reply(&mut self) -> Option<Result<Vec<u8>, Errno>> {
        let mut header = [0; 16];
        match self.stream.read(&mut header[..1]) {
            Ok(1) => self.stream.read_exact(&mut header[1..]).unwrap(),
            Ok(_) => return None,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
            Err(error) => panic!("no reply: {error}"),
        }
        let word = |at: usize| u32::from_ne_bytes(header[at..at + 4].try_into().unwrap());
        let id = u16::from_ne_bytes([header[0], header[1]]);
        assert_eq!(id, self.id, "the reply is to another message");
        assert_eq!(word(8) & 0xf, 1, "it is no reply");
        let mut payload = vec![0; word(4) as usize - 16];
        self.stream.read_exact(&mut payload).unwrap();
        let failed = word(8) & 1 << 5 != 0;
        Some(if failed { Err(Errno::from_raw_os_error(word(12) as i32)) } else { Ok(payload) })
    }

    pub(crate) fn ask_with(&mut self, command: u16, payload: &[u8], fds: &[BorrowedFd<'_>]) -> Result<Vec<u8>, Errno> {
        self.send(command, payload, 0, fds);
        self.reply().expect("the server has disconnected")
    }

    pub(crate) fn ask(&mut self, command: u16, payload: &[u8]) -> Result<Vec<u8>, Errno> {
        self.ask_with(command, payload, &[])
    }

    pub(crate) fn read(&mut self, region: u32, offset: u64, count: u32) -> Result<Vec<u8>, Errno> {
        let reply = self.ask(REGION_READ, &wire!(offset, region, count))?;
        assert_eq!(reply[..16], wire!(offset, region, count));
        assert_eq!(reply.len(), 16 + count as usize);
        Ok(reply[16..].to_vec())
    }

    pub(crate) fn write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<(), Errno> {
        let mut payload = wire!(offset, region, data.len() as u32);
        payload.extend_from_slice(data);
        self.ask(REGION_WRITE, &payload).map(|_| ())
    }

    /// Reads a number from configuration space.
    pub(crate) fn config(&mut self, offset: u64, bytes: u32) -> u32 {
        let mut value = self.read(CONFIG, offset, bytes).unwrap();
        value.resize(4, 0);
        u32::from_le_bytes(value.try_into().unwrap())
    }

    pub(crate) fn set_config(&mut self, offset: u64, value: impl AsRef<[u8]>) {
        self.write(CONFIG, offset, value.as_ref()).unwrap();
    }

    /// Writes the command register.
    pub(crate) fn command(&mut self, bits: u16) {
        self.set_config(4, bits.to_le_bytes());
    }

    /// Returns the offset of the `nth` capability with this identifier.
    pub(crate) fn capability(&mut self, id: u8, nth: usize) -> u64 {
        let mut at = self.config(0x34, 1);
        let mut found = 0;
        while at != 0 {
            if self.config(at.into(), 1) == u32::from(id) {
                if found == nth {
                    return at.into();
                }
                found += 1;
            }
            at = self.config(u64::from(at) + 1, 1);
        }
        panic!("no capability {id:#x}");
    }

    pub(crate) fn set_irqs(
        &mut self,
        index: u32,
        flags: u32,
        start: u32,
        count: u32,
        fds: &[impl AsFd],
    ) -> Result<(), Errno> {
        let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
        self.ask_with(SET_IRQS, &wire!(20u32, flags, index, start, count), &fds).map(|_| ())
    }

    pub(crate) fn plain_irqs(&mut self, index: u32, flags: u32, start: u32, count: u32) -> Result<(), Errno> {
        self.set_irqs(index, flags, start, count, &[] as &[&UnixStream])
    }
}
