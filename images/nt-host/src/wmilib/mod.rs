//! This guest's own `wmilib.sys`: handles a driver's WMI requests by calling the routines of its `WMILIB_CONTEXT`.
//!
//! No management application runs in this guest, so that no events are consumed; what is here answers requests, whoever
//! sends them.

#![cfg(any(test, target_os = "none"))]
#![cfg_attr(test, allow(dead_code, reason = "only the buffers are tested without a machine"))]

mod wnode;

#[cfg(target_os = "none")]
mod library;
#[cfg(target_os = "none")]
pub(crate) use library::EXPORTS;
