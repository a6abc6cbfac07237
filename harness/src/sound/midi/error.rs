//! Why a file is no song: the byte, the rule of the Standard MIDI File (RP-001 v1.0), the remedy.

use super::event::SONG_SECONDS_MAX;
use crate::host::failure::{Class, Diagnosed};

/// A rule of the Standard MIDI File that a file breaks, so that it cannot be read to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    /// The first chunk is no header chunk.
    #[error("a Standard MIDI File begins with MThd")]
    Form,
    /// The header chunk lacks fields.
    #[error("the header chunk has six bytes at least, and here {0}")]
    Header(u64),
    /// The format is none that is defined.
    #[error("the format is 0, 1 or 2, and here {0}")]
    Format(u16),
    /// The header counts no track.
    #[error("a file has one track chunk at least, and the header counts none")]
    NoTracks,
    /// A quarter note has no ticks.
    #[error("a quarter note has one tick at least, and the division is 0")]
    Division,
    /// The frames of an SMPTE division are none of the four rates.
    #[error("an SMPTE division has 24, 25, 29 or 30 frames a second, and here {0}")]
    FrameRate(u8),
    /// A frame of an SMPTE division has no ticks.
    #[error("a frame of an SMPTE division has one tick at least, and here none")]
    FrameTicks,
    /// Tracks that the header counts are not there.
    #[error("the header counts {declared} track chunks, and the file ends after {found}")]
    MissingTracks {
        /// The count of the header.
        declared: u16,
        /// The track chunks that are there.
        found: usize,
    },
    /// A track reaches beyond the file, and has no end before the file's.
    #[error(
        "the track chunk has {declared} bytes by its header, and the file ends after {found}, before the track does"
    )]
    TrackBeyondFile {
        /// The length of the chunk's header.
        declared: u32,
        /// The bytes that are there.
        found: usize,
    },
    /// A variable-length quantity has more bytes than four.
    #[error("a variable-length quantity has four bytes at most")]
    Quantity,
    /// An event reaches beyond its track.
    #[error("the event reaches beyond the end of its track")]
    EventBeyondTrack,
    /// An event begins with a data byte, and no status is in force.
    #[error("an event begins with a status byte where no running status is in force, and here with {0:#04x}")]
    NoStatus(u8),
    /// A channel message has a status byte in place of data.
    #[error("the data of a channel message are below 0x80, and here {0:#04x}")]
    Data(u8),
    /// A system common or real-time message stands by itself.
    #[error("in a track, status {0:#04x} is no event by itself, but the data of an F7 event")]
    System(u8),
    /// The type of a meta event is no data byte.
    #[error("the type of a meta event is below 0x80, and here {0:#04x}")]
    MetaType(u8),
}

/// Why a file is not a song.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MidiError {
    /// It breaks a rule of the Standard MIDI File.
    #[error("{name} cannot be read as a Standard MIDI File: byte {byte}: {rule} (RP-001)")]
    Malformed {
        /// The song.
        name: String,
        /// The place in the file, from 0.
        byte: usize,
        /// The rule.
        rule: Rule,
    },
    /// Format 2 holds independent patterns, not one song.
    #[error("{name} is a Standard MIDI File of format 2: independent patterns, of which none is the song")]
    Format2 {
        /// The song.
        name: String,
    },
    /// It has no channel or system-exclusive message.
    #[error("{name} holds no MIDI message to play")]
    Empty {
        /// The song.
        name: String,
    },
    /// It plays on more MIDI ports than a card has channel groups.
    #[error("{name} plays on {ports} MIDI ports; a card has {groups} channel groups at most")]
    Ports {
        /// The song.
        name: String,
        /// The ports that its messages are for.
        ports: usize,
        /// The channel groups.
        groups: u16,
    },
    /// It lasts longer than [`SONG_SECONDS_MAX`].
    #[error("{name} lasts {seconds} s; at most {SONG_SECONDS_MAX} s fit the guest's memory")]
    TooLong {
        /// The song.
        name: String,
        /// Its length in seconds.
        seconds: u64,
    },
}

impl Diagnosed for MidiError {
    fn class(&self) -> Class {
        Class::BadInput
    }

    fn remedy(&self) -> Option<String> {
        Some(
            match self {
                Self::Malformed { rule: Rule::Form | Rule::Format(_), .. } => {
                    "give a .mid file of format 0 or 1, or a .rmi, .xmf or .mxmf file that holds one"
                }
                Self::Malformed { .. } => "the file is damaged or cut short: get it again, or save it anew",
                Self::Format2 { .. } => "save the pattern that you want as format 0 or 1",
                Self::Empty { .. } => "give a song with notes",
                Self::Ports { .. } => "play the tracks of some ports at a time",
                Self::TooLong { .. } => "cut the song, or play it in parts",
            }
            .into(),
        )
    }
}
