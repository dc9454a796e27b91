//! Real gateway processes for tests and chaos: start them, hurt them, ask them. What must hold is
//! not here: the claims are in `tests/`, and those about histories in `openshell-jepsen`.

mod api;
mod binary;
mod certificates;
mod cluster;
mod command_line;
mod document;
mod fixtures;
mod following;
mod gateway;
mod golden;
mod http;
mod issuer;
mod leadership;
mod leaks;
mod log_pusher;
mod losing_wire;
mod memory;
mod metrics;
mod network;
mod offspring;
mod place;
mod planting;
mod ports;
mod process_table;
mod program;
mod reader;
mod relay;
mod released_client;
mod renewal;
mod scene;
mod shared;
mod signals;
mod staging;
mod texts;
mod trapping;
mod vitals;
mod wait;

pub use api::Api;
pub use binary::binary;
pub use cluster::{Cluster, ClusterOptions};
pub use command_line::{CommandLine, Following, Output};
pub use fixtures::{
    bool_setting, endpoint, large_policy, layer_key, layered_hosts, layered_keys, policy_allowing, profile, proposal,
    token_grant_profile,
};
pub use following::{Follower, Installed, SyncProcess, followers};
pub use gateway::{Gateway, GatewayPorts};
pub use golden::{Golden, settle};
pub use http::{http_get, http_get_at};
pub use issuer::Issuer;
pub use leadership::{Leadership, leadership_among, leadership_of};
pub use leaks::{Leak, Leaks, Searched};
pub use log_pusher::{LogPusher, log_line};
pub use losing_wire::LosingWire;
pub use memory::folder_in_memory;
pub use metrics::{Metrics, scrape};
pub use network::{Cut, Network};
pub use place::{Access, Place};
pub use planting::{plant_difference, plant_format_version, plant_profile_of_older_rules};
pub use ports::free_ports;
pub use process_table::{process_began, process_parent, process_state, thread_states};
pub use program::{on_path, run_program, run_program_inside};
pub use reader::Reader;
pub use relay::Relay;
pub use released_client::{ReleasedClient, Working};
pub use renewal::{gateway_command, try_gateway_command};
pub use scene::{Scene, unique};
pub use shared::Shared;
pub use texts::{MINTED_PROFILE_FILE, POLICY_FILE, PROFILE_FILE, profile_file};
pub use vitals::Vitals;
pub use wait::{eventually, within};
