//! A seed in a scenario file.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::machine::conditions::read_seed;

/// The seed of delays: hexadecimal digits in a string, as on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
pub struct Seed(pub u64);

impl TryFrom<String> for Seed {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        read_seed(&text).map(Self)
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}
