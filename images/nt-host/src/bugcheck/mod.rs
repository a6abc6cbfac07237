//! Bug checks: the system's last message, then the end.

pub mod blame;
#[cfg(target_os = "none")]
pub mod modules;
#[cfg(target_os = "none")]
mod names;
#[cfg(target_os = "none")]
pub mod stack;
#[cfg(target_os = "none")]
mod stop;

#[cfg(target_os = "none")]
pub use stop::{MANUALLY_INITIATED_CRASH, Report, stop};
