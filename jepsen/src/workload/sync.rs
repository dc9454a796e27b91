//! Sandboxes that are kept current by the library, as tasks of this process, while one client changes what
//! they compose to. Now and then each is stopped and started again on what it has.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use openshell_proto::v1::ProviderProfile;
use openshell_sync::{Change, ChangeKind, SyncClient};
use openshell_tests::{Api, layered_hosts, profile};
use rand::Rng;
use tokio::time::{Instant, timeout_at};

use super::client::Client;
use super::followed::{FOLLOW, Followed, Problems};
use super::furnish::Furnishing;
use super::part::{self, Part, Tasks};
use super::profiles::Profiles;
use super::running::note_follower;
use super::{Shared, Workload};
use crate::env;
use crate::history::{Action, Edit, Line, Outcome, Position};
use crate::recorder::Recorder;

const PACE: Duration = Duration::from_millis(250);
const SANDBOXES: u64 = 4;
/// The profile that changes, and the provider of it.
const KEY: &str = "sync-moving";
const PROVIDER: &str = "moving";
const DOMAIN: &str = ".example.com";
/// A sandbox is started anew after a time within these.
const LIVES_MS: std::ops::Range<u64> = 4_000..20_000;

pub(super) struct Sync {
    shared: Arc<Shared>,
    profiles: Profiles,
    followers: Vec<Followed>,
}

/// The value of the profile is the host that it allows.
fn allowing(key: &str, value: &str) -> ProviderProfile {
    ProviderProfile { display_name: value.to_owned(), ..profile(key, &[&format!("{value}{DOMAIN}")]) }
}

impl Sync {
    /// Makes the profile, its provider, and sandboxes with it.
    pub(super) async fn prepare(shared: &Arc<Shared>) -> anyhow::Result<Self> {
        let workspace = part::workspace(shared, "sync").await?;
        let room = Furnishing::of(shared, &workspace);
        room.compose_rules().await?;
        room.profiles(&shared.recorder, Workload::Sync, vec![allowing(KEY, "first")]).await?;
        room.provider(PROVIDER, KEY).await?;
        let folder = Arc::new(env::folder_for("sync")?);
        let mut followers = Vec::new();
        for number in 0..SANDBOXES {
            followers.push(Followed::new(&room, &format!("box-{number}"), &[PROVIDER], &folder).await?);
        }
        let profiles = Profiles { workspace, make: allowing, reads: shared.wishes.reads };
        Ok(Self { shared: Arc::clone(shared), profiles, followers })
    }
}

impl Part for Sync {
    fn start(&self, clients: &mut Tasks, followers: &mut Tasks) {
        let mut writer = Client::new(&self.shared, Workload::Sync, 0).every(PACE);
        let (profiles, mut version) = (self.profiles.clone(), None);
        clients.spawn(async move {
            while writer.turn().await {
                write(&mut writer, &mut version, &profiles).await;
            }
            Ok(())
        });
        for (number, follower) in (1..).zip(&self.followers) {
            let client = Client::new(&self.shared, Workload::Sync, number);
            note_follower(&self.shared.recorder, Workload::Sync, &follower.name, false);
            followers.spawn(follow(client, follower.clone()));
        }
    }

    fn finish(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let perform = |api: Api, action: Action| async move { self.profiles.perform(&api, &action).await };
            part::ask_everywhere(&self.shared, Workload::Sync, &[read()], perform).await;
        })
    }
}

fn read() -> Action {
    Action::Read { keys: vec![KEY.to_owned()] }
}

/// An update on the version that is known, or a look at what it is.
async fn write(client: &mut Client, version: &mut Option<u64>, profiles: &Profiles) {
    let action = match *version {
        Some(on) => Action::Write { edits: vec![Edit::Replace { key: KEY.to_owned(), on, value: client.value() }] },
        None => read(),
    };
    let perform = |api: Api| {
        let action = &action;
        async move { profiles.perform(&api, action).await }
    };
    let outcome = match &action {
        Action::Write { .. } => client.write(action.clone(), perform).await,
        _ => client.read(action.clone(), perform).await,
    };
    *version = match outcome {
        Outcome::Found { cells } => cells.get(KEY).map(|cell| cell.version),
        Outcome::Done { versions } => versions.get(KEY).copied(),
        _ => None,
    };
}

/// One life of a sandbox after the other, until the last has come to the end.
async fn follow(mut client: Client, follower: Followed) -> anyhow::Result<()> {
    loop {
        let noting = hook(&client.shared.recorder, &follower.name);
        let sync = follower.start(&mut client, noting).await?;
        let ends = Instant::now() + Duration::from_millis(client.random.random_range(LIVES_MS));
        let has_ended = live(&client, &sync, ends).await;
        sync.stop().await;
        if has_ended {
            note_follower(&client.shared.recorder, Workload::Sync, &follower.name, true);
            return Ok(());
        }
    }
}

/// Waits until it is time, or until the sandbox is where the cluster came to rest; whether it is.
async fn live(client: &Client, sync: &SyncClient, ends: Instant) -> bool {
    let (mut status, mut settled, note) = (sync.status(), client.shared.settled.clone(), client.notes(FOLLOW));
    let mut problems = Problems::default();
    loop {
        let (position, problem) = {
            let status = status.borrow_and_update();
            (status.position, status.problem.clone())
        };
        problems.told(problem).into_iter().for_each(&note);
        let position = position.map(|at| Position { epoch: at.epoch, revision: at.revision });
        let end = *settled.borrow_and_update();
        if end.is_some_and(|end| position >= Some(end)) {
            return true;
        }
        // What a heartbeat brings is no change that wakes anybody.
        let look = Instant::now() + Duration::from_millis(500);
        let changed = async {
            tokio::select! {
                Ok(()) = status.changed() => {}
                Ok(()) = settled.changed() => {}
                // Nobody tells of anything any more.
                else => pending().await,
            }
        };
        let _ = timeout_at(look, changed).await;
        if end.is_none() && Instant::now() >= ends {
            return false;
        }
    }
}

/// Writes down what is put into force.
fn hook(recorder: &Arc<Recorder>, sandbox: &str) -> impl Fn(&Change) -> Result<(), String> + use<> {
    let (recorder, sandbox) = (Arc::clone(recorder), sandbox.to_owned());
    move |change| {
        if !matches!(change.kind, ChangeKind::Installed | ChangeKind::Restored) {
            return Ok(());
        }
        let configuration = &change.configuration;
        let hosts = layered_hosts(&configuration.config.policy.clone().unwrap_or_default(), PROVIDER);
        let value = hosts.first().map(|host| host.trim_end_matches(DOMAIN).to_owned()).unwrap_or_default();
        recorder.add(Line::Installed {
            sandbox: sandbox.clone(),
            time_ns: recorder.now_ns(),
            kind: change.kind.as_str().to_owned(),
            at: configuration.position.map(|at| Position { epoch: at.epoch, revision: at.revision }),
            key: KEY.to_owned(),
            value,
        });
        Ok(())
    }
}
