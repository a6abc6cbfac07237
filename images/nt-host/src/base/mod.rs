//! What the run-time library computes without the machine: bit maps, calendar, GUIDs as text, hashes.

pub mod bitmap;
pub mod calendar;
pub mod guid;
pub mod hash;
