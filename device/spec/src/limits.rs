//! Every bound on a quantity that a driver chooses, with its reason.

/// Largest ring size of any queue. 128 descriptors hold more than 100 ms of dense music in batches, and keep every
/// ring in one page.
pub const QUEUE_SIZE_MAX: u16 = 128;

/// Largest descriptor chain, direct or indirect, that the card walks: a wave buffer of
/// [`WAVE_BUFFER_BYTES_MAX`] in single pages, plus its two headers.
pub const CHAIN_DESCRIPTORS_MAX: usize = 66;

/// Largest control request, header included: the largest download plus its header.
pub const REQUEST_BYTES_MAX: u32 = DOWNLOAD_BYTES_MAX + 64;

/// Largest DLS download buffer. A driver splits nothing, so this bounds one instrument or one wave: 4 MiB is 47
/// seconds of 16-bit mono at 44.1 kHz, and DLS level 2 demands 2 MiB of samples in all of a device.
pub const DOWNLOAD_BYTES_MAX: u32 = 4 << 20;

/// Sample memory for downloads of one session, in bytes.
pub const DOWNLOAD_MEMORY_BYTES: u32 = 16 << 20;

/// Largest number of downloads held at once: DLS level 2's 512 waves and 256 instruments, twice over.
pub const DOWNLOADS_MAX: usize = 1536;

/// Largest event batch, header included: one page, so that a driver's batch buffer is never split.
pub const BATCH_BYTES_MAX: u32 = 4096;

/// Most events that the card keeps ahead of their frame. When it is reached, the card leaves batches in the ring until
/// events have played: back-pressure, no loss.
pub const PENDING_EVENTS_MAX: u32 = 65_536;

/// Most bytes of system-exclusive data that one message may have over all its fragments; DLS needs 6, sample dumps
/// are not part of this card.
pub const SYSEX_BYTES_MAX: usize = 65_536;

/// Most bytes of system-exclusive data that wait for their last fragment, over all streams and groups of a session:
/// four of the longest messages, because each stream and group could otherwise hold one.
pub const SYSEX_ASSEMBLY_BYTES_MAX: usize = 4 * SYSEX_BYTES_MAX;

/// Most bytes of messages longer than three bytes that the card keeps ahead of their frame. It bounds what
/// [`PENDING_EVENTS_MAX`] alone would let grow to 256 MiB; when it is reached, the card leaves batches in the ring too.
pub const PENDING_BYTES_MAX: usize = 4 << 20;

/// Most captured events that wait for a midi-in buffer: two seconds of a full MIDI cable. Beyond it the newest are
/// lost, and a notice says how many.
pub const CAPTURED_EVENTS_MAX: usize = 2048;

/// Most notices that the card keeps while no buffer is posted on the event queue: more than a driver that runs lets
/// pile up, and a few kilobytes.
pub const NOTICES_KEPT_MAX: usize = 64;

/// Largest wave buffer in bytes of PCM: 64 pages.
pub const WAVE_BUFFER_BYTES_MAX: u32 = 64 * 4096;

/// Depth of the card's output FIFO, in milliseconds: how long the driver may leave the card without a wave buffer, in
/// real time, before frames are lost and an underrun is counted.
pub const WAVE_FIFO_MS: u32 = 500;

/// Most streams of one session: sixteen render streams, a capture stream and a wave stream.
pub const STREAMS_MAX: usize = 18;

/// Most voices that a driver may request (the bound of DirectMusic's own synthesizer).
pub const VOICES_MAX: u16 = 1000;

/// Voices of a session that requests none.
pub const VOICES_DEFAULT: u16 = 128;

/// Most channel groups. Sixteen channels each.
pub const CHANNEL_GROUPS_MAX: u16 = 64;

/// Channel groups of a session that requests none.
pub const CHANNEL_GROUPS_DEFAULT: u16 = 2;

/// Lowest sample rate in Hz (DirectMusic's).
pub const SAMPLE_RATE_MIN: u32 = 11_025;

/// Highest sample rate in Hz (DirectMusic's).
pub const SAMPLE_RATE_MAX: u32 = 96_000;

/// Sample rate in Hz of a session that requests none.
pub const SAMPLE_RATE_DEFAULT: u32 = 48_000;

/// Highest frame that a driver may set the sample clock to: half of what the number holds, so that no count of frames
/// can overflow within a session (2^62 frames are a million years).
pub const FRAME_MAX: i64 = 1 << 62;

/// Most memory that the card's process takes for itself, whatever a guest does, in bytes (`RssAnon` of `/proc`; guest
/// memory and program text not counted). The program and the built-in bank 12 MiB, downloads 16
/// ([`DOWNLOAD_MEMORY_BYTES`]), the largest request and its copy 8 ([`REQUEST_BYTES_MAX`]), events that wait 12
/// ([`PENDING_EVENTS_MAX`] of 64 bytes in a heap that doubles, [`PENDING_BYTES_MAX`]), captured events 8
/// ([`CAPTURED_EVENTS_MAX`] of [`BATCH_BYTES_MAX`]), and 8 for a synthesizer of [`VOICES_MAX`] voices, fragments and
/// the output FIFO.
pub const PROCESS_BYTES_MAX: u64 = 64 << 20;
