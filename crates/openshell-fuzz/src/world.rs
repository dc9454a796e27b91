//! The small state and the small policy that targets work on: a profile, a provider of it and a sandbox that
//! has it attached, so that every part of the rules has something to look at.

use std::sync::OnceLock;

use openshell_policy::yaml;
use openshell_proto::datamodel::ObjectMeta;
use openshell_proto::datamodel::Provider;
use openshell_proto::log::{Command, Origin, command};
use openshell_proto::sandbox::SandboxPolicy;
use openshell_proto::v1::{
    CreateProviderRequest, CreateSandboxRequest, ImportProviderProfilesRequest, ProviderProfileImportItem, SandboxSpec,
};
use openshell_providers::file;
use openshell_state::access::{Principal, User};
use openshell_state::decide::{formation, profile, provider, sandbox};
use openshell_state::{Call, Decision, Identifiers, Refusal, Sealer, Stamp, State};

const PROFILE: &str = "id: acme\ndisplay_name: Acme\ncategory: other\n\
    credentials: [{name: token, env_vars: [ACME_TOKEN], auth_style: bearer, header_name: authorization}]\n\
    endpoints: [{host: api.acme.example, port: 443, protocol: rest, access: read-only}]\n\
    binaries: [/usr/bin/curl]\n";

const POLICY: &str = "version: 1\nnetwork_policies:\n  web:\n    endpoints:\n\
    \x20     - {host: api.example.com, port: 443, protocol: rest, enforcement: enforce, rules: [{allow: {method: GET, path: /v1/**}}]}\n\
    \x20     - {host: '*.cdn.example.com', ports: [80, 443]}\n\
    \x20     - {host: mcp.example.com, port: 443, protocol: mcp, rules: [{allow: {method: tools/call, tool: read}}]}\n\
    \x20   binaries: [{path: /usr/bin/curl}]\n";

const TIME_MS: i64 = 1_700_000_000_000;

/// A formed cluster with little in it.
pub(crate) struct World {
    state: State,
    principal: Principal,
}

/// Names and seals that are always the same: nothing of an input depends on them.
struct Fixed;

impl Identifiers for Fixed {
    fn uuid(&self) -> String {
        "6f1c1b0a-8f6e-4d55-9c0b-0d3c3a3f1e11".to_owned()
    }

    fn letters(&self) -> String {
        "abcdef".to_owned()
    }

    fn choose(&self, _: usize) -> usize {
        0
    }

    fn key(&self) -> [u8; 32] {
        [7; 32]
    }
}

impl Sealer for Fixed {
    fn seal(&self, _: &str, _: &str, _: &str, _: &str, _: &[u8]) -> String {
        "sealed".to_owned()
    }
}

fn stamp() -> Stamp<'static> {
    Stamp { time_ms: TIME_MS, identifiers: &Fixed, sealer: &Fixed }
}

/// The state, made once.
pub(crate) fn small() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(World::new)
}

/// The policy, read once.
pub(crate) fn policy() -> &'static SandboxPolicy {
    static READ: OnceLock<SandboxPolicy> = OnceLock::new();
    READ.get_or_init(|| yaml::parse(POLICY).expect("our own policy"))
}

impl World {
    fn new() -> Self {
        let principal = Principal::User(User { platform_admin: true, ..User::default() });
        let mut world = Self { state: State::empty(), principal };
        world.apply(&formation::form("fuzz", 1, stamp()));
        let profile = file::lower(file::parse_yaml(PROFILE).expect("our own profile")).expect("our own profile");
        let item = ProviderProfileImportItem { profile: Some(profile), ..ProviderProfileImportItem::default() };
        let request = ImportProviderProfilesRequest { profiles: vec![item], workspace: "default".to_owned() };
        world.commit(|call| profile::import(call, &request));
        let named = |name: &str| {
            Some(ObjectMeta { name: name.to_owned(), workspace: "default".to_owned(), ..ObjectMeta::default() })
        };
        let credentials = [("ACME_TOKEN".to_owned(), "secret".to_owned())].into();
        let request = CreateProviderRequest {
            provider: Some(Provider {
                metadata: named("main"),
                r#type: "acme".to_owned(),
                credentials,
                ..Provider::default()
            }),
            ..CreateProviderRequest::default()
        };
        world.commit(|call| provider::create(call, &request));
        let spec = SandboxSpec {
            policy: Some(policy().clone()),
            providers: vec!["main".to_owned()],
            ..SandboxSpec::default()
        };
        let request = CreateSandboxRequest {
            name: "box".to_owned(),
            workspace: "default".to_owned(),
            spec: Some(spec),
            ..CreateSandboxRequest::default()
        };
        world.commit(|call| sandbox::create(call, &request));
        world
    }

    /// What a rule decides; nothing is applied.
    pub(crate) fn call(&self, rule: impl Fn(Call<'_>) -> Result<Decision, Refusal>) -> Decision {
        rule(Call { state: &self.state, principal: &self.principal, stamp: stamp() }).into()
    }

    fn commit(&mut self, rule: impl Fn(Call<'_>) -> Result<Decision, Refusal>) {
        let Decision::Transact(draft) = self.call(rule) else { panic!("our own requests are accepted") };
        let origin = Origin { time_ms: TIME_MS, node: 1, ..Origin::default() };
        let transaction = draft.into_transaction(origin);
        self.apply(&Command { kind: Some(command::Kind::Transaction(transaction)) });
    }

    fn apply(&mut self, command: &Command) {
        self.state.apply(self.state.revision() + 1, command).expect("our own commands are known");
    }
}
