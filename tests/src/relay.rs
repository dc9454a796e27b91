//! A wire to a gateway on which somebody listens: calls pass unchanged, and their names are noted in order.
//! Some of them may be answered on the way, as no gateway of ours would.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use prost::Message;
use tonic::Status;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};

/// The wire. It is cut with the value.
#[derive(Debug)]
pub struct Relay {
    url: String,
    heard: Arc<Mutex<Heard>>,
    serving: tokio::task::JoinHandle<()>,
}

/// What was said on the wire, and what is answered on it.
#[derive(Debug, Default)]
struct Heard {
    names: Vec<String>,
    /// By the name of the call: an encoded message, or a refusal.
    answers: BTreeMap<String, Result<Vec<u8>, Status>>,
}

impl Relay {
    /// A wire to this plaintext URL.
    ///
    /// # Panics
    /// When it is no URL, or nobody can listen.
    pub async fn to(endpoint: &str) -> Self {
        Self::passing(endpoint, |_| true).await
    }

    /// A wire to this plaintext URL behind which only the released API is there.
    ///
    /// # Panics
    /// As [`Relay::to`].
    pub async fn to_the_released_api(endpoint: &str) -> Self {
        Self::passing(endpoint, |path| path.starts_with("/openshell.v1.")).await
    }

    async fn passing(endpoint: &str, is_there: fn(&str) -> bool) -> Self {
        let channel = Endpoint::from_shared(endpoint.to_owned()).expect("a URL").connect_lazy();
        let heard = Arc::new(Mutex::new(Heard::default()));
        let listening = Arc::clone(&heard);
        let pass = move |request: Request| {
            let path = request.uri().path();
            let heard = hear(&listening, path);
            let answer = if is_there(path) { heard } else { Some(Err(unimplemented(path))) };
            let channel = channel.clone();
            async move {
                match answer {
                    Some(answer) => answered(answer),
                    None => pass(channel, request).await,
                }
            }
        };
        let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        let url = format!("http://{}", incoming.local_addr().expect("it is bound"));
        let routes = Routes::from(Router::new().fallback(pass));
        let serving = tokio::spawn(async move {
            let served = Server::builder().add_routes(routes).serve_with_incoming(incoming).await;
            served.expect("it serves");
        });
        Self { url, heard, serving }
    }

    /// Where it begins.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The names of the calls since this was asked last, in order, without their services.
    #[must_use]
    pub fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut self.heard.lock().unwrap_or_else(PoisonError::into_inner).names)
    }

    /// From now on calls of this name get this answer, and no gateway hears of them.
    pub fn answer(&self, name: &str, answer: Result<&impl Message, Status>) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.answers.insert(name.to_owned(), answer.map(Message::encode_to_vec));
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Notes the name of a call, and says what to answer if it is not to pass.
fn hear(heard: &Mutex<Heard>, path: &str) -> Option<Result<Vec<u8>, Status>> {
    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
    let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
    let answer = heard.answers.get(&name).cloned();
    heard.names.push(name);
    answer
}

/// The answer as it goes over the wire: one uncompressed frame, the status before it.
fn answered(answer: Result<Vec<u8>, Status>) -> Response {
    let message = match answer {
        Ok(message) => message,
        Err(status) => return status.into_http(),
    };
    let length = u32::try_from(message.len()).expect("a short answer").to_be_bytes();
    let frame = [&[0], &length[..], &message].concat();
    let response = Response::builder().header("content-type", "application/grpc").header("grpc-status", "0");
    response.body(frame.into()).expect("well-formed headers")
}

/// As a gateway says it that does not know the call.
fn unimplemented(path: &str) -> Status {
    Status::unimplemented(format!("no method {path}"))
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
