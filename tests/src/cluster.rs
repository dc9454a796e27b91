//! A cluster of real processes on loopback or in a network of its own, in a temporary directory
//! that goes with it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use futures::future::join_all;
use openshell_chaos::{BUG_VARIABLE, Bug};
use openshell_client::{Tls, methods};
use openshell_proto::cluster::{GetDigestRequest, GetDigestResponse};
use tempfile::TempDir;

use crate::api::Api;
use crate::certificates::Certificates;
use crate::gateway::{Gateway, GatewayPorts};
use crate::network::Network;
use crate::place::{Access, Place, places};
use crate::ports::free_ports;
use crate::trapping::needs_planted_faults;
use crate::wait::eventually;

/// Longest that a healthy cluster may take to form, to elect or to catch up here. Generous: the
/// machine may be building something else.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
const LOG_LINES_SHOWN: usize = 60;
const START_ATTEMPTS: usize = 3;

/// What a cluster is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterOptions {
    /// How many nodes; ids from 1.
    pub nodes: u64,
    /// `--snapshot-after-entries`: small, so that tests see snapshots.
    pub snapshot_after_entries: u64,
    /// `--log-entries-kept`.
    pub log_entries_kept: u64,
    /// `--history-entries-kept`.
    pub history_entries_kept: u64,
    /// `--log-level`.
    pub log_level: &'static str,
    /// `--stale-after`, in seconds.
    pub stale_after: u64,
    /// `--when-stale`: `serve` or `refuse`.
    pub when_stale: &'static str,
    /// `--disconnect-grace`, in seconds.
    pub disconnect_grace: u64,
    /// `--sandbox-token-ttl`, in seconds; 0 is for ever.
    pub sandbox_token_ttl: u64,
    /// `--admin-role`: users show certificates, and the harness itself has this role.
    pub admin_role: Option<&'static str>,
    /// A fault of our own that is planted in every node.
    pub bug: Option<Bug>,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            nodes: 3,
            snapshot_after_entries: 200,
            log_entries_kept: 100,
            history_entries_kept: 100_000,
            log_level: "info",
            stale_after: 30,
            when_stale: "serve",
            disconnect_grace: 30,
            sandbox_token_ttl: 0,
            admin_role: None,
            bug: None,
        }
    }
}

/// The processes of one cluster. Dropping it kills them and removes their files; when the thread
/// is failing, the ends of their logs are shown first.
#[derive(Debug)]
pub struct Cluster {
    pub(crate) gateways: Vec<Gateway>,
    /// Goes after the processes in it.
    network: Option<Network>,
    /// Where clients show certificates.
    certificates: Option<Certificates>,
    pub(crate) directory: Option<TempDir>,
}

impl Cluster {
    /// Three nodes, formed and ready.
    ///
    /// # Panics
    /// When that does not come about.
    pub async fn start() -> Self {
        Self::start_with(ClusterOptions::default()).await.expect("a cluster of three nodes starts")
    }

    /// A formed cluster in which every node says that it is ready. Started anew with other ports
    /// when some process ended, as it does when a port was taken meanwhile.
    ///
    /// # Errors
    /// When the program is missing, or the nodes are not ready in time; the text ends with the
    /// ends of their logs.
    pub async fn start_with(options: ClusterOptions) -> anyhow::Result<Self> {
        for _ in 1..START_ATTEMPTS {
            let mut cluster = Self::prepare(options, None)?;
            match cluster.start_all().await {
                Ok(()) => return Ok(cluster),
                Err(error) if cluster.gateways.iter_mut().all(Gateway::is_running) => return Err(error),
                Err(_) => {}
            }
        }
        let mut cluster = Self::prepare(options, None)?;
        cluster.start_all().await?;
        Ok(cluster)
    }

    /// As [`Cluster::start_with`], each node in a namespace of its own, so that it can be cut off.
    /// Clients use TLS there.
    ///
    /// # Errors
    /// As [`Cluster::start_with`], and when no such network can be made ([`Network::obstacle`]).
    pub async fn start_apart(options: ClusterOptions) -> anyhow::Result<Self> {
        let mut cluster = Self::prepare(options, Some(Network::new(options.nodes)?))?;
        cluster.start_all().await?;
        Ok(cluster)
    }

    pub(crate) fn prepare(options: ClusterOptions, network: Option<Network>) -> anyhow::Result<Self> {
        if options.bug.is_some() {
            needs_planted_faults()?;
        }
        let directory = tempfile::Builder::new().prefix("openshell-cluster-").tempdir()?;
        let key = directory.path().join("secrets.key");
        write_key(&key)?;
        let count = usize::try_from(options.nodes)?;
        let ports = free_ports(count * 4)?;
        let ports: Vec<GatewayPorts> = ports
            .chunks_exact(4)
            .map(|four| GatewayPorts { client: four[0], peer: four[1], health: four[2], metrics: four[3] })
            .collect();
        let with_certificates = network.is_some() || options.admin_role.is_some();
        let certificates = with_certificates.then(|| Certificates::new(directory.path())).transpose()?;
        let places = places(options, network.as_ref(), certificates.as_ref())?;
        let members: Vec<String> =
            (1..).zip(places.iter().zip(&ports)).map(|(id, (place, ports))| place.member(id, *ports)).collect();
        let members = members.join(",");
        let gateways = (1..).zip(places).zip(ports).map(|((id, place), ports)| {
            let arguments = arguments(id, &place, ports, &members, directory.path(), &key, options);
            let log = directory.path().join(format!("node-{id}.log"));
            let mut gateway = Gateway::new(id, ports, arguments, log).standing(place);
            gateway.set_variable(BUG_VARIABLE, options.bug.map(Bug::name));
            gateway
        });
        Ok(Self { gateways: gateways.collect(), network, certificates, directory: Some(directory) })
    }

    pub(crate) async fn start_all(&mut self) -> anyhow::Result<()> {
        for gateway in &mut self.gateways {
            gateway.start()?;
        }
        self.ready(LIMIT).await
    }

    /// The nodes, in order of their ids.
    #[must_use]
    pub fn gateways(&self) -> &[Gateway] {
        &self.gateways
    }

    /// The ids of the nodes, in order.
    pub fn ids(&self) -> impl Iterator<Item = u64> + use<> {
        self.gateways.iter().map(Gateway::id).collect::<Vec<_>>().into_iter()
    }

    /// The network of a cluster that has one of its own.
    #[must_use]
    pub fn network(&self) -> Option<&Network> {
        self.network.as_ref()
    }

    /// One node.
    ///
    /// # Panics
    /// When no node has the id.
    #[must_use]
    pub fn gateway(&self, id: u64) -> &Gateway {
        self.gateways.iter().find(|gateway| gateway.id() == id).expect("a node of the cluster")
    }

    /// One node, to be hurt or started.
    ///
    /// # Panics
    /// When no node has the id.
    pub fn gateway_mut(&mut self, id: u64) -> &mut Gateway {
        self.gateways.iter_mut().find(|gateway| gateway.id() == id).expect("a node of the cluster")
    }

    /// A caller that knows this node only.
    #[must_use]
    pub fn api(&self, id: u64) -> Api {
        self.gateway(id).api()
    }

    /// A caller that knows this node only, with the certificate of a user in some roles; without a
    /// name, one that shows no certificate.
    ///
    /// # Panics
    /// When clients of this cluster show no certificates.
    #[must_use]
    pub fn api_as(&self, id: u64, user: &str, roles: &[&str]) -> Api {
        Api::with_tls(&self.gateway(id).endpoint(), self.certificate(user, roles))
    }

    /// What a user in some roles shows and trusts.
    ///
    /// # Panics
    /// As [`Cluster::api_as`].
    #[must_use]
    pub fn certificate(&self, user: &str, roles: &[&str]) -> Tls {
        let certificates = self.certificates.as_ref().expect("clients show certificates");
        certificates.of_client(user, roles, None).expect("the authority signs")
    }

    /// A caller that knows this node only, whose certificate is good for so long.
    ///
    /// # Panics
    /// As [`Cluster::api_as`].
    #[must_use]
    pub fn api_for(&self, id: u64, user: &str, roles: &[&str], valid: Duration) -> Api {
        let certificates = self.certificates.as_ref().expect("clients show certificates");
        let tls = certificates.of_client(user, roles, Some(valid)).expect("the authority signs");
        Api::with_tls(&self.gateway(id).endpoint(), tls)
    }

    /// A caller that knows every node and goes on to the next when one fails it.
    #[must_use]
    pub fn api_of_all(&self) -> Api {
        Access::to_all(&self.gateways.iter().map(Gateway::access).collect::<Vec<_>>()).api()
    }

    /// The same, asking node `first` first.
    #[must_use]
    pub fn api_of_all_from(&self, first: u64) -> Api {
        let (first, others): (Vec<&Gateway>, Vec<&Gateway>) =
            self.gateways.iter().partition(|gateway| gateway.id() == first);
        Access::to_all(&first.into_iter().chain(others).map(Gateway::access).collect::<Vec<_>>()).api()
    }

    /// The URLs of all nodes, separated by commas.
    #[must_use]
    pub fn endpoints(&self) -> String {
        self.gateways.iter().map(Gateway::endpoint).collect::<Vec<_>>().join(",")
    }

    /// Waits until every node says that it is ready; fails early when a process has ended.
    ///
    /// # Errors
    /// When that does not come about, with the ends of the logs.
    pub async fn ready(&mut self, limit: Duration) -> anyhow::Result<()> {
        let gateways = &mut self.gateways;
        let outcome = eventually("every node to be ready", limit, async || {
            if let Some(ended) = gateways.iter_mut().find_map(|gateway| Some((gateway.id(), gateway.exit_status()?))) {
                return Some(Err(ended));
            }
            let pages = join_all(gateways.iter().map(|gateway| gateway.page("/readyz"))).await;
            pages.iter().all(|page| matches!(page, Ok((200, _)))).then_some(Ok(()))
        })
        .await;
        match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err((id, status))) => bail!("node {id} ended with {status}\n{}", self.logs(LOG_LINES_SHOWN)),
            Err(error) => bail!("{error}\n{}", self.logs(LOG_LINES_SHOWN)),
        }
    }

    /// Kills a node with SIGKILL.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn kill(&mut self, id: u64) {
        self.gateway_mut(id).kill().expect("a child can be killed");
    }

    /// Starts a node in its directory, and waits until every node is ready.
    ///
    /// # Panics
    /// When that does not come about.
    pub async fn restart(&mut self, id: u64) {
        self.gateway_mut(id).start().expect("the gateway starts");
        self.ready(LIMIT).await.expect("every node is ready after the restart");
    }

    /// Starts every node that is not running, and waits until all are ready.
    ///
    /// # Panics
    /// When that does not come about.
    pub async fn restart_all(&mut self) {
        self.start_all().await.expect("every node is ready after the restart");
    }

    /// The digests of all nodes, once they are at the same revision.
    ///
    /// # Errors
    /// When they are not after `limit`. Something that keeps writing prevents it.
    pub async fn digests_at_rest(&self, limit: Duration) -> anyhow::Result<Vec<GetDigestResponse>> {
        eventually("all nodes at one revision", limit, async || {
            let asked = self.ids().map(|id| digest(self.api(id)));
            let digests: Option<Vec<_>> = join_all(asked).await.into_iter().collect();
            digests.filter(|digests| digests.iter().all(|digest| digest.revision == digests[0].revision))
        })
        .await
    }

    /// Holds every node's data, `node-<id>`, and log, `node-<id>.log`; none once given away.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.directory.as_ref().map(TempDir::path)
    }

    /// The ends of all logs, for people.
    #[must_use]
    pub fn logs(&self, lines: usize) -> String {
        let mut text = String::new();
        for gateway in &self.gateways {
            let _ = writeln!(text, "---- end of the log of node {}\n{}", gateway.id(), gateway.log_tail(lines));
        }
        text
    }

    #[expect(clippy::print_stderr, reason = "the test runner shows what a failing test printed, and only that")]
    pub(crate) fn show_logs_of_a_failure(&self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs(LOG_LINES_SHOWN));
        }
    }

    /// Leaves data and logs where they are when the processes are gone, and says where.
    pub fn keep_files(&mut self) -> Option<PathBuf> {
        self.directory.take().map(TempDir::keep)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for gateway in &mut self.gateways {
            // Nobody is left to hear of a failure.
            let _ = gateway.kill();
        }
        self.show_logs_of_a_failure();
    }
}

async fn digest(api: Api) -> Option<GetDigestResponse> {
    Some(api.call(&methods::GET_DIGEST, GetDigestRequest {}).await.ok()?.message)
}

fn arguments(
    id: u64,
    place: &Place,
    ports: GatewayPorts,
    members: &str,
    directory: &Path,
    key: &Path,
    options: ClusterOptions,
) -> Vec<String> {
    let flags = [
        ("--node-id", id.to_string()),
        ("--data-dir", directory.join(format!("node-{id}")).display().to_string()),
        ("--bind-address", place.address.to_string()),
        ("--port", ports.client.to_string()),
        ("--health-port", ports.health.to_string()),
        ("--metrics-port", ports.metrics.to_string()),
        ("--peer-bind", format!("{}:{}", place.address, ports.peer)),
        ("--advertise-peer", format!("{}:{}", place.address, ports.peer)),
        ("--advertise-client", place.access(ports).urls),
        ("--initial-cluster", members.to_owned()),
        ("--secrets-key-file", key.display().to_string()),
        ("--zone", format!("zone-{id}")),
        ("--log-level", options.log_level.to_owned()),
        ("--stale-after", options.stale_after.to_string()),
        ("--when-stale", options.when_stale.to_owned()),
        ("--disconnect-grace", options.disconnect_grace.to_string()),
        ("--sandbox-token-ttl", options.sandbox_token_ttl.to_string()),
        ("--snapshot-after-entries", options.snapshot_after_entries.to_string()),
        ("--log-entries-kept", options.log_entries_kept.to_string()),
        ("--history-entries-kept", options.history_entries_kept.to_string()),
    ];
    flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).chain(place.flags.iter().cloned()).collect()
}

/// 32 random bytes as hexadecimal digits, for the owner's eyes only.
fn write_key(path: &Path) -> anyhow::Result<()> {
    let key = format!("{}{}\n", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(key.as_bytes())).with_context(|| format!("writing {}", path.display()))
}
