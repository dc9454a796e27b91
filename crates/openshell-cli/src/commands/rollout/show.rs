//! Rollouts as people and scripts read them.

use openshell_proto::sync::{GetRolloutResponse, RolloutRow, RolloutState, UnaskedNode};
use serde_json::{Value, json};

use crate::output::{Paint, plain, table};

/// Counts, rows and the nodes that did not say.
pub(super) fn text(answer: &GetRolloutResponse, paint: Paint) -> String {
    let mut text = counts(answer) + "\n";
    if !answer.rows.is_empty() {
        text.push_str(&rows(&answer.rows.iter().collect::<Vec<_>>(), paint));
    }
    for unasked in &answer.unasked {
        text.push_str(&format!("{} {}\n", paint.yellow("!"), missing(unasked)));
    }
    text
}

/// One line.
pub(super) fn counts(answer: &GetRolloutResponse) -> String {
    let counts = answer.counts.unwrap_or_default();
    let parts = [
        (counts.applied, "applied"),
        (counts.sent, "sent"),
        (counts.pending, "pending"),
        (counts.failed, "failed"),
        (counts.stale, "stale"),
        (counts.unsupported, "polling"),
        (counts.absent, "not connected"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}"));
    let parts: Vec<String> = parts.collect();
    let affected = counts.affected;
    let what =
        format!("Revision {} concerns {affected} sandbox{}", answer.revision, if affected == 1 { "" } else { "es" });
    if parts.is_empty() { what } else { format!("{what}: {}", parts.join(", ")) }
}

/// What is not known for want of a node.
pub(super) fn missing(unasked: &UnaskedNode) -> String {
    format!("node {} could not be asked for its sandboxes: {}", unasked.node, unasked.reason)
}

pub(super) fn rows(rows: &[&RolloutRow], paint: Paint) -> String {
    let row = |row: &&RolloutRow| {
        let when_any = |number: u64| if number == 0 { "-".to_owned() } else { number.to_string() };
        let has = if row.state() == RolloutState::Unsupported { row.fetched_revision } else { row.applied_revision };
        vec![
            row.workspace.clone(),
            row.sandbox.clone(),
            word(row.state()).to_owned(),
            when_any(row.node),
            row.last_seen_ms.map_or_else(|| "never".to_owned(), age),
            when_any(has),
            plain(&row.reason),
        ]
    };
    let headers = ["WORKSPACE", "SANDBOX", "STATE", "NODE", "LAST SEEN", "HAS", "REASON"];
    table(&headers, &rows.iter().map(row).collect::<Vec<_>>(), "", paint)
}

fn age(age_ms: u64) -> String {
    match age_ms {
        0..60_000 => format!("{}.{}s ago", age_ms / 1000, age_ms % 1000 / 100),
        60_000..3_600_000 => format!("{}m ago", age_ms / 60_000),
        3_600_000.. => format!("{}h ago", age_ms / 3_600_000),
    }
}

fn word(state: RolloutState) -> &'static str {
    match state {
        RolloutState::Unspecified => "unknown",
        RolloutState::Pending => "pending",
        RolloutState::Sent => "sent",
        RolloutState::Applied => "applied",
        RolloutState::Failed => "failed",
        RolloutState::Stale => "stale",
        RolloutState::Unsupported => "unsupported",
        RolloutState::Absent => "absent",
    }
}

pub(super) fn document(answer: &GetRolloutResponse) -> Value {
    let counts = answer.counts.unwrap_or_default();
    let row = |row: &RolloutRow| {
        json!({
            "workspace": row.workspace,
            "sandbox": row.sandbox,
            "sandbox_id": row.sandbox_id,
            "state": word(row.state()),
            "reason": row.reason,
            "node": row.node,
            "last_seen_ms": row.last_seen_ms,
            "sent_revision": row.sent_revision,
            "applied_revision": row.applied_revision,
            "fetched_revision": row.fetched_revision,
        })
    };
    let unasked = |unasked: &UnaskedNode| json!({"node": unasked.node, "reason": unasked.reason});
    json!({
        "epoch": answer.epoch,
        "revision": answer.revision,
        "counts": {
            "affected": counts.affected,
            "pending": counts.pending,
            "sent": counts.sent,
            "applied": counts.applied,
            "failed": counts.failed,
            "stale": counts.stale,
            "unsupported": counts.unsupported,
            "unsupported_fetched": counts.unsupported_fetched,
            "absent": counts.absent,
        },
        "sandboxes": answer.rows.iter().map(row).collect::<Vec<_>>(),
        "unasked": answer.unasked.iter().map(unasked).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use openshell_proto::sync::RolloutCounts;

    fn answer() -> GetRolloutResponse {
        let counts = RolloutCounts { affected: 3, applied: 1, failed: 1, absent: 1, ..RolloutCounts::default() };
        let failed = RolloutRow {
            workspace: "default".into(),
            sandbox: "box".into(),
            state: RolloutState::Failed as i32,
            reason: "the hook\nsaid \x1b[31mno".into(),
            node: 2,
            last_seen_ms: Some(1_250),
            applied_revision: 7,
            ..RolloutRow::default()
        };
        let unasked = UnaskedNode { node: 3, reason: "no answer".into() };
        GetRolloutResponse { epoch: 1, revision: 9, counts: Some(counts), rows: vec![failed], unasked: vec![unasked] }
    }

    #[test]
    fn people_see_counts_then_who_lags_and_which_node_did_not_say() {
        let text = text(&answer(), Paint::plain());
        let expected = "Revision 9 concerns 3 sandboxes: 1 applied, 1 failed, 1 not connected\n\
                        WORKSPACE  SANDBOX  STATE   NODE  LAST SEEN  HAS  REASON\n\
                        default    box      failed  2     1.2s ago   7    the hook\\nsaid \\u{1b}[31mno\n\
                        ! node 3 could not be asked for its sandboxes: no answer\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn scripts_read_words_and_numbers() {
        let document = document(&answer());
        assert_eq!(document["counts"]["affected"], 3);
        assert_eq!(document["sandboxes"][0]["state"], "failed");
        assert_eq!(document["unasked"][0]["node"], 3);
    }
}
