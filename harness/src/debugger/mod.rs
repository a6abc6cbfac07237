//! A guest under a debugger: where it stops, and the files that have lldb, gdb and VS Code stop there.
//!
//! QEMU's stub tells a debugger nothing of the driver. The files that are written here load the NT host, break on its
//! `nt_host_image_loaded`, place the driver's image by what that is called with, and stop in `DriverEntry`, at a line of the driver's,
//! or where a rule is violated. `harness/DEBUGGING.md` shows sessions.

mod break_at;
mod break_on;
mod error;
mod files;
mod lines;
mod session;

pub use break_at::BreakAt;
pub use break_on::BreakOn;
pub use error::DebuggerError;
pub use lines::{DebugInformation, Lines};
pub use session::{Debugging, Images, Session};
