//! What other nodes ask of this one's gateway: to decide a call that was passed on, for log lines, or for the
//! sandboxes that follow through it.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use openshell_proto::peer::{
    ForwardRequest, ForwardResponse, LogLines, Presence, ReadLogsRequest, ReadPresenceRequest, ReadSessionsRequest,
    Sessions,
};
use openshell_raft::CallHandler;
use tokio::time::Instant;

use crate::grpc::context::CALL_MAX;
use crate::grpc::gateway::Gateway;

/// Answers other nodes.
pub(super) struct FromPeers(pub(super) Arc<Gateway>);

impl CallHandler for FromPeers {
    fn handle(&self, request: ForwardRequest) -> BoxFuture<'_, ForwardResponse> {
        Box::pin(async move {
            let deadline = Instant::now() + Duration::from_millis(request.deadline_ms).min(CALL_MAX);
            self.0.decide_here(&request, deadline).await
        })
    }

    fn read_logs(&self, request: &ReadLogsRequest) -> LogLines {
        self.0.logs.keeper().read(request)
    }

    fn follow_logs(&self, request: &ReadLogsRequest) -> BoxStream<'static, LogLines> {
        self.0.logs.keeper().serve(request)
    }

    fn read_sessions(&self, request: &ReadSessionsRequest) -> Sessions {
        self.0.sessions.read(request)
    }

    fn read_presence(&self, request: &ReadPresenceRequest) -> Presence {
        self.0.sessions.presence(request, self.0.is_stale())
    }
}
