//! Hosts and addresses that no sandbox may reach, whatever its policy says. Private networks are not among
//! them.

use std::net::IpAddr;

use super::{MergeError, Operation, Reason};

/// Names of the metadata service of a cloud.
const METADATA_HOSTS: [&str; 1] = ["metadata.google.internal"];

/// Addresses of loopback, link-local and unspecified, with the bits that are fixed. IPv4 stands in its
/// mapped form.
const BLOCKED: [(u128, u32); 6] = [
    (mapped([127, 0, 0, 0]), 96 + 8),
    (mapped([169, 254, 0, 0]), 96 + 16),
    (mapped([0, 0, 0, 0]), 128),
    (1, 128),
    (0, 128),
    (0xfe80 << 112, 10),
];

/// No operation allows what is always blocked: hosts of `add_rule` and `add_allow_rules`, and `allowed_ips` of
/// `add_rule`. Entries that are no addresses are for others to judge.
///
/// Errors: the first operation that does, with the field; all are `INVALID_ARGUMENT`. Source: config.md UC-42.
pub fn check(operations: &[Operation]) -> Result<(), MergeError> {
    for (index, operation) in operations.iter().enumerate() {
        one(operation).map_err(|reason| MergeError { operation: Some(index), reason })?;
    }
    Ok(())
}

fn one(operation: &Operation) -> Result<(), Reason> {
    match operation {
        Operation::AddRule { rule, .. } => {
            for (at, endpoint) in rule.endpoints.iter().enumerate() {
                let field = format!("add_rule.rule.endpoints[{at}]");
                host(&format!("{field}.host"), &endpoint.host)?;
                if let Some(index) = endpoint.allowed_ips.iter().position(|entry| overlaps_blocked(entry)) {
                    let entry = endpoint.allowed_ips[index].clone();
                    return Err(Reason::BlockedAddress { field: format!("{field}.allowed_ips[{index}]"), entry });
                }
            }
            Ok(())
        }
        Operation::AddAllowRules { host: named, .. } => host("add_allow_rules.host", named),
        Operation::RemoveEndpoint { .. }
        | Operation::RemoveRule { .. }
        | Operation::AddDenyRules { .. }
        | Operation::RemoveBinary { .. } => Ok(()),
    }
}

fn host(field: &str, host: &str) -> Result<(), Reason> {
    let name = host.trim().to_ascii_lowercase();
    let name = name.strip_suffix('.').unwrap_or(&name);
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    // A zone says which link an address is on, not which address it is.
    let address = bare.split_once('%').map_or(bare, |(address, _)| address);
    let literal = address.parse::<IpAddr>().is_ok_and(|address| is_blocked(number(address), 128));
    if literal || name == "localhost" || METADATA_HOSTS.contains(&name) {
        return Err(Reason::BlockedHost { field: field.to_owned(), host: host.to_owned() });
    }
    Ok(())
}

/// Whether an address or network has an address that is blocked.
fn overlaps_blocked(entry: &str) -> bool {
    let (address, length) = match entry.trim().split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (entry.trim(), None),
    };
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let bits = if address.is_ipv4() { 32 } else { 128 };
    match length.map_or(Ok(bits), str::parse::<u32>) {
        Ok(length) if length <= bits => is_blocked(number(address), 128 - bits + length),
        Ok(_) | Err(_) => false,
    }
}

/// Whether a network, given by its first `length` bits, overlaps a blocked one.
fn is_blocked(address: u128, length: u32) -> bool {
    BLOCKED.iter().any(|(blocked, fixed)| {
        // Two networks overlap when they agree in the bits that both of them fix.
        let common = length.min(*fixed);
        common == 0 || (address ^ blocked) >> (128 - common) == 0
    })
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => mapped(address.octets()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

const fn mapped(octets: [u8; 4]) -> u128 {
    0xffff << 32 | u32::from_be_bytes(octets) as u128
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocked(name: &str) -> bool {
        host("", name).is_err()
    }

    #[test]
    fn uc_42_loopback_link_local_unspecified_and_metadata_are_blocked_as_hosts() {
        for name in [
            "localhost",
            "LocalHost.",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "0.0.0.0",
            "::1",
            "[::1]",
            "::",
            "fe80::1",
            "FE80::1%eth0",
            "::ffff:127.0.0.1",
            "::ffff:169.254.0.1",
            "metadata.google.internal",
            "Metadata.Google.Internal.",
            " localhost ",
        ] {
            assert!(blocked(name), "{name}");
        }
        for name in
            ["10.0.0.1", "192.168.0.1", "::2", "fec0::1", "localhost.example", "*.internal", "", "128.0.0.1", "0.0.0.1"]
        {
            assert!(!blocked(name), "{name}");
        }
    }

    #[test]
    fn uc_42_allowed_ips_may_not_overlap_what_is_blocked() {
        for entry in [
            "127.0.0.0/8",
            "127.0.0.1",
            "126.0.0.0/7",
            "0.0.0.0/0",
            "169.254.0.0/16",
            "169.254.169.254/32",
            "::/0",
            "fe80::/10",
            "fe00::/8",
            "::1/128",
            "::ffff:127.0.0.0/104",
            "::ffff:0:0/96",
            "127.0.0.1/32",
            " 127.0.0.1 ",
            "0.0.0.0/32",
        ] {
            assert!(overlaps_blocked(entry), "{entry}");
        }
        for entry in
            ["10.0.0.0/8", "192.168.0.0/16", "fd00::/8", "1.2.3.4", "127.0.0.0/33", "127.0.0.0/x", "local", "", "/8"]
        {
            assert!(!overlaps_blocked(entry), "{entry}");
        }
    }
}
