//! `openshell provider profile update --from`: a folder as one change, and what is told of it.

use openshell_tests::{Cluster, CommandLine, Output, Shared, unique};
use serde_json::json;

struct Person {
    cluster: Shared,
    command_line: CommandLine,
    workspace: String,
}

impl Person {
    /// Somebody with two profiles imported from a folder.
    async fn with_two_profiles() -> Self {
        let person =
            Self { cluster: Cluster::shared().await, command_line: CommandLine::new(), workspace: unique("folder") };
        person.run(&["workspace", "create", "--name", &person.workspace]).await.success();
        person.write("files", "Files", "files.example.com", "full");
        person.write("orders", "Orders", "orders.example.com", "full");
        person.run(&["provider", "profile", "import", "--from", "profiles"]).await.success();
        person
    }

    fn write(&self, id: &str, display_name: &str, host: &str, access: &str) {
        let text = format!(
            "id: {id}\ndisplay_name: {display_name}\ncategory: other\nendpoints:\n  - host: {host}\n    port: 443\n    \
             protocol: rest\n    access: {access}\nbinaries:\n  - /usr/bin/curl\n"
        );
        self.command_line.write(&format!("profiles/{id}.yaml"), &text);
    }

    async fn run(&self, words: &[&str]) -> Output {
        let words: Vec<&str> = ["--workspace", &self.workspace].into_iter().chain(words.iter().copied()).collect();
        self.command_line.run(&self.cluster.endpoints(), &words).await
    }

    async fn update(&self, words: &[&str]) -> Output {
        let words: Vec<&str> =
            ["provider", "profile", "update", "--from", "profiles"].into_iter().chain(words.iter().copied()).collect();
        self.run(&words).await
    }

    async fn version(&self, id: &str) -> String {
        let exported = self.run(&["provider", "profile", "export", id]).await;
        exported.success().lines().find(|line| line.starts_with("resource_version")).unwrap_or_default().to_owned()
    }
}

#[tokio::test]
async fn a_folder_is_one_table_of_what_changed() {
    let person = Person::with_two_profiles().await;
    person.write("files", "Files", "archive.example.com", "full");
    let updated = person.update(&[]).await;
    let expected = "ID      OUTCOME    VERSION  CHANGES\n\
                    files   changed    1 -> 2   endpoint archive.example.com:443 added; endpoint files.example.com:443 removed\n\
                    orders  unchanged  1        -\n";
    assert_eq!(updated.success(), expected, "{updated:?}");
    let again = person.update(&[]).await;
    let expected =
        "ID      OUTCOME    VERSION  CHANGES\nfiles   unchanged  2        -\norders  unchanged  1        -\n";
    assert_eq!(again.success(), expected, "{again:?}");
}

#[tokio::test]
async fn a_folder_is_a_list_of_documents_for_scripts() {
    let person = Person::with_two_profiles().await;
    person.write("orders", "All orders", "orders.example.com", "read-only");
    let updated = person.update(&["-o", "json"]).await;
    let document: serde_json::Value = serde_json::from_str(updated.success()).expect("a document");
    let expected = json!([
        {"changed": false, "changes": [], "id": "files", "previous_version": 1, "resource_version": 1},
        {
            "changed": true,
            "changes": [
                {"act": "changed", "field": "display_name", "from": "Orders", "to": "All orders"},
                {"act": "changed", "field": "endpoints", "keys": ["access"], "name": "orders.example.com:443"},
            ],
            "id": "orders",
            "previous_version": 1,
            "resource_version": 2,
        },
    ]);
    assert_eq!(document, expected, "{updated:?}");
    let one = ["provider", "profile", "update", "-f", "profiles/orders.yaml", "-o", "yaml"];
    let updated = person.run(&one).await;
    let expected = "- changed: true\n  changes: []\n  id: orders\n  previous_version: 2\n  resource_version: 3\n";
    assert_eq!(updated.success(), expected, "{updated:?}");
}

#[tokio::test]
async fn one_bad_file_changes_nothing_at_all() {
    let person = Person::with_two_profiles().await;
    person.write("files", "Files", "archive.example.com", "full");
    // The gateway's no, and then this side's.
    let text =
        "id: orders\ndisplay_name: Orders\nendpoints:\n  - host: a.example.com\n    port: 443\n    protocol: smtp\n";
    person.command_line.write("profiles/orders.yaml", text);
    let refused = person.update(&[]).await;
    assert!(refused.failure().contains("profile=orders"), "{refused:?}");
    assert_eq!(refused.stdout, "");
    person.command_line.write("profiles/orders.yaml", "id: [");
    let refused = person.update(&[]).await;
    assert!(refused.failure().contains("profiles/orders.yaml"), "{refused:?}");
    for id in ["files", "orders"] {
        assert_eq!(person.version(id).await, "resource_version: 1", "{id}");
    }
    // One that nobody imported is no reason to change the other.
    person.write("orders", "Orders", "orders.example.com", "full");
    person.write("unheard-of", "New", "new.example.com", "full");
    let refused = person.update(&[]).await;
    assert!(refused.failure().contains("unheard-of"), "{refused:?}");
    assert_eq!(person.version("files").await, "resource_version: 1");
}

#[tokio::test]
async fn a_file_alone_is_one_sentence_as_ever() {
    let person = Person::with_two_profiles().await;
    let updated = person.run(&["provider", "profile", "update", "files", "-f", "profiles/files.yaml"]).await;
    assert_eq!((updated.success(), updated.stderr.as_str()), ("Updated provider profile.\n", ""));
}
