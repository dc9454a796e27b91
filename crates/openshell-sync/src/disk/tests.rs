//! What is on disk after anything.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;

use super::*;

const AS_OF: AsOf = AsOf { config_ms: 500, environment_ms: 400 };

fn at(revision: u64) -> Configuration {
    let mut environment = openshell_proto::v1::GetSandboxProviderEnvironmentResponse::default();
    environment.environment.insert("ACME_TOKEN".to_owned(), format!("secret of {revision}"));
    let config = openshell_proto::sandbox::GetSandboxConfigResponse { config_revision: revision, ..Default::default() };
    Configuration { position: Some(Position { epoch: 1, revision }), config, environment }
}

fn kept(path: &Path) -> (StateDir, Option<Configuration>) {
    let (state, kept) = StateDir::open(path, "box").expect("it opens");
    assert!(kept.unreadable.is_none(), "{:?}", kept.unreadable);
    (state, kept.configuration.map(|(configuration, _)| configuration))
}

fn install(state: &mut StateDir, configuration: &Configuration) {
    install_as(state, configuration, false);
}

/// Nobody reads what it replaces.
fn install_as(state: &mut StateDir, configuration: &Configuration, closed: bool) {
    let staged = state.stage(configuration, AS_OF).expect("staged");
    for replaced in state.commit(&staged, closed).expect("in its place") {
        state.discard(&replaced);
    }
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(path)
        .expect("it can be listed")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn what_was_committed_last_is_there_after_a_restart_and_nothing_else() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("state");
    let (mut state, before) = kept(&path);
    assert_eq!(before, None);
    for revision in 1..=3 {
        install(&mut state, &at(revision));
    }
    let refused = state.stage(&at(4), AS_OF).expect("staged");
    state.discard(&refused);
    let _interrupted = state.stage(&at(5), AS_OF).expect("staged");
    drop(state);
    let (mut state, found) = kept(&path);
    assert_eq!(found, Some(at(3)), "what was only staged does not count");
    assert_eq!(names(&path), ["configuration-000003", CURRENT, LOCK]);
    install(&mut state, &at(6));
    let text = fs::read_to_string(path.join("current/credentials.json")).expect("the way for readers");
    assert!(text.contains("secret of 6"), "{text}");
}

#[test]
fn everything_is_for_its_owner_alone() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("state");
    let (mut state, _) = kept(&path);
    install(&mut state, &at(1));
    state.say(&StandingFile::default()).expect("said");
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    for name in ["current/config.json", "current/credentials.json", STANDING, LOCK] {
        assert_eq!(mode(&path.join(name)), 0o600, "{name}");
    }
    assert_eq!((mode(&path), mode(&path.join(CURRENT))), (0o700, 0o700));
}

#[test]
fn a_torn_file_is_told_and_replaced_by_the_next_configuration() {
    for file in [CONFIG, CREDENTIALS] {
        let folder = TempDir::new().expect("a folder");
        let (mut state, _) = kept(folder.path());
        install(&mut state, &at(1));
        drop(state);
        let path = folder.path().join(CURRENT).join(file);
        let text = fs::read(&path).expect("it is there");
        fs::write(&path, &text[..text.len() / 2]).expect("torn");
        let (mut state, left) = StateDir::open(folder.path(), "box").expect("it opens");
        assert!(left.configuration.is_none());
        assert_eq!(left.unreadable.expect("it is told").file, file);
        install(&mut state, &at(2));
        drop(state);
        assert_eq!(kept(folder.path()).1, Some(at(2)));
    }
}

#[test]
fn what_an_interrupted_run_left_unfinished_is_cleared() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path();
    let (mut state, _) = kept(path);
    install(&mut state, &at(1));
    drop(state);
    fs::write(path.join("standing.json.new"), "{").expect("torn");
    fs::write(path.join(STANDING), "{\"standing\"").expect("torn");
    symlink("configuration-000009", path.join("current.new")).expect("a link");
    fs::create_dir(path.join("configuration-000009")).expect("a folder");
    fs::write(path.join("configuration-000009/config.json"), "{").expect("torn");
    let (_state, found) = kept(path);
    assert_eq!(found, Some(at(1)));
    assert_eq!(names(path), ["configuration-000001", CURRENT, LOCK, STANDING]);
}

#[test]
fn what_is_closed_is_not_found_by_readers_and_survives() {
    let folder = TempDir::new().expect("a folder");
    let (mut state, _) = kept(folder.path());
    state.close().expect("nothing to close");
    install(&mut state, &at(1));
    state.close().expect("closed");
    assert!(!folder.path().join("current/config.json").exists());
    drop(state);
    let (mut state, found) = kept(folder.path());
    assert_eq!(found, Some(at(1)));
    state.reopen().expect("reopened");
    assert!(folder.path().join("current/config.json").exists());
    install_as(&mut state, &at(2), true);
    assert_eq!(names(folder.path()), [CLOSED, "configuration-000002", LOCK]);
    install(&mut state, &at(2));
    assert_eq!(names(folder.path()), ["configuration-000003", CURRENT, LOCK]);
}

#[test]
fn a_crash_while_leaving_closed_leaves_the_newest_in_its_place() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path();
    let (mut state, _) = kept(path);
    install(&mut state, &at(1));
    state.close().expect("closed");
    let before = fs::read_link(path.join(CLOSED)).expect("the closed one");
    install(&mut state, &at(2));
    // As the disk had it when the machine lost power before the last removal reached it.
    symlink(&before, path.join(CLOSED)).expect("a link");
    state.reopen().expect("reopened");
    assert_eq!(names(path), ["configuration-000002", CURRENT, LOCK], "the newer one is not replaced");
    drop(state);
    symlink(&before, path.join(CLOSED)).expect("a link");
    fs::create_dir(path.join(&before)).expect("the folder of it");
    let (mut state, found) = kept(path);
    assert_eq!(found, Some(at(2)));
    assert_eq!(names(path), ["configuration-000002", CURRENT, LOCK]);
    state.reopen().expect("reopened");
    drop(state);
    assert_eq!(kept(path).1, Some(at(2)), "nothing destroyed it");
}

#[test]
fn a_restart_makes_nothing_younger() {
    let folder = TempDir::new().expect("a folder");
    let (mut state, _) = kept(folder.path());
    install(&mut state, &at(1));
    drop(state);
    let as_of = || StateDir::open(folder.path(), "box").expect("it opens").1.standing.as_of();
    assert_eq!(as_of(), AS_OF, "as it was written, whatever the file's own time is");
    let (state, _) = kept(folder.path());
    let said = AsOf { config_ms: 900, environment_ms: 300 };
    let mut standing = StandingFile::default();
    standing.note(said);
    state.say(&standing).expect("said");
    drop(state);
    assert_eq!(as_of(), said.later(AS_OF), "what was known later, of either part");
}

#[test]
fn who_followed_the_link_before_it_was_switched_finds_the_files_until_they_are_discarded() {
    let folder = TempDir::new().expect("a folder");
    let (mut state, _) = kept(folder.path());
    let first = state.stage(&at(1), AS_OF).expect("staged");
    assert!(state.commit(&first, false).expect("in its place").is_empty(), "there was none before");
    let followed = folder.path().join(fs::read_link(folder.path().join(CURRENT)).expect("a link"));
    let next = state.stage(&at(2), AS_OF).expect("staged");
    let replaced = state.commit(&next, false).expect("in its place");
    assert_eq!(replaced, [Staged::at(followed.clone())]);
    assert_eq!(state.read(&followed).expect("both files are there").0, at(1));
    state.discard(&replaced[0]);
    assert_eq!(names(folder.path()), ["configuration-000002", CURRENT, LOCK]);
    // One that was closed as well.
    state.close().expect("closed");
    let last = state.stage(&at(3), AS_OF).expect("staged");
    assert_eq!(state.commit(&last, false).expect("in its place"), [next]);
    drop(state);
    assert_eq!(kept(folder.path()).1, Some(at(3)));
    assert_eq!(names(folder.path()), ["configuration-000003", CURRENT, LOCK], "a start clears what was left");
}

#[test]
fn one_process_at_a_time_and_one_sandbox() {
    let folder = TempDir::new().expect("a folder");
    let (mut state, _) = kept(folder.path());
    install(&mut state, &at(1));
    assert!(matches!(StateDir::open(folder.path(), "box"), Err(DiskError::InUse(_))));
    drop(state);
    let (_, left) = StateDir::open(folder.path(), "other").expect("it opens");
    assert!(left.configuration.is_none() && left.unreadable.is_some(), "another sandbox's is not taken");
}

#[test]
fn a_file_is_replaced_whole_and_for_its_owner_alone() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("token");
    fs::write(&path, "old").expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("readable by all");
    replace_file(&path, b"new\n").expect("replaced");
    assert_eq!(fs::read(&path).expect("it is there"), b"new\n");
    assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);
    assert_eq!(names(folder.path()), ["token"]);
    let taken = folder.path().join("taken");
    fs::create_dir(&taken).expect("made");
    replace_file(&taken, b"a folder is not replaced").expect_err("it is no file");
    assert_eq!(names(folder.path()), ["taken", "token"], "nothing is left beside it");
}
