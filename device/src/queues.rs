//! What the card does with the chains of its five queues: one handler a queue.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

pub mod control;
pub mod event;
pub mod midi_in;
pub mod midi_out;
mod taken;
pub mod wave;
