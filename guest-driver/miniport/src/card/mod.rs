//! The card as the driver uses it: its session, its queues, its streams, its interrupt.

mod capture;
mod device;
mod epoch;
mod error;
mod power;
mod queues;
mod recovery;
mod recovery_count;
mod registers;
mod render;
mod synthesizer;
mod volume;
mod wave_state;
mod wave_stream;

pub use device::{CAPTURE_STREAM, Card, WAVE_STREAM};
pub use error::CardError;
pub use volume::{VOLUME_RANGE, VolumeItem};
