//! Songs, instrument banks, offline renders and loudness: everything about sound that needs no guest.

pub mod bank;
pub mod loudness;
pub mod midi;
pub mod pcm;
pub mod render;
pub mod songs;
