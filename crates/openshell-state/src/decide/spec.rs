//! Limits of a sandbox specification (`config.md` SR-5), checked in that order.

use std::collections::BTreeMap;

use openshell_policy::safety::{self, LIMITS};
use openshell_proto::sandbox::SandboxPolicy;
use openshell_proto::v1::{SandboxSpec, SandboxTemplate};
use openshell_providers::environment;
use prost::Message;

use crate::names::{bounded, bounded_map};
use crate::refusal::Refusal;

/// Providers that one sandbox may list.
pub(crate) const PROVIDERS_MAX: usize = 32;
const LOG_LEVEL_MAX: usize = 32;
const ENVIRONMENT_MAX: usize = 128;
const ENVIRONMENT_BYTES_MAX: usize = 262_144;
const TEMPLATE_STRING_MAX: usize = 1024;
const TEMPLATE_MAP_MAX: usize = 128;
const TEMPLATE_STRUCT_MAX: usize = 65_536;
const COMMAND_ARGUMENTS_MAX: usize = 256;
const COMMAND_ARGUMENT_MAX: usize = 32_768;
const COMMAND_BYTES_MAX: usize = 262_144;
const POLICY_BYTES_MAX: usize = 262_144;
/// Environment variables of the gateway's own.
const RESERVED_PREFIX: &str = "OPENSHELL_";

/// Refuses a specification that is too large or malformed, naming the field.
pub(crate) fn check(spec: &SandboxSpec) -> Result<(), Refusal> {
    if spec.providers.len() > PROVIDERS_MAX {
        return Err(Refusal::invalid(format!(
            "spec.providers has {} entries; at most {PROVIDERS_MAX} are allowed",
            spec.providers.len()
        )));
    }
    bounded("spec.log_level", &spec.log_level, LOG_LEVEL_MAX)?;
    environment_map("spec.environment", &spec.environment)?;
    if let Some(template) = &spec.template {
        check_template(template)?;
    }
    let gpu = spec.resource_requirements.as_ref().and_then(|resources| resources.gpu.as_ref());
    if gpu.is_some_and(|gpu| gpu.count == Some(0)) {
        return Err(Refusal::invalid("spec.resource_requirements.gpu.count must not be 0; leave it out instead"));
    }
    check_command(&spec.command)?;
    spec.policy.as_ref().map_or(Ok(()), |policy| policy_size("spec.policy", policy))
}

/// A policy is not larger than one may be, and no part of it is, whichever way it came about (C-17).
pub(super) fn policy_size(field: &str, policy: &SandboxPolicy) -> Result<(), Refusal> {
    let bytes = policy.encoded_len();
    if bytes > POLICY_BYTES_MAX {
        return Err(Refusal::invalid(format!(
            "{field} has {bytes} encoded bytes; at most {POLICY_BYTES_MAX} are allowed"
        )));
    }
    match safety::excess(policy) {
        None => Ok(()),
        Some(what) => Err(Refusal::invalid(format!("{field} is too large: {what}"))),
    }
}

fn check_template(template: &SandboxTemplate) -> Result<(), Refusal> {
    bounded("spec.template.image", &template.image, TEMPLATE_STRING_MAX)?;
    bounded("spec.template.runtime_class_name", &template.runtime_class_name, TEMPLATE_STRING_MAX)?;
    bounded("spec.template.agent_socket", &template.agent_socket, TEMPLATE_STRING_MAX)?;
    bounded_map("spec.template.labels", &template.labels, TEMPLATE_MAP_MAX)?;
    bounded_map("spec.template.annotations", &template.annotations, TEMPLATE_MAP_MAX)?;
    bounded_map("spec.template.environment", &template.environment, TEMPLATE_MAP_MAX)?;
    for (field, value) in [("resources", &template.resources), ("driver_config", &template.driver_config)] {
        let bytes = value.as_ref().map_or(0, Message::encoded_len);
        if bytes > TEMPLATE_STRUCT_MAX {
            return Err(Refusal::invalid(format!(
                "spec.template.{field} has {bytes} encoded bytes; at most {TEMPLATE_STRUCT_MAX} are allowed"
            )));
        }
        let levels = value.as_ref().map_or(0, safety::nesting);
        if levels > LIMITS.nesting_max {
            return Err(Refusal::invalid(format!("spec.template.{field} {}", safety::nests(levels))));
        }
    }
    environment_map("spec.template.environment", &template.environment)
}

fn environment_map(field: &str, map: &BTreeMap<String, String>) -> Result<(), Refusal> {
    bounded_map(field, map, ENVIRONMENT_MAX)?;
    let bytes: usize = map.iter().map(|(key, value)| key.len() + value.len()).sum();
    if bytes > ENVIRONMENT_BYTES_MAX {
        return Err(Refusal::invalid(format!(
            "{field} has {bytes} bytes in all; at most {ENVIRONMENT_BYTES_MAX} are allowed"
        )));
    }
    for (key, value) in map {
        if !environment::is_env_name(key) {
            return Err(Refusal::invalid(format!(
                "{field} key {key:?} is not the name of an environment variable: a letter or '_' first, then letters, \
                 digits and '_'"
            )));
        }
        if key.starts_with(RESERVED_PREFIX) {
            return Err(Refusal::invalid(format!(
                "{field} key {key:?} begins with the reserved prefix {RESERVED_PREFIX}"
            )));
        }
        if value.contains(['\0', '\n', '\r']) {
            return Err(Refusal::invalid(format!("{field}[{key:?}] must not contain a line break or NUL")));
        }
    }
    Ok(())
}

fn check_command(command: &[String]) -> Result<(), Refusal> {
    if command.first().is_some_and(String::is_empty) {
        return Err(Refusal::invalid("spec.command[0] must not be empty"));
    }
    if command.len() > COMMAND_ARGUMENTS_MAX {
        return Err(Refusal::invalid(format!(
            "spec.command has {} arguments; at most {COMMAND_ARGUMENTS_MAX} are allowed",
            command.len()
        )));
    }
    let bytes: usize = command.iter().map(String::len).sum();
    if bytes > COMMAND_BYTES_MAX {
        return Err(Refusal::invalid(format!(
            "spec.command has {bytes} bytes in all; at most {COMMAND_BYTES_MAX} are allowed"
        )));
    }
    for (index, argument) in command.iter().enumerate() {
        bounded(&format!("spec.command[{index}]"), argument, COMMAND_ARGUMENT_MAX)?;
        if argument.contains('\0') {
            return Err(Refusal::invalid(format!("spec.command[{index}] must not contain NUL")));
        }
    }
    Ok(())
}
