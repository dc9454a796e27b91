//! `openshell cluster transfer-leader`: another node leads. The leader that hands over is named in the call, so
//! that an attempt that is repeated moves nothing twice.

use std::time::Duration;

use openshell_client::{CallOptions, methods};
use openshell_proto::cluster::TransferLeadershipRequest;
use serde_json::{Value, json};

use super::view::look;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{self, Format};

/// How long one attempt may take: as long as a gateway holds any call. An election is part of it.
const ATTEMPT: Duration = Duration::from_secs(10);

pub(super) async fn run(to: Option<u64>, format: Format, context: &mut Context<'_>) -> Result<(), Failure> {
    let session = context.session()?;
    let status = look(&session, &CallOptions::default()).await?;
    if status.leader == 0 && to.is_none() {
        return Err(Failure::new(format!(
            "node {} knows of no leader just now, so none can hand over: 'openshell cluster status' shows the members",
            status.node
        )));
    }
    let request = TransferLeadershipRequest { to: to.unwrap_or(0), from: status.leader };
    let options = CallOptions::default().attempt_limit(ATTEMPT);
    let leader = session.client.call(&methods::TRANSFER_LEADERSHIP, request, &options).await?.message.leader;
    if let Some(to) = to.filter(|to| *to != leader) {
        return Err(Failure::new(format!("node {leader} was elected meanwhile, and leads in place of node {to}"))
            .advise("look at 'openshell cluster status', then repeat the command if it is still wanted"));
    }
    match format {
        Format::Table => context.console.done(&sentence(leader, status.leader)),
        Format::Json => context.console.print(&output::json(document(leader, status.leader))),
        Format::Yaml => context.console.print(&output::yaml(document(leader, status.leader))),
    }
    Ok(())
}

fn sentence(leader: u64, before: u64) -> String {
    match before {
        0 => format!("Node {leader} leads"),
        before => format!("Node {leader} leads, node {before} did before"),
    }
}

fn document(leader: u64, before: u64) -> Value {
    json!({"leader": leader, "previous": (before != 0).then_some(before)})
}

#[cfg(test)]
mod tests {
    use super::{document, sentence};
    use serde_json::json;

    #[test]
    fn who_leads_now_and_who_did_before() {
        assert_eq!(sentence(2, 1), "Node 2 leads, node 1 did before");
        assert_eq!(sentence(2, 0), "Node 2 leads");
        assert_eq!(document(2, 1), json!({"leader": 2, "previous": 1}));
        assert_eq!(document(2, 0), json!({"leader": 2, "previous": null}));
    }
}
