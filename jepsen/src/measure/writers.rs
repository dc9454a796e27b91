//! Writers that go on while something is done to the cluster, and then look whether everything that was acknowledged to
//! them is there.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use openshell_tests::{Access, Api};

use crate::ledger::Ledger;

/// Side by side, so that one sync is for several of them.
const WRITERS: usize = 4;
/// One attempt; whoever is not answered by then is in doubt.
const ATTEMPT_LIMIT: Duration = Duration::from_millis(500);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(1);

/// What came of writing while something was done.
pub(super) struct Written {
    /// So many writes were acknowledged.
    pub(super) acknowledged: u64,
    /// Or what contradicts what was acknowledged.
    pub(super) sound: anyhow::Result<()>,
}

impl Written {
    /// With what is found through these nodes, unless it was contradicted before.
    pub(super) async fn checked(self, writers: &mut Writers, nodes: &[Access]) -> Self {
        let sound = match self.sound {
            Ok(()) => writers.check(nodes).await,
            contradicted => contradicted,
        };
        Self { sound, ..self }
    }
}

pub(super) struct Writers {
    ledgers: Vec<Ledger>,
    nodes: Vec<Access>,
}

impl Writers {
    /// Sets them up through a cluster that is whole.
    ///
    /// # Errors
    /// When it does not take their first writes.
    pub(super) async fn open(nodes: &[Access]) -> anyhow::Result<Self> {
        let all = Access::to_all(nodes).api();
        let opened = join_all((0..WRITERS).map(|_| Ledger::open(all.clone()))).await;
        let ledgers = opened.into_iter().collect::<anyhow::Result<Vec<Ledger>>>()?;
        Ok(Self { ledgers, nodes: nodes.to_vec() })
    }

    /// They write through these nodes from now on, each call one attempt.
    pub(super) fn write_through(&mut self, nodes: &[Access]) {
        for (ledger, node) in self.ledgers.iter_mut().zip(nodes.iter().cycle()) {
            let api = node.api().once().deadline(ATTEMPT_LIMIT);
            ledger.scene = ledger.scene.through(api);
        }
    }

    /// They write until `event` is over, which is done meanwhile.
    ///
    /// # Errors
    /// As `event` does.
    pub(super) async fn write_during(
        &mut self,
        event: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<Written> {
        let before = self.versions();
        let is_over = AtomicBool::new(false);
        let writing = join_all(self.ledgers.iter_mut().map(|ledger| write_until(ledger, &is_over)));
        let done = async {
            let done = event.await;
            is_over.store(true, Ordering::Relaxed);
            done
        };
        let (written, done) = tokio::join!(writing, done);
        done?;
        let sound = written.into_iter().collect();
        Ok(Written { acknowledged: self.versions().saturating_sub(before), sound })
    }

    fn versions(&self) -> u64 {
        self.ledgers.iter().map(Ledger::version).sum()
    }

    /// Whether everything that was acknowledged is there, read through each of these nodes.
    ///
    /// # Errors
    /// What is not.
    pub(super) async fn check(&mut self, nodes: &[Access]) -> anyhow::Result<()> {
        let apis: Vec<Api> = nodes.iter().map(Access::api).collect();
        for ledger in &mut self.ledgers {
            for api in &apis {
                ledger.check(api).await?;
            }
        }
        Ok(())
    }

    /// One of them writes until it is acknowledged, whoever answers.
    ///
    /// # Errors
    /// When that takes too long.
    pub(super) async fn one_write(&mut self) -> anyhow::Result<()> {
        let all = Access::to_all(&self.nodes).api();
        let first = &mut self.ledgers[0];
        first.scene = first.scene.through(all);
        first.write_all(1).await
    }
}

async fn write_until(ledger: &mut Ledger, is_over: &AtomicBool) -> anyhow::Result<()> {
    while !is_over.load(Ordering::Relaxed) {
        ledger.write().await?;
        // An attempt that could not even be made is over at once, and others need the processor.
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
