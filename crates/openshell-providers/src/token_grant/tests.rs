//! Bindings, ties and dynamic credentials of small profiles.

use openshell_proto::v1::ProviderCredentialTokenGrant;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::selector::{hosts_overlap, paths_overlap, score};

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
    assert_eq!(&*ambiguity.first.credential, "access_token");
    assert_eq!(&*ambiguity.second.credential, "second");
}

#[test]
fn the_first_pair_in_list_order_is_reported() {
    let both = vec![endpoint("one.example.com", 443, ""), endpoint("two.example.com", 443, "")];
    let reversed = vec![endpoint("two.example.com", 443, ""), endpoint("one.example.com", 443, "")];
    let mut all = bindings("a", &profile(both, Vec::new()));
    all.extend(bindings("b", &profile(reversed, Vec::new())));
    let ambiguity = first_ambiguity(&all).expect("both hosts tie");
    assert_eq!(&*ambiguity.first.host, "one.example.com");
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
        Some(Ambiguity { first: first.clone(), second: second.clone(), compared: true })
    })
}

fn binding() -> impl Strategy<Value = GrantBinding> {
    let hosts = select(&["a.com", "b.com", "*.com", "c.*", "**.com"][..]);
    let paths = select(&["", "**", "/a", "/b", "/*", "/a/**", "/?", "/[ab", "/[ab]"][..]);
    (select(&["p", "q"][..]), select(&["c", "d"][..]), hosts, select(&[80_u32, 443][..]), paths).prop_map(
        |(provider, credential, host, port, path)| GrantBinding {
            provider: provider.into(),
            credential: credential.into(),
            host: host.into(),
            port,
            path: path.into(),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn grouping_finds_the_same_first_pair_as_comparing_all(bindings in vec(binding(), 0..8)) {
        prop_assert_eq!(first_ambiguity(&bindings), first_of_all_pairs(&bindings));
    }
}

/// So many places of provider `p`'s only credential.
fn many(provider: &str, count: usize, place: impl Fn(usize) -> (String, String)) -> Vec<GrantBinding> {
    let binding = |at| {
        let (host, path) = place(at);
        GrantBinding {
            provider: provider.into(),
            credential: "c".into(),
            host: host.into(),
            port: 443,
            path: path.into(),
        }
    };
    (0..count).map(binding).collect()
}

#[test]
fn thirty_two_providers_with_all_the_places_they_may_have_cost_no_more_than_looking_at_each() {
    let mut all = Vec::new();
    for provider in 0..32 {
        // Equal scores throughout: every place could tie with every other by its group.
        let place = |at: usize| (format!("h{provider:02}{at:05}.example.com"), format!("/{at:05}"));
        all.extend(many(&format!("p{provider}"), PLACES_MAX, place));
    }
    let mut budget = Budget::for_policy();
    assert_eq!(ties::first(&all, &mut budget), None);
    let per_place = budget.spent() / all.len() as u64;
    assert!(per_place <= 128, "{per_place} for each of {} places", all.len());
    // One host for all, told apart by literal paths, is no dearer.
    let one_host = |provider: usize| move |at: usize| ("a.example.com".to_owned(), format!("/{provider:02}/{at:05}"));
    let all: Vec<_> = (0..32).flat_map(|at| many(&format!("p{at}"), PLACES_MAX, one_host(at))).collect();
    let mut budget = Budget::for_policy();
    assert_eq!(ties::first(&all, &mut budget), None);
    assert!(budget.spent() / all.len() as u64 <= 128, "{}", budget.spent());
}

#[test]
fn wherever_the_budget_ends_two_different_places_are_named() {
    let starry = |provider: usize| move |at: usize| (format!("*.{provider}{at}.example.com"), String::new());
    let all: Vec<_> = (0..2).flat_map(|at| many(&format!("p{at}"), 2, starry(at))).collect();
    let mut not_compared = 0;
    for cells in 1..2_000 {
        if let Some(ambiguity) = ties::first(&all, &mut Budget::of(cells)) {
            assert_ne!(ambiguity.first, ambiguity.second, "{cells}");
            not_compared += usize::from(!ambiguity.compared);
        }
    }
    assert!(not_compared > 60, "{not_compared}");
}

#[test]
fn too_many_patterns_are_refused_as_not_compared_and_one_credential_is_never_compared_with_itself() {
    let starry = |provider: usize| move |at: usize| (format!("*.{provider:02}{at:05}.example.com"), String::new());
    let alone = many("p", PLACES_MAX, starry(0));
    let mut budget = Budget::for_policy();
    assert_eq!(ties::first(&alone, &mut budget), None);
    assert!(budget.spent() / alone.len() as u64 <= 128, "{}", budget.spent());
    let all: Vec<_> = (0..32).flat_map(|at| many(&format!("p{at}"), PLACES_MAX, starry(at))).collect();
    let mut budget = Budget::for_policy();
    let ambiguity = ties::first(&all, &mut budget).expect("they are not compared");
    assert!(!ambiguity.compared && budget.is_spent());
    let text = ambiguity.to_string();
    for part in ["dynamic token grants", "ambiguous", "too many patterns", "p0:c"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn pe_17_what_dynamic_credentials_take_is_counted_before_they_are_made() {
    use prost::Message;
    let overrides = (0..20).map(|at| choice("", 0, &format!("/v{at}"), &"a".repeat(at))).collect();
    let mut many = endpoint("api.example.com", 1, "/base");
    many.ports = (1..=50).collect();
    let mut profile = profile(vec![many, endpoint("*.example.com", 70_000, "")], overrides);
    profile.credentials[0].description = "d".repeat(300);
    let made = dynamic_credentials("acme", &profile);
    let entries = made.len();
    let answer =
        openshell_proto::v1::GetSandboxProviderEnvironmentResponse { dynamic_credentials: made, ..Default::default() };
    let (counted, encoded) = (dynamic_credentials_bytes("acme", &profile), answer.encoded_len());
    assert_eq!(entries, 51 * 21);
    assert!(counted >= encoded, "{counted} for {encoded}");
    assert!(counted <= encoded + entries * 96, "{counted} for {encoded}");
}
