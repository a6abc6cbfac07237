//! Everything that a driver can import, by module and name; and the same functions for the host's own use.

#![cfg(any(test, target_os = "none"))]

mod age;
#[cfg(target_os = "none")]
mod functions;
#[cfg(target_os = "none")]
mod guarded;
mod modules;
#[cfg(test)]
mod public_lists;
#[cfg(target_os = "none")]
mod routine;
#[cfg(target_os = "none")]
mod tables;

#[cfg(target_os = "none")]
pub use functions::*;
#[cfg(target_os = "none")]
pub use tables::{Tables, absent, add_portcls, bind, find, system_routine};
