//! What a sandbox has to run with: policy and settings, and the environment of its providers, of one
//! state. How it reads on disk is here; where, is in `disk`.

use std::collections::BTreeSet;
use std::fmt;

use openshell_proto::sandbox::GetSandboxConfigResponse;
use openshell_proto::v1::GetSandboxProviderEnvironmentResponse;
use prost::Message;
use prost_reflect::{DeserializeOptions, DynamicMessage, SerializeOptions};
use serde_json::{Value, json};

use crate::installed::AsOf;
use crate::position::Position;

const CONFIG: &str = "openshell.sandbox.v1.GetSandboxConfigResponse";
const ENVIRONMENT: &str = "openshell.v1.GetSandboxProviderEnvironmentResponse";

/// Everything of one sandbox at one position. The environment holds credentials: its `Debug` names
/// variables and shows no value.
#[derive(Clone, PartialEq)]
pub struct Configuration {
    /// Of which state. None from a gateway that does not say, as released ones do not.
    pub position: Option<Position>,
    /// Policy, settings and their revisions.
    pub config: GetSandboxConfigResponse,
    /// Variables, credentials, where they may be used and until when.
    pub environment: GetSandboxProviderEnvironmentResponse,
}

/// Why a text is no configuration. Reading it again does not help.
#[derive(Debug, thiserror::Error)]
#[error("{file} does not hold {what}: {problem}")]
pub struct Unreadable {
    /// `config.json` or `credentials.json`.
    pub file: &'static str,
    /// What was looked for.
    pub what: &'static str,
    /// What was found instead.
    pub problem: String,
}

impl Configuration {
    /// The revisions by which a node knows what is installed; zero is none.
    pub(crate) fn revisions(&self) -> (u64, u64) {
        (self.config.config_revision, self.environment.provider_env_revision)
    }

    /// Whether both say the same, of whatever state.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        (&self.config, &self.environment) == (&other.config, &other.environment)
    }

    /// When the first of its credentials expires, milliseconds since the Unix epoch.
    pub(crate) fn next_expiry_ms(&self) -> Option<i64> {
        let expiries = self.environment.credential_expires_at_ms.iter();
        expiries.filter(|(name, at_ms)| **at_ms > 0 && self.has(name)).map(|(_, at_ms)| *at_ms).min()
    }

    /// The same without the credentials that expired by `now_ms`, and the names of those; nothing when
    /// none did.
    pub(crate) fn without_expired(&self, now_ms: i64) -> Option<(Self, BTreeSet<String>)> {
        let expiries = self.environment.credential_expires_at_ms.iter();
        let expired: BTreeSet<String> = expiries
            .filter(|(name, at_ms)| (1..=now_ms).contains(*at_ms) && self.has(name))
            .map(|(name, _)| name.clone())
            .collect();
        if expired.is_empty() {
            return None;
        }
        let mut left = self.clone();
        for name in &expired {
            left.environment.environment.remove(name);
            left.environment.static_credential_bindings.remove(name);
            left.environment.credential_expires_at_ms.remove(name);
        }
        Some((left, expired))
    }

    /// The same without its environment, and the names of what that held; nothing when it held nothing.
    pub(crate) fn without_environment(&self) -> Option<(Self, BTreeSet<String>)> {
        let environment = &self.environment;
        let names = environment.environment.keys().chain(environment.static_credential_bindings.keys());
        let names: BTreeSet<String> = names.chain(environment.dynamic_credentials.keys()).cloned().collect();
        let left = || Self { environment: Default::default(), ..self.clone() };
        (!names.is_empty()).then(|| (left(), names))
    }

    fn has(&self, name: &str) -> bool {
        self.environment.environment.contains_key(name)
            || self.environment.static_credential_bindings.contains_key(name)
    }

    /// The text of the two files, the one with credentials second, each with when its part was last known to be
    /// current.
    ///
    /// # Errors
    /// When a message does not fit the descriptor that it was generated from, which the build prevents.
    pub(crate) fn to_files(&self, sandbox_id: &str, as_of: AsOf) -> Result<(Vec<u8>, Vec<u8>), Unreadable> {
        let file = |file, name, message: Vec<u8>, key: &str, as_of_ms: i64| {
            let unreadable = |problem: String| Unreadable { file, what: name, problem };
            let value = to_json(name, &message).map_err(unreadable)?;
            let position = self.position;
            let whole = json!({ "sandbox_id": sandbox_id, "position": position, "as_of_ms": as_of_ms, key: value });
            let mut text = serde_json::to_vec_pretty(&whole).map_err(|error| unreadable(error.to_string()))?;
            text.push(b'\n');
            Ok(text)
        };
        let config = file("config.json", CONFIG, self.config.encode_to_vec(), "config", as_of.config_ms)?;
        let environment = self.environment.encode_to_vec();
        let environment = file("credentials.json", ENVIRONMENT, environment, "environment", as_of.environment_ms)?;
        Ok((config, environment))
    }

    /// Reads what [`Configuration::to_files`] wrote, for the same sandbox, and as of when that was.
    ///
    /// # Errors
    /// When a text is anything else, is another sandbox's, or the two are not of one state.
    pub(crate) fn from_files(sandbox_id: &str, config: &[u8], credentials: &[u8]) -> Result<(Self, AsOf), Unreadable> {
        let (position, config_ms, config) = part("config.json", CONFIG, sandbox_id, config, "config")?;
        let (other, environment_ms, environment) =
            part("credentials.json", ENVIRONMENT, sandbox_id, credentials, "environment")?;
        if position != other {
            let problem = format!("it is of another state: {position:?} beside {other:?}");
            return Err(Unreadable { file: "credentials.json", what: ENVIRONMENT, problem });
        }
        Ok((Self { position, config, environment }, AsOf { config_ms, environment_ms }))
    }
}

impl fmt::Debug for Configuration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Configuration")
            .field("position", &self.position)
            .field("config", &self.config)
            .field("provider_env_revision", &self.environment.provider_env_revision)
            .field("variables", &self.environment.environment.keys())
            .finish_non_exhaustive()
    }
}

fn to_json(name: &str, message: &[u8]) -> Result<Value, String> {
    let descriptor = openshell_proto::pool().get_message_by_name(name).ok_or("no such message")?;
    let dynamic = DynamicMessage::decode(descriptor, message).map_err(|error| error.to_string())?;
    // 64-bit numbers as text, as protobuf has it: others read numbers as floating point.
    let options = SerializeOptions::new().use_proto_field_name(true);
    dynamic.serialize_with_options(serde_json::value::Serializer, &options).map_err(|error| error.to_string())
}

fn part<M: Message + Default>(
    file: &'static str,
    name: &'static str,
    sandbox_id: &str,
    text: &[u8],
    key: &str,
) -> Result<(Option<Position>, i64, M), Unreadable> {
    let unreadable = |problem: String| Unreadable { file, what: name, problem };
    let mut whole: Value = serde_json::from_slice(text).map_err(|error| unreadable(error.to_string()))?;
    if whole["sandbox_id"] != sandbox_id {
        return Err(unreadable(format!("it is sandbox {}'s", whole["sandbox_id"])));
    }
    let position = serde_json::from_value(whole["position"].take()).map_err(|error| unreadable(error.to_string()))?;
    let as_of_ms = whole["as_of_ms"].as_i64().unwrap_or(0);
    let descriptor = openshell_proto::pool().get_message_by_name(name);
    let descriptor = descriptor.ok_or_else(|| unreadable("no such message".to_owned()))?;
    // What a later release wrote and this one does not know is passed over.
    let options = DeserializeOptions::new().deny_unknown_fields(false);
    let dynamic = DynamicMessage::deserialize_with_options(descriptor, whole[key].take(), &options);
    let dynamic = dynamic.map_err(|error| unreadable(error.to_string()))?;
    let message = dynamic.transcode_to().map_err(|error| unreadable(error.to_string()))?;
    Ok((position, as_of_ms, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn with_credentials(expiries: &[(&str, i64)]) -> Configuration {
        let mut environment = GetSandboxProviderEnvironmentResponse { provider_env_revision: 7, ..Default::default() };
        for (name, expires_at_ms) in expiries {
            environment.environment.insert((*name).to_owned(), format!("value of {name}"));
            environment.static_credential_bindings.insert((*name).to_owned(), Default::default());
            if *expires_at_ms > 0 {
                environment.credential_expires_at_ms.insert((*name).to_owned(), *expires_at_ms);
            }
        }
        let config = GetSandboxConfigResponse { config_revision: u64::MAX - 1, version: 3, ..Default::default() };
        Configuration { position: Some(Position { epoch: 1, revision: 40 }), config, environment }
    }

    #[test]
    fn what_expired_goes_and_nothing_else() {
        let whole = with_credentials(&[("FOREVER", 0), ("SOON", 50), ("LATER", 90)]);
        assert_eq!(whole.next_expiry_ms(), Some(50));
        assert_eq!(whole.without_expired(49), None);
        let (left, gone) = whole.without_expired(50).expect("one expired");
        assert_eq!(gone, BTreeSet::from(["SOON".to_owned()]));
        let names: Vec<_> = left.environment.environment.keys().map(String::as_str).collect();
        assert_eq!(names, ["FOREVER", "LATER"]);
        assert_eq!(left.environment.static_credential_bindings.len(), 2);
        assert_eq!(left.next_expiry_ms(), Some(90));
        assert_eq!(left.without_expired(i64::MAX).expect("one more").0.next_expiry_ms(), None);
    }

    #[test]
    fn both_files_read_back_as_they_were_and_only_together() {
        let whole = with_credentials(&[("SOON", 50)]);
        let as_of = AsOf { config_ms: 1_234, environment_ms: 567 };
        let (config, credentials) = whole.to_files("box", as_of).expect("it can be written");
        assert!(!String::from_utf8_lossy(&config).contains("value of SOON"), "no credential beside the policy");
        let read = Configuration::from_files("box", &config, &credentials).expect("it can be read");
        assert_eq!(read, (whole.clone(), as_of));
        let error = Configuration::from_files("other", &config, &credentials).expect_err("another sandbox's");
        assert!(error.to_string().contains("\"box\""), "{error}");
        let later = Configuration { position: Some(Position { epoch: 1, revision: 41 }), ..whole.clone() };
        let (_, others) = later.to_files("box", as_of).expect("it can be written");
        Configuration::from_files("box", &config, &others).expect_err("two states");
        for end in [0, 1, config.len() / 2, config.len() - 3] {
            Configuration::from_files("box", &config[..end], &credentials).expect_err("a torn file");
        }
    }

    #[test]
    fn no_credential_is_shown_to_who_debugs() {
        let shown = format!("{:?}", with_credentials(&[("SOON", 50)]));
        assert!(shown.contains("SOON") && !shown.contains("value of SOON"), "{shown}");
    }
}
