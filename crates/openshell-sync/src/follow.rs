//! The task that follows a node: it finds the nearest one, goes on at another when that fails, and passes
//! on what it hears. What one session hears is in `session`; what is done with it, in `keeper`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use openshell_client::EndpointUrl;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::feed::{Feed, Outcome};
use crate::installed::Floor;
use crate::nearest::Nearest;
use crate::node::{self, Measured};
use crate::options::Options;
use crate::position::Position;
use crate::token::Token;

/// Spread over so much, so that those who lost the same node do not all ask another at one instant.
const SPREAD: Duration = Duration::from_millis(100);
/// The longest pause when every node failed, before the next one is asked.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// The longest pause after the sandbox as such was refused.
const REFUSED_PAUSE_MAX: Duration = Duration::from_secs(15);
/// How often the token's file is looked at meanwhile.
const TOKEN_LOOK: Duration = Duration::from_secs(1);
/// What the others have left to answer when the nodes are measured and one has.
pub(crate) const PATIENCE: Duration = Duration::from_millis(200);

/// How a session came to its end.
#[derive(Debug)]
pub(crate) enum End {
    /// Nothing failed; it begins again at this node.
    At(EndpointUrl),
    /// The node is no use now; another may be.
    Lost(String),
    /// The node does not let this sandbox in, and others will hardly.
    Refused(String),
    /// Asked to stop.
    Stopped,
}

/// Everything that outlives a session.
pub(crate) struct Follower {
    pub(crate) options: Arc<Options>,
    pub(crate) token: Token,
    pub(crate) nearest: Nearest,
    pub(crate) random: StdRng,
    pub(crate) feed: watch::Sender<Feed>,
    pub(crate) outcome: watch::Receiver<Outcome>,
    pub(crate) floor: Floor,
    pub(crate) stop: CancellationToken,
    begun: Instant,
    /// In a row, without a session that served.
    losses: u32,
    refusals: u32,
}

impl Follower {
    pub(crate) fn new(
        options: Arc<Options>,
        token: Token,
        floor: Option<Position>,
        feed: watch::Sender<Feed>,
        outcome: watch::Receiver<Outcome>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            nearest: Nearest::new(&options.endpoints, options.zone.clone()),
            options,
            token,
            random: StdRng::from_os_rng(),
            feed,
            outcome,
            floor: Floor(floor),
            stop,
            begun: Instant::now(),
            losses: 0,
            refusals: 0,
        }
    }

    /// Follows until it is asked to stop.
    pub(crate) async fn run(mut self) {
        let stop = self.stop.clone();
        let mut next = tokio::select! {
            () = stop.cancelled() => return,
            () = self.discover() => None,
        };
        loop {
            let now_ms = self.now_ms();
            let chosen = next.take().or_else(|| self.nearest.choose(now_ms, &mut self.random));
            // There always is one: options without endpoints are refused.
            let Some(endpoint) = chosen else { return };
            let end = self.session(&endpoint).await;
            tracing::debug!(%endpoint, ?end, "a session ended");
            let (problem, pause) = match end {
                End::Stopped => return,
                End::At(endpoint) => {
                    next = Some(endpoint);
                    continue;
                }
                End::Lost(problem) => (problem, self.lost(&endpoint)),
                End::Refused(problem) => (problem, self.refused(&endpoint)),
            };
            tracing::info!(%endpoint, problem, "another node is looked for");
            self.feed.send_modify(|feed| {
                (feed.followed, feed.node) = (false, None);
                feed.problem = format!("{endpoint}: {problem}");
            });
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.wait(pause) => {}
            }
        }
    }

    /// Notes that a session serves: what failed before counts no longer.
    pub(crate) fn served(&mut self, endpoint: &EndpointUrl) {
        (self.losses, self.refusals) = (0, 0);
        self.nearest.served(endpoint);
    }

    /// For [`Nearest`], which knows no clock.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Learns who the members are, and how near, from whoever answers.
    async fn discover(&mut self) {
        let mut asked: Vec<EndpointUrl> = self.nearest.endpoints().cloned().collect();
        let found = node::measure(&self.options, self.token.text(), asked.clone(), PATIENCE).await;
        Measured::tell(&asked, &found, &mut self.nearest);
        let learned = Measured::missing(&asked, &self.nearest);
        if !found.is_empty() && !learned.is_empty() {
            asked = learned;
            let found = node::measure(&self.options, self.token.text(), asked.clone(), PATIENCE).await;
            Measured::tell(&asked, &found, &mut self.nearest);
        }
    }

    fn lost(&mut self, endpoint: &EndpointUrl) -> Duration {
        let now_ms = self.now_ms();
        self.nearest.failed(endpoint, now_ms);
        if !self.nearest.all_shunned(now_ms) {
            return SPREAD.mul_f64(self.random.random_range(0.0..1.0));
        }
        self.losses = self.losses.saturating_add(1);
        self.jittered(SPREAD, self.losses, PAUSE_MAX)
    }

    fn refused(&mut self, endpoint: &EndpointUrl) -> Duration {
        let now_ms = self.now_ms();
        // A node that is behind may not know the sandbox yet: another is asked.
        self.nearest.failed(endpoint, now_ms);
        self.refusals = self.refusals.saturating_add(1);
        self.jittered(SPREAD * 2, self.refusals, REFUSED_PAUSE_MAX)
    }

    /// Doubles with each time, and is cut to between half of it and all.
    fn jittered(&mut self, first: Duration, times: u32, most: Duration) -> Duration {
        let whole = first.saturating_mul(2_u32.saturating_pow(times.saturating_sub(1))).min(most);
        whole.mul_f64(self.random.random_range(0.5..=1.0))
    }

    /// Waits, but not when somebody has put another token into the file.
    async fn wait(&mut self, pause: Duration) {
        let end = Instant::now() + pause;
        loop {
            if self.token.was_replaced() {
                tracing::info!("the token's file holds another one");
                return;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            sleep(left.min(TOKEN_LOOK)).await;
        }
    }
}
