//! Inputs that once took too much, or show a limit, each under a name and as large as one can be: a request has
//! 1 MiB at most, and so has what a file means.

use std::time::{Duration, Instant};

use openshell_fuzz::{TARGETS, Target};
use openshell_policy::yaml;
use openshell_proto::weight;
use openshell_providers::file;

use crate::check;

const MIB: usize = 1024 * 1024;
const HEAD: &str = "id: x\ndisplay_name: X\n";

fn target(name: &str) -> Target {
    *TARGETS.iter().find(|target| target.name == name).expect("a target")
}

/// What is said of a profile file.
fn said(text: &str) -> String {
    check(target("profile_file"), text.as_bytes());
    file::parse_yaml(text).map_or_else(|error| error.to_string(), |_| "it is read".to_owned())
}

#[test]
fn an_alias_does_not_repeat_half_a_mebibyte_thousands_of_times() {
    let aliases: String = (0..2000).map(|at| format!("  k{at}: *a\n")).collect();
    let text = format!("{HEAD}description: &a {}\nannotations:\n{aliases}", "a".repeat(MIB / 2));
    assert!(said(&text).contains("aliases"), "{}", said(&text));
    let paths = "  - *a\n".repeat(2000);
    let policy = format!(
        "version: 1\nprocess: {{run_as_user: &a {}}}\nfilesystem_policy:\n  read_only:\n{paths}",
        "a".repeat(MIB / 2)
    );
    check(target("policy_file"), policy.as_bytes());
    assert!(yaml::parse(&policy).unwrap_err().to_string().contains("aliases"));
}

/// Found by mutation: what had been let through was held four times over by who judged it.
#[test]
fn what_aliases_are_let_grow_to_is_judged_within_its_memory() {
    let mut times = 0;
    while times < 3000 {
        times += 250;
        let aliases = "  - *a\n".repeat(times);
        let text = "a".repeat(20_000);
        let policy =
            format!("version: 1\nprocess: {{run_as_user: &a {text}}}\nfilesystem_policy:\n  read_only:\n{aliases}");
        check(target("policy_file"), policy.as_bytes());
        check(target("profile_file"), format!("{HEAD}description: &a {text}\nbinaries:\n{aliases}").as_bytes());
    }
}

#[test]
fn an_alias_that_is_used_a_few_times_is_followed() {
    let text = format!("{HEAD}endpoints:\n- &a {{host: a.example.com, port: 443}}\n- *a\n");
    let profile = file::lower(file::parse_yaml(&text).unwrap()).unwrap();
    assert_eq!(profile.endpoints[0], profile.endpoints[1]);
}

#[test]
fn a_file_of_nothing_but_values_is_refused_by_their_number() {
    for text in [
        format!("{HEAD}binaries: [{}]", "a,".repeat(MIB / 2)),
        format!("{HEAD}binaries:\n{}", "- a\n".repeat(MIB / 4)),
        format!("{HEAD}endpoints: [{}]", "{host: a},".repeat(MIB / 10)),
    ] {
        assert!(said(&text).contains("values"), "{}", said(&text));
    }
    let json = format!("{{\"id\":\"x\",\"display_name\":\"X\",\"binaries\":[{}\"a\"]}}", "\"a\",".repeat(MIB / 4));
    check(target("profile_file"), json.as_bytes());
    assert!(file::parse_json(&json).unwrap_err().to_string().contains("values"));
}

#[test]
fn brackets_do_not_nest_without_end() {
    for piece in ["[", "{a: ", "- [", "[{? "] {
        let text = format!("{HEAD}x: {}", piece.repeat(MIB / piece.len()));
        check(target("profile_file"), text.as_bytes());
        assert!(file::parse_yaml(&text).is_err(), "{piece}");
    }
    // Closed in a text, and so not for the parser.
    said(&format!("{HEAD}x: {}", "[\"]\",".repeat(12_000)));
    said(&format!("{HEAD}x:\n{}a", "- ".repeat(30_000)));
}

#[test]
fn a_request_of_empty_messages_is_refused_before_it_is_decoded() {
    let empty = |bytes: &[u8]| bytes.repeat(MIB / bytes.len());
    let name = "openshell.v1.ImportProviderProfilesRequest";
    for bytes in [empty(b"\x0A\x00"), empty(b"\x0A\x02\x0A\x00"), empty(b"\x0A\x06\x0A\x04\x32\x00\x32\x00")] {
        check(target("import"), &bytes);
        assert!(weight::check(name, &bytes).is_err());
    }
    check(target("validator"), &empty(b"\x32\x00"));
    assert!(weight::check("openshell.v1.ProviderProfile", &empty(b"\x32\x00")).is_err());
    check(target("merge"), &empty(b"\x3A\x00"));
    assert!(weight::check("openshell.v1.UpdateConfigRequest", &empty(b"\x3A\x00")).is_err());
}

#[test]
fn what_the_largest_request_may_hold_is_judged_within_its_memory() {
    // As many empty items, profiles and endpoints as are let through.
    for (name, field, message) in [
        ("import", &b"\x0A\x00"[..], "openshell.v1.ImportProviderProfilesRequest"),
        ("import", &b"\x0A\x02\x0A\x00"[..], "openshell.v1.ImportProviderProfilesRequest"),
        ("validator", &b"\x32\x00"[..], "openshell.v1.ProviderProfile"),
        ("merge", &b"\x3A\x00"[..], "openshell.v1.UpdateConfigRequest"),
    ] {
        let (mut fits, mut refused) = (1, MIB / field.len());
        while refused - fits > 1 {
            let middle = usize::midpoint(fits, refused);
            let is_fit = weight::check(message, &field.repeat(middle)).is_ok();
            if is_fit { fits = middle } else { refused = middle }
        }
        check(target(name), &field.repeat(fits));
    }
}

#[test]
fn a_file_of_the_largest_size_is_read_in_bounded_time() {
    let start = Instant::now();
    let endpoint =
        "- {host: api.example.com, port: 443, protocol: rest, access: read-only, path: /a/long/path/of/it/**}\n";
    let text = format!("{HEAD}endpoints:\n{}", endpoint.repeat(MIB / endpoint.len()));
    assert_eq!(said(&text), "it is read");
    let rules = (0..).map(|at| {
        format!("  rule{at}:\n    endpoints: [{{host: host{at}.example.com, port: 443, protocol: rest, access: read-only}}]\n")
    });
    let mut policy = "version: 1\nnetwork_policies:\n".to_owned();
    policy.extend(rules.take(256 * 1024 / 100));
    check(target("policy_file"), policy.as_bytes());
    assert!(yaml::parse(&policy).is_ok());
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}
