//! A credential on its way through a node, sealed as the gateway does it and not sealed at all: what
//! the search for secrets finds without sealing, in everything that a node writes and says, it must
//! not find with it. Nothing but these tests can run without sealing.

#[path = "../../../tests/src/leaks.rs"]
#[allow(dead_code, unreachable_pub)]
mod leaks;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use openshell_proto::datamodel::{ObjectMeta, Provider};
use openshell_proto::v1::CreateProviderRequest;
use openshell_raft::Cluster;
use openshell_state::decide::provider;
use openshell_state::{Key, Opener, Sealer};
use openshell_store::disk::rocks::RocksDisk;

use crate::alone;
use crate::export::{self, Export};
use crate::identifiers::RandomIdentifiers;
use crate::inspect::{self, Inspect};
use crate::secrets::Secrets;
use leaks::Leaks;

const SECRET: &str = "kP3vX9qL2mZ8rT5wB7nJ4hY6cF1dG0sAuoQeWiRtKzN";
const DATABASE: &str = "data/db/db";

/// Keeps nothing secret.
struct Off;

impl Sealer for Off {
    fn seal(&self, _: &str, _: &str, _: &str, _: &str, plaintext: &[u8]) -> String {
        String::from_utf8_lossy(plaintext).into_owned()
    }
}

/// Where the secret was found, relative to the folder, and in which form.
fn found(folder: &Path) -> Vec<String> {
    let mut leaks = Leaks::default();
    leaks.plant("CreateProvider", SECRET);
    let found = leaks.find_in(folder).expect("the files can be read");
    let folder = folder.display().to_string();
    found.iter().map(|leak| format!("{}: {}", leak.place.replace(&folder, "."), leak.secret)).collect()
}

/// Everything that a node in the folder's `data` writes and says about a provider with a credential:
/// its database, `log`, `debug`, and once it is stopped `export` and `inspected`. Returns what the
/// provider holds for the credential.
async fn node(folder: &Path, secrets: &Secrets, sealer: Arc<dyn Sealer + Send + Sync>) -> String {
    let log = File::create(folder.join("log")).expect("a file");
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
    let guard = tracing::subscriber::set_default(subscriber.with_writer(Arc::new(log)).finish());
    let data_dir = folder.join("data");
    let cluster = alone::start(&data_dir, secrets, sealer, Arc::new(RandomIdentifiers::from_os())).await;
    let asked = Provider {
        metadata: Some(ObjectMeta { name: "main".to_owned(), ..ObjectMeta::default() }),
        r#type: "unknown".to_owned(),
        credentials: [("KEY".to_owned(), SECRET.to_owned())].into(),
        ..Provider::default()
    };
    let request = CreateProviderRequest { provider: Some(asked), ..CreateProviderRequest::default() };
    alone::decide(&cluster, |call| provider::create(call, &request).into()).await;
    let kept = say(&cluster, &folder.join("debug"));
    cluster.shutdown().await;
    drop((cluster, guard));
    // Whoever opens the database for writing puts into tables what was in the write-ahead log alone, so
    // the log is searched first.
    assert!(files(folder, "log") > 0, "there is a write-ahead log");
    let before = found(folder);
    let exported = Export { data_dir: data_dir.clone(), to: folder.join("export") };
    export::run(&exported).expect("exported");
    let inspected = File::create(folder.join("inspected")).expect("a file");
    inspect::print(&Inspect { data_dir: data_dir.clone() }, inspected).expect("inspected");
    drop(RocksDisk::open(&crate::storage::place(&data_dir)).expect("opened"));
    assert!(files(folder, "sst") > 0, "there are tables");
    // Read by the caller beside what is found now; no line of it is a secret.
    std::fs::write(folder.join("before"), before.join("\n")).expect("written");
    kept
}

/// Prints the provider in every way that a log or a message might: into the log at the level trace, and
/// into a file. Returns what it holds for the credential.
fn say(cluster: &Cluster, debug: &Path) -> String {
    let state = cluster.state();
    let provider = state.provider("default", "main").expect("it was created").value;
    let record = state.record(&Key::provider("default", "main")).expect("it was created");
    let bytes = record.to_proto().value;
    tracing::trace!(?provider, hex = hex::encode(&bytes), ?bytes, "a provider");
    std::fs::write(debug, format!("{provider:?}\n{record:?}\n{bytes:?}")).expect("written");
    provider.credential_handles["KEY"].handle.clone()
}

/// How many files of the database have this ending.
fn files(folder: &Path, ending: &str) -> usize {
    let files = std::fs::read_dir(folder.join(DATABASE)).expect("the database");
    let names = files.map(|file| file.expect("a file").path());
    names.filter(|path| path.extension().is_some_and(|extension| extension == ending)).count()
}

#[tokio::test]
async fn without_sealing_a_credential_is_found_in_all_that_a_node_writes_and_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = node(folder.path(), &Secrets::of(&[7; 32]), Arc::new(Off)).await;
    assert_eq!(kept, SECRET);
    let mut found = found(folder.path());
    found.extend(std::fs::read_to_string(folder.path().join("before")).expect("a file").lines().map(str::to_owned));
    for (place, ending, form) in [
        ("./data/db/db/", ".log", "as it is"),
        ("./data/db/db/", ".sst", "as it is"),
        ("./export", "", "as it is"),
        ("./inspected", "", "as it is"),
        ("./inspected", "", "in base64"),
        ("./log", "", "as it is"),
        ("./log", "", "in hexadecimal"),
        ("./debug", "", "as it is"),
    ] {
        let is_there = found.iter().any(|line| {
            let (at, what) = line.split_once(": ").expect("a place and a secret");
            at.starts_with(place) && at.ends_with(ending) && what.contains(form)
        });
        assert!(is_there, "{form} in {place}*{ending}: {found:#?}");
    }
}

#[tokio::test]
async fn sealed_as_the_gateway_does_it_a_credential_is_found_nowhere_and_opens_in_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let secrets = Arc::new(Secrets::of(&[7; 32]));
    let kept = node(folder.path(), &secrets, secrets.clone()).await;
    assert_eq!(std::fs::read_to_string(folder.path().join("before")).expect("a file"), "");
    assert_eq!(found(folder.path()), Vec::<String>::new());
    let opened = Opener::open(&*secrets, "provider", "default", "main", "credentials/KEY", &kept);
    assert_eq!(opened.as_deref(), Some(SECRET.as_bytes()));
}
