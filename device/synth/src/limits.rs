//! Every bound on a quantity that a file, a download or a caller chooses, with its reason.

/// Lowest sample rate in Hz (DirectMusic's own synthesizer clamps to it).
pub const SAMPLE_RATE_MIN: u32 = 11_025;

/// Highest sample rate in Hz (likewise).
pub const SAMPLE_RATE_MAX: u32 = 96_000;

/// Most voices (the bound of DirectMusic's own synthesizer).
pub const VOICES_MAX: u16 = 1000;

/// Most channel groups (likewise).
pub const CHANNEL_GROUPS_MAX: u16 = 1000;

/// Download memory of a new synthesizer, in bytes: eight times what DLS level 2 requires of a device.
pub const DOWNLOAD_MEMORY_DEFAULT: u32 = 16 << 20;

/// Most downloads held at once: DLS level 2's 512 waves and 256 instruments, twice over.
pub const DOWNLOADS_MAX: usize = 1536;

/// Least and greatest volume of a [`VolumeItem`](crate::VolumeItem) in 1/100 dB (`GUID_DMUS_PROP_Volume`).
pub const VOLUME_RANGE: core::ops::RangeInclusive<i32> = -20_000..=2_000;

/// Most instruments of a collection: 128 programs, 128 kits and sixteen variations, twice over. Bounds the memory that
/// a hostile file makes out of empty lists.
pub const INSTRUMENTS_MAX: usize = 8192;

/// Most regions of a collection. The largest free General MIDI collections have some thousands.
pub const REGIONS_MAX: usize = 65_536;

/// Most waves of a collection, and most cues of its pool table. As above.
pub const WAVES_MAX: usize = 65_536;

/// Most connections of one articulation: more than twice as many as level 2 defines.
pub const CONNECTIONS_MAX: usize = 128;

/// Highest sample rate of a wave in Hz, the highest in use anywhere.
pub const WAVE_RATE_MAX: u32 = 192_000;

/// Most bytes kept of a name.
pub const TEXT_BYTES_MAX: usize = 256;

/// Most regions of one downloaded instrument: four layers on every key.
pub const DOWNLOAD_REGIONS_MAX: usize = 512;

/// Most structures in a chain of articulations or extensions of a download; more is taken for a loop.
pub const DOWNLOAD_CHAIN_MAX: usize = 64;

/// Most notes that begin at one frame; more are lost. With [`VOICES_MAX`] voices, each of them would only silence
/// another one that has not been heard for a single frame, at the cost of a search through all of them.
pub const NOTES_PER_FRAME_MAX: u32 = 1024;

/// Most layers of one note; more regions that match it are silent, which a warning says when the bank is read. As many
/// as a download may have regions ([`DOWNLOAD_REGIONS_MAX`]), and a bound on the work that one message can cause.
pub const LAYERS_MAX: usize = DOWNLOAD_REGIONS_MAX;

/// Most layers that begin at one frame; notes beyond are lost, as those beyond [`NOTES_PER_FRAME_MAX`] are: sixteen for
/// each of these, which is more than the richest instruments have.
pub const LAYERS_PER_FRAME_MAX: u32 = 16 * NOTES_PER_FRAME_MAX;

/// Most warnings kept of one file; more are only counted. Enough to see what is wrong, and a bound on what a hostile
/// file can make of bytes that mean nothing.
pub const WARNINGS_MAX: usize = 256;

/// Most pairs of a preset's zone and an instrument's zone that a SoundFont is searched for. The largest free fonts have
/// some thousands; a hostile one of 100 kB can have thousands of millions.
pub const SOUND_FONT_PAIRS_MAX: usize = 1 << 20;

/// The most copies of the sample data of a SoundFont, made because zones begin or end at other places of a sample.
pub const SOUND_FONT_COPIES_MAX: usize = 8;

/// Samples that may be copied in any case, so that small fonts with many variants of one wave are read.
pub const SOUND_FONT_SAMPLES_MIN: usize = 1 << 20;

/// Most nodes of an XMF file. Those in use have three.
pub const XMF_NODES_MAX: usize = 4096;

/// The deepest nesting of nodes in an XMF file, and so the deepest recursion of the reader.
pub const XMF_DEPTH_MAX: usize = 16;

/// Most bytes that a packed node of an XMF file may become. Phones, for which the format was made, have far less.
pub const XMF_UNPACKED_MAX: usize = 16 << 20;
