//! Flags that every command takes, before or after its name (`cli.md` 1.2, and ours: `--consistency`,
//! `--deadline`). What they lead to is in `context`.

use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};
use openshell_client::Consistency;

/// Flags that every command takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// Name of a registered gateway.
    #[arg(short, long, env = "OPENSHELL_GATEWAY", global = true, value_name = "NAME")]
    pub(crate) gateway: Option<String>,
    /// Connects to these URLs directly: one, or several of one cluster, separated by commas or each with
    /// the flag. The nearest one is asked first, the others when it does not answer.
    #[arg(long, env = "OPENSHELL_GATEWAY_ENDPOINT", global = true, value_name = "URL[,URL...]")]
    pub(crate) gateway_endpoint: Vec<String>,
    /// Uses TLS without verifying the server.
    #[arg(long, env = "OPENSHELL_GATEWAY_INSECURE", global = true)]
    pub(crate) gateway_insecure: bool,
    /// The workspace that names are looked up in.
    #[arg(long, env = "OPENSHELL_WORKSPACE", global = true, default_value = "default", value_name = "NAME")]
    pub(crate) workspace: String,
    /// How fresh answers must be. Without it commands ask for linearizable ones.
    #[arg(long, value_enum, global = true, value_name = "HOW")]
    consistency: Option<Freshness>,
    /// How long one call to the gateway may take, repetitions on other endpoints included: a number of
    /// seconds, or a number and a unit, such as 500ms, 30s or 2m.
    #[arg(long, global = true, default_value = "30s", value_parser = duration, value_name = "DURATION")]
    pub(crate) deadline: Duration,
    /// Shows node, revision, age and attempts of each call on stderr; repeat it for log lines.
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
}

/// What `--consistency` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Freshness {
    /// What the node that is asked has, without asking the leader; never older than what was seen before.
    Local,
    /// Everything that was acknowledged before the call.
    Linearizable,
}

impl Global {
    /// The endpoints of the flag or its variable as one list, separated by commas.
    pub(crate) fn endpoints(&self) -> Option<String> {
        (!self.gateway_endpoint.is_empty()).then(|| self.gateway_endpoint.join(","))
    }

    /// What was asked for, if anything was.
    pub(crate) fn consistency(&self) -> Option<Consistency> {
        self.consistency.map(|freshness| match freshness {
            Freshness::Local => Consistency::Local,
            Freshness::Linearizable => Consistency::Linearizable,
        })
    }
}

/// Longer than anybody waits, and short enough to be added to any time.
pub(crate) const DURATION_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A number of seconds, or a number and a unit; from a millisecond to a week.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} must be a number of seconds, or a number and a unit, such as 500ms, 30s or 2m");
    let split = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" | "" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    match Duration::from_millis(number.saturating_mul(unit_ms)) {
        Duration::ZERO => Err(format!("{text:?} leaves no time for an answer")),
        duration if duration > DURATION_MAX => Err(format!("{text:?} is longer than a week")),
        duration => Ok(duration),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        global: Global,
    }

    fn global(words: &[&str]) -> Result<Global, clap::Error> {
        Line::try_parse_from([&["openshell"], words].concat()).map(|line| line.global)
    }

    #[test]
    fn endpoints_are_given_in_one_flag_or_in_several() {
        let endpoints = |words: &[&str]| global(words).expect("good flags").endpoints();
        let flag = "--gateway-endpoint";
        assert_eq!(endpoints(&[flag, "http://a:1,http://b:1"]).as_deref(), Some("http://a:1,http://b:1"));
        assert_eq!(endpoints(&[flag, "http://a:1", flag, "http://b:1"]).as_deref(), Some("http://a:1,http://b:1"));
        assert_eq!(endpoints(&[flag, ""]).as_deref(), Some(""), "given, though wrong");
    }

    #[test]
    fn a_deadline_is_a_number_with_or_without_a_unit() {
        for (text, millis) in [("500ms", 500), ("30", 30_000), ("30s", 30_000), ("2m", 120_000), ("1h", 3_600_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "-1", "1.5s", "0", "0ms", "5 s", "1y", "169h", "99999999999999999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(global(&[]).expect("no flags").deadline, Duration::from_secs(30));
        assert!(global(&["--deadline", "soon"]).is_err());
    }

    #[test]
    fn consistency_has_two_values_and_none_of_its_own() {
        assert_eq!(global(&[]).expect("no flags").consistency(), None);
        let asked = |word| global(&["--consistency", word]).expect("a good flag").consistency();
        assert_eq!(asked("local"), Some(Consistency::Local));
        assert_eq!(asked("linearizable"), Some(Consistency::Linearizable));
        assert!(global(&["--consistency", "eventual"]).is_err());
    }
}
