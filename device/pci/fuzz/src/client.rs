//! A client that sends what an input says.

use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

/// How long an answer may take: the server's own limits are 5 s, and machines are busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Length of the files in memory.
pub(super) const FILE_BYTES: u64 = 0x1_0000;

/// `VERSION` of a client that says nothing of itself.
const GREETING: &[u8] = b"\0\0\0\0{}\0";

/// Descriptors that a message may carry, right or wrong for it.
pub(super) struct Descriptors {
    /// Two files in memory, which an input may cut short.
    pub(super) files: [File; 2],
    others: Vec<OwnedFd>,
}

impl Descriptors {
    /// Makes them.
    ///
    /// # Panics
    /// When the host has no more.
    pub(super) fn new() -> Self {
        let file = || {
            let file = File::from(memfd_create("fuzz", MemfdFlags::CLOEXEC).expect("a memory file"));
            file.set_len(FILE_BYTES).expect("a length");
            file
        };
        let (read, write) = std::io::pipe().expect("a pipe");
        let (full_read, full) = std::io::pipe().expect("a pipe");
        rustix::io::ioctl_fionbio(&full, true).expect("a pipe can be made non-blocking");
        while (&full).write(&[0; 4096]).is_ok() {}
        rustix::io::ioctl_fionbio(&full, false).expect("a pipe can be made blocking");
        let event = |flags| eventfd(0, flags).expect("an eventfd");
        let open = |path| OwnedFd::from(File::open(path).expect("a device"));
        let others = vec![
            event(EventfdFlags::NONBLOCK),
            event(EventfdFlags::empty()),
            event(EventfdFlags::SEMAPHORE),
            read.into(),
            write.into(),
            full.into(),
            full_read.into(),
            open("/dev/zero"),
            open("/dev/null"),
            open("/"),
        ];
        Self { files: [file(), file()], others }
    }

    /// Returns the descriptor that a byte of an input stands for; 0 stands for none.
    pub(super) fn get(&self, byte: u8) -> Option<BorrowedFd<'_>> {
        let index = usize::from(byte.checked_sub(1)?) % (self.files.len() + self.others.len());
        Some(self.files.get(index).map_or_else(|| self.others[index - self.files.len()].as_fd(), File::as_fd))
    }
}

/// A connection to the server.
pub(super) struct Client {
    stream: UnixStream,
    id: u16,
}

impl Client {
    /// Connects.
    ///
    /// # Panics
    /// When the server does not listen.
    pub(super) fn connect(address: &SocketAddr) -> Self {
        let stream = UnixStream::connect_addr(address).expect("the server listens");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self { stream, id: 0 }
    }

    /// Greets the server. False when it has turned the client away.
    pub(super) fn greet(&mut self) -> bool {
        self.send(1, 0, GREETING, None, &[]);
        self.reply().is_some()
    }

    /// Sends a message, or what looks like one. A connection that the server has ended takes nothing.
    pub(super) fn send(
        &mut self,
        command: u16,
        flags: u32,
        payload: &[u8],
        bytes: Option<u32>,
        fds: &[BorrowedFd<'_>],
    ) {
        self.id = self.id.wrapping_add(1);
        let mut message = Vec::new();
        message.extend_from_slice(&self.id.to_ne_bytes());
        message.extend_from_slice(&command.to_ne_bytes());
        message.extend_from_slice(&bytes.unwrap_or(16 + payload.len() as u32).to_ne_bytes());
        message.extend_from_slice(&flags.to_ne_bytes());
        message.extend_from_slice(&[0; 4]);
        message.extend_from_slice(payload);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(32))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(fds));
        }
        loop {
            match sendmsg(&self.stream, &[IoSlice::new(&message)], &mut control, SendFlags::NOSIGNAL) {
                Ok(sent) => return self.raw(&message[sent..]),
                Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    /// Sends bytes.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            match rustix::net::send(&self.stream, rest, SendFlags::NOSIGNAL) {
                Ok(sent) => rest = &rest[sent..],
                Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    /// Reads a reply: its payload, or nothing when it is an error. `None` when the server has ended the connection.
    ///
    /// # Panics
    /// When nothing comes, or no reply.
    pub(super) fn reply(&mut self) -> Option<Vec<u8>> {
        let mut header = [0; 16];
        match retried(|| self.stream.read(&mut header[..1])) {
            Ok(1) => self.stream.read_exact(&mut header[1..]).expect("a whole header"),
            Ok(_) => return None,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
            Err(error) => panic!("the server does not answer: {error}"),
        }
        let word = |at: usize| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        assert_eq!(word(8) & 0xf, 1, "what the server sends is a reply");
        let mut payload = vec![0; word(4) as usize - header.len()];
        self.stream.read_exact(&mut payload).expect("a whole reply");
        Some(payload)
    }

    /// Reads all replies that are there.
    pub(super) fn drain(&mut self) {
        let mut bytes = [0; 0x1_0000];
        self.stream.set_nonblocking(true).expect("a socket");
        while matches!(self.stream.read(&mut bytes), Ok(count) if count > 0) {}
        self.stream.set_nonblocking(false).expect("a socket");
    }

    /// Says that nothing follows, and waits until the server has ended the connection.
    ///
    /// # Panics
    /// When it does not.
    pub(super) fn finish(mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
        let mut bytes = [0; 0x1_0000];
        loop {
            match retried(|| self.stream.read(&mut bytes)) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return,
                Err(error) => panic!("the server keeps a connection that has ended: {error}"),
            }
        }
    }
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
