//! Measures a running cluster: how long updates take, how many there are a second, how many
//! sandbox configurations one node answers, and how long a lost leader is missed. It prints
//! figures and judges none; every load is bounded in count or time.

mod failover;
mod load;
mod reads;
mod updates;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measures a cluster.
#[derive(Debug, Parser)]
#[command(name = "openshell-bench", version)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Profile updates by one client, then by several on profiles of their own.
    Updates {
        /// URLs of the nodes, comma-separated; clients take turns with them.
        #[arg(long)]
        gateway_endpoint: String,
        /// Clients that work side by side.
        #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=512))]
        clients: u16,
        /// How long each part runs.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=120))]
        seconds: u64,
    },
    /// `GetSandboxConfig` of one node, for a sandbox with three providers.
    Reads {
        /// URL of the node.
        #[arg(long)]
        gateway_endpoint: String,
        /// Clients that work side by side.
        #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=512))]
        clients: u16,
        /// How long it runs.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=120))]
        seconds: u64,
    },
    /// From `kill -9` of the leader to the next acknowledged update, on three processes of its own.
    Failover {
        /// How often.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=100))]
        runs: u16,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let measured = match Arguments::parse().what {
        What::Updates { gateway_endpoint, clients, seconds } => {
            updates::measure(&gateway_endpoint, clients, seconds).await
        }
        What::Reads { gateway_endpoint, clients, seconds } => reads::measure(&gateway_endpoint, clients, seconds).await,
        What::Failover { runs } => failover::measure(runs).await,
    };
    match measured {
        Ok(figures) => {
            say(&figures);
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("not measured: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stdout)] // Figures are what the program is for.
fn say(text: &str) {
    println!("{text}");
}
