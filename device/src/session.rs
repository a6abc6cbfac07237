//! The session: all state from one `OPEN` to the next.

pub mod capture;
pub mod clock;
pub mod notices;
pub mod output;
pub mod parameters;
pub mod render;
pub mod slice;
pub mod state;
pub mod statistics;
pub mod streams;
pub mod synth;
pub mod sysex;
pub mod timeline;
pub mod voices;

pub use capture::CaptureError;
pub use parameters::Parameters;
pub use state::{DeviceState, Session};
