//! Serves the card as a PCI function of its own over vfio-user: QEMU outlives the card, and forwards each register access.
//!
//! The registers are those of [`card_spec::registers`]. The socket, configuration space and the way of interrupts to the
//! machine are those of crate `vfio-user-card`. What a driver does wrong is a diagnosis, and never an error on the socket.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod access;
mod common;
mod description;
mod function;
mod interrupts;
mod register_file;
mod repeated;
mod rings;
mod status;
mod trace;
mod window;

use std::os::unix::net::UnixListener;

pub use repeated::Repeated;
use rustix::event::PollFlags;
use vfio_user_card::{ServeError, Server};

use crate::card::Link;
use crate::stop::Stop;

/// Serves one QEMU, or one after the other, until `stop` is requested.
///
/// # Errors
/// [`ServeError`], when the host refuses descriptors, memory or threads.
pub fn serve(link: &Link, listener: UnixListener, persistent: bool, stop: &Stop) -> Result<(), ServeError> {
    let server = Server::listening(description::describe(), listener)?;
    let (ended, left) = (Stop::new()?, server.stop());
    std::thread::scope(|scope| {
        let (ended, server_stop) = (&ended, server.stop());
        std::thread::Builder::new().name("vfio-user stop".into()).spawn_scoped(scope, move || {
            // Readable when the server has ended by itself.
            let _ = stop.wait(ended, PollFlags::IN, None);
            server_stop.request();
        })?;
        let served = server.run(|handle| {
            let leave = (!persistent).then_some(left);
            function::Function::new(link.clone(), handle, leave)
        });
        ended.request();
        served
    })
}
