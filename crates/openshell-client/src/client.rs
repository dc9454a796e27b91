//! The client: the endpoints of one cluster, how to reach them and who calls. Calling is in `call`.

use std::sync::Arc;
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataKey, MetadataValue};

use crate::dial::{Dial, Dialler, TcpDial};
use crate::endpoint::{EndpointUrl, parse_endpoints};
use crate::error::ConfigurationError;
use crate::event::{Event, Listener};
use crate::line::Line;
use crate::nearest::Nearness;
use crate::options::{CallOptions, Consistency};
use crate::position::{Position, Track};
use crate::source::Source;
use crate::tls::{Tls, TlsError};

/// Calls any node of a cluster. Cheap to clone; clones share connections and the memory of which
/// endpoint answered last. Nothing is connected before the first call.
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) lines: Vec<Line>,
    pub(crate) nearness: Nearness,
    pub(crate) headers: Vec<(MetadataKey<Ascii>, MetadataValue<Ascii>)>,
    /// For connecting to every endpoint once.
    pub(crate) connect_limit: Duration,
    /// For one attempt while there are other endpoints to ask.
    pub(crate) attempt_limit: Duration,
    /// For a call that names none.
    pub(crate) deadline: Duration,
    /// Asked for whatever a call's own options say.
    pub(crate) consistency: Option<Consistency>,
    pub(crate) track: Option<Track>,
    listener: Option<Arc<Listener>>,
    pub(crate) source: Source,
}

impl Inner {
    pub(crate) fn tell(&self, event: &Event<'_>) {
        if let Some(listener) = &self.listener {
            listener(event);
        }
    }

    /// The position that the client itself sends with a call.
    pub(crate) fn carried(&self, options: &CallOptions) -> Option<Position> {
        match options.at_least {
            Some(_) => None,
            None => self.track.as_ref()?.kept(),
        }
    }
}

impl Client {
    /// A client for a comma-separated list of endpoints, without TLS or credentials.
    ///
    /// # Errors
    /// [`ConfigurationError`] when the list holds something that is no plaintext endpoint.
    pub fn new(endpoints: &str) -> Result<Self, ConfigurationError> {
        ClientBuilder::new(parse_endpoints(endpoints)?).build()
    }

    /// The endpoints in the order they were given.
    pub fn endpoints(&self) -> impl Iterator<Item = &EndpointUrl> {
        self.inner.lines.iter().map(Line::endpoint)
    }
}

/// Everything a [`Client`] can be told before it is made.
pub struct ClientBuilder {
    endpoints: Vec<EndpointUrl>,
    tls: Tls,
    headers: Vec<(String, String)>,
    dial: Arc<dyn Dial>,
    connect_limit: Duration,
    attempt_limit: Duration,
    deadline: Duration,
    consistency: Option<Consistency>,
    is_nearest_first: bool,
    track: Option<Track>,
    listener: Option<Arc<Listener>>,
    source: Source,
}

impl ClientBuilder {
    /// Starts with no TLS, no headers, 5 s for connecting to all endpoints once, of which each has an equal share
    /// and a second at least, 2 s for one attempt
    /// while other endpoints are left to ask, and 30 s for a call. Endpoints are asked in their order.
    ///
    /// Those 2 s are longer than a node that leads without a majority takes to say so, and an election.
    /// They harm no write that is slow for another reason: what an attempt has proposed takes effect
    /// however long the disks need, and the next attempt, under the same request id, hears its answer.
    /// An answer that takes longer to make, such as a very long list, wants a higher
    /// [`ClientBuilder::attempt_limit`].
    #[must_use]
    pub fn new(endpoints: Vec<EndpointUrl>) -> Self {
        Self {
            endpoints,
            tls: Tls::None,
            headers: Vec::new(),
            dial: Arc::new(TcpDial),
            connect_limit: Duration::from_secs(5),
            attempt_limit: Duration::from_secs(2),
            deadline: Duration::from_secs(30),
            consistency: None,
            is_nearest_first: false,
            track: None,
            listener: None,
            source: Source::of_this_machine(),
        }
    }

    /// How `https` endpoints are trusted.
    #[must_use]
    pub fn tls(self, tls: Tls) -> Self {
        Self { tls, ..self }
    }

    /// Sends a header with every call, such as `authorization`.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Replaces TCP.
    #[must_use]
    pub fn dial(self, dial: Arc<dyn Dial>) -> Self {
        Self { dial, ..self }
    }

    /// How long connecting to every endpoint once may take altogether. Each is waited for an equal share of it,
    /// then the next one is tried beside it; the last ones have a second at least.
    #[must_use]
    pub fn connect_limit(self, connect_limit: Duration) -> Self {
        Self { connect_limit, ..self }
    }

    /// How long one attempt may take while other endpoints are left to ask.
    #[must_use]
    pub fn attempt_limit(self, attempt_limit: Duration) -> Self {
        Self { attempt_limit, ..self }
    }

    /// Bounds every call that names no deadline itself, repetitions included.
    #[must_use]
    pub fn deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// Asks for this consistency with every call, whatever its own options say.
    #[must_use]
    pub fn consistency(self, consistency: Consistency) -> Self {
        Self { consistency: Some(consistency), ..self }
    }

    /// Asks the nearest endpoint first. With several endpoints the first call connects to all of them at
    /// once, waits until one has taken the connection, and a millisecond for others that are as near:
    /// these keep their order.
    #[must_use]
    pub fn nearest_first(self) -> Self {
        Self { is_nearest_first: true, ..self }
    }

    /// Never reads backwards: no answer may be older than `from` or than what the client has seen since,
    /// whichever node gives it. A position of another life of the cluster is dropped, and the call that
    /// was refused for it made again, if no attempt of it is in doubt.
    #[must_use]
    pub fn never_backwards(self, from: Option<Position>) -> Self {
        Self { track: Some(Track::new(from)), ..self }
    }

    /// Tells what happens to calls.
    #[must_use]
    pub fn listener(self, listener: Arc<Listener>) -> Self {
        Self { listener: Some(listener), ..self }
    }

    /// Draws request ids and jitter from a seed, and the time in ids from a clock in milliseconds
    /// since 1970, so that a simulated run can be repeated.
    #[must_use]
    pub fn seeded(self, seed: u64, clock_ms: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self { source: Source::seeded(seed, Box::new(clock_ms)), ..self }
    }

    /// Makes the client.
    ///
    /// # Errors
    /// [`ConfigurationError`] without endpoints, for an `https` endpoint without TLS, for certificates
    /// or headers that cannot be used.
    pub fn build(self) -> Result<Client, ConfigurationError> {
        let dialler = Dialler::new(self.dial, &self.tls)?;
        if self.endpoints.is_empty() {
            return Err(ConfigurationError::NoEndpoint);
        }
        if let Some(endpoint) = self.endpoints.iter().find(|endpoint| endpoint.is_secure() && !dialler.has_tls()) {
            return Err(TlsError::Missing(endpoint.to_string()).into());
        }
        let headers = self.headers.into_iter().map(|(name, value)| header(&name, &value)).collect::<Result<_, _>>()?;
        let lines: Vec<_> = self.endpoints.into_iter().map(|endpoint| Line::new(endpoint, dialler.clone())).collect();
        let nearness = Nearness::new(lines.len(), self.is_nearest_first);
        Ok(Client {
            inner: Arc::new(Inner {
                lines,
                nearness,
                headers,
                connect_limit: self.connect_limit,
                attempt_limit: self.attempt_limit,
                deadline: self.deadline,
                consistency: self.consistency,
                track: self.track,
                listener: self.listener,
                source: self.source,
            }),
        })
    }
}

fn header(name: &str, value: &str) -> Result<(MetadataKey<Ascii>, MetadataValue<Ascii>), ConfigurationError> {
    let problem = |problem: &str| ConfigurationError::Header { name: name.to_owned(), problem: problem.to_owned() };
    let key = name.parse().map_err(|_| problem("the name is no header name"))?;
    let mut value: MetadataValue<Ascii> =
        value.parse().map_err(|_| problem("the value holds characters that no header may"))?;
    value.set_sensitive(true);
    Ok((key, value))
}
