//! Request ids on real processes: one id sent to every node at once and repeated through kills
//! takes effect once and has one answer; ids that are too old or belong to another call are refused.
#![expect(clippy::print_stdout, reason = "figures of the trials, and what to repeat them with")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use openshell_client::{Answer, CallError, Uuid, methods};
use openshell_proto::v1::{CreateSandboxRequest, ListSandboxesRequest, SandboxResponse, SandboxSpec};
use openshell_tests::{Api, Cluster, Scene, eventually, policy_allowing, profile};
use tokio::task::JoinSet;
use tonic::Code;

const LIMIT: Duration = Duration::from_secs(120);
const CALLERS: u64 = 4;
/// Before each kill, at least.
const IDS_BETWEEN: u64 = 20;
const PAGE: u32 = 1000;
/// Of one attempt: short, so that deadlines pass while the cluster elects.
const ATTEMPT: Duration = Duration::from_millis(900);

/// Makes a sandbox under a name that the cluster makes up: whoever does it twice has two.
async fn create(api: Api, workspace: String) -> Result<Answer<SandboxResponse>, CallError> {
    let request = CreateSandboxRequest {
        spec: Some(SandboxSpec { policy: Some(policy_allowing("docs.example.com")), ..SandboxSpec::default() }),
        workspace,
        ..CreateSandboxRequest::default()
    };
    api.call(&methods::CREATE_SANDBOX, request).await
}

fn name_of(answer: Answer<SandboxResponse>) -> String {
    answer.message.sandbox.and_then(|sandbox| sandbox.metadata).expect("a sandbox").name
}

/// Counts of what was sent.
#[derive(Default)]
struct Sent {
    ids: AtomicU64,
    attempts: AtomicU64,
    doubtful: AtomicU64,
    enough: AtomicBool,
}

/// One caller, until it is enough: each id goes to all nodes at once, and again, until one answers; then
/// the names that were answered are one name.
async fn caller(apis: Vec<Api>, workspace: String, sent: Arc<Sent>) -> Vec<String> {
    let mut names = Vec::new();
    while !sent.enough.load(Ordering::Relaxed) {
        let (id, end) = (Uuid::now_v7(), Instant::now() + LIMIT);
        let mut attempt = 0;
        let name = loop {
            attempt += 1;
            let mut calls = JoinSet::new();
            for api in &apis {
                calls.spawn(create(api.request(id, attempt).once().deadline(ATTEMPT), workspace.clone()));
            }
            let mut answered = BTreeSet::new();
            for answer in calls.join_all().await {
                sent.attempts.fetch_add(1, Ordering::Relaxed);
                match answer {
                    Ok(answer) => drop(answered.insert(name_of(answer))),
                    Err(CallError::Refused(status)) => panic!("the id is refused: {status}"),
                    Err(CallError::Unknown { .. }) => drop(sent.doubtful.fetch_add(1, Ordering::Relaxed)),
                    Err(CallError::NotDone { .. } | CallError::Unreachable(_)) => {}
                }
            }
            assert!(answered.len() <= 1, "one id has several answers: {answered:?}");
            if let Some(name) = answered.pop_first() {
                break name;
            }
            assert!(Instant::now() < end, "no answer after {attempt} attempts");
        };
        names.push(name);
        sent.ids.fetch_add(1, Ordering::Relaxed);
    }
    names
}

/// Waits until so many ids more have an answer.
async fn more(sent: &Sent, count: u64) {
    let before = sent.ids.load(Ordering::Relaxed);
    let waiting = eventually("answers to more ids", LIMIT, async || {
        (sent.ids.load(Ordering::Relaxed) >= before + count).then_some(())
    });
    waiting.await.expect("the calls go on");
}

/// The names of all sandboxes of a workspace, page after page.
async fn all_names(api: &Api, workspace: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    loop {
        let offset = u32::try_from(names.len()).expect("not that many");
        let request = ListSandboxesRequest {
            workspace: workspace.to_owned(),
            limit: PAGE,
            offset,
            ..ListSandboxesRequest::default()
        };
        let listed = api.call(&methods::LIST_SANDBOXES, request).await.expect("a list").message.sandboxes;
        let last = listed.len() < PAGE as usize;
        names.extend(listed.into_iter().filter_map(|sandbox| Some(sandbox.metadata?.name)));
        if last {
            return names;
        }
    }
}

#[tokio::test]
async fn an_id_sent_to_every_node_at_once_through_kills_takes_effect_once_and_has_one_answer() {
    let mut cluster = Cluster::start().await;
    let scene = Scene::open(cluster.api_of_all()).await;
    let sent = Arc::new(Sent::default());
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let apis = cluster.ids().map(|id| cluster.api(id)).collect();
        callers.spawn(caller(apis, scene.workspace.clone(), Arc::clone(&sent)));
    }
    // The leader and an entry node in turn, each while calls are under way.
    for part in 1..=4 {
        more(&sent, IDS_BETWEEN).await;
        let hurt = if part % 2 == 1 { cluster.leader().await } else { cluster.followers().await[0] };
        cluster.kill(hurt);
        // The others take over.
        more(&sent, CALLERS).await;
        cluster.restart(hurt).await;
    }
    more(&sent, IDS_BETWEEN).await;
    sent.enough.store(true, Ordering::Relaxed);
    let mut names = Vec::new();
    while let Some(caller) = callers.join_next().await {
        names.extend(caller.expect("one answer to an id"));
    }
    let made = all_names(&cluster.api_of_all().linearizable(), &scene.workspace).await;
    let answered: BTreeSet<String> = names.iter().cloned().collect();
    let double = made.len() - answered.len().min(made.len());
    println!(
        "retries: {} ids, {} attempts, {} in doubt, {double} double effects",
        names.len(),
        sent.attempts.load(Ordering::Relaxed),
        sent.doubtful.load(Ordering::Relaxed)
    );
    assert_eq!(answered.len(), names.len(), "two ids share an effect");
    assert_eq!(made, answered, "what was made is what was answered, once");
}

#[tokio::test]
async fn an_id_that_is_too_old_or_belongs_to_another_call_is_refused() {
    let cluster = Cluster::shared().await;
    let scene = Scene::open(cluster.api(1)).await;
    let stored = scene.import(profile("acme", &["a.example.com"])).await;
    let id = Uuid::now_v7();
    let under = |node: u64, id: Uuid, attempt: u32| scene.through(cluster.api(node).request(id, attempt));
    under(1, id, 1).update(stored.clone()).await;
    // Another request, then another RPC, under the same id.
    let mut other = stored.clone();
    other.display_name = "Other".to_owned();
    let refused = under(2, id, 1).try_update(other).await.expect_err("another request");
    assert_eq!(refused.refusal_code(), Some(Code::InvalidArgument), "{refused}");
    let refused = under(3, id, 1).try_delete_profile("acme").await.expect_err("another RPC");
    assert_eq!(refused.refusal_code(), Some(Code::InvalidArgument), "{refused}");
    // Made eleven minutes ago, and forgotten once a younger one was; refused, not executed.
    let age = Duration::from_secs(11 * 60);
    let then = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970") - age;
    let old = made_at(then);
    let latest = scene.profile("acme").await;
    let mut edited = latest.clone();
    edited.display_name = "Once".to_owned();
    under(1, old, 1).update(edited.clone()).await;
    let repeated = under(2, old, 2).try_update(edited.clone()).await.expect_err("expired");
    assert!(!repeated.is_definite(), "an earlier attempt may have taken effect, and here did: {repeated}");
    assert_eq!(repeated.status().expect("a status").code(), Code::FailedPrecondition, "{repeated}");
    let anew = under(3, old, 1).try_update(edited).await.expect_err("expired");
    assert_eq!(anew.refusal_code(), Some(Code::FailedPrecondition), "{anew}");
    assert_eq!(scene.profile("acme").await.resource_version, latest.resource_version + 1);
}

#[tokio::test]
async fn a_refused_repetition_keeps_the_late_first_attempt_out_on_every_node() {
    let cluster = Cluster::shared().await;
    let scene = Scene::open(cluster.api(1)).await;
    let stored = scene.import(profile("acme", &["a.example.com"])).await;
    let mut wrong = stored.clone();
    wrong.resource_version += 7;
    let id = Uuid::now_v7();
    let repeated = scene.through(cluster.api(2).request(id, 2)).try_update(wrong.clone()).await;
    // The refusal is remembered, so it counts for the attempts before it as well.
    let said = match repeated {
        Ok(answer) => {
            assert!(!answer.message.updated, "the version is not the stored one");
            format!("{:?}", answer.message)
        }
        Err(error) => {
            assert!(error.is_definite(), "{error}");
            error.to_string()
        }
    };
    let mut current = stored;
    for round in 0..7 {
        current.display_name = format!("Round {round}");
        current = scene.update(current).await.message;
    }
    assert_eq!(current.resource_version, wrong.resource_version);
    // The version is right by now, but the id is spent.
    let late = scene.through(cluster.api(3).request(id, 1)).try_update(wrong).await;
    assert_eq!(late.map_or_else(|error| error.to_string(), |answer| format!("{:?}", answer.message)), said);
}

/// An id as if it had been made at this time since the Unix epoch.
fn made_at(time: Duration) -> Uuid {
    let random = *Uuid::new_v4().as_bytes().last_chunk::<10>().expect("sixteen bytes");
    let millis = u64::try_from(time.as_millis()).expect("before the year 584 million");
    Uuid::from_bytes({
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        bytes[6..].copy_from_slice(&random);
        bytes[6] = 0x70 | bytes[6] & 0x0f;
        bytes[8] = 0x80 | bytes[8] & 0x3f;
        bytes
    })
}
