//! What must not be committed anywhere: paths of somebody's machine, hosts of package registries, and
//! lock-file sources other than the public index.

use super::Finding;
use super::tree::{File, Tree};

/// Spelled in pieces, so that this file holds none of them.
const MACHINE_PATHS: [&str; 3] = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/Us", "ers/")];
const REGISTRY_HOSTS: [&str; 3] =
    [concat!("index.cra", "tes.io"), concat!("static.cra", "tes.io"), concat!("artif", "actory")];
/// Sources that a fresh clone can reach.
const LOCK_SOURCE: &str = concat!("source = \"registry+https://github.com/rust-lang/cra", "tes.io-index\"");

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.files().iter().flat_map(check_file).collect()
}

fn check_file(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_lock = file.path == "Cargo.lock";
    for (number, line) in file.lines() {
        if let Some(path) = MACHINE_PATHS.iter().find(|path| begins_path(line, path)) {
            let advice = "Make it relative, or a path that holds on every machine.";
            findings.push(Finding::new(&file.path, number, format!("a path of one machine: {path}"), advice));
        }
        if let Some(host) = REGISTRY_HOSTS.iter().find(|host| line.contains(**host)) {
            let advice = "Configuration of registries belongs to the machine, not to the repository.";
            findings.push(Finding::new(&file.path, number, format!("a host of a registry: {host}"), advice));
        }
        if is_lock && line.starts_with("source = ") && line != LOCK_SOURCE {
            let advice = "Resolve again without a mirror or a git dependency.";
            findings.push(Finding::new(&file.path, number, format!("another source: {line}"), advice));
        }
        if is_lock && line == "name = \"serde_yaml\"" {
            let advice = "Use the kept fork: serde_yaml = { package = \"serde_norway\" }.";
            findings.push(Finding::new(&file.path, number, "the unmaintained YAML crate is locked", advice));
        }
    }
    findings
}

/// The path begins here, and is not the tail of a longer one, such as a route of a URL.
fn begins_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.' | '}' | '*'))
    })
}

#[cfg(test)]
mod tests {
    use super::{LOCK_SOURCE, MACHINE_PATHS, REGISTRY_HOSTS, check};
    use crate::tidy::tree::tree_of;

    fn count(path: &str, text: &str) -> usize {
        let (_folder, tree) = tree_of(&[(path, text)]);
        check(&tree).len()
    }

    #[test]
    fn paths_of_a_machine_are_found_in_any_file() {
        for path in MACHINE_PATHS {
            assert_eq!(count("docs/a.md", &format!("see `{path}x`\n")), 1, "{path}");
            assert_eq!(count("docs/a.md", &format!("https://host.example{path}x\n")), 0, "{path}");
        }
        assert_eq!(count("docs/a.md", "see /etc/openshell\n"), 0);
    }

    #[test]
    fn hosts_of_registries_are_found() {
        for host in REGISTRY_HOSTS {
            assert_eq!(count(".cargo/config.toml", &format!("x = \"https://{host}/\"\n")), 1, "{host}");
        }
    }

    #[test]
    fn the_lock_file_has_one_source_and_the_kept_yaml_crate() {
        assert_eq!(count("Cargo.lock", &format!("{LOCK_SOURCE}\n")), 0);
        assert_eq!(count("Cargo.lock", "source = \"git+https://host.example/x\"\n"), 1);
        assert_eq!(count("Cargo.lock", "name = \"serde_yaml\"\n"), 1);
        assert_eq!(count("Cargo.lock", "name = \"serde_norway\"\n"), 0);
    }
}
