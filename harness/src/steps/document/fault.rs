//! Faults of the card.

use card_control::InjectedFault;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// A fault, with the member `kind` and the members of its kind; `at` says when it strikes, which is at once or at the next occasion
/// without it.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultStep {
    /// The fault.
    pub fault: InjectedFault,
}

impl<'de> Deserialize<'de> for FaultStep {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = Map::<String, Value>::deserialize(deserializer)?;
        let fault = serde_json::from_value(Value::Object(members)).map_err(D::Error::custom)?;
        Ok(Self { fault })
    }
}

impl JsonSchema for FaultStep {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FaultStep".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        InjectedFault::json_schema(generator)
    }
}
