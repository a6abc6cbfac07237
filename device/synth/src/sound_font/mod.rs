//! What a SoundFont says about a voice (SoundFont 2.04, chapters 8 and 9): what its reader writes, and a voice is played by.

pub(crate) mod generators;
pub(crate) mod modulators;
mod zone;

pub use zone::SoundFontZone;
