//! Standard MIDI Files (RP-001 v1.0) to events in 100 ns units: what the guest streams and the offline render plays.

mod chunks;
mod cursor;
mod error;
mod event;
mod excerpt;
mod exclusive;
mod notices;
mod ports;
mod record;
mod song;
mod stream;
mod tempo;
mod track;

pub use error::{MidiError, Rule};
pub use event::{CHANNEL_GROUP, MidiEvent, SONG_SECONDS_MAX, TICKS_A_SECOND};
pub use excerpt::event_at;
pub use record::{EVENT_HEADER_BYTES, EVENT_STRUCTURED, record_bytes, write_music_records, write_records};
pub use song::Song;
pub use stream::{MidiMessage, MidiReader};
