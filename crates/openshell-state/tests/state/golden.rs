//! Durable bytes of typical operations, as some build wrote them. Each folder is one history;
//! files are added, never edited: when a rule comes to write something else, a folder is added.
//! `OPENSHELL_ADD_GOLDEN=1` writes those that are missing from the newest folder.

use std::fs;
use std::path::{Path, PathBuf};

use openshell_proto::log::{Command, Origin};
use openshell_proto::v1::{
    DeleteProviderRequest, DeleteSandboxRequest, DeleteWorkspaceRequest, PolicyChunk, WorkspaceRole,
};
use openshell_state::access::Principal;
use openshell_state::{Key, Outcome};
use prost::Message;

use crate::drafts::{approval, approval_of, clearing, edition, mode, proposal, rejection, rule, submission, undoing};
use crate::laws::request_id;
use crate::support::{
    Decide, START_MS, World, add_member, attach, detach, draft, global_policy, global_setting, import, policy,
    provider, remove_member, sandbox, setting, static_profile, token_grant, transaction, update, update_policy,
    update_provider,
};

/// The folder that today's rules write.
const NEWEST: &str = "2";
/// And the one about draft inboxes.
const DRAFTS: &str = "drafts-2";

fn folder() -> PathBuf {
    Path::new("tests/state/golden").to_owned()
}

fn read(path: &Path) -> Vec<u8> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    hex::decode(text.split_whitespace().collect::<String>()).expect("hexadecimal text")
}

/// The calls of the newest history, with the names of their files.
fn operations() -> Vec<(&'static str, Box<dyn Decide>)> {
    let mut granted = token_grant("grant", "api.example.com", "/v1/**");
    granted.annotations = crate::support::map(&[("b", "2"), ("a", "1")]);
    vec![
        ("01-import", Box::new(import("default", &[granted, static_profile("tool", "tool.example.com")]))),
        ("02-create-provider", Box::new(provider("p", "tool", &["KEY_B", "KEY_A"]))),
        ("03-create-sandbox", Box::new(sandbox("s", &["p"], Some(policy("a.example.com"))))),
        ("04-switch-composition-on", Box::new(global_setting("providers_v2_enabled", true))),
        ("05-update-profile", Box::new(update("default", 1, static_profile("tool", "new.example.com")))),
        ("06-update-provider", Box::new(update_provider("p", &[("KEY_A", "")], &[("region", "eu")]))),
        ("07-set-policy", Box::new(update_policy("s", policy("b.example.com")))),
        ("08-set-setting", Box::new(setting("s", "ocsf_json_enabled", true))),
        ("09-set-global-policy", Box::new(global_policy(policy("g.example.com")))),
        ("10-attach", Box::new(attach("s", "p"))),
        ("11-detach", Box::new(detach("s", "p"))),
        ("12-delete-provider", Box::new(DeleteProviderRequest { name: "p".to_owned(), ..Default::default() })),
        ("13-mark-workspace", Box::new(DeleteWorkspaceRequest { name: "team".to_owned() })),
        ("14-add-member", Box::new(add_member("", "mia", WorkspaceRole::User))),
        ("15-remove-member", Box::new(remove_member("", "mia"))),
    ]
}

/// A world in which the histories begin: formed at 1, a workspace at 2 with a sandbox at 3.
fn beginning() -> World {
    let mut world = World::new();
    world.workspace("team");
    let mut inside = sandbox("inside", &[], None);
    inside.workspace = "team".to_owned();
    world.ok(&inside);
    world
}

/// Decides and applies a call, and compares the entry with the one that is kept under its name.
fn check(world: &mut World, history: &str, number: u64, name: &str, principal: &Principal, request: &dyn Decide) {
    world.time_ms += 1000;
    let origin = Origin {
        request_id: request_id(START_MS, number),
        principal: principal.subject(),
        rpc: name.to_owned(),
        fingerprint: vec![7; 32],
        time_ms: world.time_ms,
        node: 1,
    };
    let command = transaction(draft(world.decide_as(principal, request)).into_transaction(origin));
    let path = folder().join(history).join(format!("{name}.hex"));
    if !path.exists() && std::env::var_os("OPENSHELL_ADD_GOLDEN").is_some() {
        let text = hex::encode(command.encode_to_vec());
        let lines: Vec<&str> =
            text.as_bytes().chunks(120).map(|line| std::str::from_utf8(line).expect("ASCII")).collect();
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be made");
        fs::write(&path, lines.join("\n") + "\n").expect("the file can be written");
    }
    assert_eq!(Command::decode(read(&path).as_slice()).expect("a command"), command, "{name}");
    assert_eq!(world.apply(command).outcome, Outcome::Installed, "{name}");
}

#[test]
fn today_s_rules_write_the_newest_history() {
    let mut world = beginning();
    for (number, (name, request)) in operations().into_iter().enumerate() {
        let principal = world.principal.clone();
        check(&mut world, NEWEST, number as u64, name, &principal, &*request);
    }
}

/// Requests about drafts name what the ones before them made.
type Step = (&'static str, fn(&World) -> Box<dyn Decide>);

fn draft_steps() -> Vec<Step> {
    fn only(world: &World) -> PolicyChunk {
        world.inbox().into_iter().next().expect("a chunk")
    }
    vec![
        ("01-create-sandbox", |_| Box::new(sandbox("s", &[], Some(policy("a.example.com"))))),
        ("02-submit-mechanistic", |_| Box::new(submission("s", "mechanistic", &[proposal("api", "api.example.com")]))),
        ("03-edit", |world| Box::new(edition(&only(world), rule("api", "edited.example.com")))),
        ("04-approve", |world| Box::new(approval(&only(world)))),
        ("05-undo", |world| Box::new(undoing(&only(world)))),
        ("06-set-policy", |_| Box::new(update_policy("s", policy("b.example.com")))),
        ("07-refuse-what-has-changed", |world| Box::new(approval(&only(world)))),
        ("08-reject", |world| Box::new(rejection(&only(world), "no"))),
        ("09-submit-agent-authored", |_| {
            let proposals = [proposal("one", "one.example.com"), proposal("two", "two.example.com")];
            Box::new(submission("s", "agent_authored", &proposals))
        }),
        ("10-approve-all", |world| {
            let pending: Vec<_> = world.inbox().into_iter().filter(|chunk| chunk.status == "pending").take(1).collect();
            Box::new(approval_of(&pending))
        }),
        ("11-clear", |_| Box::new(clearing())),
        ("12-approve-automatically", |_| Box::new(mode("s", "auto"))),
        ("13-submit-automatic", |_| {
            Box::new(submission("s", "agent_authored", &[proposal("three", "three.example.com")]))
        }),
        ("14-delete-sandbox", |_| Box::new(DeleteSandboxRequest { name: "s".to_owned(), ..Default::default() })),
    ]
}

#[test]
fn today_s_rules_write_the_history_of_a_draft_inbox() {
    let mut world = beginning();
    for (number, (name, request)) in draft_steps().into_iter().enumerate() {
        let principal = match name.contains("-submit-") {
            true => Principal::Sandbox { id: world.sandbox_id("s") },
            false => world.principal.clone(),
        };
        let request = request(&world);
        check(&mut world, DRAFTS, number as u64, name, &principal, &*request);
    }
}

#[test]
fn what_any_build_wrote_is_read_and_applied_today() {
    let mut folders: Vec<_> =
        fs::read_dir(folder()).expect("the folder is there").collect::<Result<_, _>>().expect("read");
    folders.sort_by_key(fs::DirEntry::path);
    for history in folders {
        let mut files: Vec<_> =
            fs::read_dir(history.path()).expect("a folder").collect::<Result<_, _>>().expect("read");
        files.sort_by_key(fs::DirEntry::path);
        assert!(!files.is_empty());
        let mut world = beginning();
        for file in files {
            let bytes = read(&file.path());
            let command = Command::decode(bytes.as_slice()).expect("a command");
            assert_eq!(
                command.encode_to_vec(),
                bytes,
                "{}: nothing is lost and the order is canonical",
                file.path().display()
            );
            assert_eq!(world.apply(command).outcome, Outcome::Installed, "{}", file.path().display());
        }
    }
}

#[test]
fn keys_keep_their_bytes() {
    for (key, bytes) in [
        (Key::workspace("team"), "01007465616d"),
        (Key::profile("default", "tool"), "0364656661756c7400746f6f6c"),
        (Key::policy_revision("w", "id", 7), "09770069642f30303030303030303037"),
        (Key::draft_chunk("w", "id", "c"), "0a770069642f63"),
        (Key::draft_inbox("w", "id"), "0d77006964"),
        (Key::composition(), "6700616c6c"),
    ] {
        assert_eq!(hex::encode(key.to_bytes()), bytes, "{key}");
        assert_eq!(Key::from_bytes(&key.to_bytes()).expect("our own bytes"), key);
    }
}
