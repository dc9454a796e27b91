//! What other nodes ask of this one's gateway: to decide a call that was passed on, for log lines, for the
//! sandboxes that follow through it, or for what an entry changed.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use openshell_proto::peer::{
    ChangedKeys, ForwardRequest, ForwardResponse, LogLines, Presence, ReadChangedKeysRequest, ReadLogsRequest,
    ReadPresenceRequest, ReadSessionsRequest, Sessions,
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
        self.0.sessions.presence(request, self.0.is_stale(), Instant::now())
    }

    fn read_changed_keys(&self, request: &ReadChangedKeysRequest) -> BoxFuture<'_, Result<ChangedKeys, String>> {
        Box::pin(self.0.hub.changed_keys(request.revision))
    }
}
