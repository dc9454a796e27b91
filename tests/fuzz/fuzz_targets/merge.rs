//! `cargo fuzz run merge`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| openshell_fuzz::merge(input));
