//! `dmus-agent.exe`: the guest agent for Windows.
//!
//! On other systems than Windows this program is empty.
#![cfg_attr(windows, no_std, no_main)]

#[cfg(windows)]
extern crate alloc;

#[cfg(windows)]
mod windows;

/// Does nothing: the program exists on Windows only, where the system calls `start`.
#[cfg(not(windows))]
const fn main() {}
