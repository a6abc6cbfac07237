//! Instrument collections as DLS describes them, and the forms in which they arrive: RIFF files, by themselves or in
//! XMF files, and DirectMusic download buffers.

mod bytes;
pub(crate) mod chunk_path;
pub(crate) mod collection;
mod condition;
pub(crate) mod download;
pub(crate) mod error;
mod listing;
pub mod names;
pub(crate) mod reader;
pub(crate) mod riff;
pub(crate) mod rmid;
pub mod spec;
mod structures;
pub(crate) mod warning;
mod writer;
pub(crate) mod xmf;

pub use collection::{Collection, Connection, Instrument, Patch, Region, SampleLoop, Wave, WaveLink, WaveSample};
pub use error::{BankError, Rule};
pub use listing::{ConnectionListing, InstrumentListing, Listing, RegionListing, WaveListing};
pub use reader::Loaded;
pub use warning::{PassedOver, Warning, Warnings};
pub use xmf::Xmf;
