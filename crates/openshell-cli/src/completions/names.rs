//! Names for a shell to complete: of gateways from the files, of everything else from the cluster, within a
//! second. Whatever goes wrong, there are no names: a person who types is not to read errors.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use clap::Parser;
use clap_complete::engine::CompletionCandidate;
use openshell_client::{CallOptions, Consistency, Method, methods};
use openshell_proto::datamodel::ObjectMeta;
use openshell_proto::v1;
use tokio::time::timeout;

use crate::Arguments;
use crate::config::list;
use crate::context::{Answer, Context, Request, Session};
use crate::output::Console;

/// How long a person waits for names.
const LIMIT: Duration = Duration::from_secs(1);
/// Names of one kind that are asked for (`cli.md` 1.13).
const NAMES_MAX: u32 = 200;

/// What a name is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Gateway,
    Workspace,
    Profile,
    Provider,
    Sandbox,
}

/// The names that begin with what was typed.
pub(super) fn candidates(kind: Kind, typed: &OsStr) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let names = names(kind, &std::env::args_os().collect::<Vec<_>>()).unwrap_or_default();
    names.into_iter().filter(|name| name.starts_with(typed.as_ref())).map(CompletionCandidate::new).collect()
}

/// All names, as seen with the words typed so far. The gateway is that of OPENSHELL_GATEWAY, or the active one.
fn names(kind: Kind, words: &[OsString]) -> Option<Vec<String>> {
    // Parsed rather than made, so that variables count as they do for commands.
    let line = match workspace_in(words) {
        Some(workspace) => vec![OsString::from("openshell"), "--workspace".into(), workspace],
        None => vec!["openshell".into()],
    };
    let mut global = Arguments::try_parse_from(line).ok()?.global;
    global.gateway_endpoint.clear();
    let mut console = Console::of_this_process();
    let context = Context::new(global, &mut console);
    if kind == Kind::Gateway {
        return Some(list(&context.paths).into_keys().collect());
    }
    let of_platform = words.iter().any(|word| word == "--global" || word == "--global-profile");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let names = runtime.block_on(async {
        let session = context.silent_session().ok()?;
        timeout(LIMIT, ask(kind, of_platform, &session)).await.ok().flatten()
    });
    // A look-up of a gateway's name that gets no answer is not waited for.
    runtime.shutdown_background();
    names
}

/// The value of `--workspace` among the words.
fn workspace_in(words: &[OsString]) -> Option<OsString> {
    let mut words = words.iter().skip_while(|word| *word != "--");
    while let Some(word) = words.next() {
        if word == "--workspace" {
            return words.next().cloned();
        }
        if let Some(value) = word.to_str().and_then(|word| word.strip_prefix("--workspace=")) {
            return Some(value.into());
        }
    }
    None
}

async fn ask(kind: Kind, of_platform: bool, session: &Session) -> Option<Vec<String>> {
    let workspace = session.workspace.clone();
    let limit = NAMES_MAX;
    let name = |metadata: Option<ObjectMeta>| metadata.map(|metadata| metadata.name);
    let names: Vec<String> = match kind {
        Kind::Gateway => Vec::new(),
        Kind::Workspace => {
            let request = v1::ListWorkspacesRequest { limit, ..v1::ListWorkspacesRequest::default() };
            let answer = call(session, &methods::LIST_WORKSPACES, request).await?;
            answer.workspaces.into_iter().filter_map(|workspace| name(workspace.metadata)).collect()
        }
        Kind::Profile => {
            let workspace = if of_platform { String::new() } else { workspace };
            let request =
                v1::ListProviderProfilesRequest { limit, workspace, ..v1::ListProviderProfilesRequest::default() };
            let answer = call(session, &methods::LIST_PROVIDER_PROFILES, request).await?;
            answer.profiles.into_iter().map(|profile| profile.id).collect()
        }
        Kind::Provider => {
            let request = v1::ListProvidersRequest { limit, workspace, ..v1::ListProvidersRequest::default() };
            let answer = call(session, &methods::LIST_PROVIDERS, request).await?;
            answer.providers.into_iter().filter_map(|provider| name(provider.metadata)).collect()
        }
        Kind::Sandbox => {
            let request = v1::ListSandboxesRequest { limit, workspace, ..v1::ListSandboxesRequest::default() };
            let answer = call(session, &methods::LIST_SANDBOXES, request).await?;
            answer.sandboxes.into_iter().filter_map(|sandbox| name(sandbox.metadata)).collect()
        }
    };
    Some(names)
}

/// Whatever node answers first answers: names need not be the newest.
async fn call<Q: Request, A: Answer>(session: &Session, method: &Method<Q, A>, request: Q) -> Option<A> {
    let options = CallOptions::default().consistency(Consistency::Local).deadline(LIMIT);
    session.client.call(method, request, &options).await.ok().map(|answer| answer.message)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::workspace_in;

    #[test]
    fn the_workspace_is_taken_from_the_words() {
        let find = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            workspace_in(&words).map(|workspace| workspace.to_string_lossy().into_owned())
        };
        assert_eq!(find("openshell -- openshell --workspace w sandbox get").as_deref(), Some("w"));
        assert_eq!(find("openshell -- openshell sandbox get --workspace=w").as_deref(), Some("w"));
        assert_eq!(find("openshell -- openshell sandbox get --workspace"), None);
        assert_eq!(find("openshell --workspace w"), None);
    }
}
