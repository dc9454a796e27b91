//! Profile files: what is read, what is refused, what is written, and that both agree.

mod export;
mod parsing;
mod round_trip;

use super::*;

/// The message that a YAML text means.
fn yaml(text: &str) -> ProviderProfile {
    lower(parse_yaml(text).unwrap()).unwrap()
}
