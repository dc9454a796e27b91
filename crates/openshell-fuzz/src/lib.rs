//! Bad input: everything that reads what somebody else wrote, one function a target, from bytes to nothing.
//! The same functions are run by the bounded tests of this crate and by `cargo fuzz` (`tests/fuzz`). What
//! they promise is in `docs/fuzzing.md`; how memory is counted is the business of the program that runs them.

mod mutation;
mod seeds;
mod targets;
mod world;

pub use mutation::Mutator;
pub use seeds::seeds;
pub use targets::{TARGETS, Target, import, merge, policy_file, profile_file, validator};
