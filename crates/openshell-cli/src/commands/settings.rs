//! `openshell settings`: get, set and delete, for one sandbox or for all.

use clap::{Args, Subcommand};
use openshell_client::{Seen, methods};
use openshell_proto::sandbox::{
    GetGatewayConfigRequest, GetGatewayConfigResponse, GetSandboxConfigRequest, GetSandboxConfigResponse, SettingScope,
};
use openshell_proto::v1;
use serde_json::{Map, Value, json};

use super::policy::source_word;
use super::rollout::wait::WaitArguments;
use super::sandbox::sandbox_id;
use super::setting_value::{parse_setting, setting_text};
use crate::context::{Context, Session};
use crate::failure::Failure;
use crate::output::{self, confirm};

/// `openshell settings ...`.
#[derive(Debug, Args)]
pub(crate) struct SettingsArguments {
    #[command(subcommand)]
    pub(crate) command: Option<SettingsCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SettingsCommand {
    /// Shows the settings of a sandbox, or those for all.
    Get {
        /// The sandbox; the one used last when absent.
        name: Option<String>,
        /// Those for all sandboxes.
        #[arg(long)]
        global: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Sets one.
    Set {
        #[command(flatten)]
        target: Target,
        /// Its new value.
        #[arg(long)]
        value: String,
        #[command(flatten)]
        wait: WaitArguments,
    },
    /// Deletes one, so that the default holds again.
    Delete {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        wait: WaitArguments,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Target {
    /// The sandbox; the one used last when absent.
    name: Option<String>,
    /// The setting's key.
    #[arg(long)]
    key: String,
    /// For all sandboxes.
    #[arg(long)]
    global: bool,
    /// Does not ask before changing something for all.
    #[arg(long)]
    yes: bool,
}

pub(crate) async fn run(arguments: SettingsArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let Some(command) = arguments.command else { return Ok(()) };
    match command {
        SettingsCommand::Get { name, global, json } => {
            check_target(name.as_deref(), global)?;
            let text =
                if global { global_text(context, json).await? } else { sandbox_text(context, name, json).await? };
            context.console.print(&text);
            Ok(())
        }
        SettingsCommand::Set { target, value, wait } => set(target, &value, wait, context).await,
        SettingsCommand::Delete { target, wait } => delete(target, wait, context).await,
    }
}

/// A sandbox and all of them exclude each other.
pub(crate) fn check_target(name: Option<&str>, global: bool) -> Result<(), Failure> {
    match name {
        Some(name) if global => {
            Err(Failure::new(format!("--global means every sandbox: leave out '{name}', or leave out --global")))
        }
        Some(_) | None => Ok(()),
    }
}

async fn global_text(context: &mut Context<'_>, as_json: bool) -> Result<String, Failure> {
    let config = context.session()?.read(&methods::GET_GATEWAY_CONFIG, GetGatewayConfigRequest {}).await?;
    Ok(if as_json { output::json(global_document(&config)) } else { global_lines(&config) })
}

async fn sandbox_text(context: &mut Context<'_>, name: Option<String>, as_json: bool) -> Result<String, Failure> {
    let session = context.session()?;
    let name = context.sandbox_name(&session, name)?;
    let sandbox_id = sandbox_id(&session, &name).await?;
    let config = session.read(&methods::GET_SANDBOX_CONFIG, GetSandboxConfigRequest { sandbox_id }).await?;
    Ok(match as_json {
        true => output::json(sandbox_document(&name, &session.workspace, &config)),
        false => sandbox_lines(&name, &config),
    })
}

async fn set(target: Target, text: &str, wait: WaitArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    check_target(target.name.as_deref(), target.global)?;
    let value = parse_setting(&target.key, text)?;
    let shown = setting_text(Some(&value)).unwrap_or_default();
    if target.global {
        confirm(&format!("Set {} = {shown} for every sandbox of this gateway?", target.key), target.yes)?;
    }
    let session = context.session()?;
    let (name, reply, seen) = update(&target, &session, context, |request| request.setting_value = Some(value)).await?;
    let revision = reply.settings_revision;
    let key = &target.key;
    context.console.done(&match target.global {
        true => format!("Set global setting {key}={shown} (revision {revision})"),
        false => format!("Set sandbox setting {key}={shown} for {name} (revision {revision})"),
    });
    wait.wait(&session, seen, target.global, context).await
}

async fn delete(target: Target, wait: WaitArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    check_target(target.name.as_deref(), target.global)?;
    if target.global {
        confirm(&format!("Delete {} for every sandbox of this gateway?", target.key), target.yes)?;
    }
    let session = context.session()?;
    let (name, reply, seen) = update(&target, &session, context, |request| request.delete_setting = true).await?;
    let (key, revision) = (&target.key, reply.settings_revision);
    match (reply.deleted, target.global) {
        (true, true) => context.console.done(&format!("Deleted global setting {key} (revision {revision})")),
        (true, false) => {
            context.console.done(&format!("Deleted sandbox setting {key} for {name} (revision {revision})"))
        }
        (false, true) => context.console.missed(&format!("Global setting {key} not found")),
        (false, false) => context.console.missed(&format!("Sandbox setting {key} not found for {name}")),
    }
    if !reply.deleted {
        wait.unchanged(context);
        return Ok(());
    }
    wait.wait(&session, seen, target.global, context).await
}

/// Deletes what is set for all sandboxes under a key: a setting, or the policy, which is kept in the same way.
pub(crate) async fn delete_global(
    key: &str,
    yes: bool,
    wait: WaitArguments,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    delete(Target { name: None, key: key.to_owned(), global: true, yes }, wait, context).await
}

/// Sends one `UpdateConfig` about the target's key; gives back the sandbox meant, and the reply.
async fn update(
    target: &Target,
    session: &Session,
    context: &mut Context<'_>,
    change: impl FnOnce(&mut v1::UpdateConfigRequest),
) -> Result<(String, v1::UpdateConfigResponse, Seen), Failure> {
    let name = match target.global {
        true => String::new(),
        false => context.sandbox_name(session, target.name.clone())?,
    };
    let mut request = v1::UpdateConfigRequest {
        name: name.clone(),
        setting_key: target.key.clone(),
        global: target.global,
        workspace: session.workspace.clone(),
        ..v1::UpdateConfigRequest::default()
    };
    change(&mut request);
    let (reply, seen) = session.change(&methods::UPDATE_CONFIG, request).await?;
    Ok((name, reply, seen))
}

fn global_lines(config: &GetGatewayConfigResponse) -> String {
    let mut text = format!("Scope:         global\nSettings Rev:  {}\n", config.settings_revision);
    if config.settings.is_empty() {
        return text + "Settings:      No settings available.\n";
    }
    text.push_str("Settings:\n");
    for (key, value) in &config.settings {
        text.push_str(&format!("  {key} = {}\n", shown(setting_text(Some(value)))));
    }
    text
}

fn sandbox_lines(name: &str, config: &GetSandboxConfigResponse) -> String {
    let mut text = format!(
        "Sandbox:       {name}\nConfig Rev:    {}\nPolicy Source: {}\nPolicy Hash:   {}\n",
        config.config_revision,
        source_word(config.policy_source()),
        config.policy_hash
    );
    if config.settings.is_empty() {
        return text + "Settings:      No settings available.\n";
    }
    text.push_str("Settings:\n");
    for (key, setting) in &config.settings {
        let value = shown(setting_text(setting.value.as_ref()));
        text.push_str(&format!("  {key} = {value} ({})\n", scope_word(setting.scope())));
    }
    text
}

fn shown(value: Option<String>) -> String {
    value.unwrap_or_else(|| "<unset>".to_owned())
}

fn scope_word(scope: SettingScope) -> &'static str {
    match scope {
        SettingScope::Unspecified => "unset",
        SettingScope::Sandbox => "sandbox",
        SettingScope::Global => "global",
    }
}

fn global_document(config: &GetGatewayConfigResponse) -> Value {
    let settings: Map<_, _> =
        config.settings.iter().map(|(key, value)| (key.clone(), json!(shown(setting_text(Some(value)))))).collect();
    json!({"scope": "global", "settings": settings, "settings_revision": config.settings_revision})
}

fn sandbox_document(name: &str, workspace: &str, config: &GetSandboxConfigResponse) -> Value {
    let setting = |setting: &openshell_proto::sandbox::EffectiveSetting| json!({"scope": scope_word(setting.scope()), "value": shown(setting_text(setting.value.as_ref()))});
    let settings: Map<_, _> = config.settings.iter().map(|(key, value)| (key.clone(), setting(value))).collect();
    json!({
        "config_revision": config.config_revision,
        "policy_hash": config.policy_hash,
        "policy_source": source_word(config.policy_source()),
        "sandbox": name,
        "settings": settings,
        "workspace": workspace,
    })
}

#[cfg(test)]
mod tests {
    use super::{global_lines, sandbox_document, sandbox_lines};
    use crate::output;
    use openshell_proto::sandbox::setting_value::Value;
    use openshell_proto::sandbox::{
        EffectiveSetting, GetGatewayConfigResponse, GetSandboxConfigResponse, PolicySource, SettingScope, SettingValue,
    };

    fn config() -> GetSandboxConfigResponse {
        let on = SettingValue { value: Some(Value::BoolValue(true)) };
        GetSandboxConfigResponse {
            policy_hash: "abc".into(),
            config_revision: 7,
            policy_source: PolicySource::Sandbox.into(),
            settings: [
                (
                    "ocsf_json_enabled".to_owned(),
                    EffectiveSetting { value: Some(on), scope: SettingScope::Sandbox.into() },
                ),
                ("proposal_approval_mode".to_owned(), EffectiveSetting::default()),
            ]
            .into(),
            ..GetSandboxConfigResponse::default()
        }
    }

    #[test]
    fn settings_of_a_sandbox_name_their_scope() {
        assert_eq!(
            sandbox_lines("s1", &config()),
            "Sandbox:       s1\nConfig Rev:    7\nPolicy Source: sandbox\nPolicy Hash:   abc\nSettings:\n  \
             ocsf_json_enabled = true (sandbox)\n  proposal_approval_mode = <unset> (unset)\n"
        );
    }

    #[test]
    fn cli_scenario_71_values_are_strings_in_documents() {
        let text = output::json(sandbox_document("s1", "default", &config()));
        assert!(
            text.contains("\"ocsf_json_enabled\": {\n      \"scope\": \"sandbox\",\n      \"value\": \"true\"\n    }"),
            "{text}"
        );
    }

    #[test]
    fn global_settings_have_a_revision() {
        let config = GetGatewayConfigResponse {
            settings: [("ocsf_json_enabled".to_owned(), SettingValue::default())].into(),
            settings_revision: 3,
        };
        assert_eq!(
            global_lines(&config),
            "Scope:         global\nSettings Rev:  3\nSettings:\n  ocsf_json_enabled = <unset>\n"
        );
    }
}
