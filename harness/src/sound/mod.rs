//! Songs, instrument banks, offline renders, PCM and loudness: what needs no guest.

pub mod bank;
pub mod live;
pub mod loudness;
#[cfg(feature = "cpal")]
pub mod loudspeakers;
pub mod measure;
pub mod midi;
pub mod pcm;
pub mod player;
pub mod render;
pub mod render_once;
pub mod song_file;
pub mod song_source;
pub mod songs;
