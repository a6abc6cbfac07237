//! Vhost-user messages as they lie on the socket: a header, a body, and file descriptors.
//!
//! The request loop of crate `vhost` ends a connection at the first message that it finds wrong, before a handler sees
//! it: a ring address that is not aligned is enough, and a guest chooses those. An ended connection aborts QEMU. So the
//! messages are read here, whatever they say, and always to their end: what is in a body is for
//! [`vhost_user`](super::vhost_user) to judge. Their layouts are still the crate's.
//!
//! Source: QEMU, "Vhost-user Protocol", sections "Header" and "Ancillary data".

use std::io::{self, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

/// Most bytes of a body that are kept; the longest that the protocol defines is a table of 32 memory regions. More is
/// read and dropped, so that the next message is found.
const BODY_KEPT_MAX: usize = 4096;

/// Most descriptors with one message: the protocol's memory table.
const FILES_MAX: usize = 32;

/// Length of the header in bytes.
pub const HEADER_BYTES: usize = 12;

/// Flag: protocol version 1, in every message.
const VERSION_1: u32 = 0x1;
/// Flag: this is an answer.
const REPLY: u32 = 0x4;
/// Flag: the sender waits for an answer even to a request that has none of its own.
const NEED_REPLY: u32 = 0x8;

/// A message.
#[derive(Debug)]
pub struct Message {
    /// The request's number.
    pub code: u32,
    /// Its flags.
    pub flags: u32,
    /// How long its header says that its body is.
    pub length: usize,
    /// Its body, or as much as is kept of it.
    pub body: Vec<u8>,
    /// What came with it.
    pub files: Vec<OwnedFd>,
}

impl Message {
    /// Reads the next message. `None` when the front-end has left.
    ///
    /// # Errors
    /// The socket failed, or the front-end left in the middle of a message.
    pub fn receive(socket: &mut UnixStream) -> io::Result<Option<Self>> {
        let mut header = [0; HEADER_BYTES];
        let mut files = Vec::new();
        let mut got = 0;
        while got < HEADER_BYTES {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_MAX))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let into = &mut [IoSliceMut::new(&mut header[got..])];
            let received = match recvmsg(&*socket, into, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
                Ok(received) => received.bytes,
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            for message in ancillary.drain() {
                if let RecvAncillaryMessage::ScmRights(more) = message {
                    files.extend(more);
                }
            }
            match (received, got) {
                (0, 0) => return Ok(None),
                (0, _) => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => got += received,
            }
        }
        let word = |at: usize| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let length = word(8) as usize;
        let mut body = vec![0; length.min(BODY_KEPT_MAX)];
        socket.read_exact(&mut body)?;
        let rest = (length - body.len()) as u64;
        let dropped = io::copy(&mut Read::take(&mut *socket, rest), &mut io::sink())?;
        if dropped < rest {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Some(Self { code: word(0), flags: word(4), length, body, files }))
    }

    /// Whether the sender waits for an answer even if the request has none of its own.
    #[must_use]
    pub const fn wants_acknowledgement(&self) -> bool {
        self.flags & NEED_REPLY != 0
    }

    /// Answers it.
    ///
    /// # Errors
    /// The socket failed.
    pub fn reply(&self, socket: &mut UnixStream, body: &[u8]) -> io::Result<()> {
        socket.write_all(&encode(self.code, VERSION_1 | REPLY, body))
    }
}

/// A message as it goes over the socket, without descriptors.
#[must_use]
pub fn encode(code: u32, flags: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
    for word in [code, flags, body.len() as u32] {
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    bytes.extend_from_slice(body);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_of_any_length_is_read_to_its_end() {
        let (mut near, mut far) = UnixStream::pair().unwrap();
        let writer = std::thread::spawn(move || {
            far.write_all(&encode(999, 0xdead_beef, &[7; 100_000])).unwrap();
            far.write_all(&encode(1, VERSION_1, &[])).unwrap();
        });
        let first = Message::receive(&mut near).unwrap().unwrap();
        assert_eq!((first.code, first.length, first.body.len()), (999, 100_000, BODY_KEPT_MAX));
        let second = Message::receive(&mut near).unwrap().unwrap();
        assert_eq!((second.code, second.length), (1, 0));
        writer.join().unwrap();
        assert!(Message::receive(&mut near).unwrap().is_none());
    }

    #[test]
    fn leaving_in_the_middle_of_a_message_is_an_error() {
        let (mut near, mut far) = UnixStream::pair().unwrap();
        far.write_all(&encode(1, VERSION_1, &[1, 2, 3])[..14]).unwrap();
        drop(far);
        assert_eq!(Message::receive(&mut near).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
