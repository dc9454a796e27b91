//! One request id through every kind of failure: at most one effect, one answer.
#![expect(clippy::print_stdout, reason = "figures of the trials, and what to repeat them with")]

use std::time::Duration;

use openshell_raft::{Answered, CallContext, Cluster, Consistency, IdStanding, Unavailable};
use openshell_state::{Code, RequestId};
use tokio::time::Instant;

use crate::harness::{Nodes, soon};
use crate::rules::{bump, call, create, id_made_at, insist, new_id, version, version_in};

const TRIALS_EACH: u64 = 4;

/// What happens to the first attempt.
#[derive(Clone, Copy, Debug)]
enum Failure {
    /// The leader is cut off before the change can commit.
    CutBefore,
    /// The leader is cut off while it decides.
    CutDuring,
    /// The leader stops after the change has committed, and its answer is lost.
    StopAfter,
    /// The leader stops while it decides.
    StopDuring,
    /// Leadership moves while the leader decides.
    HandOver,
    /// The caller's deadline passes while the leader decides.
    Deadline,
}

const FAILURES: [Failure; 6] = [
    Failure::CutBefore,
    Failure::CutDuring,
    Failure::StopAfter,
    Failure::StopDuring,
    Failure::HandOver,
    Failure::Deadline,
];

/// The first attempt on the leader, hit by a failure. What is answered is one answer of the call.
async fn first_attempt(nodes: &mut Nodes, failure: Failure, context: CallContext, name: &str) -> Option<Answered> {
    let leader = nodes.leader().await.clone();
    let hurt = leader.node();
    let brief = CallContext { deadline: Instant::now() + Duration::from_millis(400), ..context.clone() };
    let attempt = |context: CallContext| {
        let (leader, rule) = (leader.clone(), bump(name.to_owned()));
        tokio::spawn(async move { leader.decide(context, rule).await.ok() })
    };
    match failure {
        Failure::CutBefore => {
            nodes.switches.cut(hurt);
            attempt(brief).await.expect("joined")
        }
        Failure::CutDuring => {
            let attempt = attempt(brief);
            tokio::task::yield_now().await;
            nodes.switches.cut(hurt);
            attempt.await.expect("joined")
        }
        Failure::StopAfter => {
            let lost = attempt(context).await.expect("joined");
            nodes.stop(hurt).await;
            lost
        }
        Failure::StopDuring => {
            let attempt = attempt(brief);
            tokio::task::yield_now().await;
            nodes.stop(hurt).await;
            attempt.await.expect("joined")
        }
        Failure::HandOver => {
            let (answered, ()) = tokio::join!(attempt(context), leader.hand_over(soon()));
            answered.expect("joined")
        }
        Failure::Deadline => {
            let brief = CallContext { deadline: Instant::now() + Duration::from_micros(500), ..context };
            attempt(brief).await.expect("joined")
        }
    }
}

/// Repeats a call at whoever leads, other than `not`, until there is an answer.
async fn repeat(nodes: &Nodes, not: u64, id: RequestId, name: &str, attempts: &mut u64) -> Answered {
    let end = soon();
    while Instant::now() < end {
        let leader = nodes.leader_but(not).await;
        *attempts += 1;
        let deadline = Instant::now() + Duration::from_secs(2);
        let again = CallContext { repeated_attempt: true, deadline, ..call(Some(id)) };
        match leader.decide(again, bump(name)).await {
            Ok(answered) => return answered,
            Err(Unavailable::NotDone { .. } | Unavailable::Unknown { .. }) => tokio::task::yield_now().await,
        }
    }
    panic!("no answer in time");
}

async fn version_of(node: &Cluster, name: &str) -> u64 {
    version(&node.read(Consistency::Linearizable, soon()).await.expect("read"), name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_that_is_repeated_after_every_kind_of_failure_takes_effect_once_and_has_one_answer() {
    let mut nodes = Nodes::formed(3).await;
    let (mut trials, mut attempts, mut doubtful) = (0, 0, 0);
    for failure in FAILURES {
        for trial in 0..TRIALS_EACH {
            let (id, name) = (new_id(), format!("{failure:?}-{trial}").to_lowercase());
            let hurt = nodes.leader().await.node();
            let first = first_attempt(&mut nodes, failure, call(Some(id)), &name).await;
            (trials, attempts, doubtful) = (trials + 1, attempts + 1, doubtful + u64::from(first.is_none()));
            let away = if matches!(failure, Failure::HandOver | Failure::Deadline) { 0 } else { hurt };
            let answered = repeat(&nodes, away, id, &name, &mut attempts).await;
            assert_eq!(version_in(answered.reply.as_ref().expect("done")), 1, "{name} has one answer");
            if let Some(first) = first {
                assert_eq!((first.reply, first.revision), (answered.reply, answered.revision), "{name}");
            }
            nodes.switches.heal(hurt);
            if !nodes.running.contains_key(&hurt) {
                nodes.start(hurt).await.expect("started");
            }
            nodes.all_ready().await;
            // The attempt that was left behind cannot come true either.
            assert_eq!(version_of(nodes.node(hurt), &name).await, 1, "{name} took effect once");
        }
    }
    nodes.agree().await;
    println!("retries: {trials} trials, {attempts} attempts, {doubtful} first attempts in doubt, 0 double effects");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_sent_many_times_at_once_while_leadership_moves_takes_effect_once() {
    const ROUNDS: u64 = 20;
    const SENDERS: u64 = 6;
    let nodes = Nodes::formed(3).await;
    for round in 0..ROUNDS {
        let (id, name) = (new_id(), format!("round-{round}"));
        let sending = (0..SENDERS).map(|_| insist(&nodes, call(Some(id)), bump(name.as_str())));
        let moving = async {
            if round % 4 == 0 {
                nodes.leader().await.hand_over(soon()).await;
            }
        };
        let (answers, ()) = tokio::join!(futures::future::join_all(sending), moving);
        for answer in &answers {
            assert_eq!((&answer.reply, answer.revision), (&answers[0].reply, answers[0].revision));
        }
        assert_eq!(version_in(answers[0].reply.as_ref().expect("done")), 1);
        assert_eq!(version_of(nodes.leader().await, &name).await, 1);
    }
    nodes.agree().await;
    println!("retries: {ROUNDS} ids, each sent {SENDERS} times at once, 0 double effects");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_says_what_it_means_for_other_attempts() {
    let nodes = Nodes::formed(1).await;
    let id = new_id();
    assert_eq!(insist(&nodes, call(Some(id)), create("a")).await.standing, IdStanding::Settled);
    assert_eq!(insist(&nodes, call(Some(id)), create("a")).await.standing, IdStanding::Settled);
    let refused = insist(&nodes, call(Some(new_id())), create("a")).await;
    assert_eq!((refused.reply.is_err(), refused.standing), (true, IdStanding::Open), "nothing is remembered");
    let repeated = CallContext { repeated_attempt: true, ..call(Some(new_id())) };
    let claimed = insist(&nodes, repeated, create("a")).await;
    assert_eq!((claimed.reply.is_err(), claimed.standing), (true, IdStanding::Settled));
    let other = CallContext { fingerprint: [2; 32], repeated_attempt: true, ..call(Some(id)) };
    assert_eq!(insist(&nodes, other, create("a")).await.standing, IdStanding::Open);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_made_by_a_wrong_clock_is_told_the_time_at_which_one_is_taken() {
    let nodes = Nodes::formed(1).await;
    let node = nodes.node(1);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    assert_eq!(node.untimely(&new_id()), None);
    for wrong in [now + 600, now - 3600] {
        let take_ms = node.untimely(&id_made_at(wrong)).expect("it does not fit");
        let fitting = id_made_at(u64::try_from(take_ms).expect("after 1970") / 1000 + 1);
        assert_eq!(node.untimely(&fitting), None);
        insist(&nodes, call(Some(fitting)), bump("a")).await.reply.expect("taken");
    }
    let ahead = insist(&nodes, call(Some(id_made_at(now + 600))), bump("a")).await;
    assert_eq!(ahead.reply.expect_err("refused").code, Code::InvalidArgument);
    assert!(matches!(ahead.standing, IdStanding::Untimely { take_ms } if take_ms / 1000 <= now as i64 + 60));
    assert_eq!(version(&node.state(), "a"), 2);
}
