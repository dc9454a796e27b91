//! The story: commands in order, each split into what its file is called after and the rest of its words. Between
//! its two parts the sandbox `box` speaks: it logs, and proposes two rules.

use openshell_tests::{MINTED_PROFILE_FILE, POLICY_FILE, PROFILE_FILE};

/// What the ids of the two proposals are called here.
pub(super) const CHUNKS: [&str; 2] = ["11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"];

/// What lies in the person's home, beside [`edited`].
pub(super) const FILES: [(&str, &str); 10] = [
    ("acme.yaml", PROFILE_FILE),
    ("wrong.yaml", WRONG),
    ("broken.yaml", "id: broken\ndisplay_name: [\n"),
    ("folder/one.yaml", ONE),
    ("folder/two.json", TWO),
    ("changed/one.yaml", ONE_CHANGED),
    ("changed/two.json", TWO),
    ("policy.yaml", POLICY_FILE),
    ("unknown.yaml", "version: 1\nnetwork_policy: {}\n"),
    ("minted.yaml", MINTED_PROFILE_FILE),
];

/// `acme.yaml` once it was edited.
pub(super) fn edited() -> String {
    PROFILE_FILE
        .replace("Acme API", "Acme API, edited")
        .replace("description: What Acme sells.\n", "")
        .replace("api.acme.example", "files.acme.example")
}

const WRONG: &str = "\
id: Wrong Id
display_name: ''
endpoints:
  - {host: '', port: 443}
";

const ONE: &str = "\
id: one
display_name: One
endpoints:
  - {host: one.example.com, port: 443}
";

const TWO: &str = r#"{"id": "two", "display_name": "Two", "endpoints": [{"host": "two.example.com", "port": 443}]}"#;

const ONE_CHANGED: &str = "\
id: one
display_name: The first one
endpoints:
  - {host: one.example.com, port: 443}
  - {host: files.one.example.com, port: 443}
";

/// Command and the rest of the line, until the sandbox speaks.
pub(super) const BEFORE: &[(&str, &str)] = &[
    // Before there is a gateway.
    ("status", ""),
    ("status", "-o json"),
    ("status", "-o yaml"),
    ("gateway list", ""),
    ("gateway list", "-o json"),
    ("gateway list", "-o yaml"),
    ("provider list", ""),
    ("provider list", "-g nosuch"),
    // One is registered, and another that stands for all nodes.
    ("gateway add", "http://127.0.0.1:17671,http://127.0.0.1:17672,http://127.0.0.1:17673 --name all"),
    ("gateway add", "http://127.0.0.1:17671 --name one"),
    ("gateway add", "http://127.0.0.1:17671 --name one"),
    ("gateway list", ""),
    ("gateway list", "-o json"),
    ("gateway list", "-o yaml"),
    ("gateway select", "all"),
    ("gateway select", "nosuch"),
    ("gateway select", ""),
    ("gateway select", "one"),
    ("gateway info", ""),
    ("gateway info", "-o json"),
    ("gateway info", "-o yaml"),
    ("gateway remove", "all"),
    ("gateway remove", "all"),
    ("status", ""),
    ("status", "-o json"),
    ("status", "-o yaml"),
    ("whoami", ""),
    ("whoami", "-o json"),
    ("whoami", "-o yaml"),
    // Nobody logs in to it.
    ("gateway login", ""),
    ("gateway login", "nosuch"),
    ("gateway logout", ""),
    ("gateway logout", "nosuch"),
    ("cluster status", ""),
    ("cluster status", "-o json"),
    ("cluster status", "-o yaml"),
    ("cluster members", ""),
    ("cluster members", "-o json"),
    ("cluster members", "-o yaml"),
    ("cluster transfer-leader", "--to 9"),
    ("cluster replace", "1 --with 1"),
    ("rollout status", ""),
    ("rollout status", "--revision 1"),
    ("rollout status", "--revision 1 -o json"),
    // Workspaces.
    ("workspace create", "--name team-a --label env=dev"),
    ("workspace create", "--name team-a"),
    ("workspace get", "team-a"),
    ("workspace get", "nosuch"),
    ("workspace list", ""),
    ("workspace list", "-o json"),
    ("workspace list", "-o yaml"),
    ("workspace list", "--label-selector env=none"),
    ("workspace member list", "--workspace team-a"),
    ("workspace member add", "--workspace team-a --subject mia --role ADMIN"),
    ("workspace member add", "--workspace team-a --subject mia --role owner"),
    ("workspace member list", "--workspace team-a"),
    ("workspace member remove", "--workspace team-a --subject mia"),
    ("workspace member remove", "--workspace team-a --subject mia"),
    ("workspace delete", "team-a"),
    ("workspace delete", "default"),
    // Profiles.
    ("settings set", "--global --key providers_v2_enabled --value true"),
    ("settings set", "--global --key providers_v2_enabled --value true --yes"),
    ("provider list-profiles", ""),
    ("provider profile lint", "-f acme.yaml"),
    ("provider profile lint", "-f wrong.yaml"),
    ("provider profile lint", "-f broken.yaml"),
    ("provider profile import", "-f acme.yaml"),
    ("provider profile import", "-f acme.yaml"),
    ("provider profile import", "-f wrong.yaml"),
    ("provider profile import", "--from folder"),
    ("provider profile import", "-f minted.yaml"),
    ("provider profile import", "-f nosuch.yaml"),
    ("provider profile export", "acme-api"),
    ("provider profile export", "acme-api -o json"),
    ("provider profile export", "acme-api -o yaml"),
    ("provider profile export", "acme-api -o table"),
    ("provider profile export", "nosuch"),
    ("provider list-profiles", ""),
    ("provider list-profiles", "-o json"),
    ("provider list-profiles", "-o yaml"),
    // Providers.
    ("provider list", ""),
    ("provider list", "-o json"),
    ("provider create", "--name acme-main --type acme-api --credential ACME_TOKEN=not-a-secret --config region=eu"),
    ("provider create", "--name acme-main --type acme-api --credential ACME_TOKEN=not-a-secret"),
    ("provider create", "--name other --type nosuch --credential A=b"),
    ("provider create", "--name other --type acme-api --credential UNSET"),
    ("provider create", "--name minted --type minted --runtime-credentials"),
    ("provider get", "acme-main"),
    ("provider get", "nosuch"),
    ("provider list", ""),
    ("provider list", "-o json"),
    ("provider list", "-o yaml"),
    ("provider list", "--names --all-workspaces"),
    ("provider update", "acme-main --config region=us --credential-expires-at ACME_TOKEN=2030-01-01T00:00:00Z"),
    ("provider update", "nosuch --config a=b"),
    ("provider refresh status", "minted"),
    (
        "provider refresh configure",
        "minted --credential-key MINTED_TOKEN --strategy oauth2-client-credentials --material client_id=me \
         --material client_secret=not-a-secret --credential-expires-at 2090-01-01T00:00:00Z",
    ),
    ("provider refresh status", "minted"),
    ("provider refresh rotate", "minted --credential-key MINTED_TOKEN"),
    ("provider refresh delete", "minted --credential-key MINTED_TOKEN"),
    ("provider refresh delete", "minted --credential-key MINTED_TOKEN"),
    // Sandboxes.
    ("sandbox list", ""),
    ("sandbox create", "--name box --provider acme-main --policy policy.yaml --label team=a"),
    ("sandbox create", "--name box"),
    ("sandbox create", "--name box-json -o json"),
    ("sandbox create", "--name box-yaml -o yaml"),
    ("sandbox create", "--name other --provider nosuch"),
    ("sandbox get", "box"),
    ("sandbox get", "box -o json"),
    ("sandbox get", "box -o yaml"),
    ("sandbox get", "box --policy-only"),
    ("sandbox get", "nosuch"),
    ("sandbox list", ""),
    ("sandbox list", "-o json"),
    ("sandbox list", "-o yaml"),
    ("sandbox list", "--names --all-workspaces"),
    ("sandbox list", "--selector team=a --names"),
    ("sandbox stop", "box"),
    ("sandbox start", "box"),
    ("sandbox logs", "box"),
    ("logs", "box"),
    ("rule get", "box"),
    ("rule history", "box"),
    ("sandbox token", "box --output token"),
];

/// From then on.
pub(super) const AFTER: &[(&str, &str)] = &[
    ("sandbox logs", "box"),
    ("logs", "box"),
    ("logs", "box -n 1"),
    ("logs", "box --level nosuch"),
    ("sandbox provider list", "box"),
    ("sandbox provider attach", "box acme-main"),
    ("sandbox provider attach", "box nosuch"),
    ("sandbox provider detach", "box acme-main"),
    ("sandbox provider detach", "box acme-main"),
    ("sandbox provider list", "box"),
    ("sandbox provider attach", "box acme-main"),
    ("provider delete", "acme-main"),
    // Policies. An update of the profile is one of the policy.
    ("policy get", "box --full"),
    ("provider profile update", "-f edited.yaml"),
    ("provider profile update", "-f wrong.yaml"),
    ("provider profile update", "--from changed"),
    ("provider profile update", "--from changed"),
    ("provider profile update", "--from folder -o json"),
    ("provider profile update", "--from changed -o yaml"),
    ("policy get", "box"),
    ("policy get", "box --full"),
    ("policy get", "box --base"),
    ("policy get", "box -o json"),
    ("policy get", "box --rev 1"),
    ("policy get", "box --rev 1 -o json"),
    ("policy get", "box --rev 99"),
    ("policy set", "box --policy policy.yaml"),
    ("policy set", "box --policy unknown.yaml"),
    ("policy update", "box --add-endpoint api.example.com:443:read-only:rest:enforce --binary /usr/bin/pip --dry-run"),
    ("policy update", "box --add-endpoint api.example.com:443:read-only:rest:enforce --binary /usr/bin/pip"),
    ("policy update", "box --remove-rule nosuch"),
    ("policy set", "box --policy policy.yaml --wait --timeout 1"),
    ("policy list", "box"),
    ("policy list", "--global"),
    ("policy set", "--global --policy policy.yaml"),
    ("policy set", "--global --policy policy.yaml --yes"),
    ("policy get", "--global"),
    ("policy get", "--global -o json"),
    ("policy list", "--global"),
    ("policy set", "box --policy policy.yaml"),
    ("policy delete", ""),
    ("policy delete", "--global --yes"),
    ("policy delete", "--global --yes"),
    ("rule get", "box"),
    ("rule get", "box -o json"),
    ("rule get", "box -o yaml"),
    ("rule approve", "box --chunk-id 11111111-1111-4111-8111-111111111111"),
    ("rule approve", "box --chunk-id nosuch"),
    ("rule reject", "box --chunk-id 22222222-2222-4222-8222-222222222222 --reason no"),
    ("rule undo", "box --chunk-id 11111111-1111-4111-8111-111111111111"),
    ("rule approve-all", "box"),
    ("rule approve-all", "box"),
    ("rule get", "box --status approved"),
    ("rule clear", "box"),
    ("rule history", "box"),
    ("rule history", "box -o json"),
    ("rule history", "box -o yaml"),
    // Settings.
    ("settings set", "box --key ocsf_json_enabled --value yes"),
    ("settings set", "box --key nosuch --value yes"),
    ("settings set", "box --key ocsf_json_enabled --value maybe"),
    ("settings get", "box"),
    ("settings get", "box --json"),
    ("settings get", "--global"),
    ("settings get", "--global --json"),
    ("settings delete", "box --key ocsf_json_enabled"),
    ("settings delete", "box --key ocsf_json_enabled"),
    // What there is for shells and manuals, and what has no server side.
    ("completions", "bash"),
    ("man", "pages"),
    ("service list", ""),
    ("forward start", "8080 box"),
    ("inference get", ""),
    ("doctor check", ""),
    ("term", ""),
    ("ssh-proxy", "box"),
    ("sandbox exec", "box -- true"),
    ("sandbox connect", "box"),
    ("sandbox upload", "box here there"),
    ("sandbox download", "box there here"),
    ("sandbox ssh-config", "box"),
    ("sandbox create", "--upload here:there"),
    // The end.
    ("sandbox delete", "box nosuch"),
    ("sandbox delete", "--all"),
    ("sandbox delete", "--all"),
    ("provider delete", "nosuch acme-main minted"),
    ("provider profile delete", "acme-api"),
    ("provider profile delete", "acme-api"),
    ("provider profile delete", "github"),
    ("settings delete", "--global --key providers_v2_enabled --yes"),
    // Nothing else is asked of a cluster that chooses a leader.
    ("cluster transfer-leader", "--to 2"),
];
