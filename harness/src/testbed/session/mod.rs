//! The client of a guest agent: requests and replies over the guest's serial line, and everything that can fail in between.

mod arrival;
mod bulk;
mod consequence;
mod conversation;
mod error;
mod line;
mod marks;
mod reliable;
mod requests;
mod rings;
mod system;

pub use consequence::Consequence;
pub use conversation::{GUEST_BYTES_MAX, GUEST_LINES_MAX, Session};
pub use error::SessionError;
pub use line::GuestLine;
pub use marks::{MarkRing, MarksPlace};
pub use requests::{Hello, OpenedFilter, Played, StartedDevice};
pub use system::{DeviceProblem, ProgramEnded};
