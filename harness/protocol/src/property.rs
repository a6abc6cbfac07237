//! KS property requests.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::handle::Handle;

/// A KS property request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PropertyRequest {
    /// The caller on whose behalf the request is made.
    pub caller: Caller,
    /// The filter or pin.
    pub target: Handle,
    /// The node, for a node property.
    pub node: Option<u32>,
    /// The property set, as a GUID is stored in memory.
    pub set: [u8; 16],
    /// The property's id in its set.
    pub id: u32,
    /// Get, set or basic support.
    pub verb: PropertyVerb,
    /// Instance data, which follows the property's header.
    pub instance: Vec<u8>,
    /// The value buffer: what is set, or as many bytes as the answer may take.
    pub value: Vec<u8>,
}

/// The kind of caller that makes a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Caller {
    /// A kernel component (`KernelMode`).
    Kernel,
    /// A 64-bit process (`UserMode`).
    User64,
    /// A 32-bit process (`UserMode`; `IoIs32bitProcess` is true).
    User32,
}

/// The operation of a property request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PropertyVerb {
    /// `KSPROPERTY_TYPE_GET`.
    Get,
    /// `KSPROPERTY_TYPE_SET`.
    Set,
    /// `KSPROPERTY_TYPE_BASICSUPPORT`.
    BasicSupport,
}
