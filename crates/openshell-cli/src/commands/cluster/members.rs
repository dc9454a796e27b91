//! `openshell cluster members`: who belongs to the cluster, and whether it can be reached. Pure.

use openshell_proto::cluster::{GetStatusResponse, MemberStatus};
use serde_json::{Value, json};

use super::view::View;
use crate::output::{Paint, table};

/// Addresses, zones and votes.
pub(super) const VIEW: View = View { rows, document, essence };

/// The members alone, without how far each of them is: nothing else is shown.
fn essence(status: &mut GetStatusResponse) {
    for member in &mut status.members {
        (member.term, member.applied_revision, member.lag, member.age_ms) = (0, 0, 0, 0);
    }
    *status = GetStatusResponse { members: std::mem::take(&mut status.members), ..GetStatusResponse::default() };
}

fn rows(status: &GetStatusResponse, paint: Paint) -> String {
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let known = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let row = |member: &MemberStatus| {
        vec![
            member.id.to_string(),
            known(&member.client_address),
            known(&member.peer_address),
            known(&member.zone),
            known(&member.role),
            yes(member.voter),
            known(&member.version),
            yes(member.reachable),
        ]
    };
    let headers = ["ID", "ADDRESS", "PEER", "ZONE", "ROLE", "VOTER", "VERSION", "REACHABLE"];
    let mut text = table(&headers, &status.members.iter().map(row).collect::<Vec<_>>(), "", paint);
    text.push_str(&super::status::troubles(status, paint));
    text
}

fn document(status: &GetStatusResponse) -> Value {
    let member = |member: &MemberStatus| {
        let mut item = json!({
            "address": member.client_address,
            "id": member.id,
            "peer_address": member.peer_address,
            "reachable": member.reachable,
            "role": member.role,
            "version": member.version,
            "voter": member.voter,
            "zone": member.zone,
        });
        if !member.error.is_empty() {
            item["error"] = json!(member.error);
        }
        item
    };
    status.members.iter().map(member).collect()
}

#[cfg(test)]
mod tests {
    use super::super::status::tests::status;
    use super::{VIEW, document, rows};
    use crate::output::{self, Paint};

    #[test]
    fn a_member_is_a_row_with_its_addresses_and_whether_it_is_there() {
        assert_eq!(
            rows(&status(), Paint::plain()),
            "ID  ADDRESS          PEER             ZONE  ROLE         VOTER  VERSION  REACHABLE\n\
             1   127.0.0.1:17670  127.0.0.1:17770  a     leader       yes    0.1.0    yes\n\
             3   127.0.0.1:17672  -                -     unreachable  no     -        no\n\
             ! node 3: connection refused\n"
        );
    }

    #[test]
    fn members_are_a_list_of_documents() {
        let text = output::yaml(document(&status()));
        assert!(
            text.starts_with(
                "- address: 127.0.0.1:17670\n  id: 1\n  peer_address: 127.0.0.1:17770\n  reachable: true\n  role: leader\n  \
                 version: 0.1.0\n  voter: true\n  zone: a\n- address: 127.0.0.1:17672\n  error: connection refused\n  id: 3\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn members_that_write_are_the_same_members() {
        let mut later = status();
        later.members[0].applied_revision += 1;
        later.members[0].term += 1;
        later.leader = 0;
        assert!(!VIEW.differs(&status(), &later));
        later.members[1].reachable = true;
        assert!(VIEW.differs(&status(), &later));
    }
}
