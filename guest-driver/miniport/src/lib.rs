//! The DirectMusic card's miniport driver: its logic, without kernel imports, so that it is tested on the host.
//!
//! ```text
//!  render stream ─► event list ─► batches ─► midi-out ring ─┐
//!  property      ─► control client ────────► control ring  ─┼─► card
//!  capture stream ◄─ events ◄─ batches ◄──── midi-in ring  ─┤
//!  wave stream   ◄─ bounce buffer ◄───────── wave ring      ─┤
//!  recovery      ◄─ notices ◄─────────────── event ring     ─┘
//! ```
//!
//! The kernel is the trait [`kernel::Kernel`]; `dmuscard` implements it with Windows' functions, the module `fake` (a
//! feature) with the host's. A function that may wait takes an [`irql::Passive`] token, one that may run in a deferred
//! procedure call an [`irql::AtMostDispatch`].
//!
//! # The card is not trusted
//!
//! Everything that the card writes is checked before it is used, and nothing that it writes leads to a panic. A ring on
//! which it breaks the virtio protocol is not used any more until the card has been reset ([`ring`]).
//!
//! # Why its own virtqueues
//!
//! The crate `virtio-drivers` looks its own records up by the indices that the device returns, allocates and frees
//! through a global hook while it adds to a queue, and waits for completion by spinning. Here queues are filled at
//! `DISPATCH_LEVEL`, where nothing may be allocated and nothing may spin, and the device may be broken on purpose.

#![no_std]

extern crate alloc;
#[cfg(any(feature = "fake", loom))]
extern crate std;

pub mod card;
pub mod clock;
pub mod control;
pub mod dma;
pub mod doorbell;
pub mod downloads;
pub mod event_list;
pub mod event_queue;
pub mod exchange;
#[cfg(feature = "fake")]
pub mod fake;
pub mod filter;
pub mod format;
pub mod irql;
pub mod kernel;
pub mod lock;
pub mod log;
pub mod midi;
pub mod midi_in;
pub mod midi_out;
pub mod pci;
pub mod pending;
pub mod pins;
pub mod power_states;
pub mod property;
pub mod ring;
pub mod rundown;
mod sync;
pub mod topology;
pub mod transport;
pub mod unloads;
pub mod wave;
