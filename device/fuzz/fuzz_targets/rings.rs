//! Any bytes as what a guest does to its rings, with a second processor that rewrites them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dmus_card_fuzz::rings(bytes));
