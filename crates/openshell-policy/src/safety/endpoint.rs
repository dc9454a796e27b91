//! Hosts, ports and signing of one endpoint. What its protocol allows is in `l7`.

use std::net::IpAddr;

use openshell_proto::sandbox::NetworkEndpoint;

use super::Place;
use crate::host_pattern::HostPattern;
use crate::ports;

/// The longest DNS name and label, in bytes (RFC 1035, 2.3.4).
const DNS_NAME_BYTES_MAX: usize = 253;
const DNS_LABEL_BYTES_MAX: usize = 63;

/// Tells what is unsafe about host, ports and signing.
pub(super) fn check(endpoint: &NetworkEndpoint, place: &mut Place<'_>) {
    let tcp = endpoint.protocol.eq_ignore_ascii_case("tcp");
    let host = endpoint.host.as_str();
    if host.trim().is_empty() {
        // PM-21
        if tcp {
            place.tell("host", "is empty; protocol tcp needs a host name");
        } else if endpoint.allowed_ips.is_empty() {
            place.tell("host", "is empty; name a host or give allowed_ips");
        }
    } else {
        if tcp {
            tcp_host(host, place);
        }
        wildcards(host, place);
    }
    ports_in_range(endpoint, place);
    signing(endpoint, place);
}

/// PM-22: transparent TCP is steered by name resolution, so the host must be a name that resolves.
fn tcp_host(host: &str, place: &mut Place<'_>) {
    let bare = host.trim();
    let unbracketed = bare.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(bare);
    if unbracketed.parse::<IpAddr>().is_ok() {
        place.tell("host", format!("'{host}' is an IP literal; protocol tcp needs a DNS name"));
        return;
    }
    if bare != host {
        place.tell("host", format!("'{host}' has spaces around it; remove them"));
        return;
    }
    if host.ends_with('.') {
        place.tell("host", format!("'{host}' ends with a dot; remove it"));
        return;
    }
    match HostPattern::parse(host) {
        Err(why) => place.tell("host", why),
        Ok(_) if !is_dns_name(&host.replace('*', "x")) => {
            place.tell("host", format!("'{host}' is not a valid DNS name, as protocol tcp needs it"));
        }
        Ok(_) => {}
    }
}

fn is_dns_name(name: &str) -> bool {
    name.len() <= DNS_NAME_BYTES_MAX
        && name.split('.').all(|label| {
            (1..=DNS_LABEL_BYTES_MAX).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

/// PM-24 and PM-25.
fn wildcards(host: &str, place: &mut Place<'_>) {
    if !host.contains('*') {
        return;
    }
    if matches!(host, "*" | "**") {
        place.tell("host", format!("'{host}' matches every host; name a domain"));
        return;
    }
    let labels: Vec<&str> = host.split('.').collect();
    if matches!(labels[0], "*" | "**") && labels.len() < 3 {
        place.tell(
            "host",
            format!("'{host}' is a TLD wildcard; name at least a second-level domain, as in *.example.com"),
        );
    }
    for (index, label) in labels.iter().enumerate() {
        let wrong = if label.contains("**") {
            index > 0 || *label != "**"
        } else {
            index > 0 && label.contains('*') && *label != "*"
        };
        if wrong {
            place.tell(
                "host",
                format!(
                    "'{host}' has a wildcard where none is allowed: '**' only as the whole first label, a partial '*' \
                     only in the first label, elsewhere '*' only as a whole label"
                ),
            );
            return;
        }
    }
}

/// PM-23.
fn ports_in_range(endpoint: &NetworkEndpoint, place: &mut Place<'_>) {
    let ports = ports::effective(endpoint);
    place.tell_if(ports.is_empty(), "port", "is missing; give port or ports in 1..65535");
    for port in ports.iter().filter(|port| !(1..=ports::PORT_MAX).contains(*port)) {
        place.tell("ports", format!("{port} is outside 1..65535"));
    }
}

/// PM-26.
fn signing(endpoint: &NetworkEndpoint, place: &mut Place<'_>) {
    let signing = endpoint.credential_signing.as_str();
    if signing.is_empty() {
        return;
    }
    if !matches!(signing, "sigv4" | "sigv4:body" | "sigv4:no_body") {
        place.tell("credential_signing", format!("'{signing}' is unknown; use sigv4, sigv4:body or sigv4:no_body"));
    }
    place.tell_if(endpoint.signing_service.is_empty(), "signing_service", "is empty, but credential_signing needs it");
    place.tell_if(
        endpoint.request_body_credential_rewrite,
        "request_body_credential_rewrite",
        "cannot be used together with credential_signing",
    );
}
