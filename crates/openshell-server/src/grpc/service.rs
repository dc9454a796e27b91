//! The gRPC server over the table: one service for every path. Each call gets its principal,
//! its context and the headers of its answer here.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{self, Poll};

use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use tonic::server::{Grpc, ServerStreamingService, UnaryService};
use tonic::{Request, Response, Status, body::Body};
use tower::Service;

use crate::auth;
use crate::grpc::codec::BytesCodec;
use crate::grpc::context::Context;
use crate::grpc::gateway::{Answer, Gateway};
use crate::grpc::status::settle;
use crate::grpc::table::{Events, Handler, Method};

/// Largest request taken (`config.md` GR-10).
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
            // Said before the body is read: a stream may never send one.
            if let Handler::Absent(sentence) = &method.handler {
                return Ok(service.absent((*sentence).to_owned()));
            }
            let mut grpc = Grpc::new(BytesCodec).apply_max_message_size_config(Some(REQUEST_BYTES_MAX), None);
            let streams = matches!(method.handler, Handler::Watch(_));
            let call = Call { service, method };
            Ok(if streams { grpc.server_streaming(call, request).await } else { grpc.unary(call, request).await })
        })
    }
}

impl Call {
    fn context(&self, request: &Request<Bytes>) -> Result<Context, Status> {
        let principal = self.service.authenticator.principal(request, &self.service.gateway.cluster.state())?;
        Context::read(request.metadata(), principal)
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
                Err(status) => {
                    Answer { reply: Err(status), revision: gateway.cluster.state().revision(), settled: false }
                }
            };
            let seen = gateway.seen(answer.revision);
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
    type ResponseStream = Events;
    type Future = BoxFuture<'static, Result<Response<Events>, Status>>;

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
                let opening = open(Arc::clone(&gateway), Arc::clone(&method), context, request.into_inner());
                let (revision, events) = opening.await?;
                let ending = Arc::clone(&gateway);
                let events = events.map(move |event| event.map_err(|status| ending.marked(status)));
                let mut response = Response::new(Box::pin(events) as Events);
                gateway.seen(revision).write(response.metadata_mut());
                Ok(response)
            };
            opened.await.map_err(|status| marked.marked(status))
        })
    }
}
