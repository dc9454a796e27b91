//! `openshell gateway`: registrations on this machine. Only `add` talks to a gateway; logging in is not
//! built.

mod add;
mod show;

use clap::{Args, Subcommand};

use crate::config::{active, list, remove, select};
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
}

pub(crate) async fn run(arguments: GatewayArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    match arguments.command {
        None => {}
        Some(GatewayCommand::Add(arguments)) => add::run(arguments, context).await?,
        Some(GatewayCommand::List { output }) => print_list(output, context),
        Some(GatewayCommand::Select { name }) => select_gateway(name, context)?,
        Some(GatewayCommand::Remove { name }) => {
            let name = name.or_else(|| current(context)).ok_or_else(|| {
                Failure::new(
                    "no gateway was named and none is active: 'openshell gateway list' shows the registered ones",
                )
            })?;
            remove(&context.paths, &name)?;
            context.console.note_done(&format!("Gateway registration '{name}' removed."));
        }
    }
    Ok(())
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
