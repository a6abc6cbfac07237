//! Faults of the card.

use card_control::InjectedFault;
use card_control::fault::Trigger;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// The member that says when a fault strikes.
const AT: &str = "at";

/// A fault, with the member `kind` and the members of its kind; `at` says when it becomes live, which is now without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultStep {
    /// The fault.
    pub fault: InjectedFault,
    /// When it becomes live.
    pub at: Option<Trigger>,
}

impl<'de> Deserialize<'de> for FaultStep {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut members = Map::<String, Value>::deserialize(deserializer)?;
        let at = members.remove(AT).map(serde_json::from_value).transpose().map_err(D::Error::custom)?;
        let fault = serde_json::from_value(Value::Object(members)).map_err(D::Error::custom)?;
        Ok(Self { fault, at })
    }
}

impl JsonSchema for FaultStep {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FaultStep".into()
    }

    /// Returns the schema of a fault, with `at` beside the members of each kind.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let at = generator.subschema_for::<Trigger>();
        let mut schema = InjectedFault::json_schema(generator);
        if let Some(Value::Array(kinds)) = schema.get_mut("oneOf") {
            for properties in kinds.iter_mut().filter_map(|kind| kind.get_mut("properties")) {
                let mut at = at.clone().to_value();
                at["description"] = "When it becomes live; now where it is absent.".into();
                properties[AT] = at;
            }
        }
        schema
    }
}
