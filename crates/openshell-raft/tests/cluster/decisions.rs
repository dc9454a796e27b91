//! What a decision promises: fresh, at most once, never on state other than its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use openshell_raft::{CallContext, Consistency, Unavailable};
use openshell_state::{Call, Code, Decision, Draft, Key, Refusal};
use tokio::time::Instant;

use crate::harness::{Nodes, soon, until};
use crate::rules::{bump, call, create, id_made_at, insist, new_id, version, version_in};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledged_decision_is_read_at_once_on_every_node() {
    let nodes = Nodes::formed(3).await;
    for expected in 1..=20 {
        let answered = insist(&nodes, call(Some(new_id())), bump("a")).await;
        assert_eq!(version_in(&answered.reply.expect("done")), expected);
        for node in nodes.running.values() {
            let state = node.read(Consistency::Linearizable, soon()).await.expect("read");
            assert!(state.revision() >= answered.revision);
            assert_eq!(version(&state, "a"), expected, "on node {}", node.node());
        }
    }
    nodes.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_does_not_lead_says_who_does() {
    let nodes = Nodes::formed(3).await;
    let (leader, follower) = (nodes.leader().await.node(), nodes.follower().await);
    match follower.decide(call(None), bump("a")).await {
        Err(Unavailable::NotDone { leader_hint, .. }) => assert_eq!(leader_hint, Some(leader)),
        other => panic!("{other:?}"),
    }
    assert_eq!(follower.gauges().proposals.not_leader, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_request_id_changes_nothing_and_hears_the_first_answer_also_from_another_leader() {
    let nodes = Nodes::formed(3).await;
    let id = new_id();
    let first = insist(&nodes, call(Some(id)), bump("a")).await;
    let again = insist(&nodes, call(Some(id)), bump("a")).await;
    assert_eq!((&again.reply, again.revision), (&first.reply, first.revision));
    insist(&nodes, call(Some(new_id())), bump("a")).await;
    let old_leader = nodes.leader().await;
    old_leader.hand_over(soon()).await;
    assert_ne!(nodes.leader_but(old_leader.node()).await.node(), old_leader.node());
    let again = insist(&nodes, call(Some(id)), bump("a")).await;
    assert_eq!((&again.reply, again.revision), (&first.reply, first.revision));
    assert_eq!(version(&again.state, "a"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_that_no_node_could_read_is_refused_and_the_cluster_goes_on() {
    let nodes = Nodes::formed(3).await;
    // A number where a workspace begins with a message.
    let unreadable = |_: Call<'_>| {
        let mut draft = Draft::new();
        draft.put(&Key::workspace("b"), &7_u64);
        draft.answer(&())
    };
    let id = new_id();
    let refused = insist(&nodes, call(Some(id)), unreadable).await.reply.expect_err("refused");
    assert_eq!(refused.code, Code::Internal);
    assert!(refused.message.contains("nothing was changed"), "{refused}");
    // Not even the request id was used up.
    insist(&nodes, call(Some(id)), bump("a")).await.reply.expect("done");
    nodes.agree().await;
    for node in nodes.running.values() {
        let state = node.read(Consistency::Linearizable, soon()).await.expect("read");
        assert_eq!((version(&state, "a"), version(&state, "b")), (1, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_that_think_leave_the_runtime_to_others() {
    const THINKING: usize = 4;
    const PAUSE: Duration = Duration::from_millis(5);
    let nodes = Arc::new(Nodes::formed(3).await);
    let (release, held) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let thinkers: Vec<_> = (0..THINKING)
        .map(|at| {
            let (nodes, release, held) = (Arc::clone(&nodes), Arc::clone(&release), Arc::clone(&held));
            tokio::spawn(async move {
                let rule = |call: Call<'_>| {
                    held.fetch_add(1, Ordering::SeqCst);
                    // No longer than half a minute, so that a failure is one.
                    let waiting = || release.load(Ordering::SeqCst) == 0;
                    (0..6000).take_while(|_| waiting()).for_each(|_| std::thread::park_timeout(PAUSE));
                    bump(format!("slow-{at}"))(call)
                };
                insist(&nodes, call(Some(new_id())), rule).await.reply.expect("done");
            })
        })
        .collect();
    // More of them than the runtime has workers, and yet a decision is made beside them.
    until("rules that think", || (held.load(Ordering::SeqCst) >= THINKING as u64).then_some(())).await;
    insist(&nodes, call(Some(new_id())), bump("quick")).await.reply.expect("done");
    release.store(1, Ordering::SeqCst);
    for thinker in thinkers {
        thinker.await.expect("it ends");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_id_stands_for_one_request_and_one_time() {
    let nodes = Nodes::formed(1).await;
    let refused = async |call: CallContext| insist(&nodes, call, bump("a")).await.reply.expect_err("refused");
    let id = new_id();
    insist(&nodes, call(Some(id)), bump("a")).await.reply.expect("done");
    let other = refused(CallContext { fingerprint: [2; 32], ..call(Some(id)) }).await;
    assert_eq!(other.code, Code::InvalidArgument);
    assert!(other.message.contains("used for another request"), "{other}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let ahead = refused(call(Some(id_made_at(now + 600)))).await;
    assert_eq!(ahead.code, Code::InvalidArgument);
    assert!(ahead.message.contains("set the clock"), "{ahead}");
    // An id from long ago takes effect once, is forgotten at once, and is expired from then on.
    let ancient = id_made_at(now - 3600);
    insist(&nodes, call(Some(ancient)), bump("a")).await.reply.expect("done");
    let expired = refused(call(Some(ancient))).await;
    assert_eq!(expired.code, Code::FailedPrecondition);
    assert!(expired.message.contains("too old"), "{expired}");
    assert_eq!(version(&nodes.node(1).state(), "a"), 2);
    let counts = nodes.node(1).gauges().proposals;
    assert_eq!((counts.installed, counts.mismatched, counts.expired), (3, 1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_decisions_that_rely_on_each_other_commit_one_after_the_other() {
    const RACERS: u64 = 16;
    let nodes = Arc::new(Nodes::formed(3).await);
    let runs = Arc::new(AtomicU64::new(0));
    let races = (0..RACERS).map(|_| {
        let (nodes, runs) = (Arc::clone(&nodes), Arc::clone(&runs));
        tokio::spawn(async move {
            let rule = |call: Call<'_>| {
                runs.fetch_add(1, Ordering::Relaxed);
                bump("a")(call)
            };
            let answered = insist(&nodes, call(Some(new_id())), rule).await;
            version_in(&answered.reply.expect("done"))
        })
    });
    let mut versions = Vec::new();
    for race in races.collect::<Vec<_>>() {
        versions.push(race.await.expect("joined"));
    }
    versions.sort_unstable();
    // Each saw what the one before it did: no version twice, none left out.
    assert_eq!(versions, (1..=RACERS).collect::<Vec<_>>());
    let gauges = nodes.leader().await.gauges();
    assert!(runs.load(Ordering::Relaxed) >= RACERS + gauges.guard_failures);
    nodes.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_that_keeps_losing_is_made_alone() {
    let nodes = Nodes::formed(1).await;
    let node = nodes.node(1).clone();
    let runs = AtomicU64::new(0);
    // While the rule runs, somebody else changes what it relied on; alone, nobody can.
    let rule = |call: Call<'_>| {
        let decision = bump("a")(call);
        if runs.fetch_add(1, Ordering::Relaxed) < 2 {
            let rival = node.clone();
            let rival = async move { rival.decide(crate::rules::call(None), bump("a")).await };
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(rival)).expect("done");
        }
        decision
    };
    let answered = nodes.node(1).decide(call(None), rule).await.expect("answered");
    assert_eq!(version_in(&answered.reply.expect("done")), 3);
    let gauges = nodes.node(1).gauges();
    assert_eq!((gauges.guard_failures, gauges.exclusive_decisions), (2, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decisions_that_do_not_rely_on_each_other_never_fail_a_guard() {
    const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let nodes = Arc::new(Nodes::formed(3).await);
    let callers = NAMES.map(|name| {
        let nodes = Arc::clone(&nodes);
        tokio::spawn(async move {
            for _ in 0..10 {
                insist(&nodes, call(Some(new_id())), bump(name)).await.reply.expect("done");
            }
        })
    });
    for caller in callers {
        caller.await.expect("joined");
    }
    for node in nodes.running.values() {
        assert_eq!(node.gauges().guard_failures, 0);
    }
    let state = nodes.node(1).read(Consistency::Linearizable, soon()).await.expect("read");
    assert!(NAMES.iter().all(|name| version(&state, name) == 10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_attempt_that_is_refused_keeps_the_late_first_attempt_out() {
    let nodes = Nodes::formed(1).await;
    insist(&nodes, call(None), create("a")).await.reply.expect("done");
    let id = new_id();
    let repeated = CallContext { repeated_attempt: true, ..call(Some(id)) };
    let refused = insist(&nodes, repeated, create("a")).await;
    assert_eq!(refused.reply.as_ref().expect_err("refused").code, Code::AlreadyExists);
    // The first attempt arrives at last, on a state where the rule would let it through.
    let late = insist(&nodes, call(Some(id)), create("b")).await;
    assert_eq!((late.reply, late.revision), (refused.reply, refused.revision));
    assert_eq!(version(&nodes.node(1).state(), "b"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_attempt_with_nothing_to_do_keeps_the_late_first_attempt_out() {
    let nodes = Nodes::formed(1).await;
    let id = new_id();
    let repeated = CallContext { repeated_attempt: true, ..call(Some(id)) };
    let unchanged = insist(&nodes, repeated, |_: Call<'_>| Decision::Answer(b"unchanged".to_vec())).await;
    let late = insist(&nodes, call(Some(id)), create("a")).await;
    assert_eq!((late.reply, late.revision), (unchanged.reply, unchanged.revision));
    assert_eq!(version(&nodes.node(1).state(), "a"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_refusal_leaves_no_trace_and_is_decided_on_proved_state() {
    let nodes = Nodes::formed(3).await;
    let id = new_id();
    let before = nodes.leader().await.state().revision();
    let runs = AtomicU64::new(0);
    let rule = |_: Call<'_>| {
        runs.fetch_add(1, Ordering::Relaxed);
        Decision::Refuse(Refusal::not_found("there is none"))
    };
    let refused = nodes.leader().await.decide(call(Some(id)), rule).await.expect("answered");
    assert_eq!(refused.reply.expect_err("refused").code, Code::NotFound);
    assert_eq!(refused.revision, before);
    assert_eq!(runs.load(Ordering::Relaxed), 2);
    insist(&nodes, call(Some(id)), create("a")).await.reply.expect("not remembered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_is_too_large_is_refused_before_the_log() {
    let nodes = Nodes::formed(1).await;
    let large = |_: Call<'_>| Decision::Transact(Draft { reply: Ok(vec![0; 5 * 1024 * 1024]), ..Draft::new() });
    let refused = insist(&nodes, call(None), large).await.reply.expect_err("refused");
    assert_eq!(refused.code, Code::ResourceExhausted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_proposed_after_its_deadline() {
    let nodes = Nodes::formed(1).await;
    let late = CallContext { deadline: Instant::now() - Duration::from_millis(1), ..call(None) };
    let outcome = nodes.node(1).decide(late, bump("a")).await;
    assert!(matches!(outcome, Err(Unavailable::NotDone { .. })), "{outcome:?}");
    assert_eq!(version(&nodes.node(1).state(), "a"), 0);
}
