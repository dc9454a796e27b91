//! Sandboxes that are kept current by `openshell-sync`, the library in this process and the program beside
//! it, on real gateways.

mod acknowledged;
mod faults;
mod hooks;
mod program;
mod quiet;
mod released;
mod restored;
mod standing_still;
mod starting;
mod tokens;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use openshell_client::Tls;
use openshell_proto::sandbox::SandboxPolicy;
use openshell_proto::v1::ProviderProfile;
use openshell_sync::{Position, Standing};
use openshell_tests::{
    Api, Cluster, ClusterOptions, Follower, Scene, eventually, folder_in_memory, layered_hosts, policy_allowing,
    profile,
};
use tempfile::TempDir;

/// For what no promise is made about.
const LIMIT: Duration = Duration::from_secs(90);
const PROVIDER: &str = "moving";
/// How the names of folders begin in which sandboxes keep what they have.
const FOLDER: &str = "openshell-sync-";

/// A workspace with a profile that changes and a provider of it.
struct Stage {
    scene: Scene,
    stored: ProviderProfile,
    updates: u32,
    folder: Arc<TempDir>,
}

impl Stage {
    async fn open(api: Api) -> Self {
        let folder = tempfile::Builder::new().prefix(FOLDER).tempdir().expect("a folder");
        Self::open_in(folder, api).await
    }

    /// For many sandboxes on one machine: what they keep is in memory.
    async fn open_for_a_crowd(api: Api) -> Self {
        let (folder, _) = folder_in_memory(FOLDER).expect("a folder");
        Self::open_in(folder, api).await
    }

    /// With what sandboxes keep in this folder.
    async fn open_in(folder: TempDir, api: Api) -> Self {
        api.enable_providers_v2(true).await;
        let scene = Scene::open(api).await;
        let stored = scene.import(profile(PROVIDER, &["a0.example.com"])).await;
        scene.create_provider(PROVIDER, PROVIDER).await;
        Self { scene, stored, updates: 0, folder: Arc::new(folder) }
    }

    /// So many sandboxes with the provider.
    async fn followers(&self, count: usize) -> Vec<Follower> {
        self.followers_with(count, &policy_allowing("docs.example.com")).await
    }

    /// The same with this policy of their own.
    async fn followers_with(&self, count: usize, policy: &SandboxPolicy) -> Vec<Follower> {
        let names = (0..count).map(|number| format!("box-{number}")).collect();
        let made = openshell_tests::followers(&self.scene, names, &[PROVIDER], policy, self.folder.path()).await;
        made.expect("every sandbox has a token")
    }

    /// One more token of a sandbox, made now.
    async fn token_of(&self, follower: &Follower) -> String {
        let again = Follower::new(&self.scene, &follower.name, &follower.id, self.folder.path()).await;
        again.expect("an admin gets a token").token
    }

    /// Changes the profile, and says the state that this made.
    async fn update(&mut self) -> Position {
        self.updates += 1;
        let mut edited = self.stored.clone();
        edited.endpoints[0].host = self.host();
        let answer = self.scene.update(edited).await;
        self.stored = answer.message;
        let (epoch, revision) = answer.seen.epoch.zip(answer.seen.revision).expect("an answer says its state");
        Position { epoch, revision }
    }

    /// The host that the profile has now.
    fn host(&self) -> String {
        format!("a{}.example.com", self.updates)
    }

    /// The words for the program, for one of the followers.
    fn words(&self, follower: &Follower, cluster: &Cluster) -> Vec<String> {
        let token = self.folder.path().join(format!("{}.token", follower.name));
        // At once, as whoever renews a token does it: a program may read it meanwhile.
        let whole = token.with_extension("new");
        std::fs::write(&whole, &follower.token).expect("the token is written");
        std::fs::rename(whole, &token).expect("the token is in its place");
        let text = |path: &std::path::Path| path.to_str().expect("text").to_owned();
        let flags = [
            ("--sandbox-id", follower.id.clone()),
            ("--token-file", text(&token)),
            ("--gateway-endpoint", cluster.endpoints()),
            ("--state-dir", text(&follower.state_dir)),
        ];
        flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
    }
}

async fn one_node() -> Cluster {
    Cluster::start_with(ClusterOptions { nodes: 1, ..ClusterOptions::default() }).await.expect("it starts")
}

/// In the zone of each node, a third of the sandboxes; they follow the node beside them.
async fn start_beside_the_nodes(followers: &mut [Follower], cluster: &Cluster, tls: &Tls) {
    for (number, follower) in (0_u64..).zip(followers) {
        let zone = format!("zone-{}", number % 3 + 1);
        follower.start(&cluster.endpoints(), tls.clone(), Some(zone)).await.expect("it starts");
    }
}

/// Whether a sandbox is current and has this host of the profile, no earlier than a position.
fn has(follower: &Follower, host: &str, position: Position) -> bool {
    let status = follower.status();
    let policy = status.configuration.as_ref().and_then(|configuration| configuration.config.policy.as_ref());
    status.standing == Standing::Current
        && status.position.is_some_and(|found| found >= position)
        && policy.is_some_and(|policy| layered_hosts(policy, PROVIDER) == [host])
}

/// Whether a sandbox is current, no earlier than a position, at another node than this one.
fn is_current_elsewhere(follower: &Follower, node: u64, position: Position) -> bool {
    let status = follower.status();
    status.standing == Standing::Current
        && status.position.is_some_and(|found| found >= position)
        && status.node.is_some_and(|followed| followed != node)
}

/// Waits until every one has it.
async fn all_have(followers: &[Follower], host: &str, position: Position, limit: Duration) {
    let what = format!("every sandbox to have {host} at {position}");
    all_are(followers, &what, limit, |follower| has(follower, host, position)).await;
}

/// Waits until every one is so, or says who is not.
async fn all_are(followers: &[Follower], what: &str, limit: Duration, is_so: impl Fn(&Follower) -> bool) {
    let outcome = eventually(what, limit, async || followers.iter().all(&is_so).then_some(()));
    if let Err(error) = outcome.await {
        let late: Vec<String> = followers.iter().filter(|follower| !is_so(follower)).map(line).collect();
        panic!("{error}: {} of {} are late\n{}", late.len(), followers.len(), late.join("\n"));
    }
}

fn line(follower: &Follower) -> String {
    let status = follower.status();
    let found = status.configuration.as_ref().and_then(|configuration| configuration.config.policy.as_ref());
    let hosts = found.map(|policy| layered_hosts(policy, PROVIDER));
    let (standing, position, node) = (status.standing, status.position, status.node);
    format!("{}: {standing:?} at {position:?} on node {node:?}, {hosts:?}; {}", follower.name, status.problem)
}

/// No one ever put into force what is older than what it had; what came last is the newest.
#[track_caller]
fn nobody_went_back(followers: &[Follower], host: &str) {
    for follower in followers {
        let record = follower.record();
        let positions: Vec<_> = record.iter().map(|installed| installed.position).collect();
        assert!(positions.is_sorted(), "{} went back: {positions:?}", follower.name);
        let numbers: Vec<u32> =
            record.iter().map(|installed| number(&layered_hosts(&installed.policy, PROVIDER))).collect();
        assert!(numbers.is_sorted(), "{} went back: {numbers:?}", follower.name);
        assert_eq!(numbers.last().map(|number| format!("a{number}.example.com")).as_deref(), Some(host));
    }
}

/// Which update a host is of.
#[track_caller]
fn number(hosts: &[String]) -> u32 {
    let [host] = hosts else { panic!("one host: {hosts:?}") };
    host.trim_start_matches('a').split('.').next().and_then(|number| number.parse().ok()).expect("a number")
}
