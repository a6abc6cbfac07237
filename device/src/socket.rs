//! Where machines connect.

mod listener;
pub mod message;
pub mod vhost_user;

pub use listener::{Endpoint, SocketError, listen, open};
