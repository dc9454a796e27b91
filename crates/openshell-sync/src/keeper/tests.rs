//! The keeper, step by step, on a clock that stands still unless it is set: what it says of offers that come
//! while the hook is busy, or fails. What becomes of what grows old is in `ageing`.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};

use openshell_proto::sandbox::GetSandboxConfigResponse;
use openshell_proto::v1::GetSandboxProviderEnvironmentResponse;
use tempfile::TempDir;

use super::leaving::LINGER;
use super::*;
use crate::installed::{Offer, WhenStale};
use crate::position::Position;

mod ageing;

const SECRET: &str = "not-a-real-secret";
/// What the clock says at first.
const START_MS: i64 = 1_800_000_000_000;

/// Refuses the configuration revisions that are noted here.
type Refused = Arc<Mutex<Vec<u64>>>;

struct Scene {
    folder: TempDir,
    keeper: Keeper,
    feed: watch::Sender<Feed>,
    outcome: watch::Receiver<Outcome>,
    refused: Refused,
    now_ms: Arc<AtomicI64>,
}

fn at(revision: u64) -> Option<Position> {
    Some(Position { epoch: 1, revision })
}

fn config(revision: u64) -> GetSandboxConfigResponse {
    GetSandboxConfigResponse { config_revision: revision, ..Default::default() }
}

/// A credential that is good for an hour.
fn credential() -> GetSandboxProviderEnvironmentResponse {
    let mut environment = GetSandboxProviderEnvironmentResponse { provider_env_revision: 1, ..Default::default() };
    environment.environment.insert("TOKEN".to_owned(), SECRET.to_owned());
    environment.credential_expires_at_ms.insert("TOKEN".to_owned(), START_MS + 3_600_000);
    environment
}

impl Scene {
    /// What a run finds in a folder, where at most a minute of age is tolerated.
    async fn open(folder: TempDir, refused: &Refused, now_ms: &Arc<AtomicI64>) -> Self {
        let (state, kept) = StateDir::open(folder.path(), "box").expect("it opens");
        let floor = kept.configuration.as_ref().and_then(|(found, _)| found.position).max(kept.standing.position);
        let (feed, heard) = watch::channel(Feed { position: floor, ..Feed::default() });
        let (settled, outcome) = watch::channel(Outcome { kept: floor, ..Outcome::default() });
        let (said, _) = watch::channel(Arc::new(Status::empty()));
        let no = Arc::clone(refused);
        let hook = move |change: &Change| {
            let is_refused = no.lock().expect("locked").contains(&change.configuration.config.config_revision);
            if is_refused && change.kind != ChangeKind::Closed { Err("no".to_owned()) } else { Ok(()) }
        };
        let age_policy = AgePolicy { max_age: Some(Duration::from_secs(60)), when_stale: WhenStale::FailClosed };
        let ends = Ends { feed: heard, outcome: settled, status: said, stop: CancellationToken::new() };
        let told = Arc::clone(now_ms);
        let clock = Clock::new(move || told.load(Ordering::Relaxed));
        let mut keeper = Keeper::new(state, kept, Arc::new(hook), age_policy, clock, ends);
        keeper.begin().await;
        Self { folder, keeper, feed, outcome, refused: Arc::clone(refused), now_ms: Arc::clone(now_ms) }
    }

    async fn new() -> Self {
        let now_ms = Arc::new(AtomicI64::new(START_MS));
        Self::open(TempDir::new().expect("a folder"), &Refused::default(), &now_ms).await
    }

    /// The same folder, as a process finds it that was not asked to stop.
    async fn crashed(self) -> Self {
        let Self { folder, keeper, refused, now_ms, .. } = self;
        drop(keeper);
        Self::open(folder, &refused, &now_ms).await
    }

    /// A node says what to install, as of so many seconds ago.
    fn offer(&mut self, revision: u64, config: Result<GetSandboxConfigResponse, String>, age_s: u64) {
        self.offer_with(revision, config, Ok(Default::default()), age_s);
    }

    fn offer_with(
        &mut self,
        revision: u64,
        config: Result<GetSandboxConfigResponse, String>,
        environment: Result<GetSandboxProviderEnvironmentResponse, String>,
        age_s: u64,
    ) {
        let offer = Offer { position: at(revision), config, environment };
        self.feed.send_modify(|feed| {
            (feed.offer, feed.said, feed.position) = (Some(Arc::new(offer)), at(revision), at(revision));
            feed.offers += 1;
            feed.followed = true;
        });
        self.beat(age_s);
        self.keeper.take_offer();
    }

    fn beat(&mut self, age_s: u64) {
        let as_of_ms = self.now_ms.load(Ordering::Relaxed) - clock::ms(Duration::from_secs(age_s));
        self.feed.send_modify(|feed| feed.as_of_ms = as_of_ms);
    }

    /// Until the hook has nothing to do.
    async fn settle(&mut self) {
        loop {
            self.keeper.advance().await;
            if self.keeper.applying.is_none() {
                return;
            }
            self.answer().await;
        }
    }

    /// A credential is installed, whose value is on disk.
    async fn with_token() -> Self {
        let mut scene = Self::new().await;
        scene.offer_with(1, Ok(config(1)), Ok(credential()), 0);
        scene.settle().await;
        assert!(scene.holds_secret());
        scene
    }

    /// It expired: in memory it is gone, and the disk has not taken that yet.
    fn expire(&mut self) {
        let installed = self.keeper.installed.as_mut().expect("installed");
        let left = installed.configuration.without_expired(i64::MAX).expect("one expired").0;
        installed.configuration = Arc::new(left);
        self.keeper.rewrite_at = Some(Instant::now());
    }

    fn holds_secret(&self) -> bool {
        let credentials = self.folder.path().join("current/credentials.json");
        std::fs::read_to_string(credentials).expect("it is there").contains(SECRET)
    }

    /// Where whoever has followed the link reads.
    fn followed(&self) -> PathBuf {
        self.folder.path().join("current").canonicalize().expect("the link leads there")
    }

    async fn answer(&mut self) {
        let done = applied(&mut self.keeper.applying).await;
        self.keeper.conclude(done).await;
    }

    fn report(&self) -> Option<(Position, String)> {
        self.feed.borrow().report(&self.outcome.borrow())
    }

    /// So much time goes by, in which nobody says anything.
    fn pass(&self, seconds: u64) {
        self.now_ms.fetch_add(clock::ms(Duration::from_secs(seconds)), Ordering::Relaxed);
    }

    /// So much time goes by, in which the node says every two seconds that what it said last is the newest.
    async fn beats(&mut self, seconds: u64) {
        for _ in 0..seconds / 2 {
            self.pass(2);
            self.beat(0);
            self.settle().await;
        }
    }

    /// The policy that is in force, and whether the credential is.
    fn in_force(&self) -> Option<(u64, bool)> {
        let installed = self.keeper.installed.as_ref().filter(|_| !self.keeper.is_closed)?;
        let configuration = &installed.configuration;
        Some((configuration.config.config_revision, configuration.environment.environment.contains_key("TOKEN")))
    }
}

fn refusal<T>() -> Result<T, String> {
    Err("the provider is missing".to_owned())
}

fn applied_at(revision: u64) -> Option<(Position, String)> {
    at(revision).map(|position| (position, String::new()))
}

#[tokio::test]
async fn an_offer_that_comes_while_the_hook_is_told_of_the_restored_one_is_not_reported_before_it_is_tried() {
    let mut scene = Scene::new().await;
    scene.offer(1, Ok(config(1)), 0);
    scene.settle().await;
    assert_eq!(scene.report(), applied_at(1));
    for refuses in [false, true] {
        scene = scene.crashed().await;
        scene.keeper.advance().await;
        assert!(matches!(scene.keeper.applying, Some((Work::Telling(ChangeKind::Restored), _))));
        assert_eq!(scene.feed.borrow().claim(&scene.outcome.borrow()), (None, (0, 0)), "the hook has not accepted it");
        scene.refused.lock().expect("locked").extend(refuses.then_some(1));
        scene.offer(2, Ok(config(2)), 0);
        scene.answer().await;
        assert_eq!(scene.report(), None, "nobody tried it");
        scene.settle().await;
        assert_eq!(scene.report(), applied_at(2));
        scene.refused.lock().expect("locked").clear();
        scene.offer(3, Ok(config(1)), 0);
        scene.settle().await;
        assert_eq!(scene.report(), applied_at(3));
    }
}

#[tokio::test]
async fn a_position_is_on_disk_before_it_is_reported() {
    let mut scene = Scene::new().await;
    scene.offer(10, Ok(config(1)), 0);
    scene.settle().await;
    // It was another one meanwhile, and is the same again: nothing is installed.
    scene.offer(30, Ok(config(1)), 0);
    assert_eq!(scene.report(), None);
    scene.settle().await;
    assert_eq!(scene.report(), applied_at(30));
    let scene = scene.crashed().await;
    assert_eq!(scene.outcome.borrow().kept, at(30), "nothing older is installed after a crash");
}

#[tokio::test]
async fn the_same_that_failed_is_not_tried_sooner_because_it_is_offered_again() {
    let mut scene = Scene::new().await;
    scene.refused.lock().expect("locked").push(1);
    scene.offer(1, Ok(config(1)), 0);
    scene.keeper.advance().await;
    scene.answer().await;
    let tried = |scene: &Scene| scene.keeper.candidate.as_ref().map(|candidate| (candidate.attempts, candidate.at));
    let first = tried(&scene).expect("it is tried again");
    assert_eq!(first.0, 1);
    scene.offer(2, Ok(config(1)), 0);
    assert_eq!(tried(&scene), Some(first));
    assert_eq!(scene.report(), at(2).map(|position| (position, "no".to_owned())));
    scene.offer(3, Ok(config(3)), 0);
    assert_eq!(tried(&scene).map(|(attempts, _)| attempts), Some(0), "another one is, at once");
}

#[tokio::test]
async fn a_credential_that_expired_leaves_the_disk_at_once() {
    let mut scene = Scene::with_token().await;
    // One that was replaced just before holds it as well.
    let first = scene.followed();
    let installed = scene.keeper.installed.as_ref().expect("installed");
    let same = Configuration { position: at(2), ..(*installed.configuration).clone() };
    let as_of = AsOf::default();
    let next = scene.keeper.on_disk("staging", move |state| state.stage(&same, as_of)).await.expect("staged");
    let committing = next.clone();
    let replaced = scene.keeper.on_disk("installing", move |state| state.commit(&committing, false)).await;
    scene.keeper.linger(replaced.expect("in its place"));
    scene.keeper.installed.as_mut().expect("installed").staged = next;
    let second = scene.followed();
    assert!(first != second && first.exists());
    scene.expire();
    scene.keeper.advance().await;
    assert!(!scene.holds_secret() && scene.keeper.rewrite_at.is_none());
    assert_eq!((first.exists(), second.exists()), (false, false));
}

#[tokio::test]
async fn a_credential_that_expired_stays_only_for_the_hook_that_was_told_of_it() {
    let mut scene = Scene::with_token().await;
    scene.expire();
    // Meanwhile the hook is busy with the folder of before.
    scene.keeper.untold = Some(ChangeKind::CredentialsExpired);
    scene.keeper.start_work().await;
    let read = scene.followed();
    scene.keeper.advance().await;
    assert!(!scene.holds_secret() && scene.keeper.rewrite_at.is_none());
    assert!(read.exists(), "the hook still reads it");
    assert_eq!(scene.keeper.next_to_leave(), None, "its answer is waited for");
    scene.answer().await;
    scene.keeper.advance().await;
    assert!(!read.exists());
}

#[tokio::test]
async fn who_followed_the_link_before_it_was_switched_finds_the_files_for_a_moment() {
    let mut scene = Scene::new().await;
    scene.offer(1, Ok(config(1)), 0);
    scene.settle().await;
    let read = scene.followed().join("config.json");
    let since = Instant::now();
    scene.offer(2, Ok(config(2)), 0);
    scene.settle().await;
    assert_ne!(scene.followed().join("config.json"), read, "the link leads elsewhere");
    assert!(scene.keeper.next_tick() <= Instant::now() + LINGER, "it wakes up to remove it");
    while read.exists() {
        assert!(since.elapsed() < LINGER * 20, "it is not removed");
        sleep_until(scene.keeper.next_tick()).await;
        scene.keeper.advance().await;
    }
    assert!(since.elapsed() >= LINGER, "it was removed after {:?}", since.elapsed());
    assert!(scene.keeper.leaving.is_empty());
}
