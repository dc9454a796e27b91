//! Clusters in one process: what "any node will do" promises, as claims.

mod asked;
mod decisions;
mod divergence;
mod failures;
mod formation;
mod harness;
mod network;
mod replacing;
mod retries;
mod rules;
mod strangers;
mod transferring;
