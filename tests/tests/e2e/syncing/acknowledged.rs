//! What a node has taken note of, as the library tells it.

use openshell_client::Tls;
use openshell_tests::{Cluster, eventually};

use super::{LIMIT, Stage};
use crate::sync::rollouts::rollout;

#[tokio::test]
async fn what_a_node_has_taken_note_of_is_what_a_rollout_counts() {
    let cluster = Cluster::shared().await;
    let mut stage = Stage::open(cluster.api_of_all()).await;
    let mut followers = stage.followers(2).await;
    for follower in &mut followers {
        follower.start(&cluster.endpoints(), Tls::None, None).await.expect("it starts");
    }
    for _ in 0..3 {
        let at = stage.update().await;
        for follower in &followers {
            let acknowledged = follower.acknowledged();
            let noted = eventually("the node to take note of it", LIMIT, async || {
                (*acknowledged.borrow() >= Some(at)).then_some(())
            });
            noted.await.expect("it is in force, and told");
        }
        let answer = rollout(&stage.scene, at.revision, 0).await;
        let counts = answer.counts.expect("there are counts");
        assert_eq!((counts.affected, counts.applied), (2, 2), "{answer:?}");
    }
    for follower in &mut followers {
        follower.stop().await;
    }
}
