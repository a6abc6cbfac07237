//! Benchmarks: a registry of named measurements.

mod context;
mod driver;
mod driver_error;
mod error;
mod measurement;
mod not_passed;
mod nt_host;
mod program;
mod program_error;
mod registry;
mod scenario;
mod suite;
mod synth;
mod trace;
mod transport;

pub use context::Context;
pub use driver_error::DriverBenchError;
pub use error::BenchError;
pub use measurement::Measurement;
pub use not_passed::NotPassed;
pub use program_error::ProgramError;
pub use registry::{ALL, Benchmark};
