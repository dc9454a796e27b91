//! `cargo fuzz run validator`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| openshell_fuzz::validator(input));
