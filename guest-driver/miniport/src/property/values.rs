//! Property values: their bytes, and what the card's structures become in them.
#![allow(unsafe_code, reason = "values are structures of C, moved as bytes")]

use card_spec::control::{PortParameters, VoicePriority};
use card_spec::identity::capability;
use portcls::guid::Guid;
use portcls::synth::{SynthCaps, SynthPortParams, caps_flag, effect, port_parameter};

use crate::card::Card;
use crate::format::CHANNELS_MAX;
use crate::kernel::Kernel;

/// The synthesizer's identity in `SYNTHCAPS`.
pub const SYNTH_GUID: Guid = Guid::parse("2c8f3d62-5a4e-4b0e-9d1c-7e0b9a63f1d4");

/// The synthesizer's name in DirectMusic.
pub const SYNTH_NAME: &str = "Virtual DirectMusic Card";

/// The capture port's identity in `SYNTHCAPS`.
pub const CAPTURE_GUID: Guid = Guid::parse("2c8f3d63-5a4e-4b0e-9d1c-7e0b9a63f1d4");

/// The capture port's name in DirectMusic.
pub const CAPTURE_NAME: &str = "Virtual DirectMusic Card MIDI In";

/// Reads a structure from the first bytes. One that they are too short for is all zero.
pub(super) fn read<T: Copy + Default>(bytes: &[u8]) -> T {
    if bytes.len() < size_of::<T>() {
        return T::default();
    }
    // SAFETY: long enough; the structures read are integers, for which every bit pattern is a value.
    unsafe { bytes.as_ptr().cast::<T>().read_unaligned() }
}

/// Makes the request that reads a channel's priority, or sets it.
pub(super) fn voice_priority(instance: &[u8], set: Option<u32>) -> VoicePriority {
    let [channel_group, channel] = read::<[u32; 2]>(instance);
    VoicePriority {
        channel_group: channel_group.into(),
        channel: channel.into(),
        priority: set.unwrap_or(0).into(),
        set: u32::from(set.is_some()).into(),
    }
}

/// Makes the card's structure of a client's.
pub(super) fn to_card(wanted: &SynthPortParams) -> PortParameters {
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

/// Makes a client's structure of the card's.
pub(super) fn from_card(parameters: &PortParameters, valid: u32) -> SynthPortParams {
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

/// Makes the synthesizer's capabilities. Without `downloads` there is none of DLS.
pub(super) fn caps<K: Kernel>(card: &Card<K>, downloads: bool) -> SynthCaps {
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

/// Makes a `SYNTHCAPS` description, which ends with 0.
pub(super) fn name(text: &str) -> [u16; 128] {
    let mut description = [0; 128];
    for (place, unit) in description.iter_mut().take(127).zip(text.encode_utf16()) {
        *place = unit;
    }
    description
}
