//! A node is killed while it writes, one bit of the newest record of its write-ahead log is flipped, and it is started: it
//! must refuse, whatever was flipped. Its high-water mark tells of a loss as well, unless that is of the last moment: only
//! where the mark knows nothing of the damaged record is it the database that must have noticed.

use std::path::{Path, PathBuf};

use anyhow::Context;
use openshell_tests::{Cluster, ClusterOptions, eventually};
use rand::Rng;
use rand::rngs::StdRng;

use super::scene::{LIMIT, follower};
use crate::checker::Finding;
use crate::ledger::Ledger;
use crate::nemesis::Stored;
use crate::report::say;

/// The mark is written once a second, and now and then just before the kill: so many clusters are made until it was not.
const ATTEMPTS: usize = 5;
/// Where RocksDB's files are, below a node's data.
const DATABASE: &str = "db/db";

/// What a node made of the damage.
enum Seen {
    /// It started.
    Opened(String),
    /// It refused what its mark could not have told.
    Refused,
    /// It refused, and its mark may have told.
    Marked,
}

/// Plays it.
///
/// # Errors
/// When it does not come about.
pub(super) async fn play(options: ClusterOptions, random: &mut StdRng) -> anyhow::Result<Finding> {
    let mut finding = Finding::of("corruption");
    let mut injections = 0;
    let mut is_decided = false;
    while !is_decided && injections < ATTEMPTS {
        injections += 1;
        match injure(options, random).await? {
            Seen::Opened(what) => {
                finding.violated(what);
                is_decided = true;
            }
            Seen::Refused => is_decided = true,
            Seen::Marked => {}
        }
    }
    finding.count("injections", injections);
    if !is_decided {
        finding
            .unknown(format!("{injections} times the mark knew of the damaged record, which hides what RocksDB does"));
    }
    Ok(finding)
}

/// Once, with a cluster of its own.
async fn injure(options: ClusterOptions, random: &mut StdRng) -> anyhow::Result<Seen> {
    let mut cluster = Cluster::start_with(options).await?;
    let mut ledger = Ledger::open(cluster.api_of_all()).await?;
    let victim = follower(&cluster, random).await?;
    // Until the moment of the kill: at rest the mark catches up.
    ledger.write_all(random.random_range(100..180)).await?;
    let gateway = cluster.gateway_mut(victim);
    gateway.kill()?;
    let starts = |text: &str| text.matches("node started").count();
    let before = starts(&gateway.log_text());
    let data = PathBuf::from(gateway.argument("--data-dir"));
    let log = newest_log(&data)?;
    flip_near_the_end(&log)?;
    // Read without the bug, and past the damage.
    let Stored { counter, high_water_mark, .. } = Stored::of(&data)?;
    let said = format!("counter {counter:?} without the damaged record, mark {high_water_mark:?}");
    gateway.start()?;
    let opened = eventually("a start or an end", LIMIT, async || {
        let opened = (starts(&gateway.log_text()) > before).then_some(true);
        opened.or_else(|| gateway.exit_status().map(|_| false))
    })
    .await?;
    if opened {
        let log = log.display();
        return Ok(Seen::Opened(format!(
            "node {victim} opened {log} without a word, one bit of which was flipped; {said}"
        )));
    }
    // A counter that cannot be read proves nothing.
    if counter.is_some() && high_water_mark <= counter {
        return Ok(Seen::Refused);
    }
    say(&format!("node {victim} refused, as its mark may have told it to ({said}): once more"));
    Ok(Seen::Marked)
}

/// The write-ahead log that was written last. Empty ones have nothing to damage.
fn newest_log(data: &Path) -> anyhow::Result<PathBuf> {
    let mut logs = Vec::new();
    for entry in std::fs::read_dir(data.join(DATABASE))? {
        let entry = entry?;
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "log") && entry.metadata()?.len() > 0 {
            logs.push(path);
        }
    }
    logs.sort();
    logs.pop().context("the database has no write-ahead log")
}

/// Flips a bit in the last record's content.
fn flip_near_the_end(file: &Path) -> anyhow::Result<()> {
    let mut bytes = std::fs::read(file)?;
    let at = bytes.len().checked_sub(10).context("the write-ahead log is empty")?;
    bytes[at] ^= 1;
    Ok(std::fs::write(file, bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_log_is_the_last_one_that_has_something_in_it() {
        let data = tempfile::tempdir().unwrap();
        assert!(newest_log(data.path()).is_err());
        std::fs::create_dir_all(data.path().join(DATABASE)).unwrap();
        for (name, content) in
            [("000009.log", "nine"), ("000012.log", "twelve is more"), ("000013.log", ""), ("x.sst", "x")]
        {
            std::fs::write(data.path().join(DATABASE).join(name), content).unwrap();
        }
        let log = newest_log(data.path()).unwrap();
        assert!(log.ends_with("000012.log"), "{}", log.display());
        flip_near_the_end(&log).unwrap();
        assert_ne!(std::fs::read(&log).unwrap(), b"twelve is more");
    }
}
