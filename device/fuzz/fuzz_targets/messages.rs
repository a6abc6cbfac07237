//! Executes any bytes as the acts of a vhost-user front-end.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dmus_card_fuzz::messages(bytes));
