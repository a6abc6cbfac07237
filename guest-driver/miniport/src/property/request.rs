//! The property handler: checks a request, and answers it.
#![allow(unsafe_code, reason = "values are structures of C, moved as bytes")]

use card_spec::control::{PortParameters, Status};
use card_spec::identity::capability;
use portcls::ks::{KsPropertyDescription, verb};
use portcls::synth::{SynthCaps, SynthPortParams, SynthStats, caps_flag, port_parameter};
use portcls::{NtStatus, ReferenceTime};

use super::table::{OF_CAPTURE_NODE, Place, Property};
use super::values::{CAPTURE_GUID, CAPTURE_NAME, caps, from_card, name, read, to_card, voice_priority};
use crate::card::{Card, CardError, VolumeItem};
use crate::control::ControlError;
use crate::irql::Passive;
use crate::kernel::Kernel;
use crate::topology::{NODE_CAPTURE, NODE_SYNTHESIZER};
use crate::unloads::Unload;

/// Bytes that a client has to append to a download: none, for the card adds its own guard samples.
const APPENDED_BYTES: u32 = 0;

/// Bytes of a 32-bit caller's `SYNTH_BUFFER`, and of its `SYNTHDOWNLOAD`.
const NARROW_BYTES: usize = 8;

/// The stream that a request came on.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The stream's number.
    pub id: u32,
    /// Master time now.
    pub time: ReferenceTime,
}

/// The memory of the request's sender. Its addresses are not trusted.
pub trait CallerMemory {
    /// Returns whether the system has a function that reads it.
    fn is_readable(&self) -> bool;
    /// Copies bytes from the sender's address to `to`. False: the sender has no such memory.
    ///
    /// # Safety
    /// `to` is valid for writes of `bytes` bytes.
    unsafe fn copy(&self, level: Passive, from: u64, to: *mut u8, bytes: usize) -> bool;
}

/// A request, with slices in place of its pointers.
pub struct Request<'a, M> {
    /// The property.
    pub property: Property,
    /// The verb, as in `PCPROPERTY_REQUEST`.
    pub verb: u32,
    /// The node, or `u32::MAX`.
    pub node: u32,
    /// The stream that the request came on.
    pub stream: Option<Target>,
    /// The bytes behind the property's header.
    pub instance: &'a [u8],
    /// The value. `None`: there is no buffer, although there may be a size.
    pub value: Option<&'a mut [u8]>,
    /// The value's size. Afterwards the size that was written, or that is needed.
    pub value_size: &'a mut u32,
    /// The sender's memory.
    pub memory: &'a M,
}

/// Handles a request, and returns its status. With `client`, the pending form of the same request, the status may be
/// `PENDING`: then it is completed later, or has been already.
pub fn handle<K: Kernel, M: CallerMemory>(
    card: Option<&Card<K>>,
    level: Passive,
    client: Option<K::PendingRequest>,
    mut request: Request<'_, M>,
) -> NtStatus {
    let property = request.property;
    let is_at_target = match property.place() {
        _ if request.node == NODE_CAPTURE => OF_CAPTURE_NODE.contains(&property),
        Place::Node => request.node == NODE_SYNTHESIZER,
        Place::Pin => request.node == u32::MAX,
        Place::Both => request.node == NODE_SYNTHESIZER || request.node == u32::MAX,
    };
    if !is_at_target || (request.stream.is_none() && !property.is_of_filter()) {
        return NtStatus::INVALID_DEVICE_REQUEST;
    }
    let operation = request.verb & (verb::GET | verb::SET | verb::BASICSUPPORT);
    if operation & property.flags() != operation || operation.count_ones() != 1 {
        return NtStatus::INVALID_DEVICE_REQUEST;
    }
    if operation == verb::BASICSUPPORT {
        return request.get_basic_support();
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
        request.handle_capture(operation)
    } else if operation == verb::GET {
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
    /// Returns how many bytes instance and value have. Those of downloads hold pointers, and are smaller for a 32-bit
    /// process; the sizes of both kinds differ.
    fn sizes(&self) -> (usize, usize) {
        match self.property {
            Property::Download if self.instance.len() == NARROW_BYTES => (NARROW_BYTES, NARROW_BYTES),
            Property::Unload if *self.value_size as usize == size_of::<u32>() => (0, size_of::<u32>()),
            property => (property.instance_bytes(), property.value_bytes()),
        }
    }

    /// Checks the value's size: 0 queries the size that is needed, a smaller one is an error. `None`: it is large
    /// enough.
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

    fn get_basic_support(&mut self) -> NtStatus {
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
        client: Option<K::PendingRequest>,
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
                // The driver's handles are 32 bits wide.
                let handle = u32::try_from(handle).map_err(|_| NtStatus::INVALID_PARAMETER)?;
                let stream = self.stream.ok_or(NtStatus::INVALID_DEVICE_REQUEST)?.id;
                match card.unload(level, stream, handle, client)? {
                    Unload::Done => {}
                    // The request is not the handler's any more.
                    Unload::Pending => return Ok(NtStatus::PENDING),
                    Unload::Cancelled => return Err(NtStatus::CANCELLED),
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

    /// Handles a request to the capture node, which has one channel group and no parameter that can be changed.
    fn handle_capture(&mut self, operation: u32) -> Result<NtStatus, NtStatus> {
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
            Property::ChannelGroups if operation == verb::GET => self.write(&1_u32),
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

    /// Returns whether the card takes downloads of a kind, and the driver can read them.
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
                // SAFETY: the window is valid for writes of its length, which is that of the download.
                unsafe { self.memory.copy(level, address, to.as_mut_ptr(), to.len()) }
            })
            .map_err(|error| match error {
                CardError::Control(ControlError::Refused(Status::NO_RESOURCES)) | CardError::NoMemory => {
                    NtStatus::NO_MEMORY
                }
                CardError::Control(ControlError::Refused(_) | ControlError::TooLarge) => NtStatus::UNSUCCESSFUL,
                error => error.into(),
            })?;
        // The data has been copied: the sender may free its own.
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
        // SAFETY: the room is as long as the value, and an unaligned write needs no alignment. The structures written
        // have no padding.
        unsafe { room.as_mut_ptr().cast::<T>().write_unaligned(*value) };
        *self.value_size = size_of::<T>() as u32;
    }
}

/// Queries the port parameters in force.
fn in_force<K: Kernel>(card: &Card<K>, level: Passive) -> Result<PortParameters, NtStatus> {
    Ok(card.set_parameters(level, &to_card(&SynthPortParams::default()))?.0)
}

/// Sets a port parameter, and fails if the card altered it.
fn set_exactly<K: Kernel>(card: &Card<K>, level: Passive, wanted: &SynthPortParams) -> Result<(), NtStatus> {
    let (_, altered) = card.set_parameters(level, &to_card(wanted))?;
    if altered { Err(NtStatus::UNSUCCESSFUL) } else { Ok(()) }
}
