//! One node from start to stop: storage, cluster, listeners; then, when asked to stop, the
//! leadership is handed over before the listeners close.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use openshell_raft::{
    Clock, Cluster, ClusterConfig, ClusterKey, FaultHook, SystemClock, Timings, initial_cluster_digest,
};
use openshell_state::decide::formation;
use openshell_state::{Identifiers, Sealer, Stamp};
use openshell_store::{Expected, Retention};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tower::ServiceExt;

use crate::auth::{Authenticator, Users};
use crate::grpc::{self, Facts, Gateway, GatewayService};
use crate::identifiers::RandomIdentifiers;
use crate::listener::{Listener, Room, descriptors};
use crate::options::{Settings, Tls};
use crate::sandbox::Sandboxes;
use crate::secrets::Secrets;
use crate::{http, refresh, signals, storage, sync};

/// How long a stopping leader waits for its successor.
const HAND_OVER_MAX: Duration = Duration::from_secs(3);
/// How long calls that are under way may take when the node stops.
const DRAIN_MAX: Duration = Duration::from_secs(12);
/// How long a mint that is under way may take when the node stops.
const MINT_MAX: Duration = Duration::from_secs(5);
/// Epoch of a cluster that was not made from a backup.
const FIRST_EPOCH: u64 = 1;

/// Logs go to standard error, as events with fields.
pub(crate) fn log_to_stderr(level: &str) -> anyhow::Result<()> {
    // A plain level is about this program; libraries say what is wrong, unless a filter names them.
    // Except that a leader's heartbeats say so twelve times a second while a peer is down, and that anybody who connects could
    // have h2 say a line for each frame.
    const LIBRARIES: &str = "warn,openraft::core::heartbeat=error,h2=error";
    let plain = ["error", "warn", "info", "debug", "trace"].contains(&level);
    let directives = if plain { format!("{LIBRARIES},openshell={level}") } else { level.to_owned() };
    let filter =
        tracing_subscriber::EnvFilter::try_new(directives).with_context(|| format!("--log-level {level:?}"))?;
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).init();
    Ok(())
}

/// Runs a node until it is asked to stop.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<()> {
    crate::dev::end_with_parent()?;
    let secrets = Arc::new(match &settings.secrets_key_file {
        Some(path) => Secrets::read(path)?,
        None => Secrets::read_or_make(&settings.data_dir.join("secrets.key"))?,
    });
    let identifiers = Arc::new(RandomIdentifiers::from_os());
    // Before anything else: a node that no client could reach must not become a member.
    let tls = settings.tls.as_ref().map(tls_config).transpose()?;
    let peer_listener = TcpListener::bind(settings.peer)
        .await
        .with_context(|| format!("listening on --peer-bind {}", settings.peer))?;
    let descriptors = descriptors().context("how many descriptors there are")?;
    let client_listener =
        TcpListener::bind(settings.client).await.with_context(|| format!("listening on {}", settings.client))?;
    let client_listener = Listener::new(client_listener, Room::for_clients(descriptors));
    let cluster = start_cluster(&settings, peer_listener, &secrets, &identifiers).await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let sandboxes = Sandboxes::new(&secrets, &clock, settings.sandbox_token_ttl);
    let facts = Facts {
        stale_after: settings.stale_after,
        when_stale: settings.when_stale,
        disconnect_grace: settings.disconnect_grace,
    };
    let stages = Stages::default();
    let gateway =
        Gateway::new(cluster.clone(), grpc::table(), secrets, sandboxes, identifiers, facts, stages.stop.clone());
    let room = || Room::for_visitors(descriptors);
    if let Some(address) = settings.health {
        let pages = http::health(cluster.clone(), stages.leaving.clone());
        http::serve(address, pages, room(), stages.closed.clone()).await?;
    }
    if let Some(address) = settings.metrics {
        http::serve(address, http::metrics(Arc::clone(&gateway)), room(), stages.closed.clone()).await?;
    }
    let distribution = tokio::spawn(Arc::clone(&gateway.hub).run(stages.stop.clone()));
    let minting = tokio::spawn(refresh::run(Arc::clone(&gateway), stages.stop.clone()));
    let beating = tokio::spawn(Arc::clone(&gateway.sessions).run(stages.stop.clone()));
    let recording = tokio::spawn(sync::watch(Arc::clone(&gateway), stages.stop.clone()));
    let refreshing = Arc::clone(&gateway);
    let upgrade = tokio::spawn(upgrade_catalogue(cluster.clone(), stages.stop.clone()));
    tracing::info!(node = settings.node, clients = %settings.client, peers = %settings.peer, "node started");
    let running = async {
        let served = tokio::select! {
            served = serve_until_asked_to_stop(&settings, tls, gateway, client_listener, &stages) => served,
            sentence = cluster.refused() => Err(anyhow!(sentence)),
        };
        stages.stop.cancel();
        upgrade.await?;
        distribution.await?;
        minting.await?;
        beating.await?;
        recording.await?;
        refreshing.refresher.drain(MINT_MAX).await;
        cluster.shutdown().await;
        stages.closed.cancel();
        served
    };
    tokio::select! {
        ended = running => ended?,
        signal = asked_again(&stages.leaving) => {
            bail!("{} came while the node was stopping: it ended without waiting for calls under way", signal?);
        }
    }
    tracing::info!("stopped");
    Ok(())
}

/// Ends when the process, being about to stop, is asked again.
async fn asked_again(leaving: &CancellationToken) -> std::io::Result<&'static str> {
    leaving.cancelled().await;
    signals::asked_to_stop().await
}

/// How a node goes, one stage after the other.
#[derive(Default)]
struct Stages {
    /// It says that it is not ready, and still takes calls.
    leaving: CancellationToken,
    /// It takes no more calls; those under way may end.
    stop: CancellationToken,
    /// It is gone.
    closed: CancellationToken,
}

/// Serves clients until a signal; then the leadership goes to another node before the listener
/// closes. A listener that ends by itself ends the node.
async fn serve_until_asked_to_stop(
    settings: &Settings,
    tls: Option<ServerTlsConfig>,
    gateway: Arc<Gateway>,
    listener: Listener,
    stages: &Stages,
) -> anyhow::Result<()> {
    let cluster = gateway.cluster.clone();
    let mut serving = std::pin::pin!(serve_clients(settings, tls, gateway, listener, stages));
    let signal = tokio::select! {
        served = &mut serving => {
            served?;
            bail!("the listener for clients ended");
        }
        signal = signals::asked_to_stop() => signal?,
    };
    tracing::info!(signal, "stopping");
    stages.leaving.cancel();
    let leaving = async {
        cluster.hand_over(Instant::now() + HAND_OVER_MAX).await;
        stages.stop.cancel();
    };
    tokio::join!(serving, leaving).0
}

async fn start_cluster(
    settings: &Settings,
    peer_listener: TcpListener,
    secrets: &Arc<Secrets>,
    identifiers: &Arc<RandomIdentifiers>,
) -> anyhow::Result<Cluster> {
    let fault: FaultHook = Arc::new(fail);
    let expected = Expected {
        node_id: settings.node,
        initial_cluster: settings.join.is_empty().then(|| initial_cluster_digest(&settings.initial_cluster)),
        secrets_key: secrets.check_value,
    };
    let history = Retention { entries: settings.history_entries_kept, ..Retention::default() };
    let opened = storage::open(&settings.data_dir, expected, history, Arc::clone(&fault))?;
    let (first_ids, first_sealer) = (Arc::clone(identifiers), Arc::clone(secrets));
    let config = ClusterConfig {
        node: settings.node,
        zone: settings.zone.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        peer_listener,
        advertise_peer: settings.advertise_peer.clone(),
        advertise_client: settings.advertise_client.clone(),
        initial_cluster: settings.initial_cluster.clone(),
        join: settings.join.clone(),
        cluster_key: ClusterKey::new(secrets.cluster_key),
        timings: Timings::lan(),
        snapshot_after_entries: settings.snapshot_after_entries,
        log_entries_kept: settings.log_entries_kept,
        genesis: Arc::new(move |cluster_id, time_ms| {
            let stamp = Stamp { time_ms, identifiers: &*first_ids, sealer: &*first_sealer };
            formation::form(cluster_id, FIRST_EPOCH, stamp)
        }),
        clock: Arc::new(SystemClock) as Arc<dyn Clock>,
        identifiers: Arc::clone(identifiers) as Arc<dyn Identifiers + Send + Sync>,
        sealer: Arc::clone(secrets) as Arc<dyn Sealer + Send + Sync>,
        fault,
    };
    Ok(Cluster::start(config, opened).await?)
}

/// This machine broke: the process ends at once and is not to answer anything more. A
/// supervisor starts it again.
#[allow(clippy::print_stderr)] // The last words, also when logging is off.
fn fail(sentence: &str) {
    eprintln!("Error: the node cannot go on: {sentence}");
    std::process::abort();
}

/// Serves clients until the node stops; calls under way may end.
async fn serve_clients(
    settings: &Settings,
    tls: Option<ServerTlsConfig>,
    gateway: Arc<Gateway>,
    listener: Listener,
    stages: &Stages,
) -> anyhow::Result<()> {
    let mut server = Server::builder()
        .accept_http1(true)
        .http2_keepalive_interval(Some(Duration::from_secs(20)))
        .http2_keepalive_timeout(Some(Duration::from_secs(20)));
    if let Some(tls) = tls {
        server = server.tls_config(tls).context("setting up TLS for clients")?;
    }
    let certificates = settings.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
    let users = Users::of(certificates, settings.admin_role.clone(), settings.client.ip().is_loopback());
    let authenticator = Authenticator::new(Arc::clone(&gateway.sandboxes.tokens), users, Arc::new(SystemClock));
    let pages = http::health(gateway.cluster.clone(), stages.leaving.clone());
    let service = GatewayService::new(gateway, authenticator);
    let service = service.map_request(|request: ::http::Request<axum::body::Body>| request.map(tonic::body::Body::new));
    // Released clients ask the same port for /healthz when gRPC does not answer them.
    let routes = Routes::from(pages.fallback_service(service));
    let stopped = stages.stop.clone();
    let connections = listener.connections();
    let serving =
        server.add_routes(routes).serve_with_incoming_shutdown(connections, async move { stopped.cancelled().await });
    let overdue = async {
        stages.stop.cancelled().await;
        tokio::time::sleep(DRAIN_MAX).await;
    };
    tokio::select! {
        served = serving => Ok(served?),
        () = overdue => Ok(()),
    }
}

fn tls_config(tls: &Tls) -> anyhow::Result<ServerTlsConfig> {
    let read = |flag: &str, path: &std::path::Path| {
        std::fs::read(path).with_context(|| format!("reading {flag} {}", path.display()))
    };
    let identity = Identity::from_pem(read("--tls-cert", &tls.cert)?, read("--tls-key", &tls.key)?);
    let mut config = ServerTlsConfig::new().identity(identity);
    if let Some(path) = &tls.client_ca {
        config = config.client_ca_root(Certificate::from_pem(read("--tls-client-ca", path)?));
        // Sandboxes show a token instead; who shows neither is nobody, and is refused call by call.
        config = config.client_auth_optional(true);
    }
    Ok(config)
}

/// Whenever this node leads, the built-in catalogue of its build replaces an older one.
async fn upgrade_catalogue(cluster: Cluster, stop: CancellationToken) {
    let mut leader = cluster.watch_leader();
    let upgrading = async {
        loop {
            let leads = *leader.borrow_and_update() == Some(cluster.node());
            if leads {
                crate::upgrade::catalogue(&cluster).await;
            }
            if leader.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = upgrading => {}
        () = stop.cancelled() => {}
    }
}
