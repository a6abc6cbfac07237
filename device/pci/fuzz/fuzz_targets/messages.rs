//! Executes any bytes as the acts of a vfio-user client.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vfio_user_card_fuzz::messages(bytes));
