//! `KEY=VALUE` arguments: split at the first `=`, key trimmed, value verbatim, the last of equal keys
//! wins.

use std::collections::BTreeMap;

use crate::failure::Failure;

/// Parses every argument of the flag `flag`.
pub(crate) fn pairs(flag: &str, arguments: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    arguments.iter().map(|argument| pair(flag, argument)).collect()
}

fn pair(flag: &str, argument: &str) -> Result<(String, String), Failure> {
    match argument.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        Some(_) | None => Err(Failure::new(format!("{flag} '{argument}' is not of the form KEY=VALUE"))),
    }
}

/// Credentials: `KEY=VALUE`, or a bare `KEY` that is read from the variable of that name.
pub(crate) fn credentials(
    arguments: &[String],
    variable: impl Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, String>, Failure> {
    let credential = |argument: &String| {
        if argument.contains('=') {
            return pair("--credential", argument);
        }
        let key = argument.trim();
        match variable(key).filter(|value| !key.is_empty() && !value.trim().is_empty()) {
            Some(value) => Ok((key.to_owned(), value)),
            None => Err(Failure::new(format!(
                "--credential {key} has no value: set the environment variable {key}, or write --credential {key}=VALUE"
            ))),
        }
    };
    arguments.iter().map(credential).collect()
}

#[cfg(test)]
mod tests {
    use super::{credentials, pairs};

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_pair_is_split_at_its_first_sign_and_the_last_of_equal_keys_wins() {
        let pairs = pairs("--config", &texts(&["a=1", " b = x=y", "a=2"])).expect("good pairs");
        assert_eq!(pairs.into_iter().collect::<Vec<_>>(), [("a".into(), "2".into()), ("b".into(), " x=y".into())]);
        for text in ["a", "=x", " =x", ""] {
            super::pairs("--config", &texts(&[text])).expect_err(text);
        }
    }

    #[test]
    fn cli_scenario_29_a_bare_credential_needs_its_variable() {
        let variable = |name: &str| (name == "SET").then(|| "v".to_owned());
        assert_eq!(credentials(&texts(&["SET", "B="]), variable).expect("good")["SET"], "v");
        let failure = credentials(&texts(&["UNSET"]), variable).expect_err("no variable");
        assert!(failure.message.contains("environment variable UNSET"), "{}", failure.message);
    }
}
