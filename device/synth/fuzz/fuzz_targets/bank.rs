//! Any bytes as a bank of any kind.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dls_synth_fuzz::bank(bytes));
