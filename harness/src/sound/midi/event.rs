//! A MIDI message and its time.

/// 100 ns units in a second.
pub const TICKS_A_SECOND: u64 = 10_000_000;

/// Longest song in seconds. At 96 kHz an hour of PCM is 1.4 GiB, which still fits a guest's memory below 4 GiB.
pub const SONG_SECONDS_MAX: u64 = 3600;

/// The channel group that songs play on: DirectMusic numbers groups from 1, 0 is the broadcast group.
pub const CHANNEL_GROUP: u32 = 1;

/// One MIDI message at its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MidiEvent {
    /// Its time in 100 ns units from the song's start.
    pub time: u64,
    /// The group of sixteen channels, from 1.
    pub channel_group: u32,
    /// The message, status byte first; a system-exclusive message from `F0` to `F7`.
    pub bytes: Vec<u8>,
}
