//! Where a gateway is: parsing of endpoint URLs and of comma-separated lists of them. Names are
//! not resolved and nothing is connected here.

use std::fmt;

use http::Uri;

/// One gateway address: scheme, host and port. A path in the URL is ignored, as gRPC has its own
/// (`cli.md` 1.6).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndpointUrl {
    text: String,
    secure: bool,
    host: String,
    port: u16,
}

/// Why an endpoint could not be understood. Retrying does not help; the text must change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// The list names no endpoint, or one of its places is empty.
    #[error("endpoint list '{list}' has an empty entry: give URLs such as http://127.0.0.1:17670, separated by commas")]
    Empty {
        /// The list as given.
        list: String,
    },
    /// Not a URL with the scheme http or https and a host.
    #[error("'{url}' is an invalid URI for an endpoint: {problem}; write it as http://HOST:PORT or https://HOST:PORT")]
    Invalid {
        /// The entry as given.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl EndpointUrl {
    /// Parses one URL. The port defaults to that of the scheme.
    ///
    /// # Errors
    /// [`EndpointError::Invalid`] without a scheme of http or https, or without a host.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let invalid = |problem: &str| EndpointError::Invalid { url: text.to_owned(), problem: problem.to_owned() };
        let uri: Uri = text.parse().map_err(|error: http::uri::InvalidUri| invalid(&error.to_string()))?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(_) => return Err(invalid("the scheme is neither http nor https")),
            None => return Err(invalid("the scheme is missing")),
        };
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(invalid("the host is missing"));
        }
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Ok(Self { text: text.to_owned(), secure, host, port })
    }

    /// The URL as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the connection is TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Host name or address, an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port to connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `host:port` as it goes into `:authority`, an IPv6 address in brackets.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Whether the host is this machine by name or address: `localhost`, 127.0.0.0/8, `::1`.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost")
            || self.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// Parses a comma-separated list of URLs, keeping its order and dropping repetitions.
///
/// # Errors
/// [`EndpointError`] for an empty entry or one that is no endpoint.
pub fn parse_endpoints(list: &str) -> Result<Vec<EndpointUrl>, EndpointError> {
    let mut endpoints = Vec::new();
    for entry in list.split(',').map(str::trim) {
        if entry.is_empty() {
            return Err(EndpointError::Empty { list: list.to_owned() });
        }
        let endpoint = EndpointUrl::parse(entry)?;
        if !endpoints.contains(&endpoint) {
            endpoints.push(endpoint);
        }
    }
    Ok(endpoints)
}

#[cfg(test)]
mod tests {
    use super::{EndpointUrl, parse_endpoints};

    #[test]
    fn a_list_keeps_its_order_and_drops_repetitions() {
        let list = parse_endpoints("http://a:1, https://b ,http://a:1").expect("a good list");
        let texts: Vec<_> = list.iter().map(EndpointUrl::as_str).collect();
        assert_eq!(texts, ["http://a:1", "https://b"]);
        assert_eq!((list[1].port(), list[1].is_secure()), (443, true));
    }

    #[test]
    fn an_address_of_ip_version_six_loses_its_brackets_and_gets_them_back() {
        let endpoint = EndpointUrl::parse("http://[::1]:17670/path").expect("a good endpoint");
        assert_eq!((endpoint.host(), endpoint.authority().as_str()), ("::1", "[::1]:17670"));
        assert!(endpoint.is_loopback());
    }

    #[test]
    fn what_is_no_endpoint_says_what_is_missing() {
        for (text, words) in [
            ("", "empty entry"),
            ("http://a:1,", "empty entry"),
            ("host:17670", "scheme"),
            ("ftp://host:1", "neither http nor https"),
            ("http://", "invalid"),
        ] {
            let error = parse_endpoints(text).expect_err(text).to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
