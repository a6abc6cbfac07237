//! Any bytes as the trace of a small ring.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| card_trace_fuzz::drive(input));
