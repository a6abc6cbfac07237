//! Benchmarks: a registry of named measurements.

mod context;
mod driver;
mod driver_error;
mod error;
mod measurement;
mod nt_host;
mod registry;
mod scenario;
mod synth;
mod synth_error;

pub use context::Context;
pub use driver_error::DriverBenchError;
pub use error::BenchError;
pub use measurement::Measurement;
pub use registry::{ALL, Benchmark};
pub use synth_error::SynthBenchError;
