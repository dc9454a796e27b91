//! RocksDB: one database, one write-ahead log, a column family for each [`Family`]. Why each
//! option has its value is said beside it.

mod frames;

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use openshell_chaos::{Bug, Point, bug, disk_point};
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, DBRecoveryMode,
    IteratorMode, Options, ReadOptions, WriteBatch, WriteOptions,
};

use super::{Batch, Disk, Family, Step, Visit};
use crate::envelope;
use crate::fault::OpenError;

const MIB: usize = 1024 * 1024;
/// The database itself, in the data directory.
const DATABASE: &str = "db";
/// The high-water mark, beside it.
const MARK: &str = "high-water-mark";

/// Locked while the directory is open. RocksDB has a lock of its own, but not for readers.
const LOCK: &str = "lock";

/// A disk kept by RocksDB in one directory.
pub struct RocksDisk {
    database: DB,
    directory: PathBuf,
    _lock: File,
}

impl RocksDisk {
    /// Opens the database in a directory, making both when they do not exist.
    ///
    /// # Errors
    /// [`OpenError::Io`] when another process has it open (a retry helps once that has ended), or
    /// when it cannot be read or written. [`OpenError::Damaged`] naming the file when the manifest
    /// or the write-ahead log is damaged other than by an incomplete last record: then acknowledged
    /// writes may be behind the damage, and nothing must be cut off.
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        Self::open_files(directory).map_err(OpenError::io("opening the database"))
    }

    fn open_files(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let lock = File::create(directory.join(LOCK))?;
        locked(directory, lock.try_lock())?;
        let database = directory.join(DATABASE);
        check_manifest(&database)?;
        check_logs(&database)?;
        let database = DB::open_cf_descriptors(&database_options(), &database, families())
            .map_err(|error| name_the_file(&database, error))?;
        Ok(Self { database, directory: directory.to_path_buf(), _lock: lock })
    }

    /// Opens a stopped node's database for reading; nothing in the directory is changed. What is
    /// damaged is passed over as far as RocksDB can, and said in the second part of the answer.
    ///
    /// # Errors
    /// [`OpenError::Io`] when the node runs, or there is no database; [`OpenError::Damaged`] when
    /// nothing of it can be read.
    pub fn open_read_only(directory: &Path) -> Result<(Self, Option<String>), OpenError> {
        Self::open_files_read_only(directory).map_err(OpenError::io("opening the database for reading"))
    }

    fn open_files_read_only(directory: &Path) -> io::Result<(Self, Option<String>)> {
        let lock = File::open(directory.join(LOCK)).map_err(|error| {
            io::Error::new(error.kind(), format!("{} holds no node's data: {error}", directory.display()))
        })?;
        locked(directory, lock.try_lock_shared())?;
        let database = directory.join(DATABASE);
        check_manifest(&database)?;
        check_logs(&database)?;
        let open = |options: &Options| DB::open_cf_descriptors_read_only(options, &database, families(), false);
        let (opened, damage) = match open(&database_options()) {
            Ok(opened) => (opened, None),
            Err(error) => {
                let damage = name_the_file(&database, error);
                let mut lenient = database_options();
                lenient.set_paranoid_checks(false);
                lenient.set_track_and_verify_wals_in_manifest(false);
                lenient.set_wal_recovery_mode(DBRecoveryMode::SkipAnyCorruptedRecord);
                match open(&lenient) {
                    Ok(opened) => (opened, Some(damage.to_string())),
                    Err(_) => return Err(damage),
                }
            }
        };
        Ok((Self { database: opened, directory: directory.to_path_buf(), _lock: lock }, damage))
    }

    fn family(&self, family: Family) -> &ColumnFamily {
        self.database.cf_handle(family.name()).expect("every family was opened")
    }

    fn visit(&self, family: Family, options: ReadOptions, visit: Visit<'_>) -> io::Result<()> {
        for item in self.database.iterator_cf_opt(self.family(family), options, IteratorMode::Start) {
            let (key, value) = item.map_err(to_io)?;
            if let ControlFlow::Break(()) = visit(&key, &value)? {
                break;
            }
        }
        Ok(())
    }
}

fn families() -> [ColumnFamilyDescriptor; Family::ALL.len()] {
    let cache = Cache::new_lru_cache(32 * MIB);
    Family::ALL.map(|family| ColumnFamilyDescriptor::new(family.name(), family_options(family, &cache)))
}

fn locked(directory: &Path, result: Result<(), TryLockError>) -> io::Result<()> {
    match result {
        Ok(()) => Ok(()),
        Err(TryLockError::Error(error)) => Err(error),
        Err(TryLockError::WouldBlock) => {
            let text = format!("{} is in use by another process; stop that first", directory.display());
            Err(io::Error::new(io::ErrorKind::ResourceBusy, text))
        }
    }
}

/// Before RocksDB reads it: with some flipped bits in it RocksDB never comes back.
fn check_manifest(database: &Path) -> io::Result<()> {
    let current = database.join("CURRENT");
    let named = match fs::read(&current) {
        Ok(named) => String::from_utf8_lossy(&named).into_owned(),
        // New, or RocksDB says what it misses.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let manifest = named.trim_end();
    if !manifest.starts_with("MANIFEST-") || !database.join(manifest).is_file() {
        let text = format!("{} names the manifest {manifest:?}, which is not there", current.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    frames::check(&database.join(manifest)).map(|_| ())
}

/// As [`check_manifest`], for the write-ahead logs. Whatever else is wrong with them RocksDB judges.
fn check_logs(database: &Path) -> io::Result<()> {
    logs(database)?.iter().try_for_each(|log| frames::refuse_endless(log))
}

/// The write-ahead logs, oldest first.
fn logs(database: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(database) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    let mut logs: Vec<_> =
        paths.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "log")).collect();
    logs.sort();
    Ok(logs)
}

/// RocksDB does not say which write-ahead log is damaged.
fn name_the_file(database: &Path, error: rocksdb::Error) -> io::Error {
    if error.kind() != rocksdb::ErrorKind::Corruption {
        return to_io(error);
    }
    let damaged = logs(database).unwrap_or_default().iter().find_map(|log| frames::check(log).err());
    match damaged {
        Some(found) => io::Error::new(io::ErrorKind::InvalidData, format!("{found} ({error})")),
        None => io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", database.display())),
    }
}

/// For reading all there is: in large pieces, and past the cache, in which nothing of it would be left in the end.
fn all_at_once() -> ReadOptions {
    let mut options = ReadOptions::default();
    options.fill_cache(false);
    options.set_readahead_size(MIB);
    options
}

fn database_options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_paranoid_checks(true);
    // A write that returned is in the system's cache: it survives the end of the process.
    options.set_manual_wal_flush(false);
    // The default mode stops silently at the first bad record and drops what was acknowledged
    // after it. This one forgives only an incomplete last record, and otherwise refuses.
    options.set_wal_recovery_mode(match bug(Bug::LenientRecovery) {
        true => DBRecoveryMode::PointInTime,
        false => DBRecoveryMode::TolerateCorruptedTailRecords,
    });
    // Recycled files end in old records, which the mode above cannot tell from damage.
    options.set_recycle_log_file_num(0);
    // A closed log file that is missing or too short is noticed.
    options.set_track_and_verify_wals_in_manifest(true);
    // Bounds replay and space, and flushes rarely written families that would pin old logs.
    options.set_max_total_wal_size(256 * MIB as u64);
    options.set_max_background_jobs(2);
    options.set_bytes_per_sync(MIB as u64);
    options.set_keep_log_file_num(4);
    options
}

fn family_options(family: Family, cache: &Cache) -> Options {
    let mut options = Options::default();
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    options.set_compression_type(DBCompressionType::Lz4);
    match family {
        // Entries live shortly: most die before they leave the memtables.
        Family::Log => {
            options.set_write_buffer_size(32 * MIB);
            options.set_max_write_buffer_number(3);
        }
        Family::Meta => options.set_write_buffer_size(2 * MIB),
        // Reads are answered from memory; the filter is for the few that are not.
        Family::Records(_) | Family::Fences(_) | Family::Requests(_) | Family::History => {
            options.set_write_buffer_size(16 * MIB);
            // A snapshot comes in faster than a table is written: room for a few before writes wait.
            options.set_max_write_buffer_number(4);
            table.set_bloom_filter(10.0, false);
        }
    }
    options.set_block_based_table_factory(&table);
    options
}

impl Disk for RocksDisk {
    fn write(&self, batch: Batch, sync: bool) -> io::Result<()> {
        let mut writes = WriteBatch::default();
        for step in batch.into_steps() {
            match step {
                Step::Put(family, key, value) => writes.put_cf(self.family(family), key, value),
                Step::Delete(family, key) => writes.delete_cf(self.family(family), key),
                // RocksDB takes a range that ends before it begins for an error.
                Step::DeleteRange(family, from, to) if from < to => {
                    writes.delete_range_cf(self.family(family), from, to);
                }
                Step::DeleteRange(..) => {}
            }
        }
        let mut options = WriteOptions::default();
        options.set_sync(sync);
        self.database.write_opt(writes, &options).map_err(to_io)
    }

    fn get(&self, family: Family, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.database.get_cf(self.family(family), key).map_err(to_io)
    }

    fn scan(&self, family: Family, from: &[u8], to: &[u8], visit: Visit<'_>) -> io::Result<()> {
        if from >= to {
            return Ok(());
        }
        let mut options = ReadOptions::default();
        // Both bounds, or the iterator walks the tombstones of all that was purged.
        options.set_iterate_lower_bound(from);
        options.set_iterate_upper_bound(to);
        self.visit(family, options, visit)
    }

    fn scan_all(&self, family: Family, visit: Visit<'_>) -> io::Result<()> {
        self.visit(family, all_at_once(), visit)
    }

    #[expect(deprecated, reason = "deprecated for those who save time by it: nothing else reads what a range removed")]
    fn verify(&self) -> io::Result<()> {
        for family in Family::ALL {
            let mut options = all_at_once();
            // Blocks in which everything was removed as a range would be passed over.
            options.set_ignore_range_deletions(true);
            let mut iterator = self.database.raw_iterator_cf_opt(self.family(family), options);
            iterator.seek_to_first();
            while iterator.valid() {
                iterator.next();
            }
            iterator.status().map_err(to_io)?;
        }
        Ok(())
    }

    fn mark(&self) -> io::Result<u64> {
        let path = self.directory.join(MARK);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error),
        };
        let damaged = |what: &dyn std::fmt::Display| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{}: {what}", path.display()))
        };
        let content = envelope::open(&bytes).map_err(|error| damaged(&error))?;
        let mark = content.try_into().map_err(|_| damaged(&"not a mark"))?;
        Ok(u64::from_be_bytes(mark))
    }

    fn set_mark(&self, mark: u64) -> io::Result<()> {
        let temporary = self.directory.join(format!("{MARK}.new"));
        let mut file = File::create(&temporary)?;
        file.write_all(&envelope::seal(&mark.to_be_bytes()))?;
        file.sync_all()?;
        drop(file);
        disk_point(Point::MarkBeforeRename)?;
        fs::rename(&temporary, self.directory.join(MARK))?;
        // The rename itself is durable once the directory is.
        File::open(&self.directory)?.sync_all()
    }
}

fn to_io(error: rocksdb::Error) -> io::Error {
    match error.kind() {
        rocksdb::ErrorKind::Corruption => io::Error::new(io::ErrorKind::InvalidData, error),
        _ => io::Error::other(error),
    }
}
