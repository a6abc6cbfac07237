//! Images with a Windows of the user's, built from an installation disc: identification, answer file, payload, and the build itself.
//!
//! A build is a state machine over a machine with disks. What the guest writes between two starts is kept as a layer of its disk, so that a
//! build that stopped goes on from the last restart and not in the middle of one.

mod answer;
mod build;
pub mod dump;
mod error;
mod guest;
mod limits;
pub mod media;
mod payload;
mod phase;
mod said;
mod store;
mod watch;

pub use answer::{COMPONENTS, Choice};
pub use build::{Build, BuildOptions, Plan};
pub use error::{ImageError, Stop};
pub use guest::{BOOT_LIMIT, ImageGuest};
pub use limits::Limits;
pub use payload::{Package, PayloadFile, agent, read as read_payload, write as write_payload};
pub use phase::Phase;
pub use store::{Image, Manifest, Store};
