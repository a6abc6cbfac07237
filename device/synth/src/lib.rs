//! A DLS level 2 synthesizer with DirectMusic's download and gain rules (MMA DLS Level 2.2, RP-025).
//!
//! It knows no clock, no files and no card: bytes and messages in, frames out. Messages take effect at the very next
//! frame, and the frames do not depend on how they are divided into calls.

mod bank;
mod config;
mod handles;
pub mod limits;
mod synth;

pub use bank::{Bank, BankError};
pub use config::{ConfigError, Kernel, SynthConfig};
pub use handles::{
    DownloadError, DownloadErrorReason, DownloadHandle, UnknownChannel, UnknownHandle, Unload, VolumeItem,
};
pub use synth::Synth;
