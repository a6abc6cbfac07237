//! The start of a voice, as a record has it.

use crate::act::Head;
use crate::kind::Kind;

/// Bytes of the payload.
const BYTES: usize = 12;

/// Bit of an instrument: a drum kit.
const DRUMS: u32 = 1 << 31;

/// A voice that begins to sound: one region of a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoiceStart {
    /// Its lane, which no other voice has while it sounds.
    pub lane: u16,
    /// The channel group, from 0.
    pub group: u16,
    /// The channel, 0 to 15.
    pub channel: u8,
    /// The key, 0 to 127.
    pub note: u8,
    /// The velocity.
    pub velocity: u8,
    /// The instrument, as DLS numbers them: the program in bits 0 to 7, CC32 in bits 8 to 15, CC0 in bits 16 to 23, and bit 31 for
    /// a drum kit.
    pub instrument: u32,
    /// Its first frame.
    pub frame: i64,
}

impl VoiceStart {
    /// Returns the head of its record.
    #[must_use]
    pub const fn head(&self) -> Head {
        Head::parted(Kind::VOICE_STARTED, self.lane, self.note & 0x7f, self.instrument)
    }

    /// Returns the payload of its record.
    #[must_use]
    pub fn payload(&self) -> [u8; BYTES] {
        let [a, b, c, d, e, f, g, h] = self.frame.to_le_bytes();
        let [low, high] = self.group.to_le_bytes();
        [a, b, c, d, e, f, g, h, low, high, self.channel, self.velocity]
    }

    /// Reads the record with these numbers and this payload; `None` for a payload that is too short.
    pub(crate) fn read(lane: u16, byte: u8, instrument: u32, payload: &[u8]) -> Option<Self> {
        let (frame, rest) = payload.split_first_chunk::<8>()?;
        let [low, high, channel, velocity] = *rest.first_chunk()?;
        let (frame, group) = (i64::from_le_bytes(*frame), u16::from_le_bytes([low, high]));
        Some(Self { lane, group, channel, note: byte & 0x7f, velocity, instrument, frame })
    }

    /// Returns the instrument in words.
    #[must_use]
    pub fn instrument_text(&self) -> String {
        let [program, lsb, msb, _] = self.instrument.to_le_bytes();
        let kind = if self.instrument & DRUMS == 0 { "program" } else { "kit" };
        let bank = if (msb & 0x7f, lsb) == (0, 0) { String::new() } else { format!(" of bank {}:{lsb}", msb & 0x7f) };
        format!("{kind} {program}{bank}")
    }

    /// Puts it into words.
    pub(crate) fn describe(&self) -> String {
        let Self { lane, group, channel, note, velocity, frame, .. } = *self;
        let instrument = self.instrument_text();
        format!(
            "voice {lane} starts at frame {frame}: group {group}, channel {channel}, note {note}, velocity {velocity}, {instrument}"
        )
    }
}
