//! The properties of the synthesizer node and of the render pins.
//!
//! What is not listed here is not in the automation tables either: the port then answers that it does not exist.
//!
//! DirectMusic asks for some features by property sets of their own (`GUID_DMUS_PROP_*`), each with the one item 0. They
//! are listed for the node and for the render pins, because a client names a node or not as it likes. Sets of features
//! that the card never has (GS, XG) are left out: that they do not exist is the answer.
#![allow(unsafe_code, reason = "values are structures of C, moved as bytes")]

use card_spec::control::{PortParameters, Status, VoicePriority};
use card_spec::identity::capability;
use portcls::guid::{self, Guid};
use portcls::ks::{KsIdentifier, KsPropertyDescription, WaveFormatEx, verb};
use portcls::synth::{
    SynthBuffer, SynthCaps, SynthDownload, SynthPortParams, SynthStats, SynthVoicePriorityInstance, caps_flag,
    dls_property, effect, port_parameter, synth_property,
};
use portcls::{NtStatus, ReferenceTime};

use crate::card::{Card, CardError, VolumeItem};
use crate::control::ControlError;
use crate::filter::{NODE_CAPTURE, NODE_SYNTHESIZER};
use crate::format::CHANNELS_MAX;
use crate::irql::Passive;
use crate::kernel::Kernel;
use crate::unloads::Wait;

/// `SYNTHCAPS`' identity of this card.
pub const SYNTH_GUID: Guid = Guid::parse("2c8f3d62-5a4e-4b0e-9d1c-7e0b9a63f1d4");

/// The synthesizer's name, as DirectMusic shows it.
pub const SYNTH_NAME: &str = "Virtual DirectMusic Card";

/// `SYNTHCAPS`' identity of what the card captures.
pub const CAPTURE_GUID: Guid = Guid::parse("2c8f3d63-5a4e-4b0e-9d1c-7e0b9a63f1d4");

/// Its name, as DirectMusic shows it.
pub const CAPTURE_NAME: &str = "Virtual DirectMusic Card MIDI In";

/// A property that the driver answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Property {
    /// What the synthesizer can do.
    Caps,
    /// Port parameters: a GET that configures.
    PortParameters,
    /// Channel groups.
    ChannelGroups,
    /// The earliest time at which an event is not late.
    LatencyClock,
    /// Running statistics.
    RunningStats,
    /// A channel's priority.
    VoicePriority,
    /// Volume; of the pin.
    Volume,
    /// Volume boost.
    VolumeBoost,
    /// Downloads DLS data.
    Download,
    /// Unloads it.
    Unload,
    /// Packs download memory.
    Compact,
    /// Bytes that a client appends to every download.
    Append,
    /// What the synthesizer renders.
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

/// Where a property is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Node,
    Pin,
    /// On a render pin, with or without the node.
    Both,
}

/// Bytes that a client has to append to a download: none, for the card puts its own guard behind samples.
const APPENDED_BYTES: u32 = 0;

/// Bytes of a 32-bit caller's `SYNTH_BUFFER`, and of its `SYNTHDOWNLOAD`.
const NARROW_BYTES: usize = 8;

/// `KSPROPTYPESETID_General`: the value is of a variant type.
const GENERAL_TYPES: Guid = Guid::parse("97e99ba0-bdea-11cf-a5d6-28db04c10000");
/// `VT_I4`.
const TYPE_I4: u32 = 3;
/// `VT_BOOL`.
const TYPE_BOOL: u32 = 11;
/// `VT_UI4`.
const TYPE_UI4: u32 = 19;

impl Property {
    /// The property with this id in the set.
    #[must_use]
    pub fn find(set: &Guid, id: u32) -> Option<Self> {
        OF_NODE.into_iter().chain(OF_PIN).find(|property| property.id() == id && property.set() == set)
    }

    /// Its set.
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

    const fn place(self) -> Place {
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

    /// Its id in the set.
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

    /// The verbs that it has.
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

    /// Bytes of its value, from a caller of the kernel's pointer width.
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

    /// Bytes that must follow the property's header.
    #[must_use]
    pub const fn instance_bytes(self) -> usize {
        match self {
            Self::PortParameters => size_of::<SynthPortParams>(),
            Self::VoicePriority => size_of::<SynthVoicePriorityInstance>(),
            Self::Download => size_of::<SynthBuffer>(),
            _ => 0,
        }
    }

    /// It can be asked for without a stream.
    const fn is_of_filter(self) -> bool {
        matches!(self, Self::Caps)
    }

    const fn value_type(self) -> KsIdentifier {
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

/// The stream that a request came on.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its number.
    pub id: u32,
    /// Master time now.
    pub time: ReferenceTime,
}

/// The memory of whoever made the request, read without trust in its address.
pub trait CallerMemory {
    /// The system can read it.
    fn is_readable(&self) -> bool;
    /// Copies bytes from the caller's address to `to`. False: the caller has no such memory.
    ///
    /// # Safety
    /// `to` is valid for writes of `bytes` bytes.
    unsafe fn copy(&self, level: Passive, from: u64, to: *mut u8, bytes: usize) -> bool;
}

/// A request, with its pointers turned into what they point to.
pub struct Request<'a, M> {
    /// The property.
    pub property: Property,
    /// The verb, as in `PCPROPERTY_REQUEST`.
    pub verb: u32,
    /// The node, or `u32::MAX`.
    pub node: u32,
    /// The stream that the request came on.
    pub stream: Option<Target>,
    /// What followed the property's header.
    pub instance: &'a [u8],
    /// The value: `None` when there is no buffer although there is a size.
    pub value: Option<&'a mut [u8]>,
    /// The value's size; what was written, or is needed, afterwards.
    pub value_size: &'a mut u32,
    /// The caller's memory.
    pub memory: &'a M,
}

/// Answers a request. With `client`, which is the request as its sender knows it, the answer may be `PENDING`: then the
/// client is completed later, and perhaps was already.
pub fn handle<K: Kernel, M: CallerMemory>(
    card: Option<&Card<K>>,
    level: Passive,
    client: Option<K::Waiting>,
    mut request: Request<'_, M>,
) -> NtStatus {
    let property = request.property;
    let is_in_place = match property.place() {
        _ if request.node == NODE_CAPTURE => OF_CAPTURE_NODE.contains(&property),
        Place::Node => request.node == NODE_SYNTHESIZER,
        Place::Pin => request.node == u32::MAX,
        Place::Both => request.node == NODE_SYNTHESIZER || request.node == u32::MAX,
    };
    if !is_in_place || (request.stream.is_none() && !property.is_of_filter()) {
        return NtStatus::INVALID_DEVICE_REQUEST;
    }
    let asked = request.verb & (verb::GET | verb::SET | verb::BASICSUPPORT);
    if asked & property.flags() != asked || asked.count_ones() != 1 {
        return NtStatus::INVALID_DEVICE_REQUEST;
    }
    if asked == verb::BASICSUPPORT {
        return request.answer_basic_support();
    }
    let (instance_bytes, value_bytes) = request.sizes();
    if request.instance.len() < instance_bytes {
        return NtStatus::INVALID_PARAMETER;
    }
    if let Some(refusal) = request.check_size(value_bytes) {
        return refusal;
    }
    let Some(card) = card else { return NtStatus::DEVICE_NOT_READY };
    let result = if request.node == NODE_CAPTURE {
        request.answer_for_capture(asked)
    } else if asked == verb::GET {
        request.get(card, level)
    } else {
        request.set(card, level, client)
    };
    match result {
        Ok(status) => status,
        Err(status) => {
            *request.value_size = 0;
            status
        }
    }
}

impl<M: CallerMemory> Request<'_, M> {
    /// Bytes of instance and value. Those of downloads have pointers in them, and are smaller when the caller is a 32-bit
    /// process; the sizes cannot be mistaken for each other.
    fn sizes(&self) -> (usize, usize) {
        match self.property {
            Property::Download if self.instance.len() == NARROW_BYTES => (NARROW_BYTES, NARROW_BYTES),
            Property::Unload if *self.value_size as usize == size_of::<u32>() => (0, size_of::<u32>()),
            property => (property.instance_bytes(), property.value_bytes()),
        }
    }

    /// The size protocol: a size of 0 asks for the size, a smaller one is an error.
    fn check_size(&mut self, needed: usize) -> Option<NtStatus> {
        let size = *self.value_size as usize;
        if size >= needed {
            return (needed != 0 && self.value.is_none()).then_some(NtStatus::INVALID_PARAMETER);
        }
        if size == 0 {
            *self.value_size = needed as u32;
            return Some(NtStatus::BUFFER_OVERFLOW);
        }
        *self.value_size = 0;
        Some(NtStatus::BUFFER_TOO_SMALL)
    }

    fn answer_basic_support(&mut self) -> NtStatus {
        const DESCRIPTION: usize = size_of::<KsPropertyDescription>();
        let flags = self.property.flags();
        match *self.value_size as usize {
            4 => {
                if self.value.is_none() {
                    return NtStatus::INVALID_PARAMETER;
                }
                self.write(&flags);
            }
            size => {
                if size != 0 && size < DESCRIPTION {
                    *self.value_size = 0;
                    return NtStatus::BUFFER_TOO_SMALL;
                }
                if let Some(refusal) = self.check_size(DESCRIPTION) {
                    return refusal;
                }
                self.write(&KsPropertyDescription {
                    access_flags: flags,
                    description_size: DESCRIPTION as u32,
                    prop_type_set: self.property.value_type(),
                    members_list_count: 0,
                    reserved: 0,
                });
            }
        }
        NtStatus::SUCCESS
    }

    fn get<K: Kernel>(&mut self, card: &Card<K>, level: Passive) -> Result<NtStatus, NtStatus> {
        match self.property {
            Property::Caps => self.write(&caps(card, self.memory.is_readable())),
            Property::PortParameters => {
                let wanted: SynthPortParams = read(self.instance);
                let (parameters, altered) = card.set_parameters(level, &to_card(&wanted))?;
                self.write(&from_card(&parameters, wanted.valid_params));
                if altered {
                    return Ok(NtStatus::NOT_ALL_ASSIGNED);
                }
            }
            Property::ChannelGroups => {
                self.write(&in_force(card, level)?.channel_groups.get());
            }
            Property::LatencyClock => {
                let now = self.stream.ok_or(NtStatus::INVALID_DEVICE_REQUEST)?.time;
                let time = card.latency_time(level, now)?;
                self.write(&time);
            }
            Property::RunningStats => {
                let statistics = card.statistics(level)?;
                self.write(&SynthStats {
                    valid_stats: statistics.valid.get(),
                    voices: statistics.voices.get(),
                    total_cpu: statistics.total_cpu.get(),
                    cpu_per_voice: statistics.cpu_per_voice.get(),
                    lost_notes: statistics.lost_notes.get(),
                    free_memory: statistics.free_memory.get(),
                    peak_volume: statistics.peak_volume.get(),
                });
            }
            Property::VoicePriority => {
                let answer = card.voice_priority(level, &voice_priority(self.instance, None))?;
                self.write(&answer.priority.get());
            }
            Property::Volume => self.write(&card.volume(VolumeItem::Volume)),
            Property::VolumeBoost => self.write(&card.volume(VolumeItem::Boost)),
            Property::Download => self.download(card, level)?,
            Property::Append => self.write(&APPENDED_BYTES),
            Property::WaveFormat => self.write(&card.wave_format(level)?.wave_format()),
            Property::GmHardware => self.write(&u32::from(card.has(capability::GM_BANK))),
            Property::Dls1 => self.write(&u32::from(self.takes(card, capability::DLS1))),
            Property::Dls2 => self.write(&u32::from(self.takes(card, capability::DLS2))),
            // The regions of level 1 and the articulation of level 2 may both be in one.
            Property::Instrument2 => {
                self.write(&u32::from(self.takes(card, capability::DLS1 | capability::DLS2)));
            }
            Property::SampleMemorySize => {
                let bytes = if self.memory.is_readable() { card.identity().download_memory.get() } else { 0 };
                self.write(&bytes);
            }
            Property::SamplePlaybackRate => self.write(&in_force(card, level)?.sample_rate.get()),
            Property::Effects => self.write(&in_force(card, level)?.effects.get()),
            Property::Unload | Property::Compact => return Err(NtStatus::INVALID_DEVICE_REQUEST),
        }
        Ok(NtStatus::SUCCESS)
    }

    fn set<K: Kernel>(
        &mut self,
        card: &Card<K>,
        level: Passive,
        client: Option<K::Waiting>,
    ) -> Result<NtStatus, NtStatus> {
        let value: u32 = read(self.value.as_deref().unwrap_or_default());
        match self.property {
            Property::ChannelGroups => {
                let wanted = SynthPortParams {
                    valid_params: port_parameter::CHANNELGROUPS,
                    channel_groups: value,
                    ..SynthPortParams::default()
                };
                set_exactly(card, level, &wanted)?;
            }
            Property::Effects => {
                let wanted = SynthPortParams {
                    valid_params: port_parameter::EFFECTS,
                    effects_flags: value,
                    ..SynthPortParams::default()
                };
                set_exactly(card, level, &wanted)?;
            }
            Property::VoicePriority => _ = card.voice_priority(level, &voice_priority(self.instance, Some(value)))?,
            Property::Volume => card.set_volume(level, VolumeItem::Volume, value.cast_signed())?,
            Property::VolumeBoost => card.set_volume(level, VolumeItem::Boost, value.cast_signed())?,
            Property::Unload => {
                let bytes = self.value.as_deref().unwrap_or_default();
                let handle = if bytes.len() == size_of::<u32>() { value.into() } else { read::<u64>(bytes) };
                // A handle of the card's is 32 bits wide: a wider one is nobody's.
                let handle = u32::try_from(handle).map_err(|_| NtStatus::INVALID_PARAMETER)?;
                let stream = self.stream.ok_or(NtStatus::INVALID_DEVICE_REQUEST)?.id;
                match card.unload(level, stream, handle, client)? {
                    Wait::Over => {}
                    // The request is not the handler's any more.
                    Wait::Begun => return Ok(NtStatus::PENDING),
                    Wait::Cancelled => return Err(NtStatus::CANCELLED),
                }
            }
            Property::Compact => card.compact(level)?,
            Property::Caps
            | Property::PortParameters
            | Property::LatencyClock
            | Property::RunningStats
            | Property::Download
            | Property::Append
            | Property::WaveFormat
            | Property::GmHardware
            | Property::Dls1
            | Property::Dls2
            | Property::Instrument2
            | Property::SampleMemorySize
            | Property::SamplePlaybackRate => return Err(NtStatus::INVALID_DEVICE_REQUEST),
        }
        *self.value_size = self.sizes().1 as u32;
        Ok(NtStatus::SUCCESS)
    }

    /// Answers for the node through which captured MIDI comes: one channel group, and nothing that could be chosen.
    fn answer_for_capture(&mut self, asked: u32) -> Result<NtStatus, NtStatus> {
        match self.property {
            Property::Caps => self.write(&SynthCaps {
                guid: CAPTURE_GUID,
                flags: caps_flag::EXTERNAL,
                memory_size: 0,
                max_channel_groups: 1,
                max_voices: u32::MAX,
                max_audio_channels: u32::MAX,
                effect_flags: 0,
                description: name(CAPTURE_NAME),
            }),
            Property::PortParameters => {
                let wanted: SynthPortParams = read(self.instance);
                let groups = wanted.valid_params & port_parameter::CHANNELGROUPS;
                self.write(&SynthPortParams { valid_params: groups, channel_groups: 1, ..SynthPortParams::default() });
                let is_as_wanted = groups == wanted.valid_params && (groups == 0 || wanted.channel_groups == 1);
                return Ok(if is_as_wanted { NtStatus::SUCCESS } else { NtStatus::NOT_ALL_ASSIGNED });
            }
            Property::ChannelGroups if asked == verb::GET => self.write(&1_u32),
            Property::ChannelGroups => {
                if read::<u32>(self.value.as_deref().unwrap_or_default()) != 1 {
                    return Err(NtStatus::UNSUCCESSFUL);
                }
                *self.value_size = self.property.value_bytes() as u32;
            }
            _ => return Err(NtStatus::INVALID_DEVICE_REQUEST),
        }
        Ok(NtStatus::SUCCESS)
    }

    /// The card takes downloads of a kind, and the driver can read them.
    fn takes<K: Kernel>(&self, card: &Card<K>, kind: u32) -> bool {
        self.memory.is_readable() && card.has(kind)
    }

    fn download<K: Kernel>(&mut self, card: &Card<K>, level: Passive) -> Result<(), NtStatus> {
        let stream = self.stream.ok_or(NtStatus::INVALID_DEVICE_REQUEST)?.id;
        if !self.memory.is_readable() {
            return Err(NtStatus::NOT_SUPPORTED);
        }
        let is_narrow = self.instance.len() == NARROW_BYTES;
        let [bytes, low] = read::<[u32; 2]>(self.instance);
        let address = if is_narrow { low.into() } else { read::<u64>(self.instance.get(8..).unwrap_or_default()) };
        let handle = card
            .download(level, stream, bytes as usize, |to| {
                // SAFETY: the window is valid for writes of its length, which is what was asked for.
                unsafe { self.memory.copy(level, address, to.as_mut_ptr(), to.len()) }
            })
            .map_err(|error| match error {
                CardError::Control(ControlError::Refused(Status::NO_RESOURCES)) | CardError::NoMemory => {
                    NtStatus::NO_MEMORY
                }
                CardError::Control(ControlError::Refused(_) | ControlError::TooLarge) => NtStatus::UNSUCCESSFUL,
                error => error.into(),
            })?;
        // The data has been copied: the caller may free its own.
        const FREE: u32 = 1;
        if is_narrow {
            self.write(&[handle, FREE]);
        } else {
            self.write(&[handle, 0, FREE, 0]);
        }
        Ok(())
    }

    /// Writes the value, for which there is room.
    fn write<T: Copy>(&mut self, value: &T) {
        let Some(room) = self.value.as_deref_mut().and_then(|value| value.get_mut(..size_of::<T>())) else { return };
        // SAFETY: the room is as long as the value, and nothing is asked of its alignment. The structures written have
        // no padding.
        unsafe { room.as_mut_ptr().cast::<T>().write_unaligned(*value) };
        *self.value_size = size_of::<T>() as u32;
    }
}

/// The port parameters in force. Asking for nothing changes nothing.
fn in_force<K: Kernel>(card: &Card<K>, level: Passive) -> Result<PortParameters, NtStatus> {
    Ok(card.set_parameters(level, &to_card(&SynthPortParams::default()))?.0)
}

/// Sets a port parameter, or fails if the card would have another value.
fn set_exactly<K: Kernel>(card: &Card<K>, level: Passive, wanted: &SynthPortParams) -> Result<(), NtStatus> {
    let (_, altered) = card.set_parameters(level, &to_card(wanted))?;
    if altered { Err(NtStatus::UNSUCCESSFUL) } else { Ok(()) }
}

/// Reads a structure from the beginning of bytes that are long enough; all zero if they are not.
fn read<T: Copy + Default>(bytes: &[u8]) -> T {
    if bytes.len() < size_of::<T>() {
        return T::default();
    }
    // SAFETY: long enough; the structures read are integers, for which every bit pattern is a value.
    unsafe { bytes.as_ptr().cast::<T>().read_unaligned() }
}

fn voice_priority(instance: &[u8], set: Option<u32>) -> VoicePriority {
    let [channel_group, channel] = read::<[u32; 2]>(instance);
    VoicePriority {
        channel_group: channel_group.into(),
        channel: channel.into(),
        priority: set.unwrap_or(0).into(),
        set: u32::from(set.is_some()).into(),
    }
}

fn to_card(wanted: &SynthPortParams) -> PortParameters {
    PortParameters {
        valid: (wanted.valid_params & port_parameter::ALL).into(),
        voices: wanted.voices.into(),
        channel_groups: wanted.channel_groups.into(),
        audio_channels: wanted.audio_channels.into(),
        sample_rate: wanted.sample_rate.into(),
        effects: wanted.effects_flags.into(),
        share: wanted.share.into(),
    }
}

fn from_card(parameters: &PortParameters, valid: u32) -> SynthPortParams {
    SynthPortParams {
        valid_params: valid & port_parameter::ALL,
        voices: parameters.voices.get(),
        channel_groups: parameters.channel_groups.get(),
        audio_channels: parameters.audio_channels.get(),
        sample_rate: parameters.sample_rate.get(),
        effects_flags: parameters.effects.get(),
        share: parameters.share.get(),
    }
}

fn caps<K: Kernel>(card: &Card<K>, downloads: bool) -> SynthCaps {
    let identity = card.identity();
    let has = |kind: u32| card.has(kind);
    SynthCaps {
        guid: SYNTH_GUID,
        flags: if has(capability::GM_BANK) { caps_flag::GMINHARDWARE } else { 0 }
            | if has(capability::REVERB) { caps_flag::REVERB } else { 0 }
            | if downloads && has(capability::DLS1) { caps_flag::DLS | caps_flag::MEMORYSIZEFIXED } else { 0 }
            | if downloads && has(capability::DLS2) { caps_flag::DLS2 } else { 0 },
        memory_size: if downloads { identity.download_memory.get() } else { 0 },
        max_channel_groups: identity.channel_groups.get().into(),
        max_voices: identity.voices.get().into(),
        max_audio_channels: CHANNELS_MAX.into(),
        effect_flags: if has(capability::REVERB) { effect::REVERB } else { 0 }
            | if has(capability::CHORUS) { effect::CHORUS } else { 0 },
        description: name(SYNTH_NAME),
    }
}

/// A description as `SYNTHCAPS` holds it. Its last character is 0.
fn name(text: &str) -> [u16; 128] {
    let mut description = [0; 128];
    for (place, unit) in description.iter_mut().take(127).zip(text.encode_utf16()) {
        *place = unit;
    }
    description
}
