//! The shape of steps in a scenario file.
//!
//! A step is a table with one verb, and modifiers beside it. Every doc comment here is the description that editors show and that
//! the reference prints.

mod expectation;
mod fault;
mod host;
mod midi;
mod property;
mod step;
mod stream;
mod value;
mod yes;

pub use expectation::{ExpectStep, Level, Loudness, Onsets, Silence, Tone};
pub use fault::FaultStep;
pub use host::{HostStep, Process, SuspendStep};
pub use midi::InlineEvent;
pub use property::{Caller, CodedStatus, DownloadStep, Instrument, PropertyStep, set_name};
pub use step::{
    AdvanceStep, Branch, CardLimit, IncludeStep, LimitsTable, PowerState, SaveStep, StepList, StepTable, UnloadStep,
    WaitStep,
};
pub use stream::{
    CaptureStep, DeliveryOrder, FormatStep, OpenStep, PinName, PlayStep, SendStep, StateStep, StreamKind, StreamState,
};
pub use value::{Bounds, ValueName};
