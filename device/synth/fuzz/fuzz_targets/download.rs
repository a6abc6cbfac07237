//! Any bytes as a DirectMusic download.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dls_synth_fuzz::download(bytes));
