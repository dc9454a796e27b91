//! What the cluster decides, end to end on pure states: the numbered scenarios of the spec by
//! noun, the laws that hold for every history, one test per kind of guard, the reference's
//! vectors, and golden files of durable bytes. One program, so that it is linked once.

mod answers;
mod bounds;
mod callers;
mod config_rules;
mod drafts;
mod effective;
mod environment;
mod environment_revision;
mod golden;
mod guards;
mod hashes;
mod invalid_profiles;
mod kept_revisions;
mod large;
mod laws;
mod lifecycle;
mod members;
mod membership;
mod merging;
mod policies;
mod policy_rules;
mod presence;
mod profile_race;
mod profile_rules;
mod profiles;
mod providers;
mod racing;
mod refresh;
mod reports;
mod requests;
mod revisions;
mod rollouts;
mod sandbox_rules;
mod sandboxes;
mod settings;
mod support;
mod unsafe_profiles;
mod vectors;
mod watch;
mod workspaces;
