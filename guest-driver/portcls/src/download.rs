//! The structures of a DirectMusic download buffer (`dmdls.h`, `dls1.h`).
//!
//! A buffer is a [`DownloadInfo`], a table of offsets from the buffer's start, and chunks, which refer to each other by
//! indices into that table. Index 0 is the first chunk: an [`Instrument`] or a [`Wave`]. As a reference 0 means none.

/// The header of a buffer (`DMUS_DOWNLOADINFO`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DownloadInfo {
    /// [`download_type`].
    pub download_type: u32,
    /// The id by which instruments name waves.
    pub download_id: u32,
    /// Entries of the offset table that follows.
    pub offset_table_entries: u32,
    /// Bytes of the whole buffer.
    pub cb_size: u32,
}

/// [`DownloadInfo::download_type`] (`DMUS_DOWNLOADINFO_*`).
pub mod download_type {
    /// DLS level 1 instrument.
    pub const INSTRUMENT: u32 = 1;
    /// Wave.
    pub const WAVE: u32 = 2;
    /// DLS level 2 instrument.
    pub const INSTRUMENT2: u32 = 3;
    /// Wave articulation.
    pub const WAVEARTICULATION: u32 = 4;
    /// Streaming wave.
    pub const STREAMINGWAVE: u32 = 5;
    /// One-shot wave.
    pub const ONESHOTWAVE: u32 = 6;
}

layout! { DownloadInfo = "DMUS_DOWNLOADINFO", 16 / 16 {
    download_type = "dwDLType", 0 / 0;
    download_id = "dwDLId", 4 / 4;
    offset_table_entries = "dwNumOffsetTableEntries", 8 / 8;
    cb_size = "cbSize", 12 / 12;
} }

/// An instrument (`DMUS_INSTRUMENT`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instrument {
    /// Program in bits 0 to 6, bank LSB in 8 to 14, bank MSB in 16 to 22, [`PATCH_DRUMS`].
    pub patch: u32,
    /// The first [`Region`].
    pub first_region: u32,
    /// The articulation of regions without one of their own.
    pub global_articulation: u32,
    /// The first [`ExtensionChunk`].
    pub first_extension: u32,
    /// The [`Copyright`].
    pub copyright: u32,
    /// [`INSTRUMENT_GM`].
    pub flags: u32,
}

/// [`Instrument::patch`]: a drum kit (`F_INSTRUMENT_DRUMS`).
pub const PATCH_DRUMS: u32 = 0x8000_0000;

/// [`Instrument::flags`]: part of a General MIDI set; others of the same patch come first.
pub const INSTRUMENT_GM: u32 = 1;

layout! { Instrument = "DMUS_INSTRUMENT", 24 / 24 {
    patch = "ulPatch", 0 / 0;
    first_region = "ulFirstRegionIdx", 4 / 4;
    global_articulation = "ulGlobalArtIdx", 8 / 8;
    first_extension = "ulFirstExtCkIdx", 12 / 12;
    copyright = "ulCopyrightIdx", 16 / 16;
    flags = "ulFlags", 20 / 20;
} }

/// A range of keys or velocities (`RGNRANGE`), both ends included.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegionRange {
    /// Lowest.
    pub low: u16,
    /// Highest.
    pub high: u16,
}

layout! { RegionRange = "RGNRANGE", 4 / 4 {
    low = "usLow", 0 / 0;
    high = "usHigh", 2 / 2;
} }

/// The wave of a region (`WAVELINK`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaveLink {
    /// Options.
    pub options: u16,
    /// Phase group.
    pub phase_group: u16,
    /// Channel: 1 left, 2 right.
    pub channel: u32,
    /// The wave's download id.
    pub table_index: u32,
}

layout! { WaveLink = "WAVELINK", 12 / 12 {
    options = "fusOptions", 0 / 0;
    phase_group = "usPhaseGroup", 2 / 2;
    channel = "ulChannel", 4 / 4;
    table_index = "ulTableIndex", 8 / 8;
} }

/// The tuning and gain of a wave (`WSMPL`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaveSample {
    /// Bytes of this structure.
    pub cb_size: u32,
    /// The key at which it sounds as recorded.
    pub unity_note: u16,
    /// Fine tune in cents.
    pub fine_tune: i16,
    /// Gain in 1/655360 dB.
    pub attenuation: i32,
    /// Options.
    pub options: u32,
    /// Loops that follow: 0 or 1.
    pub sample_loops: u32,
}

layout! { WaveSample = "WSMPL", 20 / 20 {
    cb_size = "cbSize", 0 / 0;
    unity_note = "usUnityNote", 4 / 4;
    fine_tune = "sFineTune", 6 / 6;
    attenuation = "lAttenuation", 8 / 8;
    options = "fulOptions", 12 / 12;
    sample_loops = "cSampleLoops", 16 / 16;
} }

/// A loop (`WLOOP`), in samples.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaveLoop {
    /// Bytes of this structure.
    pub cb_size: u32,
    /// 0 forward, 1 until release.
    pub kind: u32,
    /// First sample.
    pub start: u32,
    /// Samples.
    pub length: u32,
}

layout! { WaveLoop = "WLOOP", 16 / 16 {
    cb_size = "cbSize", 0 / 0;
    kind = "ulType", 4 / 4;
    start = "ulStart", 8 / 8;
    length = "ulLength", 12 / 12;
} }

/// A region (`DMUS_REGION`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Keys.
    pub range_key: RegionRange,
    /// Velocities.
    pub range_velocity: RegionRange,
    /// Options.
    pub options: u16,
    /// Key group.
    pub key_group: u16,
    /// The articulation, or 0 for the instrument's.
    pub articulation: u32,
    /// The next region.
    pub next_region: u32,
    /// The first [`ExtensionChunk`].
    pub first_extension: u32,
    /// The wave.
    pub wave_link: WaveLink,
    /// Its unity note, tuning and gain.
    pub wave_sample: WaveSample,
    /// Its loop.
    pub wave_loop: [WaveLoop; 1],
}

layout! { Region = "DMUS_REGION", 72 / 72 {
    range_key = "RangeKey", 0 / 0;
    range_velocity = "RangeVelocity", 4 / 4;
    options = "fusOptions", 8 / 8;
    key_group = "usKeyGroup", 10 / 10;
    articulation = "ulRegionArtIdx", 12 / 12;
    next_region = "ulNextRegionIdx", 16 / 16;
    first_extension = "ulFirstExtCkIdx", 20 / 20;
    wave_link = "WaveLink", 24 / 24;
    wave_sample = "WSMP", 36 / 36;
    wave_loop = "WLOOP", 56 / 56;
} }

/// An articulation of a level 1 instrument (`DMUS_ARTICULATION`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Articulation {
    /// The [`ArticulationParams`].
    pub articulation_1: u32,
    /// The first [`ExtensionChunk`].
    pub first_extension: u32,
}

layout! { Articulation = "DMUS_ARTICULATION", 8 / 8 {
    articulation_1 = "ulArt1Idx", 0 / 0;
    first_extension = "ulFirstExtCkIdx", 4 / 4;
} }

/// An articulation of a level 2 instrument (`DMUS_ARTICULATION2`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Articulation2 {
    /// The [`ConnectionList`].
    pub articulation: u32,
    /// The first [`ExtensionChunk`].
    pub first_extension: u32,
    /// The next articulation.
    pub next_articulation: u32,
}

layout! { Articulation2 = "DMUS_ARTICULATION2", 12 / 12 {
    articulation = "ulArtIdx", 0 / 0;
    first_extension = "ulFirstExtCkIdx", 4 / 4;
    next_articulation = "ulNextArtIdx", 8 / 8;
} }

/// Level 1 articulation (`DMUS_ARTICPARAMS`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArticulationParams {
    /// Low-frequency oscillator.
    pub lfo: LfoParams,
    /// Volume envelope.
    pub volume_envelope: VolumeEnvelopeParams,
    /// Pitch envelope.
    pub pitch_envelope: PitchEnvelopeParams,
    /// The rest.
    pub misc: MiscParams,
}

layout! { ArticulationParams = "DMUS_ARTICPARAMS", 80 / 80 {
    lfo = "LFO", 0 / 0;
    volume_envelope = "VolEG", 24 / 24;
    pitch_envelope = "PitchEG", 48 / 48;
    misc = "Misc", 76 / 76;
} }

/// Low-frequency oscillator (`DMUS_LFOPARAMS`). Pitch in 1/65536 cents, gain in 1/655360 dB, time in absolute time
/// cents times 65536.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LfoParams {
    /// Frequency.
    pub frequency: i32,
    /// Delay.
    pub delay: i32,
    /// Its effect on volume.
    pub volume_scale: i32,
    /// Its effect on pitch.
    pub pitch_scale: i32,
    /// The change of volume at full modulation wheel, in 1/655360 dB.
    pub wheel_to_volume: i32,
    /// The change of pitch at full modulation wheel, in 1/65536 cents.
    pub wheel_to_pitch: i32,
}

layout! { LfoParams = "DMUS_LFOPARAMS", 24 / 24 {
    frequency = "pcFrequency", 0 / 0;
    delay = "tcDelay", 4 / 4;
    volume_scale = "gcVolumeScale", 8 / 8;
    pitch_scale = "pcPitchScale", 12 / 12;
    wheel_to_volume = "gcMWToVolume", 16 / 16;
    wheel_to_pitch = "pcMWToPitch", 20 / 20;
} }

/// Volume envelope (`DMUS_VEGPARAMS`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumeEnvelopeParams {
    /// Attack.
    pub attack: i32,
    /// Decay.
    pub decay: i32,
    /// Sustain level in 1/655360.
    pub sustain: i32,
    /// Release.
    pub release: i32,
    /// The change of the attack time at full velocity, in time cents times 65536.
    pub velocity_to_attack: i32,
    /// The change of the decay time at the highest key, in time cents times 65536.
    pub key_to_decay: i32,
}

layout! { VolumeEnvelopeParams = "DMUS_VEGPARAMS", 24 / 24 {
    attack = "tcAttack", 0 / 0;
    decay = "tcDecay", 4 / 4;
    sustain = "ptSustain", 8 / 8;
    release = "tcRelease", 12 / 12;
    velocity_to_attack = "tcVel2Attack", 16 / 16;
    key_to_decay = "tcKey2Decay", 20 / 20;
} }

/// Pitch envelope (`DMUS_PEGPARAMS`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PitchEnvelopeParams {
    /// Attack.
    pub attack: i32,
    /// Decay.
    pub decay: i32,
    /// Sustain level in 1/655360.
    pub sustain: i32,
    /// Release.
    pub release: i32,
    /// The change of the attack time at full velocity, in time cents times 65536.
    pub velocity_to_attack: i32,
    /// The change of the decay time at the highest key, in time cents times 65536.
    pub key_to_decay: i32,
    /// Its effect on pitch.
    pub range: i32,
}

layout! { PitchEnvelopeParams = "DMUS_PEGPARAMS", 28 / 28 {
    attack = "tcAttack", 0 / 0;
    decay = "tcDecay", 4 / 4;
    sustain = "ptSustain", 8 / 8;
    release = "tcRelease", 12 / 12;
    velocity_to_attack = "tcVel2Attack", 16 / 16;
    key_to_decay = "tcKey2Decay", 20 / 20;
    range = "pcRange", 24 / 24;
} }

/// The rest of a level 1 articulation (`DMUS_MSCPARAMS`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MiscParams {
    /// Pan.
    pub default_pan: i32,
}

layout! { MiscParams = "DMUS_MSCPARAMS", 4 / 4 {
    default_pan = "ptDefaultPan", 0 / 0;
} }

/// The header of a list of connections (`CONNECTIONLIST`); as many [`Connection`]s follow.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionList {
    /// Bytes of this structure.
    pub cb_size: u32,
    /// Number of connections.
    pub connections: u32,
}

layout! { ConnectionList = "CONNECTIONLIST", 8 / 8 {
    cb_size = "cbSize", 0 / 0;
    connections = "cConnections", 4 / 4;
} }

/// A connection block (`CONNECTION`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The source.
    pub source: u16,
    /// The control, which scales the source.
    pub control: u16,
    /// The destination.
    pub destination: u16,
    /// The curve.
    pub transform: u16,
    /// The scale, in 1/65536 of the unit of the destination (1/655360 dB for gains).
    pub scale: i32,
}

layout! { Connection = "CONNECTION", 12 / 12 {
    source = "usSource", 0 / 0;
    control = "usControl", 2 / 2;
    destination = "usDestination", 4 / 4;
    transform = "usTransform", 6 / 6;
    scale = "lScale", 8 / 8;
} }

/// An extension (`DMUS_EXTENSIONCHUNK`), with room for its first four bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtensionChunk {
    /// Bytes of data.
    pub cb_size: u32,
    /// The next extension.
    pub next_extension: u32,
    /// Its identifier, a four-character code.
    pub id: u32,
    /// The data begins here.
    pub data: [u8; 4],
}

layout! { ExtensionChunk = "DMUS_EXTENSIONCHUNK", 16 / 16 {
    cb_size = "cbSize", 0 / 0;
    next_extension = "ulNextExtCkIdx", 4 / 4;
    id = "ExtCkID", 8 / 8;
    data = "byExtCk", 12 / 12;
} }

/// A copyright (`DMUS_COPYRIGHT`), with room for its first four bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copyright {
    /// Bytes of text.
    pub cb_size: u32,
    /// The text begins here.
    pub text: [u8; 4],
}

layout! { Copyright = "DMUS_COPYRIGHT", 8 / 8 {
    cb_size = "cbSize", 0 / 0;
    text = "byCopyright", 4 / 4;
} }

/// A wave (`DMUS_WAVE`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wave {
    /// The first [`ExtensionChunk`].
    pub first_extension: u32,
    /// The [`Copyright`].
    pub copyright: u32,
    /// The [`WaveData`].
    pub wave_data: u32,
    /// Its format.
    pub format: crate::ks::WaveFormatEx,
}

layout! { Wave = "DMUS_WAVE", 32 / 32 {
    first_extension = "ulFirstExtCkIdx", 0 / 0;
    copyright = "ulCopyrightIdx", 4 / 4;
    wave_data = "ulWaveDataIdx", 8 / 8;
    format = "WaveformatEx", 12 / 12;
} }

/// Samples (`DMUS_WAVEDATA`), with room for the first four bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaveData {
    /// Bytes of samples.
    pub cb_size: u32,
    /// The samples begin here.
    pub data: [u8; 4],
}

layout! { WaveData = "DMUS_WAVEDATA", 8 / 8 {
    cb_size = "cbSize", 0 / 0;
    data = "byData", 4 / 4;
} }

/// A wave articulation (`DMUS_WAVEARTDL`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaveArticulation {
    /// The index of the download ids in the offset table.
    pub download_ids: u32,
    /// The bus.
    pub bus: u32,
    /// Buffers.
    pub buffers: u32,
    /// The master's download id.
    pub master_download_id: u32,
    /// Options.
    pub options: u16,
}

layout! { WaveArticulation = "DMUS_WAVEARTDL", 20 / 20 {
    download_ids = "ulDownloadIdIdx", 0 / 0;
    bus = "ulBus", 4 / 4;
    buffers = "ulBuffers", 8 / 8;
    master_download_id = "ulMasterDLId", 12 / 12;
    options = "usOptions", 16 / 16;
} }

/// Streamed wave data (`DMUS_WAVEDL`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaveDownload {
    /// Bytes.
    pub cb_wave_data: u32,
}

layout! { WaveDownload = "DMUS_WAVEDL", 4 / 4 {
    cb_wave_data = "cbWaveData", 0 / 0;
} }

/// A range of notes to download (`DMUS_NOTERANGE`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoteRange {
    /// Lowest.
    pub low_note: u32,
    /// Highest.
    pub high_note: u32,
}

layout! { NoteRange = "DMUS_NOTERANGE", 8 / 8 {
    low_note = "dwLowNote", 0 / 0;
    high_note = "dwHighNote", 4 / 4;
} }
