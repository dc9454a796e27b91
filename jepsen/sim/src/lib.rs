//! A deterministic simulation of a whole cluster in one thread: the product's own state, decisions,
//! Raft glue, peer network and storage, on a network, disks and clocks that a seed decides. What is
//! simulated, and what is not, is in `README.md`.

#[cfg(not(tokio_unstable))]
compile_error!(
    "build it in jepsen/sim, whose .cargo/config.toml sets `--cfg tokio_unstable`: without it no run is repeatable"
);

mod chance;
mod client;
mod disk;
mod entry;
mod faults;
mod invariants;
mod links;
mod network;
mod node;
mod oracle;
mod panics;
mod plan;
mod rows;
mod rules;
mod run;
mod seeds;
mod trace;
mod world;

pub use disk::Planted;
pub use faults::Counts;
pub use invariants::Figures;
pub use oracle::Told;
pub use rows::{Sweep, append};
pub use run::{Outcome, Settings, run};
pub use seeds::{Kept, keep, kept};
