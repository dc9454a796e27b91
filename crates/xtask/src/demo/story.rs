//! What is typed, and what must come of it.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::nodes::{COUNT, Nodes};
use super::terminal::{Terminal, must_equal};
use crate::output;

const PROFILE: &str = "docs/examples/acme-profile.yaml";
const PROFILE_EDITED: &str = "docs/examples/acme-profile-edited.yaml";
const POLICY: &str = "docs/examples/sandbox-policy.yaml";
/// Hosts that the profile allows, before and since the edit.
const HOST: &str = "api.acme.example";
const HOST_EDITED: &str = "files.acme.example";
/// Host of the sandbox's own policy.
const HOST_OF_POLICY: &str = "docs.example.com";

/// Tells the whole story; an error says what was expected and what was found.
pub(super) fn tell(terminal: &mut Terminal, nodes: &mut Nodes) -> Result<()> {
    register(terminal, nodes)?;
    prepare(terminal)?;
    update(terminal)?;
    lose_the_leader(terminal, nodes)
}

fn register(terminal: &Terminal, nodes: &Nodes) -> Result<()> {
    output::heading("each node by a name, and all of them together");
    for node in 1..=COUNT {
        terminal.type_in(&format!("openshell gateway add {} --name node-{node}", nodes.endpoint(node)))?;
    }
    let all: Vec<_> = (1..=COUNT).map(|node| nodes.endpoint(node)).collect();
    terminal.type_in(&format!("openshell gateway add {} --name cluster", all.join(",")))?;
    Ok(())
}

fn prepare(terminal: &mut Terminal) -> Result<()> {
    output::heading("a profile, a provider of it, a sandbox that uses the provider");
    terminal.type_in("openshell settings set --global --key providers_v2_enabled --value true --yes")?;
    terminal
        .type_in(&format!("openshell provider profile import -f {PROFILE}"))?
        .says("Imported 1 provider profile")?;
    terminal.export("ACME_TOKEN", "not-a-real-token");
    terminal.type_in("openshell provider create --name acme --type acme-api --credential ACME_TOKEN")?;
    let sandbox = format!("openshell sandbox create --name demo --policy {POLICY} --provider acme");
    terminal.type_in(&sandbox)?.says("demo")?;
    output::heading("its effective policy, through node 1");
    let effective = terminal.type_in("openshell -g node-1 policy get demo --full")?;
    effective.says("_provider_acme")?;
    effective.says(HOST)?;
    effective.says(HOST_OF_POLICY)?;
    effective.does_not_say(HOST_EDITED)
}

fn update(terminal: &Terminal) -> Result<()> {
    let provider = terminal.type_in("openshell provider get acme")?;
    provider.says("Resource version: 1")?;
    output::heading("the profile is edited, and updated through node 3");
    show_edit(Path::new(PROFILE), Path::new(PROFILE_EDITED))?;
    terminal.type_in(&format!("openshell -g node-3 provider profile update -f {PROFILE_EDITED}"))?.says("Updated")?;
    check_version(terminal, 2)?;
    output::heading("the changed policy, through node 2");
    let effective = terminal.type_in("openshell -g node-2 policy get demo --full")?;
    effective.says("_provider_acme")?;
    effective.says(HOST_EDITED)?;
    effective.says(HOST_OF_POLICY)?;
    let elsewhere = terminal.type_in("openshell -g node-1 policy get demo --full")?;
    elsewhere.is_the_same_as(&effective)?;
    output::heading("what did not change: the provider, and the sandbox's own policy");
    terminal.type_in("openshell provider get acme")?.is_the_same_as(&provider)?;
    let stored = terminal.type_in("openshell policy get demo --rev 1 -o json")?;
    stored.does_not_say("_provider_")?;
    stored.says(HOST_OF_POLICY)?;
    let base = terminal.type_in("openshell policy get demo --base")?;
    base.does_not_say("_provider_")?;
    base.says(HOST_OF_POLICY)
}

fn lose_the_leader(terminal: &Terminal, nodes: &Nodes) -> Result<()> {
    output::heading("the leader is killed, and the profile updated again");
    terminal.type_in("openshell cluster status")?;
    let leader = leader(terminal, "openshell cluster status -o json")?;
    nodes.kill(leader)?;
    let start = Instant::now();
    terminal.type_in(&format!("openshell provider profile update -f {PROFILE}"))?.says("Updated")?;
    output::line(&format!("(acknowledged {:.2} s after the kill)", start.elapsed().as_secs_f64()));
    check_version(terminal, 3)?;
    for node in (1..=COUNT).filter(|node| *node != leader) {
        let effective = terminal.type_in(&format!("openshell -g node-{node} policy get demo --full"))?;
        effective.says(HOST)?;
        effective.does_not_say(HOST_EDITED)?;
    }
    terminal.type_in("openshell cluster status")?;
    let status = terminal.ask("openshell cluster status -o json")?;
    if status["leader"] == json!(leader) || status["leader"] == json!(0) {
        bail!("cluster status\nexpected: a leader other than the killed node {leader}\nfound: {}", status["leader"]);
    }
    let members = status["members"].as_array().context("cluster status lists no members")?;
    must_equal("nodes of cluster status", &json!(members.len()), &json!(COUNT))?;
    for member in members {
        let is_alive = member["id"] != json!(leader);
        must_equal(&format!("node {} is reachable", member["id"]), &member["reachable"], &json!(is_alive))?;
    }
    Ok(())
}

/// An update that is acknowledged raises the version by one, and by no more.
fn check_version(terminal: &Terminal, expected: u64) -> Result<()> {
    let profile = terminal.ask("openshell provider profile export acme-api -o json")?;
    must_equal("resource_version of the profile", &profile["resource_version"], &json!(expected))
}

fn leader(terminal: &Terminal, line: &str) -> Result<u16> {
    let status = terminal.ask(line)?;
    let id = status["leader"].as_u64().and_then(|id| u16::try_from(id).ok()).unwrap_or(0);
    match (1..=COUNT).contains(&id) {
        true => Ok(id),
        false => bail!("`{line}`\nexpected: a leader from 1 to {COUNT}\nfound: {}", status["leader"]),
    }
}

/// The lines that the edit adds, as a person would see them in a diff.
fn show_edit(before: &Path, after: &Path) -> Result<()> {
    let read = |path: &Path| std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()));
    let (before, after) = (read(before)?, read(after)?);
    for line in edit(&before, &after) {
        output::line(&line);
    }
    Ok(())
}

/// Lines of one and not of the other, which is enough for an edit that moves nothing.
fn edit(before: &str, after: &str) -> Vec<String> {
    let lacking = |of: &str, within: &str, mark: char| -> Vec<String> {
        let lines = of.lines().filter(|line| !within.lines().any(|other| other == *line));
        lines.map(|line| format!("  {mark} {line}")).collect()
    };
    [lacking(before, after, '-'), lacking(after, before, '+')].concat()
}

#[cfg(test)]
mod tests {
    use super::{HOST, HOST_EDITED, HOST_OF_POLICY, POLICY, PROFILE, PROFILE_EDITED, edit};
    use crate::cargo::Cargo;

    #[test]
    fn an_edit_is_what_one_text_lacks_of_the_other() {
        assert_eq!(edit("a\nb\n", "a\nc\nd\n"), ["  - b", "  + c", "  + d"]);
        assert!(edit("a\n", "a\n").is_empty());
    }

    #[test]
    fn the_examples_hold_what_the_story_looks_for() {
        let cargo = Cargo::new().unwrap();
        let read = |path| std::fs::read_to_string(cargo.root().join(path)).unwrap();
        let (profile, edited, policy) = (read(PROFILE), read(PROFILE_EDITED), read(POLICY));
        assert!(profile.contains(HOST) && !profile.contains(HOST_EDITED));
        assert!(edited.contains(HOST) && edited.contains(HOST_EDITED));
        assert!(policy.contains(HOST_OF_POLICY) && !policy.contains("_provider_"));
        assert!(!edit(&profile, &edited).is_empty());
    }
}
