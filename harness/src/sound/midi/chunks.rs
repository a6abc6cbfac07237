//! The chunks of a Standard MIDI File (RP-001, pages 3 to 5): the header, and where each track is.

use super::cursor::{Broken, Cursor};
use super::error::Rule;
use super::notices::Notices;

/// Bytes of a chunk's header: its type and its length.
const CHUNK_HEADER: usize = 8;

/// Bytes of the header chunk that RP-001 defines.
const HEADER_BYTES: u32 = 6;

/// The meaning of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Division {
    /// Ticks in a quarter note.
    Quarter(u16),
    /// SMPTE frames a second as a fraction, and ticks in a frame.
    Frames {
        /// Frames in `seconds`.
        frames: u32,
        /// The seconds: drop-frame runs at 30000/1001.
        seconds: u32,
        /// Ticks in a frame.
        ticks: u8,
    },
}

impl Division {
    fn read(division: u16, at: usize) -> Result<Self, Broken> {
        let [upper, ticks] = division.to_be_bytes();
        if upper < 0x80 {
            return if division == 0 { Err((at, Rule::Division)) } else { Ok(Self::Quarter(division)) };
        }
        // The upper byte is the negative of the frames a second.
        let (frames, seconds) = match upper.wrapping_neg() {
            24 => (24, 1),
            25 => (25, 1),
            29 => (30_000, 1001),
            30 => (30, 1),
            other => return Err((at, Rule::FrameRate(other))),
        };
        if ticks == 0 {
            return Err((at + 1, Rule::FrameTicks));
        }
        Ok(Self::Frames { frames, seconds, ticks })
    }
}

/// The header chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    /// 0, 1 or 2.
    pub(super) format: u16,
    /// The number of track chunks.
    pub(super) tracks: u16,
    /// The meaning of a tick.
    pub(super) division: Division,
}

impl Header {
    /// Reads the header chunk, and leaves the cursor behind it.
    pub(super) fn read(cursor: &mut Cursor<'_>, notices: &mut Notices) -> Result<Self, Broken> {
        let begun = cursor.at;
        if cursor.take(4).ok() != Some(b"MThd") {
            return Err((begun, Rule::Form));
        }
        let length = cursor.word().ok_or((begun, Rule::Header(0)))?;
        let content = cursor.at;
        if length < HEADER_BYTES || cursor.left() < HEADER_BYTES as usize {
            return Err((begun + 4, Rule::Header(u64::from(length).min(cursor.left() as u64))));
        }
        let mut field = || cursor.half().ok_or((content, Rule::Header(0)));
        let (format, tracks, division) = (field()?, field()?, field()?);
        if format > 2 {
            return Err((content, Rule::Format(format)));
        }
        if tracks == 0 {
            return Err((content + 2, Rule::NoTracks));
        }
        let division = Division::read(division, content + 4)?;
        // The length is to be honoured, even if it is more than is known (RP-001, page 4).
        let more = length - HEADER_BYTES;
        if more > 0 {
            notices.add(format!("the header chunk has {more} bytes more than SMF 1.0 defines: left out"));
        }
        cursor.at = content.saturating_add(length as usize).min(cursor.end);
        Ok(Self { format, tracks, division })
    }
}

/// The next track chunk of a file.
pub(super) struct TrackChunk<'a> {
    /// Its content; it ends with the file where the chunk's length reaches beyond that.
    pub(super) content: Cursor<'a>,
    /// Its length by its header.
    pub(super) declared: u32,
}

/// Finds the next track chunk, and leaves the cursor behind it. Chunks of other types are left out, as RP-001 requires
/// (page 3), with a notice. `None`: the file has no further chunk.
pub(super) fn next_track<'a>(cursor: &mut Cursor<'a>, notices: &mut Notices) -> Option<TrackChunk<'a>> {
    loop {
        let begun = *cursor;
        if cursor.is_done() {
            return None;
        }
        let kind: Option<[u8; 4]> = cursor.take(4).ok().and_then(|kind| kind.first_chunk().copied());
        let (Some(kind), Some(declared)) = (kind, cursor.word()) else {
            notices.add(format!("the last {} bytes are no chunk: left out", begun.left()));
            cursor.at = cursor.end;
            return None;
        };
        let content = cursor.part(declared as usize);
        cursor.at = content.end;
        if &kind == b"MTrk" {
            return Some(TrackChunk { content, declared });
        }
        let beyond = declared as usize > content.left();
        let what = match &kind {
            b"MThd" => "is the header of another song",
            _ if beyond => "is no track, and reaches beyond the file",
            _ => "is none that SMF 1.0 defines",
        };
        notices.add(format!(
            "the chunk {:?} of {} bytes at byte {} {what}: left out",
            kind.escape_ascii().to_string(),
            content.left() + CHUNK_HEADER,
            begun.at
        ));
        if &kind == b"MThd" {
            cursor.at = cursor.end;
            return None;
        }
    }
}
