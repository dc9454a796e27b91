//! What a command has at hand: the global flags, the configuration directory, the console, and from them
//! a session with the gateway.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use openshell_client::{CallError, CallOptions, Client, ClientBuilder, Method, Seen, Tls, parse_endpoints};

use crate::config::{Paths, Selected, Token, last_sandbox, position, resolve, stored_token, tls_for};
use crate::failure::Failure;
use crate::global::Global;
use crate::output::Console;
use crate::talk::Talk;

/// For connecting to every endpoint once: who cannot reach any hears it within five seconds.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// The last look of whoever waits may take so long, however little time is left.
pub(crate) const LOOK_MIN: Duration = Duration::from_millis(100);

/// One run of the program.
pub(crate) struct Context<'a> {
    pub(crate) global: Global,
    pub(crate) paths: Paths,
    pub(crate) console: &'a mut Console,
}

/// A gateway that was chosen, and the way to it.
pub(crate) struct Session {
    pub(crate) client: Client,
    /// Names its folder in the configuration directory, or is its URL.
    pub(crate) gateway: String,
    /// Its URLs as configured.
    pub(crate) endpoints: String,
    pub(crate) workspace: String,
    /// The stored token that calls carry.
    pub(crate) token: Option<Token>,
    /// For one call, repetitions included.
    pub(crate) deadline: Duration,
}

impl<'a> Context<'a> {
    pub(crate) fn new(global: Global, console: &'a mut Console) -> Self {
        Self { global, paths: Paths::from_variables(|name| std::env::var_os(name)), console }
    }

    /// The gateway that the flags mean.
    pub(crate) fn selected(&self) -> Result<Selected, Failure> {
        resolve(&self.paths, self.global.gateway.as_deref(), self.global.endpoints().as_deref())
    }

    /// A session with the gateway that the flags mean. Nothing is connected yet.
    pub(crate) fn session(&self) -> Result<Session, Failure> {
        self.session_with(&self.selected()?)
    }

    /// A session with a given gateway.
    pub(crate) fn session_with(&self, selected: &Selected) -> Result<Session, Failure> {
        let talk = Talk::new(&self.paths, selected.place(), self.global.verbose, self.console.paint_err);
        self.open(selected, |builder| builder.listener(Arc::new(move |event| talk.hear(event))))
    }

    /// A session with the gateway that the flags mean, of which nobody hears anything and which leaves nothing
    /// behind: for a shell that asks while somebody types.
    pub(crate) fn silent_session(&self) -> Result<Session, Failure> {
        self.open(&self.selected()?, |builder| builder)
    }

    fn open(
        &self,
        selected: &Selected,
        listened_to: impl FnOnce(ClientBuilder) -> ClientBuilder,
    ) -> Result<Session, Failure> {
        let endpoints = parse_endpoints(&selected.endpoints).map_err(|error| Failure::new(error.to_string()))?;
        let token = stored_token(&self.paths, selected)?;
        let tls = match endpoints.iter().any(openshell_client::EndpointUrl::is_secure) {
            true => tls_for(&self.paths, &selected.name, self.global.gateway_insecure, token.is_some())?,
            false => Tls::None,
        };
        let mut builder = listened_to(ClientBuilder::new(endpoints))
            .tls(tls)
            .connect_limit(CONNECT_WITHIN)
            .deadline(self.global.deadline)
            .nearest_first()
            .never_backwards(position(&self.paths, selected.place()));
        if let Some(consistency) = self.global.consistency() {
            builder = builder.consistency(consistency);
        }
        for (name, value) in token.iter().flat_map(Token::headers) {
            builder = builder.header(name, &value);
        }
        if let Some(expired) = token.as_ref().filter(|token| token.is_expired(now_s())) {
            let path = expired.path.display();
            tracing::warn!("the token in {path} has expired, and is not renewed here: a new one is to be put there");
        }
        Ok(Session {
            client: builder.build()?,
            gateway: selected.name.clone(),
            endpoints: selected.endpoints.clone(),
            workspace: self.global.workspace.clone(),
            token,
            deadline: self.global.deadline,
        })
    }

    /// The sandbox that was named, or else the one used last, which is then said on stderr.
    pub(crate) fn sandbox_name(&mut self, session: &Session, name: Option<String>) -> Result<String, Failure> {
        if let Some(name) = name {
            return Ok(name);
        }
        let last = last_sandbox(&self.paths, &session.gateway, &session.workspace).ok_or_else(|| {
            Failure::new("no sandbox was named, and none was used before in this workspace: give its name")
        })?;
        let arrow = self.console.paint_err.dim("→");
        self.console.note(&format!("{arrow} Using sandbox '{last}' (last used)"));
        Ok(last)
    }
}

impl Session {
    /// Whether the stored token is of no use any more.
    pub(crate) fn has_expired_token(&self) -> bool {
        self.token.as_ref().is_some_and(|token| token.is_expired(now_s()))
    }

    /// A call that changes nothing, answered with everything acknowledged before it, unless `--consistency`
    /// asks for less.
    pub(crate) async fn read<Q, A>(&self, method: &Method<Q, A>, request: Q) -> Result<A, CallError>
    where
        Q: Request,
        A: Answer,
    {
        self.ask(method, request, &CallOptions::linearizable()).await
    }

    /// The same within a time of its own, if that is shorter than the deadline.
    pub(crate) async fn look<Q, A>(&self, method: &Method<Q, A>, request: Q, limit: Duration) -> Result<A, CallError>
    where
        Q: Request,
        A: Answer,
    {
        self.ask(method, request, &CallOptions::linearizable().deadline(limit.min(self.deadline))).await
    }

    /// The same from whatever the node that is asked knows, for probes.
    pub(crate) async fn read_within<Q, A>(
        &self,
        method: &Method<Q, A>,
        request: Q,
        limit: Duration,
    ) -> Result<A, CallError>
    where
        Q: Request,
        A: Answer,
    {
        self.ask(method, request, &CallOptions::default().deadline(limit.min(self.deadline))).await
    }

    async fn ask<Q, A>(&self, method: &Method<Q, A>, request: Q, options: &CallOptions) -> Result<A, CallError>
    where
        Q: Request,
        A: Answer,
    {
        Ok(self.client.call(method, request, options).await.map_err(CallError::of_a_read)?.message)
    }

    /// A call that may change something.
    pub(crate) async fn write<Q, A>(&self, method: &Method<Q, A>, request: Q) -> Result<A, CallError>
    where
        Q: Request,
        A: Answer,
    {
        self.change(method, request).await.map(|(message, _)| message)
    }

    /// The same, with what the answer says about the state it was made from.
    pub(crate) async fn change<Q, A>(&self, method: &Method<Q, A>, request: Q) -> Result<(A, Seen), CallError>
    where
        Q: Request,
        A: Answer,
    {
        let answer = self.client.call(method, request, &CallOptions::default()).await?;
        Ok((answer.message, answer.seen))
    }
}

/// Seconds since 1970.
fn now_s() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

/// Messages that can be asked with.
pub(crate) trait Request: prost::Message + Clone + 'static {}
impl<T: prost::Message + Clone + 'static> Request for T {}

/// Messages that can be answered with.
pub(crate) trait Answer: prost::Message + Default + 'static {}
impl<T: prost::Message + Default + 'static> Answer for T {}

/// A part that the gateway's reply must have.
pub(crate) fn required<T>(part: Option<T>, what: &str) -> Result<T, Failure> {
    part.ok_or_else(|| Failure::new(format!("the gateway's reply has no {what}; it may be of another version")))
}
