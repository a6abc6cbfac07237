//! Every bound on a quantity that a file, a download or a caller chooses, with its reason.

/// Lowest sample rate in Hz (DirectMusic's own synthesizer clamps to it).
pub const SAMPLE_RATE_MIN: u32 = 11_025;

/// Highest sample rate in Hz (likewise).
pub const SAMPLE_RATE_MAX: u32 = 96_000;

/// Most voices (the bound of DirectMusic's own synthesizer).
pub const VOICES_MAX: u16 = 1000;

/// Most channel groups (likewise).
pub const CHANNEL_GROUPS_MAX: u16 = 1000;

/// Download memory of a new synthesizer, in bytes: eight times what DLS level 2 asks of a device.
pub const DOWNLOAD_MEMORY_DEFAULT: u32 = 16 << 20;

/// Most downloads held at once: DLS level 2's 512 waves and 256 instruments, twice over.
pub const DOWNLOADS_MAX: usize = 1536;

/// Least and greatest volume of a [`VolumeItem`](crate::VolumeItem) in 1/100 dB (`GUID_DMUS_PROP_Volume`).
pub const VOLUME_RANGE: core::ops::RangeInclusive<i32> = -20_000..=2_000;
