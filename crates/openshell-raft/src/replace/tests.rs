//! What can be told from record and members alone.

use std::collections::BTreeMap;

use openshell_proto::log::snapshot_item::{Item, KeyedRecord};
use openshell_proto::log::{Cluster, Record, SnapshotItem, StateMarks};
use openshell_state::{Fault, Key};
use openshell_store::Membership;
use prost::Message;

use super::*;

/// Node 2 is being replaced by node 4, and the members are between the two halves of the change.
fn half_done() -> (State, StoredMembership) {
    let cluster = Cluster {
        cluster_id: "c1".to_owned(),
        epoch: 1,
        feature_level: 1,
        replacement: Some(Replacement { old: 2, new: 4 }),
        ..Cluster::default()
    };
    let record = Record { revision: 9, created_revision: 1, created_at_ms: 0, value: cluster.encode_to_vec() };
    let item = Item::Record(KeyedRecord { key: Some(Key::cluster().to_proto()), record: Some(record) });
    let marks = StateMarks { revision: 9, ..StateMarks::default() };
    let state = State::from_items(&marks, [Ok::<_, Fault>(SnapshotItem { item: Some(item) })]).expect("a state");
    let voters = vec![BTreeSet::from([1, 2, 3]), BTreeSet::from([1, 3, 4])];
    let member = Member { peer_address: String::new(), client_address: String::new(), zone: String::new() };
    let members: BTreeMap<u64, Member> = (1..=5).map(|id| (id, member.clone())).collect();
    (state, StoredMembership::new(None, Membership::new(voters, members).expect("members")))
}

#[test]
fn while_the_members_change_no_other_replacement_is_begun() {
    let (state, members) = half_done();
    assert_eq!(stage(&state, &members, 2, 4), Stage::Changing, "this one goes on");
    for (old, new) in [(2, 5), (3, 5)] {
        assert_eq!(stage(&state, &members, old, new), Stage::Before);
        let refusal = allowed(&state, &members, old, new).expect_err("refused");
        assert!(refusal.message.contains("node 4 is taking the place of node 2 just now"), "{}", refusal.message);
        assert!(refusal.message.contains("openshell cluster replace 2 --with 4"), "{}", refusal.message);
    }
}
