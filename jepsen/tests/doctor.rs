//! `doctor` tries everything on the machine at hand, and leaves it as it was.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn doctor(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_openshell-jepsen"));
    command.arg("doctor").args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// What doctors that are gone left on this machine: mounts, namespaces and control groups.
fn remains(process: u32) -> Vec<String> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let places = ["/run/netns", "/sys/fs/cgroup", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/memory"];
    let names = places.into_iter().filter_map(|place| std::fs::read_dir(place).ok()).flatten().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let is_own = |text: &String| {
        text.contains(&format!("openshell-chaos-{process}-")) || text.starts_with(&format!("openshell-{process}-"))
    };
    mounts.lines().map(str::to_owned).chain(names).filter(is_own).collect()
}

#[test]
fn every_capability_is_tried_and_either_works_or_says_why_not() {
    let output = doctor(&["-o", "json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let capabilities = said["capabilities"].as_array().unwrap();
    assert_eq!(capabilities.len(), 18);
    for capability in capabilities {
        assert!(!capability["said"].as_str().unwrap().is_empty(), "{capability}");
    }
    let works = |name: &str| capabilities.iter().any(|one| one["capability"] == name && one["works"] == true);
    assert!(works("loopback"));
    assert!(works("crash_points"), "the gateway beside this program is a build of the whole workspace: {said}");
    if nix::unistd::geteuid().is_root() {
        assert!(works("namespaces"), "root can make networks: {said}");
        assert_eq!(said["rig"], "namespaces");
    }
    assert!(said["machine"]["cores"].as_u64().unwrap() > 0);
}

#[test]
fn the_table_has_a_line_for_each_and_nothing_is_left_behind() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_openshell-jepsen"));
    let child = command.arg("doctor").stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let process = child.id();
    let output = child.wait_with_output().unwrap();
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(
        table.lines().filter(|line| line.contains(" works ") || line.contains("NOT HERE")).count() == 18,
        "{table}"
    );
    assert_eq!(remains(process), Vec::<String>::new());
}
