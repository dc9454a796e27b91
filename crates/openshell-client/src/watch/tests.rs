//! Watches of nodes that answer by script: some words, then silence or an end.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use openshell_proto::cluster::Position;
use tokio::net::TcpListener;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::Server;
use tonic::{Request, Response};
use tonic_prost::ProstCodec;

use super::*;

/// Far more than anything takes.
const LIMIT: Duration = Duration::from_secs(60);

/// A node that says the mark at a revision, and then its end or nothing any more.
#[derive(Clone)]
struct Node {
    revision: Option<u64>,
    end: Option<Status>,
    watches: Arc<AtomicUsize>,
}

impl Node {
    fn new(revision: Option<u64>, end: Option<Status>) -> Self {
        Self { revision, end, watches: Arc::default() }
    }

    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let server = Server::builder().add_service(self.clone());
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        format!("http://{address}")
    }
}

impl NamedService for Node {
    const NAME: &'static str = "openshell.cluster.v1.Cluster";
}

impl tower::Service<http::Request<Body>> for Node {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.watches.fetch_add(1, Ordering::SeqCst);
        let node = self.clone();
        Box::pin(async move {
            let answer = tower::service_fn(move |_: Request<WatchRequest>| {
                let synced = node.revision.map(|revision| {
                    let position = Some(Position { epoch: 1, revision });
                    Ok(WatchResponse { r#type: Type::Synced as i32, position, ..WatchResponse::default() })
                });
                let words: Vec<Result<WatchResponse, Status>> =
                    synced.into_iter().chain(node.end.clone().map(Err)).collect();
                let messages = tokio_stream::iter(words).chain(tokio_stream::pending());
                std::future::ready(Ok::<_, Status>(Response::new(messages)))
            });
            let mut grpc = tonic::server::Grpc::new(ProstCodec::<WatchResponse, WatchRequest>::default());
            Ok(grpc.server_streaming(answer, request).await)
        })
    }
}

async fn watch(nodes: &[&Node]) -> Watch {
    let mut urls = Vec::new();
    for node in nodes {
        urls.push(node.start().await);
    }
    let client = Client::new(&urls.join(",")).expect("good endpoints");
    Watch::new(client, WatchRequest::default(), LIMIT).silence_max(Duration::from_millis(100))
}

async fn next(watch: &mut Watch) -> Result<WatchResponse, WatchError> {
    tokio::time::timeout(LIMIT, watch.next()).await.expect("a message in time")
}

#[tokio::test]
async fn a_watch_whose_node_falls_silent_goes_on_at_the_next() {
    let (first, second) = (Node::new(Some(5), None), Node::new(Some(7), None));
    let mut watch = watch(&[&first, &second]).await;
    for revision in [5, 7] {
        let position = next(&mut watch).await.expect("a message").position.expect("a position");
        assert_eq!(position.revision, revision);
    }
    assert_eq!(first.watches.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_reader_too_slow_for_the_state_is_told_and_does_not_begin_again() {
    let node = Node::new(None, Some(Status::resource_exhausted("did not take the state in time")));
    let Err(WatchError::Call(error)) = next(&mut watch(&[&node]).await).await else { panic!("it is over") };
    assert_eq!(error.refusal_code(), Some(Code::ResourceExhausted));
    assert_eq!(node.watches.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_reader_that_was_cut_off_goes_on_from_where_it_is_told() {
    let mut end = Status::resource_exhausted("changes come too fast");
    end.metadata_mut().insert(RESUME_REVISION, 5.into());
    let node = Node::new(Some(5), Some(end));
    let mut watch = watch(&[&node]).await;
    for _ in 0..2 {
        next(&mut watch).await.expect("it goes on");
    }
    assert_eq!(node.watches.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn of_a_node_that_breaks_the_watch_is_told_although_it_goes_on() {
    let broken = Node::new(Some(5), Some(Status::internal("the state contradicts itself")));
    let well = Node::new(Some(7), None);
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let mut watch = watch(&[&broken, &well]).await.on_break(move |status| {
        // Nobody listens any more once the test is over.
        let _ = tell.send(status.message().to_owned());
    });
    for _ in 0..2 {
        next(&mut watch).await.expect("it goes on");
    }
    assert_eq!(told.try_recv().as_deref(), Ok("the state contradicts itself"));
}
