//! What goes upward: whether what was sent is in force. To the node of the stream for whoever watches a
//! change arrive; about a policy of the sandbox's own also into its record.

use std::convert::Infallible;
use std::time::Duration;

use openshell_client::{Client, methods};
use openshell_proto::sync::ReportRequest;
use openshell_proto::v1::{PolicyStatus, ReportPolicyStatusRequest};
use rand::Rng;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tonic::Code;

use crate::feed::{Feed, Outcome};
use crate::node::{CALL_LIMIT, once};
use crate::position::Position;

/// What a node keeps of a reason.
const REASON_BYTES_MAX: usize = 4096;
/// About how often a node is told that somebody is there.
const SIGN: Duration = Duration::from_secs(3);
/// Before what did not arrive is reported again.
const AGAIN: Duration = Duration::from_millis(200);
/// The record is written by the leader, and there may be none for a while.
const RECORD_AGAIN: Duration = Duration::from_secs(2);
const RECORD_LIMIT: Duration = Duration::from_secs(10);

/// Reports to the node of a session, for as long as it lasts: the newest, once, and again now and then so that
/// the node knows that somebody is there. What it took note of as in force is `acknowledged`. Ends when the node
/// knows of no such session, or when nobody installs any more.
pub(crate) async fn to_node(
    client: Client,
    session: String,
    sandbox_id: String,
    mut feed: watch::Receiver<Feed>,
    mut outcome: watch::Receiver<Outcome>,
    acknowledged: watch::Sender<Option<Position>>,
) {
    let mut reported = None;
    let mut again_at = Instant::now() + sign_after();
    loop {
        let (news, sign) = {
            let (feed, outcome) = (feed.borrow_and_update(), outcome.borrow_and_update());
            (feed.report(&outcome), feed.sign_of_life(&outcome))
        };
        let is_news = news.is_some() && news != reported;
        let is_time = again_at <= Instant::now();
        let sign = sign.map(|position| (position, String::new()));
        if let Some((position, failed)) = news.clone().or(sign).filter(|_| is_news || is_time) {
            let is_in_force = failed.is_empty();
            let request = ReportRequest {
                session: session.clone(),
                sandbox_id: sandbox_id.clone(),
                position: Some(position.into()),
                failed: cut(failed, REASON_BYTES_MAX),
            };
            match client.call(&methods::REPORT, request, &once(CALL_LIMIT)).await {
                Ok(_) => {
                    acknowledged.send_if_modified(|newest| {
                        let is_newer = is_in_force && *newest < Some(position);
                        *newest = if is_newer { Some(position) } else { *newest };
                        is_newer
                    });
                }
                Err(error) if error.refusal_code() == Some(Code::FailedPrecondition) => return,
                Err(error) if error.refusal_code().is_some() => {
                    tracing::warn!(%error, "the node does not take a report");
                }
                Err(error) => {
                    tracing::debug!(%error, "a report is repeated");
                    sleep(AGAIN).await;
                    continue;
                }
            }
            again_at = Instant::now() + sign_after();
            reported = news.or(reported);
            continue;
        }
        if is_time {
            again_at = Instant::now() + sign_after();
        }
        let changed = tokio::select! {
            changed = feed.changed() => changed,
            changed = outcome.changed() => changed,
            () = sleep_until(again_at) => Ok(()),
        };
        if changed.is_err() {
            return;
        }
    }
}

/// When a node is told next that somebody is there: not all sandboxes at one instant.
fn sign_after() -> Duration {
    SIGN.mul_f64(rand::rng().random_range(0.8..1.2))
}

/// Has the cluster record what became of each new policy of the sandbox's own, through any node. What was
/// recorded by an earlier run, `Feed::policy_reported`, is not recorded again: a restart writes nothing.
pub(crate) async fn to_record(
    client: Client,
    sandbox_id: String,
    feed: watch::Sender<Feed>,
    mut outcome: watch::Receiver<Outcome>,
) -> Infallible {
    // By the cluster: a version, and whether it was said to have failed.
    let mut refused = (0, false);
    loop {
        let Outcome { settled, policy_error: failed, policy_version, .. } = outcome.borrow_and_update().clone();
        // A failure is recorded once, though its text may differ each time that it is tried.
        let fate = (policy_version, !failed.is_empty());
        let is_known = feed.borrow().is_recorded(fate.0, fate.1) || fate == refused;
        if settled.is_none() || is_known {
            if outcome.changed().await.is_err() {
                return std::future::pending().await;
            }
            continue;
        }
        let status = if failed.is_empty() { PolicyStatus::Loaded } else { PolicyStatus::Failed };
        let request = ReportPolicyStatusRequest {
            sandbox_id: sandbox_id.clone(),
            version: policy_version,
            status: status.into(),
            load_error: cut(failed, REASON_BYTES_MAX),
        };
        match client.call(&methods::REPORT_POLICY_STATUS, request, &once(RECORD_LIMIT)).await {
            Ok(_) if status == PolicyStatus::Loaded => {
                feed.send_modify(|feed| feed.policy_reported = policy_version);
            }
            Ok(_) => feed.send_modify(|feed| feed.policy_failed = policy_version),
            Err(error) if error.refusal_code().is_some() => {
                tracing::warn!(%error, policy_version, "the cluster does not record what became of a policy");
                refused = fate;
            }
            Err(error) => {
                tracing::debug!(%error, policy_version, "what became of a policy is told again");
                sleep(RECORD_AGAIN).await;
            }
        }
    }
}

/// At most so many bytes of a text, whole characters.
fn cut(mut text: String, bytes_max: usize) -> String {
    let end = (0..=bytes_max.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn a_reason_is_cut_between_characters() {
        assert_eq!(cut("short".to_owned(), 10), "short");
        assert_eq!(cut("grün".to_owned(), 3), "gr");
        assert_eq!(cut("grün".to_owned(), 4), "grü");
        assert_eq!(cut("x".to_owned(), 0), "");
    }
}
