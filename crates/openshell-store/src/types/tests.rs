//! Every type survives its message, and what is malformed is named.

use openraft::entry::RaftEntry;

use super::*;

fn log_id(term: u64, node: u64, index: u64) -> LogId {
    LogId::new(LeaderId { term, node_id: node }, index)
}

fn member(address: &str) -> Member {
    Member { peer_address: address.into(), client_address: "https://c:1".into(), zone: "z".into() }
}

fn check<T: Durable + PartialEq + std::fmt::Debug>(value: T) {
    assert_eq!(T::from_bytes(&value.to_bytes()).as_ref(), Ok(&value));
}

#[test]
fn every_type_survives_its_message() {
    check(log_id(3, 2, 17));
    check(Vote::new(4, 1));
    check(Vote::new_committed(4, 3));
    let members = BTreeMap::from([(1, member("a:1")), (2, member("b:1")), (9, member("c:1"))]);
    let joint = Membership::new(vec![BTreeSet::from([1]), BTreeSet::from([1, 2])], members).expect("valid");
    check(joint.clone());
    check(Membership::default());
    check(StoredMembership::default());
    check(StoredMembership::new(Some(log_id(1, 1, 4)), joint.clone()));
    check(Entry::new_blank(log_id(1, 1, 5)));
    check(Entry::new_membership(log_id(1, 1, 6), joint));
    check(Entry { log_id: log_id(1, 1, 7), payload: EntryPayload::Normal(Proposal::from_bytes(vec![1, 2, 3])) });
}

#[test]
fn a_malformed_message_is_refused_in_words() {
    let entry = log::LogEntry { id: None, payload: None };
    assert_eq!(Entry::from_message(entry).expect_err("no id").to_string(), "a log entry lacks its id");
    let membership =
        log::Membership { configs: vec![log::membership::Config { voters: vec![1] }], members: Vec::new() };
    assert!(matches!(Membership::from_message(membership), Err(Malformed::Membership { .. })));
    assert!(matches!(Vote::from_bytes(&[0xff]), Err(Malformed::Undecodable { what: "a vote", .. })));
}

#[test]
fn a_proposal_prints_its_length_and_nothing_else() {
    let proposal = Proposal::from_bytes(b"secret".to_vec());
    assert_eq!(format!("{proposal} {proposal:?}"), "command of 6 bytes Proposal(command of 6 bytes)");
}
