//! The synthesizer node's properties (`dmusprop.h`).

use crate::guid::Guid;

/// `KSPROPSETID_Synth`'s ids.
pub mod synth_property {
    /// Port volume in 1/100 dB.
    pub const VOLUME: u32 = 0;
    /// Port volume boost in 1/100 dB.
    pub const VOLUMEBOOST: u32 = 1;
    /// [`SynthCaps`](super::SynthCaps).
    pub const CAPS: u32 = 2;
    /// [`SynthPortParams`](super::SynthPortParams): a GET that configures.
    pub const PORTPARAMETERS: u32 = 3;
    /// Channel groups.
    pub const CHANNELGROUPS: u32 = 4;
    /// A channel's priority.
    pub const VOICEPRIORITY: u32 = 5;
    /// The earliest time at which an event is not late.
    pub const LATENCYCLOCK: u32 = 6;
    /// [`SynthStats`](super::SynthStats).
    pub const RUNNINGSTATS: u32 = 7;
}

/// `KSPROPSETID_Synth_Dls`' ids.
pub mod dls_property {
    /// Downloads a buffer.
    pub const DOWNLOAD: u32 = 0;
    /// Unloads it.
    pub const UNLOAD: u32 = 1;
    /// Packs memory.
    pub const COMPACT: u32 = 2;
    /// Bytes to append to each download.
    pub const APPEND: u32 = 3;
    /// The wave format rendered.
    pub const WAVEFORMAT: u32 = 4;
}

/// The capabilities of a synthesizer (`SYNTHCAPS`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SynthCaps {
    /// Its identity.
    pub guid: Guid,
    /// Bits of [`caps_flag`].
    pub flags: u32,
    /// Bytes of sample memory, or [`MEMORY_SYSTEM`].
    pub memory_size: u32,
    /// Most channel groups.
    pub max_channel_groups: u32,
    /// Most voices.
    pub max_voices: u32,
    /// Most audio channels.
    pub max_audio_channels: u32,
    /// Bits of [`effect`].
    pub effect_flags: u32,
    /// Its name in UTF-16, ended by 0.
    pub description: [u16; 128],
}

layout! { SynthCaps = "SYNTHCAPS", 296 / 296 {
    guid = "Guid", 0 / 0;
    flags = "Flags", 16 / 16;
    memory_size = "MemorySize", 20 / 20;
    max_channel_groups = "MaxChannelGroups", 24 / 24;
    max_voices = "MaxVoices", 28 / 28;
    max_audio_channels = "MaxAudioChannels", 32 / 32;
    effect_flags = "EffectFlags", 36 / 36;
    description = "Description", 40 / 40;
} }

/// [`SynthCaps::memory_size`]: samples are in the system's memory (`SYNTH_PC_SYSTEMMEMORY`).
pub const MEMORY_SYSTEM: u32 = 0x7fff_ffff;

/// Bits of [`SynthCaps::flags`] (`SYNTH_PC_*`).
pub mod caps_flag {
    /// Takes DLS level 1.
    pub const DLS: u32 = 1;
    /// Is an external port.
    pub const EXTERNAL: u32 = 2;
    /// Is software.
    pub const SOFTWARESYNTH: u32 = 4;
    /// Its memory does not grow.
    pub const MEMORYSIZEFIXED: u32 = 8;
    /// Holds a General MIDI set.
    pub const GMINHARDWARE: u32 = 0x10;
    /// Holds a GS set.
    pub const GSINHARDWARE: u32 = 0x20;
    /// Holds an XG set.
    pub const XGINHARDWARE: u32 = 0x40;
    /// Takes DLS level 2.
    pub const DLS2: u32 = 0x200;
    /// Has a reverb.
    pub const REVERB: u32 = 0x4000_0000;
}

/// Bits of [`SynthCaps::effect_flags`] and [`SynthPortParams::effects_flags`] (`SYNTH_EFFECT_*`).
pub mod effect {
    /// None.
    pub const NONE: u32 = 0;
    /// Reverb.
    pub const REVERB: u32 = 1;
    /// Chorus.
    pub const CHORUS: u32 = 2;
    /// Delay.
    pub const DELAY: u32 = 4;
}

/// A port's parameters (`SYNTH_PORTPARAMS`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SynthPortParams {
    /// The fields that are meant: bits of [`port_parameter`].
    pub valid_params: u32,
    /// Voices.
    pub voices: u32,
    /// Channel groups.
    pub channel_groups: u32,
    /// Audio channels.
    pub audio_channels: u32,
    /// Sample rate in Hz.
    pub sample_rate: u32,
    /// Bits of [`effect`].
    pub effects_flags: u32,
    /// Shared with other applications.
    pub share: u32,
}

layout! { SynthPortParams = "SYNTH_PORTPARAMS", 28 / 28 {
    valid_params = "ValidParams", 0 / 0;
    voices = "Voices", 4 / 4;
    channel_groups = "ChannelGroups", 8 / 8;
    audio_channels = "AudioChannels", 12 / 12;
    sample_rate = "SampleRate", 16 / 16;
    effects_flags = "EffectsFlags", 20 / 20;
    share = "Share", 24 / 24;
} }

/// Bits of [`SynthPortParams::valid_params`] (`SYNTH_PORTPARAMS_*`).
pub mod port_parameter {
    /// `voices` is meant.
    pub const VOICES: u32 = 1;
    /// `channel_groups` is meant.
    pub const CHANNELGROUPS: u32 = 2;
    /// `audio_channels` is meant.
    pub const AUDIOCHANNELS: u32 = 4;
    /// `sample_rate` is meant.
    pub const SAMPLERATE: u32 = 8;
    /// `effects_flags` is meant.
    pub const EFFECTS: u32 = 0x20;
    /// `share` is meant.
    pub const SHARE: u32 = 0x40;
    /// All of them.
    pub const ALL: u32 = VOICES | CHANNELGROUPS | AUDIOCHANNELS | SAMPLERATE | EFFECTS | SHARE;
}

/// Running statistics (`SYNTH_STATS`), since the pin last entered `RUN`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SynthStats {
    /// The fields that are valid: bits of [`stats`].
    pub valid_stats: u32,
    /// Average number of voices.
    pub voices: u32,
    /// Processor time in percent times 100.
    pub total_cpu: u32,
    /// The same for each voice.
    pub cpu_per_voice: u32,
    /// Notes lost.
    pub lost_notes: u32,
    /// Free memory in bytes.
    pub free_memory: u32,
    /// Peak volume in 1/100 dB below full scale.
    pub peak_volume: i32,
}

layout! { SynthStats = "SYNTH_STATS", 28 / 28 {
    valid_stats = "ValidStats", 0 / 0;
    voices = "Voices", 4 / 4;
    total_cpu = "TotalCPU", 8 / 8;
    cpu_per_voice = "CPUPerVoice", 12 / 12;
    lost_notes = "LostNotes", 16 / 16;
    free_memory = "FreeMemory", 20 / 20;
    peak_volume = "PeakVolume", 24 / 24;
} }

/// Bits of [`SynthStats::valid_stats`] (`SYNTH_STATS_*`).
pub mod stats {
    /// `voices` is valid.
    pub const VOICES: u32 = 1;
    /// `total_cpu` is valid.
    pub const TOTAL_CPU: u32 = 2;
    /// `cpu_per_voice` is valid.
    pub const CPU_PER_VOICE: u32 = 4;
    /// `lost_notes` is valid.
    pub const LOST_NOTES: u32 = 8;
    /// `peak_volume` is valid.
    pub const PEAK_VOLUME: u32 = 0x10;
    /// `free_memory` is valid.
    pub const FREE_MEMORY: u32 = 0x20;
    /// All of them.
    pub const ALL: u32 = VOICES | TOTAL_CPU | CPU_PER_VOICE | LOST_NOTES | PEAK_VOLUME | FREE_MEMORY;
}

/// The instance of a download (`SYNTH_BUFFER`), from a caller of the kernel's pointer width.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SynthBuffer {
    /// Bytes of the buffer.
    pub buffer_size: u32,
    /// The buffer, in the caller's address space.
    pub buffer_address: *mut core::ffi::c_void,
}

layout! { SynthBuffer = "SYNTH_BUFFER", 16 / 8 {
    buffer_size = "BufferSize", 0 / 0;
    buffer_address = "BufferAddress", 8 / 4;
} }

/// The answer to a download (`SYNTHDOWNLOAD`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SynthDownload {
    /// The handle.
    pub download_handle: *mut core::ffi::c_void,
    /// Whether the caller may free its buffer: a `BOOL`.
    pub free: i32,
}

layout! { SynthDownload = "SYNTHDOWNLOAD", 16 / 8 {
    download_handle = "DownloadHandle", 0 / 0;
    free = "Free", 8 / 4;
} }

/// The instance of a voice priority (`SYNTHVOICEPRIORITY_INSTANCE`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SynthVoicePriorityInstance {
    /// The channel group.
    pub channel_group: u32,
    /// The channel.
    pub channel: u32,
}

layout! { SynthVoicePriorityInstance = "SYNTHVOICEPRIORITY_INSTANCE", 8 / 8 {
    channel_group = "ChannelGroup", 0 / 0;
    channel = "Channel", 4 / 4;
} }

/// Reverb parameters (`SYNTH_REVERB_PARAMS`), as bit patterns: a driver has no business with floating point.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SynthReverbParams {
    /// Input gain in dB, an IEEE 754 single.
    pub in_gain: u32,
    /// Mix in dB.
    pub reverb_mix: u32,
    /// Decay in ms.
    pub reverb_time: u32,
    /// Ratio of the decay of high frequencies.
    pub high_freq_rt_ratio: u32,
}

layout! { SynthReverbParams = "SYNTH_REVERB_PARAMS", 16 / 16 {
    in_gain = "fInGain", 0 / 0;
    reverb_mix = "fReverbMix", 4 / 4;
    reverb_time = "fReverbTime", 8 / 8;
    high_freq_rt_ratio = "fHighFreqRTRatio", 12 / 12;
} }
