//! Laws of every history: replay equals restore, indexes and digest equal those rebuilt, a
//! repeated request id changes nothing. Histories are random, small, and made by the real rules.

use std::collections::BTreeMap;
use std::rc::Rc;

use openshell_proto::log::{Origin, Transaction, command};
use openshell_proto::sandbox::SandboxPolicy;
use openshell_proto::v1::{
    CreateProviderRequest, CreateSandboxRequest, CreateWorkspaceRequest, DeleteProviderProfileRequest,
    DeleteProviderRequest, DeleteSandboxRequest, DeleteWorkspaceRequest, PolicyStatus, UpdateConfigRequest,
    WorkspaceRole, policy_merge_operation,
};
use openshell_state::access::Principal;
use openshell_state::{Applied, Call, Decision, Memory, Outcome, RequestId, State, decide, effective};
use proptest::prelude::{Just, Strategy, any};
use proptest::test_runner::{Config, FileFailurePersistence};
use proptest::{prop_assert, prop_assert_eq, prop_oneof, proptest};

use crate::drafts;
use crate::support::{
    Decide, World, add_member, add_rule, attach, detach, endpoint, global_policy, global_setting, import, merge,
    policy, policy_of, provider, remove_member, remove_rule, report, sandbox, setting, static_profile, token_grant,
    transaction, update, update_policy, update_provider,
};

const PROFILES: u8 = 3;
const PROVIDERS: u8 = 4;
const SANDBOXES: u8 = 2;

/// One call of a history, small and from a small world, so that calls meet each other.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Import { profile: u8, shape: u8, platform: bool },
    Update { profile: u8, shape: u8, platform: bool, version: u8 },
    DeleteProfile { profile: u8, platform: bool },
    CreateProvider { provider: u8, profile: u8, key: u8, platform: bool, team: bool },
    UpdateProvider { provider: u8, key: u8 },
    DeleteProvider { provider: u8 },
    CreateSandbox { sandbox: u8, providers: Vec<u8>, base: Option<u8>, team: bool },
    DeleteSandbox { sandbox: u8 },
    Attach { sandbox: u8, provider: u8 },
    Detach { sandbox: u8, provider: u8 },
    Policy { sandbox: u8, base: u8, annotated: bool },
    Merge { sandbox: u8, rule: u8, base: Option<u8> },
    Report { sandbox: u8, version: u8, loaded: bool },
    GlobalPolicy { base: Option<u8> },
    Setting { sandbox: u8, key: u8, value: Option<bool> },
    GlobalSetting { key: u8, value: Option<bool> },
    Propose { sandbox: u8, base: u8, mechanistic: bool },
    DecideDraft { sandbox: u8, verdict: u8 },
    CreateWorkspace,
    DeleteWorkspace,
    AddMember { subject: u8, admin: bool },
    RemoveMember { subject: u8 },
}

const KEYS: [&str; 3] = ["agent_policy_proposals_enabled", "ocsf_json_enabled", "providers_v2_enabled"];

fn scope(platform: bool) -> &'static str {
    if platform { "" } else { "default" }
}

fn workspace(team: bool) -> String {
    if team { "team".to_owned() } else { String::new() }
}

/// Profiles that tie, contradict each other, or do neither.
fn shape(profile: u8, shape: u8) -> openshell_proto::v1::ProviderProfile {
    let id = format!("tool-{profile}");
    match shape % 5 {
        0 => token_grant(&id, "api.example.com", "/v1/**"),
        1 => token_grant(&id, "api.example.com", "/v2/**"),
        2 => static_profile(&id, "api.example.com"),
        3 => {
            let mut open = static_profile(&id, "api.example.com");
            open.endpoints[0].tls = "skip".to_owned();
            open
        }
        _ => static_profile(&id, &format!("host-{profile}.example.com")),
    }
}

fn base(base: u8) -> openshell_proto::sandbox::SandboxPolicy {
    match base % 3 {
        0 => policy("api.example.com"),
        1 => {
            let mut open = endpoint("api.example.com", 443);
            open.tls = "skip".to_owned();
            policy_of("r1", open)
        }
        _ => policy("elsewhere.example.com"),
    }
}

pub(crate) fn key(key: u8) -> &'static str {
    ["KEY_A", "KEY_B", "KEY_C"][usize::from(key % 3)]
}

fn new_provider((name, profile, held): (u8, u8, u8), platform: bool, team: bool) -> CreateProviderRequest {
    let mut request = provider(&format!("p{name}"), &format!("tool-{profile}"), &[key(held)]);
    request.workspace = workspace(team);
    let asked = request.provider.as_mut().expect("a provider");
    asked.profile_workspace = if platform || team { String::new() } else { "default".to_owned() };
    request
}

fn new_sandbox(name: u8, providers: &[u8], policy: Option<SandboxPolicy>, team: bool) -> CreateSandboxRequest {
    let names: Vec<String> = providers.iter().map(|provider| format!("p{provider}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    CreateSandboxRequest { workspace: workspace(team), ..sandbox(&format!("s{name}"), &names, policy) }
}

/// A rule is added, or removed where no kind is given.
fn one_rule(rule: u8, kind: Option<u8>) -> policy_merge_operation::Operation {
    let name = format!("r{rule}");
    let endpoint = |kind| base(kind).network_policies["r1"].endpoints[0].clone();
    kind.map_or_else(|| remove_rule(&name), |kind| add_rule(&name, endpoint(kind)))
}

impl Operation {
    /// The call.
    pub(crate) fn request(&self) -> Rc<dyn Decide> {
        match self {
            Operation::Import { profile, shape: kind, platform } => {
                Rc::new(import(scope(*platform), &[shape(*profile, *kind)]))
            }
            Operation::Update { profile, shape: kind, platform, version } => {
                Rc::new(update(scope(*platform), u64::from(*version), shape(*profile, *kind)))
            }
            Operation::DeleteProfile { profile, platform } => Rc::new(DeleteProviderProfileRequest {
                id: format!("tool-{profile}"),
                workspace: scope(*platform).to_owned(),
            }),
            Operation::CreateProvider { provider: name, profile, key: held, platform, team } => {
                Rc::new(new_provider((*name, *profile, *held), *platform, *team))
            }
            Operation::UpdateProvider { provider, key: held } => {
                Rc::new(update_provider(&format!("p{provider}"), &[(key(*held), "new")], &[]))
            }
            Operation::DeleteProvider { provider } => {
                Rc::new(DeleteProviderRequest { name: format!("p{provider}"), workspace: String::new() })
            }
            Operation::CreateSandbox { sandbox: name, providers, base: policy, team } => {
                Rc::new(new_sandbox(*name, providers, policy.map(base), *team))
            }
            Operation::DeleteSandbox { sandbox } => {
                Rc::new(DeleteSandboxRequest { name: format!("s{sandbox}"), ..DeleteSandboxRequest::default() })
            }
            Operation::Attach { sandbox, provider } => Rc::new(attach(&format!("s{sandbox}"), &format!("p{provider}"))),
            Operation::Detach { sandbox, provider } => Rc::new(detach(&format!("s{sandbox}"), &format!("p{provider}"))),
            Operation::Policy { sandbox, base: kind, annotated } => {
                let annotations = if *annotated { crate::support::map(&[("reason", "test")]) } else { BTreeMap::new() };
                Rc::new(UpdateConfigRequest { annotations, ..update_policy(&format!("s{sandbox}"), base(*kind)) })
            }
            Operation::Merge { sandbox, rule, base: kind } => {
                Rc::new(merge(&format!("s{sandbox}"), &[one_rule(*rule, *kind)]))
            }
            Operation::Report { sandbox, version, loaded } => Rc::new(Reported {
                sandbox: format!("s{sandbox}"),
                version: u32::from(*version),
                status: if *loaded { PolicyStatus::Loaded } else { PolicyStatus::Failed },
            }),
            Operation::GlobalPolicy { base: Some(kind) } => Rc::new(global_policy(base(*kind))),
            Operation::GlobalPolicy { base: None } => Rc::new(deleted(global_setting("policy", false))),
            Operation::Setting { sandbox, key, value } => {
                let request = setting(&format!("s{sandbox}"), KEYS[usize::from(key % 3)], value.unwrap_or(false));
                Rc::new(if value.is_some() { request } else { deleted(request) })
            }
            Operation::GlobalSetting { key, value } => {
                let request = global_setting(KEYS[usize::from(key % 3)], value.unwrap_or(false));
                Rc::new(if value.is_some() { request } else { deleted(request) })
            }
            Operation::Propose { sandbox, base: kind, mechanistic } => {
                let rule = base(*kind).network_policies.remove("r1").expect("the rule");
                Rc::new(drafts::Proposing { sandbox: format!("s{sandbox}"), rule, mechanistic: *mechanistic })
            }
            Operation::DecideDraft { sandbox, verdict } => {
                Rc::new(drafts::Deciding { sandbox: format!("s{sandbox}"), verdict: *verdict })
            }
            Operation::CreateWorkspace => {
                Rc::new(CreateWorkspaceRequest { name: "team".to_owned(), ..CreateWorkspaceRequest::default() })
            }
            Operation::DeleteWorkspace => Rc::new(DeleteWorkspaceRequest { name: "team".to_owned() }),
            Operation::AddMember { subject, admin } => {
                let role = if *admin { WorkspaceRole::Admin } else { WorkspaceRole::User };
                Rc::new(add_member("team", &format!("u{subject}"), role))
            }
            Operation::RemoveMember { subject } => Rc::new(remove_member("team", &format!("u{subject}"))),
        }
    }

    /// Whether others often rely on what the call changes; new providers and settings of one
    /// sandbox meet nobody.
    pub(crate) fn meets_others(&self) -> bool {
        !matches!(self, Operation::CreateProvider { team: false, .. } | Operation::Setting { .. })
    }

    /// Decides and applies; a refusal is an answer like another.
    pub(crate) fn attempt(&self, world: &mut World) {
        world.time_ms += 7;
        if let Decision::Transact(draft) = world.decide(&*self.request()) {
            assert_eq!(world.commit(draft).outcome, Outcome::Installed);
        }
    }
}

/// A sandbox of `default` reports about a revision of its policy, whoever else makes the calls around it.
#[derive(Debug)]
struct Reported {
    sandbox: String,
    version: u32,
    status: PolicyStatus,
}

impl Decide for Reported {
    fn decide(&self, call: Call<'_>) -> Decision {
        let sandbox = call.state.sandbox("default", &self.sandbox);
        let id = sandbox.and_then(|entry| Some(entry.value.metadata.as_ref()?.id.clone())).unwrap_or_default();
        let principal = Principal::Sandbox { id: id.clone() };
        let request = report(&id, self.version, self.status, "");
        decide::report::policy_status(Call { principal: &principal, ..call }, &request).into()
    }
}

fn deleted(request: UpdateConfigRequest) -> UpdateConfigRequest {
    UpdateConfigRequest { delete_setting: true, setting_value: None, ..request }
}

pub(crate) fn operation() -> impl Strategy<Value = Operation> {
    let (profile, provider, sandbox) = (0..PROFILES, 0..PROVIDERS, 0..SANDBOXES);
    let flag = || any::<bool>();
    let rarely = || (0..8_u8).prop_map(|drawn| drawn == 0);
    prop_oneof![
        2 => (profile.clone(), 0..5_u8, rarely())
            .prop_map(|(profile, shape, platform)| Operation::Import { profile, shape, platform }),
        8 => (profile.clone(), 0..5_u8, rarely(), 1..4_u8).prop_map(|(profile, shape, platform, version)| {
            Operation::Update { profile, shape, platform, version }
        }),
        2 => (profile.clone(), rarely()).prop_map(|(profile, platform)| Operation::DeleteProfile { profile, platform }),
        2 => (provider.clone(), profile, 0..3_u8, rarely(), rarely()).prop_map(
            |(provider, profile, key, platform, team)| Operation::CreateProvider { provider, profile, key, platform, team }
        ),
        2 => (provider.clone(), 0..3_u8).prop_map(|(provider, key)| Operation::UpdateProvider { provider, key }),
        1 => provider.clone().prop_map(|provider| Operation::DeleteProvider { provider }),
        2 => (sandbox.clone(), proptest::collection::vec(provider.clone(), 0..3), proptest::option::of(0..3_u8), rarely())
            .prop_map(|(sandbox, providers, base, team)| Operation::CreateSandbox { sandbox, providers, base, team }),
        1 => sandbox.clone().prop_map(|sandbox| Operation::DeleteSandbox { sandbox }),
        8 => (sandbox.clone(), provider.clone()).prop_map(|(sandbox, provider)| Operation::Attach { sandbox, provider }),
        3 => (sandbox.clone(), provider).prop_map(|(sandbox, provider)| Operation::Detach { sandbox, provider }),
        5 => (sandbox.clone(), 0..3_u8, rarely())
            .prop_map(|(sandbox, base, annotated)| Operation::Policy { sandbox, base, annotated }),
        3 => (sandbox.clone(), 1..4_u8, proptest::option::weighted(0.8, 0..3_u8))
            .prop_map(|(sandbox, rule, base)| Operation::Merge { sandbox, rule, base }),
        4 => (sandbox.clone(), 1..5_u8, flag())
            .prop_map(|(sandbox, version, loaded)| Operation::Report { sandbox, version, loaded }),
        1 => proptest::option::of(0..3_u8).prop_map(|base| Operation::GlobalPolicy { base }),
        1 => (sandbox.clone(), 0..3_u8, flag())
            .prop_map(|(sandbox, base, mechanistic)| Operation::Propose { sandbox, base, mechanistic }),
        2 => (sandbox.clone(), 0..6_u8)
            .prop_map(|(sandbox, verdict)| Operation::DecideDraft { sandbox, verdict }),
        1 => (sandbox, 0..2_u8, proptest::option::of(flag()))
            .prop_map(|(sandbox, key, value)| Operation::Setting { sandbox, key, value }),
        2 => (0..6_u8, proptest::option::weighted(0.8, flag()))
            .prop_map(|(key, value)| Operation::GlobalSetting { key: key.max(2), value }),
        1 => Just(Operation::CreateWorkspace),
        1 => Just(Operation::DeleteWorkspace),
        1 => (0..2_u8, flag()).prop_map(|(subject, admin)| Operation::AddMember { subject, admin }),
        1 => (0..2_u8).prop_map(|subject| Operation::RemoveMember { subject }),
    ]
}

/// Calls in order.
pub(crate) fn history(length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Operation>> {
    proptest::collection::vec(operation(), length)
}

/// Seeds of failures are kept in the tree.
pub(crate) fn config() -> Config {
    let seeds = FileFailurePersistence::Direct("tests/state/regressions.txt");
    Config { failure_persistence: Some(Box::new(seeds)), ..Config::default() }
}

/// A cluster with some of everything, so that short histories meet something.
pub(crate) fn furnished() -> World {
    let mut world = World::new();
    for profile in 0..3 {
        assert!(world.ok(&import("default", &[shape(profile, profile + 1)])).imported);
        world.ok(&provider(&format!("p{profile}"), &format!("tool-{profile}"), &[key(profile)]));
    }
    world.ok(&sandbox("s0", &["p0"], None));
    world.ok(&sandbox("s1", &["p0", "p1"], Some(policy("elsewhere.example.com"))));
    world
}

/// What every sandbox of a state is to do, refusals included.
fn answers(state: &State) -> Vec<String> {
    let sandboxes = state.by_creation_everywhere(openshell_proto::log::Kind::Sandbox);
    sandboxes
        .map(|(key, _)| {
            let sandbox = state.sandbox(&key.workspace, &key.name).expect("an indexed sandbox exists");
            format!("{key}: {:?}", effective::sandbox_config(state, &key.workspace, sandbox.value))
        })
        .collect()
}

fn restored(state: &State) -> State {
    State::from_items(&state.marks(), state.items().map(Ok)).expect("our own items are known")
}

/// Everything alike: records, fences, memory, indexes and digest, which the debug form shows.
fn equal(left: &State, right: &State) -> bool {
    left.digest() == right.digest()
        && left.marks() == right.marks()
        && left.items().eq(right.items())
        && format!("{left:?}") == format!("{right:?}")
}

/// A request id made at `time_ms`, told from others by `number`.
pub(crate) fn request_id(time_ms: i64, number: u64) -> Vec<u8> {
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&time_ms.to_be_bytes()[2..]);
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    bytes[6] = 0x70;
    bytes[8] = 0x80;
    assert!(RequestId::from_bytes(&bytes).is_some());
    bytes.to_vec()
}

/// Runs a history with request ids, as callers send them.
pub(crate) fn remembered(history: &[Operation]) -> World {
    let mut world = furnished();
    for (number, operation) in history.iter().enumerate() {
        world.time_ms += 7;
        if let Decision::Transact(draft) = world.decide(&*operation.request()) {
            let origin = Origin {
                request_id: request_id(world.time_ms, number as u64),
                principal: "user:test".to_owned(),
                rpc: "test".to_owned(),
                fingerprint: vec![u8::try_from(number % 256).expect("a byte"); 32],
                time_ms: world.time_ms,
                node: 1,
            };
            let applied = world.apply(transaction(draft.into_transaction(origin)));
            assert_eq!(applied.outcome, Outcome::Installed);
        }
    }
    world
}

fn replayed(mut state: State, world: &World) -> State {
    for (index, command) in &world.log {
        if *index > state.revision() {
            state.apply(*index, command).expect("our own commands are known");
        }
    }
    state
}

/// A transaction of the log that carried a request id.
fn with_request_id(world: &World) -> Vec<(u64, Transaction)> {
    let transactions = world.log.iter().filter_map(|(index, command)| {
        let command::Kind::Transaction(transaction) = command.kind.as_ref()?;
        Some((*index, transaction.clone()))
    });
    transactions
        .filter(|(_, transaction)| transaction.origin.as_ref().is_some_and(|origin| !origin.request_id.is_empty()))
        .collect()
}

proptest! {
    #![proptest_config(Config { cases: 48, ..config() })]

    #[test]
    fn replaying_the_log_equals_restoring_a_snapshot(history in history(1..40), cut in any::<proptest::sample::Index>()) {
        let world = remembered(&history);
        let cut = cut.index(world.log.len());
        let mut prefix = State::empty();
        for (index, command) in &world.log[..cut] {
            prefix.apply(*index, command).expect("our own commands are known");
        }
        let from_snapshot = replayed(restored(&prefix), &world);
        prop_assert!(equal(&from_snapshot, &world.state));
        prop_assert!(equal(&replayed(State::empty(), &world), &world.state));
        prop_assert_eq!(answers(&from_snapshot), answers(&world.state));
    }

    #[test]
    fn indexes_and_digest_equal_those_rebuilt_from_scratch(history in history(1..40)) {
        let world = remembered(&history);
        prop_assert!(equal(&restored(&world.state), &world.state));
    }

    #[test]
    fn what_is_stored_step_by_step_equals_the_state(history in history(1..40)) {
        let world = remembered(&history);
        let mut state = State::empty();
        let mut kept = std::collections::BTreeMap::new();
        for (index, command) in &world.log {
            let applied = state.apply(*index, command).expect("our own commands are known");
            store(&mut kept, applied);
        }
        let held: std::collections::BTreeMap<_, _> = state.items().map(|item| (name_of(&item), item)).collect();
        prop_assert_eq!(kept, held);
    }

    #[test]
    fn a_repeated_request_id_changes_nothing_and_hears_the_first_answer(
        history in history(1..40), which in any::<proptest::sample::Index>()
    ) {
        let mut world = remembered(&history);
        let candidates = with_request_id(&world);
        if !candidates.is_empty() {
            let (revision, first) = which.get(&candidates).clone();
            let before = world.state.digest();
            let repeated = world.apply(transaction(first.clone()));
            let reply = first.reply.clone().expect("a reply");
            prop_assert_eq!(repeated.outcome, Outcome::Repeated { revision, reply });
            let mut other = first;
            let origin = other.origin.as_mut().expect("an origin");
            origin.fingerprint = vec![255; 32];
            prop_assert_eq!(world.apply(transaction(other)).outcome, Outcome::Mismatched);
            prop_assert_eq!(world.state.digest(), before);
            prop_assert!(repeated.changes.is_empty() && repeated.history.is_none());
        }
    }
}

type Kept = std::collections::BTreeMap<Vec<u8>, openshell_proto::log::SnapshotItem>;

fn name_of(item: &openshell_proto::log::SnapshotItem) -> Vec<u8> {
    use openshell_proto::log::snapshot_item::Item;
    use prost::Message;
    match item.item.as_ref().expect("an item") {
        Item::Record(record) => [&b"r"[..], &record.key.as_ref().expect("a key").encode_to_vec()].concat(),
        Item::Fence(fence) => [&b"f"[..], &fence.key.as_ref().expect("a key").encode_to_vec()].concat(),
        Item::Request(request) => [&b"q"[..], &request.request_id].concat(),
    }
}

/// Keeps what `apply` tells storage to write.
fn store(kept: &mut Kept, applied: Applied) {
    use openshell_proto::log::SnapshotItem;
    use openshell_proto::log::snapshot_item::{FenceMark, Item, KeyedRecord};
    use openshell_state::StateChange;
    use prost::Message;
    for change in applied.changes {
        let item = match change {
            StateChange::Record(key, None) => {
                kept.remove(&[&b"r"[..], &key.to_proto().encode_to_vec()].concat());
                continue;
            }
            StateChange::Forgotten(id) => {
                kept.remove(&[&b"q"[..], id.as_bytes()].concat());
                continue;
            }
            StateChange::Record(key, Some(record)) => {
                Item::Record(KeyedRecord { key: Some(key.to_proto()), record: Some(record.to_proto()) })
            }
            StateChange::Fence(key, revision) => Item::Fence(FenceMark { key: Some(key.to_proto()), revision }),
            StateChange::Remembered(_, request) => Item::Request((*request).clone()),
        };
        let item = SnapshotItem { item: Some(item) };
        kept.insert(name_of(&item), item);
    }
}

#[test]
fn a_forgotten_request_id_is_expired_and_never_executed_again() {
    let mut world = World::new();
    let origin = |time_ms, made_at_ms, number| Origin {
        request_id: request_id(made_at_ms, number),
        fingerprint: vec![1; 32],
        time_ms,
        ..Origin::default()
    };
    let old = crate::support::draft(world.decide(&sandbox("s", &[], None)));
    let first = old.into_transaction(origin(world.time_ms, world.time_ms, 1));
    assert_eq!(world.apply(transaction(first.clone())).outcome, Outcome::Installed);
    let eleven_minutes = world.time_ms + 11 * 60 * 1000;
    let late = crate::support::draft(world.decide(&sandbox("t", &[], None)));
    let late = late.into_transaction(origin(eleven_minutes, eleven_minutes, 2));
    assert_eq!(world.apply(transaction(late)).outcome, Outcome::Installed);
    let before = world.state.digest();
    assert_eq!(world.apply(transaction(first)).outcome, Outcome::Expired);
    assert_eq!(world.state.digest(), before);
    let id = RequestId::from_bytes(&request_id(START, 1)).expect("an id");
    assert!(matches!(world.state.recall(&id), Memory::Expired));
    assert!(equal(&restored(&world.state), &world.state), "what is forgotten stays so after a restore");
}

const START: i64 = crate::support::START_MS;
