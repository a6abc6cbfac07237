//! The properties of the synthesizer nodes of an MPU-401 filter: it has no voices and no memory of its own, and as many
//! voices as the module at the other end of the cable, which nothing tells.

#![allow(unsafe_code, reason = "requests and their values are C structures, passed by address")]

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::nt::NTSTATUS;
use crate::nt::status::{
    STATUS_BUFFER_OVERFLOW, STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER,
    STATUS_SUCCESS,
};
use crate::portcls::com::abi::{AutomationTable, PropertyItem, PropertyRequest, property_type};
use crate::portcls::com::guids;
use crate::portcls::kernel;

/// `KSPROPERTY_SYNTH_CAPS`, `_PORTPARAMETERS`, `_CHANNELGROUPS`, `_LATENCYCLOCK` (dmusprop.h).
const CAPS: u32 = 2;
const PORTPARAMETERS: u32 = 3;
const CHANNELGROUPS: u32 = 4;
const LATENCYCLOCK: u32 = 6;

/// `SYNTH_PC_EXTERNAL`: sound comes from what the cable leads to (dmusprop.h).
const EXTERNAL: u32 = 2;

/// Channel groups of a cable.
const GROUPS: u32 = 1;

/// Characters of `SYNTHCAPS.Description`.
const DESCRIPTION_CHARACTERS: usize = 128;
const DESCRIPTION: &str = "MPU-401";

/// `SYNTH_PORTPARAMS.ValidParams`: Voices, ChannelGroups, AudioChannels, SampleRate, EffectsFlags, Share; by index the
/// field of each, and what it is here.
const PARAMETERS: [(u32, usize, u32); 6] =
    [(1, 1, 0), (2, 2, GROUPS), (4, 3, 0), (8, 4, 0), (0x20, 5, 0), (0x40, 6, 0)];

/// The parameters that mean something here: ChannelGroups, Share.
const MEANT: u32 = 2 | 0x40;

/// Words of `SYNTH_PORTPARAMS`.
const PORTPARAMS_WORDS: usize = 7;

/// What BASICSUPPORT answers with: `ULONG`, `KSPROPERTY_DESCRIPTION` (ks.h).
const ACCESS_BYTES: usize = 4;
const DESCRIPTION_BYTES: usize = 40;

/// `STATUS_NOT_ALL_ASSIGNED`.
const NOT_ALL_ASSIGNED: NTSTATUS = 0x106;

/// Returns the items of the node's automation table.
pub(super) fn items() -> Box<[PropertyItem]> {
    let item = |id, handler| PropertyItem {
        set: &guids::KSPROPSETID_SYNTH,
        id,
        flags: property_type::GET | property_type::BASIC_SUPPORT,
        handler: Some(handler),
    };
    Box::new([
        item(CAPS, caps as unsafe extern "win64" fn(*mut PropertyRequest) -> NTSTATUS),
        item(PORTPARAMETERS, port_parameters),
        item(CHANNELGROUPS, channel_groups),
        item(LATENCYCLOCK, latency_clock),
    ])
}

/// Returns the automation table with these items.
pub(super) fn automation(items: &[PropertyItem]) -> AutomationTable {
    AutomationTable {
        property_size: size_of::<PropertyItem>() as u32,
        property_count: items.len() as u32,
        properties: items.as_ptr().cast(),
        method_size: 0,
        method_count: 0,
        methods: core::ptr::null(),
        event_size: 0,
        event_count: 0,
        events: core::ptr::null(),
        reserved: 0,
    }
}

/// Answers a request with the value that `value` makes of the instance data: the sizes of audio-property-handlers, and of
/// basic-support-queries-for-audio-properties.
unsafe fn answer(
    request: *mut PropertyRequest,
    room_wanted: usize,
    value: impl FnOnce(&[u8]) -> Result<(NTSTATUS, Vec<u8>), NTSTATUS>,
) -> NTSTATUS {
    // SAFETY: the port's request, whose value and instance are as long as it says.
    unsafe {
        let request = &mut *request;
        if request.verb & property_type::BASIC_SUPPORT != 0 {
            return basic_support(request);
        }
        if request.verb & property_type::GET == 0 {
            return STATUS_INVALID_DEVICE_REQUEST;
        }
        let room = request.value_size as usize;
        if room == 0 {
            request.value_size = room_wanted as u32;
            return STATUS_BUFFER_OVERFLOW;
        }
        if room < room_wanted {
            return STATUS_BUFFER_TOO_SMALL;
        }
        let instance: &[u8] = if request.instance.is_null() {
            &[]
        } else {
            core::slice::from_raw_parts(request.instance.cast(), request.instance_size as usize)
        };
        match value(instance) {
            Ok((status, bytes)) => {
                request.value.cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
                request.value_size = bytes.len() as u32;
                status
            }
            Err(status) => status,
        }
    }
}

/// Answers BASICSUPPORT: the access flags alone, or a `KSPROPERTY_DESCRIPTION` without members.
///
/// # Safety
/// The value has as many bytes as the request says.
unsafe fn basic_support(request: &mut PropertyRequest) -> NTSTATUS {
    let access = property_type::GET | property_type::BASIC_SUPPORT;
    let answer = match request.value_size as usize {
        0 => {
            request.value_size = DESCRIPTION_BYTES as u32;
            return STATUS_BUFFER_OVERFLOW;
        }
        1..ACCESS_BYTES => return STATUS_BUFFER_TOO_SMALL,
        ACCESS_BYTES..DESCRIPTION_BYTES => words(&[access]),
        // AccessFlags, DescriptionSize; then no type of value (a KSIDENTIFIER), no members, reserved.
        _ => words(&[access, DESCRIPTION_BYTES as u32, 0, 0, 0, 0, 0, 0, 0, 0]),
    };
    // SAFETY: by the caller; the answer is no longer than the room.
    unsafe { request.value.cast::<u8>().copy_from_nonoverlapping(answer.as_ptr(), answer.len()) };
    request.value_size = answer.len() as u32;
    STATUS_SUCCESS
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Answers `SYNTHCAPS`.
unsafe extern "win64" fn caps(request: *mut PropertyRequest) -> NTSTATUS {
    let mut bytes = guids::to_bytes(&guids::CLSID_MINIPORTDRIVERDMUSUART).to_vec();
    // Flags, MemorySize, MaxChannelGroups, MaxVoices, MaxAudioChannels, EffectFlags.
    bytes.extend(words(&[EXTERNAL, 0, GROUPS, u32::MAX, u32::MAX, 0]));
    let mut description = [0_u16; DESCRIPTION_CHARACTERS];
    description.iter_mut().zip(DESCRIPTION.encode_utf16()).for_each(|(place, character)| *place = character);
    bytes.extend(description.iter().flat_map(|character| character.to_le_bytes()));
    // SAFETY: the port's request.
    unsafe { answer(request, bytes.len(), |_| Ok((STATUS_SUCCESS, bytes))) }
}

/// Answers `SYNTH_PORTPARAMS`: echoes what can be had, and overwrites what cannot.
unsafe extern "win64" fn port_parameters(request: *mut PropertyRequest) -> NTSTATUS {
    let value = |instance: &[u8]| {
        let (wanted, _) = instance.as_chunks::<4>();
        let Some(wanted) = wanted.first_chunk::<PORTPARAMS_WORDS>() else { return Err(STATUS_INVALID_PARAMETER) };
        let mut got = wanted.map(u32::from_le_bytes);
        let mut status = STATUS_SUCCESS;
        for (bit, field, own) in PARAMETERS {
            if got[0] & bit != 0 && got[field] != own {
                status = NOT_ALL_ASSIGNED;
            }
            got[field] = own;
        }
        got[0] = MEANT;
        Ok((status, words(&got)))
    };
    // SAFETY: the port's request.
    unsafe { of_stream(request, PORTPARAMS_WORDS * 4, value) }
}

/// Answers the number of channel groups.
unsafe extern "win64" fn channel_groups(request: *mut PropertyRequest) -> NTSTATUS {
    // SAFETY: the port's request.
    unsafe { of_stream(request, 4, |_| Ok((STATUS_SUCCESS, words(&[GROUPS])))) }
}

/// Answers the latency clock: what is sent now sounds now.
unsafe extern "win64" fn latency_clock(request: *mut PropertyRequest) -> NTSTATUS {
    let value = |_: &[u8]| Ok((STATUS_SUCCESS, kernel::interrupt_time().to_le_bytes().to_vec()));
    // SAFETY: the port's request.
    unsafe { of_stream(request, 8, value) }
}

/// Answers a property that a stream has and the filter has not.
unsafe fn of_stream(
    request: *mut PropertyRequest,
    room_wanted: usize,
    value: impl FnOnce(&[u8]) -> Result<(NTSTATUS, Vec<u8>), NTSTATUS>,
) -> NTSTATUS {
    // SAFETY: the port's request.
    unsafe {
        if (*request).minor_target.is_null() && (*request).verb & property_type::BASIC_SUPPORT == 0 {
            return STATUS_INVALID_PARAMETER;
        }
        answer(request, room_wanted, value)
    }
}
