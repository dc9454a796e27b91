//! `cargo fuzz run profile_file`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| openshell_fuzz::profile_file(input));
