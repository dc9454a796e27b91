//! What the program is told: flags, variables `OPENSHELL_<FLAG>`, and a TOML file, in this
//! order of precedence, and the defaults behind them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Deserialize;

/// What `--version` says: also whether this build can be told to fail, which no release can.
const VERSION: &str = if openshell_chaos::COMPILED_IN {
    concat!(env!("CARGO_PKG_VERSION"), " (chaos build: for tests only)")
} else {
    env!("CARGO_PKG_VERSION")
};

/// The highly available OpenShell gateway: one node of a cluster, or a cluster of one.
#[derive(Debug, Parser)]
#[command(name = "openshell-gateway", version = VERSION, about, long_about = None, args_conflicts_with_subcommands = true)]
#[command(
    after_help = "Examples:\n  openshell-gateway --data-dir ./gateway\n  openshell-gateway dev --nodes 3 --data-dir \
                        ./cluster --port 17670"
)]
pub(crate) struct Arguments {
    /// A TOML file whose keys are the flags below without the dashes in front.
    #[arg(long, env = "OPENSHELL_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) options: Options,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Several real nodes on this machine, until Ctrl-C. The same directory starts them again.
    Dev(Dev),
    /// Writes everything that a stopped node holds to one file.
    Export(crate::export::Export),
    /// Makes a data directory for a member of a new cluster from an export.
    Restore(crate::restore::Restore),
    /// Prints everything that a stopped node has stored as JSON lines. Secrets stay sealed.
    Inspect(crate::inspect::Inspect),
}

#[derive(Debug, Args)]
pub(crate) struct Dev {
    /// How many nodes: 1, 3 or 5.
    #[arg(long, default_value_t = 3)]
    pub(crate) nodes: u16,
    /// Where the nodes keep their data.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// First client port; peers listen from 100 above it, health from 200, metrics from 300.
    #[arg(long, default_value_t = 17670)]
    pub(crate) port: u16,
    /// What the nodes log: error, warn, info, debug or trace.
    #[arg(long, default_value = "info")]
    pub(crate) log_level: String,
}

/// What a node does when it has not heard of the cluster for `--stale-after`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WhenStale {
    /// Answers local reads from what it has, with the age in the answer.
    #[default]
    Serve,
    /// Answers them UNAVAILABLE.
    Refuse,
}

/// Every option of a node. All are optional here; [`Settings`] has the defaults.
#[derive(Clone, Debug, Default, Args, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Options {
    /// Address for clients [default: 127.0.0.1].
    #[arg(long, env = "OPENSHELL_BIND_ADDRESS", value_name = "IP")]
    bind_address: Option<IpAddr>,
    /// Port for clients [default: 17670].
    #[arg(long, env = "OPENSHELL_PORT")]
    port: Option<u16>,
    /// Port for /healthz and /readyz; none without it.
    #[arg(long, env = "OPENSHELL_HEALTH_PORT", value_name = "PORT")]
    health_port: Option<u16>,
    /// Port for /metrics; none without it.
    #[arg(long, env = "OPENSHELL_METRICS_PORT", value_name = "PORT")]
    metrics_port: Option<u16>,
    /// error, warn, info, debug or trace, or a filter such as openshell_raft=debug [default: info].
    #[arg(long, env = "OPENSHELL_LOG_LEVEL", value_name = "LEVEL")]
    log_level: Option<String>,
    /// Serve clients without TLS also off loopback.
    #[arg(long, env = "OPENSHELL_DISABLE_TLS", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    disable_tls: Option<bool>,
    /// Server certificate chain, PEM.
    #[arg(long, env = "OPENSHELL_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate, PEM.
    #[arg(long, env = "OPENSHELL_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// CA of client certificates, PEM; clients must then show one.
    #[arg(long, env = "OPENSHELL_TLS_CLIENT_CA", value_name = "FILE")]
    tls_client_ca: Option<PathBuf>,
    /// The role that makes a user platform admin: an OU of the client certificate. Without it every
    /// user is one.
    #[arg(long, env = "OPENSHELL_ADMIN_ROLE", value_name = "ROLE")]
    admin_role: Option<String>,
    /// This node's id, from 1; never reused [default: 1].
    #[arg(long, env = "OPENSHELL_NODE_ID", value_name = "ID")]
    node_id: Option<u64>,
    /// Where the node keeps its data [default: ./openshell-data].
    #[arg(long, env = "OPENSHELL_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Address for peers [default: 127.0.0.1:17770].
    #[arg(long, env = "OPENSHELL_PEER_BIND", value_name = "ADDRESS")]
    peer_bind: Option<SocketAddr>,
    /// host:port under which peers reach this node [default: its entry in --initial-cluster].
    #[arg(long, env = "OPENSHELL_ADVERTISE_PEER", value_name = "ADDRESS")]
    advertise_peer: Option<String>,
    /// URL under which clients reach this node [default: from --bind-address and --port].
    #[arg(long, env = "OPENSHELL_ADVERTISE_CLIENT", value_name = "URL")]
    advertise_client: Option<String>,
    /// Where the node stands, for clients that prefer near nodes.
    #[arg(long, env = "OPENSHELL_ZONE")]
    zone: Option<String>,
    /// Every first member as id=peer-address, comma-separated, the same on each node.
    #[arg(long, env = "OPENSHELL_INITIAL_CLUSTER", value_name = "LIST")]
    initial_cluster: Option<String>,
    /// Peer addresses of members of a running cluster, comma-separated: this node waits to be added
    /// to it by `openshell cluster replace`.
    #[arg(long, env = "OPENSHELL_JOIN", value_name = "LIST")]
    join: Option<String>,
    /// File with the cluster's secrets key: 32 bytes as 64 hexadecimal digits. A cluster of one
    /// makes its own.
    #[arg(long, env = "OPENSHELL_SECRETS_KEY_FILE", value_name = "FILE")]
    secrets_key_file: Option<PathBuf>,
    /// How long the tokens of sandboxes are valid, in seconds; 0 is for ever [default: 0].
    #[arg(long, env = "OPENSHELL_SANDBOX_TOKEN_TTL", value_name = "SECONDS")]
    sandbox_token_ttl: Option<u64>,
    /// Age in seconds from which a node counts as stale [default: 30].
    #[arg(long, env = "OPENSHELL_STALE_AFTER", value_name = "SECONDS")]
    stale_after: Option<u64>,
    /// What a stale node does with local reads [default: serve].
    #[arg(long, env = "OPENSHELL_WHEN_STALE", value_name = "WHAT")]
    when_stale: Option<WhenStale>,
    /// How long no node may have heard of a sandbox before its record says so, in seconds, at least 5
    /// [default: 30].
    #[arg(long, env = "OPENSHELL_DISCONNECT_GRACE", value_name = "SECONDS")]
    disconnect_grace: Option<u64>,
    /// A snapshot is due after so many log entries [default: 10000].
    #[arg(long, env = "OPENSHELL_SNAPSHOT_AFTER_ENTRIES", value_name = "COUNT")]
    snapshot_after_entries: Option<u64>,
    /// Log entries kept below the last snapshot, for nodes that lag [default: 10000].
    #[arg(long, env = "OPENSHELL_LOG_ENTRIES_KEPT", value_name = "COUNT")]
    log_entries_kept: Option<u64>,
    /// Entries of the change history kept, from which watches go on [default: 100000].
    #[arg(long, env = "OPENSHELL_HISTORY_ENTRIES_KEPT", value_name = "COUNT")]
    history_entries_kept: Option<usize>,
}

/// Certificate files for clients.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) client_ca: Option<PathBuf>,
}

/// What the node runs with.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) client: SocketAddr,
    pub(crate) health: Option<SocketAddr>,
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) log_level: String,
    pub(crate) tls: Option<Tls>,
    /// None: every user is platform admin.
    pub(crate) admin_role: Option<String>,
    pub(crate) node: u64,
    pub(crate) data_dir: PathBuf,
    pub(crate) peer: SocketAddr,
    pub(crate) advertise_peer: String,
    pub(crate) advertise_client: String,
    pub(crate) zone: String,
    pub(crate) initial_cluster: BTreeMap<u64, String>,
    pub(crate) join: Vec<String>,
    pub(crate) secrets_key_file: Option<PathBuf>,
    /// Zero is for ever.
    pub(crate) sandbox_token_ttl: Duration,
    pub(crate) stale_after: Duration,
    pub(crate) when_stale: WhenStale,
    pub(crate) disconnect_grace: Duration,
    pub(crate) snapshot_after_entries: u64,
    pub(crate) log_entries_kept: u64,
    pub(crate) history_entries_kept: usize,
}

impl Settings {
    /// Puts flags, variables, file and defaults together.
    pub(crate) fn read(arguments: &Arguments) -> anyhow::Result<Self> {
        let file = match &arguments.config {
            Some(path) => read_file(path)?,
            None => Options::default(),
        };
        Self::from_options(arguments.options.clone().or(file))
    }

    fn from_options(options: Options) -> anyhow::Result<Self> {
        let bind = options.bind_address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let client = SocketAddr::new(bind, options.port.unwrap_or(17670));
        let beside = |port: Option<u16>| port.map(|port| SocketAddr::new(bind, port));
        let tls = tls(&options, bind)?;
        let admin_role = admin_role(&options)?;
        let disconnect_grace = disconnect_grace(&options)?;
        let node = options.node_id.unwrap_or(1);
        ensure!(node > 0, "--node-id starts at 1");
        let join = join(&options)?;
        let in_cluster = options.initial_cluster.is_some() || !join.is_empty();
        let peer = options
            .peer_bind
            .unwrap_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), if in_cluster { 17770 } else { 0 }));
        let initial_cluster = match &options.initial_cluster {
            Some(list) => initial_cluster(list)?,
            None => BTreeMap::from([(node, options.advertise_peer.clone().unwrap_or_else(|| peer.to_string()))]),
        };
        let Some(own) = initial_cluster.get(&node) else {
            bail!("--initial-cluster does not name this node ({node}); it must be the same list on every node");
        };
        ensure!(
            !in_cluster || (initial_cluster.len() == 1 && join.is_empty()) || options.secrets_key_file.is_some(),
            "--secrets-key-file is needed in a cluster: the same file on every node, made with: openssl rand -hex 32"
        );
        ensure!(
            !bind.is_unspecified() || options.advertise_client.is_some(),
            "--bind-address {bind} is every address: say with --advertise-client which URL clients are to use"
        );
        let scheme = if tls.is_some() { "https" } else { "http" };
        Ok(Self {
            advertise_peer: options.advertise_peer.clone().unwrap_or_else(|| own.clone()),
            advertise_client: options.advertise_client.unwrap_or_else(|| format!("{scheme}://{client}")),
            client,
            health: beside(options.health_port),
            metrics: beside(options.metrics_port),
            log_level: options.log_level.unwrap_or_else(|| "info".to_owned()),
            tls,
            admin_role,
            node,
            data_dir: options.data_dir.unwrap_or_else(|| PathBuf::from("openshell-data")),
            peer,
            zone: options.zone.unwrap_or_default(),
            initial_cluster,
            join,
            secrets_key_file: options.secrets_key_file,
            sandbox_token_ttl: Duration::from_secs(options.sandbox_token_ttl.unwrap_or(0)),
            stale_after: Duration::from_secs(options.stale_after.unwrap_or(30)),
            when_stale: options.when_stale.unwrap_or_default(),
            disconnect_grace,
            snapshot_after_entries: options.snapshot_after_entries.unwrap_or(10_000),
            log_entries_kept: options.log_entries_kept.unwrap_or(10_000),
            history_entries_kept: options.history_entries_kept.unwrap_or(100_000),
        })
    }
}

impl Options {
    /// These options, and where they are silent, others.
    fn or(self, other: Self) -> Self {
        Self {
            bind_address: self.bind_address.or(other.bind_address),
            port: self.port.or(other.port),
            health_port: self.health_port.or(other.health_port),
            metrics_port: self.metrics_port.or(other.metrics_port),
            log_level: self.log_level.or(other.log_level),
            disable_tls: self.disable_tls.or(other.disable_tls),
            tls_cert: self.tls_cert.or(other.tls_cert),
            tls_key: self.tls_key.or(other.tls_key),
            tls_client_ca: self.tls_client_ca.or(other.tls_client_ca),
            admin_role: self.admin_role.or(other.admin_role),
            node_id: self.node_id.or(other.node_id),
            data_dir: self.data_dir.or(other.data_dir),
            peer_bind: self.peer_bind.or(other.peer_bind),
            advertise_peer: self.advertise_peer.or(other.advertise_peer),
            advertise_client: self.advertise_client.or(other.advertise_client),
            zone: self.zone.or(other.zone),
            initial_cluster: self.initial_cluster.or(other.initial_cluster),
            join: self.join.or(other.join),
            secrets_key_file: self.secrets_key_file.or(other.secrets_key_file),
            sandbox_token_ttl: self.sandbox_token_ttl.or(other.sandbox_token_ttl),
            stale_after: self.stale_after.or(other.stale_after),
            when_stale: self.when_stale.or(other.when_stale),
            disconnect_grace: self.disconnect_grace.or(other.disconnect_grace),
            snapshot_after_entries: self.snapshot_after_entries.or(other.snapshot_after_entries),
            log_entries_kept: self.log_entries_kept.or(other.log_entries_kept),
            history_entries_kept: self.history_entries_kept.or(other.history_entries_kept),
        }
    }
}

fn read_file(path: &Path) -> anyhow::Result<Options> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading --config {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("--config {} is not what it should be", path.display()))
}

/// Plaintext without a flag is for loopback only.
fn tls(options: &Options, bind: IpAddr) -> anyhow::Result<Option<Tls>> {
    let disabled = options.disable_tls.unwrap_or(false);
    match (options.tls_cert.clone(), options.tls_key.clone()) {
        (Some(_), _) | (_, Some(_)) if disabled => bail!("--disable-tls excludes --tls-cert and --tls-key"),
        (Some(cert), Some(key)) => Ok(Some(Tls { cert, key, client_ca: options.tls_client_ca.clone() })),
        (Some(_), None) => bail!("--tls-cert needs --tls-key"),
        (None, Some(_)) => bail!("--tls-key needs --tls-cert"),
        (None, None) if options.tls_client_ca.is_some() => bail!("--tls-client-ca needs --tls-cert and --tls-key"),
        (None, None) if disabled || bind.is_loopback() => Ok(None),
        (None, None) => bail!(
            "--bind-address {bind} is not loopback: give --tls-cert and --tls-key, or --disable-tls when something in \
             front of the gateway does TLS"
        ),
    }
}

/// Roles come with client certificates. Who meant to set a role and set none must not make everybody
/// an admin.
fn admin_role(options: &Options) -> anyhow::Result<Option<String>> {
    let Some(role) = &options.admin_role else { return Ok(None) };
    ensure!(!role.trim().is_empty(), "--admin-role is empty: leave it out where every user is to be platform admin");
    ensure!(
        options.tls_client_ca.is_some(),
        "--admin-role needs --tls-client-ca: without client certificates nobody has a role"
    );
    Ok(Some(role.clone()))
}

/// Who is well is never missed: sandboxes say every 3 s, or a little later, that they are there.
fn disconnect_grace(options: &Options) -> anyhow::Result<Duration> {
    let grace_s = options.disconnect_grace.unwrap_or(30);
    ensure!(grace_s >= 5, "--disconnect-grace is 5 at least: sandboxes say every 3 s or so that they are there");
    Ok(Duration::from_secs(grace_s))
}

/// Where members are that this node is to be added to.
fn join(options: &Options) -> anyhow::Result<Vec<String>> {
    let Some(list) = &options.join else { return Ok(Vec::new()) };
    ensure!(
        options.initial_cluster.is_none(),
        "--join and --initial-cluster exclude each other: a node joins a running cluster, or forms a new one"
    );
    ensure!(options.node_id.is_some(), "--join needs --node-id: an id that was never used in the cluster");
    let addresses: Vec<String> = list.split(',').map(|address| address.trim().to_owned()).collect();
    for address in &addresses {
        ensure!(address.contains(':'), "--join: {address:?} must read host:port");
    }
    Ok(addresses)
}

pub(crate) fn initial_cluster(list: &str) -> anyhow::Result<BTreeMap<u64, String>> {
    let mut members = BTreeMap::new();
    for entry in list.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let (id, address) =
            entry.split_once('=').with_context(|| format!("--initial-cluster: {entry:?} must read id=peer-address"))?;
        let id: u64 = id.trim().parse().with_context(|| format!("--initial-cluster: {id:?} is not a node id"))?;
        ensure!(id > 0, "--initial-cluster: node ids start at 1");
        let address = address.trim();
        ensure!(address.contains(':'), "--initial-cluster: {address:?} must read host:port");
        ensure!(
            !members.values().any(|other| other == address),
            "--initial-cluster gives two nodes the address {address}"
        );
        ensure!(members.insert(id, address.to_owned()).is_none(), "--initial-cluster names node {id} twice");
    }
    ensure!(
        matches!(members.len(), 1 | 3 | 5 | 7),
        "--initial-cluster names {} nodes; a cluster has 1, 3, 5 or 7: even numbers bear no more failures",
        members.len()
    );
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(words: &[&str]) -> anyhow::Result<Settings> {
        let words = std::iter::once("openshell-gateway").chain(words.iter().copied());
        Settings::read(&Arguments::try_parse_from(words)?)
    }

    #[test]
    fn without_flags_a_node_is_a_cluster_of_one_on_loopback() {
        let settings = settings(&[]).unwrap();
        assert_eq!(settings.client.to_string(), "127.0.0.1:17670");
        assert_eq!(settings.initial_cluster.len(), 1);
        assert!(settings.tls.is_none());
    }

    #[test]
    fn plaintext_off_loopback_needs_a_flag() {
        let error = settings(&["--bind-address", "0.0.0.0"]).unwrap_err().to_string();
        assert!(error.contains("--tls-cert"), "{error}");
        let error = settings(&["--bind-address", "0.0.0.0", "--disable-tls"]).unwrap_err().to_string();
        assert!(error.contains("--advertise-client"), "{error}");
        settings(&["--bind-address", "0.0.0.0", "--disable-tls", "--advertise-client", "http://gw:1"]).unwrap();
    }

    #[test]
    fn an_admin_role_needs_certificates_to_come_from_and_is_never_empty() {
        let with_tls = |words: &[&str]| {
            settings(&[&["--tls-cert", "c", "--tls-key", "k", "--tls-client-ca", "ca"], words].concat())
        };
        assert_eq!(with_tls(&[]).unwrap().admin_role, None);
        assert_eq!(with_tls(&["--admin-role", "ops"]).unwrap().admin_role.as_deref(), Some("ops"));
        for role in ["", " "] {
            let error = with_tls(&["--admin-role", role]).unwrap_err().to_string();
            assert!(error.contains("leave it out"), "{error}");
        }
        let error = settings(&["--admin-role", "ops"]).unwrap_err().to_string();
        assert!(error.contains("--tls-client-ca"), "{error}");
    }

    #[test]
    fn a_grace_that_a_sandbox_that_is_well_would_outlast_is_refused() {
        assert_eq!(settings(&[]).unwrap().disconnect_grace, Duration::from_secs(30));
        assert_eq!(settings(&["--disconnect-grace", "5"]).unwrap().disconnect_grace, Duration::from_secs(5));
        let error = settings(&["--disconnect-grace", "4"]).unwrap_err().to_string();
        assert!(error.contains("every 3 s"), "{error}");
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.toml");
        std::fs::write(&file, "port = 1234\nzone = \"a\"\n").unwrap();
        let path = file.to_str().unwrap();
        let settings_of = settings(&["--config", path, "--zone", "b"]).unwrap();
        assert_eq!((settings_of.client.port(), settings_of.zone.as_str()), (1234, "b"));
        std::fs::write(&file, "prot = 1234\n").unwrap();
        assert!(settings(&["--config", path]).is_err(), "an unknown key is not passed over");
    }

    #[test]
    fn a_wrong_initial_cluster_is_explained() {
        for (list, word) in [
            ("1=a:1,2=b:1", "even"),
            ("1=a:1,1=b:1,3=c:1", "twice"),
            ("x=a:1", "node id"),
            ("1", "id=peer-address"),
            ("1=a:1,2=a:1,3=c:1", "two nodes the address"),
        ] {
            let error = settings(&["--initial-cluster", list, "--secrets-key-file", "k"]).unwrap_err();
            assert!(format!("{error:#}").contains(word), "{list}: {error:#}");
        }
        let error = settings(&["--initial-cluster", "1=a:1", "--join", "a:1"]).unwrap_err().to_string();
        assert!(error.contains("exclude"), "{error}");
        let error = settings(&["--node-id", "4", "--join", "a:1"]).unwrap_err().to_string();
        assert!(error.contains("--secrets-key-file"), "{error}");
        let error = settings(&["--initial-cluster", "1=a:1,2=b:1,3=c:1"]).unwrap_err().to_string();
        assert!(error.contains("--secrets-key-file"), "{error}");
    }
}
