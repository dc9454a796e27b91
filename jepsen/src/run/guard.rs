//! Looks whether a node ends although nobody made it, writes that down, and starts it again.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::rig::Rig;
use super::scenario::OF_CALLS;
use crate::history::Line;
use crate::recorder::Recorder;
use crate::report::say;

const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Of its log so many lines are kept with the note.
const LINES: usize = 3;

/// Goes on until it is dropped.
pub(super) async fn guard(rig: Arc<Rig>, recorder: Arc<Recorder>) {
    let ids: Vec<u64> = rig.nodes.iter().map(|node| node.id).collect();
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let looked = rig.each(&ids, |machinery, node| {
            let Some(status) = machinery.ended(node).filter(|_| !machinery.excused.contains(&node)) else {
                return Ok(());
            };
            let log = machinery.cluster.gateway(node).log_tail(LINES);
            if machinery.forgiven.contains(&node) && OF_CALLS.iter().any(|text| log.contains(text)) {
                say(&format!("node {node} ended of an earlier fault with {status}: {log}"));
                return machinery.start(node);
            }
            let said = format!("{status}: {log}");
            say(&format!("node {node} ended by itself with {said}"));
            recorder.add(Line::Ended { time_ns: recorder.now_ns(), node, said });
            machinery.start(node)
        });
        if let Err(error) = looked.await {
            rig.complain(format!("a node could not be started: {error:#}"));
        }
    }
}
