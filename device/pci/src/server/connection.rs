//! Reads and writes whole messages, over a connection whose client may stop anywhere.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFlags, epoll};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recv,
    recvmsg, sendmsg,
};
use zerocopy::{FromBytes, IntoBytes};

use super::messages::{FDS_MAX, Header, MESSAGE_BYTES_MAX};
use crate::listener::Listener;
use crate::stop::{Stop, wait};

/// How long a client may take to send the rest of a message, or to read a reply: the time after which QEMU gives up too.
const MESSAGE_TIME_MAX: Duration = Duration::from_secs(5);

/// How long a client may take to notice that the server ends the connection.
const CLOSE_TIME_MAX: Duration = Duration::from_millis(500);

/// A message of the client.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) header: Header,
    pub(super) payload: Vec<u8>,
    pub(super) fds: Vec<OwnedFd>,
}

/// Why a connection is given up.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    #[error("the client announces a message of {0} bytes; messages have 16 to {MESSAGE_BYTES_MAX}")]
    Size(u32),
    #[error("the client sends more than {FDS_MAX} descriptors with a message")]
    TooManyFds,
    #[error("the client has disconnected within a message")]
    CutShort,
    #[error("the client has not completed a message within {} s", MESSAGE_TIME_MAX.as_secs())]
    TooSlow,
    #[error("the client does not read its replies")]
    Unread,
    #[error("the server ends")]
    Stopped,
    #[error("{0}")]
    Host(#[from] io::Error),
}

impl From<Errno> for ConnectionError {
    fn from(error: Errno) -> Self {
        Self::Host(error.into())
    }
}

/// What the server waits for between messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    Stop,
    Message,
    OtherClient,
}

/// How many kinds of [`Awaited`] there are.
const AWAITED: usize = 3;

/// A connection to a client.
pub(super) struct Connection<'a> {
    stream: UnixStream,
    stop: &'a Stop,
    /// Clients that come while this one is connected are turned away.
    listener: &'a Listener,
    /// Watches all that the server waits for between messages, so that a message costs no look at the others.
    awaited: OwnedFd,
}

impl<'a> Connection<'a> {
    /// Returns a connection over a stream, until `stop` is requested.
    ///
    /// # Errors
    /// The host's error, when it has no descriptor left.
    pub(super) fn new(stream: UnixStream, stop: &'a Stop, listener: &'a Listener) -> io::Result<Self> {
        let awaited = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let watched: [_; AWAITED] = [
            (Awaited::Stop, stop.as_fd()),
            (Awaited::Message, stream.as_fd()),
            (Awaited::OtherClient, listener.as_fd()),
        ];
        for (what, fd) in watched {
            epoll::add(&awaited, fd, epoll::EventData::new_u64(what as u64), epoll::EventFlags::IN)?;
        }
        Ok(Self { stream, stop, listener, awaited })
    }

    /// Waits for the next message; `None` when the client has disconnected, or the server is to end.
    ///
    /// # Errors
    /// [`ConnectionError`], when what comes is no message: nothing after it can be understood.
    pub(super) fn next(&mut self) -> Result<Option<Message>, ConnectionError> {
        if !self.idle()? {
            return Ok(None);
        }
        let mut deadline = None;
        let mut fds = Vec::new();
        let mut header = Header::default();
        let got = self.fill(header.as_mut_bytes(), &mut fds, &mut deadline)?;
        if got == 0 {
            return Ok(None);
        }
        if got < size_of::<Header>() {
            return Err(ConnectionError::CutShort);
        }
        let payload = (header.bytes as usize).checked_sub(size_of::<Header>());
        let payload = payload.filter(|_| header.bytes as usize <= MESSAGE_BYTES_MAX);
        let Some(bytes) = payload else { return Err(ConnectionError::Size(header.bytes)) };
        let mut payload = vec![0; bytes];
        if self.fill(&mut payload, &mut fds, &mut deadline)? < bytes {
            return Err(ConnectionError::CutShort);
        }
        Ok(Some(Message { header, payload, fds }))
    }

    /// Ends the connection so that the client notices before a message of its own fails: QEMU 11.1 aborts when it writes
    /// to a socket that is closed already.
    pub(super) fn close(self) {
        let _ = self.stream.shutdown(Shutdown::Write);
        let deadline = Instant::now() + CLOSE_TIME_MAX;
        let mut bytes = [0; 4096];
        while matches!(wait(&[(self.stream.as_fd(), PollFlags::IN)], Some(deadline)), Ok([true])) {
            // What still comes is dropped, its descriptors too.
            match recv(&self.stream, &mut bytes[..], RecvFlags::DONTWAIT) {
                Ok((count, _)) if count > 0 => {}
                Err(Errno::AGAIN | Errno::INTR) => {}
                _ => return,
            }
        }
    }

    /// Waits until a message begins. False when the server is to end.
    fn idle(&self) -> Result<bool, ConnectionError> {
        loop {
            let mut found = [MaybeUninit::uninit(); AWAITED];
            let found = match epoll::wait(&self.awaited, &mut found, None) {
                Ok((found, _)) => found,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let is = |what: Awaited| found.iter().any(|event| event.data.u64() == what as u64);
            if is(Awaited::Stop) || is(Awaited::Message) {
                return Ok(!is(Awaited::Stop));
            }
            if is(Awaited::OtherClient) && self.listener.accept()?.is_some() {
                log::warn!("another client is turned away: one is connected, and a card is in one machine at a time");
            }
        }
    }

    /// Reads until `data` is full or the client has disconnected; returns how many bytes came. It waits only for what has not
    /// come, because a message comes whole from any client but a hostile one; `deadline` begins with the first wait.
    fn fill(
        &self,
        data: &mut [u8],
        fds: &mut Vec<OwnedFd>,
        deadline: &mut Option<Instant>,
    ) -> Result<usize, ConnectionError> {
        let mut done = 0;
        while done < data.len() {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut part = [IoSliceMut::new(&mut data[done..])];
            let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
            let received = match recvmsg(&self.stream, &mut part, &mut control, flags) {
                Ok(received) => received,
                Err(Errno::AGAIN) => {
                    self.wait_for_more(*deadline.get_or_insert_with(|| Instant::now() + MESSAGE_TIME_MAX))?;
                    continue;
                }
                Err(Errno::INTR) => continue,
                Err(Errno::CONNRESET) => return Ok(done),
                Err(error) => return Err(error.into()),
            };
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(rights) = message {
                    fds.extend(rights);
                }
            }
            if fds.len() > FDS_MAX || received.flags.contains(rustix::net::ReturnFlags::CTRUNC) {
                return Err(ConnectionError::TooManyFds);
            }
            if received.bytes == 0 {
                return Ok(done);
            }
            done += received.bytes;
        }
        Ok(done)
    }

    /// Waits for the rest of a message.
    fn wait_for_more(&self, deadline: Instant) -> Result<(), ConnectionError> {
        let fds = [(self.stop.as_fd(), PollFlags::IN), (self.stream.as_fd(), PollFlags::IN)];
        match wait(&fds, Some(deadline))? {
            [true, _] => Err(ConnectionError::Stopped),
            [false, true] => Ok(()),
            [false, false] => Err(ConnectionError::TooSlow),
        }
    }

    /// Sends a message, with a descriptor or without.
    ///
    /// # Errors
    /// [`ConnectionError`], when the client does not read, or has disconnected.
    pub(super) fn send(
        &self,
        mut header: Header,
        payload: &[u8],
        fd: Option<BorrowedFd<'_>>,
    ) -> Result<(), ConnectionError> {
        let bytes = size_of::<Header>() + payload.len();
        header.bytes = u32::try_from(bytes).map_err(|_| ConnectionError::Size(u32::MAX))?;
        let mut message = header.as_bytes().to_vec();
        message.extend_from_slice(payload);
        let deadline = Instant::now() + MESSAGE_TIME_MAX;
        let mut rest = &message[..];
        while !rest.is_empty() {
            // The descriptor goes with the first bytes.
            let fds = fd.as_slice().get(..usize::from(rest.len() == bytes)).unwrap_or_default();
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !fds.is_empty() {
                control.push(SendAncillaryMessage::ScmRights(fds));
            }
            match sendmsg(&self.stream, &[IoSlice::new(rest)], &mut control, SendFlags::NOSIGNAL) {
                Ok(sent) => rest = &rest[sent..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    let fds = [(self.stop.as_fd(), PollFlags::IN), (self.stream.as_fd(), PollFlags::OUT)];
                    match wait(&fds, Some(deadline))? {
                        [true, _] => return Err(ConnectionError::Stopped),
                        [false, true] => {}
                        [false, false] => return Err(ConnectionError::Unread),
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Reads a structure from the start of a payload, and returns what follows.
pub(super) fn parse<T: FromBytes>(payload: &[u8]) -> Option<(T, &[u8])> {
    T::read_from_prefix(payload).ok()
}
