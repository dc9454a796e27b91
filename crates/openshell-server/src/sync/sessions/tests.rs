//! Who is known as connected, who is let in, and who is forgotten.

use std::time::Duration;

use super::*;

const LIFE: u64 = 7;

fn limits() -> Limits {
    Limits { streams: 3, streams_of_one: 2, remembered: 1, ..Limits::default() }
}

fn begin(sessions: &Arc<Sessions>, sandbox: &str) -> Held {
    sessions
        .begin(sandbox, format!("{sandbox}-session"), 0)
        .map_err(|status| status.to_string())
        .expect("there is room")
}

fn refusal(sessions: &Arc<Sessions>, sandbox: &str) -> String {
    let Err(status) = sessions.begin(sandbox, String::new(), 0) else { panic!("{sandbox} is let in") };
    assert_eq!(status.code(), tonic::Code::ResourceExhausted);
    status.message().to_owned()
}

fn connected(sessions: &Sessions) -> Vec<String> {
    let presence = sessions.presence(&ReadPresenceRequest::default(), false, Instant::now());
    assert!(!presence.unchanged);
    let mut connected = presence.sandbox_ids;
    connected.sort();
    connected
}

fn known(sessions: &Sessions) -> Vec<(String, bool)> {
    let part = sessions.read(&ReadSessionsRequest::default());
    part.sessions.into_iter().map(|session| (session.sandbox_id, session.open)).collect()
}

#[test]
fn a_node_takes_so_many_streams_and_so_many_of_one_sandbox_read_or_not() {
    let sessions = Sessions::new(limits(), LIFE);
    let first = begin(&sessions, "a");
    let second = begin(&sessions, "a");
    assert!(refusal(&sessions, "a").contains("2 streams"));
    let other = begin(&sessions, "b");
    assert!(refusal(&sessions, "c").contains("takes no more"));
    assert_eq!((sessions.gauges().open, sessions.gauges().refused), (2, 2), "one of each sandbox goes on");
    drop((first, second, other));
    assert_eq!(sessions.gauges().open, 0);
    assert!(sessions.lock().streams.is_empty() && sessions.lock().open.iter().all(BTreeMap::is_empty));
}

#[test]
fn a_newer_stream_takes_the_place_of_the_older_one_whose_end_changes_nothing() {
    let sessions = Sessions::new(limits(), LIFE);
    let older = begin(&sessions, "a");
    let newer = sessions.begin("a", "newer".to_owned(), 0).map_err(drop).expect("there is room");
    assert_eq!(older.session.end(), Some(End::Replaced));
    assert!(sessions.find("a", "a-session").is_none() && sessions.find("a", "newer").is_some());
    let known = sessions.presence(&ReadPresenceRequest::default(), false, Instant::now());
    drop(older);
    assert_eq!(connected(&sessions), ["a"]);
    let asked = ReadPresenceRequest { life: known.life, generation: known.generation };
    assert!(sessions.presence(&asked, false, Instant::now()).unchanged);
    drop(newer);
    assert!(!sessions.presence(&asked, false, Instant::now()).unchanged);
    assert_eq!(connected(&sessions), Vec::<String>::new());
}

#[test]
fn who_is_gone_is_remembered_up_to_a_bound() {
    let sessions = Sessions::new(limits(), LIFE);
    for sandbox in ["a", "b"] {
        drop(begin(&sessions, sandbox));
    }
    assert_eq!(known(&sessions), [("b".to_owned(), false)]);
    let again = begin(&sessions, "b");
    drop(begin(&sessions, "c"));
    assert_eq!(known(&sessions), [("b".to_owned(), true), ("c".to_owned(), false)], "who came back is not forgotten");
    drop(again);
}

#[test]
fn who_reads_nothing_is_cut_off_with_its_beat() {
    let sessions = Sessions::new(Limits { slow: Duration::ZERO, ..limits() }, LIFE);
    let held = begin(&sessions, "a");
    let beat = sessions.beat(&held.session);
    for beat in 0..BEATS {
        std::thread::yield_now();
        sessions.strike(beat, Instant::now());
    }
    assert_eq!(held.session.end(), Some(End::Slow));
    assert!(beat.has_changed().expect("the node is there"));
    assert_eq!((sessions.gauges().cut_off, sessions.gauges().open), (1, 0));
    assert!(sessions.find("a", "a-session").is_none());
}

#[test]
fn a_node_that_is_old_has_nobody_and_says_so_only_for_as_long() {
    let sessions = Sessions::new(limits(), LIFE);
    let _held = begin(&sessions, "a");
    let old = sessions.presence(&ReadPresenceRequest::default(), true, Instant::now());
    assert_eq!((old.unchanged, old.sandbox_ids.len()), (false, 0));
    let asked = ReadPresenceRequest { life: old.life, generation: old.generation };
    assert!(sessions.presence(&asked, true, Instant::now()).unchanged);
    let well = sessions.presence(&asked, false, Instant::now());
    assert_eq!((well.unchanged, well.sandbox_ids), (false, vec!["a".to_owned()]));
}

/// What is said of who is connected, and of who is not with the seconds since it was heard of, unless it is known.
fn told(sessions: &Sessions, known: ReadPresenceRequest, now: Instant) -> Option<Vec<String>> {
    let presence = sessions.presence(&known, false, now);
    let silent =
        presence.silent.iter().map(|silent| format!("{} {} s ago", silent.sandbox_id, silent.heard_ms / 1_000));
    (!presence.unchanged).then(|| presence.sandbox_ids.iter().cloned().chain(silent).collect())
}

#[test]
fn who_says_nothing_itself_is_not_connected_however_long_its_stream_goes_on() {
    let sessions = Sessions::new(limits(), LIFE);
    let (held, began) = (begin(&sessions, "a"), Instant::now());
    sessions.heard(&held.session, began);
    let known = || {
        let presence = sessions.presence(&ReadPresenceRequest::default(), false, began);
        ReadPresenceRequest { life: presence.life, generation: presence.generation }
    };
    let strike = |now| (0..BEATS).for_each(|beat| sessions.strike(beat, now));
    let (whole, later) = (sessions.limits.grace, began + sessions.limits.silence() + Duration::from_secs(2));
    let asked = known();
    strike(began + sessions.limits.silence() / 2);
    assert_eq!(told(&sessions, asked, later), None, "who is only slow is not silent");
    strike(later);
    assert_eq!(told(&sessions, asked, later), Some(vec!["a 12 s ago".to_owned()]));
    assert!(held.session.is_open(), "it may still come back");
    let asked = known();
    strike(later);
    assert_eq!(told(&sessions, asked, later), None, "nothing is new");
    assert_eq!(told(&sessions, ReadPresenceRequest::default(), began + whole + whole), Some(vec![]));
    sessions.heard(&held.session, later);
    assert_eq!(told(&sessions, asked, later), Some(vec!["a".to_owned()]));
    drop(held);
    let gone = later + Duration::from_secs(3);
    assert_eq!(told(&sessions, asked, gone), Some(vec!["a 3 s ago".to_owned()]), "since it was heard of");
}

#[test]
fn polls_and_streams_are_told_together_and_only_of_those_asked_for() {
    let sessions = Sessions::new(limits(), LIFE);
    let _held = begin(&sessions, "a");
    sessions.polled("a", 5);
    sessions.polled("b", 7);
    let read = |ids: &[&str]| {
        let sandbox_ids = ids.iter().map(|id| (*id).to_owned()).collect();
        let part = sessions.read(&ReadSessionsRequest { sandbox_ids });
        let told = |session: SandboxSession| (session.sandbox_id, session.opened_ms.is_some(), session.polled_revision);
        part.sessions.into_iter().map(told).collect::<Vec<_>>()
    };
    let (a, b) = (("a".to_owned(), true, 5), ("b".to_owned(), false, 7));
    assert_eq!(read(&[]), [a.clone(), b.clone()]);
    assert_eq!(read(&["b", "c"]), [b]);
    assert_eq!(read(&["a"]), [a]);
}
