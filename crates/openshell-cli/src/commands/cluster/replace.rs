//! `openshell cluster replace`: asks again and again until it is done; each answer says how far it is.

use std::time::Duration;

use openshell_client::{CallOptions, methods};
use openshell_proto::cluster::ReplaceNodeRequest;
use serde_json::json;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{self, Format};

/// How long one attempt at replacing a member may take: as long as a gateway holds any call.
const ATTEMPT: Duration = Duration::from_secs(10);

pub(super) async fn run(old: u64, new: u64, format: Format, context: &mut Context<'_>) -> Result<(), Failure> {
    let session = context.session()?;
    let mut said = None;
    loop {
        // A call of its own each time: the same request id would hear the same answer.
        // Nothing remembers it for a second attempt: one that asks the members and the new node needs its time.
        let options = CallOptions::default().attempt_limit(ATTEMPT);
        let answer =
            session.client.call(&methods::REPLACE_NODE, ReplaceNodeRequest { old, new }, &options).await?.message;
        if answer.done {
            break;
        }
        let progress = (answer.caught_up, answer.target);
        if said.replace(progress) != Some(progress) {
            let arrow = context.console.paint_err.dim("→");
            let (has, of) = progress;
            context.console.note(&format!("{arrow} Node {new} catches up: entry {has} of {of}"));
        }
    }
    let document = json!({"new": new, "old": old});
    match format {
        Format::Table => {
            context.console.done(&format!("Node {new} took the place of node {old}; node {old} is let in no more"));
        }
        Format::Json => context.console.print(&output::json(document)),
        Format::Yaml => context.console.print(&output::yaml(document)),
    }
    Ok(())
}
