//! Executes any bytes as a driver's accesses to registers and configuration space, each checked against the datasheet.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dmus_card_fuzz::registers(bytes));
