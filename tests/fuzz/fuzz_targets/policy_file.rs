//! `cargo fuzz run policy_file`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| openshell_fuzz::policy_file(input));
