//! What the program is told: flags, and variables `OPENSHELL_<FLAG>`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use openshell_client::{Tls, parse_endpoints};
use openshell_sync::{Options, TokenSource, WhenStale};

/// Keeps the effective policy, settings and provider environment of one sandbox current, from the nearest
/// gateway of its cluster, in a directory.
#[derive(Debug, Parser)]
#[command(name = "openshell-sync", version, about, long_about = None)]
#[command(after_help = "Example:\n  openshell-sync --sandbox-id ID --token-file ./token --gateway-endpoint \
                  http://127.0.0.1:17670,http://127.0.0.1:17671 --state-dir ./state --on-change 'cat \
                  \"$OPENSHELL_SYNC_CONFIG\"'")]
pub(crate) struct Arguments {
    /// The sandbox's id.
    #[arg(long, env = "OPENSHELL_SANDBOX_ID", value_name = "ID")]
    pub(crate) sandbox_id: String,
    /// File with the sandbox's token, as `openshell sandbox token` writes it. A new one replaces it in time.
    #[arg(long, env = "OPENSHELL_TOKEN_FILE", value_name = "FILE")]
    token_file: PathBuf,
    /// Gateways of the cluster, comma-separated; the others are learned from them.
    #[arg(long, env = "OPENSHELL_GATEWAY_ENDPOINT", value_name = "URL[,URL...]")]
    gateway_endpoint: String,
    /// Where what is installed is kept: current/config.json, current/credentials.json, standing.json.
    #[arg(long, env = "OPENSHELL_STATE_DIR", value_name = "DIR")]
    state_dir: PathBuf,
    /// Where this machine stands; gateways of the same zone are preferred.
    #[arg(long, env = "OPENSHELL_ZONE")]
    zone: Option<String>,
    /// Command that puts a new configuration into force, run by /bin/sh. It fails: the last good one stays.
    #[arg(long, env = "OPENSHELL_ON_CHANGE", value_name = "COMMAND")]
    pub(crate) on_change: Option<String>,
    /// How long the command may take.
    #[arg(long, env = "OPENSHELL_ON_CHANGE_TIMEOUT", value_name = "SPAN", default_value = "30s", value_parser = span)]
    pub(crate) on_change_timeout: Duration,
    /// From which age on what is installed is too old, such as 90s, 10m or 2h; never without it.
    #[arg(long, env = "OPENSHELL_MAX_AGE", value_name = "SPAN", value_parser = span)]
    max_age: Option<Duration>,
    /// What becomes of it then.
    #[arg(
        long,
        env = "OPENSHELL_WHEN_STALE",
        value_enum,
        default_value_t = Mode::RetainLastValid,
        requires_if("fail_closed", "max_age")
    )]
    when_stale: Mode,
    /// CA that signed the gateways' certificates, PEM.
    #[arg(long, env = "OPENSHELL_TLS_CA", value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Client certificate chain, PEM, where gateways ask for one.
    #[arg(long, env = "OPENSHELL_TLS_CERT", value_name = "FILE", requires = "tls_ca", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate, PEM.
    #[arg(long, env = "OPENSHELL_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// error, warn, info, debug or trace, or a filter such as openshell_sync=debug.
    #[arg(long, env = "OPENSHELL_LOG_LEVEL", value_name = "LEVEL", default_value = "info")]
    pub(crate) log_level: String,
}

/// As [`WhenStale`] is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Mode {
    /// It stays in force, marked stale.
    RetainLastValid,
    /// It is taken out of force.
    FailClosed,
}

impl Arguments {
    /// What the library is told.
    pub(crate) fn options(&self) -> anyhow::Result<Options> {
        let endpoints = parse_endpoints(&self.gateway_endpoint).context("--gateway-endpoint")?;
        let token = TokenSource::File(self.token_file.clone());
        Ok(Options {
            tls: self.tls()?,
            zone: self.zone.clone(),
            max_age: self.max_age,
            when_stale: match self.when_stale {
                Mode::RetainLastValid => WhenStale::RetainLastValid,
                Mode::FailClosed => WhenStale::FailClosed,
            },
            ..Options::new(&self.sandbox_id, token, endpoints, self.state_dir.clone())
        })
    }

    fn tls(&self) -> anyhow::Result<Tls> {
        let read = |flag: &str, path: &Path| {
            std::fs::read(path).with_context(|| format!("reading --{flag} {}", path.display()))
        };
        let Some(ca) = &self.tls_ca else { return Ok(Tls::None) };
        let identity_pem = match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => Some((read("tls-cert", cert)?, read("tls-key", key)?)),
            _ => None,
        };
        Ok(Tls::Bundle { ca_pem: read("tls-ca", ca)?, identity_pem })
    }
}

/// A number and its unit: ms, s, m or h.
fn span(text: &str) -> Result<Duration, String> {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
    let ms = units.iter().find_map(|(unit, ms)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(*ms)
    });
    match ms {
        Some(ms @ 1..) => Ok(Duration::from_millis(ms)),
        Some(0) | None => Err("a span is a number above zero with its unit, such as 500ms, 90s, 10m or 2h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(more: &[&str]) -> anyhow::Result<Options> {
        let words = ["openshell-sync", "--sandbox-id", "x", "--token-file", "t", "--state-dir", "d"];
        let words =
            words.into_iter().chain(["--gateway-endpoint", "http://a:1,http://b:2"]).chain(more.iter().copied());
        Arguments::try_parse_from(words)?.options()
    }

    #[test]
    fn flags_become_options() {
        let options = arguments(&["--max-age", "10m", "--when-stale", "fail_closed", "--zone", "z"]).expect("good");
        assert_eq!((options.max_age, options.when_stale), (Some(Duration::from_secs(600)), WhenStale::FailClosed));
        assert_eq!((options.endpoints.len(), options.zone.as_deref()), (2, Some("z")));
        let options = arguments(&[]).expect("good");
        assert_eq!((options.max_age, options.when_stale), (None, WhenStale::RetainLastValid));
    }

    #[test]
    fn a_wrong_flag_is_explained() {
        let said = |more: &[&str]| format!("{:#}", arguments(more).expect_err("wrong"));
        assert!(said(&["--when-stale", "fail_closed"]).contains("--max-age <SPAN>"));
        assert!(said(&["--max-age", "10"]).contains("with its unit"));
        assert!(said(&["--max-age", "0s"]).contains("above zero"));
        assert!(said(&["--tls-cert", "c", "--tls-ca", "a"]).contains("--tls-key"));
    }

    #[test]
    fn spans_have_a_unit() {
        assert_eq!(span("1500ms"), Ok(Duration::from_millis(1500)));
        assert_eq!(span("2h"), Ok(Duration::from_secs(7200)));
        for wrong in ["", "s", "-1s", "1.5s", "18446744073709551615h", "1d"] {
            span(wrong).expect_err(wrong);
        }
    }
}
