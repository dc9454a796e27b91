//! A wire to a gateway on which somebody listens: calls pass unchanged, and their names are noted in order.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};

/// The wire. It is cut with the value.
#[derive(Debug)]
pub struct Relay {
    url: String,
    names: Arc<Mutex<Vec<String>>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Relay {
    /// A wire to this plaintext URL.
    ///
    /// # Panics
    /// When it is no URL, or nobody can listen.
    pub async fn to(endpoint: &str) -> Self {
        let channel = Endpoint::from_shared(endpoint.to_owned()).expect("a URL").connect_lazy();
        let names = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&names);
        let pass = move |request: Request| {
            note(&noted, request.uri().path());
            pass(channel.clone(), request)
        };
        let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        let url = format!("http://{}", incoming.local_addr().expect("it is bound"));
        let routes = Routes::from(Router::new().fallback(pass));
        let serving = tokio::spawn(async move {
            let served = Server::builder().add_routes(routes).serve_with_incoming(incoming).await;
            served.expect("it serves");
        });
        Self { url, names, serving }
    }

    /// Where it begins.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The names of the calls since this was asked last, in order, without their services.
    #[must_use]
    pub fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.names.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn note(names: &Mutex<Vec<String>>, path: &str) {
    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
    names.lock().unwrap_or_else(PoisonError::into_inner).push(name);
}

async fn pass(mut channel: Channel, request: Request) -> Response {
    let ready = poll_fn(|context| GrpcService::<Body>::poll_ready(&mut channel, context)).await;
    let answer = match ready {
        Ok(()) => channel.call(request.map(Body::new)).await,
        Err(error) => Err(error),
    };
    match answer {
        Ok(answer) => answer.map(axum::body::Body::new),
        Err(error) => tonic::Status::unavailable(error.to_string()).into_http(),
    }
}
