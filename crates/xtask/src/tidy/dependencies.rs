//! Every dependency has its reason: the root manifest and `docs/dependencies.md` list the same libraries,
//! somebody uses each, and manifests of crates take them from the root.

use super::Finding;
use super::architecture::backticked;
use super::floors::Package;
use super::tree::{File, Tree};

const MANIFEST: &str = "Cargo.toml";
const DOCUMENT: &str = "docs/dependencies.md";

pub(super) fn check(tree: &Tree, packages: &[Package]) -> Vec<Finding> {
    let (Some(manifest), Some(document)) = (tree.file(MANIFEST), tree.file(DOCUMENT)) else {
        return vec![Finding::new(
            DOCUMENT,
            1,
            "the dependencies have no reasons",
            "Write a row for each of the root manifest.",
        )];
    };
    let mut findings = Vec::new();
    let declared = declared(manifest);
    let described = described(document);
    for (line, name) in &declared {
        if !described.iter().any(|(_, other)| other == name) {
            let what = format!("{name} has no row in {DOCUMENT}");
            findings.push(Finding::new(
                MANIFEST,
                *line,
                what,
                "Write what it saves, what it drags in, how we would leave it.",
            ));
        }
        let is_used = packages.iter().flat_map(|package| &package.dependencies).any(|used| used.called == *name);
        if !is_used {
            let what = format!("no crate depends on {name}");
            findings.push(Finding::new(MANIFEST, *line, what, "Take it out, here and in docs/dependencies.md."));
        }
    }
    for (line, name) in described.iter().filter(|(_, name)| !declared.iter().any(|(_, other)| other == name)) {
        let what = format!("{name} is not in [workspace.dependencies]");
        findings.push(Finding::new(
            DOCUMENT,
            *line,
            what,
            "Take the row out, or put the dependency in the root manifest.",
        ));
    }
    if !manifest.text.contains("serde_yaml = { package = \"serde_norway\"") && manifest.text.contains("serde_yaml") {
        let advice = "Use the kept fork: serde_yaml = { package = \"serde_norway\" }.";
        findings.push(Finding::new(MANIFEST, 1, "serde_yaml is the unmaintained crate", advice));
    }
    findings.extend(versions(tree));
    findings
}

/// Libraries of `[workspace.dependencies]` that are not our own crates, with their lines.
fn declared(manifest: &File) -> Vec<(usize, String)> {
    let start = |(_, line): &(usize, &str)| *line != "[workspace.dependencies]";
    let section = manifest.lines().skip_while(start).skip(1).take_while(|(_, line)| !line.starts_with('['));
    let names = section.filter_map(|(number, line)| Some((number, line.split_once('=')?.0.trim().to_owned())));
    names.filter(|(_, name)| !name.starts_with('#') && !name.starts_with("openshell-")).collect()
}

/// First cells of the table's rows, which are names in backticks.
fn described(document: &File) -> Vec<(usize, String)> {
    let rows = document.lines().filter(|(_, line)| line.starts_with("| `"));
    rows.filter_map(|(number, line)| Some((number, backticked(line).next()?.to_owned()))).collect()
}

/// Versions stand in the root manifest only.
fn versions(tree: &Tree) -> Vec<Finding> {
    let manifests = tree.with_ending("toml").filter(|file| file.path.ends_with("/Cargo.toml"));
    let mut findings = Vec::new();
    for manifest in manifests {
        let mut is_dependencies = false;
        for (number, line) in manifest.lines() {
            if line.starts_with('[') {
                // A workspace of its own states what it alone needs.
                is_dependencies =
                    line != "[workspace.dependencies]" && line.trim_end_matches(']').ends_with("dependencies");
            }
            let states_version = line.contains("= \"") && !line.contains("path = ") && !line.contains("package = ");
            if is_dependencies && (states_version || line.contains("version = ")) {
                let advice = "Say `workspace = true`, and the version in the root manifest.";
                findings.push(Finding::new(&manifest.path, number, "a version outside of the root manifest", advice));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::floors::packages;
    use crate::tidy::tree::tree_of;
    use serde_json::json;
    use std::path::Path;

    const MANIFEST: &str = "[workspace.dependencies]\nopenshell-a = { path = \"a\" }\n\nserde = \"1\"\n\
        serde_yaml = { package = \"serde_norway\", version = \"0.9\" }\n[profile.release]\nopt-level = 2\n";
    const DOCUMENT: &str = "| library | saves |\n|---|---|\n| `serde` | x |\n| `serde_yaml` | y `z` |\n";
    const CRATE: &str =
        "[dependencies]\nserde.workspace = true\nserde_yaml = { workspace = true }\nb = { path = \"../b\" }\n";

    fn whats(manifest: &str, document: &str, member: &str) -> Vec<String> {
        let metadata = json!({"packages": [{
            "name": "a",
            "manifest_path": "/r/crates/a/Cargo.toml",
            "dependencies": [{"name": "serde"}, {"name": "serde_norway", "rename": "serde_yaml"}],
        }]});
        let files = [("Cargo.toml", manifest), ("docs/dependencies.md", document), ("crates/a/Cargo.toml", member)];
        let packages = packages(&metadata, Path::new("/r")).unwrap();
        check(&tree_of(&files).1, &packages).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn manifest_and_document_list_the_same() {
        assert!(whats(MANIFEST, DOCUMENT, CRATE).is_empty());
        let without = DOCUMENT.replace("| `serde` | x |\n", "");
        assert_eq!(whats(MANIFEST, &without, CRATE), ["serde has no row in docs/dependencies.md"]);
        let more = format!("{DOCUMENT}| `gone` | x |\n");
        assert_eq!(whats(MANIFEST, &more, CRATE), ["gone is not in [workspace.dependencies]"]);
    }

    #[test]
    fn a_library_that_nobody_uses_is_found() {
        let manifest = MANIFEST.replace("serde = ", "unused = \"2\"\nserde = ");
        let document = format!("{DOCUMENT}| `unused` | x |\n");
        assert_eq!(whats(&manifest, &document, CRATE), ["no crate depends on unused"]);
    }

    #[test]
    fn the_yaml_crate_is_the_kept_fork() {
        let manifest = MANIFEST.replace("{ package = \"serde_norway\", version = \"0.9\" }", "\"0.9\"");
        assert_eq!(whats(&manifest, DOCUMENT, CRATE), ["serde_yaml is the unmaintained crate"]);
    }

    #[test]
    fn versions_stand_in_the_root_only() {
        for line in ["x = \"1\"\n", "x = { version = \"1\" }\n"] {
            assert_eq!(whats(MANIFEST, DOCUMENT, &format!("{CRATE}{line}")).len(), 1, "{line}");
        }
        let own = format!("{CRATE}[workspace.dependencies]\ny = \"1\"\n");
        assert!(whats(MANIFEST, DOCUMENT, &own).is_empty());
        let features = format!("{CRATE}[features]\nfast = []\n[package.metadata]\nx = \"1\"\n");
        assert!(whats(MANIFEST, DOCUMENT, &features).is_empty());
    }
}
