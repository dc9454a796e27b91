//! The files of `deploy/` say what the gateway understands. Running containers needs images, which
//! nothing here can fetch: `deploy/README.md` has that by hand.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use openshell_tests::binary;
use serde_yaml::Value;

/// What the image and the files in it are expected to offer.
const NODES: [&str; 3] = ["node-1", "node-2", "node-3"];

fn deploy(file: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every flag of the gateway, with its dashes, as its help lists them.
fn flags() -> BTreeSet<String> {
    let output = Command::new(binary("openshell-gateway").unwrap()).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let words = help.split(|letter: char| letter.is_whitespace() || ",[]".contains(letter));
    let flags: BTreeSet<String> = words.filter(|word| word.starts_with("--")).map(str::to_owned).collect();
    assert!(flags.contains("--data-dir") && flags.contains("--initial-cluster"), "{flags:?}");
    flags
}

/// The flag of a variable: `OPENSHELL_NODE_ID` stands for `--node-id`.
fn flag_of_variable(name: &str) -> String {
    let rest = name.strip_prefix("OPENSHELL_").unwrap_or_else(|| panic!("{name} is no variable of the gateway"));
    format!("--{}", rest.to_lowercase().replace('_', "-"))
}

fn compose() -> Value {
    let mut file: Value = serde_yaml::from_str(&deploy("compose/compose.yaml")).expect("YAML");
    file.apply_merge().expect("merge keys that can be applied");
    file
}

fn text<'a>(value: &'a Value, what: &str) -> &'a str {
    value.as_str().unwrap_or_else(|| panic!("{what} is no text: {value:?}"))
}

#[test]
fn compose_sets_variables_that_the_gateway_has_on_each_of_three_nodes() {
    let (flags, file) = (flags(), compose());
    let members: Vec<String> = (1..).zip(NODES).map(|(id, name)| format!("{id}={name}:17770")).collect();
    let mut ids = BTreeSet::new();
    for name in NODES {
        let environment = &file["services"][name]["environment"];
        let variables = environment.as_mapping().unwrap_or_else(|| panic!("{name} has no environment"));
        for variable in variables.keys() {
            let flag = flag_of_variable(text(variable, "a variable"));
            assert!(flags.contains(&flag), "{name}: the gateway has no {flag}");
        }
        assert_eq!(text(&environment["OPENSHELL_INITIAL_CLUSTER"], "the members"), members.join(","));
        ids.insert(text(&environment["OPENSHELL_NODE_ID"], "the id").to_owned());
    }
    assert_eq!(ids.len(), NODES.len(), "each node has an id of its own");
}

#[test]
fn each_node_of_compose_has_a_volume_a_health_check_the_secrets_and_comes_back() {
    let file = compose();
    for name in NODES {
        let service = &file["services"][name];
        let volume = format!("{name}:/var/lib/openshell");
        assert_eq!(text(&service["volumes"][0], "a volume"), volume);
        assert!(file["volumes"].get(name).is_some(), "the volume {name} is declared");
        assert_eq!(text(&service["restart"], "restart"), "always");
        let check = text(&service["healthcheck"]["test"][3], "the check");
        assert!(check.contains("/healthz") && check.contains("/17690"), "{check}");
        let environment = &service["environment"];
        assert_eq!(text(&environment["OPENSHELL_HEALTH_PORT"], "the port"), "17690");
        let declared = file["secrets"].as_mapping().expect("secrets");
        let used: Vec<&str> =
            service["secrets"].as_sequence().expect("secrets").iter().map(|one| text(one, "a secret")).collect();
        for variable in ["SECRETS_KEY_FILE", "TLS_CERT", "TLS_KEY", "TLS_CLIENT_CA"] {
            let path = text(&environment[format!("OPENSHELL_{variable}").as_str()], variable);
            let secret = path.strip_prefix("/run/secrets/").expect("a secret's path");
            assert!(used.contains(&secret) && declared.contains_key(secret), "{name}: {secret}");
        }
    }
}

#[test]
fn the_image_runs_the_gateway_in_a_folder_of_its_user() {
    let (flags, file) = (flags(), deploy("docker/Dockerfile"));
    for line in file.lines().map(str::trim_start) {
        let named = line.trim_start_matches("ENV ").split_once('=').filter(|(name, _)| name.starts_with("OPENSHELL_"));
        if let Some((name, value)) = named {
            assert!(flags.contains(&flag_of_variable(name)), "the gateway has no {name}");
            assert_eq!(value, "/var/lib/openshell");
        }
    }
    assert!(file.contains("OPENSHELL_DATA_DIR=/var/lib/openshell\nVOLUME /var/lib/openshell\n"), "{file}");
    assert!(file.contains("ENTRYPOINT [\"/usr/local/bin/openshell-gateway\"]"));
    let user = file.lines().find_map(|line| line.strip_prefix("USER ")).expect("a user");
    let (id, _) = user.split_once(':').expect("user and group");
    assert!(deploy("compose/prepare.sh").contains(&format!("readonly user={id}\n")), "the secrets are the user's");
}

#[test]
fn the_configuration_file_has_keys_that_the_gateway_has() {
    let (flags, file) = (flags(), deploy("systemd/gateway.toml"));
    let table: toml::Table = file.parse().expect("TOML");
    for key in table.keys() {
        assert!(flags.contains(&format!("--{key}")), "the gateway has no key {key}");
    }
    assert!(table.contains_key("initial-cluster") && table.contains_key("secrets-key-file"));
}

#[test]
fn systemd_has_nothing_to_say_about_the_unit() {
    let unit = deploy("systemd/openshell-gateway.service");
    let installed = "/usr/local/bin/openshell-gateway";
    assert!(unit.contains(&format!("ExecStart={installed} --config ")), "{unit}");
    let built = binary("openshell-gateway").unwrap().display().to_string();
    let complaints = verify(&unit.replace(installed, &built));
    assert_eq!(complaints, "");
    // That it would say something if there were something to say.
    let wrong = unit.replace(installed, &built).replace("LockPersonality=", "LockPersonalities=");
    assert!(verify(&wrong).contains("LockPersonalities"));
}

/// What `systemd-analyze verify` says about a unit.
fn verify(unit: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("openshell-gateway.service");
    std::fs::write(&path, unit).unwrap();
    let output = Command::new("systemd-analyze").arg("verify").arg(&path).output();
    let output = output.expect("systemd-analyze runs; `cargo xtask test` installs it, or: apt-get install systemd");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() || !said.is_empty(), "systemd-analyze failed without a word");
    said
}
