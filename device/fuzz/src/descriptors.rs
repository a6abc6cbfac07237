//! Descriptors that a front-end may attach to a message, right or wrong for it.

use std::io::{Write, pipe};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create, open};

use super::guest::RAM_LENGTH;

/// A kind of descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// An event counter, as a kick or a call must be.
    Event,
    /// The same, but blocking.
    BlockingEvent,
    /// An eventfd that counts down by one at each read.
    Semaphore,
    /// A pipe to read, which may get bytes.
    Pipe,
    /// A pipe to read, whose other end is closed.
    ClosedPipe,
    /// A blocking pipe to write, which is full.
    FullPipe,
    /// A pipe to write that no process will read.
    BrokenPipe,
    /// One end of a pair of sockets.
    Socket,
    /// The same, whose other end is closed.
    ClosedSocket,
    /// `/dev/null`.
    Null,
    /// `/dev/zero`: always readable, and can be mapped.
    Zero,
    /// A folder.
    Folder,
    /// An epoll instance.
    Epoll,
    /// A memory file without a byte.
    EmptyMemory,
    /// A memory file of a page.
    Page,
    /// A memory file as large as guest memory.
    Memory,
    /// The same, sealed against being shrunk.
    SealedMemory,
    /// The same, which is cut to half as soon as it was sent.
    CutMemory,
    /// Guest memory.
    GuestMemory,
    /// The front-end's own end of the connection.
    Connection,
}

impl Kind {
    /// Every kind.
    pub(super) const ALL: [Self; 20] = [
        Self::Event,
        Self::BlockingEvent,
        Self::Semaphore,
        Self::Pipe,
        Self::ClosedPipe,
        Self::FullPipe,
        Self::BrokenPipe,
        Self::Socket,
        Self::ClosedSocket,
        Self::Null,
        Self::Zero,
        Self::Folder,
        Self::Epoll,
        Self::EmptyMemory,
        Self::Page,
        Self::Memory,
        Self::SealedMemory,
        Self::CutMemory,
        Self::GuestMemory,
        Self::Connection,
    ];

    /// Returns the kind that a byte of an input stands for; 0 stands for none.
    pub(super) fn of(byte: u8) -> Option<Self> {
        let index = byte.checked_sub(1)?;
        Some(Self::ALL[usize::from(index) % Self::ALL.len()])
    }

    /// Returns the byte that stands for the kind.
    pub(super) const fn byte(self) -> u8 {
        self as u8 + 1
    }
}

/// A descriptor, with its other end.
pub(super) struct Attached {
    /// Its kind.
    pub(super) kind: Kind,
    /// The descriptor that is sent.
    pub(super) file: OwnedFd,
    /// The other end, if it has one that stays open.
    _other: Option<OwnedFd>,
    /// It is cut to this length once it was sent.
    pub(super) cut: Option<u64>,
}

/// Makes a descriptor.
///
/// # Panics
/// When the host has no more.
pub(super) fn make(kind: Kind, guest: &impl AsFd, connection: &impl AsFd) -> Attached {
    let alone = |file: OwnedFd| Attached { kind, file, _other: None, cut: None };
    let with = |file: OwnedFd, other: OwnedFd| Attached { kind, file, _other: Some(other), cut: None };
    let event = |flags| alone(eventfd(0, flags | EventfdFlags::CLOEXEC).expect("an eventfd"));
    let opened = |path: &str| alone(open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).expect("a device"));
    let pipes = || pipe().map(|(read, write)| (OwnedFd::from(read), OwnedFd::from(write))).expect("a pipe");
    let sockets = || UnixStream::pair().map(|(a, b)| (OwnedFd::from(a), OwnedFd::from(b))).expect("sockets");
    let memory = |length: u64| {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = memfd_create("fuzz", flags).expect("a memory file");
        ftruncate(&file, length).expect("a length");
        alone(file)
    };
    match kind {
        Kind::Event => event(EventfdFlags::NONBLOCK),
        Kind::BlockingEvent => event(EventfdFlags::empty()),
        Kind::Semaphore => {
            let semaphore = event(EventfdFlags::SEMAPHORE);
            let _ = rustix::io::write(&semaphore.file, &(u64::MAX - 2).to_ne_bytes());
            semaphore
        }
        Kind::Pipe => {
            let (read, write) = pipes();
            let _ = rustix::io::write(&write, &[7; 11]);
            with(read, write)
        }
        Kind::ClosedPipe => alone(pipes().0),
        Kind::FullPipe => {
            let (read, write) = pipe().expect("a pipe");
            rustix::io::ioctl_fionbio(&write, true).expect("a pipe can be made non-blocking");
            while (&write).write(&[0; 4096]).is_ok() {}
            rustix::io::ioctl_fionbio(&write, false).expect("a pipe can be made blocking");
            with(write.into(), read.into())
        }
        Kind::BrokenPipe => alone(pipes().1),
        Kind::Socket => {
            let (near, far) = sockets();
            with(near, far)
        }
        Kind::ClosedSocket => alone(sockets().0),
        Kind::Null => opened("/dev/null"),
        Kind::Zero => opened("/dev/zero"),
        Kind::Folder => {
            alone(open("/", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).expect("a folder"))
        }
        Kind::Epoll => alone(epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll instance")),
        Kind::EmptyMemory => memory(0),
        Kind::Page => memory(4096),
        Kind::Memory => memory(RAM_LENGTH),
        Kind::SealedMemory => {
            let sealed = memory(RAM_LENGTH);
            fcntl_add_seals(&sealed.file, SealFlags::SHRINK | SealFlags::SEAL).expect("seals");
            sealed
        }
        Kind::CutMemory => Attached { cut: Some(RAM_LENGTH / 2), ..memory(RAM_LENGTH) },
        Kind::GuestMemory => alone(guest.as_fd().try_clone_to_owned().expect("a second descriptor")),
        Kind::Connection => alone(connection.as_fd().try_clone_to_owned().expect("a second descriptor")),
    }
}
