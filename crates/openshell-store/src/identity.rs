//! Whose data this is: format version, node, cluster, and what the node was configured with
//! when the data was made. Checked before anything else is read.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;

use crate::disk::{Batch, Disk, END, Family};
use crate::fault::OpenError;
use crate::meta;
use crate::writer::Writer;

/// The format of everything in the data directory. Grows when a build could not read what an
/// earlier one wrote, or the other way round.
pub const FORMAT_VERSION: u32 = 1;

/// What the caller knows about the data it wants opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The node's id, from 1.
    pub node_id: u64,
    /// SHA-256 over the canonical `--initial-cluster`, also that of a cluster of one; none for a node
    /// that is added to a running cluster, and where either side has none, none is compared.
    pub initial_cluster: Option<[u8; 32]>,
    /// A value derived from the secrets key that tells two keys apart and says nothing else.
    pub secrets_key: [u8; 32],
}

/// Where the state of a node was found not to be that of its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The revision at which the digests were compared.
    pub revision: u64,
    /// The digest that this node had there.
    pub mine: [u8; 32],
    /// The digest that a majority of the voters had there.
    pub theirs: [u8; 32],
}

impl Divergence {
    const BYTES: usize = 8 + 32 + 32;

    fn to_bytes(self) -> Vec<u8> {
        [self.revision.to_be_bytes().as_slice(), &self.mine, &self.theirs].concat()
    }

    fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let (mut revision, mut mine, mut theirs) = ([0; 8], [0; 32], [0; 32]);
        revision.copy_from_slice(&bytes[..8]);
        mine.copy_from_slice(&bytes[8..40]);
        theirs.copy_from_slice(&bytes[40..]);
        Self { revision: u64::from_be_bytes(revision), mine, theirs }
    }

    /// The one that is written down on a disk.
    pub(crate) fn read(disk: &dyn Disk) -> io::Result<Option<Self>> {
        Ok(meta::read_array(disk, meta::DIVERGED)?.as_ref().map(Self::from_bytes))
    }
}

/// The identity of the opened data. Clones share it.
#[derive(Clone)]
pub struct Identity(Arc<Shared>);

struct Shared {
    writer: Writer,
    node_id: u64,
    cluster_id: ArcSwap<String>,
    promised: AtomicBool,
    expelled: AtomicBool,
    diverged: OnceLock<Divergence>,
    restored: Option<[u8; 32]>,
}

impl Identity {
    /// The node's id.
    #[must_use]
    pub fn node_id(&self) -> u64 {
        self.0.node_id
    }

    /// The cluster's id; empty until the node belongs to one.
    #[must_use]
    pub fn cluster_id(&self) -> String {
        String::clone(&self.0.cluster_id.load())
    }

    /// Whether this node, while it was empty, promised to become a member of the cluster that its
    /// initial cluster forms. One that did and is still empty has lost nothing.
    #[must_use]
    pub fn is_promised(&self) -> bool {
        self.0.promised.load(Ordering::Acquire)
    }

    /// Promises it, for good: the data is bound to the initial cluster from now on. Synced when it
    /// returns. Saying it again changes nothing.
    ///
    /// # Errors
    /// When it could not be written: the node stops.
    pub async fn promise(&self) -> io::Result<()> {
        if self.is_promised() {
            return Ok(());
        }
        self.set_for_good(meta::PROMISE, &self.0.promised).await
    }

    /// Whether the cluster was heard to say that this node was removed from it.
    #[must_use]
    pub fn is_expelled(&self) -> bool {
        self.0.expelled.load(Ordering::Acquire)
    }

    /// Writes down, for good, that it was: the state is never served again, also when nobody is there
    /// to repeat it. Synced when it returns. Saying it again changes nothing.
    ///
    /// # Errors
    /// When it could not be written: the node stops.
    pub async fn expel(&self) -> io::Result<()> {
        if self.is_expelled() {
            return Ok(());
        }
        self.set_for_good(meta::EXPELLED, &self.0.expelled).await
    }

    /// Where this node's state was found to differ from that of its cluster, if it was.
    #[must_use]
    pub fn divergence(&self) -> Option<Divergence> {
        self.0.diverged.get().copied()
    }

    /// Writes down, for good, that it does: the state is never served again, also when nobody is there
    /// to compare with. Synced when it returns. The first one stays.
    ///
    /// # Errors
    /// When it could not be written: the node stops.
    pub async fn diverge(&self, divergence: Divergence) -> io::Result<()> {
        if self.divergence().is_some() {
            return Ok(());
        }
        let mut batch = Batch::new();
        meta::put(&mut batch, meta::DIVERGED, &divergence.to_bytes());
        self.0.writer.write(batch, true).await?;
        self.0.diverged.get_or_init(|| divergence);
        Ok(())
    }

    async fn set_for_good(&self, key: &str, known: &AtomicBool) -> io::Result<()> {
        let mut batch = Batch::new();
        meta::put(&mut batch, key, b"");
        self.0.writer.write(batch, true).await?;
        known.store(true, Ordering::Release);
        Ok(())
    }

    /// SHA-256 over the export that this data was restored from and the epoch that it was given; none
    /// when it grew here.
    #[must_use]
    pub fn restored_from(&self) -> Option<[u8; 32]> {
        self.0.restored
    }

    /// Makes this data part of a cluster, for good. Synced when it returns. Saying it again
    /// changes nothing.
    ///
    /// # Errors
    /// When the data belongs to another cluster, or the id is empty: no retry helps. When it
    /// could not be written: the node stops.
    pub async fn adopt_cluster_id(&self, cluster_id: &str) -> io::Result<()> {
        let current = self.cluster_id();
        if cluster_id.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a cluster id must not be empty"));
        }
        if current == cluster_id {
            return Ok(());
        }
        if !current.is_empty() {
            let text = format!("the data directory belongs to cluster {current}; it cannot join cluster {cluster_id}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let mut batch = Batch::new();
        meta::put(&mut batch, meta::CLUSTER, cluster_id.as_bytes());
        self.0.writer.write(batch, true).await?;
        self.0.cluster_id.store(Arc::new(cluster_id.to_owned()));
        Ok(())
    }

    pub(crate) fn open(writer: Writer, node_id: u64) -> Result<Self, OpenError> {
        let bytes = meta::read(&**writer.disk(), meta::CLUSTER).map_err(OpenError::io("reading the cluster id"))?;
        let cluster_id = String::from_utf8(bytes.unwrap_or_default())
            .map_err(|_| OpenError::Damaged { what: "the stored cluster id is not text".into() })?;
        let restored = meta::read_array(&**writer.disk(), meta::RESTORED)
            .map_err(OpenError::io("reading what the data was restored from"))?;
        let cluster_id = ArcSwap::from_pointee(cluster_id);
        let promised = meta::read(&**writer.disk(), meta::PROMISE).map_err(OpenError::io("reading the promise"))?;
        let promised = AtomicBool::new(promised.is_some());
        let expelled = meta::read(&**writer.disk(), meta::EXPELLED)
            .map_err(OpenError::io("reading whether the node was removed"))?;
        let expelled = AtomicBool::new(expelled.is_some());
        let found = Divergence::read(&**writer.disk())
            .map_err(OpenError::io("reading whether the state was found to differ"))?;
        let diverged = OnceLock::new();
        if let Some(found) = found {
            diverged.get_or_init(|| found);
        }
        Ok(Self(Arc::new(Shared { writer, node_id, cluster_id, promised, expelled, diverged, restored })))
    }
}

/// Compares what is stored with what is expected. On an empty disk it returns the batch that
/// makes the data this node's; it must be synced before anything else is written. So it does for
/// a node that has joined nothing and promised nothing: its first start may have been mistaken.
pub(crate) fn check(disk: &dyn Disk, expected: &Expected) -> Result<Option<Batch>, OpenError> {
    let reading = || OpenError::io("reading the identity");
    refuse_unfinished(disk)?;
    if meta::read(disk, meta::FORMAT).map_err(reading())?.is_none() {
        if !is_empty(disk).map_err(reading())? {
            return Err(OpenError::Damaged { what: "there is data, but no format version: the manifest of the database, or a file that it lists, was lost".into() });
        }
        return Ok(Some(first_batch(expected)));
    }
    let found = stored(disk)?;
    // All of it is taken over, also a list where there was none: a promise holds it to that list.
    if found != *expected && is_unbound(disk).map_err(reading())? {
        return Ok(Some(first_batch(expected)));
    }
    compare(&found, expected).map(|()| None)
}

fn compare(stored: &Expected, given: &Expected) -> Result<(), OpenError> {
    if stored.node_id != given.node_id {
        return Err(OpenError::Node { found: stored.node_id, expected: given.node_id });
    }
    if let (Some(stored), Some(given)) = (stored.initial_cluster, given.initial_cluster)
        && stored != given
    {
        return Err(OpenError::InitialCluster);
    }
    if stored.secrets_key != given.secrets_key {
        return Err(OpenError::SecretsKey);
    }
    Ok(())
}

/// What a restore has begun and not completed is nobody's data.
fn refuse_unfinished(disk: &dyn Disk) -> Result<(), OpenError> {
    match meta::read(disk, meta::RESTORING).map_err(OpenError::io("reading the identity"))? {
        Some(_) => Err(OpenError::Restoring),
        None => Ok(()),
    }
}

/// Whose data is on a disk.
pub(crate) fn stored(disk: &dyn Disk) -> Result<Expected, OpenError> {
    let reading = || OpenError::io("reading the identity");
    refuse_unfinished(disk)?;
    let Some(format) = meta::read_array(disk, meta::FORMAT).map_err(reading())? else { return Err(OpenError::Empty) };
    let found = u32::from_be_bytes(format);
    if found != FORMAT_VERSION {
        return Err(OpenError::Format { found, known: FORMAT_VERSION });
    }
    let node_id = meta::read_array(disk, meta::NODE).map_err(reading())?.map_or(0, u64::from_be_bytes);
    let initial_cluster = meta::read_array(disk, meta::INITIAL_CLUSTER).map_err(reading())?;
    let secrets_key = meta::read_array(disk, meta::SECRETS_KEY).map_err(reading())?;
    let missing = || OpenError::Damaged { what: "there is no check value of the secrets key".into() };
    Ok(Expected { node_id, initial_cluster, secrets_key: secrets_key.ok_or_else(missing)? })
}

pub(crate) fn first_batch(expected: &Expected) -> Batch {
    let mut batch = Batch::new();
    meta::put(&mut batch, meta::FORMAT, &FORMAT_VERSION.to_be_bytes());
    meta::put(&mut batch, meta::NODE, &expected.node_id.to_be_bytes());
    meta::put(&mut batch, meta::CLUSTER, b"");
    match &expected.initial_cluster {
        Some(initial) => meta::put(&mut batch, meta::INITIAL_CLUSTER, initial),
        None => batch.delete(Family::Meta, meta::INITIAL_CLUSTER),
    }
    meta::put(&mut batch, meta::SECRETS_KEY, &expected.secrets_key);
    batch
}

/// Nobody relies on this node: no cluster, no promise, no vote, no log and no state.
fn is_unbound(disk: &dyn Disk) -> io::Result<bool> {
    let joined = meta::read(disk, meta::CLUSTER)?.is_none_or(|cluster| !cluster.is_empty());
    let bound = joined || meta::read(disk, meta::PROMISE)?.is_some() || meta::read(disk, meta::VOTE)?.is_some();
    Ok(!bound && hold_nothing(disk, Family::ALL.into_iter().filter(|family| *family != Family::Meta))?)
}

pub(crate) fn is_empty(disk: &dyn Disk) -> io::Result<bool> {
    hold_nothing(disk, Family::ALL)
}

fn hold_nothing(disk: &dyn Disk, families: impl IntoIterator<Item = Family>) -> io::Result<bool> {
    let mut empty = true;
    for family in families {
        disk.scan(family, &[], &END, &mut |_, _| {
            empty = false;
            Ok(std::ops::ControlFlow::Break(()))
        })?;
    }
    Ok(empty)
}
