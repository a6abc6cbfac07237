//! MIDI messages in hexadecimal.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// Bytes in hexadecimal, with or without spaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits: String = text.split_ascii_whitespace().collect();
        match hex::decode(&digits) {
            Ok(bytes) => Ok(Self(bytes)),
            Err(_) => {
                Err(D::Error::custom(format!("`{text}` is not a row of hexadecimal bytes, such as \"90 3c 64\"")))
            }
        }
    }
}

impl JsonSchema for Bytes {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Bytes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Bytes in hexadecimal, with or without spaces.",
            "type": "string",
            "pattern": "^([0-9A-Fa-f]{2}\\s*)*$",
        })
    }
}

/// An event.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InlineEvent {
    /// Its time, in milliseconds from the beginning.
    #[serde(default)]
    #[schemars(range(max = 3_600_000))]
    pub ms: u32,
    /// One MIDI message.
    pub data: Bytes,
    /// Its channel group, from 1.
    #[schemars(range(min = 1, max = 1_000))]
    pub group: Option<u32>,
}
