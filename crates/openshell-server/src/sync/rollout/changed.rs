//! Which records a revision wrote, by the history of this node; or, where that begins later, as it does after the
//! install of a snapshot, by another one's.

use futures::stream::FuturesUnordered;
use futures::{Stream, StreamExt};
use openshell_proto::log::Key;
use openshell_proto::peer::{ChangedKeys, ReadChangedKeysRequest};
use tokio::time::Instant;
use tonic::Status;

use super::PEER_WAIT;
use crate::grpc::Gateway;

/// What a node said, or why it did not.
type Said = (u64, Result<ChangedKeys, String>);

/// The keys of those records. What is asked of other nodes is no more than one entry's keys of each, and what is
/// waited for is the first one that has it.
///
/// # Errors
/// `OUT_OF_RANGE` when no node that could be asked has it, `UNAVAILABLE` when this node's disk does not say.
pub(super) async fn keys(gateway: &Gateway, revision: u64, deadline: Instant) -> Result<Vec<Key>, Status> {
    let unreadable = |reason| Status::unavailable(format!("this node cannot read its change history: {reason}"));
    let own = gateway.hub.changed_keys(revision).await.map_err(unreadable)?;
    if own.kept {
        return Ok(own.keys);
    }
    let cluster = &gateway.cluster;
    let until = deadline.min(Instant::now() + PEER_WAIT);
    let others = cluster.members().into_iter().map(|member| member.id).filter(|node| *node != cluster.node());
    let asking = others.map(async |node| {
        let said = cluster.read_changed_keys(node, ReadChangedKeysRequest { revision }, until).await;
        (node, said)
    });
    let asking: FuturesUnordered<_> = asking.collect();
    first(asking).await.map_err(|unasked| Status::out_of_range(gone(revision, own.floor, &unasked)))
}

/// What the first one says that has it; when none has, those that did not say, in order.
async fn first(mut asking: impl Stream<Item = Said> + Unpin) -> Result<Vec<Key>, Vec<(u64, String)>> {
    let mut unasked = Vec::new();
    while let Some((node, said)) = asking.next().await {
        match said {
            Ok(said) if said.kept => return Ok(said.keys),
            Ok(_) => {}
            Err(reason) => unasked.push((node, reason)),
        }
    }
    unasked.sort();
    Err(unasked)
}

fn gone(revision: u64, floor: u64, unasked: &[(u64, String)]) -> String {
    let own = format!("the history of this one begins after revision {floor}");
    if unasked.is_empty() {
        return format!("no node keeps what revision {revision} changed: {own}");
    }
    let unasked = unasked.iter().map(|(node, reason)| format!("node {node} could not be asked ({reason})"));
    let unasked = unasked.collect::<Vec<_>>().join(", ");
    format!("no node that could be asked keeps what revision {revision} changed: {own}; {unasked}")
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    fn keeps(name: &str) -> Result<ChangedKeys, String> {
        let key = Key { name: name.to_owned(), ..Key::default() };
        Ok(ChangedKeys { kept: true, keys: vec![key], floor: 0 })
    }

    fn does_not(floor: u64) -> Result<ChangedKeys, String> {
        Ok(ChangedKeys { floor, ..ChangedKeys::default() })
    }

    #[tokio::test]
    async fn the_first_node_that_has_it_is_enough_and_nobody_waits_for_the_others() {
        let said = vec![(3, Err("no answer".to_owned())), (2, does_not(90)), (1, keeps("acme"))];
        let asking = stream::iter(said).chain(stream::pending());
        let keys = first(asking).await.expect("node 1 has it");
        assert_eq!(keys.into_iter().map(|key| key.name).collect::<Vec<_>>(), ["acme"]);
        let nothing = Ok(ChangedKeys { kept: true, ..ChangedKeys::default() });
        let keys = first(stream::iter([(2, nothing)])).await.expect("it says that nothing was changed");
        assert!(keys.is_empty());
    }

    #[tokio::test]
    async fn when_none_has_it_that_is_said_with_those_that_could_not_be_asked() {
        let nobody = first(stream::iter([(2, does_not(90)), (3, does_not(0))])).await.expect_err("nobody has it");
        let text = gone(17, 95, &nobody);
        assert_eq!(text, "no node keeps what revision 17 changed: the history of this one begins after revision 95");
        let said = [(3, Err("no answer".to_owned())), (2, Err("it is down".to_owned()))];
        let silent = first(stream::iter(said)).await.expect_err("nobody says so");
        let text = gone(17, 95, &silent);
        assert!(text.starts_with("no node that could be asked keeps what revision 17 changed: "), "{text}");
        let nodes = "node 2 could not be asked (it is down), node 3 could not be asked (no answer)";
        assert!(text.ends_with(nodes), "{text}");
    }
}
