//! `cargo fuzz run import`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| openshell_fuzz::import(input));
