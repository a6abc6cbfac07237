//! Where machines connect.

mod bound_path;
mod listener;
pub mod message;
pub mod vhost_user;

pub use bound_path::BoundPath;
pub use listener::{Endpoint, SocketError, listen, open};
