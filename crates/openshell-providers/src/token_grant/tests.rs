//! Bindings, ties and dynamic credentials of small profiles.

use openshell_proto::v1::ProviderCredentialTokenGrant;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

fn endpoint(host: &str, port: u32, path: &str) -> NetworkEndpoint {
    NetworkEndpoint { host: host.to_owned(), port, path: path.to_owned(), ..Default::default() }
}

fn choice(host: &str, port: u32, path: &str, audience: &str) -> AudienceOverride {
    AudienceOverride {
        host: host.to_owned(),
        port,
        path: path.to_owned(),
        audience: audience.to_owned(),
        scopes: Vec::new(),
    }
}

fn profile(endpoints: Vec<NetworkEndpoint>, overrides: Vec<AudienceOverride>) -> ProviderProfile {
    let grant = ProviderCredentialTokenGrant {
        token_endpoint: "https://auth.example.com/token".to_owned(),
        audience: "default".to_owned(),
        scopes: vec!["read".to_owned()],
        audience_overrides: overrides,
        ..Default::default()
    };
    let credential =
        ProviderProfileCredential { name: "access_token".to_owned(), token_grant: Some(grant), ..Default::default() };
    ProviderProfile { credentials: vec![credential], endpoints, ..Default::default() }
}

/// The places of provider `a`, as `host:port path`.
fn places(profile: &ProviderProfile) -> Vec<String> {
    let bindings = bindings("a", profile);
    bindings.iter().map(|binding| format!("{}:{} {}", binding.host, binding.port, binding.path)).collect()
}

/// Whether providers `a` and `b`, each with one endpoint on port 443, tie.
fn tie(left: (&str, &str), right: (&str, &str)) -> bool {
    let mut all = bindings("a", &profile(vec![endpoint(left.0, 443, left.1)], Vec::new()));
    all.extend(bindings("b", &profile(vec![endpoint(right.0, 443, right.1)], Vec::new())));
    first_ambiguity(&all).is_some()
}

#[test]
fn each_port_of_each_endpoint_is_bound() {
    let mut many = endpoint("API.example.com", 1, "/V1");
    many.ports = vec![443, 0, 8443];
    let profile = profile(vec![many, endpoint("b.example.com", 80, ""), endpoint("c.example.com", 0, "")], Vec::new());
    assert_eq!(places(&profile), ["api.example.com:443 /V1", "api.example.com:8443 /V1", "b.example.com:80 "]);
}

#[test]
fn overrides_follow_the_default_and_inherit_what_they_leave_out() {
    let overrides = vec![
        choice("", 0, "/v1", "one"),
        choice("api.example.com", 443, "", "two"),
        choice("other.example.com", 0, "", "three"),
        choice("", 80, "", "four"),
    ];
    let profile = profile(vec![endpoint("*.example.com", 443, "/base")], overrides);
    assert_eq!(
        places(&profile),
        [
            "*.example.com:443 /base",
            "*.example.com:443 /v1",
            "api.example.com:443 /base",
            "other.example.com:443 /base"
        ]
    );
}

#[test]
fn exact_duplicates_are_bound_once() {
    let profile = profile(vec![endpoint("a.example.com", 443, ""); 2], vec![choice("", 0, "", "x")]);
    assert_eq!(places(&profile), ["a.example.com:443 "]);
}

#[test]
fn a_profile_without_endpoints_or_without_grants_binds_nothing() {
    assert_eq!(places(&profile(Vec::new(), Vec::new())), Vec::<String>::new());
    let mut static_only = profile(vec![endpoint("a.example.com", 443, "")], Vec::new());
    static_only.credentials[0].token_grant = None;
    assert_eq!(places(&static_only), Vec::<String>::new());
}

#[test]
fn the_examples_of_the_specification_hold() {
    assert!(tie(("api.example.com", "/v1/**"), ("api.example.com", "/v1/**")));
    assert!(!tie(("api.example.com", "/v1/**"), ("api.example.com", "/v1/admin/**")));
    assert!(!tie(("api.example.com", "/v1/**"), ("api.example.com", "/v2/**")));
    assert!(!tie(("api.example.com", ""), ("api.example.com", "/**")));
    assert!(!tie(("*.example.com", ""), ("api.example.com", "")));
    assert!(tie(("*.example.com", ""), ("*.example.com", "")));
    assert!(!tie(("a*.example.com", ""), ("b*.example.com", "")));
    assert!(tie(("API.example.com", ""), ("api.example.com", "**")));
}

#[test]
fn different_ports_never_tie() {
    let mut all = bindings("a", &profile(vec![endpoint("api.example.com", 443, "")], Vec::new()));
    all.extend(bindings("b", &profile(vec![endpoint("api.example.com", 8443, "")], Vec::new())));
    assert_eq!(first_ambiguity(&all), None);
}

#[test]
fn two_credentials_of_one_provider_tie_and_one_never_ties_with_itself() {
    let mut twice = profile(
        vec![endpoint("*.example.com", 443, "")],
        vec![choice("*.example.com", 0, "", "x"), choice("", 0, "", "y")],
    );
    assert_eq!(first_ambiguity(&bindings("a", &twice)), None);
    let mut second = twice.credentials[0].clone();
    second.name = "second".to_owned();
    twice.credentials.push(second);
    let ambiguity = first_ambiguity(&bindings("a", &twice)).expect("two credentials share every place");
    assert_eq!(ambiguity.first.credential, "access_token");
    assert_eq!(ambiguity.second.credential, "second");
}

#[test]
fn the_first_pair_in_list_order_is_reported() {
    let both = vec![endpoint("one.example.com", 443, ""), endpoint("two.example.com", 443, "")];
    let reversed = vec![endpoint("two.example.com", 443, ""), endpoint("one.example.com", 443, "")];
    let mut all = bindings("a", &profile(both, Vec::new()));
    all.extend(bindings("b", &profile(reversed, Vec::new())));
    let ambiguity = first_ambiguity(&all).expect("both hosts tie");
    assert_eq!(ambiguity.first.host, "one.example.com");
    let text = ambiguity.to_string();
    for part in ["dynamic token grants", "ambiguous", "a:access_token", "b:access_token", "one.example.com:443"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn pe_17_an_override_that_names_the_default_place_replaces_its_audience() {
    let profile = profile(
        vec![endpoint("API.example.com", 443, "/v1")],
        vec![choice("", 0, "", "override"), choice("", 0, "/v2", "")],
    );
    let found = dynamic_credentials("acme", &profile);
    let keys: Vec<_> = found.keys().map(String::as_str).collect();
    assert_eq!(keys, ["api.example.com\t443\t/v1\tacme:access_token", "api.example.com\t443\t/v2\tacme:access_token"]);
    let grants: Vec<_> = found.values().filter_map(|credential| credential.token_grant.as_ref()).collect();
    assert_eq!(grants[0].audience, "override");
    assert_eq!(grants[1].audience, "default");
    assert!(grants.iter().all(|grant| grant.audience_overrides.is_empty() && grant.scopes == ["read"]));
}

/// The definition, word for word: the first of all pairs in list order.
fn first_of_all_pairs(bindings: &[GrantBinding]) -> Option<Ambiguity> {
    bindings.iter().enumerate().find_map(|(index, first)| {
        let second = bindings[index + 1..].iter().find(|second| {
            first.owner() != second.owner()
                && first.port == second.port
                && score(&first.host, &first.path) == score(&second.host, &second.path)
                && hosts_overlap(&first.host, &second.host)
                && paths_overlap(&first.path, &second.path)
        })?;
        Some(Ambiguity { first: first.clone(), second: second.clone() })
    })
}

fn binding() -> impl Strategy<Value = GrantBinding> {
    let hosts = select(&["a.com", "b.com", "*.com", "c.*", "**.com"][..]);
    let paths = select(&["", "**", "/a", "/b", "/*", "/a/**"][..]);
    (select(&["p", "q"][..]), select(&["c", "d"][..]), hosts, select(&[80_u32, 443][..]), paths).prop_map(
        |(provider, credential, host, port, path)| GrantBinding {
            provider: provider.to_owned(),
            credential: credential.to_owned(),
            host: host.to_owned(),
            port,
            path: path.to_owned(),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn grouping_finds_the_same_first_pair_as_comparing_all(bindings in vec(binding(), 0..6)) {
        prop_assert_eq!(first_ambiguity(&bindings), first_of_all_pairs(&bindings));
    }
}
