//! `openshell cluster watch`: what changes, a line each, until it is interrupted.

use std::time::Duration;

use clap::{Args, ValueEnum};
use openshell_client::{CallError, CallOptions, Watch, methods};
use openshell_proto::cluster::watch_event::Act;
use openshell_proto::cluster::watch_response::Type;
use openshell_proto::cluster::{Position, WatchEvent, WatchKind, WatchRequest, WatchResponse};
use openshell_proto::v1::GetCurrentUserRequest;
use serde_json::json;

use crate::context::{Context, Session};
use crate::failure::Failure;

/// How long the cluster may be away before the command gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// `openshell cluster watch ...`.
#[derive(Debug, Args)]
pub(crate) struct WatchArguments {
    /// What to watch; repeat for several. Without it, everything: for who is no platform admin, but
    /// members of the workspace, which its admins have to ask for.
    #[arg(long = "kind", value_enum, value_name = "KIND")]
    kinds: Vec<Kind>,
    /// All workspaces; for platform admins.
    #[arg(short = 'A', long)]
    all_workspaces: bool,
    /// Only what has these labels: key=value, comma-separated.
    #[arg(long, default_value = "", value_name = "LABELS")]
    selector: String,
    /// What came after this revision, instead of the state as it is: REVISION or EPOCH/REVISION.
    #[arg(long, value_name = "REVISION")]
    from: Option<String>,
    /// Lines for people, or one JSON document a line.
    #[arg(short, long, value_enum, default_value_t = Lines::Text)]
    output: Lines,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Lines {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Workspace,
    WorkspaceMember,
    ProviderProfile,
    Provider,
    Sandbox,
    Settings,
    Policy,
}

pub(super) async fn run(arguments: WatchArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let session = context.session()?;
    let from = match &arguments.from {
        Some(text) => Some(position(text, &session).await?),
        None => None,
    };
    let request = WatchRequest {
        kinds: arguments.kinds.iter().map(|kind| wire(*kind) as i32).collect(),
        workspace: if arguments.all_workspaces { String::new() } else { session.workspace.clone() },
        all_workspaces: arguments.all_workspaces,
        label_selector: arguments.selector,
        from,
    };
    let mut shown = None;
    let mut watch = Watch::new(session.client.clone(), request, PATIENCE);
    loop {
        let response = match watch.next().await {
            Ok(response) => response,
            Err(openshell_client::WatchError::Call(error)) => return Err(error.into()),
            Err(error) => return Err(Failure::new(error.to_string())),
        };
        // A quiet node says every few seconds where it is; a line says it once.
        if response.r#type() == Type::Progress && response.position == shown {
            continue;
        }
        if response.r#type() != Type::Initial {
            shown = response.position;
        }
        for line in lines(&response, arguments.output) {
            context.console.line(&line);
        }
        if !context.console.is_read() {
            return Ok(());
        }
    }
}

/// `REVISION` of the cluster that answers, or `EPOCH/REVISION`.
async fn position(text: &str, session: &Session) -> Result<Position, Failure> {
    let wrong = || Failure::new(format!("--from {text:?} must read REVISION or EPOCH/REVISION"));
    let (epoch, revision) = match text.split_once('/') {
        Some((epoch, revision)) => (Some(epoch.parse().map_err(|_| wrong())?), revision),
        None => (None, text),
    };
    let revision = revision.parse().map_err(|_| wrong())?;
    let epoch = match epoch {
        Some(epoch) => epoch,
        None => {
            let options = CallOptions::default();
            let answer = session.client.call(&methods::GET_CURRENT_USER, GetCurrentUserRequest {}, &options).await;
            let answer = answer.map_err(CallError::of_a_read)?;
            // A node that joins has no state yet, and so no epoch.
            let epoch = answer.seen.epoch.filter(|epoch| *epoch != 0);
            epoch
                .ok_or_else(|| Failure::new("the gateway does not say its epoch; repeat it, or give EPOCH/REVISION"))?
        }
    };
    Ok(Position { epoch, revision })
}

fn wire(kind: Kind) -> WatchKind {
    match kind {
        Kind::Workspace => WatchKind::Workspace,
        Kind::WorkspaceMember => WatchKind::WorkspaceMember,
        Kind::ProviderProfile => WatchKind::ProviderProfile,
        Kind::Provider => WatchKind::Provider,
        Kind::Sandbox => WatchKind::Sandbox,
        Kind::Settings => WatchKind::Settings,
        Kind::Policy => WatchKind::Policy,
    }
}

/// One line an event, and one for the mark that the state is complete.
fn lines(response: &WatchResponse, form: Lines) -> Vec<String> {
    let position = response.position.unwrap_or_default();
    let mark = match response.r#type() {
        Type::Synced => "synced",
        // For scripts that keep the position.
        Type::Progress if form == Lines::Json => "progress",
        Type::Progress | Type::Initial | Type::Changes | Type::Unspecified => {
            return response.events.iter().map(|event| line(event, response, form)).collect();
        }
    };
    vec![match form {
        Lines::Text => format!("{:<8} {mark}", position.revision),
        Lines::Json => json!({"type": mark, "epoch": position.epoch, "revision": position.revision}).to_string(),
    }]
}

fn line(event: &WatchEvent, response: &WatchResponse, form: Lines) -> String {
    let act = match event.act() {
        _ if response.r#type() == Type::Initial => "is",
        Act::Created => "created",
        Act::Updated => "updated",
        Act::Deleted => "deleted",
        Act::Unspecified => "changed",
    };
    let kind = event.kind().as_str_name().trim_start_matches("WATCH_KIND_").to_lowercase();
    if form == Lines::Json {
        let mut document = json!({
            "type": if response.r#type() == Type::Initial { "initial" } else { "change" },
            "epoch": response.position.unwrap_or_default().epoch,
            "revision": event.revision,
            "act": act,
            "kind": kind,
            "workspace": event.workspace,
            "name": event.name,
        });
        if let Some(origin) = &response.origin {
            document["principal"] = json!(origin.principal);
            document["rpc"] = json!(origin.rpc);
            document["time_ms"] = json!(origin.time_ms);
            document["node"] = json!(origin.node);
        }
        return document.to_string();
    }
    let place = if event.workspace.is_empty() { String::new() } else { format!("{}/", event.workspace) };
    let by = response.origin.as_ref().map_or(String::new(), |origin| {
        format!("  by {} ({})", origin.principal, origin.rpc.rsplit('/').next().unwrap_or_default())
    });
    format!("{:<8} {act} {kind} {place}{}{by}", event.revision, event.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use openshell_proto::cluster::WatchOrigin;

    #[test]
    fn a_change_is_a_line_with_who_made_it() {
        let event = WatchEvent {
            act: Act::Updated as i32,
            kind: WatchKind::ProviderProfile as i32,
            workspace: "team".into(),
            name: "acme".into(),
            revision: 118,
            object: None,
        };
        let response = WatchResponse {
            r#type: Type::Changes as i32,
            position: Some(Position { epoch: 1, revision: 118 }),
            events: vec![event],
            origin: Some(WatchOrigin {
                principal: "user:mtls:ann".into(),
                rpc: "openshell.v1.OpenShell/UpdateProviderProfiles".into(),
                time_ms: 5,
                node: 2,
            }),
        };
        assert_eq!(
            lines(&response, Lines::Text),
            ["118      updated provider_profile team/acme  by user:mtls:ann (UpdateProviderProfiles)"]
        );
        let document: serde_json::Value = serde_json::from_str(&lines(&response, Lines::Json)[0]).unwrap();
        assert_eq!((&document["act"], &document["revision"]), (&json!("updated"), &json!(118)));
    }

    #[test]
    fn the_marks_say_where_to_go_on_from() {
        let mark = |of: Type| WatchResponse {
            r#type: of as i32,
            position: Some(Position { epoch: 1, revision: 7 }),
            ..WatchResponse::default()
        };
        assert_eq!(lines(&mark(Type::Synced), Lines::Text), ["7        synced"]);
        assert_eq!(lines(&mark(Type::Progress), Lines::Text), Vec::<String>::new());
        let progress: serde_json::Value = serde_json::from_str(&lines(&mark(Type::Progress), Lines::Json)[0]).unwrap();
        assert_eq!(progress, json!({"type": "progress", "epoch": 1, "revision": 7}));
    }
}
