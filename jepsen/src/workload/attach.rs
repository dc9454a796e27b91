//! Attachments against profile updates: each is fine by itself, and some are not together, since two
//! providers that grant tokens for the same place would make it ambiguous whose is used. All clients do
//! both at once, and look whether every sandbox composes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use openshell_client::{Answer, methods};
use openshell_proto::sandbox::GetSandboxConfigRequest;
use openshell_proto::v1::ProviderProfile;
use openshell_tests::{Api, token_grant_profile};
use rand::Rng;

use super::attachments::Attachments;
use super::client::Client;
use super::furnish::Furnishing;
use super::heard::Heard;
use super::part::{self, Part, Tasks};
use super::profiles::Profiles;
use super::{Shared, Workload};
use crate::history::{Action, Edit, Outcome};

const PACE: Duration = Duration::from_millis(30);
const PROVIDERS: [&str; 4] = ["a", "b", "c", "d"];
const SANDBOXES: usize = 3;
/// One set of sandboxes is used for so many shifts.
const SHIFTS: usize = 3;
/// Places that tokens are granted for; fewer than providers, so that they meet.
const PLACES: [&str; 3] = ["x", "y", "z"];

pub(super) struct Attach {
    shared: Arc<Shared>,
    sets: Arc<Vec<Set>>,
}

/// What is used at one time.
struct Set {
    profiles: Profiles,
    attachments: Attachments,
    /// Of each sandbox: name and id.
    sandboxes: Vec<(String, String)>,
    number: usize,
}

/// The value of a profile begins with the place that it grants tokens for.
fn granting(key: &str, value: &str) -> ProviderProfile {
    let place = value.split('.').next().unwrap_or_default();
    ProviderProfile { display_name: value.to_owned(), ..token_grant_profile(key, &format!("/{place}/**")) }
}

fn profile_key(set: usize, provider: &str) -> String {
    format!("attach-{set}-{provider}")
}

impl Attach {
    /// Makes profiles that grant tokens, providers of them, and sandboxes with one provider each.
    pub(super) async fn prepare(shared: &Arc<Shared>) -> anyhow::Result<Self> {
        let mut sets = Vec::new();
        for number in 0..shared.shifts().div_ceil(SHIFTS) {
            sets.push(Set::prepare(shared, number).await?);
        }
        Ok(Self { shared: Arc::clone(shared), sets: Arc::new(sets) })
    }
}

impl Set {
    async fn prepare(shared: &Arc<Shared>, number: usize) -> anyhow::Result<Self> {
        let workspace = part::workspace(shared, "attach").await?;
        let room = Furnishing::of(shared, &workspace);
        room.compose_rules().await?;
        let places = PLACES.iter().cycle().zip(PROVIDERS);
        let profiles =
            places.map(|(place, provider)| granting(&profile_key(number, provider), &format!("{place}.first")));
        room.profiles(&shared.recorder, Workload::Attach, profiles.collect()).await?;
        for provider in PROVIDERS {
            room.provider(provider, &profile_key(number, provider)).await?;
        }
        let mut sandboxes = Vec::new();
        for box_number in 0..SANDBOXES {
            let name = format!("box-{number}-{box_number}");
            let id = room.sandbox(&name, &[]).await?;
            let keys: Vec<String> = PROVIDERS.iter().map(|provider| Attachments::key(&name, provider)).collect();
            shared.recorder.object(Workload::Attach, &name, &keys);
            sandboxes.push((name, id));
        }
        let profiles = Profiles { workspace: workspace.clone(), make: granting, reads: shared.wishes.reads };
        Ok(Self { profiles, attachments: Attachments { workspace, reads: shared.wishes.reads }, sandboxes, number })
    }

    async fn perform(&self, api: &Api, action: &Action) -> Heard {
        match action {
            Action::Call { rpc } => compose(api, rpc).await,
            other if other.keys().iter().any(|key| key.contains('/')) => self.attachments.perform(api, other).await,
            other => self.profiles.perform(api, other).await,
        }
    }

    /// Everything that can be read of it.
    fn reads(&self) -> Vec<Action> {
        let profiles = PROVIDERS.iter().map(|provider| Action::Read { keys: vec![profile_key(self.number, provider)] });
        let boxes = self.sandboxes.iter().flat_map(|(name, id)| [composition(id), attached(name)]);
        profiles.chain(boxes).collect()
    }
}

/// The composition of a sandbox, by its id.
fn composition(id: &str) -> Action {
    Action::Call { rpc: format!("GetSandboxConfig {id}") }
}

/// What is attached to a sandbox.
fn attached(name: &str) -> Action {
    Action::Read { keys: PROVIDERS.iter().map(|provider| Attachments::key(name, provider)).collect() }
}

impl Part for Attach {
    fn start(&self, clients: &mut Tasks, _: &mut Tasks) {
        for number in 0..self.shared.wishes.clients.div_ceil(2) {
            let mut client = Client::new(&self.shared, Workload::Attach, number).every(PACE);
            let (sets, mut versions) = (Arc::clone(&self.sets), BTreeMap::new());
            clients.spawn(async move {
                while client.turn().await {
                    let set = &sets[client.shared.shift() / SHIFTS];
                    step(&mut client, &mut versions, set).await;
                }
                Ok(())
            });
        }
    }

    fn finish(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            for set in self.sets.iter() {
                let perform = |api: Api, action: Action| async move { set.perform(&api, &action).await };
                part::ask_everywhere(&self.shared, Workload::Attach, &set.reads(), perform).await;
            }
        })
    }
}

async fn step(client: &mut Client, versions: &mut BTreeMap<String, u64>, set: &Set) {
    let action = choose(client, versions, set);
    let perform = |api: Api| {
        let action = &action;
        async move { set.perform(&api, action).await }
    };
    let outcome = match &action {
        Action::Write { .. } => client.write(action.clone(), perform).await,
        _ => client.read(action.clone(), perform).await,
    };
    match outcome {
        Outcome::Found { cells } => versions.extend(cells.into_iter().map(|(key, cell)| (key, cell.version))),
        Outcome::Done { versions: made } => versions.extend(made),
        Outcome::Conflict { key, current: Some(current) } => drop(versions.insert(key, current)),
        _ => {}
    }
}

fn choose(client: &mut Client, versions: &BTreeMap<String, u64>, set: &Set) -> Action {
    let provider = PROVIDERS[client.random.random_range(0..PROVIDERS.len())];
    let (name, id) = &set.sandboxes[client.random.random_range(0..set.sandboxes.len())];
    let (profile, key) = (profile_key(set.number, provider), Attachments::key(name, provider));
    let edit = match client.random.random_range(0..100) {
        0..20 => return composition(id),
        20..30 => return attached(name),
        30..60 => Edit::Create { key, value: Attachments::VALUE.to_owned() },
        60..75 => Edit::Remove { key },
        _ => {
            let Some(on) = versions.get(&profile).copied() else { return Action::Read { keys: vec![profile] } };
            let place = PLACES[client.random.random_range(0..PLACES.len())];
            Edit::Replace { key: profile, on, value: format!("{place}.{}", client.value()) }
        }
    };
    Action::Write { edits: vec![edit] }
}

/// Reads what a sandbox composes to, which is answered, and names no place twice.
async fn compose(api: &Api, call: &str) -> Heard {
    let sandbox_id = call.split(' ').nth(1).unwrap_or_default().to_owned();
    match api.linearizable().call(&methods::GET_SANDBOX_CONFIG, GetSandboxConfigRequest { sandbox_id }).await {
        Ok(Answer { message, seen, .. }) => {
            let policy = message.policy.unwrap_or_default();
            let provided = policy.network_policies.iter().filter(|(key, _)| key.starts_with("_provider_"));
            let places =
                provided.flat_map(|(_, rule)| &rule.endpoints).map(|place| (&place.host, place.port, &place.path));
            let (mut places, mut met) = (places, BTreeSet::new());
            match places.find(|place| !met.insert(*place)) {
                None => Heard::of(Outcome::Answered, &seen),
                Some(place) => Heard::wrong(format!("the policy is ambiguous at {place:?}"), &seen),
            }
        }
        Err(error) => Heard::failed(error, |_| None),
    }
}
