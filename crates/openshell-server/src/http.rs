//! Plain HTTP pages for machines: `/healthz` (the process runs), `/readyz` (the node can serve,
//! or the reason why not; and what people must look at though it serves), `/metrics`.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use openshell_raft::Cluster;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::grpc::Gateway;
use crate::listener::{Listener, Room};
use crate::metrics;

/// Answers `/healthz` and `/readyz`. A node that is leaving is not ready, though it still answers.
pub(crate) fn health(cluster: Cluster, leaving: CancellationToken) -> Router {
    Router::new().route("/healthz", get(|| async { "ok\n" })).route(
        "/readyz",
        get(move || async move {
            let stopping = leaving.is_cancelled().then(|| "the node is stopping".to_owned());
            match stopping.map_or_else(|| cluster.ready(), Err) {
                Ok(()) => match cluster.doubt() {
                    None => (StatusCode::OK, "ready\n".to_owned()),
                    Some(doubt) => (StatusCode::OK, format!("ready, but {doubt}\n")),
                },
                Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
            }
        }),
    )
}

/// Answers `/metrics`.
pub(crate) fn metrics(gateway: Arc<Gateway>) -> Router {
    Router::new().route(
        "/metrics",
        get(move || async move {
            let page =
                metrics::page(&gateway).map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
            let content = [(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
            Ok::<_, (StatusCode, String)>((content, page))
        }),
    )
}

/// Serves pages until the node stops, to as many as there is room for.
pub(crate) async fn serve(
    address: SocketAddr,
    pages: Router,
    room: Room,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))?;
    let listener = Listener::new(listener, room);
    tokio::spawn(async move {
        let stopped = async move { stop.cancelled().await };
        if let Err(error) = axum::serve(listener, pages).with_graceful_shutdown(stopped).await {
            tracing::error!(%address, %error, "HTTP pages ended");
        }
    });
    Ok(())
}
