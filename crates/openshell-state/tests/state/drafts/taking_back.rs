//! Undo and reject take back exactly what was approved (DC-7, UC-50).

use openshell_proto::sandbox::{L7Allow, L7Rule, NetworkBinary, NetworkPolicyRule};
use openshell_proto::v1::{PolicyChunk, UpdateConfigRequest};
use openshell_state::Code;

use crate::drafts::{approval, proposal, rejection, undoing};
use crate::support::{World, endpoint, policy, says, update_policy};

/// A proposal for one more program at the host that the sandbox's own rule `r1` is about.
fn folded(path: &str) -> PolicyChunk {
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
fn dc_7_what_added_no_program_is_put_back_as_it_was() {
    let mut world = World::with_drafts();
    let mut own = policy("docs.example.com");
    own.network_policies.get_mut("r1").expect("the rule").binaries =
        vec![NetworkBinary { path: "/usr/bin/curl".to_owned(), harness: false }];
    world.ok(&update_policy("s", own));
    let chunk = world.propose("agent_authored", folded("/usr/bin/curl"));
    let hash = world.enforced_hash();
    world.ok(&approval(&chunk));
    world.ok(&undoing(&chunk));
    assert_eq!(world.enforced_hash(), hash, "the user's rule stands");
    assert_eq!(world.chunk(&chunk.id).status, "pending");
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

/// A proposal for these programs that lets the sandbox's own rule `r1` allow more than before: `POST` to this path.
fn widening(programs: &[&str], path: &str) -> PolicyChunk {
    let mut proposed = proposal("api", "docs.example.com");
    let rule = proposed.proposed_rule.as_mut().expect("a rule");
    let binary = |path: &&str| NetworkBinary { path: (*path).to_owned(), harness: false };
    rule.binaries = programs.iter().map(binary).collect();
    // All that `read-only` stands for, so that a new program gets no more than what is said.
    let allow = |method: &str, path: &str| L7Rule {
        allow: Some(L7Allow { method: method.to_owned(), path: path.to_owned(), ..L7Allow::default() }),
    };
    rule.endpoints[0].access.clear();
    rule.endpoints[0].rules = ["GET", "HEAD", "OPTIONS"].map(|method| allow(method, "**")).to_vec();
    rule.endpoints[0].rules.push(allow("POST", path));
    proposed
}

/// What somebody makes of the sandbox's policy: one more endpoint in a rule.
pub(super) fn extended(world: &World, key: &str) -> UpdateConfigRequest {
    let mut policy = world.revisions("s").last().expect("a revision").policy.clone();
    let rule = policy.network_policies.get_mut(key).expect("the rule");
    rule.endpoints.push(endpoint("more.example.com", 443));
    update_policy("s", policy)
}

/// What may be posted by the sandbox's own rule.
fn posts(world: &World) -> Vec<String> {
    let policy = world.effective("s").policy.expect("a policy");
    let allowed = policy.network_policies["r1"].endpoints[0].rules.iter().filter_map(|rule| rule.allow.clone());
    allowed.filter(|allow| allow.method == "POST").map(|allow| allow.path).collect()
}

#[test]
fn dc_7_an_endpoint_that_an_approval_widened_is_put_back_as_it_was() {
    for programs in [&["/usr/bin/curl"][..], &["/usr/bin/curl", "/usr/bin/git"]] {
        let mut world = World::with_drafts();
        let before = world.enforced_hash();
        let chunk = world.propose("agent_authored", widening(programs, "/upload"));
        world.ok(&approval(&chunk));
        assert_eq!((world.rules("s"), posts(&world)), (vec!["r1".to_owned()], vec!["/upload".to_owned()]));
        let answer = world.ok(&undoing(&chunk));
        assert_eq!(world.enforced_hash(), before, "{programs:?}");
        assert_eq!(answer.policy_hash, before);
        let pending = world.chunk(&chunk.id);
        assert_eq!((pending.status.as_str(), &pending.review_token), ("pending", &chunk.review_token));
        world.ok(&approval(&pending));
        world.ok(&rejection(&pending, "regretted"));
        assert_eq!(world.enforced_hash(), before, "{programs:?}");
    }
}

#[test]
fn dc_7_approvals_that_went_into_one_rule_are_taken_back_the_last_one_first() {
    let mut world = World::with_drafts();
    let before = world.enforced_hash();
    let first = world.propose("agent_authored", widening(&["/usr/bin/curl"], "/first"));
    world.ok(&approval(&first));
    let second = world.propose("agent_authored", widening(&["/usr/bin/curl"], "/second"));
    world.ok(&approval(&second));
    says(&world.refused(Code::FailedPrecondition, &undoing(&first)), &["added no binary", "not as it left it"]);
    assert_eq!(posts(&world), ["/first", "/second"]);
    world.ok(&undoing(&second));
    assert_eq!(posts(&world), ["/first"]);
    world.ok(&undoing(&first));
    assert_eq!(world.enforced_hash(), before);
}

#[test]
fn dc_7_what_somebody_changed_since_is_not_lost_and_only_the_programs_are_taken_back() {
    let mut world = World::with_drafts();
    let before = programs(&world, "r1");
    let chunk = world.propose("agent_authored", widening(&["/usr/bin/curl", "/usr/bin/git"], "/upload"));
    world.ok(&approval(&chunk));
    world.ok(&extended(&world, "r1"));
    world.ok(&undoing(&chunk));
    assert_eq!((programs(&world, "r1"), posts(&world)), (before, vec!["/upload".to_owned()]));
    let policy = world.effective("s").policy.expect("a policy");
    assert_eq!(policy.network_policies["r1"].endpoints.len(), 2, "what came later stays");
}

#[test]
fn dc_7_a_rule_too_large_to_be_kept_as_it_was_loses_the_programs_only() {
    let mut world = World::with_drafts();
    let mut large = policy("docs.example.com");
    let program = |number| NetworkBinary { path: format!("/usr/bin/{number:0>60}"), harness: false };
    large.network_policies.get_mut("r1").expect("the rule").binaries.extend((0..1000).map(program));
    world.ok(&update_policy("s", large));
    let before = programs(&world, "r1");
    let chunk = world.propose("agent_authored", folded("/usr/bin/git"));
    world.ok(&approval(&chunk));
    let id = world.sandbox_id("s");
    let stored = world.state.draft_chunk("default", &id, &chunk.id).expect("stored").value.stored.clone();
    assert_eq!((stored.applied_key.as_str(), stored.applied_binaries), ("r1", vec!["/usr/bin/git".to_owned()]));
    assert!(stored.applied_before.is_none() && stored.applied_left.is_empty());
    world.ok(&undoing(&chunk));
    assert_eq!(programs(&world, "r1"), before);
}

#[test]
fn dc_7_a_rule_that_said_nothing_before_is_put_back_and_stays() {
    let mut world = World::with_drafts();
    let mut own = policy("docs.example.com");
    own.network_policies.insert("api".to_owned(), NetworkPolicyRule::default());
    world.ok(&update_policy("s", own));
    let before = world.revisions("s").last().expect("a revision").policy.clone();
    // Its rule is for any program, so that only one that is too goes into it.
    let mut any = proposal("api", "api.example.com");
    any.proposed_rule.as_mut().expect("a rule").binaries.clear();
    let chunk = world.propose("agent_authored", any);
    world.ok(&approval(&chunk));
    let id = world.sandbox_id("s");
    let stored = &world.state.draft_chunk("default", &id, &chunk.id).expect("stored").value.stored;
    assert_eq!(stored.applied_before.as_deref(), Some(&[][..]), "it was there, and said nothing");
    world.ok(&undoing(&chunk));
    assert_eq!(world.revisions("s").last().expect("a revision").policy, before);
    assert!(before.network_policies.contains_key("api"));
    // One that was not there goes.
    let chunk = world.propose("agent_authored", proposal("new", "new.example.com"));
    world.ok(&approval(&chunk));
    assert_eq!(world.state.draft_chunk("default", &id, &chunk.id).expect("stored").value.stored.applied_before, None);
    world.ok(&undoing(&chunk));
    assert_eq!(world.revisions("s").last().expect("a revision").policy, before);
}
