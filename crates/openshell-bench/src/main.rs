//! Measures a cluster: how long updates take, how many there are a second, how many sandbox
//! configurations one node answers, what memory they need, how long a leader is missed that was lost or that went in
//! order, how soon a node is back that missed much, and how soon a change is in force at the sandboxes that follow.
//! It prints figures and judges none; every load is bounded in count or time.

mod affected;
mod failover;
mod fleet;
mod handover;
mod load;
mod memory;
mod reads;
mod rejoin;
mod sync;
mod times;
mod updates;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

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
    /// Profile updates beside 10, 1,000 and 10,000 sandboxes of which 10 use the profile, and 10,000 that all
    /// do, on three processes of its own.
    Affected {
        /// Updates for each.
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..=2000))]
        updates: u16,
    },
    /// `GetSandboxConfig` of one node, for sandboxes with three providers each, as it is kept and composed anew.
    Reads {
        /// URL of the node; without it, a follower among three processes of its own.
        #[arg(long)]
        gateway_endpoint: Option<String>,
        /// Clients that work side by side.
        #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=512))]
        clients: u16,
        /// Sandboxes that are asked for in turn.
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u16).range(1..=20_000))]
        sandboxes: u16,
        /// How long each part runs.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=120))]
        seconds: u64,
    },
    /// What a node needs in memory for sandboxes with three providers each, and for their answers, on three
    /// processes of its own.
    Memory {
        /// How many sandboxes.
        #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
        sandboxes: u64,
    },
    /// From the loss of the leader to the next acknowledged update, on three processes of its own.
    Failover {
        /// How it is lost.
        #[arg(long, value_enum, default_value_t = failover::Loss::Kill)]
        loss: failover::Loss,
        /// Whom the client that feels it knows.
        #[arg(long, value_enum, default_value_t = failover::From::Survivor)]
        from: failover::From,
        /// How often.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=100))]
        runs: u16,
    },
    /// The longest pause of a client's updates while the leader stops on SIGTERM, on three processes
    /// of its own.
    Handover {
        /// How often.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=100))]
        runs: u16,
    },
    /// From the start of a node that missed many records until it has them all, on three processes of
    /// its own.
    Rejoin {
        /// Records that the first snapshot holds.
        #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
        records: u64,
        /// How often a node goes and comes back.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=20))]
        runs: u16,
    },
    /// Sandboxes that follow: from the acknowledgement of an update until the nodes know it to be in force at all
    /// whom it concerns, from the loss of a node until its sandboxes are current again, and what they cost while
    /// nothing happens; on three processes of its own, the sandboxes in this one. Takes about four minutes.
    Sync {
        /// How many follow.
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u16).range(3..=5_000))]
        clients: u16,
        /// Of them, those whom most updates concern.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=5_000))]
        using: u16,
        /// Updates that concern these, and as many again that concern everybody.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=2_000))]
        updates: u16,
        /// How often a node is lost.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=50))]
        runs: u16,
        /// Form of the output.
        #[arg(short, long, value_enum, default_value_t = Form::Text)]
        output: Form,
    },
}

/// Forms of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people.
    Text,
    /// For scripts.
    Json,
}

#[tokio::main]
async fn main() -> ExitCode {
    let measured = match Arguments::parse().what {
        What::Updates { gateway_endpoint, clients, seconds } => {
            updates::measure(&gateway_endpoint, clients, seconds).await
        }
        What::Affected { updates } => affected::measure(updates).await,
        What::Reads { gateway_endpoint, clients, sandboxes, seconds } => {
            reads::measure(gateway_endpoint.as_deref(), clients, sandboxes, seconds).await
        }
        What::Memory { sandboxes } => memory::measure(sandboxes).await,
        What::Failover { loss, from, runs } => failover::measure(runs, loss, from).await,
        What::Handover { runs } => handover::measure(runs).await,
        What::Rejoin { records, runs } => rejoin::measure(records, runs).await,
        What::Sync { clients, using, updates, runs, output } => {
            let figures = sync::measure(clients, using, updates, runs).await;
            figures.map(|figures| match output {
                Form::Text => figures.text(),
                Form::Json => figures.json(),
            })
        }
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

#[expect(clippy::print_stdout, reason = "figures are what the program is for")]
fn say(text: &str) {
    println!("{text}");
}
