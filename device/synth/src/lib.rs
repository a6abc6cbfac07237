//! A DLS level 2 synthesizer with DirectMusic's download and gain rules (MMA DLS Level 2.2, RP-025).
//!
//! It uses no clock, no files and no card: bytes and messages in, frames out. Messages take effect at the very next
//! frame, and the frames do not depend on how they are divided into calls, on the processor, or on how the crate was
//! compiled.
//!
//! ```
//! use dls_synth::{Bank, Synth, SynthConfig};
//!
//! let mut synth = Synth::new(SynthConfig::default(), Bank::builtin())?;
//! let mut frames = [[0; 2]; 480];
//! synth.midi(0, &[0x90, 60, 100]);
//! synth.render_i16(&mut frames);
//! assert!(frames.iter().any(|frame| *frame != [0, 0]));
//! # Ok::<(), dls_synth::ConfigError>(())
//! ```
//!
//! Levels follow DirectMusic: every voice gets 6 dB, and 6 dB more from the boost's default, over what DLS makes of it,
//! and at most 6 dB on one output. There is no limiter. Headroom is the bank's business: the built-in one leaves enough
//! for a dense song, and what is read from a SoundFont is turned down by 17 dB.
//!
//! | what | where |
//! |---|---|
//! | DLS files (alone, or in XMF and RMID files), downloads, and the instrument model in which they meet | [`dls`] |
//! | SoundFonts, into the same model | `sf2` |
//! | what a SoundFont says about a voice | `sound_font` |
//! | the songs of XMF and RMID files | [`ContainedSong`] |
//! | instruments made ready to be played | `program`, [`Bank`] |
//! | the state of channels | `channel` |
//! | one sounding voice | `voice` |
//! | all of them, in lanes | `mixer` |
//! | the lanes' data | `lanes` |
//! | inner loops | `kernel` |
//! | reverb and chorus | `effects` |
//! | the built-in General MIDI collection | [`builtin`] |
//! | the sections of rendering, for benchmarks | [`profile`] |

mod bank;
pub mod builtin;
mod channel;
mod config;
mod container;
pub mod dls;
mod downloads;
mod effects;
mod handles;
mod kernel;
mod lanes;
pub mod limits;
mod load;
mod math;
mod mixer;
pub mod profile;
mod program;
mod sf2;
mod sound_font;
mod synth;
mod voice;

pub use bank::{Bank, InstrumentDescription};
pub use config::{ConfigError, Kernel, SynthConfig, UnknownKernel};
pub use container::{ContainedSong, is_container};
pub use dls::collection::Patch;
pub use dls::{BankError, Rule, Warning, Warnings};
pub use handles::{
    DownloadError, DownloadErrorReason, DownloadHandle, UnknownChannel, UnknownHandle, Unload, VolumeItem,
};
pub use sound_font::SoundFontZone;
pub use synth::{SoundingVoice, Synth};
