//! The properties of the filter's nodes and render pins.

mod request;
mod table;
mod values;

pub use request::{CallerMemory, Request, Target, handle};
pub use table::{OF_CAPTURE_NODE, OF_NODE, OF_PIN, Property};
pub use values::{CAPTURE_GUID, CAPTURE_NAME, SYNTH_GUID, SYNTH_NAME};
