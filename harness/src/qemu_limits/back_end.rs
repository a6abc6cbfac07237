//! A vhost-user back-end of a few messages that reports a change of the configuration at once, which no card of the project does.
//!
//! Source: QEMU, `docs/interop/vhost-user.rst`.

use std::io::{self, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

/// Requests of the front-end.
const GET_FEATURES: u32 = 1;
const GET_PROTOCOL_FEATURES: u32 = 15;
const GET_QUEUE_NUM: u32 = 17;
const SET_BACKEND_REQ_FD: u32 = 21;
const GET_CONFIG: u32 = 24;

/// The back-end's request that the configuration has changed.
const CONFIG_CHANGE: u32 = 2;

/// Flags of a header: the version, a reply, and that one is wanted.
const VERSION: u32 = 1;
const REPLY: u32 = 1 << 2;
const WANTS_REPLY: u32 = 1 << 3;

/// `VIRTIO_F_VERSION_1` and `VHOST_USER_F_PROTOCOL_FEATURES`.
const FEATURES: u64 = 1 << 32 | 1 << 30;

/// Multiple queues, acknowledgements, the back-end's requests, the configuration.
const PROTOCOL_FEATURES: u64 = 1 | 1 << 3 | 1 << 5 | 1 << 9;

const QUEUES: u64 = 5;

/// The longest message that is taken: a table of memory is shorter.
const BYTES_MAX: usize = 4096;

/// Serves one connection until QEMU ends it.
///
/// # Errors
/// The socket's error, which is QEMU's end.
pub(super) fn serve(listener: &UnixListener) -> io::Result<()> {
    let (mut socket, _) = listener.accept()?;
    loop {
        let (header, files) = receive_header(&socket)?;
        let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (request, flags, length) = (word(0), word(4), word(8) as usize);
        let mut body = vec![0; length.min(BYTES_MAX)];
        socket.read_exact(&mut body)?;
        let answer = match request {
            GET_FEATURES => Some(FEATURES.to_le_bytes().to_vec()),
            GET_PROTOCOL_FEATURES => Some(PROTOCOL_FEATURES.to_le_bytes().to_vec()),
            GET_QUEUE_NUM => Some(QUEUES.to_le_bytes().to_vec()),
            GET_CONFIG => Some(body),
            _ if flags & WANTS_REPLY != 0 => Some(vec![0; 8]),
            _ => None,
        };
        if let Some(answer) = answer {
            send(&mut socket, request, VERSION | REPLY, &answer)?;
        }
        if request == SET_BACKEND_REQ_FD
            && let Some(file) = files.into_iter().next()
        {
            send(&mut UnixStream::from(file), CONFIG_CHANGE, VERSION, &[])?;
        }
    }
}

fn send(socket: &mut UnixStream, request: u32, flags: u32, body: &[u8]) -> io::Result<()> {
    let words = [request, flags, body.len() as u32];
    let mut message: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    message.extend_from_slice(body);
    socket.write_all(&message)
}

fn receive_header(socket: &UnixStream) -> io::Result<([u8; 12], Vec<OwnedFd>)> {
    let (mut header, mut files, mut got) = ([0; 12], Vec::new(), 0);
    while got < header.len() {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received =
            recvmsg(socket, &mut [IoSliceMut::new(&mut header[got..])], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
        if received.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        got += received.bytes;
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(more) = message {
                files.extend(more);
            }
        }
    }
    Ok((header, files))
}
