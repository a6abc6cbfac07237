//! One file a queue: what the card does with its chains.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod control;
mod event;
mod midi_in;
mod midi_out;
mod wave;

pub use midi_in::CaptureError;
