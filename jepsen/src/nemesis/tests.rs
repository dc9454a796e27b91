//! What is written of a fault that took effect, of one that nobody felt, and of one that may not have.

use super::*;
use crate::history::{Line, Stage};

/// A fault of which nothing is done.
struct Told {
    is_installed: bool,
    in_vain: Option<&'static str>,
}

impl Nemesis for Told {
    async fn install(&mut self) -> anyhow::Result<String> {
        anyhow::ensure!(self.is_installed, "it has no effect");
        Ok("done".to_owned())
    }

    async fn heal(&mut self) -> anyhow::Result<String> {
        Ok("undone".to_owned())
    }

    fn in_vain(&self) -> Option<String> {
        self.in_vain.map(str::to_owned)
    }
}

async fn stages(told: Told) -> (bool, Vec<Stage>) {
    let recorder = Arc::new(Recorder::new(None).unwrap());
    let journal = Journal::new(&recorder, 0, Kind::Loss);
    let is_felt = live(told, &journal, Instant::now()).await.unwrap();
    let stage = |line: Line| match line {
        Line::Fault { stage, .. } => Some(stage),
        _ => None,
    };
    (is_felt, recorder.finish().unwrap().into_iter().filter_map(stage).collect())
}

#[tokio::test]
async fn a_fault_that_nobody_felt_is_said_to_be_uncertain_and_is_tried_again() {
    let felt = stages(Told { is_installed: true, in_vain: None }).await;
    assert_eq!(felt, (true, vec![Stage::Begun, Stage::Installed, Stage::Healed]));
    let unfelt = stages(Told { is_installed: true, in_vain: Some("no packet was stopped") }).await;
    assert_eq!(unfelt, (false, vec![Stage::Begun, Stage::Installed, Stage::Indeterminate, Stage::Healed]));
    // One reason is enough.
    let undone = stages(Told { is_installed: false, in_vain: Some("no packet was stopped") }).await;
    assert_eq!(undone, (false, vec![Stage::Begun, Stage::Indeterminate, Stage::Healed]));
}
