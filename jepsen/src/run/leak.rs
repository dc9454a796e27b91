//! Whether a secret that clients gave to the cluster is to be found where none may be: looked for once the history is
//! complete, in what every node shows, wrote and keeps.

use futures::future::join_all;
use openshell_tests::http_get_at;

use super::rig::Rig;
use crate::canary::Canary;
use crate::checker::leak::Search;
use crate::checker::{Expectations, Finding};
use crate::history::Line;
use crate::workload::Workload;

/// Whether anything that clients do gives a secret to the cluster. Without, there is nothing to look for.
pub(super) fn is_asked_for(expected: &Expectations) -> bool {
    expected.workloads.iter().copied().any(Workload::gives_secrets)
}

/// Ends the nodes, so that nothing is written any more, and looks everywhere.
pub(super) async fn look(rig: &Rig, lines: &[Line], canary: &Canary) -> Finding {
    let mut search = Search::of(canary.leaks());
    let pages = rig.nodes.iter().map(|node| http_get_at(node.address, node.ports.metrics, "/metrics"));
    for (node, page) in rig.nodes.iter().zip(join_all(pages).await) {
        match page {
            Ok((200, page)) if !page.is_empty() => search.text(&format!("the metrics of node {}", node.id), &page),
            Ok((code, _)) => search.undecided(format!("node {} answered {code} without metrics", node.id)),
            Err(error) => search.undecided(format!("the metrics of node {} were not read: {error:#}", node.id)),
        }
    }
    search.failures(lines);
    let ids: Vec<u64> = rig.nodes.iter().map(|node| node.id).collect();
    let searched = rig.each(&ids, |machinery, id| {
        let whose = format!("node {id}");
        if let Err(error) = machinery.kill(id) {
            search.undecided(format!("{whose} may write while it is searched: {error:#}"));
        }
        search.files(&whose, machinery.cluster.gateway(id).log());
        search.files(&whose, machinery.data(id));
        Ok(())
    });
    if let Err(error) = searched.await {
        search.undecided(format!("not every node was searched: {error:#}"));
    }
    search.conclude(canary.made())
}
