//! Probes: each drives the driver through calls that a song does not make, stops the guest with the rule that is
//! broken, and counts the rules that are kept.

#![cfg(any(test, target_os = "none"))]
#![cfg_attr(
    test,
    allow(dead_code, unused_imports, reason = "tests on the build machine reach what needs no machine of its own")
)]
#![allow(unsafe_code, reason = "drivers are called by slot number, with arguments of C")]

pub(crate) mod cycles;
#[cfg(target_os = "none")]
pub(crate) mod events;
#[cfg(target_os = "none")]
pub(crate) mod filters;
pub(crate) mod midi;
mod new_stream;
#[cfg(target_os = "none")]
pub(crate) mod power;
pub(crate) mod properties;
pub(crate) mod removal;
#[cfg(target_os = "none")]
pub(crate) mod start;
pub(crate) mod streams;
mod synth;
pub(crate) mod timing;

use alloc::vec::Vec;

/// What a probe counted, by name.
pub(crate) type Figures = Vec<(&'static str, u64)>;
