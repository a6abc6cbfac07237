//! Reads and writes vhost-user messages: a header, a body, and file descriptors.
//!
//! The request loop of crate `vhost` ends a connection at the first message that it finds wrong, before a handler sees
//! it: a ring address that is not aligned is enough, and a guest chooses those. An ended connection aborts QEMU. So the
//! messages are read here, whatever is in them, and always to their end; module `vhost_user` checks their bodies. Their
//! layouts are still the crate's.
//!
//! Source: QEMU, "Vhost-user Protocol", sections "Header" and "Ancillary data".

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendFlags, recv, recvmsg, send};

use crate::stop::{Stop, Waited};

/// Most bytes of a body that are kept; the longest that the protocol defines is a table of 32 memory regions. More is
/// read and dropped, so that the next message is found.
const BODY_KEPT_MAX: usize = 4096;

/// Most descriptors with one message: the protocol's memory table.
const FILES_MAX: usize = 32;

/// Bytes of a body beyond [`BODY_KEPT_MAX`] that are dropped at a time.
const DROPPED_AT_ONCE: usize = 64 * 1024;

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
    /// The length of the body in bytes, as the header declares it.
    pub length: usize,
    /// Its body, or as much as is kept of it.
    pub body: Vec<u8>,
    /// The descriptors that came with it.
    pub files: Vec<OwnedFd>,
    /// More descriptors came with it than this process may open.
    pub files_lost: bool,
}

/// Why no message was read or written.
#[derive(Debug)]
pub enum Gone {
    /// The front-end has disconnected.
    Disconnected,
    /// The process is to end.
    Stopped,
    /// The socket failed.
    Failed(io::Error),
}

impl Message {
    /// Reads the next message.
    ///
    /// # Errors
    /// [`Gone::Disconnected`] when the front-end has disconnected, even in the middle of a message; [`Gone::Stopped`] when
    /// the process is to end; [`Gone::Failed`] when the socket fails.
    pub fn receive(socket: &UnixStream, stop: &Stop) -> Result<Self, Gone> {
        let mut header = [0; HEADER_BYTES];
        let (mut files, mut files_lost) = (Vec::new(), false);
        let mut got = 0;
        while got < HEADER_BYTES {
            let now = when_ready(socket, PollFlags::IN, stop, || {
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_MAX))];
                let mut ancillary = RecvAncillaryBuffer::new(&mut space);
                let into = &mut [IoSliceMut::new(&mut header[got..])];
                let received = recvmsg(socket, into, &mut ancillary, RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT)?;
                files_lost |= received.flags.contains(ReturnFlags::CTRUNC);
                for message in ancillary.drain() {
                    if let RecvAncillaryMessage::ScmRights(more) = message {
                        files.extend(more);
                    }
                }
                Ok(received.bytes)
            })?;
            got = got.saturating_add(now);
        }
        let [code, flags, length] = words(&header);
        let length = length as usize;
        let mut body = vec![0; length.min(BODY_KEPT_MAX)];
        fill(socket, stop, &mut body)?;
        let mut rest = length.saturating_sub(body.len());
        let mut dropped = vec![0; rest.min(DROPPED_AT_ONCE)];
        while rest > 0 {
            // A body of 4 GiB takes a while, however fast the front-end is.
            if stop.is_requested() {
                return Err(Gone::Stopped);
            }
            let now = rest.min(DROPPED_AT_ONCE);
            fill(socket, stop, &mut dropped[..now])?;
            rest = rest.saturating_sub(now);
        }
        Ok(Self { code, flags, length, body, files, files_lost })
    }

    /// Returns whether the sender waits for an answer even if the request has none of its own.
    #[must_use]
    pub const fn wants_acknowledgement(&self) -> bool {
        self.flags & NEED_REPLY != 0
    }

    /// Answers the message with a body.
    ///
    /// # Errors
    /// As for [`receive`](Self::receive).
    pub fn reply(&self, socket: &UnixStream, stop: &Stop, body: &[u8]) -> Result<(), Gone> {
        let bytes = encode(self.code, VERSION_1 | REPLY, body);
        let mut sent = 0;
        while sent < bytes.len() {
            let now = when_ready(socket, PollFlags::OUT, stop, || {
                send(socket, &bytes[sent..], SendFlags::DONTWAIT | SendFlags::NOSIGNAL)
            })?;
            sent = sent.saturating_add(now);
        }
        Ok(())
    }
}

/// Returns the words of a header: code, flags, length of the body.
fn words(header: &[u8; HEADER_BYTES]) -> [u32; 3] {
    let (words, _) = header.as_chunks::<4>();
    std::array::from_fn(|index| words.get(index).map_or(0, |word| u32::from_ne_bytes(*word)))
}

/// Reads as many bytes as there is room for.
fn fill(socket: &UnixStream, stop: &Stop, buffer: &mut [u8]) -> Result<(), Gone> {
    let mut got = 0;
    while got < buffer.len() {
        let now = when_ready(socket, PollFlags::IN, stop, || {
            recv(socket, &mut buffer[got..], RecvFlags::DONTWAIT).map(|(bytes, _)| bytes)
        })?;
        got = got.saturating_add(now);
    }
    Ok(())
}

/// Moves some bytes as soon as the socket is ready for `flags`. None is the end of the connection.
fn when_ready(
    socket: &UnixStream,
    flags: PollFlags,
    stop: &Stop,
    mut act: impl FnMut() -> rustix::io::Result<usize>,
) -> Result<usize, Gone> {
    loop {
        match act() {
            Ok(0) | Err(Errno::PIPE | Errno::CONNRESET) => return Err(Gone::Disconnected),
            Ok(bytes) => return Ok(bytes),
            Err(Errno::AGAIN) => match stop.wait(socket, flags, None) {
                Ok(Waited::Ready | Waited::TimedOut) => {}
                Ok(Waited::Stopped) => return Err(Gone::Stopped),
                Err(error) => return Err(Gone::Failed(error)),
            },
            Err(Errno::INTR) => {}
            Err(error) => return Err(Gone::Failed(error.into())),
        }
    }
}

/// Returns a message as it goes over the socket, without descriptors.
#[must_use]
pub fn encode(code: u32, flags: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES.saturating_add(body.len()));
    for word in [code, flags, body.len() as u32] {
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    bytes.extend_from_slice(body);
    bytes
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_body_of_any_length_is_read_to_its_end() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let stop = Stop::new().unwrap();
        let writer = std::thread::spawn(move || {
            far.write_all(&encode(999, 0xdead_beef, &[7; 100_000])).unwrap();
            far.write_all(&encode(1, VERSION_1, &[])).unwrap();
        });
        let first = Message::receive(&near, &stop).unwrap();
        assert_eq!((first.code, first.length, first.body.len()), (999, 100_000, BODY_KEPT_MAX));
        let second = Message::receive(&near, &stop).unwrap();
        assert_eq!((second.code, second.length), (1, 0));
        writer.join().unwrap();
        assert!(matches!(Message::receive(&near, &stop), Err(Gone::Disconnected)));
    }

    #[test]
    fn a_disconnection_in_the_middle_of_a_message_is_a_disconnection() {
        let (near, mut far) = UnixStream::pair().unwrap();
        far.write_all(&encode(1, VERSION_1, &[1, 2, 3])[..14]).unwrap();
        drop(far);
        assert!(matches!(Message::receive(&near, &Stop::new().unwrap()), Err(Gone::Disconnected)));
    }

    #[test]
    fn gives_up_half_a_message_and_an_unread_answer_when_the_process_is_to_end() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let stop = Stop::new().unwrap();
        stop.request();
        far.write_all(&encode(1, VERSION_1, &[])).unwrap();
        far.write_all(&encode(1, VERSION_1, &[1, 2, 3])[..14]).unwrap();
        let whole = Message::receive(&near, &stop).unwrap();
        assert!(matches!(Message::receive(&near, &stop), Err(Gone::Stopped)));
        assert!(matches!(whole.reply(&near, &stop, &vec![0; 8 << 20]), Err(Gone::Stopped)));
    }
}
