//! Speaks vhost-user: QEMU owns the PCI function, and describes memory and rings to the card over a socket.
//!
//! The card is a back-end of crate `vhost-user-backend`. That framework ends a connection at the first message that it finds
//! wrong, and QEMU does not survive the end; a guest chooses some of those messages. So a guard owns QEMU's connection, and
//! gives the framework only what it takes, over a private one. What is wrong is diagnosed, and its ring parked. Kicks and
//! interrupts do not pass through the guard.
//!
//! Source: QEMU, "Vhost-user Protocol", sections "Front-end message types" and "Ring states".

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod backend;
mod daemon;
mod exit;
mod findings;
mod vring;

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;

use card_spec::limits::QUEUE_SIZE_MAX;
use rustix::rand::{GetRandomFlags, getrandom};
use vhost_user_guard::{Connector, Guard, Limits};

pub use vhost_user_guard::Ended;

use crate::bus::REGIONS_MAX;
use crate::card::Link;
use crate::sandbox::{self, Role};
use crate::stop::Stop;

/// Random bytes in the name of a private socket, so that no other process on the host guesses it.
const NAME_BYTES: usize = 16;

/// A connection of one front-end.
pub struct VhostUser {
    link: Link,
    guard: Guard,
    listener: UnixListener,
    /// Requested when the front-end has gone.
    gone: Stop,
}

impl VhostUser {
    /// Returns a connection to the card behind `link`.
    ///
    /// # Errors
    /// The host's error, when it has no more descriptors.
    pub fn new(link: Link) -> io::Result<Self> {
        let mut random = [0; NAME_BYTES];
        getrandom(&mut random, GetRandomFlags::empty())?;
        let address = SocketAddr::from_abstract_name(format!("vhost-device-dmus-{}", hex::encode(random)))?;
        let listener = UnixListener::bind_addr(&address)?;
        let mut limits = Limits::default();
        limits.ring_size = QUEUE_SIZE_MAX.into();
        limits.regions = REGIONS_MAX;
        let (diagnosed, read) = (link.clone(), link.clone());
        let guard = Guard::builder(Connector::Address(address))
            .limits(limits)
            .reads_kicks(true)
            .config_source(move || backend::config(&read))
            .on_finding(move |finding| findings::diagnose(&diagnosed, finding))
            .build();
        Ok(Self { link, guard, listener, gone: Stop::new()? })
    }

    /// Answers a front-end until it disconnects, or until `stop` is requested. Then all rings are taken out of use.
    ///
    /// # Errors
    /// The host's error, when the socket fails, or when there is no thread.
    pub fn serve(self, socket: UnixStream, stop: &Stop) -> io::Result<Ended> {
        let Self { link, guard, listener, gone } = self;
        std::thread::scope(|scope| {
            let backend = || {
                sandbox::enter(Role::Backend);
                daemon::serve(&link, listener, &gone);
            };
            std::thread::Builder::new().name("back-end".into()).spawn_scoped(scope, backend)?;
            let ended = guard.serve_connection(socket, stop);
            gone.request();
            ended
        })
    }
}

/// Serves a guard in a process of its own, which listens for back-ends on `path`, until it disconnects or `stop` is requested.
/// Then all rings are taken out of use. QEMU's connection is the guard's, and outlives this process.
///
/// # Errors
/// The host's error, when no guard listens there, or when the connection fails.
pub fn serve_guard(link: &Link, path: &Path, stop: &Stop) -> io::Result<Ended> {
    daemon::serve_guard(link, path, stop)?;
    Ok(if stop.is_requested() { Ended::Stopped } else { Ended::Disconnected })
}
