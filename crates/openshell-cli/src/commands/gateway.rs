//! `openshell gateway`: registrations on this machine. Only `add` and `info` talk to a gateway; logging in
//! is not built.

mod add;
mod info;
mod show;

use clap::{Args, Subcommand};

use crate::config::{Registered, active, check_login, find, list, log_out, remove, select};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{self, Format, choose};

/// `openshell gateway ...`.
#[derive(Debug, Args)]
pub(crate) struct GatewayArguments {
    #[command(subcommand)]
    pub(crate) command: Option<GatewayCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GatewayCommand {
    /// Registers a gateway and makes it the active one.
    Add(add::AddArguments),
    /// Lists the registered gateways.
    List {
        /// Form of the output.
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// Makes a registered gateway the active one.
    Select {
        /// Its name; asked for when absent.
        name: Option<String>,
    },
    /// Removes a registration and its tokens; certificates stay.
    Remove {
        /// Its name; the active one when absent.
        name: Option<String>,
    },
    /// Logs in to a gateway that takes tokens; not built yet.
    Login {
        /// Its name; the active one when absent.
        name: Option<String>,
    },
    /// Forgets the token of a gateway that takes tokens.
    Logout {
        /// Its name; the active one when absent.
        name: Option<String>,
    },
    /// Shows what the gateway says about itself; for platform admins.
    Info {
        /// Form of the output.
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
}

pub(crate) async fn run(arguments: GatewayArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    match arguments.command {
        None => {}
        Some(GatewayCommand::Add(arguments)) => add::run(arguments, context).await?,
        Some(GatewayCommand::List { output }) => print_list(output, context),
        Some(GatewayCommand::Select { name }) => select_gateway(name, context)?,
        Some(GatewayCommand::Remove { name }) => {
            let name = named(name, context)?;
            remove(&context.paths, &name)?;
            context.console.note_done(&format!("Gateway registration '{name}' removed."));
        }
        Some(GatewayCommand::Login { name }) => return Err(login(&registered(name, context)?)),
        Some(GatewayCommand::Logout { name }) => {
            let registered = registered(name, context)?;
            let name = &registered.metadata.name;
            match log_out(&context.paths, &registered)? {
                true => context.console.note_done(&format!("Logged out of gateway '{name}'")),
                false => context.console.note(&format!("There was no token of gateway '{name}'.")),
            }
        }
        Some(GatewayCommand::Info { output }) => info::run(output, context).await?,
    }
    Ok(())
}

/// The name that was given, else the flag's, the variable's, or that of the active gateway.
fn named(name: Option<String>, context: &Context<'_>) -> Result<String, Failure> {
    name.or_else(|| current(context)).ok_or_else(|| {
        Failure::new("no gateway was named and none is active: 'openshell gateway list' shows the registered ones")
    })
}

fn registered(name: Option<String>, context: &Context<'_>) -> Result<Registered, Failure> {
    let name = named(name, context)?;
    find(&context.paths, &name).ok_or_else(|| {
        Failure::new(format!("unknown gateway '{name}': 'openshell gateway list' shows the registered ones"))
    })
}

fn login(registered: &Registered) -> Failure {
    let name = &registered.metadata.name;
    match check_login(registered) {
        Err(failure) => failure,
        Ok(()) => Failure::new(format!(
            "logging in to gateway '{name}' is not built yet: register one that takes client certificates, with --local or --remote"
        )),
    }
}

/// The flag's or variable's gateway, else the active one.
fn current(context: &Context<'_>) -> Option<String> {
    context.global.gateway.clone().or_else(|| active(&context.paths))
}

fn print_list(format: Format, context: &mut Context<'_>) {
    let (all, current) = (list(&context.paths), current(context));
    let text = match format {
        Format::Table if all.is_empty() => {
            "No gateways found.\n\nAdd one with: openshell gateway add <URL>\n".to_owned()
        }
        Format::Table => show::rows(&all, current.as_deref(), context.console.paint),
        Format::Json => output::json(show::document(&all, current.as_deref())),
        Format::Yaml => output::yaml(show::document(&all, current.as_deref())),
    };
    context.console.print(&text);
}

fn select_gateway(name: Option<String>, context: &mut Context<'_>) -> Result<(), Failure> {
    let name = match name {
        Some(name) => name,
        None => {
            let names: Vec<_> = list(&context.paths).into_keys().collect();
            match choose("Gateways:", &names) {
                Some(Some(index)) => names[index].clone(),
                Some(None) => {
                    context.console.note("Nothing was selected.");
                    return Ok(());
                }
                None => {
                    print_list(Format::Table, context);
                    context.console.note("Select one with: openshell gateway select <NAME>");
                    return Ok(());
                }
            }
        }
    };
    select(&context.paths, &name)?;
    context.console.note_done(&format!("Active gateway set to '{name}'"));
    if let Ok(variable) = std::env::var("OPENSHELL_GATEWAY")
        && variable != name
    {
        context.console.warn(&format!("OPENSHELL_GATEWAY is set to '{variable}' and goes before the active gateway"));
    }
    Ok(())
}
