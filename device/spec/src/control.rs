//! The control queue: one request and one response a chain.
//!
//! The readable part begins with a [`RequestHeader`], the writable part with a [`ResponseHeader`]. The card copies a
//! request once and looks only at the copy. A chain without 16 writable bytes is returned unanswered and diagnosed.
//! Requests are answered in order, one at a time. Either part may be longer than what it holds.
//!
//! Before it carries out a request the card takes every event batch that was available on midi-out when the request's
//! kick arrived: a batch, then `STREAM_STATE`, is seen in that order.

use zerocopy::little_endian::{I32, I64, U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::open_enum;
use crate::queue::QUEUE_COUNT;

/// The header of every request.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct RequestHeader {
    /// [`RequestCode`].
    pub code: U32,
    /// Bytes of payload that follow.
    pub length: U32,
    /// A tag of the driver's choice; returned in the response.
    pub tag: U64,
}

/// The header of every response.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct ResponseHeader {
    /// [`Status`].
    pub status: U32,
    /// Bytes of payload that follow. Zero unless the status is [`Status::OK`] or [`Status::ALTERED`], or the request
    /// says otherwise.
    pub length: U32,
    /// The request's tag.
    pub tag: U64,
}

open_enum! {
    /// The code of a request. The payloads of request and response are given with each; where none is given there is none.
    RequestCode: u32 {
        /// [`Open`] → [`OpenResponse`]. Begins a session: the reset edge.
        OPEN = 0x0001,
        /// Ends the session: streams, pending events, voices and downloads go.
        CLOSE = 0x0002,
        /// → [`Statistics`].
        STATISTICS = 0x0003,
        /// [`StatusPageLoan`]. Lends the card a page for the [status page](crate::status_page), or takes it back.
        STATUS_PAGE = 0x0004,
        /// [`PortParameters`] → [`PortParameters`]. Requests voices, groups, rate and effects; answers those in
        /// force, with status [`ALTERED`](Status::ALTERED) if anything valid was changed. Refused with
        /// [`INVALID_STATE`](Status::INVALID_STATE) while a wave stream is open and the rate would change.
        PARAMETERS = 0x0005,
        /// → [`Latency`].
        LATENCY = 0x0006,
        /// Stops everything that sounds: all voices end, controllers reset. Pending events stay.
        ALL_SOUND_OFF = 0x0007,

        /// [`StreamOpen`]. Opens a stream in state [`STOP`](StreamState::STOP).
        STREAM_OPEN = 0x0010,
        /// [`StreamId`]. Stops and closes a stream.
        STREAM_CLOSE = 0x0011,
        /// [`StreamStateChange`].
        STREAM_STATE = 0x0012,
        /// [`ClockSync`]. Anchors master time to the sample clock.
        CLOCK_SYNC = 0x0013,

        /// [`Volume`].
        VOLUME = 0x0020,
        /// [`VoicePriority`] → [`VoicePriority`]. Reads or sets one channel's priority.
        VOICE_PRIORITY = 0x0021,

        /// A DirectMusic download buffer (`DMUS_DOWNLOADINFO` and what follows) → [`DownloadResponse`]. A malformed
        /// buffer gets [`MALFORMED`](Status::MALFORMED) and a [`DownloadResponse`] with the place.
        DLS_DOWNLOAD = 0x0030,
        /// [`DownloadHandle`]. Answers [`PENDING`](Status::PENDING) while a voice still sounds from it; a notice
        /// then says [`UNLOADED`](crate::notice::NoticeKind::UNLOADED).
        DLS_UNLOAD = 0x0031,
        /// Packs download memory without changing the sound.
        DLS_COMPACT = 0x0032,
    }
}

open_enum! {
    /// How a request ended.
    Status: u32 {
        /// Done.
        OK = 0,
        /// Done, but a parameter was changed to a value that the card has. The response contains it.
        ALTERED = 1,
        /// Accepted; a notice on the event queue follows when it is done.
        PENDING = 2,
        /// The card does not know the request.
        UNSUPPORTED = 0x100,
        /// The request is malformed.
        MALFORMED = 0x101,
        /// A parameter is out of range.
        INVALID_PARAMETER = 0x102,
        /// There is no session: send `OPEN` first.
        NO_SESSION = 0x103,
        /// The state does not allow the request.
        INVALID_STATE = 0x104,
        /// A limit is reached: memory, streams, downloads.
        NO_RESOURCES = 0x105,
        /// No such stream or handle.
        NOT_FOUND = 0x106,
        /// `OPEN` has another major ABI version.
        ABI_MISMATCH = 0x107,
        /// The card failed. Nothing was changed.
        CARD_FAILED = 0x108,
    }
}

/// [`OPEN`](RequestCode::OPEN): the request.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct Open {
    /// The driver's ABI version.
    pub abi_major: U16,
    /// The driver's ABI version.
    pub abi_minor: U16,
    /// The ring sizes that the driver uses, which the card compares with those that the transport reported.
    pub queue_sizes: [U16; QUEUE_COUNT],
    /// Reserved.
    pub reserved: U16,
    /// A number that the driver has not used before, for logs and traces.
    pub session: U64,
}

/// [`OPEN`](RequestCode::OPEN): the answer.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct OpenResponse {
    /// The session's number, as in the request.
    pub session: U64,
    /// The parameters in force.
    pub parameters: PortParameters,
    /// Reserved.
    pub reserved: U32,
}

/// [`PARAMETERS`](RequestCode::PARAMETERS): DirectMusic's port parameters (`SYNTH_PORTPARAMS`), field for field.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct PortParameters {
    /// Which fields the driver requests: bits of [`port_parameter`]. In the response: all of them.
    pub valid: U32,
    /// Voices.
    pub voices: U32,
    /// Channel groups.
    pub channel_groups: U32,
    /// Audio channels: 1 or 2.
    pub audio_channels: U32,
    /// Sample rate in Hz.
    pub sample_rate: U32,
    /// Effects: bits of [`effect`].
    pub effects: U32,
    /// Share the port with others: always 0 on this card.
    pub share: U32,
}

/// Bits of [`PortParameters::valid`] (`SYNTH_PORTPARAMS_*`).
pub mod port_parameter {
    /// `voices` is requested.
    pub const VOICES: u32 = 1;
    /// `channel_groups` is requested.
    pub const CHANNEL_GROUPS: u32 = 2;
    /// `audio_channels` is requested.
    pub const AUDIO_CHANNELS: u32 = 4;
    /// `sample_rate` is requested.
    pub const SAMPLE_RATE: u32 = 8;
    /// `effects` is requested.
    pub const EFFECTS: u32 = 0x20;
    /// `share` is requested.
    pub const SHARE: u32 = 0x40;
    /// All of them.
    pub const ALL: u32 = VOICES | CHANNEL_GROUPS | AUDIO_CHANNELS | SAMPLE_RATE | EFFECTS | SHARE;
}

/// Bits of [`PortParameters::effects`] (`SYNTH_EFFECT_*`).
pub mod effect {
    /// Reverb.
    pub const REVERB: u32 = 1;
    /// Chorus.
    pub const CHORUS: u32 = 2;
}

/// [`STATISTICS`](RequestCode::STATISTICS): DirectMusic's running statistics (`SYNTH_STATS`), since a wave stream last
/// entered [`RUN`](StreamState::RUN), renewed each second.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct Statistics {
    /// Which fields are valid (`SYNTH_STATS_*`).
    pub valid: U32,
    /// Average number of voices.
    pub voices: U32,
    /// Processor time, in percent of one core times 100.
    pub total_cpu: U32,
    /// The same for each voice.
    pub cpu_per_voice: U32,
    /// Notes lost.
    pub lost_notes: U32,
    /// Free download memory in bytes.
    pub free_memory: U32,
    /// Peak volume in 1/100 dB below full scale.
    pub peak_volume: I32,
    /// Reserved.
    pub reserved: U32,
}

/// Bits of [`Statistics::valid`] (`SYNTH_STATS_*`).
pub mod statistic {
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

/// [`STATUS_PAGE`](RequestCode::STATUS_PAGE): the request.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct StatusPageLoan {
    /// Guest-physical address of the page, 4096-aligned; 0 takes the page back.
    pub address: U64,
}

/// [`LATENCY`](RequestCode::LATENCY): the answer.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct Latency {
    /// How long before its time an event must arrive at the card to play on time, in 100 ns units.
    pub minimum: I64,
}

open_enum! {
    /// The kind of a stream.
    StreamKind: u32 {
        /// Events to play.
        RENDER = 0,
        /// Events captured.
        CAPTURE = 1,
        /// Rendered PCM. One a session; it owns the sample clock.
        WAVE = 2,
    }
}

/// [`STREAM_OPEN`](RequestCode::STREAM_OPEN): the request.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct StreamOpen {
    /// The driver's choice, below [`STREAMS_MAX`](crate::limits::STREAMS_MAX), not in use.
    pub stream: U32,
    /// [`StreamKind`].
    pub kind: U32,
    /// Wave only: sample rate in Hz. It becomes the session's.
    pub sample_rate: U32,
    /// Wave only: 1 or 2.
    pub channels: U16,
    /// Wave only: bits a sample; 16.
    pub bits: U16,
}

/// [`STREAM_CLOSE`](RequestCode::STREAM_CLOSE): the request.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct StreamId {
    /// The stream.
    pub stream: U32,
    /// Reserved.
    pub reserved: U32,
}

open_enum! {
    /// A stream's state, with the numbers of `KSSTATE`.
    StreamState: u32 {
        /// Stopped; pending events are discarded. For the wave stream: time is reset to frame 0, the anchor is dropped,
        /// and all voices end.
        STOP = 0,
        /// Ready; nothing moves.
        ACQUIRE = 1,
        /// Pending events are kept. For the wave stream: time stands still.
        PAUSE = 2,
        /// Events play, wave buffers are filled, time moves.
        RUN = 3,
    }
}

/// [`STREAM_STATE`](RequestCode::STREAM_STATE). Any state may follow any other, itself included.
///
/// When the wave stream leaves [`RUN`](StreamState::RUN), wave buffers that wait are returned unfilled
/// (`WaveHeader::frames` 0, status [`FLUSHED`](crate::wave::WaveStatus::FLUSHED)).
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct StreamStateChange {
    /// The stream.
    pub stream: U32,
    /// [`StreamState`].
    pub state: U32,
}

/// [`CLOCK_SYNC`](RequestCode::CLOCK_SYNC): master time `master_time` is frame `frame`.
///
/// With [`START`](clock_sync::START) the sample clock is set to `frame` (0 to [`FRAME_MAX`](crate::limits::FRAME_MAX))
/// and, in real time, starts to run when the wave stream runs. Without it the anchor is replaced for events that arrive
/// from now on, and the sample clock is left alone: that is how a driver corrects drift.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct ClockSync {
    /// The wave stream.
    pub stream: U32,
    /// Bits of [`clock_sync`].
    pub flags: U32,
    /// Master time in 100 ns units.
    pub master_time: I64,
    /// The frame that begins at that time.
    pub frame: I64,
}

/// Bits of [`ClockSync::flags`].
pub mod clock_sync {
    /// The sample clock is set.
    pub const START: u32 = 1;
}

/// [`VOLUME`](RequestCode::VOLUME): port volume and boost; they add.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct Volume {
    /// 0 sets the volume, 1 the boost (`GUID_DMUS_PROP_Volume`'s two items).
    pub item: U32,
    /// In 1/100 dB, clamped to -20000..=2000.
    pub hundredths_db: I32,
}

/// [`VOICE_PRIORITY`](RequestCode::VOICE_PRIORITY): request and answer.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct VoicePriority {
    /// The channel group, from 0.
    pub channel_group: U32,
    /// The channel, 0 to 15.
    pub channel: U32,
    /// The priority (`DAUD_*_VOICE_PRIORITY` with the channel's offset). Read when `set` is 0.
    pub priority: U32,
    /// 1 sets, 0 reads.
    pub set: U32,
}

/// [`DLS_DOWNLOAD`](RequestCode::DLS_DOWNLOAD): the answer.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct DownloadResponse {
    /// The handle, never 0; 0 when the download failed.
    pub handle: U32,
    /// The reason of a failure. 0 none, 1 header, 2 offset table, 3 chunk out of bounds, 4 index, 5 chain too long or
    /// cyclic, 6 wave link, 7 wave format, 8 type not supported, 9 memory, 10 wave articulation without buffers.
    pub reason: U32,
    /// The byte offset of a failure.
    pub offset: U32,
    /// Reserved.
    pub reserved: U32,
}

/// [`DLS_UNLOAD`](RequestCode::DLS_UNLOAD): the request.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct DownloadHandle {
    /// The handle, as in [`DownloadResponse::handle`].
    pub handle: U32,
    /// Reserved.
    pub reserved: U32,
}

const _: () = assert!(size_of::<RequestHeader>() == 16);
const _: () = assert!(size_of::<ResponseHeader>() == 16);
const _: () = assert!(size_of::<Open>() == 24);
const _: () = assert!(size_of::<OpenResponse>() == 40);
const _: () = assert!(size_of::<PortParameters>() == 28);
const _: () = assert!(size_of::<Statistics>() == 32);
const _: () = assert!(size_of::<StreamOpen>() == 16);
const _: () = assert!(size_of::<ClockSync>() == 24);
const _: () = assert!(size_of::<DownloadResponse>() == 16);
