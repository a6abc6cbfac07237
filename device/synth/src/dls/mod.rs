//! Instrument collections as DLS describes them, and the two forms in which they arrive: RIFF files and DirectMusic
//! download buffers.

mod bytes;
pub(crate) mod collection;
mod condition;
pub(crate) mod download;
pub(crate) mod reader;
mod riff;
pub mod spec;
mod writer;

pub use collection::{Collection, Connection, Instrument, Patch, Region, SampleLoop, Wave, WaveLink, WaveSample};
pub use reader::BankError;
