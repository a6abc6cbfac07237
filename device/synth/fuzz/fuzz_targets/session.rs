//! Any bytes as a session.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dls_synth_fuzz::session(bytes));
