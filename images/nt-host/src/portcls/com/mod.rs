//! The component object model: interfaces, identifiers and structures of the audio and kernel-streaming headers, how
//! drivers' objects are called, and how PortCls' own are made.

pub(crate) mod abi;
pub(crate) mod guids;
pub(crate) mod kind;
pub(crate) mod object;
pub(crate) mod slots;
