//! What the cluster decides, end to end on pure states: the numbered scenarios of the spec by
//! noun, the laws that hold for every history, one test per kind of guard, the reference's
//! vectors, and golden files of durable bytes. One program, so that it is linked once.

mod environment;
mod golden;
mod guards;
mod laws;
mod membership;
mod policies;
mod profile_race;
mod profile_rules;
mod profiles;
mod providers;
mod racing;
mod refresh;
mod requests;
mod sandboxes;
mod settings;
mod support;
mod vectors;
mod watch;
mod workspaces;
