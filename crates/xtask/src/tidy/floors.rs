//! Arrows point down: a crate depends on lower floors only, rules have no runtime to reach for, and the
//! consensus and storage libraries are named in one place each. Read from `cargo metadata`.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Finding;

/// What floors 0 to 3 must not reach for.
const IMPURE: [&str; 7] = ["tokio", "tonic", "tonic-prost", "rand", "rocksdb", "openraft", "reqwest"];
/// The highest floor of pure rules.
const PURE_FLOOR: u64 = 3;
/// Who alone may name a library.
const ALONE: [(&str, &[&str]); 2] =
    [("openraft", &["openshell-store", "openshell-raft"]), ("rocksdb", &["openshell-store"])];

/// A package of the workspace, and what its manifest says.
#[derive(Clone, Debug)]
pub(super) struct Package {
    pub(super) name: String,
    /// Path of the manifest, relative to the root.
    pub(super) manifest: String,
    pub(super) floor: Option<u64>,
    pub(super) dependencies: Vec<Dependency>,
    /// Names of its programs.
    pub(super) programs: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Dependency {
    /// Of the package, not what the code calls it.
    pub(super) name: String,
    /// What the manifest calls it.
    pub(super) called: String,
    is_optional: bool,
}

/// The packages of `cargo metadata --no-deps`.
pub(super) fn packages(metadata: &Value, root: &Path) -> Result<Vec<Package>> {
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    packages.iter().map(|package| read(package, root)).collect()
}

fn read(package: &Value, root: &Path) -> Result<Package> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let manifest = text(&package["manifest_path"]).context("a package without manifest_path")?;
    let manifest = Path::new(&manifest);
    let dependency = |value: &Value| {
        let name = text(&value["name"])?;
        let called = text(&value["rename"]).unwrap_or_else(|| name.clone());
        Some(Dependency { name, called, is_optional: value["optional"].as_bool() == Some(true) })
    };
    let is_program =
        |target: &&Value| target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "bin"));
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    Ok(Package {
        name: text(&package["name"]).context("a package without a name")?,
        manifest: manifest.strip_prefix(root).unwrap_or(manifest).display().to_string(),
        floor: package["metadata"]["openshell"]["floor"].as_u64(),
        dependencies: list(&package["dependencies"]).iter().filter_map(dependency).collect(),
        programs: list(&package["targets"])
            .iter()
            .filter(is_program)
            .filter_map(|target| text(&target["name"]))
            .collect(),
    })
}

pub(super) fn check(packages: &[Package]) -> Vec<Finding> {
    packages.iter().flat_map(|package| check_package(package, packages)).collect()
}

fn check_package(package: &Package, packages: &[Package]) -> Vec<Finding> {
    let finding = |what: String, advice| Finding::new(&package.manifest, 1, what, advice);
    let Some(floor) = package.floor else {
        let what = format!("{} stands on no floor", package.name);
        return vec![finding(what, "Give [package.metadata.openshell] floor = N, as docs/architecture.md has it.")];
    };
    let mut findings = Vec::new();
    for dependency in &package.dependencies {
        if let Some(ours) = packages.iter().find(|other| other.name == dependency.name) {
            let may = package.name != "xtask" && (ours.floor < Some(floor) || is_faults_on_tests(package, ours));
            if !may {
                let what = format!("{} (floor {floor}) depends on {}, which is not below it", package.name, ours.name);
                findings.push(finding(what, "Move what is shared to a lower floor; xtask depends on none of ours."));
            }
        }
        let is_feature_of_proto = package.name == "openshell-proto" && dependency.is_optional;
        if floor <= PURE_FLOOR && IMPURE.contains(&dependency.name.as_str()) && !is_feature_of_proto {
            let what = format!("{} (floor {floor}) depends on {}", package.name, dependency.name);
            findings.push(finding(what, "Rules are pure: pass in what they need, from a floor that may do it."));
        }
        let alone = ALONE.iter().find(|(library, _)| *library == dependency.name);
        if let Some((library, owners)) = alone
            && !owners.contains(&package.name.as_str())
        {
            let what = format!("{} names {library}", package.name);
            findings.push(finding(
                what,
                "Only openshell-store and openshell-raft name openraft, only openshell-store rocksdb.",
            ));
        }
    }
    findings
}

/// `jepsen` starts clusters as `tests` does: the one arrow inside a floor.
fn is_faults_on_tests(package: &Package, other: &Package) -> bool {
    package.name == "openshell-jepsen" && other.name == "openshell-tests"
}

#[cfg(test)]
mod tests {
    use super::{Package, check, packages};
    use serde_json::json;
    use std::path::Path;

    /// Packages from (name, floor, dependencies); a name that ends in `?` is optional.
    fn house(rooms: &[(&str, Option<u64>, &[&str])]) -> Vec<Package> {
        let package = |(name, floor, dependencies): &(&str, Option<u64>, &[&str])| {
            let dependency = |name: &&str| json!({"name": name.trim_end_matches('?'), "optional": name.ends_with('?')});
            json!({
                "name": name,
                "manifest_path": format!("/r/crates/{name}/Cargo.toml"),
                "metadata": floor.map(|floor| json!({"openshell": {"floor": floor}})),
                "dependencies": dependencies.iter().map(dependency).collect::<Vec<_>>(),
                "targets": [{"kind": ["bin"], "name": name}],
            })
        };
        let metadata = json!({"packages": rooms.iter().map(package).collect::<Vec<_>>()});
        packages(&metadata, Path::new("/r")).unwrap()
    }

    fn whats(rooms: &[(&str, Option<u64>, &[&str])]) -> Vec<String> {
        check(&house(rooms)).into_iter().map(|finding| format!("{}: {}", finding.path, finding.what)).collect()
    }

    #[test]
    fn a_house_whose_arrows_point_down_stands() {
        let rooms: &[(&str, Option<u64>, &[&str])] = &[
            ("openshell-proto", Some(0), &["prost", "tonic?"]),
            ("openshell-store", Some(4), &["openshell-proto", "openraft", "rocksdb", "tokio"]),
            ("openshell-raft", Some(5), &["openshell-store", "openraft", "rand"]),
            ("openshell-tests", Some(7), &["openshell-raft"]),
            ("openshell-jepsen", Some(7), &["openshell-tests"]),
            ("xtask", Some(8), &["serde_json"]),
        ];
        assert_eq!(whats(rooms), Vec::<String>::new());
        assert_eq!(house(rooms)[0].programs, ["openshell-proto"]);
    }

    #[test]
    fn an_arrow_that_points_up_or_sideways_is_found() {
        let found = whats(&[("a", Some(1), &["b"]), ("b", Some(1), &[]), ("c", Some(0), &["a"])]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("crates/a/Cargo.toml: a (floor 1) depends on b"), "{found:?}");
    }

    #[test]
    fn xtask_depends_on_none_of_ours_and_everybody_has_a_floor() {
        assert_eq!(whats(&[("xtask", Some(8), &["a"]), ("a", Some(0), &[])]).len(), 1);
        assert_eq!(whats(&[("a", None, &[])]), ["crates/a/Cargo.toml: a stands on no floor"]);
    }

    #[test]
    fn rules_have_no_runtime_to_reach_for() {
        for name in ["tokio", "tonic", "tonic?", "rand", "rocksdb", "openraft"] {
            assert!(!whats(&[("openshell-state", Some(3), &[name])]).is_empty(), "{name}");
        }
        assert!(!whats(&[("openshell-proto", Some(0), &["tonic"])]).is_empty());
        assert!(whats(&[("openshell-client", Some(4), &["tokio", "tonic", "rand"])]).is_empty());
    }

    #[test]
    fn consensus_and_storage_are_named_in_one_place_each() {
        assert_eq!(whats(&[("openshell-server", Some(6), &["openraft"])]).len(), 1);
        assert_eq!(whats(&[("openshell-raft", Some(5), &["rocksdb"])]).len(), 1);
    }
}
