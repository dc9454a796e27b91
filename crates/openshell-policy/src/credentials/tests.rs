//! Claims about bindings, marks, the uninspected gate and signing.

use openshell_proto::sandbox::{NetworkCredentialBinding, NetworkPolicyRule};

use super::*;

fn policy(endpoints: Vec<NetworkEndpoint>) -> SandboxPolicy {
    let rule = NetworkPolicyRule { name: "shown".to_owned(), endpoints, ..Default::default() };
    SandboxPolicy { network_policies: [("r".to_owned(), rule)].into(), ..Default::default() }
}

fn endpoint(host: &str, ports: &[u32]) -> NetworkEndpoint {
    NetworkEndpoint { host: host.to_owned(), ports: ports.to_vec(), ..Default::default() }
}

fn bound(host: &str, ports: &[u32], provider: &str) -> NetworkEndpoint {
    let binding = NetworkCredentialBinding { provider: provider.to_owned() };
    NetworkEndpoint { credential_binding: Some(binding), ..endpoint(host, ports) }
}

fn marks(endpoints: Vec<NetworkEndpoint>, scopes: &[(&str, &[u32])]) -> Vec<bool> {
    let scopes: Vec<Scope> =
        scopes.iter().map(|(host, ports)| Scope { host: (*host).to_owned(), ports: ports.to_vec() }).collect();
    let mut policy = policy(endpoints);
    stamp(&mut policy, &scopes);
    policy.network_policies["r"].endpoints.iter().map(|endpoint| endpoint.provider_credentialed).collect()
}

#[test]
fn ec_30_bindings_are_sorted_and_without_duplicates() {
    let found = bindings(&policy(vec![
        bound("B.x", &[2, 1], "p"),
        bound("B.x", &[1], "p"),
        bound("a.x", &[9], "p"),
        bound("c.x", &[3], "o"),
        endpoint("d.x", &[4]),
    ]))
    .unwrap();
    let seen: Vec<_> = found["p"].iter().map(|at| (&*at.host, at.port)).collect();
    assert_eq!(seen, [("B.x", 1), ("B.x", 2), ("a.x", 9)]);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["o", "p"]);
}

#[test]
fn ec_30_a_binding_must_be_complete() {
    for (wrong, word) in [
        (bound("a.x", &[1], " "), "provider"),
        (bound("a.x", &[1], " p"), "spaces"),
        (bound(" ", &[1], "p"), "host"),
        (bound("a.x", &[], "p"), "port"),
        (bound("a.x", &[1, 0], "p"), "port"),
        (bound("a.x", &[70_000], "p"), "port"),
    ] {
        let error = bindings(&policy(vec![wrong])).unwrap_err();
        assert!(error.contains(word) && error.starts_with("network_policies.r.endpoints[0]"), "{error}");
    }
}

#[test]
fn ec_32_stamping_marks_what_a_scope_overlaps() {
    let hosts = |hosts: &[&str]| hosts.iter().map(|host| endpoint(host, &[443])).collect::<Vec<_>>();
    assert_eq!(
        marks(hosts(&["API.github.com", "*.github.com", "github.com", "", "a..b"]), &[("api.GitHub.com", &[443])]),
        [true, true, false, false, false]
    );
    assert_eq!(marks(hosts(&["a.x"]), &[("", &[443]), ("a[.x", &[443])]), [false]);
    assert_eq!(marks(hosts(&["a.x"]), &[("a.x", &[80])]), [false]);
    assert_eq!(marks(hosts(&["a.x"]), &[("a.x", &[])]), [true]);
    assert_eq!(marks(vec![endpoint("a.x", &[])], &[("a.x", &[80])]), [true]);
}

#[test]
fn ec_8_a_mark_from_outside_does_not_stay() {
    let sent = NetworkEndpoint { provider_credentialed: true, ..endpoint("a.x", &[443]) };
    assert_eq!(marks(vec![sent.clone()], &[]), [false]);
    let mut policy = policy(vec![sent]);
    clear_markers(&mut policy);
    assert!(!policy.network_policies["r"].endpoints[0].provider_credentialed);
}

#[test]
fn ec_40_credentials_must_be_inspected_or_allowed() {
    let at = |protocol: &str, tls: &str, marked, allowed| NetworkEndpoint {
        protocol: protocol.to_owned(),
        tls: tls.to_owned(),
        provider_credentialed: marked,
        allow_uninspected_credentials: allowed,
        ..endpoint("a.x", &[443])
    };
    let found = uninspected(&policy(vec![
        at(" ", "", true, false),
        at("rest", " SKIP ", true, false),
        at("rest", "", true, false),
        at("tcp", "", true, false),
        at("", "", true, true),
        at("", "", false, false),
    ]));
    let seen: Vec<_> = found.iter().map(|one| (one.endpoint, one.reason)).collect();
    assert_eq!(seen, [(0, UninspectedReason::L4Only), (1, UninspectedReason::TlsSkipped)]);
    assert!(found[0].to_string().contains("'shown' endpoint 0 (a.x:443)"), "{}", found[0]);
}

#[test]
fn ec_34_signing_endpoints_are_found_in_order() {
    let signed = NetworkEndpoint { credential_signing: "sigv4".to_owned(), ..endpoint("s3.x", &[443]) };
    let policy = policy(vec![endpoint("a.x", &[1]), signed]);
    let seen: Vec<_> = signing_endpoints(&policy).map(|at| (at.rule, at.index, at.endpoint.host.as_str())).collect();
    assert_eq!(seen, [("shown", 1, "s3.x")]);
}
