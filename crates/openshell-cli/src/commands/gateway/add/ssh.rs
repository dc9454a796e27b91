//! Endpoints written as an ssh destination: `ssh://[user@]host:port`. What the host is really called is ssh's
//! own knowledge, and asked of `ssh -G`, which connects to nothing.

use std::process::Command;

use crate::failure::Failure;

const SCHEME: &str = "ssh://";

/// A gateway on a host that ssh knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Destination {
    /// As ssh takes it: `[user@]host`.
    pub(super) remote: String,
    host: String,
    port: u16,
}

/// The destination, when the endpoint is one.
///
/// Errors: the port is missing, or a part is no such thing.
pub(super) fn parse(endpoint: &str) -> Result<Option<Destination>, Failure> {
    let Some(rest) = endpoint.trim().strip_prefix(SCHEME) else { return Ok(None) };
    let wrong = |why: &str| Failure::new(format!("endpoint '{endpoint}' must read ssh://[user@]host:port: {why}"));
    let rest = rest.trim_end_matches('/');
    let (remote, port) = rest.rsplit_once(':').ok_or_else(|| wrong("the port is missing"))?;
    let port = match port.parse::<u16>() {
        Ok(port @ 1..) => port,
        Ok(0) | Err(_) => return Err(wrong(&format!("'{port}' is not a port"))),
    };
    let host = remote.rsplit_once('@').map_or(remote, |(_, host)| host);
    // What begins with a dash would be a flag of ssh.
    let is_odd = |text: &str| text.is_empty() || text.starts_with('-') || text.contains(char::is_whitespace);
    if is_odd(host) || is_odd(remote) || host.contains('/') {
        return Err(wrong(&format!("'{host}' is not a host")));
    }
    Ok(Some(Destination { remote: remote.to_owned(), host: host.to_owned(), port }))
}

impl Destination {
    /// The name or address behind the host, as ssh is configured.
    pub(super) fn resolve(&self) -> Result<String, Failure> {
        let failed = || Failure::new(format!("ssh could not say what host '{}' is", self.host));
        let output = Command::new("ssh").args(["-G", "--", &self.host]).output();
        let output = output.map_err(|error| failed().because(&error))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(Failure { causes: vec![format!("ssh -G: {}: {said}", output.status)], ..failed() });
        }
        hostname(&String::from_utf8_lossy(&output.stdout)).ok_or_else(failed)
    }

    /// The URL under a resolved name.
    pub(super) fn url(&self, resolved: &str) -> String {
        match resolved.contains(':') {
            true => format!("https://[{resolved}]:{}", self.port),
            false => format!("https://{resolved}:{}", self.port),
        }
    }
}

/// The line `hostname NAME` among what `ssh -G` prints.
fn hostname(text: &str) -> Option<String> {
    let names = text.lines().filter_map(|line| line.strip_prefix("hostname "));
    names.map(|name| name.trim().to_owned()).find(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{hostname, parse};

    #[test]
    fn a_destination_has_a_host_and_a_port_and_may_have_a_user() {
        let destination = parse("ssh://me@box:8443").expect("good").expect("one of ssh");
        assert_eq!(destination.remote, "me@box");
        assert_eq!(destination.url("10.0.0.7"), "https://10.0.0.7:8443");
        assert_eq!(destination.url("fd00::7"), "https://[fd00::7]:8443");
        assert_eq!(parse("https://box:1"), Ok(None));
        for text in
            ["ssh://box", "ssh://box:0", "ssh://box:x", "ssh://:1", "ssh://me@:1", "ssh://-oProxy=x:1", "ssh://a b:1"]
        {
            assert!(parse(text).expect_err(text).message.contains("ssh://[user@]host:port"), "{text}");
        }
    }

    #[test]
    fn the_name_is_on_a_line_of_its_own() {
        assert_eq!(hostname("user me\nhostname box.example\nport 22\n").as_deref(), Some("box.example"));
        assert_eq!(hostname("hostnamex y\nport 22\n"), None);
    }
}
