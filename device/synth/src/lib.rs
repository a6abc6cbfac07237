//! A DLS level 2 synthesizer with DirectMusic's download and gain rules (MMA DLS Level 2.2, RP-025).
//!
//! It knows no clock, no files and no card: bytes and messages in, frames out. Messages take effect at the very next
//! frame, and the frames do not depend on how they are divided into calls, on the processor, or on how the crate was
//! compiled.
//!
//! | what | where |
//! |---|---|
//! | files, downloads, and the instrument model in which they meet | [`dls`] |
//! | SoundFonts, into the same model | `sf2` |
//! | instruments made ready to be played | `program`, [`Bank`] |
//! | the state of channels | `channel` |
//! | one sounding voice | `voice` |
//! | all of them, in lanes | `mixer` |
//! | inner loops | `kernel` |
//! | reverb and chorus | `effects` |
//! | the built-in General MIDI collection | [`builtin`] |

mod bank;
pub mod builtin;
mod channel;
mod config;
pub mod dls;
mod downloads;
mod effects;
mod handles;
mod kernel;
pub mod limits;
mod math;
mod mixer;
mod program;
mod sf2;
mod synth;
mod voice;

pub use bank::{Bank, InstrumentDescription};
pub use config::{ConfigError, Kernel, SynthConfig};
pub use dls::BankError;
pub use handles::{
    DownloadError, DownloadErrorReason, DownloadHandle, UnknownChannel, UnknownHandle, Unload, VolumeItem,
};
pub use synth::Synth;
