//! A vhost-user front-end that can send any bytes, and never waits without a bound.
//!
//! Source: QEMU, "Vhost-user Protocol".

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recv, sendmsg};

use super::waiting::Wait;

/// Numbers of requests.
pub(super) mod request {
    /// `VHOST_USER_GET_FEATURES`.
    pub(crate) const GET_FEATURES: u32 = 1;
    /// `VHOST_USER_SET_FEATURES`.
    pub(crate) const SET_FEATURES: u32 = 2;
    /// `VHOST_USER_SET_OWNER`.
    pub(crate) const SET_OWNER: u32 = 3;
    /// `VHOST_USER_SET_MEM_TABLE`.
    pub(crate) const SET_MEM_TABLE: u32 = 5;
    /// `VHOST_USER_SET_VRING_NUM`.
    pub(crate) const SET_VRING_NUM: u32 = 8;
    /// `VHOST_USER_SET_VRING_ADDR`.
    pub(crate) const SET_VRING_ADDR: u32 = 9;
    /// `VHOST_USER_SET_VRING_BASE`.
    pub(crate) const SET_VRING_BASE: u32 = 10;
    /// `VHOST_USER_GET_VRING_BASE`.
    pub(crate) const GET_VRING_BASE: u32 = 11;
    /// `VHOST_USER_SET_VRING_KICK`.
    pub(crate) const SET_VRING_KICK: u32 = 12;
    /// `VHOST_USER_SET_VRING_CALL`.
    pub(crate) const SET_VRING_CALL: u32 = 13;
    /// `VHOST_USER_SET_PROTOCOL_FEATURES`.
    pub(crate) const SET_PROTOCOL_FEATURES: u32 = 16;
    /// `VHOST_USER_SET_VRING_ENABLE`.
    pub(crate) const SET_VRING_ENABLE: u32 = 18;
    /// `VHOST_USER_GET_CONFIG`.
    pub(crate) const GET_CONFIG: u32 = 24;
    /// `VHOST_USER_ADD_MEM_REG`.
    pub(crate) const ADD_MEM_REG: u32 = 37;
    /// `VHOST_USER_REM_MEM_REG`.
    pub(crate) const REM_MEM_REG: u32 = 38;
}

/// Flag: protocol version 1, in every message.
pub(super) const VERSION_1: u32 = 1;

/// Flag: this is an answer.
const REPLY: u32 = 4;

/// Bytes of a message's header.
pub(super) const HEADER_BYTES: usize = 12;

/// Most descriptors with one message that the protocol knows: a memory table's.
const FILES_MAX: usize = 32;

/// Most bytes of an answer's body: the longest that the protocol knows is a shared-memory configuration of 256 regions.
const ANSWER_BYTES_MAX: usize = 8 + 256 * 8;

/// Most bytes that are sent to complete a message that was begun, so that the next one is understood. After a header with
/// a longer body the front-end disconnects.
const OWED_MAX: usize = 1 << 20;

/// How to send. The socket's own flag does not count: the front-end may have changed it through a copy of this end.
const SENDING: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT);

/// How long to wait for an answer before the bounds of waiting are checked.
const CHECK_EVERY: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// Where the bytes sent so far have ended.
#[derive(Clone, Copy, Default)]
struct Framing {
    header: [u8; HEADER_BYTES],
    /// Bytes of the header that have been sent.
    begun: usize,
    /// Bytes of the body that have not.
    owed: usize,
}

impl Framing {
    fn sent(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let body = bytes.len().min(self.owed);
            self.owed -= body;
            bytes = &bytes[body..];
            let header = bytes.len().min(HEADER_BYTES - self.begun);
            self.header[self.begun..self.begun + header].copy_from_slice(&bytes[..header]);
            self.begun += header;
            bytes = &bytes[header..];
            if self.begun == HEADER_BYTES {
                let [.., a, b, c, d] = self.header;
                self.owed = u32::from_ne_bytes([a, b, c, d]) as usize;
                self.begun = 0;
            }
        }
    }
}

/// A front-end.
pub(super) struct FrontEnd {
    socket: UnixStream,
    framing: Framing,
    /// Bytes of answers that have not been looked at.
    answers: Vec<u8>,
}

impl FrontEnd {
    /// Returns a front-end at its end of a socket.
    pub(super) fn new(socket: UnixStream) -> Self {
        Self { socket, framing: Framing::default(), answers: Vec::new() }
    }

    /// Sends bytes as they stand, with descriptors.
    ///
    /// # Panics
    /// When the card does not read, or has ended the connection.
    pub(super) fn send(&mut self, bytes: &[u8], files: &[BorrowedFd<'_>]) {
        self.framing.sent(bytes);
        let wait = Wait::of_front_end("the card to read");
        let mut files = &files[..files.len().min(FILES_MAX)];
        let mut rest = bytes;
        while !rest.is_empty() {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_MAX))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            if !files.is_empty() {
                ancillary.push(SendAncillaryMessage::ScmRights(files));
            }
            match sendmsg(&self.socket, &[IoSlice::new(rest)], &mut ancillary, SENDING) {
                Ok(sent) => {
                    rest = &rest[sent..];
                    files = &[];
                }
                Err(Errno::AGAIN) => {
                    // The card may wait in turn until its answers are read.
                    self.listen();
                    wait.sleep();
                }
                Err(Errno::INTR) => {}
                // Too many are in flight already, which is a limit of the host.
                Err(Errno::TOOMANYREFS) => files = &[],
                Err(error) => panic!("the card has ended the connection: {}", io::Error::from(error)),
            }
        }
    }

    /// Sends a message.
    pub(super) fn say(&mut self, code: u32, body: &[u8], files: &[BorrowedFd<'_>]) {
        self.send(&message(code, VERSION_1, body.len() as u32, body), files);
    }

    /// Sends a message of 32-bit numbers.
    pub(super) fn say_words(&mut self, code: u32, words: &[u32]) {
        let body: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        self.say(code, &body, &[]);
    }

    /// Sends a message of a 64-bit number.
    pub(super) fn say_number(&mut self, code: u32, number: u64, files: &[BorrowedFd<'_>]) {
        self.say(code, &number.to_ne_bytes(), files);
    }

    /// Sends a message and returns the body of the next answer to one of its kind that fits. Answers to earlier messages
    /// may come first.
    ///
    /// # Panics
    /// When there is none.
    fn exchange(&mut self, code: u32, body: &[u8], fits: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        self.say(code, body, &[]);
        self.wait_answer(code, fits)
    }

    fn wait_answer(&mut self, code: u32, fits: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let wait = Wait::of_front_end(match code {
            request::GET_VRING_BASE => "the answer to GET_VRING_BASE",
            request::GET_CONFIG => "the answer to GET_CONFIG",
            _ => "an answer",
        });
        loop {
            while let Some((answered, body)) = self.next_answer() {
                if answered == code && fits(&body) {
                    return body;
                }
            }
            let mut ready = [PollFd::new(&self.socket, PollFlags::IN)];
            let _ = poll(&mut ready, Some(&CHECK_EVERY));
            assert!(self.listen(), "the card has ended the connection");
            wait.check();
        }
    }

    /// Reads the answers that are there. False when the card has ended the connection.
    pub(super) fn listen(&mut self) -> bool {
        let mut bytes = [0; 4096];
        loop {
            match recv(&self.socket, &mut bytes, RecvFlags::DONTWAIT) {
                Ok((0, _)) => return false,
                Ok((got, _)) => self.answers.extend_from_slice(&bytes[..got]),
                Err(Errno::INTR) => {}
                Err(_) => return true,
            }
        }
    }

    /// Looks at the answers that were read, so that they are not kept.
    pub(super) fn skip_answers(&mut self) {
        while self.next_answer().is_some() {}
    }

    fn next_answer(&mut self) -> Option<(u32, Vec<u8>)> {
        let header = self.answers.get(..HEADER_BYTES)?;
        let word = |at: usize| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (code, flags, length) = (word(0), word(4), word(8) as usize);
        assert_eq!(flags, VERSION_1 | REPLY, "flags of the answer to request {code}");
        assert!(length <= ANSWER_BYTES_MAX.max(4096), "the answer to request {code} has {length} bytes");
        let body = self.answers.get(HEADER_BYTES..HEADER_BYTES + length)?.to_vec();
        self.answers.drain(..HEADER_BYTES + length);
        Some((code, body))
    }

    /// Completes the message that was begun, so that the next one is understood. False when its body is too long.
    pub(super) fn complete(&mut self) -> bool {
        if self.framing.begun > 0 {
            self.send(&[0; HEADER_BYTES][self.framing.begun..], &[]);
        }
        let owed = self.framing.owed;
        if owed > OWED_MAX {
            return false;
        }
        self.send(&vec![0; owed], &[]);
        true
    }

    /// Reads the device configuration.
    ///
    /// # Panics
    /// When it is not answered, or not completely.
    pub(super) fn configuration(&mut self, length: usize) -> Vec<u8> {
        let request: Vec<u8> = [0, length as u32, 0].into_iter().flat_map(u32::to_ne_bytes).collect();
        let head = request.len();
        let body = self
            .exchange(request::GET_CONFIG, &[request, vec![0; length]].concat(), |body| body.len() == head + length);
        body[head..].to_vec()
    }

    /// Stops rings, and returns the index of each to resume from.
    ///
    /// # Panics
    /// When it is not answered.
    pub(super) fn stop_rings<const N: usize>(&mut self, queues: [usize; N]) -> [u32; N] {
        for queue in queues {
            self.say_words(request::GET_VRING_BASE, &[queue as u32, 0]);
        }
        queues.map(|_| {
            let answer = self.wait_answer(request::GET_VRING_BASE, |body| body.len() == 8);
            u32::from_ne_bytes([answer[4], answer[5], answer[6], answer[7]])
        })
    }

    /// Waits until the card has handled every earlier message.
    ///
    /// # Panics
    /// When it hangs.
    pub(super) fn catch_up(&mut self) {
        self.exchange(request::GET_FEATURES, &[], |body| body.len() == 8);
    }

    /// Disconnects. The connection ends even where a copy of this end is still in flight.
    pub(super) fn disconnect(self) {
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }
}

impl AsFd for FrontEnd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Returns the bytes of a message whose header says that its body has `length` bytes.
pub(super) fn message(code: u32, flags: u32, length: u32, body: &[u8]) -> Vec<u8> {
    let header = [code, flags, length].into_iter().flat_map(u32::to_ne_bytes);
    header.chain(body.iter().copied()).collect()
}
