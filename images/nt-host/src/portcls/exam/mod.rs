//! Examinations: the driver is asked for what no song asks, and must keep the contract there too.
//!
//! Each stops the guest with the rule that is broken, and counts the rules that held.

#![allow(unsafe_code, reason = "drivers are called by slot number, with arguments of C")]

pub(crate) mod cycles;
pub(crate) mod objects;
#[cfg(target_os = "none")]
pub(crate) mod power;
pub(crate) mod properties;
pub(crate) mod start;
pub(crate) mod streams;
mod synth;
pub(crate) mod timing;

use alloc::vec::Vec;

/// What an examination counted, by name.
pub(crate) type Figures = Vec<(&'static str, u64)>;
