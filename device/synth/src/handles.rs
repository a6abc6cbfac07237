//! Arguments and results of the download and volume calls of [`Synth`](crate::Synth).

use thiserror::Error;

/// Names one download of one synthesizer. Never zero, never used twice between two calls of
/// [`Synth::clear_downloads`](crate::Synth::clear_downloads).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DownloadHandle(pub core::num::NonZeroU32);

impl DownloadHandle {
    /// Returns the handle as a number, which is never zero.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }

    /// Makes the handle of a number. `None`: the number is zero.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        core::num::NonZeroU32::new(number).map(Self)
    }
}

/// Why a download buffer was refused, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{reason} (byte {offset} of the download buffer)")]
pub struct DownloadError {
    /// The reason.
    pub reason: DownloadErrorReason,
    /// The byte offset in the buffer of what was wrong.
    pub offset: u32,
}

/// The reasons of a [`DownloadError`]. The numbers are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[repr(u32)]
#[non_exhaustive]
pub enum DownloadErrorReason {
    /// `DMUS_DOWNLOADINFO` is short, or its size is not the buffer's.
    #[error("the download header is malformed")]
    Header = 1,
    /// The offset table does not fit, or does not begin where it should.
    #[error("the offset table is malformed")]
    OffsetTable = 2,
    /// A structure reaches beyond the buffer.
    #[error("a structure reaches beyond the buffer")]
    OutOfBounds = 3,
    /// An index is beyond the offset table.
    #[error("an index is beyond the offset table")]
    Index = 4,
    /// A chain of regions, articulations or extensions is too long, or bites its own tail.
    #[error("a chain is too long or cyclic")]
    Chain = 5,
    /// A region names a wave that has not been downloaded.
    #[error("a wave link names no downloaded wave")]
    WaveLink = 6,
    /// The wave is not 8- or 16-bit mono PCM.
    #[error("the wave format is not 8- or 16-bit mono PCM")]
    WaveFormat = 7,
    /// The type of download is not supported.
    #[error("this type of download is not supported")]
    Unsupported = 8,
    /// The download memory, or the number of downloads, is exhausted.
    #[error("the download memory is exhausted")]
    Memory = 9,
    /// A wave articulation has no buffers.
    #[error("a wave articulation has no buffers")]
    WaveArticulation = 10,
}

/// The result of an unload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unload {
    /// The memory is free.
    Done,
    /// A voice still sounds from it. New notes do not use it any more;
    /// [`Synth::take_unloaded`](crate::Synth::take_unloaded) returns it when the last voice has ended.
    Pending,
}

/// There is no such download.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("there is no download with this handle")]
pub struct UnknownHandle;

/// There is no such channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("there is no channel {channel} in channel group {group}")]
pub struct UnknownChannel {
    /// The requested group, from 0.
    pub group: u16,
    /// The requested channel, from 0.
    pub channel: u8,
}

/// The two volumes of `GUID_DMUS_PROP_Volume`; they add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VolumeItem {
    /// Item 0, 0 dB at first.
    Volume,
    /// Item 1, the boost, +6 dB at first.
    Boost,
}
