//! The header of the file.

use crate::slot::SLOT_BYTES;
use crate::writer::SIZE_MAX;

/// The first bytes of the file.
pub const MAGIC: [u8; 8] = *b"DMUSTRCE";
/// The version of the format whose change a reader does not survive.
pub const VERSION_MAJOR: u16 = 1;
/// The version of the format that counts additions.
pub const VERSION_MINOR: u16 = 2;
/// Bytes of the header: a page.
pub const HEADER_BYTES: usize = 4096;

/// Wave buffers are recorded with their PCM.
pub const FLAG_PCM: u32 = 1 << 0;
/// Ticks are those of the processor's time-stamp counter.
pub const FLAG_TSC: u32 = 1 << 1;

/// Offsets of the header's words, in words of 64 bits.
pub(crate) mod word {
    /// The magic.
    pub(crate) const MAGIC: usize = 0;
    /// The versions, and the length of the header.
    pub(crate) const VERSION: usize = 1;
    /// The number of slots.
    pub(crate) const SLOTS: usize = 2;
    /// The length of a slot, and the flags.
    pub(crate) const SLOT_BYTES: usize = 3;
    /// Slots taken.
    pub(crate) const TAKEN: usize = 4;
    /// Slots that continue a record.
    pub(crate) const CONTINUED: usize = 5;
    /// Records that were overwritten.
    pub(crate) const OVERWRITTEN: usize = 6;
    /// Ticks at the start.
    pub(crate) const TICKS: usize = 7;
    /// Monotonic nanoseconds at the start.
    pub(crate) const NANOSECONDS: usize = 8;
    /// Nanoseconds since 1970 at the start.
    pub(crate) const SINCE_EPOCH: usize = 9;
    /// The process, and the longest payload.
    pub(crate) const PROCESS: usize = 10;
    /// The program.
    pub(crate) const PROGRAM: usize = 16;
    /// The end of the header.
    pub(crate) const END: usize = super::HEADER_BYTES / 8;
}

/// Bytes for the name of the program.
pub(crate) const PROGRAM_BYTES: usize = 64;

/// The header, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Minor version of the format.
    pub minor: u16,
    /// Number of slots, a power of two.
    pub slots: u64,
    /// Bits of the flags ([`FLAG_PCM`], [`FLAG_TSC`]).
    pub flags: u32,
    /// Slots taken since the start.
    pub taken: u64,
    /// Slots among them that continue a record.
    pub continued: u64,
    /// Records that were overwritten, in part or whole.
    pub overwritten: u64,
    /// Ticks at the start.
    pub ticks: u64,
    /// Nanoseconds of the host's monotonic clock at the start.
    pub nanoseconds: u64,
    /// Nanoseconds since 1970 at the start.
    pub since_epoch: u64,
    /// The number of the process that wrote.
    pub process: u32,
    /// The longest payload of a record in bytes.
    pub payload_max: u32,
    /// The program that wrote, and its version.
    pub program: String,
}

/// The part of a header that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    Magic,
    Version { major: u16, minor: u16 },
    Field { field: &'static str, got: u64 },
}

impl Header {
    /// Returns the bytes of the whole file.
    #[must_use]
    pub const fn file_bytes(&self) -> u64 {
        (HEADER_BYTES as u64).saturating_add(self.slots.saturating_mul(SLOT_BYTES as u64))
    }

    /// Returns the number of records since the start, overwritten ones included.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.taken.saturating_sub(self.continued)
    }

    /// Reads and checks a header.
    pub(crate) fn read(bytes: &[u8; HEADER_BYTES]) -> Result<Self, Wrong> {
        let (words, _) = bytes.as_chunks::<8>();
        let word = |at: usize| words.get(at).map_or(0, |word| u64::from_le_bytes(*word));
        if word(word::MAGIC) != u64::from_le_bytes(MAGIC) {
            return Err(Wrong::Magic);
        }
        let version = word(word::VERSION);
        let (major, minor) = (version as u16, (version >> 16) as u16);
        if major != VERSION_MAJOR {
            return Err(Wrong::Version { major, minor });
        }
        let field = |field, got, fits: bool| if fits { Ok(()) } else { Err(Wrong::Field { field, got }) };
        field("the length of the header", version >> 32, version >> 32 == HEADER_BYTES as u64)?;
        let slots = word(word::SLOTS);
        field("the number of slots", slots, slots.is_power_of_two() && slots <= SIZE_MAX / SLOT_BYTES as u64)?;
        let slot = word(word::SLOT_BYTES);
        field("the length of a slot", slot & 0xffff_ffff, slot as u32 == SLOT_BYTES as u32)?;
        let (taken, continued) = (word(word::TAKEN), word(word::CONTINUED));
        field("the number of slots taken", taken, taken < 1 << 62)?;
        field("the number of continued slots", continued, continued <= taken)?;
        let process = word(word::PROCESS);
        let payload_max = (process >> 32) as u32;
        field("the longest payload", payload_max.into(), u64::from(payload_max) < slots.saturating_mul(16))?;
        let program = bytes.get(word::PROGRAM * 8..).and_then(|rest| rest.get(..PROGRAM_BYTES)).unwrap_or_default();
        let end = program.iter().position(|byte| *byte == 0).unwrap_or(PROGRAM_BYTES);
        Ok(Self {
            minor,
            slots,
            flags: (slot >> 32) as u32,
            taken,
            continued,
            overwritten: word(word::OVERWRITTEN),
            ticks: word(word::TICKS),
            nanoseconds: word(word::NANOSECONDS),
            since_epoch: word(word::SINCE_EPOCH),
            process: process as u32,
            payload_max,
            program: String::from_utf8_lossy(program.get(..end).unwrap_or_default()).into_owned(),
        })
    }
}
