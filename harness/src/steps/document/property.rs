//! KS properties, and downloads, which are properties of the synthesizer node.

use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::midi::Bytes;
use super::stream::PinName;
use super::yes::True;

/// Names of property sets with their GUIDs (ks.h, ksmedia.h, dmusprop.h), which files may use instead of a GUID.
const SETS: [(&str, &str); 9] = [
    ("KSPROPSETID_General", "1464EDA5-6A8F-11D1-9AA7-00A0C9223196"),
    ("KSPROPSETID_Pin", "8C134960-51AD-11CF-878A-94F801C10000"),
    ("KSPROPSETID_Topology", "720D4AC0-7533-11D0-A5D6-28DB04C10000"),
    ("KSPROPSETID_Connection", "1D58C920-AC9B-11CF-A5D6-28DB04C10000"),
    ("KSPROPSETID_Audio", "45FFAAA0-6E1B-11D0-BCF2-444553540000"),
    ("KSPROPSETID_Synth", "FEDFAE25-E46E-11D1-AACE-0000F875AC12"),
    ("KSPROPSETID_SynthClock", "FEDFAE26-E46E-11D1-AACE-0000F875AC12"),
    ("KSPROPSETID_Synth_Dls", "D523FA2C-DEE3-11D1-A789-0000F875AC12"),
    ("KSPROPSETID_Clock", "DF12A4C0-AC17-11CF-A5D6-28DB04C10000"),
];

/// A property set, as a GUID is stored in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PropertySet(pub [u8; 16]);

impl PropertySet {
    /// Reads a name or a GUID.
    fn of(text: &str) -> Option<Self> {
        let named = SETS.iter().find(|(name, _)| *name == text).map_or(text, |(_, guid)| guid);
        let guid = named.trim_start_matches('{').trim_end_matches('}');
        let lengths: Vec<usize> = guid.split('-').map(str::len).collect();
        if lengths != [8, 4, 4, 4, 12] {
            return None;
        }
        let bytes: [u8; 16] = hex::decode(guid.replace('-', "")).ok()?.try_into().ok()?;
        let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
        let mut stored = [d, c, b, a, f, e, h, g, 0, 0, 0, 0, 0, 0, 0, 0];
        stored[8..].copy_from_slice(&rest);
        Some(Self(stored))
    }
}

impl<'de> Deserialize<'de> for PropertySet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::of(&text).ok_or_else(|| {
            let names = SETS.map(|(name, _)| name).join(", ");
            D::Error::custom(format!("`{text}` is no property set: expected a GUID, or one of {names}"))
        })
    }
}

impl JsonSchema for PropertySet {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PropertySet".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A property set: a GUID, or one of the names of ks.h, ksmedia.h and dmusprop.h that are known here.",
            "type": "string",
            "examples": SETS.map(|(name, _)| name),
        })
    }
}

/// Returns the name of a property set, if it has one here.
#[must_use]
pub fn set_name(stored: &[u8; 16]) -> Option<&'static str> {
    SETS.iter().map(|(name, _)| *name).find(|name| PropertySet::of(name).is_some_and(|set| set.0 == *stored))
}

/// Names of `NTSTATUS` codes (ntstatus.h) that files may use instead of a number.
const STATUSES: [(&str, u32); 19] = [
    ("STATUS_SUCCESS", 0),
    ("STATUS_PENDING", 0x103),
    ("STATUS_BUFFER_OVERFLOW", 0x8000_0005),
    ("STATUS_UNSUCCESSFUL", 0xC000_0001),
    ("STATUS_NOT_IMPLEMENTED", 0xC000_0002),
    ("STATUS_INVALID_PARAMETER", 0xC000_000D),
    ("STATUS_INVALID_DEVICE_REQUEST", 0xC000_0010),
    ("STATUS_NO_MEMORY", 0xC000_0017),
    ("STATUS_BUFFER_TOO_SMALL", 0xC000_0023),
    ("STATUS_INSUFFICIENT_RESOURCES", 0xC000_009A),
    ("STATUS_DEVICE_NOT_CONNECTED", 0xC000_009D),
    ("STATUS_DEVICE_NOT_READY", 0xC000_00A3),
    ("STATUS_IO_TIMEOUT", 0xC000_00B5),
    ("STATUS_NOT_SUPPORTED", 0xC000_00BB),
    ("STATUS_CANCELLED", 0xC000_0120),
    ("STATUS_INVALID_DEVICE_STATE", 0xC000_0184),
    ("STATUS_IO_DEVICE_ERROR", 0xC000_0185),
    ("STATUS_NOT_FOUND", 0xC000_0225),
    ("STATUS_PROPSET_NOT_FOUND", 0xC000_0230),
];

/// An `NTSTATUS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodedStatus(pub u32);

impl std::fmt::Display for CodedStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match STATUSES.iter().find(|(_, code)| *code == self.0) {
            Some((name, code)) => write!(f, "{name} ({code:#x})"),
            None => write!(f, "{:#x}", self.0),
        }
    }
}

impl<'de> Deserialize<'de> for CodedStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(u32),
            Name(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Number(number) => Ok(Self(number)),
            Form::Name(text) => match STATUSES.iter().find(|(name, _)| *name == text) {
                Some((_, code)) => Ok(Self(*code)),
                None => {
                    Err(D::Error::custom(format!("`{text}` is no name of a status that is known here: use its number")))
                }
            },
        }
    }
}

impl JsonSchema for CodedStatus {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "CodedStatus".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An NTSTATUS: a number, or one of the names of ntstatus.h that are known here.",
            "anyOf": [{ "type": "integer", "minimum": 0, "maximum": u32::MAX }, { "enum": STATUSES.map(|(name, _)| name) }],
        })
    }
}

/// Whose request it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Caller {
    /// A kernel component.
    Kernel,
    /// A 64-bit process.
    #[default]
    User64,
    /// A 32-bit process.
    User32,
}

/// A property request: one of `get`, `set_to` and `support`, and what must come of it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PropertyStep {
    /// The stream to whose pin the request goes; the only one where it is absent.
    #[schemars(with = "Option<String>")]
    pub stream: Option<Spanned<String>>,
    /// The pin of the stream; the one for music where it is absent.
    pub pin: Option<PinName>,
    /// The request goes to the stream's filter, not to a pin.
    #[serde(default)]
    pub of_filter: bool,
    /// The node; `synthesizer = true` for the first synthesizer.
    pub node: Option<u32>,
    /// The first synthesizer node.
    pub synthesizer: Option<True>,
    /// The property set.
    pub set: PropertySet,
    /// The property's number in its set.
    pub id: u32,
    /// Get: room for so many bytes.
    #[schemars(range(max = 65_536))]
    pub get: Option<u32>,
    /// Set: this value, in hexadecimal.
    pub set_to: Option<Bytes>,
    /// Set: this value, as a `ULONG`.
    pub set_to_u32: Option<u32>,
    /// Ask for the basic support.
    pub support: Option<True>,
    /// Instance data behind the property's header, in hexadecimal.
    #[serde(default)]
    pub instance: Bytes,
    /// The caller.
    #[serde(default)]
    pub caller: Caller,
    /// The status that must be returned.
    pub status: Option<CodedStatus>,
    /// The value that must be returned, in hexadecimal.
    pub value: Option<Bytes>,
    /// The bounds within which the value must be, as a `ULONG`.
    pub value_u32: Option<super::value::Bounds>,
}

/// Something to download.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DownloadStep {
    /// Its name for `unload`.
    #[serde(rename = "as")]
    pub name: String,
    /// The stream whose synthesizer takes it; where it is absent the only one, or the only one that takes music.
    #[schemars(with = "Option<String>")]
    pub stream: Option<Spanned<String>>,
    /// An instrument of the harness, with its wave.
    pub instrument: Option<Instrument>,
    /// A file beside the scenario with a download as `dmdls.h` lays it out, from `DMUS_DOWNLOADINFO` on.
    #[schemars(with = "Option<PathBuf>")]
    pub file: Option<Spanned<PathBuf>>,
    /// The same, in hexadecimal.
    pub data: Option<Bytes>,
    /// The caller.
    #[serde(default)]
    pub caller: Caller,
    /// The status that must be returned for the last part; success where it is absent.
    pub status: Option<CodedStatus>,
    /// The last part must be refused, with whatever status.
    pub refused: Option<True>,
}

/// An instrument that the harness brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Instrument {
    /// A looped triangle over all keys, in bank 64/3 as program 5.
    Triangle,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_is_stored_as_windows_stores_it() {
        let dls = [0x2C, 0xFA, 0x23, 0xD5, 0xE3, 0xDE, 0xD1, 0x11, 0xA7, 0x89, 0x00, 0x00, 0xF8, 0x75, 0xAC, 0x12];
        assert_eq!(PropertySet::of("KSPROPSETID_Synth_Dls"), Some(PropertySet(dls)));
        assert_eq!(PropertySet::of("{D523FA2C-DEE3-11D1-A789-0000F875AC12}"), Some(PropertySet(dls)));
        assert_eq!(PropertySet::of("D523FA2C"), None);
    }
}
