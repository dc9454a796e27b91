//! Commands of the original that have no server side here. They are known by name, so that a script or a person
//! hears in one sentence why nothing happens, with exit code 1, whatever else was typed.

use std::ffi::OsString;

use clap::{Args, Subcommand};

use crate::failure::Failure;

const NO_COMPUTE: &str = "this gateway keeps records and has no compute driver that runs sandboxes";

/// Whatever else was typed.
#[derive(Debug, Args)]
pub(crate) struct Anything {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _words: Vec<OsString>,
}

/// `openshell service ...`.
#[derive(Debug, Args)]
pub(crate) struct ServiceArguments {
    #[command(subcommand)]
    pub(crate) command: Option<ServiceCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ServiceCommand {
    /// Exposes a port of a running sandbox.
    Expose(Anything),
    /// Lists exposed ports.
    List(Anything),
    /// Shows an exposed port.
    Get(Anything),
    /// Ends the exposure of a port.
    Delete(Anything),
}

/// `openshell forward ...`.
#[derive(Debug, Args)]
pub(crate) struct ForwardArguments {
    #[command(subcommand)]
    pub(crate) command: Option<ForwardCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ForwardCommand {
    /// Forwards a local port into a running sandbox.
    Start(Anything),
    /// Ends a forward.
    Stop(Anything),
    /// Lists forwards.
    List(Anything),
    /// Forwards a local port to a service of a running sandbox.
    Service(Anything),
}

/// `openshell inference ...`.
#[derive(Debug, Args)]
pub(crate) struct InferenceArguments {
    #[command(subcommand)]
    pub(crate) command: Option<InferenceCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum InferenceCommand {
    /// Sets the route of inference.
    Set(Anything),
    /// Changes the route of inference.
    Update(Anything),
    /// Shows the route of inference.
    Get(Anything),
    /// Deletes the route of inference.
    Delete(Anything),
}

/// `openshell doctor ...`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    #[command(subcommand)]
    pub(crate) command: Option<DoctorCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DoctorCommand {
    /// Checks the local container runtime.
    Check(Anything),
}

/// What needs a sandbox that runs.
pub(crate) fn needs_compute(command: &str) -> Failure {
    Failure::new(format!("openshell {command} needs a running sandbox: {NO_COMPUTE}"))
}

/// Routes of inference.
pub(crate) fn inference() -> Failure {
    Failure::new("openshell inference is not available: this gateway routes no inference")
}

/// The screens of the original.
pub(crate) fn term() -> Failure {
    Failure::new(
        "openshell term is not built: 'openshell cluster watch' and 'openshell logs --tail' show what happens as it does",
    )
}

/// The check of a local container runtime.
pub(crate) fn doctor() -> Failure {
    Failure::new(
        "openshell doctor has nothing to check: this gateway uses no container runtime; 'openshell status' checks the gateway",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        _command: ForwardCommand,
    }

    #[test]
    fn whatever_follows_the_name_of_a_command_is_taken() {
        for words in
            [&["start", "8080", "s1", "-d"][..], &["list", "-o", "json"], &["service", "--unheard-of=1"], &["stop"]]
        {
            Line::try_parse_from([&["forward"], words].concat()).expect("known by name");
        }
        Line::try_parse_from(["forward", "unheard-of"]).expect_err("not known");
    }

    #[test]
    fn each_says_in_one_sentence_why_nothing_happens() {
        for failure in [needs_compute("service"), inference(), term(), doctor()] {
            assert_eq!((failure.exit_code, failure.causes.len()), (1, 0));
            assert!(!failure.message.contains(". ") && !failure.message.contains('\n'), "{}", failure.message);
        }
    }
}
