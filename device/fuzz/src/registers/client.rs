//! A vfio-user client: QEMU, as far as a card sees it.

use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

/// How long an answer may take: machines are busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Commands (libvfio-user, "vfio-user Protocol", section "Message sizes and commands").
pub(in super::super) mod command {
    /// Agrees on the protocol's version.
    pub(in super::super::super) const VERSION: u16 = 1;
    /// Gives a range of guest memory.
    pub(in super::super::super) const DMA_MAP: u16 = 2;
    /// Takes a range of guest memory back.
    pub(in super::super::super) const DMA_UNMAP: u16 = 3;
    /// Sets eventfds of interrupts, masks them, or signals one.
    pub(in super::super::super) const SET_IRQS: u16 = 8;
    /// Reads from a region.
    pub(in super::super::super) const REGION_READ: u16 = 9;
    /// Writes to a region.
    pub(in super::super::super) const REGION_WRITE: u16 = 10;
    /// Resets the function.
    pub(in super::super::super) const RESET: u16 = 13;
}

/// The region of configuration space.
pub(super) const CONFIG: u32 = 7;

/// Bytes of a message's header.
const HEADER_BYTES: usize = 16;

/// The type of a message that is a reply, and the flag of one that is an error.
const REPLY: u32 = 1;
const ERROR: u32 = 1 << 5;

/// Most descriptors of a message.
const FILES_MAX: usize = 16;

/// `VERSION` of a client that takes several descriptors: major 0, minor 1.
const GREETING: &[u8] = b"\0\0\x01\0{\"capabilities\":{\"max_msg_fds\":16}}\0";

/// A connection to a card.
pub(super) struct Client {
    stream: UnixStream,
    id: u16,
}

impl Client {
    /// Greets the card.
    ///
    /// # Panics
    /// When it does not take the client.
    pub(super) fn new(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        let mut client = Self { stream, id: 0 };
        client.ask(command::VERSION, GREETING, &[]).expect("the card takes a client");
        client
    }

    /// Sends a message and returns the payload of its reply.
    ///
    /// # Errors
    /// The error that the reply carries.
    ///
    /// # Panics
    /// When the card disconnects, does not answer, or answers another message.
    pub(super) fn ask(&mut self, command: u16, payload: &[u8], files: &[BorrowedFd<'_>]) -> Result<Vec<u8>, Errno> {
        self.id = self.id.wrapping_add(1);
        let bytes = (HEADER_BYTES + payload.len()) as u32;
        let head = [self.id.to_ne_bytes(), command.to_ne_bytes()].concat();
        let message = [&head[..], &bytes.to_ne_bytes(), &[0; 8], payload].concat();
        self.send(&message, files);
        let mut header = [0; HEADER_BYTES];
        self.receive(&mut header);
        let word = |at: usize| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        assert_eq!([header[0], header[1]], self.id.to_ne_bytes(), "the reply is to another message");
        assert_eq!(word(8) & 0xf, REPLY, "what the card sends is a reply");
        let mut payload = vec![0; word(4) as usize - HEADER_BYTES];
        self.receive(&mut payload);
        if word(8) & ERROR == 0 { Ok(payload) } else { Err(Errno::from_raw_os_error(word(12) as i32)) }
    }

    /// Reads from a region. `None` is an error of a transfer that cannot be.
    pub(super) fn read(&mut self, region: u32, offset: u64, bytes: usize) -> Option<Vec<u8>> {
        let access = access(region, offset, bytes);
        let reply = self.ask(command::REGION_READ, &access, &[]).ok()?;
        assert_eq!(reply.len(), access.len() + bytes, "as many bytes as were asked for");
        Some(reply[access.len()..].to_vec())
    }

    /// Writes to a region. False is an error of a transfer that cannot be.
    pub(super) fn write(&mut self, region: u32, offset: u64, data: &[u8]) -> bool {
        let payload = [&access(region, offset, data.len()), data].concat();
        self.ask(command::REGION_WRITE, &payload, &[]).is_ok()
    }

    /// Disconnects, and waits until the card has noticed.
    ///
    /// # Panics
    /// When it does not.
    pub(super) fn disconnect(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
        let left = retried(|| self.stream.read(&mut [0; 64]));
        assert!(matches!(left, Ok(0)), "the card says something to a client that has gone: {left:?}");
    }

    fn send(&mut self, bytes: &[u8], files: &[BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !files.is_empty() {
            assert!(control.push(SendAncillaryMessage::ScmRights(files)), "at most {FILES_MAX} descriptors");
        }
        let pieces = [IoSlice::new(bytes)];
        let sent = rustix::io::retry_on_intr(|| sendmsg(&self.stream, &pieces, &mut control, SendFlags::NOSIGNAL));
        let sent = sent.expect("the card reads what it is sent");
        self.stream.write_all(&bytes[sent..]).expect("the card reads what it is sent");
    }

    fn receive(&mut self, bytes: &mut [u8]) {
        let mut filled = 0;
        while filled < bytes.len() {
            let got = retried(|| self.stream.read(&mut bytes[filled..])).expect("the card answers");
            assert_ne!(got, 0, "the card has disconnected");
            filled += got;
        }
    }
}

/// Returns the head of an access to a region.
fn access(region: u32, offset: u64, bytes: usize) -> Vec<u8> {
    [&offset.to_ne_bytes()[..], &region.to_ne_bytes(), &(bytes as u32).to_ne_bytes()].concat()
}

/// Repeats a call that a signal has interrupted: the fuzzer has a timer.
fn retried<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
