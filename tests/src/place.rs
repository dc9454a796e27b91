//! Where a gateway stands and how it is reached: on loopback in plaintext or where users show
//! certificates, or in a namespace of its own with TLS.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Command;

use openshell_client::Tls;

use crate::api::Api;
use crate::certificates::{Certificates, HARNESS};
use crate::cluster::ClusterOptions;
use crate::gateway::GatewayPorts;
use crate::network::Network;
use crate::program::inside_network;

/// A place for one gateway.
#[derive(Clone, Debug)]
pub struct Place {
    pub(crate) address: IpAddr,
    /// A network namespace; none is the one of this process.
    pub(crate) namespace: Option<String>,
    /// Of the gateway there.
    pub(crate) flags: Vec<String>,
    tls: Tls,
}

/// A URL of gateways, and what it takes to be let in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Access {
    /// URLs, separated by commas.
    pub urls: String,
    tls: Tls,
}

impl Place {
    /// This machine's loopback, in plaintext.
    #[must_use]
    pub fn loopback() -> Self {
        Self { address: Ipv4Addr::LOCALHOST.into(), namespace: None, flags: Vec::new(), tls: Tls::None }
    }

    /// The same place, where clients show certificates: this process one of the admin role, if the
    /// gateway knows one.
    fn secured(self, certificates: &Certificates, admin_role: Option<&str>) -> anyhow::Result<Self> {
        let mut flags = certificates.of_server(self.address)?;
        flags.extend(admin_role.into_iter().flat_map(|role| ["--admin-role", role]).map(str::to_owned));
        let tls = certificates.of_client(HARNESS, admin_role.as_slice(), None)?;
        Ok(Self { flags, tls, ..self })
    }

    /// A node's namespace of a network.
    fn inside(network: &Network, id: u64) -> Self {
        let address = IpAddr::V4(network.address(id));
        Self { address, namespace: Some(network.namespace(id)), ..Self::loopback() }
    }

    /// The entry of a gateway that stands here in `--initial-cluster`.
    pub(crate) fn member(&self, id: u64, ports: GatewayPorts) -> String {
        format!("{id}={}:{}", self.address, ports.peer)
    }

    /// How clients reach a gateway that stands here.
    pub(crate) fn access(&self, ports: GatewayPorts) -> Access {
        let scheme = if self.tls == Tls::None { "http" } else { "https" };
        Access { urls: format!("{scheme}://{}:{}", self.address, ports.client), tls: self.tls.clone() }
    }

    /// The command that runs a program here. Its process is the program's.
    pub(crate) fn command(&self, program: &Path) -> Command {
        match &self.namespace {
            None => Command::new(program),
            Some(namespace) => inside_network(namespace, program),
        }
    }
}

/// A place for each node of a cluster, in order.
pub(crate) fn places(
    options: ClusterOptions,
    network: Option<&Network>,
    certificates: Option<&Certificates>,
) -> anyhow::Result<Vec<Place>> {
    let place = |id| {
        let place = network.map_or_else(Place::loopback, |network| Place::inside(network, id));
        match certificates {
            Some(certificates) => place.secured(certificates, options.admin_role),
            None => Ok(place),
        }
    };
    (1..=options.nodes).map(place).collect()
}

impl Access {
    /// A caller with connections of its own.
    ///
    /// # Panics
    /// When the URL or the certificates are unusable, which those of the harness are not.
    #[must_use]
    pub fn api(&self) -> Api {
        Api::with_tls(&self.urls, self.tls.clone())
    }

    /// A caller with connections of its own who shows a token.
    ///
    /// # Panics
    /// As [`Access::api`], and when the token is no text for a header.
    #[must_use]
    pub fn bearer(&self, token: &str) -> Api {
        Api::bearer_with_tls(&self.urls, self.tls.clone(), token)
    }

    /// What it takes to be let in.
    #[must_use]
    pub fn tls(&self) -> Tls {
        self.tls.clone()
    }

    /// The access to all of these. They must trust each other's clients, as those of one cluster do.
    #[must_use]
    pub fn to_all(all: &[Self]) -> Self {
        let urls = all.iter().map(|access| access.urls.as_str()).collect::<Vec<_>>().join(",");
        Self { urls, tls: all.first().map_or(Tls::None, |access| access.tls.clone()) }
    }
}
