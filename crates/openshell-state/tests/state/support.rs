//! A world to decide in: one state, its log, and a caller. Identifiers and sealed values are
//! functions of a seed, so that a history can be repeated. What the tests ask for is built here
//! too, as short as the scenarios state it.

mod build;
mod decide;

pub(crate) use build::{
    add_member, add_rule, attach, config, credential, detach, endpoint, global_policy, global_setting, import, item,
    merge, minimal, policy, policy_of, provider, remove_member, remove_rule, report, sandbox, setting, setting_value,
    signing, static_profile, token_grant, update, update_policy, update_provider,
};
pub(crate) use decide::{Decide, Rpc};

use std::cell::Cell;
use std::collections::BTreeMap;

use openshell_proto::datamodel::{ObjectMeta, Provider};
use openshell_proto::log::{Command, Origin, Reply, Transaction, Write, command, reply, write};
use openshell_proto::sandbox::GetSandboxConfigResponse;
use openshell_proto::v1::{
    CreateWorkspaceRequest, PolicyStatus, ProviderCredentialRefreshStrategy as Strategy, ProviderProfile,
    ProviderProfileDiagnostic, Sandbox, StoredProviderCredentialRefreshState, StoredProviderProfile,
};
use openshell_state::access::{Principal, User};
use openshell_state::decide::formation;
use openshell_state::{
    Applied, Call, Code, Decision, Draft, Identifiers, Key, Outcome, PolicyRevision, Refusal, Sealer, Stamp, State,
    effective, query,
};
use prost::Message;
use sha2::{Digest as _, Sha256};

/// The first stamp of every world.
pub(crate) const START_MS: i64 = 1_700_000_000_000;

/// Identifiers drawn from a seed, in order.
pub(crate) struct Seeded(Cell<u64>);

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Cell::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1)))
    }

    /// SplitMix64.
    fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.0.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

impl Identifiers for Seeded {
    fn uuid(&self) -> String {
        let (high, low) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xFFFF,
            high & 0xFFF,
            low >> 52,
            low & 0xFFFF_FFFF_FFFF
        )
    }

    fn letters(&self) -> String {
        (0..6).map(|_| char::from(b'a' + u8::try_from(self.next() % 26).expect("below 26"))).collect()
    }

    fn choose(&self, bound: usize) -> usize {
        usize::try_from(self.next()).expect("64 bits") % bound
    }

    fn key(&self) -> [u8; 32] {
        Sha256::digest(self.next().to_le_bytes()).into()
    }
}

impl Sealer for Seeded {
    fn seal(&self, kind: &str, workspace: &str, name: &str, field: &str, plaintext: &[u8]) -> String {
        let bound = format!("{kind}/{workspace}/{name}/{field}");
        format!("sealed:{}", hex::encode(Sha256::new().chain_update(bound).chain_update(plaintext).finalize()))
    }
}

/// One state with its log, and who asks.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) log: Vec<(u64, Command)>,
    pub(crate) principal: Principal,
    pub(crate) time_ms: i64,
}

impl World {
    /// A formed cluster, asked by its platform admin.
    pub(crate) fn new() -> Self {
        let mut world = Self { state: State::empty(), log: Vec::new(), principal: admin(), time_ms: START_MS };
        let seeded = Seeded::new(0);
        let command = formation::form("test", 1, Stamp { time_ms: START_MS, identifiers: &seeded, sealer: &seeded });
        let applied = world.apply(command);
        assert_eq!(applied.outcome, Outcome::Installed);
        world
    }

    /// As [`World::new`], with provider composition switched on.
    pub(crate) fn composing() -> Self {
        let mut world = Self::new();
        world.ok(&global_setting("providers_v2_enabled", true));
        world
    }

    pub(crate) fn apply(&mut self, command: Command) -> Applied {
        let index = self.state.revision() + 1;
        let applied = self.state.apply(index, &command).expect("our own commands are known");
        self.log.push((index, command));
        applied
    }

    /// What the rules say, on the state as it is; nothing is applied.
    pub(crate) fn decide(&self, request: &dyn Decide) -> Decision {
        self.decide_as(&self.principal, request)
    }

    pub(crate) fn decide_as(&self, principal: &Principal, request: &dyn Decide) -> Decision {
        let seeded = Seeded::new(self.state.revision());
        self.decide_with(&seeded, principal, request)
    }

    /// As [`World::decide`], with identifiers that do not depend on the state.
    pub(crate) fn decide_seeded(&self, seed: u64, request: &dyn Decide) -> Decision {
        self.decide_with(&Seeded::new(seed), &self.principal, request)
    }

    pub(crate) fn decide_with(&self, seeded: &Seeded, principal: &Principal, request: &dyn Decide) -> Decision {
        let time_ms = self.time_ms.max(self.state.last_time_ms());
        let stamp = Stamp { time_ms, identifiers: seeded, sealer: seeded };
        request.decide(Call { state: &self.state, principal, stamp })
    }

    pub(crate) fn commit(&mut self, draft: Draft) -> Applied {
        let origin = Origin {
            principal: self.principal.subject(),
            rpc: "test".to_owned(),
            time_ms: self.time_ms,
            node: 1,
            ..Origin::default()
        };
        self.apply(transaction(draft.into_transaction(origin)))
    }

    /// Decides and applies; what the caller hears.
    pub(crate) fn call<R: Rpc>(&mut self, request: &R) -> Result<R::Response, Refusal> {
        self.time_ms += 1;
        let decision = self.decide(request);
        self.carry_out::<R>(decision)
    }

    /// Applies what was decided about a request; what the caller hears.
    pub(crate) fn carry_out<R: Rpc>(&mut self, decision: Decision) -> Result<R::Response, Refusal> {
        let bytes = match decision {
            Decision::Refuse(refusal) => return Err(refusal),
            Decision::Answer(bytes) => bytes,
            Decision::Transact(draft) => {
                let reply = draft.reply.clone();
                assert_eq!(self.commit(draft).outcome, Outcome::Installed);
                reply?
            }
        };
        Ok(R::Response::decode(bytes.as_slice()).expect("an answer is the RPC's response"))
    }

    /// A call that must succeed.
    pub(crate) fn ok<R: Rpc>(&mut self, request: &R) -> R::Response {
        self.call(request).unwrap_or_else(|refusal| panic!("{:?}: {}", refusal.code, refusal.message))
    }

    /// A call that must be refused with this code; answers the text.
    pub(crate) fn refused<R: Rpc>(&mut self, code: Code, request: &R) -> String {
        let digest = self.state.digest();
        match self.call(request) {
            Ok(_) => panic!("accepted, where {code:?} was due"),
            Err(refusal) => {
                assert_eq!(refusal.code, code, "{}", refusal.message);
                assert_eq!(self.state.digest(), digest, "a refusal changed the state");
                refusal.message
            }
        }
    }

    /// The same as a sandbox in `default`, which then goes on as before.
    pub(crate) fn as_sandbox<T>(&mut self, name: &str, act: impl FnOnce(&mut Self) -> T) -> T {
        let own = Principal::Sandbox { id: self.sandbox_id(name) };
        let before = std::mem::replace(&mut self.principal, own);
        let done = act(self);
        self.principal = before;
        done
    }

    /// What a sandbox in `default` reports about a revision of its policy.
    pub(crate) fn report(&mut self, sandbox: &str, version: u32, status: PolicyStatus, error: &str) {
        let request = report(&self.sandbox_id(sandbox), version, status, error);
        self.as_sandbox(sandbox, |world| world.ok(&request));
    }

    pub(crate) fn workspace(&mut self, name: &str) {
        self.ok(&CreateWorkspaceRequest { name: name.to_owned(), ..CreateWorkspaceRequest::default() });
    }

    /// A platform admin makes `subject` a member.
    pub(crate) fn member(&mut self, workspace: &str, subject: &str, role: openshell_proto::v1::WorkspaceRole) {
        let before = std::mem::replace(&mut self.principal, admin());
        self.ok(&add_member(workspace, subject, role));
        self.principal = before;
    }

    /// Writes a refresh state of a provider in `default` past every rule.
    pub(crate) fn write_refresh(&mut self, state: &StoredProviderCredentialRefreshState) {
        let key = Key::refresh("default", &state.provider_id, &state.credential_key);
        self.write(&key, Some(state));
    }

    /// Writes a record past every rule.
    pub(crate) fn write<M: Message>(&mut self, key: &Key, value: Option<&M>) {
        let change = value.map_or(write::Change::Delete(true), |value| write::Change::Put(value.encode_to_vec()));
        let applied = self.apply(transaction(Transaction {
            origin: Some(Origin { time_ms: self.time_ms, ..Origin::default() }),
            writes: vec![Write { key: Some(key.to_proto()), change: Some(change) }],
            reply: Some(Reply { outcome: Some(reply::Outcome::Message(Vec::new())) }),
            ..Transaction::default()
        }));
        assert_eq!(applied.outcome, Outcome::Installed);
    }

    pub(crate) fn stored_sandbox(&self, name: &str) -> &Sandbox {
        self.state.sandbox("default", name).expect("the sandbox exists").value
    }

    pub(crate) fn sandbox_version(&self, name: &str) -> u64 {
        self.stored_sandbox(name).metadata.as_ref().expect("metadata").resource_version
    }

    pub(crate) fn sandbox_id(&self, name: &str) -> String {
        self.stored_sandbox(name).metadata.as_ref().expect("metadata").id.clone()
    }

    pub(crate) fn listed(&self, sandbox: &str) -> Vec<String> {
        self.stored_sandbox(sandbox).spec.as_ref().expect("a spec").providers.clone()
    }

    pub(crate) fn stored_provider(&self, name: &str) -> &Provider {
        self.state.provider("default", name).expect("the provider exists").value
    }

    pub(crate) fn stored_profile(&self, scope: &str, id: &str) -> &StoredProviderProfile {
        self.state.profile(scope, id).expect("the profile exists").value
    }

    pub(crate) fn revisions(&self, sandbox: &str) -> Vec<&PolicyRevision> {
        let id = self.sandbox_id(sandbox);
        let mut revisions: Vec<_> =
            self.state.policy_revisions("default", &id).map(|revision| revision.value).collect();
        revisions.reverse();
        revisions
    }

    /// GetSandboxConfig of a sandbox in `default`.
    pub(crate) fn effective(&self, sandbox: &str) -> GetSandboxConfigResponse {
        self.try_effective(sandbox).unwrap_or_else(|refusal| panic!("{:?}: {}", refusal.code, refusal.message))
    }

    pub(crate) fn try_effective(&self, sandbox: &str) -> Result<GetSandboxConfigResponse, Refusal> {
        self.config_as(&self.principal, &self.sandbox_id(sandbox))
    }

    /// GetSandboxConfig by somebody, of the sandbox with this id.
    pub(crate) fn config_as(&self, principal: &Principal, id: &str) -> Result<GetSandboxConfigResponse, Refusal> {
        let (key, sandbox) = query::sandbox::find_by_id(&self.state, principal, id)?;
        effective::sandbox_config(&self.state, &key.workspace, sandbox)
    }

    /// The keys of the network rules that a sandbox gets.
    pub(crate) fn rules(&self, sandbox: &str) -> Vec<String> {
        self.effective(sandbox).policy.map(|policy| policy.network_policies.into_keys().collect()).unwrap_or_default()
    }
}

/// A platform admin.
pub(crate) fn admin() -> Principal {
    user("admin", true)
}

pub(crate) fn user(subject: &str, platform_admin: bool) -> Principal {
    let identity_provider = "local_dev".to_owned();
    Principal::User(User { subject: subject.to_owned(), identity_provider, platform_admin, ..User::default() })
}

pub(crate) fn transaction(transaction: Transaction) -> Command {
    Command { kind: Some(command::Kind::Transaction(transaction)) }
}

/// A draft, where nothing else will do.
pub(crate) fn draft(decision: Decision) -> Draft {
    match decision {
        Decision::Transact(draft) => draft,
        other => panic!("no transaction but {other:?}"),
    }
}

/// Imports a profile that must be accepted.
pub(crate) fn imported(world: &mut World, scope: &str, profile: ProviderProfile) {
    let answer = world.ok(&import(scope, &[profile]));
    assert!(answer.imported, "{}", texts(&answer.diagnostics));
}

/// A refresh state of a provider in `default` that mints `key`; not stored yet.
pub(crate) fn refresh(
    world: &World,
    provider: &str,
    id: &str,
    key: &str,
    epoch: &str,
) -> StoredProviderCredentialRefreshState {
    let provider = world.stored_provider(provider).metadata.clone().expect("metadata");
    StoredProviderCredentialRefreshState {
        metadata: Some(ObjectMeta { id: id.to_owned(), resource_version: 1, ..ObjectMeta::default() }),
        provider_id: provider.id,
        provider_name: provider.name,
        credential_key: key.to_owned(),
        strategy: Strategy::Oauth2RefreshToken as i32,
        authorization_epoch: epoch.to_owned(),
        ..StoredProviderCredentialRefreshState::default()
    }
}

/// Fields of the errors among diagnostics, in order.
pub(crate) fn fields(diagnostics: &[ProviderProfileDiagnostic]) -> Vec<&str> {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == "error");
    errors.map(|diagnostic| diagnostic.field.as_str()).collect()
}

/// The texts of diagnostics in one.
pub(crate) fn texts(diagnostics: &[ProviderProfileDiagnostic]) -> String {
    diagnostics.iter().map(|diagnostic| diagnostic.message.as_str()).collect::<Vec<_>>().join("\n")
}

pub(crate) fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[track_caller]
pub(crate) fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{text:?} lacks {word:?}");
    }
}
