//! Warnings about parts of a file that a reader passed over.

use core::fmt;

use thiserror::Error;

use super::chunk_path::ChunkPath;
use super::error::{BankError, Rule};
use crate::limits::WARNINGS_MAX;

/// A part of a file that was passed over, or read otherwise than written. The rest plays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The chunk, with the lists that lead to it, as in [`BankError::chunk`](crate::BankError::chunk).
    pub chunk: String,
    /// Offset in the file of the chunk, or of the field in it.
    pub offset: usize,
    /// The kind of the part, and the reason.
    pub what: PassedOver,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, byte {}: {}", self.chunk, self.offset, self.what)
    }
}

/// The subject of a [`Warning`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PassedOver {
    /// The size in the RIFF header is wrong.
    #[error("the RIFF header declares {declared} bytes where there are {found}: the whole file is read")]
    RiffSize {
        /// The size in the header.
        declared: u32,
        /// The right size.
        found: usize,
    },
    /// Bytes after the end.
    #[error("{0} bytes after the last chunk are no chunk: left out")]
    Trailing(usize),
    /// An unknown chunk.
    #[error("unknown chunk of {0} bytes: left out, as RIFF requires")]
    UnknownChunk(usize),
    /// `pgal`, Beatnik's table of aliases.
    #[error("aliases of Beatnik's mobile synthesizer, {0} bytes: left out, they are no part of DLS")]
    Aliases(usize),
    /// A second chunk where one counts.
    #[error("there is one already, which counts: left out")]
    Duplicate,
    /// A chunk of odd length without its pad byte.
    #[error("the chunk has odd length and no pad byte: the next one is taken to follow at once")]
    Unpadded,
    /// A structure that is longer than its definition.
    #[error("the structure is {found} bytes long, its definition {known}: the rest is left out, as DLS requires")]
    Grown {
        /// Bytes of the definition.
        known: usize,
        /// Bytes of the structure.
        found: u64,
    },
    /// A structure whose size is shorter than its definition.
    #[error("the structure's size is {found} bytes, where its definition has {known}: read as defined")]
    Shrunk {
        /// Bytes of the definition.
        known: usize,
        /// The size in the structure.
        found: u32,
    },
    /// A count that disagrees with what is there.
    #[error("it counts {declared} {what} where there are {found}: those are taken")]
    Count {
        /// The kind of the counted entries.
        what: &'static str,
        /// The count.
        declared: u32,
        /// The number of entries.
        found: usize,
    },
    /// A list that is for another device.
    #[error("the list's conditional chunk (cdl) is false here: the list is left out")]
    ConditionFalse,
    /// A conditional chunk that cannot be run.
    #[error("the list's conditional chunk (cdl) cannot be run: the list is left out")]
    ConditionUnreadable,
    /// A region without a wave.
    #[error("the region's wave {0} is a null cue, or was left out: so is the region")]
    NullCue(u32),
    /// A connection to one of the destinations 0x0002, 0x0208, 0x030C.
    #[error("connection {index} leads to the reserved destination {destination:#06x}: it has no effect")]
    ReservedDestination {
        /// The index of the connection in its list, from 0.
        index: usize,
        /// The destination.
        destination: u16,
    },
    /// A connection with a source, control or destination that DLS does not have.
    #[error(
        "connection {index} ({source_id:#06x} x {control:#06x} to {destination:#06x}) is none of DLS: it has no effect"
    )]
    UnknownConnection {
        /// The index of the connection in its list, from 0.
        index: usize,
        /// Its source.
        source_id: u16,
        /// Its control.
        control: u16,
        /// Its destination.
        destination: u16,
    },
    /// More loops than one.
    #[error("there are {0} loops: the first counts")]
    Loops(u32),
    /// A loop of an unknown type.
    #[error("loop type {0} is none of DLS: taken for a forward loop")]
    LoopType(u32),
    /// A loop that is not within its wave.
    #[error("the loop of {length} samples from {start} is not within the wave's {samples}: cut, or left out")]
    Loop {
        /// Its first sample.
        start: u32,
        /// Its length.
        length: u32,
        /// Samples of the wave.
        samples: usize,
    },
    /// A region that no note reaches.
    #[error("the region's range is empty or beyond 127: no note reaches it")]
    EmptyRange,
    /// Half a sample.
    #[error("the last byte is half a sample: left out")]
    HalfSample,
    /// The lower eight of 24 bits, which are not as many as the upper ones, or in a file before version 2.04.
    #[error("the lower eight bits of 24-bit samples do not belong to the upper ones: left out")]
    LowBits,
    /// Samples of 24 bits where there are 16.
    #[error("DLS has samples of 16 bits: the lower eight of 24 are left out")]
    SixteenBits,
    /// A zone without an instrument or sample.
    #[error("the zone leads to no {0}: left out")]
    DeadZone(&'static str),
    /// A sample in the memory of a sound card of the nineties.
    #[error("the zone's sample {0:?} is in a sound card's ROM: the zone is left out")]
    Rom(String),
    /// An item of a SoundFont that cannot be played; the rest of the font is.
    #[error("the {what} {name:?} cannot be played: {why}; it is left out")]
    Item {
        /// The kind of the item.
        what: &'static str,
        /// Its name, or that of what it is in.
        name: String,
        /// The rule that it breaks.
        why: Rule,
    },
    /// A second instrument with the same bank and program, in a SoundFont.
    #[error("the preset {name:?} has bank and program of {first:?}, which is before it and sounds: left out")]
    SecondPreset {
        /// Its name.
        name: String,
        /// The name of the preset that sounds.
        first: String,
    },
    /// A second instrument with the same bank and program, in a DLS file.
    #[error("the instrument {name:?} has bank, program and kind of {last:?}, which is behind it and sounds: left out")]
    SecondInstrument {
        /// Its name.
        name: String,
        /// The name of the instrument that sounds.
        last: String,
    },
    /// A sample rate that no file may have, or that is beyond what is played.
    #[error("the sample {name:?} has {rate} Hz: played at {used} Hz, the nearest rate that is practical")]
    SampleRate {
        /// The sample's name.
        name: String,
        /// Its rate.
        rate: u32,
        /// The rate that it is played at.
        used: u32,
    },
    /// A loop that is not within its sample.
    #[error("the loop {start} to {end} of sample {name:?} is not within its {samples} samples: cut, or left out")]
    SampleLoop {
        /// The sample's name.
        name: String,
        /// The first sample of the loop.
        start: i64,
        /// One behind the last.
        end: i64,
        /// Samples of the wave.
        samples: usize,
    },
    /// A sample's link to the other channel that leads nowhere.
    #[error("the sample {name:?} is linked to sample {link}, which does not exist: played by itself")]
    SampleLink {
        /// The sample's name.
        name: String,
        /// The link.
        link: u16,
    },
    /// A generator without an effect.
    #[error("generator {0} is unknown, reserved or unused: left out")]
    Generator(u16),
    /// A generator where it has no effect.
    #[error("generator {number} {why}: left out")]
    MisplacedGenerator {
        /// The generator's number.
        number: u16,
        /// Why it has no effect.
        why: &'static str,
    },
    /// More cents from key to key than can be expressed.
    #[error("the scale tuning of {0} cents a key is more than DLS can express: taken for 255")]
    ScaleTuning(i32),
    /// A key group that DLS does not have.
    #[error("key group {0} is beyond DLS's 15: taken for none")]
    KeyGroup(u16),
    /// Reserved bits of an instrument's bank or program.
    #[error(
        "bank {bank:#010x} or program {program} has bits that DLS reserves: those of a bank are left out, and with those of a \
         program the instrument"
    )]
    ReservedPatch {
        /// `ulBank`.
        bank: u32,
        /// `ulInstrument`.
        program: u32,
    },
    /// More layers of one note than are played.
    #[error("{found} regions of {name:?} sound at key {key}, velocity {velocity}: {most} of them are played")]
    Layers {
        /// The instrument's name.
        name: String,
        /// The key.
        key: u8,
        /// The velocity.
        velocity: u8,
        /// Regions that match.
        found: usize,
        /// Regions that are played.
        most: usize,
    },
    /// A modulator that SoundFont says is to be ignored.
    #[error("the modulator {modulator} is ignored: {why}")]
    Modulator {
        /// The modulator in words.
        modulator: String,
        /// The reason.
        why: &'static str,
    },
    /// A modulator without a counterpart in DLS.
    #[error("the modulator {modulator} has no counterpart in DLS ({why}): left out")]
    NoCounterpart {
        /// The modulator in words.
        modulator: String,
        /// The reason.
        why: &'static str,
    },
    /// A bank offset beside a DLS collection.
    #[error("the bank offset (DBNK) counts for SoundFonts, and the file has a DLS collection: left out")]
    BankOffset,
    /// A node of an XMF file that is no instrument bank.
    #[error("the node holds {0}: left out")]
    Node(&'static str),
}

/// The warnings of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Warnings {
    list: Vec<Warning>,
    omitted: usize,
}

impl Warnings {
    /// Iterates over the warnings, in the order in which the file was read; at most [`WARNINGS_MAX`].
    pub fn iter(&self) -> impl Iterator<Item = &Warning> {
        self.list.iter()
    }

    /// Returns how many there are, those not kept included.
    #[must_use]
    pub fn count(&self) -> usize {
        self.list.len() + self.omitted
    }

    /// Returns how many beyond [`WARNINGS_MAX`] were only counted.
    #[must_use]
    pub fn omitted(&self) -> usize {
        self.omitted
    }

    /// Returns whether there is no warning.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Puts the warnings about the file around this one, which begins `base` bytes into it, before these.
    pub(crate) fn follow(&mut self, around: Self, base: usize, place: impl Fn(String) -> String) {
        for warning in &mut self.list {
            warning.offset += base;
            warning.chunk = place(core::mem::take(&mut warning.chunk));
        }
        self.omitted += around.omitted;
        self.list.splice(0..0, around.list);
        if self.list.len() > WARNINGS_MAX {
            self.omitted += self.list.len() - WARNINGS_MAX;
            self.list.truncate(WARNINGS_MAX);
        }
    }

    fn push(&mut self, path: &ChunkPath<'_>, offset: usize, what: PassedOver) {
        // A hostile file must not have texts made that are not kept.
        let chunk = if self.list.len() < WARNINGS_MAX { path.to_string() } else { String::new() };
        self.push_at(chunk, offset, what);
    }

    fn push_at(&mut self, chunk: String, offset: usize, what: PassedOver) {
        if self.list.len() == WARNINGS_MAX {
            self.omitted += 1;
        } else {
            self.list.push(Warning { chunk, offset, what });
        }
    }

    /// Adds a warning about what an error is about.
    pub(crate) fn of_error(&mut self, error: &BankError, what: PassedOver) {
        self.push_at(error.chunk.clone(), error.offset, what);
    }

    /// Adds a warning about a chunk.
    pub(crate) fn at(&mut self, path: &ChunkPath<'_>, what: PassedOver) {
        self.push(path, path.offset, what);
    }

    /// Adds a warning about a byte of a chunk's data.
    pub(crate) fn in_data(&mut self, path: &ChunkPath<'_>, byte: usize, what: PassedOver) {
        self.push(path, path.offset + 8 + byte, what);
    }
}
