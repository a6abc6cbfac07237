//! What the guest exchanges with the harness: the options that it is started with, the messages that it sends, the
//! marks by which interrupts are timed.

#[cfg(target_os = "none")]
pub(crate) mod failure;
#[cfg(target_os = "none")]
pub mod link;
#[cfg(target_os = "none")]
pub mod marks;
pub mod options;
pub mod stopwatch;
