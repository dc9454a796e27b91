//! A file system of a node's own, in a file: it can be filled, frozen, made read-only, and lose what was not synced, as
//! at a loss of power. Needs root and a loop device. Dropping it unmounts it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statvfs::statvfs;
use openshell_tests::{on_path, run_program};
use tempfile::TempDir;

use super::mark;

/// The file takes only as much room as is written.
const SIZE: u64 = 512 * 1024 * 1024;
/// In the file system, that fills it.
const FILLER: &str = "filler";
/// A file system with less room than this is full.
const FULL_BYTES: u64 = 64 * 1024;
const UNMOUNT_ATTEMPTS: u32 = 50;
const UNMOUNT_PAUSE: Duration = Duration::from_millis(100);
/// Asks ext4 to forget everything that is not on its disk, and to fail from then on: `EXT4_IOC_SHUTDOWN`, without
/// writing the journal first.
const SHUTDOWN: &str = "import fcntl,os,struct,sys\n\
    fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))\n";

/// A mounted file system.
#[derive(Debug)]
pub(crate) struct Disk {
    image: PathBuf,
    mount: PathBuf,
    is_frozen: AtomicBool,
    /// Holds both, and goes last.
    _folder: TempDir,
}

impl Disk {
    /// Makes an empty one and mounts it.
    ///
    /// # Errors
    /// When the system refuses; nothing is left then.
    pub(crate) fn new(label: &str) -> anyhow::Result<Self> {
        let folder = mark::folder_for(label)?;
        let (image, mount) = (folder.path().join("image"), folder.path().join("disk"));
        File::create(&image)?.set_len(SIZE)?;
        fs::create_dir(&mount)?;
        let whole = "lazy_itable_init=0,lazy_journal_init=0";
        run_program("mkfs.ext4", &["-q", "-F", "-m", "0", "-E", whole, text(&image)?], "")?;
        let disk = Self { image, mount, is_frozen: AtomicBool::new(false), _folder: folder };
        disk.mount()?;
        Ok(disk)
    }

    /// Where a node keeps its data on it.
    pub(crate) fn data(&self) -> PathBuf {
        self.mount.join("data")
    }

    fn mount(&self) -> anyhow::Result<()> {
        run_program("mount", &["-o", "loop,errors=remount-ro", text(&self.image)?, text(&self.mount)?], "").map(drop)
    }

    fn unmount(&self) -> anyhow::Result<()> {
        unmount(text(&self.mount)?)
    }

    /// Everything that was not synced is lost, and every call about it fails from now on.
    pub(crate) fn lose_power(&self) -> anyhow::Result<()> {
        let mount = text(&self.mount)?;
        if on_path("xfs_io") {
            run_program("xfs_io", &["-x", "-c", "shutdown", mount], "")?;
        } else {
            run_program("python3", &["-c", SHUTDOWN, mount], "")?;
        }
        ensure!(File::create(self.mount.join("probe")).is_err(), "{mount} still takes writes");
        Ok(())
    }

    /// Takes it out and in again: it has what is on it for certain. Nobody may use it.
    pub(crate) fn remount(&self) -> anyhow::Result<()> {
        self.unmount()?;
        self.mount()?;
        // While anybody keeps the one that was taken out, the system gives the same one again, as it had failed.
        let probe = self.mount.join("probe");
        File::create(&probe).with_context(|| format!("{} takes no writes", self.mount.display()))?;
        Ok(fs::remove_file(probe)?)
    }

    /// What was written to it is on it for certain.
    pub(crate) fn settle(&self) -> anyhow::Result<()> {
        run_program("sync", &["--file-system", text(&self.mount)?], "").map(drop)
    }

    /// Every write waits from now on.
    pub(crate) fn freeze(&self) -> anyhow::Result<()> {
        let mount = text(&self.mount)?;
        run_program("fsfreeze", &["--freeze", mount], "")?;
        self.is_frozen.store(true, Ordering::Relaxed);
        // A file system that is frozen cannot be frozen: asking is the one probe that does not hang.
        ensure!(run_program("fsfreeze", &["--freeze", mount], "").is_err(), "{mount} could be frozen twice");
        Ok(())
    }

    /// What waited goes on. Does nothing to one that is not frozen.
    pub(crate) fn thaw(&self) -> anyhow::Result<()> {
        if self.is_frozen.swap(false, Ordering::Relaxed) {
            run_program("fsfreeze", &["--unfreeze", text(&self.mount)?], "")?;
        }
        Ok(())
    }

    /// Takes all the room that is left.
    pub(crate) fn fill(&self) -> anyhow::Result<()> {
        let filler = File::create(self.mount.join(FILLER))?;
        let mut length = 0;
        // The file system needs some of its room for the file's own tables.
        for step in [1 << 20, 64 << 10, 4 << 10] {
            let room = i64::try_from(self.room()?)?;
            for part in [room / step * step, step, step] {
                if part > 0 && fallocate(&filler, FallocateFlags::empty(), length, part).is_ok() {
                    length += part;
                }
            }
        }
        let room = self.room()?;
        ensure!(room < FULL_BYTES, "{room} bytes are still free");
        Ok(())
    }

    /// Gives the room back.
    pub(crate) fn empty(&self) -> anyhow::Result<()> {
        match fs::remove_file(self.mount.join(FILLER)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let room = self.room()?;
        ensure!(room > FULL_BYTES, "only {room} bytes are free");
        Ok(())
    }

    fn room(&self) -> anyhow::Result<u64> {
        let found = statvfs(&self.mount)?;
        Ok(found.blocks_available() * found.fragment_size())
    }

    /// Makes it read-only while files are open for writing, as the kernel does when it finds damage.
    pub(crate) fn make_read_only(&self) -> anyhow::Result<()> {
        run_program("mount", &["-o", "remount,abort", text(&self.mount)?], "")?;
        match File::create(self.mount.join("probe")) {
            Err(error) if error.kind() == std::io::ErrorKind::ReadOnlyFilesystem => Ok(()),
            Err(error) => Err(error).context("a file system that should be read-only"),
            Ok(_) => bail!("{} still takes writes", self.mount.display()),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Nobody is left to hear of a failure; what stays is removed when the next run begins.
        let _ = self.thaw();
        let _ = self.unmount();
    }
}

/// Unmounts a file system, as soon as nobody has a file open there; does nothing where none is.
///
/// # Errors
/// When somebody has for five seconds.
pub(super) fn unmount(mount: &str) -> anyhow::Result<()> {
    let mut last = None;
    for _ in 0..UNMOUNT_ATTEMPTS {
        match run_program("umount", &[mount], "") {
            Ok(_) => return Ok(()),
            Err(error) if error.to_string().contains("not mounted") => return Ok(()),
            Err(error) => last = Some(error),
        }
        std::thread::sleep(UNMOUNT_PAUSE);
    }
    last.map_or(Ok(()), Err)
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("a path that is no text")
}
