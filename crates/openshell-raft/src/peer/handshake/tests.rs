//! Who may talk to whom, over pipes in memory.

use super::*;
use crate::peer::tls::NO_TLS;

fn myself(node: u64, cluster_id: &str, key: u8) -> Myself {
    Myself {
        node,
        cluster_id: ArcSwap::from_pointee(cluster_id.to_owned()),
        key: ClusterKey([key; 32]),
        is_removed: Box::new(|node| node == 9),
        expelled: OnceLock::new(),
    }
}

/// Node 1 of cluster `c` with key 7 dials node 2, as changed by the test.
struct Talk {
    dialler: Myself,
    listener: Myself,
    to: u64,
    dialler_binding: ChannelBinding,
}

impl Talk {
    fn new() -> Self {
        Self { dialler: myself(1, "c", 7), listener: myself(2, "c", 7), to: 2, dialler_binding: NO_TLS }
    }

    async fn run(&self) -> (Result<PeerIdentity, HandshakeError>, Result<PeerIdentity, HandshakeError>) {
        let (mut near, mut far) = tokio::io::duplex(1024);
        let dialled = async {
            let outcome = dial(&mut near, &self.dialler, self.to, &self.dialler_binding).await;
            drop(near);
            outcome
        };
        let answered = async {
            let outcome = answer(&mut far, &self.listener, &NO_TLS).await;
            drop(far);
            outcome
        };
        tokio::join!(dialled, answered)
    }

    /// What the listener says to a dialler that holds the key and checks nothing itself.
    async fn welcome(&self) -> Welcome {
        let (mut near, mut far) = tokio::io::duplex(1024);
        let Self { dialler, listener, to, dialler_binding } = self;
        let dialling = async {
            let hello = Hello {
                protocol_version: PROTOCOL_VERSION,
                feature_level: openshell_state::FEATURE_LEVEL,
                cluster_id: dialler.cluster_id().as_ref().clone(),
                from: dialler.node,
                to: *to,
                nonce: nonce(),
            };
            frame::send(&mut near, &hello).await?;
            let challenge: Challenge = frame::receive(&mut near).await?;
            let proof = prove(&dialler.key, DIALLER_LABEL, &hello, &challenge, dialler_binding);
            frame::send(&mut near, &Proof { proof }).await?;
            frame::receive::<_, Welcome>(&mut near).await
        };
        let (welcome, answered) = tokio::join!(dialling, answer(&mut far, listener, &NO_TLS));
        let welcome = welcome.expect("the listener says something");
        assert_eq!(answered.is_ok(), welcome.refusal.is_empty(), "the listener lets in whom it welcomes: {answered:?}");
        welcome
    }

    /// The listener itself refuses, whatever the dialler checked.
    async fn turned_away(&self, sentence: &str) {
        let welcome = self.welcome().await;
        assert!(welcome.refusal.contains(sentence), "{:?} should say {sentence:?}", welcome.refusal);
        assert_eq!(welcome.removed, sentence.contains("was removed"));
    }

    async fn refused(&self, sentence: &str) {
        let (dialled, answered) = self.run().await;
        let text = dialled.expect_err("refused").to_string();
        assert!(text.contains(sentence), "{text:?} should say {sentence:?}");
        assert!(answered.is_err(), "the listener refuses as well");
    }
}

#[tokio::test]
async fn two_nodes_of_one_cluster_find_each_other() {
    let (dialled, answered) = Talk::new().run().await;
    assert_eq!(dialled.expect("accepted"), PeerIdentity { node: 2, cluster_id: "c".into() });
    assert_eq!(answered.expect("accepted"), PeerIdentity { node: 1, cluster_id: "c".into() });
}

#[tokio::test]
async fn a_node_without_a_cluster_talks_to_either_kind() {
    let talk = Talk { listener: myself(2, "", 7), ..Talk::new() };
    assert!(matches!(talk.run().await, (Ok(_), Ok(_))));
    let talk = Talk { dialler: myself(1, "", 7), ..Talk::new() };
    assert!(matches!(talk.run().await, (Ok(_), Ok(_))));
}

#[tokio::test]
async fn a_wrong_key_is_refused() {
    Talk { dialler: myself(1, "c", 8), ..Talk::new() }.refused("does not hold this cluster's key").await;
}

#[tokio::test]
async fn another_cluster_is_refused() {
    Talk { dialler: myself(1, "other", 7), ..Talk::new() }
        .refused("belongs to cluster c, this node to cluster other")
        .await;
}

#[tokio::test]
async fn a_wrong_target_is_refused() {
    Talk { to: 3, ..Talk::new() }.refused("node 3 was expected there, but node 2 answers").await;
}

#[tokio::test]
async fn a_node_does_not_talk_to_itself() {
    Talk { dialler: myself(2, "c", 7), ..Talk::new() }.refused("node 2 too").await;
}

#[tokio::test]
async fn the_listener_itself_turns_away_who_checks_nothing() {
    // This dialler is let in where nothing is wrong.
    assert_eq!(Talk::new().welcome().await, Welcome::default());
    let key = Talk { dialler: myself(1, "c", 8), ..Talk::new() };
    key.turned_away("node 1 does not hold this cluster's key").await;
    let target = Talk { to: 3, ..Talk::new() };
    target.turned_away("node 3 is wanted here, but this is node 2").await;
    let cluster = Talk { dialler: myself(1, "other", 7), ..Talk::new() };
    cluster.turned_away("node 1 belongs to cluster other, this node to cluster c").await;
    let same_id = Talk { dialler: myself(2, "c", 7), ..Talk::new() };
    same_id.turned_away("the other end is node 2 too").await;
    let removed = Talk { dialler: myself(9, "c", 7), ..Talk::new() };
    removed.turned_away("node 9 was removed from the cluster").await;
    let session = Talk { dialler_binding: [9; 32], ..Talk::new() };
    session.turned_away("does not hold this cluster's key").await;
}

#[tokio::test]
async fn a_proof_from_another_tls_session_is_refused() {
    Talk { dialler_binding: [9; 32], ..Talk::new() }.refused("does not hold this cluster's key").await;
}

#[tokio::test]
async fn another_protocol_version_is_refused_in_words() {
    let (mut near, mut far) = tokio::io::duplex(1024);
    let hello = Hello { protocol_version: 99, from: 1, to: 2, nonce: nonce(), ..Hello::default() };
    frame::send(&mut near, &hello).await.expect("sent");
    let refusal = answer(&mut far, &myself(2, "", 7), &NO_TLS).await.expect_err("refused");
    assert!(refusal.to_string().contains("speaks version 99"), "{refusal}");
}

#[tokio::test]
async fn a_listeners_proof_does_not_serve_as_a_diallers() {
    let (mut near, mut far) = tokio::io::duplex(1024);
    let listener = myself(2, "", 7);
    let attack = async {
        let hello = Hello { protocol_version: PROTOCOL_VERSION, from: 1, to: 2, nonce: nonce(), ..Hello::default() };
        frame::send(&mut near, &hello).await?;
        let challenge: Challenge = frame::receive(&mut near).await?;
        frame::send(&mut near, &Proof { proof: challenge.proof }).await?;
        frame::receive::<_, Welcome>(&mut near).await
    };
    let (welcome, answered) = tokio::join!(attack, answer(&mut far, &listener, &NO_TLS));
    assert!(!welcome.expect("an answer").refusal.is_empty());
    assert!(answered.is_err());
}

#[tokio::test]
async fn a_long_frame_is_not_read() {
    use tokio::io::AsyncWriteExt;
    let (mut near, mut far) = tokio::io::duplex(64);
    near.write_u32(u32::MAX).await.expect("written");
    let error = answer(&mut far, &myself(2, "", 7), &NO_TLS).await.expect_err("refused");
    assert!(error.to_string().contains("at most"), "{error}");
}

#[tokio::test]
async fn both_ends_of_tls_hold_the_same_binding_and_no_two_sessions_share_one() {
    use crate::peer::tls::PeerTls;
    let tls = PeerTls::new().expect("cryptography works");
    let mut bindings = Vec::new();
    for _ in 0..2 {
        let (near, far) = tokio::io::duplex(16 * 1024);
        let (dialled, accepted) = tokio::join!(tls.connect(Box::new(near)), tls.accept(Box::new(far)));
        let ((_near, one), (_far, other)) = (dialled.expect("connected"), accepted.expect("accepted"));
        assert_eq!(one, other);
        bindings.push(one);
    }
    assert_ne!(bindings[0], bindings[1]);
    assert_ne!(bindings[0], NO_TLS);
}

#[tokio::test]
async fn a_removed_node_is_refused_and_told_so() {
    let talk = Talk { dialler: myself(9, "c", 7), ..Talk::new() };
    talk.refused("node 9 was removed from the cluster").await;
    assert!(talk.dialler.expelled.get().is_some());
    assert!(talk.listener.expelled.get().is_none());
}

#[tokio::test]
async fn a_node_that_waits_asks_for_whoever_is_there_and_hears_who_that_is() {
    let talk = Talk { dialler: myself(1, "", 7), to: 0, ..Talk::new() };
    let (dialled, _) = talk.run().await;
    assert_eq!(dialled.expect("accepted").node, 2);
    Talk { dialler: myself(1, "other", 7), to: 0, ..Talk::new() }.refused("belongs to cluster").await;
}
