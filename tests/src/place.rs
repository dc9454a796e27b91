//! Where a gateway stands and how it is reached: on loopback in plaintext, or in a namespace of
//! its own with TLS.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Command;

use openshell_client::Tls;

use crate::api::Api;
use crate::certificates::Certificates;
use crate::gateway::GatewayPorts;
use crate::network::Network;

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

    /// A node's namespace of a network; clients show certificates.
    pub(crate) fn inside(network: &Network, id: u64, certificates: &Certificates) -> anyhow::Result<Self> {
        let address = IpAddr::V4(network.address(id));
        Ok(Self {
            address,
            namespace: Some(network.namespace(id)),
            flags: certificates.of_server(address)?,
            tls: certificates.of_client()?,
        })
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

    /// The command that runs a program here. Its process is the program's: `ip netns exec` becomes it.
    pub(crate) fn command(&self, program: &Path) -> Command {
        match &self.namespace {
            None => Command::new(program),
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace]).arg(program);
                command
            }
        }
    }
}

/// A place for each node of a cluster, in order; certificates are files in the directory.
pub(crate) fn places(nodes: u64, network: Option<&Network>, directory: &Path) -> anyhow::Result<Vec<Place>> {
    let Some(network) = network else { return Ok((1..=nodes).map(|_| Place::loopback()).collect()) };
    let certificates = Certificates::new(directory)?;
    (1..=nodes).map(|id| Place::inside(network, id, &certificates)).collect()
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

    /// The access to all of these. They must trust each other's clients, as those of one cluster do.
    pub(crate) fn to_all(all: &[Self]) -> Self {
        let urls = all.iter().map(|access| access.urls.as_str()).collect::<Vec<_>>().join(",");
        Self { urls, tls: all.first().map_or(Tls::None, |access| access.tls.clone()) }
    }
}
