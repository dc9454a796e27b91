//! Real gateway processes for tests and chaos: start them, hurt them, ask them. What must hold is
//! not here: the claims are in `tests/`, and those about histories in `openshell-jepsen`.

mod api;
mod binary;
mod cluster;
mod command_line;
mod fixtures;
mod gateway;
mod http;
mod leaks;
mod metrics;
mod ports;
mod scene;
mod wait;

pub use api::Api;
pub use binary::binary;
pub use cluster::{Cluster, ClusterOptions, Leadership, Shared, leadership_at};
pub use command_line::{CommandLine, Output};
pub use fixtures::{
    bool_setting, endpoint, layer_key, layered_hosts, layered_keys, policy_allowing, profile, token_grant_profile,
};
pub use gateway::{Gateway, GatewayPorts};
pub use http::http_get;
pub use leaks::{Leak, Leaks};
pub use metrics::{Metrics, scrape};
pub use ports::free_ports;
pub use scene::{Scene, unique};
pub use wait::{eventually, within};
