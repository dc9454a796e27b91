//! Damage to one file of a stopped node's database, in the ways in which disks damage files.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileKind {
    /// The write-ahead log.
    Log,
    /// A table of sorted keys.
    Table,
    /// Which tables there are.
    Manifest,
    /// Which manifest holds.
    Current,
    /// How the database was opened.
    Options,
    /// How much was synced.
    Mark,
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    /// One bit is another one.
    Flip,
    /// Four KiB are zero.
    Zero,
    /// The end is missing.
    Truncate,
    /// It is not there.
    Remove,
}

/// The ways that are tried. Without its mark alone a node cannot tell that nothing is missing, and nothing is.
const ALL: [(FileKind, Damage); 17] = [
    (FileKind::Log, Damage::Flip),
    (FileKind::Table, Damage::Flip),
    (FileKind::Log, Damage::Truncate),
    (FileKind::Manifest, Damage::Flip),
    (FileKind::Log, Damage::Zero),
    (FileKind::Table, Damage::Zero),
    (FileKind::Table, Damage::Truncate),
    (FileKind::Current, Damage::Flip),
    (FileKind::Log, Damage::Remove),
    (FileKind::Table, Damage::Remove),
    (FileKind::Manifest, Damage::Truncate),
    (FileKind::Manifest, Damage::Remove),
    (FileKind::Current, Damage::Truncate),
    (FileKind::Options, Damage::Flip),
    (FileKind::Mark, Damage::Flip),
    (FileKind::Mark, Damage::Truncate),
    (FileKind::Mark, Damage::Remove),
];

/// How many there are: a choice goes through them in turn.
pub(crate) const WAYS: u64 = ALL.len() as u64;

impl FileKind {
    fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        match name {
            "CURRENT" => Some(Self::Current),
            "high-water-mark" => Some(Self::Mark),
            _ if name.starts_with("MANIFEST-") => Some(Self::Manifest),
            _ if name.starts_with("OPTIONS-") => Some(Self::Options),
            _ => match path.extension()?.to_str()? {
                "log" => Some(Self::Log),
                "sst" => Some(Self::Table),
                _ => None,
            },
        }
    }
}

/// What was done to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Damaged {
    /// Which of the ways it is, below [`WAYS`].
    pub(crate) way: u64,
    /// Which file, and how.
    pub(crate) said: String,
}

/// A way in words.
pub(crate) fn way(number: u64) -> String {
    let found = usize::try_from(number).ok().and_then(|number| ALL.get(number));
    found.map_or_else(String::new, |(kind, damage)| format!("{kind:?}: {damage:?}"))
}

/// Damages one file below a folder, chosen by a number. Where there is no file for a way, the next one is taken.
///
/// # Errors
/// When there is nothing to damage, or the system refuses.
pub(super) fn damage(folder: &Path, choice: u64) -> anyhow::Result<Damaged> {
    let mut random = StdRng::seed_from_u64(choice);
    for way in (0..WAYS).map(|step| (choice + step) % WAYS) {
        let (kind, damage) = ALL[usize::try_from(way)?];
        let mut files = files(folder, kind)?;
        files.shuffle(&mut random);
        for file in &files {
            let done = spoil(file, damage, &mut random).with_context(|| format!("damaging {}", file.display()))?;
            if done {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                return Ok(Damaged { way, said: format!("{kind:?} {name}: {damage:?}") });
            }
        }
    }
    bail!("{} holds no file of a database", folder.display())
}

/// The files of a kind that are not empty, in order of their names.
fn files(folder: &Path, kind: FileKind) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if FileKind::of(&path) == Some(kind) && fs::metadata(&path)?.len() > 0 {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// False when it would have changed nothing: what is zero cannot be made so.
fn spoil(file: &Path, damage: Damage, random: &mut StdRng) -> anyhow::Result<bool> {
    let length = fs::metadata(file)?.len();
    let place = random.random_range(0..length);
    match damage {
        Damage::Truncate => OpenOptions::new().write(true).open(file)?.set_len(place)?,
        Damage::Remove => fs::remove_file(file)?,
        Damage::Flip | Damage::Zero => {
            let mut bytes = fs::read(file)?;
            let mut place = usize::try_from(place)?;
            if damage == Damage::Flip {
                bytes[place] ^= 1 << random.random_range(0..8);
            } else {
                // The next byte that is something else, or the first one.
                let is_not_zero = |at: &usize| bytes[*at] != 0;
                let found = (place..bytes.len()).find(is_not_zero).or_else(|| (0..place).find(is_not_zero));
                let Some(found) = found else { return Ok(false) };
                place = found;
                let end = (place + 4096).min(bytes.len());
                bytes[place..end].fill(0);
            }
            fs::write(file, bytes)?;
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("db")).unwrap();
        for name in ["db/000012.log", "db/000010.sst", "db/MANIFEST-000005", "db/CURRENT", "db/OPTIONS-000007", "lock"]
        {
            fs::write(folder.path().join(name), vec![7; 9_000]).unwrap();
        }
        fs::write(folder.path().join("db/000013.log"), "").unwrap();
        fs::write(folder.path().join("high-water-mark"), [7; 12]).unwrap();
        folder
    }

    #[test]
    fn each_choice_damages_one_file_and_the_same_choice_the_same() {
        for choice in 0..100 {
            let (one, other) = (folder(), folder());
            let Damaged { way, said } = damage(one.path(), choice).unwrap();
            assert_eq!(Damaged { way, said: said.clone() }, damage(other.path(), choice).unwrap());
            assert_eq!(way, choice % WAYS, "there is a file of each kind");
            let mut changed = 0;
            for name in ["db/000012.log", "db/000010.sst", "db/MANIFEST-000005", "db/CURRENT", "db/OPTIONS-000007"] {
                let (bytes, beside) = (fs::read(one.path().join(name)), fs::read(other.path().join(name)));
                assert_eq!(bytes.as_ref().ok(), beside.as_ref().ok(), "{said}");
                changed += usize::from(bytes.ok() != Some(vec![7; 9_000]));
            }
            changed += usize::from(fs::read(one.path().join("high-water-mark")).ok() != Some(vec![7; 12]));
            assert_eq!(changed, 1, "{said}");
        }
    }

    #[test]
    fn zeroes_go_where_something_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("000012.log");
        let mut random = StdRng::seed_from_u64(7);
        for at in [0, 17, 99_999] {
            let mut bytes = vec![0; 100_000];
            bytes[at] = 1;
            fs::write(&file, &bytes).unwrap();
            assert!(spoil(&file, Damage::Zero, &mut random).unwrap());
            assert_eq!(fs::read(&file).unwrap()[at], 0);
        }
        assert!(!spoil(&file, Damage::Zero, &mut random).unwrap(), "all of it is zero");
    }

    #[test]
    fn what_is_not_there_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        assert!(damage(folder.path(), 0).is_err());
        fs::write(folder.path().join("CURRENT"), "MANIFEST-000005\n").unwrap();
        for choice in 0..20 {
            fs::write(folder.path().join("CURRENT"), "MANIFEST-000005\n").unwrap();
            assert!(damage(folder.path(), choice).unwrap().said.starts_with("Current CURRENT: "));
        }
    }
}
