//! One endpoint and the connection to it, made on first use, kept, and made anew after a failure.
//! Which endpoint to use is decided in `call`.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::dial::{BoxedStream, Dialler};
use crate::endpoint::EndpointUrl;
use crate::error::{EndpointFailure, causes};

/// Cheap to clone; clones are the same line.
#[derive(Clone)]
pub(crate) struct Line {
    endpoint: EndpointUrl,
    dialler: Dialler,
    /// The connection and how many came before it. Locked while it is made.
    connected: Arc<Mutex<(u64, Option<Channel>)>>,
    dialled: Dialled,
}

/// How long connecting may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience {
    /// Before the caller turns to another endpoint.
    pub(crate) waited: Duration,
    /// Altogether, for whoever comes back to this one.
    pub(crate) whole: Duration,
}

/// A stream on which nothing was said yet, for the next connection.
pub(crate) type Dialled = Arc<SyncMutex<Option<BoxedStream>>>;

/// A connection in use, with the number that tells it from its successors.
pub(crate) struct Connection {
    pub(crate) channel: Channel,
    number: u64,
}

impl Line {
    pub(crate) fn new(endpoint: EndpointUrl, dialler: Dialler) -> Self {
        Self { endpoint, dialler, connected: Arc::new(Mutex::new((0, None))), dialled: Dialled::default() }
    }

    pub(crate) fn endpoint(&self) -> &EndpointUrl {
        &self.endpoint
    }

    pub(crate) fn dialler(&self) -> &Dialler {
        &self.dialler
    }

    /// Connects without a word.
    pub(crate) fn dial(&self) -> Pin<Box<dyn Future<Output = io::Result<BoxedStream>> + Send>> {
        self.dialler.dial(&self.endpoint)
    }

    /// Where a stream is left for the next connection.
    pub(crate) fn dialled(&self) -> Dialled {
        Arc::clone(&self.dialled)
    }

    /// Closes a stream that nobody needs.
    pub(crate) fn hang_up(&self) {
        drop(self.dialled.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// The kept connection, or a new one. When the caller does not wait for it any more it is still made, and
    /// kept for the next one.
    pub(crate) async fn connection(&self, patience: Patience) -> Result<Connection, EndpointFailure> {
        if let Some(kept) = self.kept() {
            return Ok(kept);
        }
        let line = self.clone();
        let connecting = tokio::spawn(async move { line.connection_within(patience.whole).await });
        match timeout(patience.waited, connecting).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => Err(self.failure(&error)),
            Err(_) => Err(self.too_slow(patience.waited)),
        }
    }

    /// The connection, when it is there and nobody is about to change that.
    fn kept(&self) -> Option<Connection> {
        let connected = self.connected.try_lock().ok()?;
        Some(Connection { channel: connected.1.clone()?, number: connected.0 })
    }

    /// Whether there is a connection, once it is known: one that is being made is waited for.
    pub(crate) async fn is_connected(&self) -> bool {
        self.connected.lock().await.1.is_some()
    }

    async fn connection_within(&self, limit: Duration) -> Result<Connection, EndpointFailure> {
        let connecting = async {
            let mut connected = self.connected.lock().await;
            let channel = match &connected.1 {
                Some(channel) => channel.clone(),
                None => {
                    let channel = self.connect().await?;
                    *connected = (connected.0 + 1, Some(channel.clone()));
                    channel
                }
            };
            Ok::<_, tonic::transport::Error>(Connection { channel, number: connected.0 })
        };
        match timeout(limit, connecting).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(self.failure(&error)),
            Err(_) => Err(self.too_slow(limit)),
        }
    }

    fn too_slow(&self, limit: Duration) -> EndpointFailure {
        let causes = vec![format!("no connection within {} ms", limit.as_millis())];
        EndpointFailure { endpoint: self.endpoint.to_string(), causes }
    }

    /// Forgets a connection that failed, unless another call has already replaced it.
    pub(crate) async fn forget(&self, connection: &Connection) {
        let mut connected = self.connected.lock().await;
        if connected.0 == connection.number {
            connected.1 = None;
        }
    }

    pub(crate) fn failure(&self, error: &(dyn std::error::Error + 'static)) -> EndpointFailure {
        EndpointFailure { endpoint: self.endpoint.to_string(), causes: causes(error) }
    }

    async fn connect(&self) -> Result<Channel, tonic::transport::Error> {
        // tonic is told `http` whatever the endpoint's scheme, since TLS is already in the stream;
        // the server hears the real scheme through the origin.
        let scheme = if self.endpoint.is_secure() { "https" } else { "http" };
        let authority = self.endpoint.authority();
        let mut builder = Endpoint::from_shared(format!("http://{authority}"))?;
        if let Ok(origin) = format!("{scheme}://{authority}").parse() {
            builder = builder.origin(origin);
        }
        let (dialler, endpoint, dialled) = (self.dialler.clone(), self.endpoint.clone(), self.dialled());
        // Keepalive as in cli.md 5, so that a silent peer is noticed also while nothing is asked.
        builder
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(20))
            .keep_alive_while_idle(true)
            .http2_adaptive_window(true)
            .connect_with_connector(service_fn(move |_: Uri| {
                let (dialler, endpoint) = (dialler.clone(), endpoint.clone());
                let dialled = dialled.lock().unwrap_or_else(PoisonError::into_inner).take();
                async move {
                    let stream = match dialled {
                        Some(stream) => dialler.secure(stream, &endpoint, true).await?,
                        None => dialler.connect(&endpoint, true).await?,
                    };
                    Ok::<_, io::Error>(TokioIo::new(stream))
                }
            }))
            .await
    }
}
