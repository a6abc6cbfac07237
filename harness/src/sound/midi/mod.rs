//! Standard MIDI Files (RP-001 v1.0) to events in 100 ns units: what the guest streams and the offline render plays.

mod event;
mod record;
mod song;
mod tempo;

pub use event::{CHANNEL_GROUP, MidiEvent, TICKS_A_SECOND};
pub use record::{EVENT_HEADER_BYTES, EVENT_STRUCTURED, record_bytes, write_music_records, write_records};
pub use song::{MidiError, SONG_SECONDS_MAX, Song};
