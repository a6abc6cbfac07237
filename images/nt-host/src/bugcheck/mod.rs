//! Bug checks, the system's last message; and violations after which it goes on, because the harness said so.

pub mod blame;
#[cfg(target_os = "none")]
pub mod debugger;
pub mod findings;
#[cfg(target_os = "none")]
pub mod modules;
#[cfg(target_os = "none")]
mod names;
pub mod response;
#[cfg(target_os = "none")]
pub mod stack;
#[cfg(target_os = "none")]
mod stop;

#[cfg(target_os = "none")]
pub use stop::{MANUALLY_INITIATED_CRASH, Report, run_last, stop, violated};
