//! The synthesizer node's own properties: what their values mean to one another (dmusprop.h, and the pages on
//! KSPROPSETID_Synth and KSPROPSETID_Synth_Dls).

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::properties::{Item, broken};
use crate::contract::rules::{self, Rule};
use crate::nt::NTSTATUS;
use crate::nt::status::success;
use crate::portcls::com::abi::property_type::{GET, SET};
use crate::portcls::com::guids::{self, GUID};
use crate::portcls::ks::descriptor::Property;
use crate::portcls::pin::clock;

/// `KSPROPERTY_SYNTH_*`.
pub(crate) mod of_synth {
    /// `KSPROPERTY_SYNTH_VOLUMEBOOST`.
    pub(crate) const VOLUMEBOOST: u32 = 1;
    /// `KSPROPERTY_SYNTH_CAPS`.
    pub(crate) const CAPS: u32 = 2;
    /// `KSPROPERTY_SYNTH_PORTPARAMETERS`.
    pub(crate) const PORTPARAMETERS: u32 = 3;
    /// `KSPROPERTY_SYNTH_CHANNELGROUPS`.
    pub(crate) const CHANNELGROUPS: u32 = 4;
    /// `KSPROPERTY_SYNTH_VOICEPRIORITY`.
    pub(crate) const VOICEPRIORITY: u32 = 5;
    /// `KSPROPERTY_SYNTH_LATENCYCLOCK`.
    pub(crate) const LATENCYCLOCK: u32 = 6;
    /// `KSPROPERTY_SYNTH_RUNNINGSTATS`.
    pub(crate) const RUNNINGSTATS: u32 = 7;
}

/// `KSPROPERTY_SYNTH_DLS_*`.
pub(crate) mod of_dls {
    /// `KSPROPERTY_SYNTH_DLS_DOWNLOAD`.
    pub(crate) const DOWNLOAD: u32 = 0;
    /// `KSPROPERTY_SYNTH_DLS_UNLOAD`.
    pub(crate) const UNLOAD: u32 = 1;
    /// `KSPROPERTY_SYNTH_DLS_COMPACT`.
    pub(crate) const COMPACT: u32 = 2;
    /// `KSPROPERTY_SYNTH_DLS_APPEND`.
    pub(crate) const APPEND: u32 = 3;
    /// `KSPROPERTY_SYNTH_DLS_WAVEFORMAT`.
    pub(crate) const WAVEFORMAT: u32 = 4;
}

const SYNTH_NAMES: [&str; 8] = [
    "KSPROPERTY_SYNTH_VOLUME",
    "KSPROPERTY_SYNTH_VOLUMEBOOST",
    "KSPROPERTY_SYNTH_CAPS",
    "KSPROPERTY_SYNTH_PORTPARAMETERS",
    "KSPROPERTY_SYNTH_CHANNELGROUPS",
    "KSPROPERTY_SYNTH_VOICEPRIORITY",
    "KSPROPERTY_SYNTH_LATENCYCLOCK",
    "KSPROPERTY_SYNTH_RUNNINGSTATS",
];

const DLS_NAMES: [&str; 5] = [
    "KSPROPERTY_SYNTH_DLS_DOWNLOAD",
    "KSPROPERTY_SYNTH_DLS_UNLOAD",
    "KSPROPERTY_SYNTH_DLS_COMPACT",
    "KSPROPERTY_SYNTH_DLS_APPEND",
    "KSPROPERTY_SYNTH_DLS_WAVEFORMAT",
];

/// Bytes of `SYNTHCAPS`, `SYNTH_PORTPARAMS`, `SYNTHVOICEPRIORITY_INSTANCE`, `SYNTH_BUFFER` of a 64-bit and of a 32-bit
/// caller, `SYNTH_STATS`.
const CAPS_BYTES: usize = 296;
const PORTPARAMS_BYTES: usize = 28;
const VOICEPRIORITY_BYTES: usize = 8;
const BUFFER_BYTES: usize = 16;
const NARROW_BUFFER_BYTES: usize = 8;
const STATS_BYTES: usize = 28;

/// `STATUS_NOT_ALL_ASSIGNED`.
const NOT_ALL_ASSIGNED: NTSTATUS = 0x106;

/// `SYNTH_PORTPARAMS_VOICES`, `_CHANNELGROUPS`, `_AUDIOCHANNELS`, `_SAMPLERATE`, `_EFFECTS`, `_SHARE`, with the index
/// of each field.
const PARAMETERS: [(u32, usize, &str); 6] = [
    (1, 1, "Voices"),
    (2, 2, "ChannelGroups"),
    (4, 3, "AudioChannels"),
    (8, 4, "SampleRate"),
    (0x20, 5, "EffectsFlags"),
    (0x40, 6, "Share"),
];

/// `AUDIO_VOICE_PRIORITY_STANDARD`, and by channel what is added to it: channel 10 first, then 1 to 9, then 11 to 16.
const PRIORITY_STANDARD: u32 = 0x8000_0000;
const PRIORITY_OFFSETS: [u32; 16] = [0xE, 0xD, 0xC, 0xB, 0xA, 9, 8, 7, 6, 0xF, 5, 4, 3, 2, 1, 0];

/// `SYNTH_PC_*` flags that there are, and `SYNTH_PC_MEMORYSIZEFIXED`.
const CAPS_FLAGS: u32 = 0x4000_027F;
const MEMORY_SIZE_FIXED: u32 = 8;

/// Returns the header's name of a property.
pub(crate) fn name(property: &Property) -> Option<&'static str> {
    if property.set == guids::KSPROPSETID_SYNTH {
        SYNTH_NAMES.get(property.id as usize).copied()
    } else if property.set == guids::KSPROPSETID_SYNTH_DLS {
        DLS_NAMES.get(property.id as usize).copied()
    } else {
        None
    }
}

fn is(property: &Property, set: &GUID, id: u32) -> bool {
    property.set == *set && property.id == id
}

/// What `KSNODEPROPERTY_AUDIO_CHANNEL` adds to `KSNODEPROPERTY`: the channel, and four bytes that are reserved
/// (ksmedia.h).
const AUDIO_CHANNEL_BYTES: usize = 8;

/// Returns whole instance data of a property that demands nothing in particular.
pub(crate) fn instance(property: &Property) -> Vec<u8> {
    let bytes = if is(property, &guids::KSPROPSETID_SYNTH, of_synth::PORTPARAMETERS) {
        PORTPARAMS_BYTES
    } else if is(property, &guids::KSPROPSETID_SYNTH, of_synth::VOICEPRIORITY) {
        VOICEPRIORITY_BYTES
    } else if is(property, &guids::KSPROPSETID_SYNTH_DLS, of_dls::DOWNLOAD) {
        BUFFER_BYTES
    } else if property.set == guids::KSPROPSETID_AUDIO {
        AUDIO_CHANNEL_BYTES
    } else {
        0
    };
    vec![0; bytes]
}

/// Returns the least instance data with which a property can succeed.
pub(crate) fn least_instance_bytes(property: &Property) -> usize {
    if is(property, &guids::KSPROPSETID_SYNTH_DLS, of_dls::DOWNLOAD) {
        NARROW_BUFFER_BYTES
    } else if property.set == guids::KSPROPSETID_AUDIO {
        // Some properties of the set are of a channel, others of the whole node.
        0
    } else {
        instance(property).len()
    }
}

/// Returns whether a GET changes something, so that it is not repeated to try sizes out.
pub(crate) fn has_effect(property: &Property) -> bool {
    is(property, &guids::KSPROPSETID_SYNTH_DLS, of_dls::DOWNLOAD)
}

fn word(value: &[u8], index: usize) -> u32 {
    u32::from_le_bytes([0, 1, 2, 3].map(|byte| value.get(4 * index + byte).copied().unwrap_or(0)))
}

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Probes one synthesizer node.
pub(crate) fn run<'a>(find: &dyn Fn(GUID, u32) -> Option<Item<'a>>) {
    let of = |id| find(guids::KSPROPSETID_SYNTH, id);
    let groups_max = of(of_synth::CAPS).map_or(1, |item| caps(&item));
    if let Some(item) = of(of_synth::PORTPARAMETERS) {
        port_parameters(&item);
    }
    if let Some(item) = of(of_synth::LATENCYCLOCK) {
        latency_clock(&item);
    }
    if let Some(item) = of(of_synth::CHANNELGROUPS) {
        channel_groups(&item, groups_max);
    }
    if let Some(item) = of(of_synth::VOICEPRIORITY) {
        voice_priority(&item);
    }
    if let Some(item) = of(of_synth::VOLUMEBOOST) {
        volume(&item);
    }
    if let Some(item) = of(of_synth::RUNNINGSTATS) {
        running_stats(&item);
    }
    for id in [of_dls::APPEND, of_dls::WAVEFORMAT, of_dls::COMPACT] {
        if let Some(item) = find(guids::KSPROPSETID_SYNTH_DLS, id) {
            let verb = if item.property.flags & GET != 0 { GET } else { SET };
            get(&item, verb, &[], if verb == GET { 64 } else { 0 }, rules::SYNTH_VALUES);
        }
    }
    if let Some(item) = find(guids::KSPROPSETID_SYNTH_DLS, of_dls::UNLOAD) {
        // No handle of anything: refused, and no memory is given up.
        let reply = item.send(SET, &[], &words(&[0xFFFF_FFFE, 0xFFFF_FFFF]));
        if success(reply.status) {
            broken(
                rules::PROPERTY_PENDING,
                format!("{} succeeds for a handle that no download gave", item.name()),
                "look the handle up, and fail if it is not there",
            );
        }
        rules::PROPERTY_PENDING.held();
    }
}

/// Sends a request that must succeed, and returns the value.
fn get(item: &Item<'_>, verb: u32, instance: &[u8], room: usize, rule: &'static Rule) -> (NTSTATUS, Vec<u8>) {
    let reply = item.send(verb, instance, &vec![0; room]);
    if !success(reply.status) {
        broken(
            rule,
            format!("{} fails with {:#010x}", item.name(), reply.status),
            "answer the property that the automation table lists",
        );
    }
    (reply.status, reply.value)
}

/// Checks `SYNTHCAPS` (rule 70). Returns `MaxChannelGroups`.
fn caps(item: &Item<'_>) -> u32 {
    let (_, value) = get(item, GET, &[], CAPS_BYTES, rules::SYNTH_CAPS);
    let (flags, memory, groups) = (word(&value, 4), word(&value, 5), word(&value, 6));
    let description = value[40..].as_chunks::<2>().0;
    let what = if flags & !CAPS_FLAGS != 0 {
        Some(format!("Flags is {flags:#x}, of which {:#x} is reserved", flags & !CAPS_FLAGS))
    } else if !description.contains(&[0, 0]) {
        Some(String::from("Description does not end with a zero"))
    } else if groups == 0 {
        Some(String::from("MaxChannelGroups is 0"))
    } else if flags & MEMORY_SIZE_FIXED != 0 && memory == 0 {
        Some(String::from("Flags says SYNTH_PC_MEMORYSIZEFIXED, and MemorySize is 0"))
    } else if value[..16].iter().all(|byte| *byte == 0) {
        Some(String::from("Guid is zero"))
    } else {
        None
    };
    if let Some(what) = what {
        broken(rules::SYNTH_CAPS, format!("SYNTHCAPS: {what}"), "zero the structure, then fill every field in");
    }
    rules::SYNTH_CAPS.held();
    groups
}

/// Checks `SYNTH_PORTPARAMS` (rule 71).
fn port_parameters(item: &Item<'_>) {
    let rule = rules::PORT_PARAMETERS;
    let remedy = "copy the instance to the value; overwrite each valid parameter that cannot be had and return \
                  STATUS_NOT_ALL_ASSIGNED; fill the others in with what is used";
    let ask = |wanted: &[u32; 7]| {
        let (status, value) = get(item, GET, &words(wanted), PORTPARAMS_BYTES, rule);
        let got: [u32; 7] = core::array::from_fn(|index| word(&value, index));
        (status, got)
    };
    let (status, defaults) = ask(&[0; 7]);
    if status == NOT_ALL_ASSIGNED {
        broken(rule, "no parameter is valid, and the answer is STATUS_NOT_ALL_ASSIGNED".into(), remedy);
    }
    for (bit, field, name) in PARAMETERS {
        let mut wanted = [0; 7];
        (wanted[0], wanted[field]) = (bit, defaults[field]);
        let (status, got) = ask(&wanted);
        let can = got[0] & bit != 0;
        if can && (status == NOT_ALL_ASSIGNED || got[field] != defaults[field]) {
            broken(
                rule,
                format!(
                    "{name} {} is the default, and asked for it becomes {} with {status:#010x}",
                    defaults[field], got[field]
                ),
                remedy,
            );
        }
        // Nothing has a billion voices, groups, channels or hertz.
        if can && matches!(bit, 1 | 2 | 4 | 8) {
            wanted[field] = 1_000_000_000;
            let (status, got) = ask(&wanted);
            if got[field] == wanted[field] || status != NOT_ALL_ASSIGNED {
                broken(
                    rule,
                    format!("{name} {} is answered with {} and {status:#010x}", wanted[field], got[field]),
                    remedy,
                );
            }
            wanted[field] = defaults[field];
            ask(&wanted);
        }
    }
    rule.held();
}

/// Checks that `LATENCYCLOCK` is not in the past (rule 72).
fn latency_clock(item: &Item<'_>) {
    let before = clock::now();
    let (_, value) = get(item, GET, &[], 8, rules::LATENCY_CLOCK);
    let says = i64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|byte| value[byte]));
    if says < before {
        broken(
            rules::LATENCY_CLOCK,
            format!("{} is {says}, and the master clock was {before} before the call", item.name()),
            "add the latency to what IMasterClock::GetTime says at the call",
        );
    }
    rules::LATENCY_CLOCK.held();
}

const VALUES_REMEDY: &str = "keep what is set, within the documented bounds, and give it back";

/// Sets a value and gets it again; what could not be had was refused or bounded (rule 73).
fn round_trip(item: &Item<'_>, instance: &[u8], wanted: u32, bounds: core::ops::RangeInclusive<i64>, signed: bool) {
    let reply = item.send(SET, instance, &wanted.to_le_bytes());
    let (_, value) = get(item, GET, instance, 4, rules::SYNTH_VALUES);
    let got = word(&value, 0);
    let number = |value: u32| if signed { i64::from(value.cast_signed()) } else { i64::from(value) };
    let inside = bounds.contains(&number(wanted));
    if (inside && (!success(reply.status) || got != wanted)) || !bounds.contains(&number(got)) {
        broken(
            rules::SYNTH_VALUES,
            format!(
                "{} is set to {} ({:#010x}), and then is {}",
                item.name(),
                number(wanted),
                reply.status,
                number(got)
            ),
            VALUES_REMEDY,
        );
    }
    rules::SYNTH_VALUES.held();
}

fn channel_groups(item: &Item<'_>, most: u32) {
    let (_, value) = get(item, GET, &[], 4, rules::SYNTH_VALUES);
    let before = word(&value, 0);
    if before == 0 || before > most {
        broken(
            rules::SYNTH_VALUES,
            format!("{} says {before} groups, and SYNTHCAPS at most {most}", item.name()),
            VALUES_REMEDY,
        );
    }
    if item.property.flags & SET == 0 {
        return;
    }
    for wanted in [1, most, before] {
        round_trip(item, &[], wanted, 1..=i64::from(most), false);
    }
    round_trip(item, &[], most.saturating_add(1), 1..=i64::from(most), false);
    let _ = item.send(SET, &[], &before.to_le_bytes());
}

fn voice_priority(item: &Item<'_>) {
    for (channel, offset) in PRIORITY_OFFSETS.iter().enumerate() {
        let instance = words(&[1, channel as u32]);
        let (_, value) = get(item, GET, &instance, 4, rules::SYNTH_VALUES);
        if word(&value, 0) != PRIORITY_STANDARD | offset {
            broken(
                rules::SYNTH_VALUES,
                format!(
                    "{} of channel {channel} is {:#010x} by default, not {:#010x}",
                    item.name(),
                    word(&value, 0),
                    PRIORITY_STANDARD | offset
                ),
                "begin with AUDIO_VOICE_PRIORITY_STANDARD and the documented offset of the channel",
            );
        }
    }
    if item.property.flags & SET != 0 {
        let instance = words(&[1, 3]);
        for wanted in [0xF000_0003, PRIORITY_STANDARD | PRIORITY_OFFSETS[3]] {
            round_trip(item, &instance, wanted, 0..=i64::from(u32::MAX), false);
        }
    }
}

/// Checks VOLUME and VOLUMEBOOST, in hundredths of a decibel: what is set is kept; what is out of all bounds is
/// bounded.
pub(crate) fn volume(item: &Item<'_>) {
    let (_, value) = get(item, GET, &[], 4, rules::SYNTH_VALUES);
    let before = word(&value, 0);
    if item.property.flags & SET == 0 {
        return;
    }
    for wanted in [-600_i32, -100] {
        round_trip(item, &[], wanted.cast_unsigned(), -20_000..=2_000, true);
    }
    for wild in [i32::MAX, i32::MIN] {
        round_trip(item, &[], wild.cast_unsigned(), -20_000..=2_000, true);
    }
    let _ = item.send(SET, &[], &before.to_le_bytes());
}

/// Checks `SYNTH_STATS`: only fields that there are, and lost notes that were not lost yet.
fn running_stats(item: &Item<'_>) {
    let (_, value) = get(item, GET, &[], STATS_BYTES, rules::SYNTH_VALUES);
    let valid = word(&value, 0);
    if valid & !0x3F != 0 {
        broken(
            rules::SYNTH_VALUES,
            format!("{}: ValidStats is {valid:#x}, of which {:#x} is nothing", item.name(), valid & !0x3F),
            "set only SYNTH_STATS_* bits",
        );
    }
    rules::SYNTH_VALUES.held();
}
