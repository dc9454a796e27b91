//! The parts of a policy that are fixed once a sandbox has them: filesystem, landlock and process take
//! effect when it starts. Network rules change freely and are not looked at.

use openshell_proto::sandbox::{FilesystemPolicy, SandboxPolicy};

/// What in `new` changes a fixed part of `baseline` (a sandbox's `spec.policy`), one sentence each.
///
/// Shape: empty when the change is allowed; filesystem first, then landlock, then process.
/// Source: config.md PM-41.
pub fn violations(baseline: &SandboxPolicy, new: &SandboxPolicy) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(before) = &baseline.filesystem {
        match &new.filesystem {
            Some(after) => filesystem(before, after, &mut found),
            None => found.push(
                "filesystem: the section is missing, but the sandbox was created with one; send it unchanged"
                    .to_owned(),
            ),
        }
    }
    if baseline.landlock != new.landlock {
        found.push("landlock: cannot change after the sandbox was created; send it unchanged".to_owned());
    }
    if baseline.process != new.process {
        found.push("process: cannot change after the sandbox was created; send it unchanged".to_owned());
    }
    found
}

fn filesystem(before: &FilesystemPolicy, after: &FilesystemPolicy, found: &mut Vec<String>) {
    if before.include_workdir != after.include_workdir {
        found.push(format!(
            "filesystem.include_workdir: cannot change after the sandbox was created; keep it {}",
            before.include_workdir
        ));
    }
    removed("read_only", &before.read_only, &after.read_only, found);
    removed("read_write", &before.read_write, &after.read_write, found);
}

/// Additions are fine. A path that moved to the other list counts as removed from this one.
fn removed(list: &str, before: &[String], after: &[String], found: &mut Vec<String>) {
    for path in before.iter().filter(|path| !after.contains(path)) {
        found.push(format!("filesystem.{list}: path '{path}' cannot be removed after the sandbox was created"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openshell_proto::sandbox::{LandlockPolicy, ProcessPolicy};

    fn files(include_workdir: bool, read_only: &[&str], read_write: &[&str]) -> SandboxPolicy {
        let own = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
        let filesystem = FilesystemPolicy { include_workdir, read_only: own(read_only), read_write: own(read_write) };
        SandboxPolicy { filesystem: Some(filesystem), ..Default::default() }
    }

    #[test]
    fn config_scenario_38_filesystem_only_grows() {
        let baseline = files(true, &["/usr"], &["/tmp"]);
        assert!(violations(&baseline, &files(true, &["/usr", "/opt"], &["/tmp", "/var"])).is_empty());
        assert_eq!(violations(&baseline, &files(true, &["/opt"], &["/tmp"])).len(), 1);
        assert_eq!(violations(&baseline, &files(true, &[], &["/tmp", "/usr"])).len(), 1);
        assert_eq!(violations(&baseline, &files(false, &["/usr"], &["/tmp"])).len(), 1);
        assert_eq!(violations(&baseline, &SandboxPolicy::default()).len(), 1);
        assert!(violations(&SandboxPolicy::default(), &baseline).is_empty());
    }

    #[test]
    fn pm_41_an_absent_section_is_not_an_empty_one() {
        let none = SandboxPolicy::default();
        let landlock = SandboxPolicy { landlock: Some(LandlockPolicy::default()), ..Default::default() };
        let process = SandboxPolicy { process: Some(ProcessPolicy::default()), ..Default::default() };
        for (before, after, word) in [(&none, &landlock, "landlock"), (&process, &none, "process")] {
            let found = violations(before, after);
            assert!(found.len() == 1 && found[0].starts_with(word), "{found:?}");
        }
    }
}
