//! What the cluster promises, asked through its RPCs and its command line, on real processes.

mod command_line;
mod composition;
mod deploy;
mod divergence;
mod faults;
mod identity;
mod main_job;
mod partition;
mod profile_update;
mod providers;
mod racing;
mod refresh;
mod renewal;
mod retries;
mod rolling_restart;
mod secrets;
mod snapshot_catch_up;
mod stale;
mod starts;
mod watch;
mod watch_limits;
mod wire;
