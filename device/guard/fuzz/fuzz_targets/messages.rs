//! A front-end that sends any messages and descriptors through a guard to a back-end of the framework.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| vhost_user_guard_fuzz::drive(input));
