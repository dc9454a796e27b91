//! What the cluster promises, asked through its RPCs and its command line, on real processes.

mod command_line;
mod composition;
mod faults;
mod identity;
mod main_job;
mod profile_update;
mod racing;
mod secrets;
mod wire;
