//! Writing a policy in its file form: the document and its upper levels. Endpoints are in
//! `render_endpoint`.

use openshell_proto::sandbox::{NetworkMiddlewareConfig, NetworkPolicyRule, SandboxPolicy};
use prost_types::value::Kind;
use serde_json::{Map, Number, Value, json};

use super::render_endpoint::endpoint;

/// Integers up to here are exact in a 64-bit float.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// An object to which only what says something is added, in order.
#[derive(Default)]
pub(super) struct Object(pub(super) Map<String, Value>);

impl Object {
    /// Adds a value whatever it is.
    pub(super) fn put(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }

    /// Adds a value unless it is empty, false or zero.
    pub(super) fn put_some(&mut self, key: &str, value: impl Into<Value>) {
        let value = value.into();
        let says_nothing = match &value {
            Value::Null => true,
            Value::Bool(flag) => !flag,
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
        };
        if !says_nothing {
            self.put(key, value);
        }
    }
}

/// The policy as JSON with the keys and order of the file form (config.md PM-10, cli.md 4).
pub fn to_json(policy: &SandboxPolicy) -> Value {
    let mut file = Object::default();
    file.put("version", policy.version);
    if let Some(files) = &policy.filesystem {
        let mut section = Object::default();
        section.put("include_workdir", files.include_workdir);
        section.put_some("read_only", files.read_only.clone());
        section.put_some("read_write", files.read_write.clone());
        file.put("filesystem_policy", section.0);
    }
    if let Some(landlock) = &policy.landlock {
        let mut section = Object::default();
        section.put_some("compatibility", landlock.compatibility.as_str());
        // Kept when empty: an absent section is another policy (PM-41).
        file.put("landlock", section.0);
    }
    if let Some(process) = &policy.process {
        let mut section = Object::default();
        section.put_some("run_as_user", process.run_as_user.as_str());
        section.put_some("run_as_group", process.run_as_group.as_str());
        file.put_some("process", section.0);
    }
    let rules: Map<_, _> = policy.network_policies.iter().map(|(key, one)| (key.clone(), rule(one))).collect();
    file.put_some("network_policies", rules);
    let entries: Map<_, _> =
        policy.network_middlewares.iter().map(|(key, one)| (key.clone(), middleware(one))).collect();
    file.put_some("network_middlewares", entries);
    Value::Object(file.0)
}

/// The policy as a YAML file, rules in key order.
///
/// Shape: reads back as the same policy, if it is one that a file can say: [`parse`](super::parse) gives a
/// nameless rule its key as name and a single `port` a list, and `harness`, the marks of the gateway and a
/// `process` section without identities are never written. Source: config.md PM-9, PM-10, cli.md 4.
pub fn render(policy: &SandboxPolicy) -> String {
    serde_yaml::to_string(&to_json(policy)).expect("JSON values are always YAML")
}

fn rule(rule: &NetworkPolicyRule) -> Value {
    let mut out = Object::default();
    out.put("name", rule.name.as_str());
    out.put_some("endpoints", rule.endpoints.iter().map(endpoint).collect::<Vec<_>>());
    out.put_some("binaries", rule.binaries.iter().map(|binary| json!({ "path": binary.path })).collect::<Vec<_>>());
    Value::Object(out.0)
}

fn middleware(entry: &NetworkMiddlewareConfig) -> Value {
    let mut out = Object::default();
    out.put("name", entry.name.as_str());
    out.put("middleware", entry.middleware.as_str());
    out.put_some("order", entry.order);
    if let Some(config) = &entry.config {
        out.put_some("config", fields(config));
    }
    out.put_some("on_error", entry.on_error.as_str());
    if let Some(endpoints) = &entry.endpoints {
        let mut selector = Object::default();
        selector.put_some("include", endpoints.include.clone());
        selector.put_some("exclude", endpoints.exclude.clone());
        out.put("endpoints", selector.0);
    }
    Value::Object(out.0)
}

fn fields(config: &prost_types::Struct) -> Value {
    Value::Object(config.fields.iter().map(|(key, one)| (key.clone(), value(one))).collect())
}

fn value(value: &prost_types::Value) -> Value {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::NumberValue(number)) => self::number(*number),
        Some(Kind::StringValue(text)) => Value::String(text.clone()),
        Some(Kind::BoolValue(flag)) => Value::Bool(*flag),
        Some(Kind::StructValue(inner)) => fields(inner),
        Some(Kind::ListValue(list)) => Value::Array(list.values.iter().map(self::value).collect()),
    }
}

/// Whole numbers without `.0`, as people write them. What no file can say (not finite) becomes null.
fn number(number: f64) -> Value {
    let whole = number.fract() == 0.0 && number.abs() <= EXACT_MAX && !(number == 0.0 && number.is_sign_negative());
    if whole { Value::from(number as i64) } else { Number::from_f64(number).map_or(Value::Null, Value::Number) }
}
