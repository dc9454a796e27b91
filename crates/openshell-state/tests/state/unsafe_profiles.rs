//! Profiles that validation lets pass and that would take a whole configuration with them: by a rule that is
//! unsafe to run (`config.md` EC-10), or by signing that nobody has keys for (EC-18). What is accepted never
//! leaves a sandbox without an answer.

use openshell_proto::log::Kind;
use openshell_proto::sandbox::{NetworkCredentialBinding, NetworkEndpoint};
use openshell_proto::v1::ProviderProfile;
use openshell_state::{Code, Outcome, effective};
use proptest::prelude::Strategy;
use proptest::test_runner::Config;
use proptest::{prop_assert_eq, prop_oneof, proptest};

use crate::invalid_profiles::{furnished, left_out, listed_invalid, new_leader, older_rules, store, tool};
use crate::laws::{self, Operation};
use crate::support::{
    World, attach, credential, detach, endpoint, fields, global_setting, import, imported, minimal, policy, policy_of,
    provider, sandbox, says, signing, static_profile, texts, update, update_policy,
};

const AWS: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];

/// `tool`, for one endpoint that is unsafe by what is said first.
fn unsafe_tools() -> [(&'static str, ProviderProfile); 5] {
    let plain = || endpoint("tool.example.com", 443);
    let sql = NetworkEndpoint { protocol: "sql".to_owned(), enforcement: "enforce".to_owned(), ..plain() };
    let literal = NetworkEndpoint { protocol: "tcp".to_owned(), access: String::new(), ..endpoint("10.0.0.1", 22) };
    [
        ("endpoints[0].host", endpoint("*.com", 443)),
        ("endpoints[0].path", NetworkEndpoint { path: "v1".to_owned(), ..plain() }),
        ("endpoints[0].persisted_queries", NetworkEndpoint { persisted_queries: "maybe".to_owned(), ..plain() }),
        ("endpoints[0].enforcement", sql),
        ("endpoints[0].host", literal),
    ]
    .map(|(field, endpoint)| (field, ProviderProfile { endpoints: vec![endpoint], ..tool() }))
}

fn with_keys(profile: ProviderProfile) -> ProviderProfile {
    ProviderProfile { credentials: AWS.map(|variable| credential(variable, variable)).to_vec(), ..profile }
}

/// A profile whose endpoint signs, and which declares no keys.
fn signer(id: &str, host: &str) -> ProviderProfile {
    ProviderProfile { endpoints: vec![signing(host)], ..minimal(id) }
}

#[test]
fn an_unsafe_profile_is_imported_listed_as_invalid_and_left_out() {
    for (field, profile) in unsafe_tools() {
        let mut world = World::composing();
        let answer = world.ok(&import("default", std::slice::from_ref(&profile)));
        assert!(answer.imported && answer.diagnostics.is_empty(), "{}", texts(&answer.diagnostics));
        says(&answer.profiles[0].invalid_reason, &[field]);
        let [(_, id, reason)] = &listed_invalid(&world, "default")[..] else { panic!("one is not valid") };
        assert_eq!((id.as_str(), reason), ("tool", &answer.profiles[0].invalid_reason));
        world.ok(&provider("p", "tool", &["TOOL_KEY"]));
        world.ok(&sandbox("s", &["p"], Some(policy("elsewhere.example.com"))));
        world.ok(&sandbox("t", &[], Some(policy("elsewhere.example.com"))));
        world.ok(&attach("t", "p"));
        assert_eq!((world.rules("s"), world.rules("t")), (vec!["r1".to_owned()], vec!["r1".to_owned()]));
        assert_eq!(&left_out(&world, "t")[0].reason, reason);
        assert!(world.ok(&update("default", 1, tool())).updated);
        assert_eq!(world.rules("s"), ["_provider_p", "r1"]);
    }
}

#[test]
fn an_update_that_would_leave_a_used_profile_out_is_a_diagnostic_and_changes_nothing() {
    for composing in [true, false] {
        let mut world = furnished();
        world.ok(&global_setting("providers_v2_enabled", composing));
        let before = world.effective("s");
        for (field, profile) in unsafe_tools() {
            let answer = world.ok(&update("default", 1, profile));
            assert!(!answer.updated);
            assert_eq!(fields(&answer.diagnostics), ["endpoints"]);
            says(&texts(&answer.diagnostics), &["\"s\"", "leave the profile out", field]);
        }
        assert_eq!(world.effective("s"), before);
        world.ok(&detach("s", "p"));
        let [(_, unused), ..] = unsafe_tools();
        assert!(world.ok(&update("default", 1, unused)).updated, "nobody loses anything");
        assert_eq!(listed_invalid(&world, "default").len(), 1);
    }
}

#[test]
fn an_import_that_would_hide_a_used_profile_by_an_unsafe_one_is_a_diagnostic() {
    let mut world = World::composing();
    imported(&mut world, "", tool());
    let mut in_workspace = provider("p", "tool", &["TOOL_KEY"]);
    in_workspace.provider.as_mut().expect("a provider").profile_workspace = "default".to_owned();
    world.ok(&in_workspace);
    world.ok(&sandbox("s", &["p"], Some(policy("elsewhere.example.com"))));
    let [(_, profile), ..] = unsafe_tools();
    let answer = world.ok(&import("default", &[profile]));
    assert!(!answer.imported);
    let errors: Vec<_> = answer.diagnostics.into_iter().filter(|one| one.severity == "error").collect();
    assert_eq!(fields(&errors), ["endpoints"]);
    says(&texts(&errors), &["import", "\"s\"", "endpoints[0].host"]);
    assert_eq!(world.rules("s"), ["_provider_p", "r1"]);
}

#[test]
fn an_update_that_takes_what_a_sandbox_signs_with_is_a_diagnostic() {
    let mut world = World::composing();
    imported(&mut world, "default", with_keys(signer("signer", "s3.example.com")));
    world.ok(&provider("a", "signer", &AWS));
    world.ok(&sandbox("layer", &["a"], None));
    let answer = world.ok(&update("default", 1, signer("signer", "s3.example.com")));
    assert!(!answer.updated && fields(&answer.diagnostics) == ["endpoints"]);
    says(&texts(&answer.diagnostics), &["\"layer\"", "without a configuration", "AWS_ACCESS_KEY_ID"]);
    // The sandbox's own policy signs, composed or not.
    world.ok(&global_setting("providers_v2_enabled", false));
    world.ok(&sandbox("own", &["a"], Some(policy_of("r1", signing("s3.example.com")))));
    let answer = world.ok(&update("default", 1, with_keys(static_profile("signer", "other.example.com"))));
    assert!(!answer.updated);
    says(&texts(&answer.diagnostics), &["\"own\"", "network_policies.r1.endpoints[0]"]);
    assert!(world.ok(&update("default", 1, with_keys(signer("signer", "*.example.com")))).updated);
    assert!(world.try_effective("own").is_ok() && world.try_effective("layer").is_ok());
}

#[test]
fn a_profile_is_not_blamed_for_what_a_sandbox_lacks_already() {
    let mut world = World::composing();
    imported(&mut world, "default", with_keys(signer("signer", "s3.example.com")));
    imported(&mut world, "default", static_profile("other", "other.example.com"));
    world.ok(&provider("a", "signer", &AWS));
    world.ok(&provider("q", "other", &["OTHER_KEY"]));
    world.ok(&sandbox("s", &["a", "q"], Some(policy("elsewhere.example.com"))));
    store(&mut world, "default", signer("signer", "s3.example.com"));
    says(&world.try_effective("s").expect_err("nobody has keys").message, &["AWS_ACCESS_KEY_ID"]);
    assert!(world.ok(&update("default", 1, static_profile("other", "new.example.com"))).updated);
    assert!(world.ok(&update("default", 1, with_keys(signer("signer", "s3.example.com")))).updated);
    assert!(world.try_effective("s").is_ok());
}

#[test]
fn uc_14_composition_is_not_switched_on_where_a_sandbox_would_lose_its_configuration() {
    let mut world = World::new();
    imported(&mut world, "default", signer("signer", "s3.example.com"));
    world.ok(&provider("a", "signer", &["KEY"]));
    world.ok(&sandbox("s", &["a"], Some(policy("elsewhere.example.com"))));
    let refused = world.refused(Code::FailedPrecondition, &global_setting("providers_v2_enabled", true));
    says(&refused, &["default/s", "would not compose", "AWS_ACCESS_KEY_ID"]);
    assert_eq!(world.rules("s"), ["r1"]);
    // An unsafe one is left out, and in nobody's way.
    world.ok(&detach("s", "a"));
    let [(_, profile), ..] = unsafe_tools();
    imported(&mut world, "default", profile);
    world.ok(&provider("p", "tool", &["TOOL_KEY"]));
    world.ok(&attach("s", "p"));
    world.ok(&global_setting("providers_v2_enabled", true));
    assert_eq!(world.rules("s"), ["r1"]);
}

#[test]
fn what_older_rules_let_pass_meets_no_further_sandbox_until_it_is_judged_and_is_left_out_then() {
    let mut world = furnished();
    let [(field, profile), ..] = unsafe_tools();
    store(&mut world, "default", profile);
    older_rules(&mut world);
    says(&world.try_effective("s").expect_err("it is unsafe").message, &["invalid effective policy"]);
    says(&world.refused(Code::FailedPrecondition, &attach("bystander", "p")), &["invalid effective policy"]);
    says(&world.refused(Code::FailedPrecondition, &sandbox("new", &["p"], None)), &["invalid effective policy"]);
    world.ok(&global_setting("providers_v2_enabled", false));
    let refused = world.refused(Code::FailedPrecondition, &global_setting("providers_v2_enabled", true));
    says(&refused, &["default/s", "invalid effective policy"]);
    new_leader(&mut world);
    world.ok(&global_setting("providers_v2_enabled", true));
    assert_eq!(world.rules("s"), ["_provider_q", "r1"]);
    says(&left_out(&world, "s")[0].reason, &[field]);
    world.ok(&attach("bystander", "p"));
}

/// A step that may make a sandbox unanswerable.
#[derive(Clone, Debug)]
enum Step {
    Call(Operation),
    /// Imported, or an update of what is there.
    Profile {
        profile: u8,
        kind: u8,
    },
    Policy {
        sandbox: u8,
        kind: u8,
    },
}

fn kind_of(id: &str, kind: u8) -> ProviderProfile {
    match kind {
        0 => static_profile(id, "*.com"),
        1 => signer(id, "s3.example.com"),
        2 => with_keys(signer(id, "s3.example.com")),
        3 => with_keys(minimal(id)),
        _ => with_keys(static_profile(id, "*.example.com")),
    }
}

impl Step {
    fn attempt(&self, world: &mut World) {
        let decision = match self {
            Step::Call(operation) => return operation.attempt(world),
            Step::Profile { profile, kind } => {
                let profile = kind_of(&format!("tool-{profile}"), *kind);
                let stored = world.state.profile("default", &profile.id);
                let version = stored.and_then(|stored| Some(stored.value.metadata.as_ref()?.resource_version));
                match version {
                    None => world.decide(&import("default", &[profile])),
                    Some(version) => world.decide(&update("default", version, profile)),
                }
            }
            Step::Policy { sandbox, kind } => {
                let provider = format!("p{}", kind % 2);
                let binding = (*kind >= 2).then_some(NetworkCredentialBinding { provider });
                let signed = NetworkEndpoint { credential_binding: binding, ..signing("s3.example.com") };
                world.decide(&update_policy(&format!("s{sandbox}"), policy_of("r1", signed)))
            }
        };
        if let openshell_state::Decision::Transact(draft) = decision {
            assert_eq!(world.commit(draft).outcome, Outcome::Installed);
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => laws::operation().prop_map(Step::Call),
        2 => (0..3_u8, 0..5_u8).prop_map(|(profile, kind)| Step::Profile { profile, kind }),
        1 => (0..2_u8, 0..4_u8).prop_map(|(sandbox, kind)| Step::Policy { sandbox, kind }),
    ]
}

/// Whose configuration is refused, and why.
fn unanswered(world: &World) -> Vec<String> {
    let sandboxes = world.state.by_creation_everywhere(Kind::Sandbox);
    let refusals = sandboxes.filter_map(|(key, _)| {
        let sandbox = world.state.sandbox(&key.workspace, &key.name).expect("an indexed sandbox exists").value;
        let refusal = effective::sandbox_config(&world.state, &key.workspace, sandbox).err()?;
        Some(format!("{key}: {}", refusal.message))
    });
    refusals.collect()
}

proptest! {
    #![proptest_config(Config { cases: 300, ..laws::config() })]

    #[test]
    fn after_whatever_is_accepted_every_sandbox_gets_a_configuration(
        steps in proptest::collection::vec(step(), 1..50)
    ) {
        let mut world = laws::furnished();
        for step in &steps {
            step.attempt(&mut world);
            prop_assert_eq!(unanswered(&world), Vec::<String>::new(), "after {:?}", step);
        }
    }
}
