//! The program beside a sandbox, a process of its own: what it leaves in its directory, and a command for its
//! hook that waits and fails where a test wants it.

use std::path::{Path, PathBuf};

use openshell_sync::ChangeKind;
use openshell_tests::{Cluster, Follower, SyncProcess, eventually};
use serde_json::Value;

use super::{LIMIT, Stage};

/// Starts it for one of the followers.
pub(super) fn start(stage: &Stage, follower: &Follower, cluster: &Cluster, more: &[&str]) -> SyncProcess {
    let words = stage.words(follower, cluster);
    let words: Vec<&str> = words.iter().map(String::as_str).chain(more.iter().copied()).collect();
    SyncProcess::start(&stage.folder, &words).expect("it starts")
}

pub(super) fn json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Waits until `standing.json` says this word, and gives all of it.
pub(super) async fn stands(follower: &Follower, word: &str, program: &SyncProcess) -> Value {
    says(follower, &format!("the standing {word}"), program, |standing| standing["standing"] == word).await
}

/// Waits until `standing.json` has these words in its problem, and gives all of it.
pub(super) async fn complains(follower: &Follower, words: &str, program: &SyncProcess) -> Value {
    let has_words = |standing: &Value| standing["problem"].as_str().is_some_and(|problem| problem.contains(words));
    says(follower, &format!("the problem {words:?}"), program, has_words).await
}

async fn says(follower: &Follower, what: &str, program: &SyncProcess, is_so: impl Fn(&Value) -> bool) -> Value {
    let path = follower.state_dir.join("standing.json");
    let said = eventually(what, LIMIT, async || json(&path).filter(|standing| is_so(standing))).await;
    said.unwrap_or_else(|error| panic!("{error}: {:?}\n{}", json(&path), program.log_text()))
}

/// Whether this host of the profile is installed.
pub(super) fn holds(follower: &Follower, host: &str) -> bool {
    std::fs::read_to_string(follower.state_dir.join("current/config.json")).is_ok_and(|config| config.contains(host))
}

/// Waits until it is.
pub(super) async fn comes_to_hold(follower: &Follower, host: &str, program: &SyncProcess) {
    let what = format!("{host} to be installed");
    let held = eventually(&what, LIMIT, async || holds(follower, host).then_some(()));
    held.await.unwrap_or_else(|error| panic!("{error}: {}", program.log_text()));
}

/// What a hook noted, a word a call.
pub(super) fn noted(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

/// A command for the hook that is told by files what to do. A call is known by its kind and by the host that
/// the profile has in it: [`call`].
pub(super) struct Steered {
    folder: PathBuf,
}

/// The name of a call of a [`Steered`] command.
pub(super) fn call(kind: ChangeKind, host: &str) -> String {
    format!("{}:{host}", kind.as_str())
}

impl Steered {
    pub(super) fn new(stage: &Stage, follower: &Follower) -> Self {
        let folder = stage.folder.path().join(format!("{}.hook", follower.name));
        std::fs::create_dir(&folder).expect("a folder");
        Self { folder }
    }

    /// What is given to the program.
    pub(super) fn command(&self) -> String {
        let host = r#"$(grep -o 'a[0-9]*[.]example[.]com' "$OPENSHELL_SYNC_CONFIG" | head -n 1)"#;
        format!(
            "cd {} && call=$OPENSHELL_SYNC_CHANGE:{host} && echo $call >> calls && while test -e hold:$call; do sleep \
             0.1; done && {{ test ! -e fail:$call || {{ echo there is an obstacle >&2; exit 7; }}; }}",
            self.folder.display()
        )
    }

    /// A call does not end before it is [released](Self::release).
    pub(super) fn hold(&self, call: &str) {
        self.mark("hold", call);
    }

    pub(super) fn release(&self, call: &str) {
        self.unmark("hold", call);
    }

    /// A call fails, each time until it is [mended](Self::mend).
    pub(super) fn fail(&self, call: &str) {
        self.mark("fail", call);
    }

    pub(super) fn mend(&self, call: &str) {
        self.unmark("fail", call);
    }

    /// All calls so far.
    pub(super) fn calls(&self) -> Vec<String> {
        noted(&self.folder.join("calls"))
    }

    /// Waits until a call is the last one.
    pub(super) async fn is_called(&self, call: &str, program: &SyncProcess) {
        let what = format!("the call {call}");
        let called = eventually(&what, LIMIT, async || (self.calls().last()? == call).then_some(()));
        called.await.unwrap_or_else(|error| panic!("{error}: {:?}\n{}", self.calls(), program.log_text()));
    }

    fn mark(&self, what: &str, call: &str) {
        std::fs::write(self.folder.join(format!("{what}:{call}")), "").expect("written");
    }

    fn unmark(&self, what: &str, call: &str) {
        std::fs::remove_file(self.folder.join(format!("{what}:{call}"))).expect("it was there");
    }
}
