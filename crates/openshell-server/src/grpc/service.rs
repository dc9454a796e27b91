//! The gRPC server over the table: one service for every path. Each call gets its principal,
//! its context and the headers of its answer here.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{self, Poll};

use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use openshell_proto::cluster::Position;
use tonic::metadata::MetadataMap;
use tonic::server::{ClientStreamingService, Grpc, ServerStreamingService, UnaryService};
use tonic::{Request, Response, Status, Streaming, body::Body};
use tower::Service;

use crate::auth;
use crate::grpc::codec::BytesCodec;
use crate::grpc::context::Context;
use crate::grpc::ending;
use crate::grpc::gateway::{Answer, Gateway};
use crate::grpc::status::settle;
use crate::grpc::table::{Handler, Messages, Method};

/// Largest request taken, each of a stream by itself (`config.md` GR-10).
const REQUEST_BYTES_MAX: usize = 1024 * 1024;

/// Every RPC of this node.
#[derive(Clone)]
pub(crate) struct GatewayService {
    gateway: Arc<Gateway>,
    authenticator: Arc<auth::Authenticator>,
}

/// One call of a known method.
struct Call {
    service: GatewayService,
    method: Arc<Method>,
}

impl GatewayService {
    pub(crate) fn new(gateway: Arc<Gateway>, authenticator: auth::Authenticator) -> Self {
        Self { gateway, authenticator: Arc::new(authenticator) }
    }
}

impl GatewayService {
    /// The answer to a call that this gateway does not have.
    fn absent(&self, sentence: String) -> http::Response<Body> {
        self.gateway.marked(Status::unimplemented(sentence)).into_http()
    }
}

impl Service<http::Request<Body>> for GatewayService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            let path = request.uri().path().trim_start_matches('/');
            let Some(method) = service.gateway.method(path).map(Arc::clone) else {
                return Ok(service.absent(format!("this gateway has no method {path:?}")));
            };
            let call = Call { service, method };
            // Said before the body is read: a stream may never send one.
            if let Handler::Absent(sentence) = &call.method.handler {
                return Ok(match call.permitted_by_head(&request) {
                    Ok(()) => call.service.absent((*sentence).to_owned()),
                    Err(status) => call.service.gateway.marked(status).into_http(),
                });
            }
            let mut grpc = Grpc::new(BytesCodec).apply_max_message_size_config(Some(REQUEST_BYTES_MAX), None);
            let method = Arc::clone(&call.method);
            Ok(match &method.handler {
                Handler::Watch(_) => grpc.server_streaming(call, request).await,
                Handler::Collect(_) => grpc.client_streaming(call, request).await,
                Handler::Decide { .. }
                | Handler::Query(_)
                | Handler::Lead(..)
                | Handler::WithKeeper(_)
                | Handler::Node(_)
                | Handler::Gather(_)
                | Handler::Absent(_) => grpc.unary(call, request).await,
            })
        })
    }
}

impl Call {
    /// Whether whoever calls may call this at all, as the head of a request shows it.
    fn permitted_by_head(&self, request: &http::Request<Body>) -> Result<(), Status> {
        let metadata = MetadataMap::from_headers(request.headers().clone());
        let head = Request::from_parts(metadata, request.extensions().clone(), ());
        self.context(&head)?.permit(&self.method.rule)
    }

    fn context<T>(&self, request: &Request<T>) -> Result<Context, Status> {
        let caller = self.service.authenticator.caller(request, &self.service.gateway.cluster.state())?;
        let context = Context::read(request.metadata(), caller.principal)?;
        Ok(Context { ends: caller.ends, ..context })
    }
}

impl UnaryService<Bytes> for Call {
    type Response = Bytes;
    type Future = BoxFuture<'static, Result<Response<Bytes>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let context = self.context(&request);
        let (gateway, method) = (Arc::clone(&self.service.gateway), Arc::clone(&self.method));
        Box::pin(async move {
            let answer = match context {
                Ok(context) => gateway.answer(&method, &context, request.into_inner()).await,
                Err(status) => Answer { reply: Err(status), at: gateway.here(), settled: false },
            };
            let seen = gateway.seen(answer.at);
            match answer.reply {
                Ok(message) => {
                    let mut response = Response::new(message);
                    seen.write(response.metadata_mut());
                    Ok(response)
                }
                Err(mut status) => {
                    if answer.settled {
                        settle(&mut status);
                    }
                    seen.write(status.metadata_mut());
                    Err(status)
                }
            }
        })
    }
}

impl ServerStreamingService<Bytes> for Call {
    type Response = Bytes;
    type ResponseStream = Messages;
    type Future = BoxFuture<'static, Result<Response<Messages>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let context = self.context(&request);
        let (gateway, method) = (Arc::clone(&self.service.gateway), Arc::clone(&self.method));
        Box::pin(async move {
            let marked = Arc::clone(&gateway);
            let opened = async {
                let context = context?;
                context.permit(&method.rule)?;
                gateway.takes_part()?;
                let Handler::Watch(open) = &method.handler else {
                    return Err(Status::internal("a unary method was called as a stream"));
                };
                let ends = context.ends;
                let opening = open(Arc::clone(&gateway), Arc::clone(&method), context, request.into_inner());
                let (revision, events) = opening.await?;
                let marking = Arc::clone(&gateway);
                let events = ending::at(ends, events).map(move |event| event.map_err(|status| marking.marked(status)));
                let mut response = Response::new(Box::pin(events) as Messages);
                gateway.seen(Position { revision, ..gateway.here() }).write(response.metadata_mut());
                Ok(response)
            };
            opened.await.map_err(|status| marked.marked(status))
        })
    }
}

impl ClientStreamingService<Bytes> for Call {
    type Response = Bytes;
    type Future = BoxFuture<'static, Result<Response<Bytes>, Status>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let context = self.context(&request);
        let (gateway, method) = (Arc::clone(&self.service.gateway), Arc::clone(&self.method));
        Box::pin(async move {
            let marked = Arc::clone(&gateway);
            let taken = async {
                let context = context?;
                context.permit(&method.rule)?;
                gateway.takes_part()?;
                let Handler::Collect(take) = &method.handler else {
                    return Err(Status::internal("a method without a stream of requests was called with one"));
                };
                let requests = ending::at(context.ends, Box::pin(request.into_inner()));
                let answer = take(Arc::clone(&gateway), Arc::clone(&method), context, requests).await?;
                let mut response = Response::new(answer);
                gateway.seen(gateway.here()).write(response.metadata_mut());
                Ok(response)
            };
            taken.await.map_err(|status| marked.marked(status))
        })
    }
}
