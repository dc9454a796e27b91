//! A node whose state is not that of the others takes itself out.

use std::sync::Arc;

use openshell_proto::datamodel::Workspace;
use openshell_proto::log::snapshot_item::{FenceMark, Item, KeyedRecord};
use openshell_proto::log::{Record, RememberedRequest, SnapshotItem, StateMarks};
use openshell_raft::{Answered, Unavailable};
use openshell_state::{Fault, Key, State};
use openshell_store::Divergence;
use openshell_store::disk::simulated::SimulatedDisk;
use openshell_store::disk::{Batch, Disk, Family};
use openshell_store::inspect::{Found, inspect};
use prost::Message;

use crate::harness::{Nodes, Setup, soon, until};
use crate::replacing::{replace, start_newcomer};
use crate::rules::{bump, call, insist, version};

/// Before the content of a value of the family `meta`: format and checksum.
const WRAPPING: usize = 5;

/// Changes a stored record so that the store does not notice: the stored digest fits the change.
fn alter(disk: &SimulatedDisk) {
    let mut batch = Batch::new();
    let (mut items, mut marks) = (Vec::new(), StateMarks::default());
    for (family, key, value) in disk.dump() {
        let named = |key: &[u8]| Some(Key::from_bytes(key).expect("a key").to_proto());
        items.push(match family {
            Family::Records(_) => {
                let mut record = Record::decode(value.as_slice()).expect("a record");
                if Key::from_bytes(&key).expect("a key") == Key::workspace("a") {
                    let mut workspace = Workspace::decode(record.value.as_slice()).expect("a workspace");
                    workspace.metadata.as_mut().expect("metadata").resource_version += 1000;
                    record.value = workspace.encode_to_vec();
                    batch.put(family, key.clone(), record.encode_to_vec());
                }
                Item::Record(KeyedRecord { key: named(&key), record: Some(record) })
            }
            Family::Fences(_) => {
                let revision = u64::from_be_bytes(value.try_into().expect("eight bytes"));
                Item::Fence(FenceMark { key: named(&key), revision })
            }
            Family::Requests(_) => Item::Request(RememberedRequest::decode(value.as_slice()).expect("a request")),
            Family::Meta if key == b"marks" => {
                marks = StateMarks::decode(&value[WRAPPING..]).expect("marks");
                continue;
            }
            Family::Meta | Family::Log | Family::History => continue,
        });
    }
    assert!(!batch.is_empty(), "the record is there");
    let items = items.into_iter().map(|item| Ok::<_, Fault>(SnapshotItem { item: Some(item) }));
    let digest = State::from_items(&marks, items).expect("a state").digest().to_bytes();
    let mut wrapped = vec![1];
    wrapped.extend_from_slice(&crc32c::crc32c(&digest).to_le_bytes());
    wrapped.extend_from_slice(&digest);
    batch.put(Family::Meta, "digest", wrapped);
    disk.write(batch, true).expect("written");
}

fn stored_revision(disk: &SimulatedDisk) -> u64 {
    let marks = disk.get(Family::Meta, b"marks").expect("readable").expect("marks");
    StateMarks::decode(&marks[WRAPPING..]).expect("marks").revision
}

/// A formed cluster with a record, and one node that was stopped, with its altered disk.
async fn altered(pick: impl AsyncFn(&Nodes) -> u64) -> (Nodes, u64, SimulatedDisk) {
    let disks: Vec<SimulatedDisk> = (0..4).map(|_| SimulatedDisk::new()).collect();
    let open = disks.clone();
    let mut nodes = Nodes::formed_as(3, Setup::default(), move |node| {
        let disk = open[usize::try_from(node).expect("small")].clone();
        Arc::new(move || Some(Arc::new(disk.clone()) as Arc<dyn Disk>))
    })
    .await;
    for _ in 0..5 {
        insist(&nodes, call(None), bump("a")).await;
    }
    nodes.agree().await;
    let odd = pick(&nodes).await;
    let revision = nodes.node(odd).state().revision();
    nodes.stop(odd).await;
    let disk = disks[usize::try_from(odd).expect("small")].clone();
    // What the node still had in its queue would undo the change.
    until("everything is on its disk", || (stored_revision(&disk) >= revision).then_some(())).await;
    alter(&disk);
    (nodes, odd, disk)
}

/// What is written down on a disk about a node that withdrew.
fn written_down(disk: &SimulatedDisk) -> Option<Divergence> {
    let mut written = None;
    inspect(disk, &mut |found| {
        if let Found::Withdrawn { removed: false, divergence } = found {
            written = divergence;
        }
        Ok(())
    })
    .expect("told");
    written
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_state_differs_withdraws_and_the_others_go_on() {
    let (mut nodes, odd, _) = altered(async |nodes| nodes.follower().await.node()).await;
    nodes.start(odd).await.expect("started");
    let reason = until("it withdraws", || nodes.node(odd).withdrawn().map(str::to_owned)).await;
    assert!(reason.contains("the state of this node is not the cluster's: at revision"), "{reason}");
    assert_eq!(nodes.node(odd).ready(), Err(reason.clone()));
    assert_eq!(nodes.node(odd).status().withdrawn, reason);
    until("it takes no part", || (nodes.node(odd).gauges().role == "stopped").then_some(())).await;
    // Its state stays as it is while the others go on, which serve.
    let left = nodes.node(odd).state().digest();
    let leader = nodes.leader_but(odd).await;
    assert_eq!(version(&leader.state(), "a"), 5);
    for _ in 0..10 {
        insist(&nodes, call(None), bump("a")).await;
    }
    assert_eq!(nodes.node(odd).state().digest(), left);
    assert!(nodes.running.values().filter(|node| node.node() != odd).all(|node| node.withdrawn().is_none()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_withdrew_serves_nothing_after_a_restart_and_can_be_replaced() {
    let (mut nodes, odd, disk) = altered(async |nodes| nodes.follower().await.node()).await;
    assert_eq!(written_down(&disk), None);
    nodes.start(odd).await.expect("started");
    until("it withdraws", || nodes.node(odd).withdrawn()).await;
    let found = written_down(&disk).expect("it is on disk before it is said");
    assert_ne!(found.mine, found.theirs);
    // Nobody is there to compare with.
    for node in 1..=3 {
        nodes.stop(node).await;
    }
    nodes.start(odd).await.expect("started");
    let reason = nodes.node(odd).withdrawn().expect("from its first moment on").to_owned();
    let names = [found.revision.to_string(), hex::encode(found.mine), hex::encode(found.theirs)];
    assert!(names.iter().all(|name| reason.contains(name)), "{reason}");
    assert!(reason.contains("also after a restart") && reason.contains("openshell cluster replace"), "{reason}");
    assert_eq!(nodes.node(odd).ready(), Err(reason));
    assert_eq!(nodes.node(odd).gauges().role, "stopped");
    for node in (1..=3).filter(|node| *node != odd) {
        nodes.start(node).await.expect("started");
    }
    insist(&nodes, call(None), bump("a")).await;
    assert!(nodes.node(odd).withdrawn().is_some());
    // The way out.
    start_newcomer(&mut nodes, 4).await;
    replace(&nodes, odd, 4).await.expect("replaced");
    nodes.stop(odd).await;
    until("the new node is ready", || nodes.node(4).ready().ok()).await;
    nodes.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_three_the_one_that_differs_withdraws_also_when_it_leads() {
    let (mut nodes, odd, _) = altered(async |nodes| nodes.leader().await.node()).await;
    // The others stop, so that it may well be the one that is elected.
    let others: Vec<u64> = nodes.running.keys().copied().collect();
    for node in &others {
        nodes.stop(*node).await;
    }
    nodes.start(odd).await.expect("started");
    for node in &others {
        nodes.start(*node).await.expect("started");
    }
    let withdrawn = |node: u64| nodes.node(node).withdrawn().is_some();
    until("it withdraws", || withdrawn(odd).then_some(())).await;
    assert!(nodes.node(odd).ready().is_err());
    assert!(others.iter().all(|node| !withdrawn(*node)), "the majority stays");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_two_of_three_are_up_nobody_withdraws_and_the_third_decides_also_against_a_leader() {
    let (mut nodes, odd, disk) = altered(async |nodes| nodes.follower().await.node()).await;
    let others: Vec<u64> = nodes.running.keys().copied().collect();
    for node in &others {
        nodes.stop(*node).await;
    }
    let (good, third) = (others[0], others[1]);
    nodes.start(odd).await.expect("started");
    nodes.start(good).await.expect("started");
    for node in [odd, good] {
        let doubt = until("both say that they differ", || nodes.node(node).doubt()).await;
        assert!(doubt.contains("none is that of a majority of the 3 voters"), "{doubt}");
        until("they serve", || nodes.node(node).ready().ok()).await;
        assert_eq!(nodes.node(node).withdrawn(), None);
    }
    while nodes.leader().await.node() != odd {
        nodes.node(good).hand_over(soon()).await;
    }
    insist(&nodes, call(None), bump("b")).await.reply.expect("they go on");
    assert_eq!(written_down(&disk), None);
    nodes.start(third).await.expect("started");
    let reason = until("the one that differs withdraws", || nodes.node(odd).withdrawn().map(str::to_owned)).await;
    // It decides nothing from that moment on, also while it has not handed over yet.
    match nodes.node(odd).decide(call(None), bump("a")).await {
        Err(Unavailable::NotDone { reason: said, .. }) => assert_eq!(said, reason),
        other => panic!("{other:?}"),
    }
    for node in [good, third] {
        until("the others know who it was", || nodes.node(node).doubt().is_none().then_some(())).await;
        assert_eq!(nodes.node(node).withdrawn(), None);
    }
    let answered = insist_but(&nodes, odd).await;
    assert_eq!((version(&answered.state, "a"), version(&answered.state, "b")), (6, 1));
}

/// A change through whoever leads instead of this node.
async fn insist_but(nodes: &Nodes, not: u64) -> Answered {
    loop {
        let leader = nodes.leader_but(not).await;
        if let Ok(answered) = leader.decide(call(None), bump("a")).await {
            return answered;
        }
    }
}
