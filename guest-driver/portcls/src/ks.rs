//! Kernel-streaming structures and numbers that a music filter meets (`ks.h`, `ksmedia.h`).

use core::ffi::c_void;

use crate::guid::Guid;

/// `KSSTATE`.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KsState(pub u32);

impl KsState {
    /// Nothing is held, nothing plays.
    pub const STOP: Self = Self(0);
    /// Resources are held; data is kept.
    pub const ACQUIRE: Self = Self(1);
    /// Ready to play; data is kept.
    pub const PAUSE: Self = Self(2);
    /// Data plays.
    pub const RUN: Self = Self(3);
}

/// Property verbs and support flags (`KSPROPERTY_TYPE_*`, `PCPROPERTY_ITEM_FLAG_*`).
pub mod verb {
    /// Read.
    pub const GET: u32 = 1;
    /// Write.
    pub const SET: u32 = 2;
    /// Query of whether the set is supported.
    pub const SETSUPPORT: u32 = 0x100;
    /// Query of the supported verbs.
    pub const BASICSUPPORT: u32 = 0x200;
    /// The property is a node's: a node id follows the header.
    pub const TOPOLOGY: u32 = 0x1000_0000;
}

/// `KSPROPSETID_Pin`'s ids.
pub mod pin_property {
    /// Instances, most and now.
    pub const CINSTANCES: u32 = 0;
    /// The number of pin factories.
    pub const CTYPES: u32 = 1;
    /// Data flow.
    pub const DATAFLOW: u32 = 2;
    /// Data ranges.
    pub const DATARANGES: u32 = 3;
    /// The best common format.
    pub const DATAINTERSECTION: u32 = 4;
    /// Interfaces.
    pub const INTERFACES: u32 = 5;
    /// Mediums.
    pub const MEDIUMS: u32 = 6;
    /// Communication.
    pub const COMMUNICATION: u32 = 7;
    /// Instances over all filters.
    pub const GLOBALCINSTANCES: u32 = 8;
    /// Instances needed.
    pub const NECESSARYINSTANCES: u32 = 9;
    /// The other end of the pin's connection.
    pub const PHYSICALCONNECTION: u32 = 10;
    /// Category.
    pub const CATEGORY: u32 = 11;
    /// Name.
    pub const NAME: u32 = 12;
    /// Data ranges that hold just now.
    pub const CONSTRAINEDDATARANGES: u32 = 13;
    /// Would this format do?
    pub const PROPOSEDATAFORMAT: u32 = 14;
}

/// `KSPROPSETID_Connection`'s ids.
pub mod connection_property {
    /// The pin's state.
    pub const STATE: u32 = 0;
    /// Its priority.
    pub const PRIORITY: u32 = 1;
    /// Its data format.
    pub const DATAFORMAT: u32 = 2;
}

/// `KSDATAFORMAT`, which is also `KSDATARANGE`.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KsDataFormat {
    /// Bytes of the whole format, this and what follows.
    pub format_size: u32,
    /// Flags.
    pub flags: u32,
    /// Bytes of a sample, or 0.
    pub sample_size: u32,
    /// 0.
    pub reserved: u32,
    /// The major type.
    pub major_format: Guid,
    /// The subtype.
    pub sub_format: Guid,
    /// The specifier of the format block that follows.
    pub specifier: Guid,
}

/// A data range has the layout of a data format.
pub type KsDataRange = KsDataFormat;

layout! { KsDataFormat = "KSDATAFORMAT", 64 / 64 {
    format_size = "FormatSize", 0 / 0;
    flags = "Flags", 4 / 4;
    sample_size = "SampleSize", 8 / 8;
    reserved = "Reserved", 12 / 12;
    major_format = "MajorFormat", 16 / 16;
    sub_format = "SubFormat", 32 / 32;
    specifier = "Specifier", 48 / 48;
} }

/// A range of music formats (`KSDATARANGE_MUSIC`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KsDataRangeMusic {
    /// The range; `format_size` is 96.
    pub range: KsDataRange,
    /// The synthesis technology.
    pub technology: Guid,
    /// Channels, or 0.
    pub channels: u32,
    /// Notes, or 0.
    pub notes: u32,
    /// MIDI channels, a bit each.
    pub channel_mask: u32,
}

layout! { KsDataRangeMusic = "KSDATARANGE_MUSIC", 96 / 96 {
    range = "DataRange", 0 / 0;
    technology = "Technology", 64 / 64;
    channels = "Channels", 80 / 80;
    notes = "Notes", 84 / 84;
    channel_mask = "ChannelMask", 88 / 88;
} }

/// A range of PCM formats (`KSDATARANGE_AUDIO`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KsDataRangeAudio {
    /// The range; `format_size` is 88.
    pub range: KsDataRange,
    /// Most channels.
    pub maximum_channels: u32,
    /// Fewest bits a sample.
    pub minimum_bits_per_sample: u32,
    /// Most bits a sample.
    pub maximum_bits_per_sample: u32,
    /// Lowest sample rate in Hz.
    pub minimum_sample_frequency: u32,
    /// Highest sample rate in Hz.
    pub maximum_sample_frequency: u32,
}

layout! { KsDataRangeAudio = "KSDATARANGE_AUDIO", 88 / 88 {
    range = "DataRange", 0 / 0;
    maximum_channels = "MaximumChannels", 64 / 64;
    minimum_bits_per_sample = "MinimumBitsPerSample", 68 / 68;
    maximum_bits_per_sample = "MaximumBitsPerSample", 72 / 72;
    minimum_sample_frequency = "MinimumSampleFrequency", 76 / 76;
    maximum_sample_frequency = "MaximumSampleFrequency", 80 / 80;
} }

/// A PCM format (`WAVEFORMATEX`).
#[repr(C, packed)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaveFormatEx {
    /// [`WAVE_FORMAT_PCM`].
    pub format_tag: u16,
    /// Channels.
    pub channels: u16,
    /// Frames a second.
    pub samples_per_sec: u32,
    /// Bytes a second.
    pub avg_bytes_per_sec: u32,
    /// Bytes of a frame.
    pub block_align: u16,
    /// Bits of a sample.
    pub bits_per_sample: u16,
    /// Bytes that follow.
    pub cb_size: u16,
}

/// [`WaveFormatEx::format_tag`] of PCM.
pub const WAVE_FORMAT_PCM: u16 = 1;

layout! { WaveFormatEx = "WAVEFORMATEX", 18 / 18 {
    format_tag = "wFormatTag", 0 / 0;
    channels = "nChannels", 2 / 2;
    samples_per_sec = "nSamplesPerSec", 4 / 4;
    avg_bytes_per_sec = "nAvgBytesPerSec", 8 / 8;
    block_align = "nBlockAlign", 12 / 12;
    bits_per_sample = "wBitsPerSample", 14 / 14;
    cb_size = "cbSize", 16 / 16;
} }

/// Bytes of a data format with a PCM format (`KSDATAFORMAT_WAVEFORMATEX`): a [`KsDataFormat`] and right behind it a
/// [`WaveFormatEx`]. The C structure is packed, so there is no padding at the end.
pub const WAVE_DATA_FORMAT_BYTES: u32 = (size_of::<KsDataFormat>() + size_of::<WaveFormatEx>()) as u32;

const _: () = assert!(WAVE_DATA_FORMAT_BYTES == 82);

/// A set, an id and flags (`KSIDENTIFIER`): a property, an interface, a medium.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KsIdentifier {
    /// The set.
    pub set: Guid,
    /// The id in the set.
    pub id: u32,
    /// Flags.
    pub flags: u32,
}

/// A property's header (`KSPROPERTY`).
pub type KsProperty = KsIdentifier;

layout! { KsIdentifier = "KSIDENTIFIER", 24 / 24 {
    set = "Set", 0 / 0;
    id = "Id", 16 / 16;
    flags = "Flags", 20 / 20;
} }

/// A node property's header (`KSNODEPROPERTY`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KsNodeProperty {
    /// The property, with [`verb::TOPOLOGY`].
    pub property: KsProperty,
    /// The node.
    pub node_id: u32,
    /// 0.
    pub reserved: u32,
}

layout! { KsNodeProperty = "KSNODEPROPERTY", 32 / 32 {
    property = "Property", 0 / 0;
    node_id = "NodeId", 24 / 24;
    reserved = "Reserved", 28 / 28;
} }

/// A pin property's header (`KSP_PIN`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KsPPin {
    /// The property.
    pub property: KsProperty,
    /// The pin factory.
    pub pin_id: u32,
    /// 0.
    pub reserved: u32,
}

layout! { KsPPin = "KSP_PIN", 32 / 32 {
    property = "Property", 0 / 0;
    pin_id = "PinId", 24 / 24;
    reserved = "Reserved", 28 / 28;
} }

/// `KSPRIORITY`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KsPriority {
    /// `KSPRIORITY_NORMAL` is 0x40000000.
    pub class: u32,
    /// 1 and up.
    pub sub_class: u32,
}

layout! { KsPriority = "KSPRIORITY", 8 / 8 {
    class = "PriorityClass", 0 / 0;
    sub_class = "PrioritySubClass", 4 / 4;
} }

/// The request that opens a pin (`KSPIN_CONNECT`). A [`KsDataFormat`] follows.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug)]
pub struct KsPinConnect {
    /// The interface.
    pub interface: KsIdentifier,
    /// The medium.
    pub medium: KsIdentifier,
    /// The pin factory.
    pub pin_id: u32,
    /// The pin to connect to, or null.
    pub pin_to_handle: *mut c_void,
    /// The priority.
    pub priority: KsPriority,
}

layout! { KsPinConnect = "KSPIN_CONNECT", 72 / 64 {
    interface = "Interface", 0 / 0;
    medium = "Medium", 24 / 24;
    pin_id = "PinId", 48 / 48;
    pin_to_handle = "PinToHandle", 56 / 52;
    priority = "Priority", 64 / 56;
} }

/// A time as a fraction of 100 ns units (`KSTIME`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KsTime {
    /// The time.
    pub time: i64,
    /// 1.
    pub numerator: u32,
    /// 1.
    pub denominator: u32,
}

layout! { KsTime = "KSTIME", 16 / 16 {
    time = "Time", 0 / 0;
    numerator = "Numerator", 8 / 8;
    denominator = "Denominator", 12 / 12;
} }

/// The header of data that is written to or read from a pin (`KSSTREAM_HEADER`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KsStreamHeader {
    /// Bytes of this structure.
    pub size: u32,
    /// 0.
    pub type_specific_flags: u32,
    /// When the data begins.
    pub presentation_time: KsTime,
    /// The duration of the data, in the units of `presentation_time`.
    pub duration: i64,
    /// Bytes of the buffer.
    pub frame_extent: u32,
    /// Bytes of data.
    pub data_used: u32,
    /// The buffer.
    pub data: *mut c_void,
    /// Options.
    pub options_flags: u32,
    /// 0.
    #[cfg(target_pointer_width = "64")]
    pub reserved: u32,
}

layout! { KsStreamHeader = "KSSTREAM_HEADER", 56 / 48 {
    size = "Size", 0 / 0;
    type_specific_flags = "TypeSpecificFlags", 4 / 4;
    presentation_time = "PresentationTime", 8 / 8;
    duration = "Duration", 24 / 24;
    frame_extent = "FrameExtent", 32 / 32;
    data_used = "DataUsed", 36 / 36;
    data = "Data", 40 / 40;
    options_flags = "OptionsFlags", 48 / 44;
} }

/// The header of a record of raw MIDI in a stream (`KSMUSICFORMAT`); the bytes follow, padded to 4.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KsMusicFormat {
    /// Milliseconds since the record before.
    pub time_delta_ms: u32,
    /// Bytes that follow.
    pub byte_count: u32,
}

layout! { KsMusicFormat = "KSMUSICFORMAT", 8 / 8 {
    time_delta_ms = "TimeDeltaMs", 0 / 0;
    byte_count = "ByteCount", 4 / 4;
} }

/// The long answer to [`verb::BASICSUPPORT`] (`KSPROPERTY_DESCRIPTION`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KsPropertyDescription {
    /// The verbs.
    pub access_flags: u32,
    /// Bytes of the description and what follows it.
    pub description_size: u32,
    /// The value's type.
    pub prop_type_set: KsIdentifier,
    /// Number of the lists of members that follow.
    pub members_list_count: u32,
    /// 0.
    pub reserved: u32,
}

layout! { KsPropertyDescription = "KSPROPERTY_DESCRIPTION", 40 / 40 {
    access_flags = "AccessFlags", 0 / 0;
    description_size = "DescriptionSize", 4 / 4;
    prop_type_set = "PropTypeSet", 8 / 8;
    members_list_count = "MembersListCount", 32 / 32;
    reserved = "Reserved", 36 / 36;
} }
