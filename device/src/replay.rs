//! Replays a recording without QEMU: a card gets what the recorded one got, in the recorded order, and records what it does in turn.
//!
//! | what the recorded card was given | how the replay gives it |
//! |---|---|
//! | guest memory, features, rings, resets | the bus gets the same; memory is empty but for rings and chains |
//! | chains | the readable part is placed in memory and the chain made available when the recorded card took it |
//! | malformed chains | a chain that is malformed in the recorded way |
//! | time | the card renders to each frame that the recorded one had rendered to, whatever moved its clock |
//! | commands of the control socket | carried out where they were |
//! | whether the driver wanted an interrupt | as the recorded card found it |
//! | accesses to registers and configuration space, over vfio-user | made again, on a function without a machine |
//!
//! What else the transport finds wrong by itself (over vhost-user, and memory that is taken away) is reported as it was recorded, and counted
//! in [`Replayed::given`]: the replay has no such transport. A driver that turns bus mastering on late is found at its access and not behind the
//! reset that clears the error, so that what it reads of that error afterwards may be other.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod chain;
mod guest;
mod player;
mod recording;
mod ring;
mod wishes;

pub use player::{Options, Replayed, replay};
pub use recording::{Recording, RecordingError};
