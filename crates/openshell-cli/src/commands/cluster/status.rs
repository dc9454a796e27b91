//! `openshell cluster status`: one row for each node, as the one that answered sees them. Pure.

use openshell_proto::cluster::{GetStatusResponse, MemberStatus};
use serde_json::{Value, json};

use super::view::View;
use crate::output::{Paint, table};

/// Roles, terms, and how far behind each node is.
pub(super) const VIEW: View = View { rows, document, essence };

/// Without what changes all the time by itself.
fn essence(status: &mut GetStatusResponse) {
    status.node = 0;
    status.members.iter_mut().for_each(|member| member.age_ms = 0);
}

fn rows(status: &GetStatusResponse, paint: Paint) -> String {
    let row = |member: &MemberStatus| {
        let when_known = |text: String| if member.reachable { text } else { "-".to_owned() };
        vec![
            member.id.to_string(),
            member.client_address.clone(),
            member.role.clone(),
            when_known(member.term.to_string()),
            when_known(member.applied_revision.to_string()),
            when_known(member.lag.to_string()),
            when_known(age(member.age_ms)),
            if member.zone.is_empty() { "-".to_owned() } else { member.zone.clone() },
            when_known(member.version.clone()),
        ]
    };
    let headers = ["ID", "ADDRESS", "ROLE", "TERM", "APPLIED", "LAG", "AGE", "ZONE", "VERSION"];
    let mut text = table(&headers, &status.members.iter().map(row).collect::<Vec<_>>(), "", paint);
    text.push_str(&troubles(status, paint));
    text
}

/// A line for each node about which there is something to say.
pub(super) fn troubles(status: &GetStatusResponse, paint: Paint) -> String {
    let troubled = status.members.iter().filter(|member| !member.error.is_empty());
    troubled.map(|member| format!("{} node {}: {}\n", paint.yellow("!"), member.id, member.error)).collect()
}

/// Milliseconds below a second, then tenths of a second, then whole seconds.
fn age(age_ms: u64) -> String {
    match age_ms {
        0..1_000 => format!("{age_ms}ms"),
        1_000..60_000 => format!("{}.{}s", age_ms / 1000, age_ms % 1000 / 100),
        60_000.. => format!("{}s", age_ms / 1000),
    }
}

fn document(status: &GetStatusResponse) -> Value {
    let member = |member: &MemberStatus| {
        let mut item = json!({
            "address": member.client_address,
            "age_ms": member.age_ms,
            "applied_revision": member.applied_revision,
            "id": member.id,
            "lag": member.lag,
            "peer_address": member.peer_address,
            "reachable": member.reachable,
            "role": member.role,
            "term": member.term,
            "version": member.version,
            "voter": member.voter,
            "zone": member.zone,
        });
        if !member.error.is_empty() {
            item["error"] = json!(member.error);
        }
        item
    };
    json!({
        "cluster_id": status.cluster_id,
        "epoch": status.epoch,
        "feature_level": status.feature_level,
        "leader": status.leader,
        "members": status.members.iter().map(member).collect::<Vec<_>>(),
        "node": status.node,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::{VIEW, document, rows};
    use crate::output::{self, Paint};
    use openshell_proto::cluster::{GetStatusResponse, MemberStatus};

    pub(in super::super) fn status() -> GetStatusResponse {
        let leader = MemberStatus {
            id: 1,
            client_address: "127.0.0.1:17670".into(),
            peer_address: "127.0.0.1:17770".into(),
            role: "leader".into(),
            term: 4,
            applied_revision: 118,
            age_ms: 12,
            zone: "a".into(),
            version: "0.1.0".into(),
            reachable: true,
            voter: true,
            ..MemberStatus::default()
        };
        let lost = MemberStatus {
            id: 3,
            client_address: "127.0.0.1:17672".into(),
            role: "unreachable".into(),
            error: "connection refused".into(),
            ..MemberStatus::default()
        };
        GetStatusResponse {
            cluster_id: "c".into(),
            epoch: 1,
            leader: 1,
            node: 1,
            members: vec![leader, lost],
            feature_level: 1,
        }
    }

    #[test]
    fn there_is_one_row_for_each_node_and_a_reason_for_each_lost_one() {
        assert_eq!(
            rows(&status(), Paint::plain()),
            "ID  ADDRESS          ROLE         TERM  APPLIED  LAG  AGE   ZONE  VERSION\n\
             1   127.0.0.1:17670  leader       4     118      0    12ms  a     0.1.0\n\
             3   127.0.0.1:17672  unreachable  -     -        -    -     -     -\n\
             ! node 3: connection refused\n"
        );
    }

    #[test]
    fn the_document_has_the_same_facts() {
        let text = output::yaml(document(&status()));
        assert!(
            text.starts_with(
                "cluster_id: c\nepoch: 1\nfeature_level: 1\nleader: 1\nmembers:\n- address: 127.0.0.1:17670\n"
            ),
            "{text}"
        );
        assert!(text.contains("error: connection refused"));
    }

    #[test]
    fn the_age_of_what_a_node_knows_is_no_change() {
        let later = |change: fn(&mut MemberStatus)| {
            let mut later = status();
            change(&mut later.members[0]);
            later
        };
        assert!(!VIEW.differs(&status(), &later(|member| member.age_ms += 1)));
        assert!(VIEW.differs(&status(), &later(|member| member.applied_revision += 1)));
    }
}
