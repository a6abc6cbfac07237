//! Connects front-ends to the card: sockets, and the vhost-user and vfio-user protocols on them.

pub mod bound_path;
pub mod doorbell;
pub mod error;
pub mod event_counter;
pub mod interrupts;
pub mod listener;
pub mod vfio_user;
pub mod vhost_user;

pub use bound_path::BoundPath;
pub use error::SocketError;
pub use listener::{Endpoint, Place, listen, open};
