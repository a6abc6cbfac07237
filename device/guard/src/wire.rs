//! Reads and writes vhost-user messages: a header, a body, and file descriptors.
//!
//! A message is read whatever is in it, and always to its end, so that the next one is found.
//!
//! Source: QEMU, "Vhost-user Protocol", sections "Header" and "Ancillary data".

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recv, recvmsg, send, sendmsg,
};
use vhost::vhost_user::message::MAX_MSG_SIZE;
use vm_memory::ByteValued;

use crate::limits::TABLE_REGIONS_MAX;

/// Bytes of a body beyond those that are kept, dropped at a time.
const DROPPED_AT_ONCE: usize = 64 * 1024;

/// Length of the header in bytes.
pub(crate) const HEADER_BYTES: usize = 12;

/// Flag: protocol version 1, in every message.
pub(crate) const VERSION_1: u32 = 0x1;
/// The bits of the version.
pub(crate) const VERSION: u32 = 0x3;
/// Flag: this is an answer.
pub(crate) const REPLY: u32 = 0x4;
/// Flag: the sender waits for an answer even to a request that has none of its own.
pub(crate) const NEED_REPLY: u32 = 0x8;

/// A message.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) code: u32,
    pub(crate) flags: u32,
    /// The length of the body in bytes, as the header declares it.
    pub(crate) length: usize,
    /// The body, or as much as the framework would take of it.
    pub(crate) body: Vec<u8>,
    pub(crate) files: Vec<OwnedFd>,
    /// More descriptors came with it than this process may open.
    pub(crate) files_lost: bool,
}

/// Why no message was read or written.
#[derive(Debug)]
pub(crate) enum Gone {
    /// The peer has disconnected.
    Disconnected,
    /// The guard is to end.
    Stopped,
    /// The time is over.
    TimedOut,
    /// The socket failed.
    Failed(io::Error),
}

/// What bounds a wait: the descriptor that ends the guard, and a time.
#[derive(Clone, Copy)]
pub(crate) struct Until<'a> {
    pub(crate) stop: BorrowedFd<'a>,
    pub(crate) deadline: Option<Instant>,
}

impl Until<'_> {
    /// Waits until `socket` is ready for one of `flags`.
    fn ready(&self, socket: &UnixStream, flags: PollFlags) -> Result<(), Gone> {
        let mut watched =
            [PollFd::from_borrowed_fd(self.stop, PollFlags::IN), PollFd::from_borrowed_fd(socket.as_fd(), flags)];
        wait_for(&mut watched, self.deadline).map_err(Gone::Failed)?;
        match watched.each_ref().map(|fd| !fd.revents().is_empty()) {
            [true, _] => Err(Gone::Stopped),
            [false, true] => Ok(()),
            [false, false] => Err(Gone::TimedOut),
        }
    }

    /// Moves some bytes as soon as the socket is ready. None is the end of the connection.
    fn moved(
        &self,
        socket: &UnixStream,
        flags: PollFlags,
        mut act: impl FnMut() -> rustix::io::Result<usize>,
    ) -> Result<usize, Gone> {
        loop {
            match act() {
                Ok(0) | Err(Errno::PIPE | Errno::CONNRESET) => return Err(Gone::Disconnected),
                Ok(bytes) => return Ok(bytes),
                Err(Errno::AGAIN) => self.ready(socket, flags)?,
                Err(Errno::INTR) => {}
                Err(error) => return Err(Gone::Failed(error.into())),
            }
        }
    }

    /// Reads as many bytes as there is room for.
    fn fill(&self, socket: &UnixStream, buffer: &mut [u8]) -> Result<(), Gone> {
        let mut rest = buffer;
        while !rest.is_empty() {
            let now =
                self.moved(socket, PollFlags::IN, || recv(socket, &mut *rest, RecvFlags::DONTWAIT).map(|got| got.0))?;
            rest = rest.get_mut(now..).unwrap_or_default();
        }
        Ok(())
    }
}

impl Message {
    /// Reads the next message.
    pub(crate) fn receive(socket: &UnixStream, until: Until<'_>) -> Result<Self, Gone> {
        let mut header = [0; HEADER_BYTES];
        let (mut files, mut files_lost) = (Vec::new(), false);
        let mut rest = header.as_mut_slice();
        while !rest.is_empty() {
            let now = until.moved(socket, PollFlags::IN, || {
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(TABLE_REGIONS_MAX))];
                let mut ancillary = RecvAncillaryBuffer::new(&mut space);
                let into = &mut [IoSliceMut::new(rest)];
                let received = recvmsg(socket, into, &mut ancillary, RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT)?;
                files_lost |= received.flags.contains(ReturnFlags::CTRUNC);
                for message in ancillary.drain() {
                    if let RecvAncillaryMessage::ScmRights(more) = message {
                        // A sender can attach some to each byte of a header.
                        for file in more {
                            if files.len() < TABLE_REGIONS_MAX {
                                files.push(file);
                            } else {
                                files_lost = true;
                            }
                        }
                    }
                }
                Ok(received.bytes)
            })?;
            rest = rest.get_mut(now..).unwrap_or_default();
        }
        let [code, flags, length] = words(&header);
        let length = length as usize;
        let mut body = vec![0; length.min(MAX_MSG_SIZE)];
        until.fill(socket, &mut body)?;
        let mut left = length.saturating_sub(body.len());
        let mut dropped = vec![0; left.min(DROPPED_AT_ONCE)];
        while left > 0 {
            // A body of 4 GiB takes a while, however fast the sender is.
            if is_readable(until.stop) {
                return Err(Gone::Stopped);
            }
            if until.deadline.is_some_and(|deadline| Instant::now() > deadline) {
                return Err(Gone::TimedOut);
            }
            let now = dropped.get_mut(..left.min(DROPPED_AT_ONCE)).unwrap_or_default();
            let count = now.len();
            until.fill(socket, now)?;
            left = left.saturating_sub(count);
        }
        Ok(Self { code, flags, length, body, files, files_lost })
    }

    /// Returns whether the sender waits for an answer even if the request has none of its own.
    pub(crate) const fn wants_acknowledgement(&self) -> bool {
        self.flags & NEED_REPLY != 0
    }

    /// Returns the structure that the body begins with, and what follows.
    pub(crate) fn split<T: ByteValued + Default>(&self) -> Option<(T, &[u8])> {
        let (head, rest) = self.body.split_at_checked(size_of::<T>())?;
        let mut value = T::default();
        value.as_mut_slice().copy_from_slice(head);
        Some((value, rest))
    }

    /// Returns the body as one structure, if it has that length.
    pub(crate) fn read<T: ByteValued + Default>(&self) -> Option<T> {
        if self.length == size_of::<T>() { self.split().map(|(value, _)| value) } else { None }
    }
}

/// Sends a message. It goes out in one piece, because the framework reads a body by one call.
pub(crate) fn transmit(
    socket: &UnixStream,
    until: Until<'_>,
    (code, flags): (u32, u32),
    body: &[u8],
    files: &[BorrowedFd<'_>],
) -> Result<(), Gone> {
    let bytes = encode(code, flags, body);
    let with_files = |bytes: &[u8]| {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(TABLE_REGIONS_MAX))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !files.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(files)) {
            return Err(Errno::TOOBIG);
        }
        sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)
    };
    let sent = until.moved(socket, PollFlags::OUT, || with_files(&bytes))?;
    let mut rest = bytes.get(sent..).unwrap_or_default();
    while !rest.is_empty() {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let sent = until.moved(socket, PollFlags::OUT, || send(socket, rest, flags))?;
        rest = rest.get(sent..).unwrap_or_default();
    }
    Ok(())
}

/// Returns the words of a header: code, flags, length of the body.
fn words(header: &[u8; HEADER_BYTES]) -> [u32; 3] {
    let (words, _) = header.as_chunks::<4>();
    std::array::from_fn(|index| words.get(index).map_or(0, |word| u32::from_ne_bytes(*word)))
}

/// Returns a message as it goes over the socket, without descriptors.
pub(crate) fn encode(code: u32, flags: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES.saturating_add(body.len()));
    for word in [code, flags, body.len() as u32] {
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    bytes.extend_from_slice(body);
    bytes
}

/// Polls until something is ready or the time is over; signals do not end it.
pub(crate) fn wait_for(watched: &mut [PollFd<'_>], deadline: Option<Instant>) -> io::Result<()> {
    loop {
        let left = deadline.map(|deadline| {
            let left = deadline.saturating_duration_since(Instant::now());
            Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 0, tv_nsec: 0 })
        });
        match poll(watched, left.as_ref()) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Returns whether a descriptor can be read now.
pub(crate) fn is_readable(fd: BorrowedFd<'_>) -> bool {
    let mut watched = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let _ = poll(&mut watched, Some(&now));
    watched.iter().any(|fd| fd.revents().contains(PollFlags::IN))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn forever(stop: &io::PipeReader) -> Until<'_> {
        Until { stop: stop.as_fd(), deadline: None }
    }

    #[test]
    fn a_body_of_any_length_is_read_to_its_end() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let (stop, _request) = io::pipe().unwrap();
        let writer = std::thread::spawn(move || {
            far.write_all(&encode(999, 0xdead_beef, &[7; 100_000])).unwrap();
            far.write_all(&encode(1, VERSION_1, &[])).unwrap();
        });
        let first = Message::receive(&near, forever(&stop)).unwrap();
        assert_eq!((first.code, first.length, first.body.len()), (999, 100_000, MAX_MSG_SIZE));
        let second = Message::receive(&near, forever(&stop)).unwrap();
        assert_eq!((second.code, second.length), (1, 0));
        writer.join().unwrap();
        assert!(matches!(Message::receive(&near, forever(&stop)), Err(Gone::Disconnected)));
    }

    #[test]
    fn half_a_message_ends_with_the_connection_the_stop_or_the_time() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let (stop, mut request) = io::pipe().unwrap();
        far.write_all(&encode(1, VERSION_1, &[1, 2, 3])[..14]).unwrap();
        let late = Until { stop: stop.as_fd(), deadline: Some(Instant::now()) };
        assert!(matches!(Message::receive(&near, late), Err(Gone::TimedOut)));
        far.write_all(&encode(1, VERSION_1, &[1, 2, 3])[..14]).unwrap();
        request.write_all(b"x").unwrap();
        assert!(matches!(Message::receive(&near, forever(&stop)), Err(Gone::Stopped)));
        let (stop, _request) = io::pipe().unwrap();
        drop(far);
        assert!(matches!(Message::receive(&near, forever(&stop)), Err(Gone::Disconnected)));
    }

    #[test]
    fn descriptors_attached_to_every_byte_of_a_header_are_bounded() {
        let (near, far) = UnixStream::pair().unwrap();
        let (stop, _request) = io::pipe().unwrap();
        let bytes = encode(1, VERSION_1, &[]);
        for byte in &bytes {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(TABLE_REGIONS_MAX))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            let files = [far.as_fd(); TABLE_REGIONS_MAX];
            assert!(ancillary.push(SendAncillaryMessage::ScmRights(&files)));
            sendmsg(&far, &[IoSlice::new(&[*byte])], &mut ancillary, SendFlags::empty()).unwrap();
        }
        let message = Message::receive(&near, forever(&stop)).unwrap();
        assert_eq!((message.files.len(), message.files_lost), (TABLE_REGIONS_MAX, true));
    }
}
