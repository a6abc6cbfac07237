//! The table of properties: sets, ids, verbs, sizes and places.
//!
//! A property that is not listed here is not in the automation tables either: the port answers that it does not exist.
//!
//! DirectMusic queries some features by property sets of their own (`GUID_DMUS_PROP_*`), each with the one item 0. They
//! are listed for the node and for the render pins, because clients name a node or not. Sets of features that the card
//! never has (GS, XG) are left out, so that they do not exist.

use portcls::ReferenceTime;
use portcls::guid::{self, Guid};
use portcls::ks::{KsIdentifier, WaveFormatEx, verb};
use portcls::synth::{
    SynthBuffer, SynthCaps, SynthDownload, SynthPortParams, SynthStats, SynthVoicePriorityInstance, dls_property,
    synth_property,
};

/// A property that the driver has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Property {
    /// The synthesizer's capabilities.
    Caps,
    /// Port parameters: its GET also sets them.
    PortParameters,
    /// The number of channel groups.
    ChannelGroups,
    /// The earliest time at which an event is not late.
    LatencyClock,
    /// Running statistics.
    RunningStats,
    /// A channel's priority.
    VoicePriority,
    /// The volume, a property of the pin.
    Volume,
    /// The volume boost.
    VolumeBoost,
    /// Downloads DLS data.
    Download,
    /// Unloads DLS data.
    Unload,
    /// Compacts download memory.
    Compact,
    /// How many bytes a client appends to every download.
    Append,
    /// The format that the synthesizer renders.
    WaveFormat,
    /// Whether the card has a General MIDI set of its own.
    GmHardware,
    /// Whether it takes DLS level 1.
    Dls1,
    /// Whether it takes DLS level 2.
    Dls2,
    /// Whether it takes `DMUS_DOWNLOADINFO_INSTRUMENT2`.
    Instrument2,
    /// Bytes of memory for samples.
    SampleMemorySize,
    /// Frames a second that are rendered.
    SamplePlaybackRate,
    /// Effects in use.
    Effects,
}

/// The node's properties.
pub const OF_NODE: [Property; 19] = [
    Property::Caps,
    Property::PortParameters,
    Property::ChannelGroups,
    Property::LatencyClock,
    Property::RunningStats,
    Property::VoicePriority,
    Property::VolumeBoost,
    Property::Download,
    Property::Unload,
    Property::Compact,
    Property::Append,
    Property::WaveFormat,
    Property::GmHardware,
    Property::Dls1,
    Property::Dls2,
    Property::Instrument2,
    Property::SampleMemorySize,
    Property::SamplePlaybackRate,
    Property::Effects,
];

/// The properties of the node through which captured MIDI comes.
pub const OF_CAPTURE_NODE: [Property; 3] = [Property::Caps, Property::PortParameters, Property::ChannelGroups];

/// The render pins' properties.
pub const OF_PIN: [Property; 8] = [
    Property::Volume,
    Property::GmHardware,
    Property::Dls1,
    Property::Dls2,
    Property::Instrument2,
    Property::SampleMemorySize,
    Property::SamplePlaybackRate,
    Property::Effects,
];

static SYNTH_SET: Guid = guid::KSPROPSETID_Synth;
static DLS_SET: Guid = guid::KSPROPSETID_Synth_Dls;
static GM_HARDWARE_SET: Guid = guid::GUID_DMUS_PROP_GM_Hardware;
static DLS1_SET: Guid = guid::GUID_DMUS_PROP_DLS1;
static DLS2_SET: Guid = guid::GUID_DMUS_PROP_DLS2;
static INSTRUMENT2_SET: Guid = guid::GUID_DMUS_PROP_INSTRUMENT2;
static SAMPLE_MEMORY_SIZE_SET: Guid = guid::GUID_DMUS_PROP_SampleMemorySize;
static SAMPLE_PLAYBACK_RATE_SET: Guid = guid::GUID_DMUS_PROP_SamplePlaybackRate;
static EFFECTS_SET: Guid = guid::GUID_DMUS_PROP_Effects;

/// The target of a property.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The synthesizer node.
    Node,
    /// A render pin.
    Pin,
    /// On a render pin, with or without the node.
    Both,
}

/// `KSPROPTYPESETID_General`: the value is of a variant type.
const GENERAL_TYPES: Guid = Guid::parse("97e99ba0-bdea-11cf-a5d6-28db04c10000");
/// `VT_I4`.
const TYPE_I4: u32 = 3;
/// `VT_BOOL`.
const TYPE_BOOL: u32 = 11;
/// `VT_UI4`.
const TYPE_UI4: u32 = 19;

impl Property {
    /// Finds the property with an id in a set.
    #[must_use]
    pub fn find(set: &Guid, id: u32) -> Option<Self> {
        OF_NODE.into_iter().chain(OF_PIN).find(|property| property.id() == id && property.set() == set)
    }

    /// Returns its set.
    #[must_use]
    pub const fn set(self) -> &'static Guid {
        match self {
            Self::Caps
            | Self::PortParameters
            | Self::ChannelGroups
            | Self::LatencyClock
            | Self::RunningStats
            | Self::VoicePriority
            | Self::Volume
            | Self::VolumeBoost => &SYNTH_SET,
            Self::Download | Self::Unload | Self::Compact | Self::Append | Self::WaveFormat => &DLS_SET,
            Self::GmHardware => &GM_HARDWARE_SET,
            Self::Dls1 => &DLS1_SET,
            Self::Dls2 => &DLS2_SET,
            Self::Instrument2 => &INSTRUMENT2_SET,
            Self::SampleMemorySize => &SAMPLE_MEMORY_SIZE_SET,
            Self::SamplePlaybackRate => &SAMPLE_PLAYBACK_RATE_SET,
            Self::Effects => &EFFECTS_SET,
        }
    }

    /// Returns its target.
    pub(super) const fn place(self) -> Place {
        match self {
            Self::Volume => Place::Pin,
            Self::GmHardware
            | Self::Dls1
            | Self::Dls2
            | Self::Instrument2
            | Self::SampleMemorySize
            | Self::SamplePlaybackRate
            | Self::Effects => Place::Both,
            _ => Place::Node,
        }
    }

    /// Returns its id in the set.
    #[must_use]
    pub const fn id(self) -> u32 {
        match self {
            Self::Caps => synth_property::CAPS,
            Self::PortParameters => synth_property::PORTPARAMETERS,
            Self::ChannelGroups => synth_property::CHANNELGROUPS,
            Self::LatencyClock => synth_property::LATENCYCLOCK,
            Self::RunningStats => synth_property::RUNNINGSTATS,
            Self::VoicePriority => synth_property::VOICEPRIORITY,
            Self::Volume => synth_property::VOLUME,
            Self::VolumeBoost => synth_property::VOLUMEBOOST,
            Self::Download => dls_property::DOWNLOAD,
            Self::Unload => dls_property::UNLOAD,
            Self::Compact => dls_property::COMPACT,
            Self::Append => dls_property::APPEND,
            Self::WaveFormat => dls_property::WAVEFORMAT,
            // The sets of features have one item each.
            Self::GmHardware
            | Self::Dls1
            | Self::Dls2
            | Self::Instrument2
            | Self::SampleMemorySize
            | Self::SamplePlaybackRate
            | Self::Effects => 0,
        }
    }

    /// Returns its verbs.
    #[must_use]
    pub const fn flags(self) -> u32 {
        match self {
            Self::Caps
            | Self::PortParameters
            | Self::LatencyClock
            | Self::RunningStats
            | Self::Download
            | Self::Append
            | Self::WaveFormat
            | Self::GmHardware
            | Self::Dls1
            | Self::Dls2
            | Self::Instrument2
            | Self::SampleMemorySize
            | Self::SamplePlaybackRate => verb::GET | verb::BASICSUPPORT,
            Self::Unload | Self::Compact => verb::SET | verb::BASICSUPPORT,
            Self::ChannelGroups | Self::VoicePriority | Self::Volume | Self::VolumeBoost | Self::Effects => {
                verb::GET | verb::SET | verb::BASICSUPPORT
            }
        }
    }

    /// Returns how many bytes its value has, for a caller of the kernel's pointer width.
    #[must_use]
    pub const fn value_bytes(self) -> usize {
        match self {
            Self::Download => size_of::<SynthDownload>(),
            Self::Unload => size_of::<usize>(),
            Self::Compact => 0,
            Self::Caps => size_of::<SynthCaps>(),
            Self::PortParameters => size_of::<SynthPortParams>(),
            Self::LatencyClock => size_of::<ReferenceTime>(),
            Self::RunningStats => size_of::<SynthStats>(),
            Self::WaveFormat => size_of::<WaveFormatEx>(),
            Self::ChannelGroups
            | Self::VoicePriority
            | Self::Volume
            | Self::VolumeBoost
            | Self::Append
            | Self::GmHardware
            | Self::Dls1
            | Self::Dls2
            | Self::Instrument2
            | Self::SampleMemorySize
            | Self::SamplePlaybackRate
            | Self::Effects => size_of::<u32>(),
        }
    }

    /// Returns how many bytes must follow the property's header.
    #[must_use]
    pub const fn instance_bytes(self) -> usize {
        match self {
            Self::PortParameters => size_of::<SynthPortParams>(),
            Self::VoicePriority => size_of::<SynthVoicePriorityInstance>(),
            Self::Download => size_of::<SynthBuffer>(),
            _ => 0,
        }
    }

    /// Returns whether a request needs no stream.
    pub(super) const fn is_of_filter(self) -> bool {
        matches!(self, Self::Caps)
    }

    /// Returns the type of its value, null for a structure.
    pub(super) const fn value_type(self) -> KsIdentifier {
        let id = match self {
            Self::Volume | Self::VolumeBoost => TYPE_I4,
            Self::ChannelGroups
            | Self::VoicePriority
            | Self::Append
            | Self::SampleMemorySize
            | Self::SamplePlaybackRate
            | Self::Effects => TYPE_UI4,
            Self::GmHardware | Self::Dls1 | Self::Dls2 | Self::Instrument2 => TYPE_BOOL,
            _ => return KsIdentifier { set: Guid::NULL, id: 0, flags: 0 },
        };
        KsIdentifier { set: GENERAL_TYPES, id, flags: 0 }
    }
}
