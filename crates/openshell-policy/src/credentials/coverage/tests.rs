//! What covers what, against the definition word for word, and what it costs.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::language::CHARACTER_COST;

fn endpoint(host: &str, ports: &[u32], path: &str) -> NetworkEndpoint {
    NetworkEndpoint { host: host.to_owned(), ports: ports.to_vec(), path: path.to_owned(), ..Default::default() }
}

/// Whether endpoints cover one, and what it cost to find out.
fn asked(profile: &[NetworkEndpoint], endpoint: &NetworkEndpoint) -> (bool, u64) {
    let mut budget = Budget::for_policy();
    let covers = Coverage::of(profile).covers(endpoint, &mut budget);
    (covers, budget.spent())
}

#[test]
fn ec_34_a_profile_endpoint_covers_hosts_and_paths() {
    for (profile, policy, expected) in [
        ("S3.aws.com", "s3.AWS.com", true),
        ("*.aws.com", "s3.aws.com", true),
        ("*.aws.com", "*.aws.com", true),
        ("**.aws.com", "*.aws.com", false),
        ("s3.aws.com", "s4.aws.com", false),
        ("", "s3.aws.com", false),
    ] {
        let (covers, _) = asked(&[endpoint(profile, &[443], "")], &endpoint(policy, &[443], ""));
        assert_eq!(covers, expected, "{profile} {policy}");
    }
    for (profile, policy, expected) in
        [("", "/a", true), ("/**", "", true), ("/a/**", "/a/b", true), ("/a/**", "/a/*", false), ("/a", "/b", false)]
    {
        let (covers, _) = asked(&[endpoint("s3.x", &[443], profile)], &endpoint("s3.x", &[443], policy));
        assert_eq!(covers, expected, "{profile} {policy}");
    }
}

#[test]
fn ec_34_each_port_is_covered_by_some_endpoint() {
    let profile = [endpoint("s3.x", &[443, 80], "/a"), endpoint("*.x", &[8443], "/**")];
    assert!(asked(&profile, &endpoint("s3.x", &[443, 8443], "/a")).0);
    assert!(!asked(&profile, &endpoint("s3.x", &[443, 8443], "/b")).0);
    assert!(!asked(&profile, &endpoint("s3.x", &[443, 81], "/a")).0);
    assert!(asked(&profile, &endpoint("other", &[], "")).0);
    assert!(!asked(&[], &endpoint("s3.x", &[], "")).0);
}

/// The definition, word for word.
fn by_definition(profile: &[NetworkEndpoint], endpoint: &NetworkEndpoint) -> bool {
    let host = |candidate: &str| {
        candidate.eq_ignore_ascii_case(&endpoint.host)
            || !has_wildcard(&endpoint.host)
                && HostPattern::parse(candidate).is_ok_and(|pattern| pattern.matches(&endpoint.host))
    };
    let path = |candidate: &str| {
        candidate == endpoint.path
            || path_pattern::covers_all(candidate)
            || !has_wildcard(&endpoint.path) && path_pattern::matches(candidate, &endpoint.path)
    };
    !profile.is_empty()
        && ports::effective(endpoint).iter().all(|port| {
            profile.iter().any(|candidate| {
                ports::effective(candidate).contains(port) && host(&candidate.host) && path(&candidate.path)
            })
        })
}

fn any_endpoint() -> impl Strategy<Value = NetworkEndpoint> {
    let hosts = select(&["a.x", "A.x", "b.x", "*.x", "**.x", "**", "a[.x", "", "a..x"][..]);
    let paths = select(&["", "**", "/**", "/a", "/b", "/*", "/a/**", "/[ab]", "/a[", "/**/b"][..]);
    let ports = vec(select(&[80_u32, 443][..]), 0..3);
    (hosts, ports, paths).prop_map(|(host, ports, path)| endpoint(host, &ports, path))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ec_34_looking_up_finds_what_comparing_all_finds(profile in vec(any_endpoint(), 0..5), one in any_endpoint()) {
        prop_assert_eq!(asked(&profile, &one).0, by_definition(&profile, &one));
    }
}

#[test]
fn many_endpoints_cost_no_more_than_each_alone() {
    let hosts = |at: usize| format!("h{at}.example.com");
    let profile: Vec<_> = (0..20_000).map(|at| endpoint(&hosts(at), &[443], &format!("/p{at}"))).collect();
    let coverage = Coverage::of(&profile);
    let mut budget = Budget::for_policy();
    for at in 0..20_000 {
        assert!(coverage.covers(&endpoint(&hosts(at), &[443], &format!("/p{at}")), &mut budget));
    }
    assert!(budget.spent() <= 20 * 20_000, "{}", budget.spent());
}

#[test]
fn many_patterns_end_with_the_budget_and_cover_nothing_more() {
    let profile: Vec<_> = (0..20_000).map(|at| endpoint(&format!("*.h{at}.example.com"), &[443], "")).collect();
    let coverage = Coverage::of(&profile);
    let mut budget = Budget::for_policy();
    let one = |at: usize| endpoint(&format!("a.h{at}.example.com"), &[443], "");
    let covered = (0..20_000).take_while(|at| coverage.covers(&one(19_999 - at), &mut budget)).count();
    assert!((1..20_000).contains(&covered), "{covered}");
    assert!(budget.is_spent());
    assert!(!coverage.covers(&one(0), &mut budget), "what was not compared is not covered");
}

#[test]
fn a_host_is_read_once_however_many_patterns_it_is_tried_with() {
    let profile: Vec<_> = (0..1000).map(|at| endpoint(&format!("*.h{at}.x"), &[443], "")).collect();
    let host = format!("a.{}.x", "b".repeat(60));
    let (covers, spent) = asked(&profile, &endpoint(&host, &[443], ""));
    assert!(!covers);
    let read_for_each = (1000 * CHARACTER_COST * host.len()) as u64;
    assert!(spent < read_for_each / 2, "{spent} of {read_for_each}");
}
