//! Properties by name, and their values in words (ks.h, ksmedia.h, dmusprop.h).

use serde_json::{Map, Value, json};

use crate::document::nearest;

/// How a value is read.
#[derive(Clone, Copy, Debug)]
enum Type {
    /// A `ULONG`.
    Number,
    /// A `LONG`.
    Signed,
    /// A `ULONGLONG`.
    Wide,
    /// One of these, from 0 on.
    Choice(&'static [&'static str]),
    /// A structure of `ULONG`s from an offset on; a name that begins with `-` is that of a `LONG`.
    Words(usize, &'static [&'static str]),
    /// `SYNTHCAPS`.
    Caps,
    /// UTF-16.
    Text,
}

/// A property.
#[derive(Clone, Copy, Debug)]
pub(super) struct Property {
    /// Its name in the header.
    pub(super) name: &'static str,
    /// The name of its set.
    pub(super) set: &'static str,
    /// Its number.
    pub(super) id: u32,
    /// The room for its value, in bytes.
    pub(super) bytes: u32,
    /// It is the synthesizer node's.
    pub(super) synthesizer: bool,
    /// It is the filter's.
    pub(super) of_filter: bool,
    /// Bytes of instance data, of which zeroes mean nothing.
    pub(super) instance: usize,
    /// How its value is read.
    kind: Type,
}

const fn synth(name: &'static str, id: u32, bytes: u32, instance: usize, kind: Type) -> Property {
    Property { name, set: "KSPROPSETID_Synth", id, bytes, synthesizer: true, of_filter: false, instance, kind }
}

const fn plain(name: &'static str, set: &'static str, id: u32, bytes: u32, kind: Type) -> Property {
    Property { name, set, id, bytes, synthesizer: false, of_filter: false, instance: 0, kind }
}

const fn of_filter(name: &'static str, id: u32, instance: usize, bytes: u32, kind: Type) -> Property {
    Property { name, set: "KSPROPSETID_Pin", id, bytes, synthesizer: false, of_filter: true, instance, kind }
}

/// `SYNTHCAPS`.
const CAPS_BYTES: u32 = 296;

/// `KSP_PIN` behind `KSPROPERTY`: a pin's number, and a word that is reserved.
const PIN_BYTES: usize = 8;

/// All that are known by name.
pub(super) static PROPERTIES: [Property; 18] = [
    synth("KSPROPERTY_SYNTH_VOLUME", 0, 4, 0, Type::Signed),
    synth("KSPROPERTY_SYNTH_VOLUMEBOOST", 1, 4, 0, Type::Signed),
    synth("KSPROPERTY_SYNTH_CAPS", 2, CAPS_BYTES, 0, Type::Caps),
    synth(
        "KSPROPERTY_SYNTH_PORTPARAMETERS",
        3,
        28,
        28,
        Type::Words(
            0,
            &["ValidParams", "Voices", "ChannelGroups", "AudioChannels", "SampleRate", "EffectsFlags", "Share"],
        ),
    ),
    synth("KSPROPERTY_SYNTH_CHANNELGROUPS", 4, 4, 0, Type::Number),
    synth("KSPROPERTY_SYNTH_VOICEPRIORITY", 5, 4, 8, Type::Number),
    synth("KSPROPERTY_SYNTH_LATENCYCLOCK", 6, 8, 0, Type::Wide),
    synth(
        "KSPROPERTY_SYNTH_RUNNINGSTATS",
        7,
        28,
        0,
        Type::Words(0, &["ValidStats", "Voices", "TotalCPU", "CPUPerVoice", "LostNotes", "FreeMemory", "-PeakVolume"]),
    ),
    Property { set: "KSPROPSETID_SynthClock", ..synth("KSPROPERTY_SYNTH_MASTERCLOCK", 0, 8, 0, Type::Wide) },
    Property { set: "KSPROPSETID_Synth_Dls", ..synth("KSPROPERTY_SYNTH_DLS_APPEND", 3, 4, 0, Type::Number) },
    Property {
        set: "KSPROPSETID_Synth_Dls",
        // `WAVEFORMATEX`.
        ..synth("KSPROPERTY_SYNTH_DLS_WAVEFORMAT", 4, 18, 0, Type::Words(4, &["nSamplesPerSec", "nAvgBytesPerSec"]))
    },
    plain(
        "KSPROPERTY_CONNECTION_STATE",
        "KSPROPSETID_Connection",
        0,
        4,
        Type::Choice(&["KSSTATE_STOP", "KSSTATE_ACQUIRE", "KSSTATE_PAUSE", "KSSTATE_RUN"]),
    ),
    of_filter("KSPROPERTY_PIN_CINSTANCES", 0, PIN_BYTES, 8, Type::Words(0, &["PossibleCount", "CurrentCount"])),
    of_filter("KSPROPERTY_PIN_CTYPES", 1, 0, 4, Type::Number),
    of_filter(
        "KSPROPERTY_PIN_DATAFLOW",
        2,
        PIN_BYTES,
        4,
        Type::Choice(&["none", "KSPIN_DATAFLOW_IN", "KSPIN_DATAFLOW_OUT"]),
    ),
    of_filter(
        "KSPROPERTY_PIN_COMMUNICATION",
        7,
        PIN_BYTES,
        4,
        Type::Choice(&[
            "KSPIN_COMMUNICATION_NONE",
            "KSPIN_COMMUNICATION_SINK",
            "KSPIN_COMMUNICATION_SOURCE",
            "KSPIN_COMMUNICATION_BOTH",
            "KSPIN_COMMUNICATION_BRIDGE",
        ]),
    ),
    of_filter("KSPROPERTY_PIN_GLOBALCINSTANCES", 8, PIN_BYTES, 8, Type::Words(0, &["PossibleCount", "CurrentCount"])),
    of_filter("KSPROPERTY_PIN_NAME", 12, PIN_BYTES, 256, Type::Text),
];

/// Finds a property by its name, whatever its letters' case.
pub(super) fn find(name: &str) -> Option<&'static Property> {
    PROPERTIES.iter().find(|property| property.name.eq_ignore_ascii_case(name))
}

/// Returns what to say of a name that is none.
pub(super) fn unknown(name: &str) -> String {
    let hint = match nearest(name, PROPERTIES.iter().map(|property| property.name)) {
        Some(word) => format!("did you mean `{word}`?"),
        None => "name its set and its number, such as property KSPROPSETID_Synth 6 get=8".into(),
    };
    format!("no property is called `{name}`; {hint}")
}

fn word(value: &[u8], at: usize) -> Option<u32> {
    value.get(at..at + 4)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn utf16(value: &[u8]) -> String {
    let units = value.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    String::from_utf16_lossy(&units.take_while(|unit| *unit != 0).collect::<Vec<_>>())
}

fn words(value: &[u8], from: usize, names: &[&str]) -> Option<Value> {
    let mut members = Map::new();
    for (index, name) in names.iter().enumerate() {
        let found = word(value, from + 4 * index)?;
        match name.strip_prefix('-') {
            Some(name) => members.insert(name.into(), found.cast_signed().into()),
            None => members.insert((*name).into(), found.into()),
        };
    }
    Some(Value::Object(members))
}

/// Returns what a property's value means, by its set as it is stored in memory.
pub(super) fn decode_stored(set: &[u8; 16], id: u32, value: &[u8]) -> Option<Value> {
    let set = crate::steps::document::set_name(set)?;
    decode(set, id, value)
}

/// Returns what a property's value means, as far as it is long enough; its bytes stand elsewhere.
pub(super) fn decode(set: &str, id: u32, value: &[u8]) -> Option<Value> {
    let property = PROPERTIES.iter().find(|property| property.set == set && property.id == id)?;
    match property.kind {
        Type::Number => word(value, 0).map(Value::from),
        Type::Signed => word(value, 0).map(|word| word.cast_signed().into()),
        Type::Wide => value.first_chunk().map(|bytes| u64::from_le_bytes(*bytes).into()),
        Type::Choice(names) => {
            word(value, 0).map(|word| names.get(word as usize).map_or(json!(word), |name| json!(name)))
        }
        Type::Words(from, names) => words(value, from, names),
        Type::Text => (value.len() >= 2).then(|| utf16(value).into()),
        Type::Caps => {
            const NAMES: [&str; 6] =
                ["Flags", "MemorySize", "MaxChannelGroups", "MaxVoices", "MaxAudioChannels", "EffectFlags"];
            let mut caps = words(value, 16, &NAMES)?;
            caps["Description"] = utf16(value.get(40..)?).into();
            Some(caps)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_by_their_type() {
        let decode = |id, value: &[u8]| decode("KSPROPSETID_Synth", id, value);
        assert_eq!(decode(0, &(-600_i32).to_le_bytes()), Some(json!(-600)));
        assert_eq!(decode(6, &7_u64.to_le_bytes()), Some(json!(7)));
        assert_eq!(decode(6, &[0; 4]), None, "too short");
        let stats: Vec<u8> = [1_u32, 2, 3, 4, 5, 6, u32::MAX].iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(decode(7, &stats).unwrap()["PeakVolume"], -1);
        let mut caps = vec![0; CAPS_BYTES as usize];
        caps[28] = 64;
        caps[40..44].copy_from_slice(b"A\0b\0");
        assert_eq!(decode(2, &caps).unwrap()["MaxVoices"], 64);
        assert_eq!(decode(2, &caps).unwrap()["Description"], "Ab");
    }
}
