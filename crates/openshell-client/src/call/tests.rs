//! Calls against a double of the wire: a gRPC service that answers by script and keeps the headers
//! it was sent.

mod connecting;
mod nearest;
mod positions;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use openshell_proto::v1::{HealthRequest, HealthResponse, WatchSandboxRequest};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Code, Request, Response, Status};
use tonic_prost::ProstCodec;
use uuid::Uuid;

use crate::client::{Client, ClientBuilder};
use crate::endpoint::parse_endpoints;
use crate::error::CallError;
use crate::method::methods::{HEALTH, WATCH_SANDBOX};
use crate::options::CallOptions;
use crate::seen::Seen;
use crate::tls::Tls;

/// One node's script: what it answers, in turn, and then for ever success.
#[derive(Clone, Default)]
struct Node {
    script: Arc<Mutex<VecDeque<Status>>>,
    headers: Arc<Mutex<Vec<http::HeaderMap>>>,
    /// That its answers are of, where it says so.
    epoch: Option<u64>,
}

impl Node {
    fn failing(statuses: impl IntoIterator<Item = Status>) -> Self {
        Self { script: Arc::new(Mutex::new(statuses.into_iter().collect())), ..Self::default() }
    }

    async fn start(&self) -> String {
        let (address, listener) = listen().await;
        let server = Server::builder().add_service(self.clone());
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        format!("http://{address}")
    }

    /// The values of one header over all calls, `-` where it was absent.
    fn heard(&self, name: &str) -> Vec<String> {
        let headers = self.headers.lock().expect("no test panics while it holds the lock");
        let text = |value: &http::HeaderValue| value.to_str().map(str::to_owned).unwrap_or_default();
        headers.iter().map(|map| map.get(name).map_or_else(|| "-".to_owned(), text)).collect()
    }
}

impl NamedService for Node {
    const NAME: &'static str = "openshell.v1.OpenShell";
}

impl tower::Service<http::Request<Body>> for Node {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.headers.lock().expect("an unpoisoned lock").push(request.headers().clone());
        let failure = self.script.lock().expect("an unpoisoned lock").pop_front();
        let epoch = self.epoch;
        Box::pin(async move {
            let answer = tower::service_fn(move |_: Request<HealthRequest>| {
                std::future::ready(match failure.clone() {
                    Some(status) => Err(status),
                    None => {
                        let mut response = Response::new(HealthResponse { status: 1, version: "test".to_owned() });
                        response.metadata_mut().insert("x-openshell-revision", 42.into());
                        if let Some(epoch) = epoch {
                            response.metadata_mut().insert("x-openshell-epoch", epoch.into());
                        }
                        Ok(response)
                    }
                })
            });
            let mut grpc = tonic::server::Grpc::new(ProstCodec::<HealthResponse, HealthRequest>::default());
            Ok(grpc.unary(answer, request).await)
        })
    }
}

async fn listen() -> (SocketAddr, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    (listener.local_addr().expect("an address"), listener)
}

/// An endpoint at which nobody listens.
async fn dead() -> String {
    let (address, listener) = listen().await;
    drop(listener);
    format!("http://{address}")
}

/// Accepts, reads what the client says first, and then either hangs up or says nothing.
async fn mute(hangs_up: bool) -> String {
    let (address, listener) = listen().await;
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = [0; 16];
            if stream.read(&mut bytes).await.is_ok() && !hangs_up {
                kept.push(stream);
            }
        }
    });
    format!("http://{address}")
}

fn client(endpoints: &[&str]) -> Client {
    let endpoints = parse_endpoints(&endpoints.join(",")).expect("good endpoints");
    ClientBuilder::new(endpoints).attempt_limit(Duration::from_millis(200)).build().expect("a good configuration")
}

async fn health(client: &Client, options: CallOptions) -> Result<super::Answer<HealthResponse>, CallError> {
    client.call(&HEALTH, HealthRequest {}, &options).await
}

#[tokio::test]
async fn a_retry_carries_the_same_request_id_and_a_higher_attempt() {
    let (first, second) = (Node::failing([Status::unavailable("no leader")]), Node::default());
    let client = client(&[&first.start().await, &second.start().await]);
    let answer = health(&client, CallOptions::default()).await.expect("the second node answers");
    assert_eq!((answer.attempts, answer.seen.revision), (2, Some(42)));
    assert_eq!(first.heard("x-openshell-request-id"), [answer.request_id.to_string()]);
    assert_eq!(second.heard("x-openshell-request-id"), [answer.request_id.to_string()]);
    assert_eq!(
        (first.heard("x-openshell-attempt"), second.heard("x-openshell-attempt")),
        (vec!["1".into()], vec!["2".into()])
    );
}

#[tokio::test]
async fn a_call_that_takes_its_time_may_have_more_than_others() {
    let node = Node::default();
    let client = client(&[&node.start().await, &dead().await]);
    for options in [CallOptions::default(), CallOptions::default().attempt_limit(Duration::from_millis(300))] {
        health(&client, options).await.expect("an answer");
    }
    assert_eq!(node.heard("grpc-timeout"), ["200000u", "300000u"]);
}

#[tokio::test]
async fn every_call_has_its_own_request_id_and_asks_first_whom_it_heard_last() {
    let node = Node::default();
    let client = client(&[&dead().await, &node.start().await]);
    let one = health(&client, CallOptions::default()).await.expect("an answer");
    let two = health(&client, CallOptions::default()).await.expect("an answer");
    assert_ne!(one.request_id, two.request_id);
    assert_eq!(client.inner.nearness.preferred(), Some(1));
    assert_eq!(node.heard("x-openshell-attempt"), ["1", "1"], "an endpoint never reached was sent no attempt");
}

#[tokio::test]
async fn a_refusal_is_not_repeated_and_says_what_it_saw() {
    let mut refusal = Status::aborted("resource_version is 7");
    refusal.metadata_mut().insert("x-openshell-revision", 9.into());
    let (first, second) = (Node::failing([refusal]), Node::default());
    let client = client(&[&first.start().await, &second.start().await]);
    let error = health(&client, CallOptions::default()).await.expect_err("a refusal");
    assert!(error.is_definite());
    assert_eq!(error.refusal_code(), Some(Code::Aborted));
    let seen = Seen::from_metadata(error.status().expect("a status").metadata());
    assert_eq!(seen.revision, Some(9));
    assert!(second.heard("x-openshell-attempt").is_empty());
}

fn untimely(time_ms: u64) -> Status {
    let mut refusal = Status::failed_precondition("request id: it is too old");
    refusal.metadata_mut().insert("x-openshell-id-time-ms", time_ms.into());
    refusal
}

#[tokio::test]
async fn an_id_that_does_not_fit_the_clusters_time_is_made_anew_at_that_time() {
    let node = Node::failing([untimely(1_700_000_000_000)]);
    let client = client(&[&node.start().await]);
    let answer = health(&client, CallOptions::default()).await.expect("under another id");
    assert_eq!(answer.request_id.get_timestamp().map(|stamp| stamp.to_unix().0), Some(1_700_000_000));
    assert_eq!(node.heard("x-openshell-attempt"), ["1", "1"], "nobody knows of an attempt under the new id");
    assert_eq!(node.heard("x-openshell-request-id").last(), Some(&answer.request_id.to_string()));
}

#[tokio::test]
async fn an_id_of_the_callers_own_is_kept_and_others_are_not_made_for_ever() {
    let one =
        [CallOptions::default().request_id(Uuid::nil()), CallOptions::default().once()].map(|options| (options, 1));
    for (options, asked) in one.into_iter().chain([(CallOptions::default(), 6)]) {
        let node = Node::failing((0..9).map(|_| untimely(1_700_000_000_000)));
        let error = health(&client(&[&node.start().await]), options).await.expect_err("a refusal");
        assert_eq!(error.refusal_code(), Some(Code::FailedPrecondition));
        assert_eq!(node.heard("x-openshell-attempt").len(), asked);
    }
}

#[tokio::test]
async fn endpoints_that_cannot_be_reached_are_all_listed_at_once_with_their_causes() {
    let (first, second) = (dead().await, dead().await);
    let error = health(&client(&[&first, &second]), CallOptions::default()).await.expect_err("nobody listens");
    assert!(error.is_definite());
    let CallError::Unreachable(failures) = error else { panic!("not unreachable: {error}") };
    let listed: Vec<_> = failures.iter().map(|failure| failure.endpoint.as_str()).collect();
    assert_eq!(listed, [first, second]);
    for failure in &failures {
        let last = failure.causes.last().expect("a cause").to_lowercase();
        assert!(last.contains("connection refused"), "{failure}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_leaves_doubt_and_the_call_goes_elsewhere() {
    let node = Node::default();
    let client = client(&[&mute(true).await, &node.start().await]);
    let answer = health(&client, CallOptions::default()).await.expect("the second node answers");
    assert_eq!(node.heard("x-openshell-attempt"), [answer.attempts.to_string()]);
}

#[tokio::test]
async fn an_answer_that_was_cut_short_leaves_doubt_as_a_broken_connection_does() {
    for said in ["Missing response message.", "Unexpected EOF decoding stream."] {
        let failing = async || Node::failing([Status::internal(said)]).start().await;
        let once = health(&client(&[&failing().await]), CallOptions::default().once()).await.expect_err("doubt");
        assert!(matches!(once, CallError::Unknown { .. }), "{said}: {once}");
        let client = client(&[&failing().await, &Node::default().start().await]);
        let answer = health(&client, CallOptions::default()).await.expect("the second node answers");
        assert_eq!(answer.attempts, 2, "{said}");
    }
}

#[tokio::test]
async fn a_silent_endpoint_is_left_when_the_time_for_one_attempt_is_over() {
    let node = Node::default();
    let client = client(&[&mute(false).await, &node.start().await]);
    let answer = health(&client, CallOptions::default()).await.expect("the second node answers");
    assert_eq!(answer.attempts, 2);
}

#[tokio::test]
async fn a_call_made_once_reports_doubt_under_the_id_that_it_was_given() {
    let silent = client(&[&mute(false).await]);
    let id = Uuid::from_u128(7);
    let options = CallOptions::default().once().deadline(Duration::from_millis(50)).request_id(id);
    let error = health(&silent, options).await.expect_err("nobody answers");
    assert!(!error.is_definite());
    assert!(matches!(error, CallError::Unknown { request_id, attempts: 1, .. } if request_id == id), "{error}");
}

#[tokio::test]
async fn a_node_can_promise_that_nothing_happened() {
    let mut status = Status::unavailable("no leader was found");
    status.metadata_mut().insert("x-openshell-outcome", "not-done".parse().expect("a value"));
    let node = Node::failing([status]);
    let error = health(&client(&[&node.start().await]), CallOptions::default().once()).await.expect_err("a failure");
    assert!(matches!(error, CallError::NotDone { attempts: 1, .. }), "{error}");
}

#[tokio::test]
async fn one_attempt_in_doubt_leaves_the_whole_call_in_doubt() {
    let mut promise = Status::unavailable("no leader was found");
    promise.metadata_mut().insert("x-openshell-outcome", "not-done".parse().expect("a value"));
    let nodes = [Node::failing([Status::unavailable("lost")]), Node::failing(vec![promise; 1000])];
    let client = client(&[&nodes[0].start().await, &nodes[1].start().await]);
    nodes[0].script.lock().expect("an unpoisoned lock").extend(vec![Status::unavailable("lost"); 1000]);
    let error =
        health(&client, CallOptions::default().deadline(Duration::from_millis(150))).await.expect_err("a failure");
    assert!(matches!(error, CallError::Unknown { attempts: 2.., .. }), "{error}");
}

#[tokio::test]
async fn a_refusal_after_doubt_is_definite_only_when_it_is_for_all_attempts() {
    let expired = || Status::failed_precondition("request id: it is too old");
    let mut claimed = Status::already_exists("it exists");
    claimed.metadata_mut().insert("x-openshell-outcome", "refused".parse().expect("a value"));
    for (refusal, definite) in [(expired(), false), (claimed, true)] {
        let (first, second) = (Node::failing([Status::unavailable("lost")]), Node::failing([refusal.clone()]));
        let client = client(&[&first.start().await, &second.start().await]);
        let error = health(&client, CallOptions::default()).await.expect_err("a refusal");
        assert_eq!(error.is_definite(), definite, "{error}");
        assert_eq!(error.status().expect("a status").code(), refusal.code());
        assert_eq!(error.refusal_code().is_some(), definite);
    }
    // A call that continues earlier attempts is in doubt from the start; another is not.
    let node = Node::failing([expired(), expired()]);
    let client = client(&[&node.start().await]);
    let error = health(&client, CallOptions::default().first_attempt(2)).await.expect_err("a refusal");
    assert!(matches!(error, CallError::Unknown { attempts: 1, .. }), "{error}");
    let error = health(&client, CallOptions::default()).await.expect_err("a refusal");
    assert!(matches!(error, CallError::Refused(_)), "{error}");
}

#[tokio::test]
async fn opening_a_stream_is_never_in_doubt() {
    let nodes = [1, 2].map(|_| Node::failing([Status::unavailable("lost")]));
    let client = client(&[&nodes[0].start().await, &nodes[1].start().await]);
    let opened = client.stream(&WATCH_SANDBOX, WatchSandboxRequest::default(), &CallOptions::default()).await;
    let error = opened.map(drop).expect_err("both failed");
    assert!(matches!(error, CallError::NotDone { attempts: 2, .. }), "{error}");
}

#[tokio::test]
async fn a_failure_whose_outcome_is_unknown_is_no_refusal_whatever_its_code() {
    let mut incomplete = Status::permission_denied("the call took effect, but its answer could not be completed");
    incomplete.metadata_mut().insert("x-openshell-outcome", "unknown".parse().expect("a value"));
    let error = health(&client(&[&Node::failing([incomplete]).start().await]), CallOptions::default()).await;
    let error = error.expect_err("a failure");
    assert!(matches!(error, CallError::Unknown { attempts: 1, .. }), "{error}");
}

#[tokio::test]
async fn what_a_call_asks_for_travels_in_headers() {
    let node = Node::default();
    let endpoints = parse_endpoints(&node.start().await).expect("a good endpoint");
    let client =
        ClientBuilder::new(endpoints).header("authorization", "Bearer t").build().expect("a good configuration");
    let seen = Seen { epoch: Some(3), revision: Some(80), ..Seen::default() };
    let options = CallOptions::linearizable().not_before(&seen).first_attempt(4);
    health(&client, options).await.expect("an answer");
    for (name, value) in [
        ("x-openshell-consistency", "linearizable"),
        ("x-openshell-epoch", "3"),
        ("x-openshell-min-revision", "80"),
        ("x-openshell-attempt", "4"),
        ("authorization", "Bearer t"),
    ] {
        assert_eq!(node.heard(name), [value], "{name}");
    }
    assert_ne!(node.heard("grpc-timeout"), ["-"]);
}

#[tokio::test]
async fn a_method_can_be_called_by_its_path() {
    let node = Node::default();
    let client = client(&[&node.start().await]);
    let answer = client
        .unary::<_, HealthResponse>("openshell.v1.OpenShell/Health", HealthRequest {}, &CallOptions::default())
        .await
        .expect("an answer");
    assert_eq!(answer.message.version, "test");
}

/// A server that wants a client certificate of the same authority, and that authority's PEM texts.
async fn start_with_mutual_tls(node: &Node) -> (String, Tls) {
    let mut parameters = rcgen::CertificateParams::new(Vec::new()).expect("good parameters");
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = rcgen::CertifiedIssuer::self_signed(parameters, rcgen::KeyPair::generate().expect("a key"))
        .expect("an authority");
    let leaf = || {
        let key = rcgen::KeyPair::generate().expect("a key");
        let parameters = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("good parameters");
        let certificate = parameters.signed_by(&key, &authority).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    };
    let (certificate, key) = leaf();
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(certificate, key))
        .client_ca_root(Certificate::from_pem(authority.pem()));
    let (address, listener) = listen().await;
    let server = Server::builder().tls_config(tls).expect("a good configuration").add_service(node.clone());
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let (certificate, key) = leaf();
    let identity_pem = Some((certificate.into_bytes(), key.into_bytes()));
    (format!("https://{address}"), Tls::Bundle { ca_pem: authority.pem().into_bytes(), identity_pem })
}

#[tokio::test]
async fn a_bundle_proves_both_sides_and_without_one_the_server_hangs_up() {
    let node = Node::default();
    let (url, bundle) = start_with_mutual_tls(&node).await;
    let with = |tls| ClientBuilder::new(parse_endpoints(&url).expect("a good endpoint")).tls(tls).build();
    health(&with(bundle).expect("a good bundle"), CallOptions::default()).await.expect("an answer");
    let stranger = with(Tls::Insecure).expect("needs no bundle");
    let options = CallOptions::default().deadline(Duration::from_millis(500));
    health(&stranger, options).await.expect_err("the server wants a certificate");
    assert!(with(Tls::None).is_err(), "https without TLS is refused before anything is dialled");
    assert_eq!(node.heard("x-openshell-attempt"), ["1"]);
}
