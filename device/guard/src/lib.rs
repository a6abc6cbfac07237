//! Stands between QEMU and a vhost-user back-end, so that neither a guest nor the back-end's end can end QEMU.
//!
//! QEMU aborts when a vhost-user connection ends, and crates `vhost` and `vhost-user-backend` end it at the first message that they
//! find wrong; a guest chooses some of those messages. A [`Guard`] owns QEMU's connection. It reads each message to its end,
//! judges it, answers it, and gives the back-end only rings that can work, over a private connection. What is wrong becomes a
//! [`Finding`]; when the back-end is gone ([`Loss`]), the guard goes on answering with all rings parked and looks for a new one.
//!
//! Kicks and calls do not pass through the guard: it hands the front-end's descriptors to the back-end.
//!
//! Source: QEMU, "Vhost-user Protocol"; OASIS VIRTIO 1.2, 2.7 "Split Virtqueues".

#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

mod backend;
mod connector;
pub mod descriptor_info;
mod event_counter;
mod finding;
mod guard;
mod judge;
mod limits;
mod log_limit;
mod loss;
mod memory;
mod offer;
mod ring;
mod session;
mod settings;
mod snapshot;
mod wire;

pub use connector::Connector;
pub use finding::{Fault, Field, Finding, Outcome};
pub use guard::{Builder, Guard};
pub use limits::{CONFIG_BYTES_MAX, Limits, RINGS_MAX, TABLE_REGIONS_MAX};
pub use loss::{BackendChange, Loss, Unfit};
pub use settings::{Ended, LossMark};
pub use snapshot::ConfigSnapshot;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
