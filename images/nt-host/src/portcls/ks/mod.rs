//! Kernel streaming, below ports and pins: filter descriptors, formats, what a port answers by itself, events that are
//! enabled, requests that are pending.

pub(crate) mod answers;
pub(crate) mod descriptor;
pub(crate) mod event_list;
pub(crate) mod formats;
#[cfg(target_os = "none")]
mod generate_later;
pub(crate) mod pending;
