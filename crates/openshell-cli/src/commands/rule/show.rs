//! Proposed rules as text and as documents. Pure. What a sandbox wrote is shown so that it cannot write
//! to a terminal.

use openshell_policy::yaml;
use openshell_proto::sandbox::SandboxPolicy;
use openshell_proto::v1::{DraftHistoryEntry, GetDraftPolicyResponse, PolicyChunk};
use serde_json::{Value, json};

use crate::commands::policy::short_hash;
use crate::output::{Paint, plain, table, time_text};

/// Every proposal, label by label, with its rule as a policy file says it.
pub(crate) fn lines(inbox: &GetDraftPolicyResponse, paint: Paint) -> String {
    let pending = inbox.chunks.iter().filter(|chunk| chunk.status == "pending").count();
    let mut text = String::new();
    line(&mut text, "Version:", &inbox.draft_version.to_string());
    line(&mut text, "Analyzed:", &time_text(inbox.last_analyzed_at_ms));
    line(&mut text, "Pending:", &pending.to_string());
    for chunk in &inbox.chunks {
        text.push('\n');
        text.push_str(&chunk_lines(chunk, paint));
    }
    text
}

fn chunk_lines(chunk: &PolicyChunk, paint: Paint) -> String {
    let mut text = format!("{}\n", paint.bold(&format!("{:<14}{}", "Chunk:", plain(&chunk.id))));
    let mut say = |label: &str, value: &str| {
        if !value.is_empty() {
            line(&mut text, label, &plain(value));
        }
    };
    say("Status:", &chunk.status);
    say("Reason:", &chunk.rejection_reason);
    say("Rule:", &chunk.rule_name);
    say("Binary:", &chunk.binary);
    say("Confidence:", &format!("{:.0}%", chunk.confidence * 100.0));
    say("Hits:", &chunk.hit_count.to_string());
    say("Rationale:", &chunk.rationale);
    say("Security:", &chunk.security_notes);
    say("Validation:", &chunk.validation_result);
    say("Error:", &chunk.application_error);
    say("Created:", &time_text(chunk.created_at_ms));
    if chunk.decided_at_ms > 0 {
        say("Decided:", &time_text(chunk.decided_at_ms));
    }
    say("Review token:", &chunk.review_token);
    let rendered = yaml::render(&policy_of(chunk));
    let rule = rendered.lines().skip_while(|line| !line.starts_with("network_policies:")).skip(1);
    rule.for_each(|line| text.push_str(&format!("{}\n", plain(line))));
    text
}

/// The same as a document, with the hashes of what is enforced now and would be then.
pub(crate) fn document(sandbox: &str, inbox: &GetDraftPolicyResponse) -> Value {
    json!({
        "sandbox": sandbox,
        "draft_version": inbox.draft_version,
        "last_analyzed_at_ms": inbox.last_analyzed_at_ms,
        "chunks": inbox.chunks.iter().map(chunk_document).collect::<Vec<_>>(),
    })
}

fn chunk_document(chunk: &PolicyChunk) -> Value {
    let mut rules = yaml::to_json(&policy_of(chunk));
    json!({
        "id": chunk.id,
        "status": chunk.status,
        "rule_name": chunk.rule_name,
        "proposed_rule": rules["network_policies"][&chunk.rule_name].take(),
        "rationale": chunk.rationale,
        "security_notes": chunk.security_notes,
        "confidence": chunk.confidence,
        "binary": chunk.binary,
        "hit_count": chunk.hit_count,
        "created_at_ms": chunk.created_at_ms,
        "decided_at_ms": chunk.decided_at_ms,
        "first_seen_ms": chunk.first_seen_ms,
        "last_seen_ms": chunk.last_seen_ms,
        "validation_result": chunk.validation_result,
        "rejection_reason": chunk.rejection_reason,
        "application_error": chunk.application_error,
        "review_token": chunk.review_token,
        "current_effective_policy_hash": chunk.current_effective_policy_hash,
        "candidate_effective_policy_hash": chunk.candidate_effective_policy_hash,
    })
}

/// A policy of nothing but the proposed rule.
fn policy_of(chunk: &PolicyChunk) -> SandboxPolicy {
    let rule = chunk.proposed_rule.clone().unwrap_or_default();
    SandboxPolicy { version: 1, network_policies: [(chunk.rule_name.clone(), rule)].into(), ..SandboxPolicy::default() }
}

/// What was proposed and decided, one line each.
pub(crate) fn history_rows(entries: &[DraftHistoryEntry], paint: Paint) -> String {
    let row = |entry: &DraftHistoryEntry| {
        let time = time_text(entry.timestamp_ms);
        vec![time, plain(&entry.event_type), plain(&entry.chunk_id), plain(&entry.description)]
    };
    let rows: Vec<_> = entries.iter().map(row).collect();
    table(&["TIME", "EVENT", "CHUNK", "DESCRIPTION"], &rows, "", paint)
}

/// The same as a document.
pub(crate) fn history_document(entry: &DraftHistoryEntry) -> Value {
    json!({
        "timestamp_ms": entry.timestamp_ms,
        "event_type": entry.event_type,
        "chunk_id": entry.chunk_id,
        "description": entry.description,
    })
}

/// The revision that a decision left the sandbox with.
pub(crate) fn revision(version: u32, hash: &str) -> String {
    format!("(policy version: {version}, hash: {})", short_hash(hash))
}

/// So many rules.
pub(crate) fn count(rules: u32) -> String {
    format!("{rules} {}", if rules == 1 { "rule" } else { "rules" })
}

fn line(text: &mut String, label: &str, value: &str) {
    text.push_str(&format!("{label:<14}{value}\n"));
}

#[cfg(test)]
mod tests {
    use super::{count, document, history_rows, lines, revision};
    use crate::output::{self, Paint};
    use openshell_proto::v1::{DraftHistoryEntry, GetDraftPolicyResponse, PolicyChunk};

    fn inbox() -> GetDraftPolicyResponse {
        let file =
            "version: 1\nnetwork_policies: {api: {endpoints: [{host: api.x, port: 443}], binaries: [{path: /c}]}}";
        let mut policy = openshell_policy::yaml::parse(file).expect("a policy");
        let chunk = PolicyChunk {
            id: "1".into(),
            status: "pending".into(),
            rule_name: "api".into(),
            proposed_rule: policy.network_policies.remove("api"),
            rationale: "it was\n\u{1b}[2Jdenied".into(),
            confidence: 0.75,
            hit_count: 3,
            binary: "/c".into(),
            validation_result: "prover: no new findings".into(),
            review_token: "0123".into(),
            created_at_ms: 1_893_456_000_000,
            ..PolicyChunk::default()
        };
        GetDraftPolicyResponse {
            chunks: vec![chunk],
            draft_version: 2,
            last_analyzed_at_ms: 1_893_456_000_000,
            ..GetDraftPolicyResponse::default()
        }
    }

    #[test]
    fn a_proposal_is_shown_with_its_whole_rule_and_its_token() {
        assert_eq!(
            lines(&inbox(), Paint::plain()),
            "Version:      2\nAnalyzed:     2030-01-01 00:00:00\nPending:      1\n\nChunk:        1\nStatus:       pending\n\
             Rule:         api\nBinary:       /c\nConfidence:   75%\nHits:         3\n\
             Rationale:    it was\\n\\u{1b}[2Jdenied\nValidation:   prover: no new findings\n\
             Created:      2030-01-01 00:00:00\nReview token: 0123\n  api:\n    name: api\n    endpoints:\n    - host: api.x\n      \
             port: 443\n    binaries:\n    - path: /c\n"
        );
    }

    #[test]
    fn a_document_has_the_rule_in_the_form_of_a_policy_file() {
        let text = output::json(document("s", &inbox()));
        assert!(text.contains("\"host\": \"api.x\"") && text.contains("\"review_token\": \"0123\""), "{text}");
    }

    #[test]
    fn history_is_one_line_for_each_event() {
        let entry = DraftHistoryEntry {
            timestamp_ms: 1_893_456_000_000,
            event_type: "proposed".into(),
            description: "rule \"api\" proposed".into(),
            chunk_id: "1".into(),
        };
        assert_eq!(
            history_rows(&[entry], Paint::plain()),
            "TIME                 EVENT     CHUNK  DESCRIPTION\n2030-01-01 00:00:00  proposed  1      rule \"api\" proposed\n"
        );
    }

    #[test]
    fn short_words() {
        assert_eq!(revision(3, "abc"), "(policy version: 3, hash: abc)");
        assert_eq!((count(1), count(2)), ("1 rule".to_owned(), "2 rules".to_owned()));
    }
}
