//! Errors of bank files: the chunk, the offset, the rule that is broken, and the remedy.

use thiserror::Error;

use super::chunk_path::ChunkPath;

/// Why a file is no instrument collection, and where. No part of such a file is kept.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{chunk}, byte {offset}: {rule}; {}", rule.remedy())]
pub struct BankError {
    /// The chunk, with the lists that lead to it: `DLS/lins/ins[2]/lrgn/rgn2[0]/wlnk` is the wave link of the first
    /// region of the third instrument. In a SoundFont `sfbk/pdta/pbag`, with the number of a record.
    pub chunk: String,
    /// Offset in the file of the chunk, or of the field in it.
    pub offset: usize,
    /// The rule that is broken.
    pub rule: Rule,
}

/// The rules that a [`BankError`] can be about.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Rule {
    /// The first bytes are those of no bank.
    #[error(
        "an instrument bank begins with RIFF and the form DLS or sfbk, or is an RMID or XMF file that holds such a one"
    )]
    Form,
    /// The file's own conditional chunk is false for this synthesizer.
    #[error("the file's conditional chunk (cdl) is false for this synthesizer")]
    NotForThisDevice,
    /// A required chunk is missing.
    #[error("the required chunk {0:?} is missing")]
    Missing(&'static str),
    /// A chunk is shorter than its fields.
    #[error("the chunk has {found} bytes, and its fields take {needed}")]
    Short {
        /// Bytes that there are.
        found: usize,
        /// Bytes that it must have.
        needed: usize,
    },
    /// A chunk reaches beyond the list that it is in, or beyond the file.
    #[error("the chunk's size is {size}, and only {room} bytes of its list or file are left")]
    BeyondList {
        /// The size in its header.
        size: u64,
        /// Bytes that there are.
        room: u64,
    },
    /// A count is larger than what follows it.
    #[error("it counts {count} {what}, and has room for {room}")]
    Count {
        /// The kind of the counted entries.
        what: &'static str,
        /// The count.
        count: u64,
        /// The number that fits.
        room: u64,
    },
    /// The size of a table is not a whole number of its records.
    #[error("its {size} bytes are not a whole number of records of {record} bytes, one at least")]
    Records {
        /// Bytes of the table.
        size: usize,
        /// Bytes of a record.
        record: usize,
    },
    /// An index names an entry that does not exist.
    #[error("{what} {index} does not exist: there are {count}")]
    Index {
        /// The kind of the entries.
        what: &'static str,
        /// Its number.
        index: u64,
        /// The number of entries.
        count: u64,
    },
    /// The records of a table are not in order.
    #[error("the {what} of record {record} end before they begin")]
    Order {
        /// The kind of the entries.
        what: &'static str,
        /// The record.
        record: usize,
    },
    /// A cue of the pool table leads to no wave.
    #[error("cue {cue} leads to byte {offset} of the wave pool, where no wave list begins")]
    Cue {
        /// The cue, from 0.
        cue: usize,
        /// Its byte offset in the wave pool.
        offset: u32,
    },
    /// A wave has a format that the synthesizer does not play.
    #[error(
        "the wave has format {tag:#06x}, {channels} channels, {bits} bits, {rate} Hz; DLS has mono PCM of 8 or 16 bits"
    )]
    WaveFormat {
        /// `wFormatTag`, of the sub-format in `WAVEFORMATEXTENSIBLE`.
        tag: u16,
        /// Channels.
        channels: u16,
        /// Bits of a sample.
        bits: u16,
        /// Samples a second.
        rate: u32,
    },
    /// The samples of a SoundFont are compressed.
    #[error("the samples are compressed (SF3)")]
    Compressed,
    /// A range of samples is outside of the sample data, or ends before it begins.
    #[error("the samples {start} to {end} are not within the {count} samples of the file")]
    Samples {
        /// The first.
        start: i64,
        /// One behind the last.
        end: i64,
        /// Those that there are.
        count: usize,
    },
    /// A SoundFont's preset is where MIDI does not reach.
    #[error(
        "bank {bank}, program {program} is beyond MIDI's banks 0 to 127 and programs 0 to 127, and bank 128 for drums"
    )]
    Unreachable {
        /// Its bank.
        bank: u32,
        /// Its program.
        program: u16,
    },
    /// The lower end of a range is above the upper one, or above 127.
    #[error("the range {0} to {1} is empty or beyond 127")]
    Range(u16, u16),
    /// No part of an item can be played.
    #[error("none of its zones can be played")]
    NoZones,
    /// A number of variable length does not end, or is too large.
    #[error("a number of variable length does not end, or is larger than a file can be")]
    Length,
    /// A node of an XMF file cannot be read.
    #[error("the node's packing is not supported ({0})")]
    Packing(&'static str),
    /// Packed data cannot be unpacked.
    #[error("the packed data is damaged, or larger than its declared size")]
    Packed,
    /// An XMF file holds no instruments.
    #[error("the file holds no instrument bank")]
    NoCollection,
    /// An RMID or XMF file holds no song.
    #[error("the file holds no Standard MIDI File")]
    NoSong,
    /// The bank offset of an RMID file is none that is defined.
    #[error("the bank offset (DBNK) has two bytes and is 127 at most")]
    BankOffset,
    /// There is no list of instruments, or none in it can be played.
    #[error("the file has no instrument that can be played")]
    NoInstruments,
    /// The file has more of something than the synthesizer takes.
    #[error("there are more than {limit} {what}, the most that are taken")]
    TooMany {
        /// The kind of the entries.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

impl Rule {
    /// Returns what to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Form => "give a .dls, .sf2, .rmi, .xmf or .mxmf file",
            Self::NotForThisDevice => "take a bank that was made for software synthesizers",
            Self::WaveFormat { .. } => "export the bank with PCM waves, stereo ones as two linked mono waves",
            Self::Compressed => "unpack the bank to SF2 first, for example with sf3convert",
            Self::TooMany { .. } => "split the bank",
            Self::Unreachable { .. } => "give the preset a bank and a program that MIDI has",
            Self::NoInstruments | Self::NoCollection => "take another bank",
            Self::NoSong => "give a file that holds a song",
            Self::Packing(_) => "save the file without packing or encryption",
            Self::Missing(_)
            | Self::Short { .. }
            | Self::BeyondList { .. }
            | Self::Count { .. }
            | Self::Records { .. }
            | Self::Index { .. }
            | Self::Order { .. }
            | Self::Cue { .. }
            | Self::Samples { .. }
            | Self::Range(..)
            | Self::NoZones
            | Self::BankOffset
            | Self::Length
            | Self::Packed => {
                "the file is damaged or cut short: get it again, or export it anew with the tool that made it"
            }
        }
    }
}

impl BankError {
    /// Makes an error at a chunk's header.
    pub(crate) fn at(path: &ChunkPath<'_>, rule: Rule) -> Self {
        Self { chunk: path.to_string(), offset: path.offset, rule }
    }

    /// Makes an error at a byte of a chunk's data.
    pub(crate) fn in_data(path: &ChunkPath<'_>, byte: usize, rule: Rule) -> Self {
        Self { chunk: path.to_string(), offset: path.offset + 8 + byte, rule }
    }
}
