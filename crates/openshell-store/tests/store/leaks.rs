//! The search for secrets finds what is not sealed: in the write-ahead log, in compressed tables, in
//! the values themselves, and in a snapshot. That it finds nothing with sealing on is a test of the
//! server, which seals.

#[path = "../../../../tests/src/leaks.rs"]
#[allow(dead_code, unreachable_pub, reason = "its other users need the rest")]
mod search;

use std::path::Path;
use std::sync::Arc;

use crate::support::{BEGIN_MS, apply, entry, open_with, request_id};
use openraft::RaftSnapshotBuilder;
use openraft::storage::RaftStateMachine;
use openshell_proto::datamodel::{ObjectMeta, Provider};
use openshell_proto::log::{Command, Origin, command};
use openshell_proto::v1::CreateProviderRequest;
use openshell_state::access::Principal;
use openshell_state::decide::{formation, provider};
use openshell_state::{Call, Decision, Identifiers, Sealer, Stamp};
use openshell_store::WriterMode;
use openshell_store::disk::Family;
use openshell_store::disk::rocks::RocksDisk;
use openshell_store::snapshot::parts;
use prost::Message;
use search::Leaks;
use sha2::{Digest, Sha256};

/// How many providers there are, so that tables have something to compress.
const PROVIDERS: u64 = 50;

struct Names;

impl Identifiers for Names {
    fn uuid(&self) -> String {
        "8d1f3a52-6c1e-4f0a-9d57-0e5b6f2b7c11".to_owned()
    }
    fn letters(&self) -> String {
        "abcdef".to_owned()
    }
    fn choose(&self, _: usize) -> usize {
        0
    }
    fn key(&self) -> [u8; 32] {
        [7; 32]
    }
}

/// Keeps nothing secret.
struct Off;

impl Sealer for Off {
    fn seal(&self, _: &str, _: &str, _: &str, _: &str, plaintext: &[u8]) -> String {
        String::from_utf8_lossy(plaintext).into_owned()
    }
}

/// A secret that is nowhere by chance, the same in every run.
fn secret(number: u64) -> String {
    use base64::Engine;
    let random: [u8; 32] = Sha256::digest(format!("secret {number}")).into();
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random)
}

fn planted() -> Leaks {
    let mut leaks = Leaks::default();
    (1..=PROVIDERS).for_each(|number| leaks.plant("CreateProvider", &secret(number)));
    leaks
}

/// Commands that form a cluster and create the providers, decided with sealing off and applied to a
/// database in the folder. Returns the snapshot that it would send.
async fn write(folder: &Path) -> Vec<u8> {
    let disk = RocksDisk::open(folder).expect("opened");
    let mut store = open_with(Arc::new(disk), WriterMode::Thread);
    store.identity.adopt_cluster_id("cluster-1").await.expect("adopted");
    let stamp = Stamp { time_ms: BEGIN_MS, identifiers: &Names, sealer: &Off };
    let form = formation::form("cluster-1", 1, stamp);
    apply(&mut store.machine, [entry(1, 1, &form)]).await.expect("applied");
    for number in 1..=PROVIDERS {
        let asked = Provider {
            metadata: Some(ObjectMeta { name: format!("p{number}"), ..ObjectMeta::default() }),
            r#type: "unknown".to_owned(),
            credentials: [("KEY".to_owned(), secret(number))].into(),
            ..Provider::default()
        };
        let request = CreateProviderRequest { provider: Some(asked), ..CreateProviderRequest::default() };
        let state = store.view.load();
        let call = Call { state: &state, principal: &Principal::Cluster, stamp };
        let Ok(Decision::Transact(draft)) = provider::create(call, &request) else { panic!("a provider is created") };
        let origin = Origin {
            request_id: request_id(BEGIN_MS, number),
            time_ms: BEGIN_MS,
            fingerprint: vec![7; 32],
            ..Origin::default()
        };
        let command = Command { kind: Some(command::Kind::Transaction(draft.into_transaction(origin))) };
        apply(&mut store.machine, [entry(1, number + 1, &command)]).await.expect("applied");
    }
    let mut builder = store.machine.try_create_snapshot_builder(true).await.expect("a builder");
    let snapshot = builder.build_snapshot().await.expect("built").snapshot;
    parts(&snapshot).flat_map(|part| part.encode_to_vec()).collect()
}

/// Rewrites every family into compressed tables, and returns all keys and values as they read.
fn compact(folder: &Path) -> Vec<u8> {
    let mut options = rocksdb::Options::default();
    options.set_compression_type(rocksdb::DBCompressionType::Lz4);
    let families = Family::ALL.map(|family| rocksdb::ColumnFamilyDescriptor::new(family.name(), options.clone()));
    let names = Family::ALL.map(Family::name);
    options.create_missing_column_families(true);
    let database = rocksdb::DB::open_cf_descriptors(&options, folder.join("db"), families).expect("opened");
    let mut all = Vec::new();
    for name in names {
        let family = database.cf_handle(name).expect("every family is there");
        database.flush_cf(family).expect("flushed");
        database.compact_range_cf(family, None::<&[u8]>, None::<&[u8]>);
        for item in database.iterator_cf(family, rocksdb::IteratorMode::Start) {
            let (key, value) = item.expect("readable");
            all.extend(key.iter().chain(value.iter()));
        }
    }
    all
}

/// How many of the planted secrets are in the files whose names end so.
fn in_files(folder: &Path, ending: &str) -> usize {
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder.join("db")).expect("a folder") {
        let path = file.expect("a file").path();
        if path.extension().is_some_and(|extension| extension == ending) {
            found.extend(planted().find_in(&path).expect("readable"));
        }
    }
    found.len()
}

#[tokio::test]
async fn with_sealing_off_secrets_are_found_in_every_kind_of_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let snapshot = write(folder.path()).await;
    assert!(!planted().find("the snapshot", &snapshot).is_empty());
    assert!(in_files(folder.path(), "log") > 0, "in the write-ahead log");
    let values = compact(folder.path());
    assert!(!planted().find("the values", &values).is_empty());
    assert!(in_files(folder.path(), "sst") > 0, "in compressed tables");
}
