//! Executes any bytes as the acts of a guest on its rings, with a second processor that rewrites them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dmus_card_fuzz::rings(bytes));
