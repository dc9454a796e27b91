//! One endpoint and the connection to it, made on first use, kept, and made anew after a failure.
//! Which endpoint to use is decided in `call`.

use std::io;
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::dial::Dialler;
use crate::endpoint::EndpointUrl;
use crate::error::{EndpointFailure, causes};

pub(crate) struct Line {
    endpoint: EndpointUrl,
    dialler: Dialler,
    /// The connection and how many came before it.
    connected: Mutex<(u64, Option<Channel>)>,
}

/// A connection in use, with the number that tells it from its successors.
pub(crate) struct Connection {
    pub(crate) channel: Channel,
    number: u64,
}

impl Line {
    pub(crate) fn new(endpoint: EndpointUrl, dialler: Dialler) -> Self {
        Self { endpoint, dialler, connected: Mutex::new((0, None)) }
    }

    pub(crate) fn endpoint(&self) -> &EndpointUrl {
        &self.endpoint
    }

    pub(crate) fn dialler(&self) -> &Dialler {
        &self.dialler
    }

    /// The kept connection, or a new one made within `limit`.
    pub(crate) async fn connection(&self, limit: Duration) -> Result<Connection, EndpointFailure> {
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
            Err(_) => Err(EndpointFailure {
                endpoint: self.endpoint.to_string(),
                causes: vec![format!("no connection within {} ms", limit.as_millis())],
            }),
        }
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
        let (dialler, endpoint) = (self.dialler.clone(), self.endpoint.clone());
        // Keepalive as in cli.md 5, so that a silent peer is noticed also while nothing is asked.
        builder
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(20))
            .keep_alive_while_idle(true)
            .http2_adaptive_window(true)
            .connect_with_connector(service_fn(move |_: Uri| {
                let (dialler, endpoint) = (dialler.clone(), endpoint.clone());
                async move { Ok::<_, io::Error>(TokioIo::new(dialler.connect(&endpoint, true).await?)) }
            }))
            .await
    }
}
