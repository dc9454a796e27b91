//! One session with one node: the stream of what is to be installed. Beside it reports go upward, the
//! token is renewed, and now and then all nodes are measured. A node without a stream is in `polling`.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use openshell_client::{CallError, Client, EndpointUrl, methods, said_by};
use openshell_proto::sync::follow_response::Event;
use openshell_proto::sync::{Configuration, FollowRequest, FollowResponse, Heartbeat, Refused, Session};
use openshell_proto::v1::RefreshSandboxTokenResponse;
use rand::Rng;
use tokio::time::{Instant, sleep_until, timeout};
use tonic::{Code, Status, Streaming};

use crate::clock;
use crate::follow::{End, Follower, PATIENCE, TOKEN_AGAIN};
use crate::installed::{Offer, TooOld};
use crate::nearest::OUT_OF_TOUCH;
use crate::node::{self, Measured, once};
use crate::position::Position;
use crate::report;
use crate::silence::Silence;

/// For connecting, and for the node to take the stream.
const OPEN_LIMIT: Duration = Duration::from_secs(2);
/// A node that says nothing for so many times what it promised is gone, or cannot be reached any more.
const SILENCE: f64 = 2.5;
/// The first configuration may be large and the line slow: it is heard of when it is whole.
const FIRST_LIMIT: Duration = Duration::from_secs(30);
/// What is promised is between these, whatever is said.
const HEARTBEAT_MIN: Duration = Duration::from_millis(200);
const HEARTBEAT_MAX: Duration = Duration::from_secs(60);
/// All nodes are measured about that often, in seconds; sooner when a move is in question.
const LOOK_S: std::ops::Range<f64> = 60.0..180.0;
const LOOK_AGAIN_S: std::ops::Range<f64> = 5.0..15.0;

/// What comes next in a session.
enum Heard {
    Message(Box<Result<Option<FollowResponse>, Status>>),
    Silence,
    UnknownSession,
    TimeToLook,
    Measured(Look),
    TimeToRenew,
    Token(Result<RefreshSandboxTokenResponse, CallError>),
    Stopped,
}

/// Something that goes on while the stream is read.
type Task<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Who was asked, and who answered.
type Look = (Vec<EndpointUrl>, Vec<Measured>);

/// What a session remembers between two messages.
struct Progress {
    endpoint: EndpointUrl,
    client: Client,
    node: u64,
    /// Since when the node has said only what is older than what is installed.
    behind_since: Option<Instant>,
    /// When the nodes are to be measured next; nothing while they are.
    look_at: Option<Instant>,
    looking: Option<Task<Look>>,
    /// When a new token is to be had; nothing while it is asked for, or when this one lasts.
    token_at: Option<Instant>,
    renewing: Option<Task<Result<RefreshSandboxTokenResponse, CallError>>>,
}

impl Follower {
    /// Follows this node to the session's end.
    pub(crate) async fn session(&mut self, endpoint: &EndpointUrl) -> End {
        self.token.was_replaced();
        let client = match node::connection(&self.options, endpoint, self.token.text()) {
            Ok(client) => client,
            Err(error) => return End::Lost(error.to_string()),
        };
        let stop = self.stop.clone();
        let opened = tokio::select! {
            () = stop.cancelled() => return End::Stopped,
            opened = self.open(&client) => opened,
        };
        match opened {
            Ok((stream, session)) => self.follow(endpoint, client, stream, session).await,
            Err(status) if status.code() == Code::Unimplemented => self.poll(endpoint, &client).await,
            Err(status) => end_of(&status),
        }
    }

    /// Opens the stream from where this sandbox is, and takes its first message.
    async fn open(&self, client: &Client) -> Result<(Streaming<FollowResponse>, Session), Status> {
        let request = {
            let (installed, revisions) = self.feed.borrow().claim(&self.outcome.borrow());
            FollowRequest {
                sandbox_id: self.options.sandbox_id.clone(),
                installed: installed.map(Into::into),
                config_revision: revisions.0,
                provider_env_revision: revisions.1,
            }
        };
        let opened = client.stream(&methods::FOLLOW, request, &once(OPEN_LIMIT)).await;
        let mut stream = opened.map_err(|error| match error {
            CallError::Refused(status) => status,
            error => Status::unavailable(error.to_string()),
        })?;
        let silent = |_| Status::unavailable("the node took the stream and said nothing");
        match timeout(OPEN_LIMIT, stream.message()).await.map_err(silent)?? {
            Some(FollowResponse { event: Some(Event::Session(session)) }) => Ok((stream, session)),
            _ => Err(Status::unavailable("the stream does not begin with a session")),
        }
    }

    async fn follow(
        &mut self,
        endpoint: &EndpointUrl,
        client: Client,
        mut stream: Streaming<FollowResponse>,
        session: Session,
    ) -> End {
        tracing::info!(%endpoint, node = session.node, zone = session.zone, "following");
        let promised = Duration::from_millis(session.heartbeat_ms.into()).clamp(HEARTBEAT_MIN, HEARTBEAT_MAX);
        let mut progress = Progress {
            endpoint: endpoint.clone(),
            client: client.clone(),
            node: session.node,
            behind_since: None,
            look_at: Some(self.next_look()),
            looking: None,
            token_at: self.renew_in().map(|left| Instant::now() + left),
            renewing: None,
        };
        // Of what an earlier node said, this one is told nothing.
        self.feed.send_modify(|feed| feed.said = None);
        let stop = self.stop.clone();
        let sandbox_id = self.options.sandbox_id.clone();
        let (feed, outcome) = (self.feed.clone(), self.outcome.clone());
        let acknowledged = self.acknowledged.clone();
        let to_node = report::to_node(
            client.clone(),
            session.id,
            sandbox_id.clone(),
            feed.subscribe(),
            outcome.clone(),
            acknowledged,
        );
        let to_record = report::to_record(client, sandbox_id, feed, outcome);
        tokio::pin!(to_node, to_record);
        let mut silence = Silence::begin(promised.mul_f64(SILENCE), FIRST_LIMIT);
        loop {
            let heard = tokio::select! {
                () = stop.cancelled() => Heard::Stopped,
                message = stream.message() => Heard::Message(Box::new(message)),
                () = sleep_until(silence.end()) => Heard::Silence,
                () = &mut to_node => Heard::UnknownSession,
                never = &mut to_record => match never {},
                () = due(progress.look_at) => Heard::TimeToLook,
                found = under_way(&mut progress.looking) => Heard::Measured(found),
                () = due(progress.token_at) => Heard::TimeToRenew,
                renewed = under_way(&mut progress.renewing) => Heard::Token(renewed),
            };
            let heard = match heard {
                Heard::Message(message)
                    if matches!(*message, Ok(Some(_))) && !silence.heard(Instant::now(), clock::now_ms()) =>
                {
                    Heard::Silence
                }
                heard => heard,
            };
            if let Some(end) = self.hear(heard, &mut progress).await {
                return end;
            }
        }
    }

    async fn hear(&mut self, heard: Heard, progress: &mut Progress) -> Option<End> {
        match heard {
            Heard::Stopped => Some(End::Stopped),
            Heard::Silence => Some(End::Lost("the node said nothing for too long".to_owned())),
            Heard::UnknownSession => Some(End::Lost("the node does not know the session any more".to_owned())),
            Heard::Message(message) => match *message {
                Ok(Some(response)) => self.message(response, progress),
                Ok(None) => Some(End::Lost("the node ended the stream".to_owned())),
                Err(status) => Some(end_of(&status)),
            },
            Heard::TimeToLook => {
                let (options, token) = (Arc::clone(&self.options), self.token.text().to_owned());
                let asked: Vec<EndpointUrl> = self.nearest.endpoints().cloned().collect();
                progress.look_at = None;
                progress.looking = Some(Box::pin(async move {
                    let found = node::measure(&options, &token, asked.clone(), PATIENCE).await;
                    (asked, found)
                }));
                None
            }
            Heard::Measured((asked, found)) => self.moved(&asked, &found, progress),
            // Somebody else may have seen to it.
            Heard::TimeToRenew if self.token.was_replaced() => Some(End::At(progress.endpoint.clone())),
            Heard::TimeToRenew => {
                progress.token_at = None;
                progress.renewing = Some(Box::pin(node::new_token(progress.client.clone())));
                None
            }
            Heard::Token(renewed) => self.renewed(renewed, progress).await,
        }
    }

    fn message(&mut self, response: FollowResponse, progress: &mut Progress) -> Option<End> {
        match response.event {
            Some(Event::Configuration(configuration)) => self.take(configuration, progress),
            Some(Event::Heartbeat(heartbeat)) => {
                let end = self.beat(&heartbeat, progress);
                if end.is_none() && self.token.was_replaced() {
                    tracing::info!("the token's file holds another one");
                    return Some(End::At(progress.endpoint.clone()));
                }
                end
            }
            // A second session means nothing, nor does what a later release may say.
            Some(Event::Session(_)) | None => None,
        }
    }

    /// A configuration, or the word that what is installed is what it should be.
    fn take(&mut self, configuration: Configuration, progress: &mut Progress) -> Option<End> {
        let position = configuration.position.map(Position::from);
        if let Err(error) = self.accept(position) {
            return Some(End::Lost(error.to_string()));
        }
        let offer = (!configuration.unchanged).then(|| Offer {
            position,
            config: part(configuration.config, configuration.config_refused),
            environment: part(configuration.environment, configuration.environment_refused),
        });
        let age = Duration::from_millis(configuration.age_ms);
        self.aged(age, progress);
        let as_of_ms = clock::now_ms().saturating_sub(clock::ms(age));
        self.pass_on(offer, position, as_of_ms, Some(progress.node));
        progress.behind_since = None;
        self.served(&progress.endpoint.clone());
        None
    }

    /// Where the node is while nothing changes.
    fn beat(&mut self, heartbeat: &Heartbeat, progress: &mut Progress) -> Option<End> {
        let position = heartbeat.position.map(Position::from);
        let age = Duration::from_millis(heartbeat.age_ms);
        self.aged(age, progress);
        if self.accept(position).is_err() {
            // It may be catching up.
            let since = *progress.behind_since.get_or_insert_with(Instant::now);
            let is_over = since.elapsed() > OUT_OF_TOUCH;
            return is_over.then(|| End::Lost("the node stays behind what is installed".to_owned()));
        }
        progress.behind_since = None;
        let as_of_ms = clock::now_ms().saturating_sub(clock::ms(age));
        self.feed.send_modify(|feed| {
            feed.position = position;
            (feed.as_of_ms, feed.followed, feed.node) = (as_of_ms, true, Some(progress.node));
            feed.problem.clear();
        });
        None
    }

    /// How long ago the node last knew that what it says is current.
    fn aged(&mut self, age: Duration, progress: &mut Progress) {
        self.nearest.aged(&progress.endpoint, age);
        if age > OUT_OF_TOUCH {
            // Another node may have heard more.
            let soon = Instant::now() + OUT_OF_TOUCH.mul_f64(self.random.random_range(0.0..1.0));
            progress.look_at = progress.look_at.map(|look_at| look_at.min(soon));
        }
    }

    pub(crate) fn accept(&mut self, position: Option<Position>) -> Result<(), TooOld> {
        let before = self.floor.0;
        self.floor.accept(position)?;
        let epoch = |position: Option<Position>| position.map(|position| position.epoch);
        if before.is_some() && epoch(before) != epoch(position) {
            tracing::warn!(?before, ?position, "the cluster was made from a backup: taken from the start");
            // Its records are older than what was told to the cluster before.
            self.feed.send_modify(|feed| (feed.policy_reported, feed.policy_failed) = (0, 0));
        }
        Ok(())
    }

    pub(crate) fn pass_on(
        &mut self,
        offer: Option<Offer>,
        position: Option<Position>,
        as_of_ms: i64,
        node: Option<u64>,
    ) {
        self.feed.send_modify(|feed| {
            if let Some(offer) = offer {
                feed.offer = Some(Arc::new(offer));
                feed.offers += 1;
            }
            (feed.said, feed.position) = (position, position);
            (feed.as_of_ms, feed.followed, feed.node) = (as_of_ms, true, node);
            feed.problem.clear();
        });
    }

    /// All nodes were measured: another one may be worth a move.
    fn moved(&mut self, asked: &[EndpointUrl], found: &[Measured], progress: &mut Progress) -> Option<End> {
        Measured::tell(asked, found, &mut self.nearest);
        let now_ms = self.now_ms();
        let nearer = self.nearest.reconsider(now_ms, &mut self.random).filter(|nearer| *nearer != progress.endpoint);
        (progress.looking, progress.look_at) = (None, Some(self.next_look()));
        let nearer = nearer?;
        tracing::info!(from = %progress.endpoint, to = %nearer, "another node is nearer");
        Some(End::At(nearer))
    }

    fn next_look(&mut self) -> Instant {
        let range = if self.nearest.wants_another_look() { LOOK_AGAIN_S } else { LOOK_S };
        Instant::now() + Duration::from_secs_f64(self.random.random_range(range))
    }

    async fn renewed(
        &mut self,
        renewed: Result<RefreshSandboxTokenResponse, CallError>,
        progress: &mut Progress,
    ) -> Option<End> {
        progress.renewing = None;
        progress.token_at = Some(Instant::now() + TOKEN_AGAIN);
        // The stream goes on under the new one.
        self.keep_token(renewed).await.then(|| End::At(progress.endpoint.clone()))
    }

    /// Whether there is a new token now.
    pub(crate) async fn keep_token(&mut self, renewed: Result<RefreshSandboxTokenResponse, CallError>) -> bool {
        self.renewed_at = Some(std::time::Instant::now());
        match renewed {
            Ok(answer) if !answer.token.is_empty() => {
                if let Err(error) = self.token.renew(answer.token).await {
                    tracing::warn!(%error, "the new token is kept in memory only");
                }
                return true;
            }
            Ok(_) => tracing::warn!("the node answered without a token"),
            Err(error) => tracing::warn!(%error, "there is no new token yet"),
        }
        false
    }
}

/// Waits for what is under way, for ever when nothing is.
async fn under_way<T>(task: &mut Option<Task<T>>) -> T {
    match task {
        Some(task) => task.await,
        None => pending().await,
    }
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

/// One of a pair, exactly one of which is there.
fn part<T: Default>(composed: Option<T>, refused: Option<Refused>) -> Result<T, String> {
    match (composed, refused) {
        (Some(composed), _) => Ok(composed),
        (None, Some(refused)) => Err(refused.message),
        (None, None) => Err("the node sent nothing".to_owned()),
    }
}

/// What a node's no means for the search.
pub(crate) fn end_of(status: &Status) -> End {
    // Without a node it is what became of the connection.
    let node = said_by(status).map(|node| format!(", node {node}"));
    let said = format!("{} ({:?}{})", status.message(), status.code(), node.unwrap_or_default());
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied | Code::NotFound | Code::InvalidArgument => End::Refused(said),
        _ => End::Lost(said),
    }
}
