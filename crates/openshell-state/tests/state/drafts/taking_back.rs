//! Undo and reject take back exactly what was approved (DC-7, UC-50).

use openshell_proto::sandbox::NetworkBinary;
use openshell_state::Code;

use crate::drafts::{approval, proposal, rejection, undoing};
use crate::support::{World, endpoint, policy, says, update_policy};

/// A proposal for one more program at the host that the sandbox's own rule `r1` is about.
fn folded(path: &str) -> openshell_proto::v1::PolicyChunk {
    let mut proposed = proposal("api", "docs.example.com");
    proposed.proposed_rule.as_mut().expect("a rule").binaries =
        vec![NetworkBinary { path: path.to_owned(), harness: false }];
    proposed
}

fn programs(world: &World, key: &str) -> Vec<String> {
    let policy = world.effective("s").policy.expect("a policy");
    policy.network_policies[key].binaries.iter().map(|binary| binary.path.clone()).collect()
}

#[test]
fn dc_7_what_went_into_another_rule_is_taken_out_of_that_one() {
    let mut world = World::with_drafts();
    let before = programs(&world, "r1");
    let chunk = world.propose("agent_authored", folded("/usr/bin/git"));
    world.ok(&approval(&chunk));
    assert_eq!((world.rules("s").len(), programs(&world, "r1").len()), (1, before.len() + 1));
    world.ok(&undoing(&chunk));
    assert_eq!(programs(&world, "r1"), before);
    assert_eq!(world.chunk(&chunk.id).status, "pending");
}

#[test]
fn dc_7_what_added_no_program_is_not_taken_back() {
    let mut world = World::with_drafts();
    let mut own = policy("docs.example.com");
    own.network_policies.get_mut("r1").expect("the rule").binaries =
        vec![NetworkBinary { path: "/usr/bin/curl".to_owned(), harness: false }];
    world.ok(&update_policy("s", own));
    let chunk = world.propose("agent_authored", folded("/usr/bin/curl"));
    world.ok(&approval(&chunk));
    let hash = world.enforced_hash();
    says(&world.refused(Code::FailedPrecondition, &undoing(&chunk)), &["added no binary"]);
    says(&world.refused(Code::FailedPrecondition, &rejection(&chunk, "")), &["added no binary"]);
    assert_eq!(world.enforced_hash(), hash, "the user's rule stands");
}

#[test]
fn dc_7_a_rule_that_somebody_extended_or_removed_is_not_taken_back() {
    let mut world = World::with_drafts();
    let chunk = world.propose("agent_authored", proposal("api", "api.example.com"));
    world.ok(&approval(&chunk));
    let mut extended = policy("docs.example.com");
    let mut rule = crate::drafts::rule("api", "api.example.com");
    rule.endpoints.push(endpoint("more.example.com", 443));
    extended.network_policies.insert("api".to_owned(), rule);
    world.ok(&update_policy("s", extended));
    says(&world.refused(Code::FailedPrecondition, &undoing(&chunk)), &["did not bring"]);
    world.ok(&update_policy("s", policy("docs.example.com")));
    says(&world.refused(Code::FailedPrecondition, &undoing(&chunk)), &["not in the policy any more"]);
    assert_eq!(world.chunk(&chunk.id).status, "approved");
}
