//! Leadership that an administrator moves.

use std::time::Duration;

use anyhow::ensure;
use openshell_client::methods;
use openshell_proto::cluster::TransferLeadershipRequest;
use openshell_tests::Access;

use super::{Nemesis, Scope};

const LIMIT: Duration = Duration::from_secs(5);

pub(super) struct Transfer(pub(super) Scope);

impl Nemesis for Transfer {
    async fn install(&mut self) -> anyhow::Result<String> {
        let Scope { rig, planned, .. } = &self.0;
        let from = self.0.victim()?;
        let others: Vec<u64> = rig.nodes.iter().map(|node| node.id).filter(|id| *id != from).collect();
        let to = others[usize::try_from(planned.choice % others.len() as u64)?];
        let (from, to) = (rig.member(from), rig.member(to));
        let all = Access::to_all(&rig.accesses()).api().deadline(LIMIT);
        let answer = all.call(&methods::TRANSFER_LEADERSHIP, TransferLeadershipRequest { to, from }).await?;
        let leader = answer.message.leader;
        ensure!(leader == to, "node {leader} leads, and not {to}");
        Ok(format!("from {from} to {to}"))
    }

    async fn heal(&mut self) -> anyhow::Result<String> {
        Ok("nothing is to be undone".to_owned())
    }
}
