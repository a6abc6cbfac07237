//! The run-time library: strings, memory, debug output, the C routines that drivers import.

pub mod bitmap;
pub mod crt;
pub mod debug;
pub mod exception;
pub mod large_memory;
pub mod memory;
pub mod narrow;
pub mod run_once;
pub mod security_descriptor;
pub mod string;
pub mod time_fields;
pub mod trace;

use crate::contract::export::Export;

/// What the run-time library exports.
pub static EXPORTS: &[&[Export]] = &[
    large_memory::EXPORTS,
    run_once::EXPORTS,
    security_descriptor::EXPORTS,
    bitmap::EXPORTS,
    crt::EXPORTS,
    exception::EXPORTS,
    debug::EXPORTS,
    debug::VARIADIC,
    memory::EXPORTS,
    memory::HELPERS,
    narrow::EXPORTS,
    time_fields::EXPORTS,
    string::EXPORTS,
    trace::EXPORTS,
];
