//! The faults that the card injects on command, once each, so that a test sees how a driver recovers.

use serde::{Deserialize, Serialize};

/// How the used ring is corrupted for the next chain that is returned on it (virtio 1.2, section 2.7.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum UsedRingCorruption {
    /// The used element names a head descriptor beyond every ring.
    UsedId,
    /// The used element's length is more than the chain has room for.
    UsedLength,
    /// The used index runs ahead by more chains than the ring has.
    UsedIndex,
}

/// A fault of the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum InjectedFault {
    /// Drops the session, as when the card fails outside a request: streams stop, and a notice says so.
    LoseSession {},
    /// Corrupts the used ring with the next chain that is returned on a queue.
    CorruptUsedRing {
        /// How.
        corruption: UsedRingCorruption,
        /// The queue, by number.
        queue: u16,
    },
}
