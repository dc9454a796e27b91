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

use crate::clock;
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
/// Between two attempts to have a new token, whatever came of the first.
pub(crate) const TOKEN_AGAIN: Duration = Duration::from_secs(30);
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

/// What comes after a session.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// Another one at this node, at once.
    At(EndpointUrl),
    /// A node is looked for once this time is over, or somebody has replaced the token's file.
    Search { problem: String, pause: Duration },
    /// Nothing.
    Stop,
}

/// Everything that outlives a session.
pub(crate) struct Follower {
    pub(crate) options: Arc<Options>,
    pub(crate) token: Token,
    pub(crate) nearest: Nearest,
    pub(crate) random: StdRng,
    pub(crate) feed: watch::Sender<Feed>,
    pub(crate) outcome: watch::Receiver<Outcome>,
    /// What nodes took note of as in force here.
    pub(crate) acknowledged: watch::Sender<Option<Position>>,
    pub(crate) floor: Floor,
    pub(crate) stop: CancellationToken,
    /// When a new token was last asked for.
    pub(crate) renewed_at: Option<Instant>,
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
        acknowledged: watch::Sender<Option<Position>>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            nearest: Nearest::new(&options.endpoints, options.zone.clone()),
            options,
            token,
            random: StdRng::from_os_rng(),
            feed,
            outcome,
            acknowledged,
            floor: Floor(floor),
            stop,
            renewed_at: None,
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
            let (problem, pause) = match self.after(&endpoint, end) {
                Next::Stop => return,
                Next::At(endpoint) => {
                    next = Some(endpoint);
                    continue;
                }
                Next::Search { problem, pause } => (problem, pause),
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

    fn after(&mut self, endpoint: &EndpointUrl, end: End) -> Next {
        match end {
            End::Stopped => Next::Stop,
            End::At(endpoint) => Next::At(endpoint),
            End::Lost(problem) => Next::Search { problem, pause: self.lost(endpoint) },
            // As at the end of a token's life, in the middle of a stream: the node is as good as it was.
            End::Refused(problem) if self.token.take_another() => {
                tracing::info!(%endpoint, problem, "the token's file holds another one than the one that was refused");
                Next::At(endpoint.clone())
            }
            End::Refused(problem) => Next::Search { problem, pause: self.refused(endpoint) },
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

    /// After what time a new token is to be had, if ever. To a clock that is far ahead each one is due at once.
    pub(crate) fn renew_in(&self) -> Option<Duration> {
        let left = self.token.renew_in(clock::now_ms())?;
        let pause = self.renewed_at.map(|at| TOKEN_AGAIN.saturating_sub(at.elapsed()));
        Some(left.max(pause.unwrap_or_default()))
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use openshell_client::parse_endpoints;
    use openshell_proto::v1::RefreshSandboxTokenResponse;
    use tokio::time::timeout;
    use tonic::Status;

    use super::*;
    use crate::session::end_of;
    use crate::token::TokenSource;

    const HOUR: Duration = Duration::from_secs(3600);

    /// A follower whose token is in a file, and its node.
    fn follower(path: &Path) -> (Follower, EndpointUrl) {
        let endpoints = parse_endpoints("http://gw-1.example:17670,http://gw-2.example:17670").expect("URLs");
        let endpoint = endpoints[0].clone();
        let source = TokenSource::File(path.to_owned());
        let token = Token::read(source.clone()).expect("a token");
        let options = Options::new("box", source, endpoints, "unused".into());
        let (feed, _) = watch::channel(Feed::default());
        let (_, outcome) = watch::channel(Outcome::default());
        let (acknowledged, _) = watch::channel(None);
        let stop = CancellationToken::new();
        (Follower::new(Arc::new(options), token, None, feed, outcome, acknowledged, stop), endpoint)
    }

    /// How a stream ends whose token has ended.
    fn refused() -> End {
        end_of(&Status::unauthenticated("the token that this stream was begun with has expired"))
    }

    #[test]
    fn a_stream_whose_token_has_ended_is_reopened_at_once_with_another_and_never_with_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        std::fs::write(&path, "first").expect("written");
        let (mut follower, endpoint) = follower(&path);
        let pause = |next: Next| match next {
            Next::Search { pause, problem } if problem.contains("Unauthenticated") => pause,
            other => panic!("nobody is let in with the token that was refused: {other:?}"),
        };
        assert!(pause(follower.after(&endpoint, refused())) > Duration::ZERO);
        std::fs::write(&path, "second").expect("written");
        assert_eq!(follower.after(&endpoint, refused()), Next::At(endpoint.clone()));
        assert_eq!(follower.token.text(), "second");
        let mut longest = Duration::ZERO;
        for _ in 0..20 {
            let next = follower.after(&endpoint, refused());
            longest = longest.max(pause(next));
        }
        assert!(longest > SPREAD * 10 && longest <= REFUSED_PAUSE_MAX, "{longest:?}");
    }

    #[test]
    fn what_a_node_said_is_told_from_what_became_of_a_connection() {
        let said = |status: Status| match end_of(&status) {
            End::Lost(said) => said,
            other => panic!("another node may answer: {other:?}"),
        };
        let mut status = Status::internal("a fault");
        assert_eq!(said(status.clone()), "a fault (Internal)");
        status.metadata_mut().insert("x-openshell-node", 2.into());
        assert_eq!(said(status.clone()), "a fault (Internal, node 2)");
        status.set_source(std::sync::Arc::new(std::io::Error::other("reset")));
        assert_eq!(said(status), "a fault (Internal)");
    }

    #[tokio::test]
    async fn a_token_that_is_due_at_once_again_is_not_exchanged_at_once_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        // It was due in 1970.
        let text = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(r#"{"iat":1000,"exp":4000}"#));
        std::fs::write(&path, &text).expect("written");
        let (mut follower, _) = follower(&path);
        assert_eq!(follower.renew_in(), Some(Duration::ZERO));
        let fresh = RefreshSandboxTokenResponse { token: text, ..Default::default() };
        assert!(follower.keep_token(Ok(fresh)).await);
        assert!(follower.renew_in() > Some(Duration::ZERO));
    }

    #[tokio::test]
    async fn while_it_waits_the_file_is_looked_at() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        std::fs::write(&path, "first").expect("written");
        let (mut follower, endpoint) = follower(&path);
        assert_ne!(follower.after(&endpoint, refused()), Next::At(endpoint));
        {
            let waiting = follower.wait(HOUR);
            tokio::pin!(waiting);
            timeout(TOKEN_LOOK / 20, &mut waiting).await.expect_err("the same token is in the file");
            std::fs::write(&path, "second").expect("written");
            timeout(HOUR / 60, waiting).await.expect("the other one is found");
        }
        assert_eq!(follower.token.text(), "second");
    }
}
