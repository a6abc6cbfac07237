//! Any bytes as what a vhost-user front-end does.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dmus_card_fuzz::messages(bytes));
