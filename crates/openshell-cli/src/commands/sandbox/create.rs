//! `openshell sandbox create`: checks what can be checked here, creates the record and returns. With no
//! compute driver behind the gateway nothing is waited for, and nothing is attached to.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use openshell_client::{CallError, methods};
use openshell_proto::datamodel::Provider;
use openshell_proto::sandbox::{SettingValue, setting_value};
use openshell_proto::v1;

use super::{resources, show};
use crate::commands::absent::needs_compute;
use crate::commands::pairs::pairs;
use crate::commands::policy::PolicyFile;
use crate::config::remember_sandbox;
use crate::context::{Context, Session, required};
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::pages::Window;

const REGISTRY: &str = "ghcr.io/nvidia/openshell-community/sandboxes";

/// `openshell sandbox create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArguments {
    /// Its name; the gateway chooses one when absent.
    #[arg(long, default_value = "")]
    name: String,
    /// An image, or the name of one in the community registry.
    #[arg(long, value_name = "SRC")]
    from: Option<String>,
    /// A provider to attach, repeatable.
    #[arg(long = "provider", value_name = "NAME")]
    providers: Vec<String>,
    /// The policy file; OPENSHELL_SANDBOX_POLICY when absent.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// A label, repeatable.
    #[arg(long = "label", value_name = "K=V")]
    labels: Vec<String>,
    /// A variable of its environment, repeatable.
    #[arg(long = "env", value_name = "K=V")]
    environment: Vec<String>,
    /// Does not warn of variables that look like credentials.
    #[arg(long)]
    no_credential_warnings: bool,
    /// Limit of processor time, such as 2 or 500m.
    #[arg(long, value_name = "QUANTITY")]
    cpu: Option<String>,
    /// Limit of memory, such as 4Gi.
    #[arg(long, value_name = "QUANTITY")]
    memory: Option<String>,
    /// Asks for graphics processors.
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true)]
    gpu: Option<Option<u32>>,
    /// Settings of the compute driver, a JSON object.
    #[arg(long, value_name = "JSON")]
    driver_config_json: Option<String>,
    /// Who decides about proposed policy changes.
    #[arg(long, value_enum, default_value_t = ApprovalMode::Manual)]
    approval_mode: ApprovalMode,
    /// Gives the command a terminal.
    #[arg(long, conflicts_with = "no_tty")]
    tty: bool,
    /// Gives the command none.
    #[arg(long)]
    no_tty: bool,
    /// Does not attach; nothing is attached to in any case.
    #[arg(long)]
    detach: bool,
    /// Accepted for scripts of the original: providers are never created on the way.
    #[arg(long, conflicts_with = "no_auto_providers")]
    auto_providers: bool,
    /// Accepted for scripts of the original: providers are never created on the way.
    #[arg(long)]
    no_auto_providers: bool,
    /// Deletes the sandbox when its command ends; refused, as nothing runs it here.
    #[arg(long, conflicts_with = "output")]
    no_keep: bool,
    #[command(flatten)]
    live: LiveArguments,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t = Format::Table, conflicts_with_all = ["command", "editor", "forward"])]
    output: Format,
    /// What to run.
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

/// What the original does with a sandbox once it runs: refused in a sentence.
#[derive(Debug, Args)]
struct LiveArguments {
    #[arg(long, hide = true)]
    upload: Vec<String>,
    #[arg(long, hide = true)]
    no_git_ignore: bool,
    #[arg(long, hide = true)]
    editor: Option<String>,
    #[arg(long, hide = true)]
    forward: Option<String>,
}

impl LiveArguments {
    fn check(&self) -> Result<(), Failure> {
        let given = [
            ("--upload", !self.upload.is_empty()),
            ("--no-git-ignore", self.no_git_ignore),
            ("--editor", self.editor.is_some()),
            ("--forward", self.forward.is_some()),
        ];
        match given.into_iter().find(|(_, is_given)| *is_given) {
            Some((flag, _)) => Err(needs_compute(&format!("sandbox create {flag}"))),
            None => Ok(()),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ApprovalMode {
    Manual,
    Auto,
}

pub(crate) async fn run(arguments: CreateArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let (mut request, policy) = request(&arguments)?;
    if !arguments.no_credential_warnings {
        for key in resources::suspicious(&request.spec.clone().unwrap_or_default().environment) {
            context
                .console
                .warn(&format!("--env {key} looks like a credential: a provider keeps it out of the sandbox's record"));
        }
    }
    let session = context.session()?;
    request.workspace.clone_from(&session.workspace);
    check_providers(&session, &arguments.providers).await?;
    let reply =
        session.write(&methods::CREATE_SANDBOX, request).await.map_err(|error| taken(error, policy.as_ref()))?;
    let sandbox = required(reply.sandbox, "sandbox")?;
    let metadata = required(sandbox.metadata.clone().filter(|metadata| !metadata.id.is_empty()), "sandbox id")?;
    remember_sandbox(&context.paths, &session.gateway, &session.workspace, &metadata.name);
    if arguments.approval_mode == ApprovalMode::Auto
        && let Err(error) = approve_automatically(&session, &metadata.name).await
    {
        let words = Failure::from(error).message;
        context.console.warn(&format!("the sandbox exists, but its approval mode could not be set to auto: {words}"));
    }
    let text = match arguments.output {
        Format::Table => format!(
            "\nCreated sandbox: {}\n\n  Phase: {} (the record exists; no compute driver starts it)\n",
            context.console.paint.bold(&metadata.name),
            show::phase(&sandbox)
        ),
        Format::Json => output::json(show::document(&sandbox)),
        Format::Yaml => output::yaml(show::document(&sandbox)),
    };
    context.console.print(&text);
    Ok(())
}

/// Everything that the flags say, checked, and the policy file among it; no workspace yet.
fn request(arguments: &CreateArguments) -> Result<(v1::CreateSandboxRequest, Option<PolicyFile>), Failure> {
    if arguments.no_keep {
        return Err(Failure::new(
            "--no-keep ends a sandbox with its command, and no compute driver runs one: leave it out",
        ));
    }
    arguments.live.check()?;
    let labels = pairs("--label", &arguments.labels)?;
    let environment = pairs("--env", &arguments.environment)?;
    resources::check_environment(&environment)?;
    arguments.cpu.as_deref().map_or(Ok(()), resources::check_cpu)?;
    arguments.memory.as_deref().map_or(Ok(()), resources::check_memory)?;
    let image = arguments.from.as_deref().map(image).transpose()?;
    let driver_config = arguments.driver_config_json.as_deref().map(resources::driver_config).transpose()?;
    let limits = resources::limits(arguments.cpu.as_deref(), arguments.memory.as_deref());
    let has_template = image.is_some() || limits.is_some() || driver_config.is_some();
    let template = has_template.then(|| v1::SandboxTemplate {
        image: image.unwrap_or_default(),
        resources: limits,
        driver_config,
        ..v1::SandboxTemplate::default()
    });
    let policy = PolicyFile::read_chosen(arguments.policy.clone())?;
    let is_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let spec = v1::SandboxSpec {
        environment,
        template,
        policy: policy.as_ref().map(|file| file.policy.clone()),
        providers: arguments.providers.clone(),
        resource_requirements: arguments
            .gpu
            .map(|count| v1::ResourceRequirements { gpu: Some(v1::GpuResourceRequirements { count }) }),
        command: match arguments.command.is_empty() {
            true => vec!["/bin/bash".to_owned(), "-l".to_owned()],
            false => arguments.command.clone(),
        },
        tty: arguments.tty || (is_terminal && !arguments.no_tty),
        ..v1::SandboxSpec::default()
    };
    let name = arguments.name.clone();
    Ok((v1::CreateSandboxRequest { spec: Some(spec), name, labels, ..v1::CreateSandboxRequest::default() }, policy))
}

/// The image that `--from` means.
fn image(source: &str) -> Result<String, Failure> {
    let path = Path::new(source);
    if path.exists() || source.starts_with(['.', '~']) || path.is_absolute() {
        return Err(Failure::new(format!(
            "--from {source} is a path: images are not built here; build one and give its reference"
        )));
    }
    if source.contains(['/', ':', '.']) {
        return Ok(source.to_owned());
    }
    let registry = std::env::var("OPENSHELL_COMMUNITY_REGISTRY").unwrap_or_else(|_| REGISTRY.to_owned());
    Ok(format!("{}/{source}:latest", registry.trim_end_matches('/')))
}

/// Refuses names of providers that the workspace does not have, all of them in one sentence.
async fn check_providers(session: &Session, names: &[String]) -> Result<(), Failure> {
    if names.is_empty() {
        return Ok(());
    }
    let request =
        v1::ListProvidersRequest { workspace: session.workspace.clone(), ..v1::ListProvidersRequest::default() };
    let missing_of = |providers: &[Provider]| -> Vec<String> {
        let known: BTreeSet<&str> = providers.iter().filter_map(name_of).collect();
        names.iter().filter(|name| !known.contains(name.as_str())).cloned().collect()
    };
    let is_enough = |providers: &[Provider]| missing_of(providers).is_empty();
    let missing = missing_of(&session.list_until(&request, Window::all(), is_enough).await?.items);
    match missing.as_slice() {
        [] => Ok(()),
        names => Err(Failure::new(format!(
            "no such provider in workspace {}: {}; create it with 'openshell provider create'",
            session.workspace,
            names.join(", ")
        ))),
    }
}

fn name_of(provider: &Provider) -> Option<&str> {
    provider.metadata.as_ref().map(|metadata| metadata.name.as_str())
}

async fn approve_automatically(session: &Session, name: &str) -> Result<(), CallError> {
    let request = v1::UpdateConfigRequest {
        name: name.to_owned(),
        setting_key: "proposal_approval_mode".to_owned(),
        setting_value: Some(SettingValue { value: Some(setting_value::Value::StringValue("auto".to_owned())) }),
        workspace: session.workspace.clone(),
        ..v1::UpdateConfigRequest::default()
    };
    session.write(&methods::UPDATE_CONFIG, request).await.map(drop)
}

/// A taken name gets a hint beside the gateway's words.
fn taken(error: CallError, policy: Option<&PolicyFile>) -> Failure {
    match error {
        CallError::Refused(status) if status.code() == tonic::Code::AlreadyExists => Failure {
            causes: vec!["choose another --name, or delete the sandbox of that name first".to_owned()],
            ..Failure::new(status.message())
        },
        other => match policy {
            Some(file) => file.failure(other),
            None => other.into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{CreateArguments, image, request, taken};
    use clap::Parser;
    use openshell_client::CallError;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: CreateArguments,
    }

    fn parse(words: &[&str]) -> Result<CreateArguments, clap::Error> {
        Line::try_parse_from([&["create"], words].concat()).map(|line| line.arguments)
    }

    #[test]
    fn a_bare_create_sends_no_template_and_the_default_command() {
        let words = ["--name", "s1", "--label", "a=b", "--no-tty"];
        let (request, _) = request(&parse(&words).expect("good flags")).expect("a request");
        let spec = request.spec.expect("a specification");
        assert_eq!((request.name.as_str(), request.labels["a"].as_str()), ("s1", "b"));
        assert_eq!(
            (spec.template, spec.command, spec.tty),
            (None, vec!["/bin/bash".to_owned(), "-l".to_owned()], false)
        );
    }

    #[test]
    fn what_is_wrong_is_refused_before_anything_is_sent() {
        for words in
            [["--label", "x"], ["--env", "1=x"], ["--cpu", "0"], ["--memory", "4gb"], ["--policy", "nosuch.yaml"]]
        {
            request(&parse(&words).expect("good flags")).expect_err(words[1]);
        }
        for words in [&["--upload", "x"][..], &["--no-git-ignore"], &["--editor", "vi"], &["--forward", "80"]] {
            let failure = request(&parse(words).expect("known flags")).expect_err(words[0]);
            assert!(failure.message.contains(words[0]) && failure.message.contains("compute"), "{}", failure.message);
        }
        assert!(parse(&["-o", "json", "--", "ls"]).is_err(), "a command excludes -o");
        assert_eq!(parse(&["--gpu"]).expect("good flags").gpu, Some(None));
        assert_eq!(parse(&["--gpu=2"]).expect("good flags").gpu, Some(Some(2)));
    }

    #[test]
    fn images_are_references_or_names_in_the_registry_and_never_paths() {
        assert_eq!(image("ghcr.io/a/b:1").expect("a reference"), "ghcr.io/a/b:1");
        assert!(image("base").expect("a name").ends_with("/base:latest"));
        image("./Dockerfile").expect_err("a path");
    }

    #[test]
    fn cli_scenario_52_a_taken_name_comes_with_a_hint() {
        let failure = taken(CallError::Refused(tonic::Status::already_exists("sandbox 's1' already exists")), None);
        assert_eq!(failure.message, "sandbox 's1' already exists");
        assert!(failure.causes[0].contains("--name"));
    }
}
