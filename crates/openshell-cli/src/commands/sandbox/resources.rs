//! Texts of `sandbox create` that become parts of the specification: quantities, environment, driver
//! configuration. Pure.

use std::collections::BTreeMap;

use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};

use crate::failure::Failure;

/// Cores: `2`, `0.5` or `500m`, above zero.
pub(crate) fn check_cpu(text: &str) -> Result<(), Failure> {
    let (number, is_milli) = match text.strip_suffix('m') {
        Some(number) => (number, true),
        None => (text, false),
    };
    let is_number = match is_milli {
        true => number.parse::<u64>().is_ok_and(|number| number > 0),
        false => is_decimal(number) && number.parse::<f64>().is_ok_and(|number| number > 0.0),
    };
    if is_number {
        return Ok(());
    }
    Err(Failure::new(format!("--cpu '{text}' is not an amount of cores above zero, such as 2, 0.5 or 500m")))
}

/// Bytes: a whole number above zero, with or without one of the usual suffixes.
pub(crate) fn check_memory(text: &str) -> Result<(), Failure> {
    let number = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let is_suffix =
        ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "K", "M", "G", "T", "P", "E"].contains(&&text[number.len()..]);
    if is_suffix && number.parse::<u64>().is_ok_and(|number| number > 0) {
        return Ok(());
    }
    Err(Failure::new(format!("--memory '{text}' is not an amount of bytes above zero, such as 512Mi or 4Gi")))
}

fn is_decimal(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// Refuses variables that no sandbox may be given (`cli.md` 2.9).
pub(crate) fn check_environment(environment: &BTreeMap<String, String>) -> Result<(), Failure> {
    for key in environment.keys() {
        let is_identifier = key
            .bytes()
            .enumerate()
            .all(|(index, byte)| byte == b'_' || byte.is_ascii_alphabetic() || (index > 0 && byte.is_ascii_digit()));
        if !is_identifier {
            return Err(Failure::new(format!(
                "--env {key} is not a variable name: use letters, digits and underscores"
            )));
        }
        if key.starts_with("OPENSHELL_") {
            return Err(Failure::new(format!(
                "--env {key} is reserved: names that start with OPENSHELL_ are the gateway's"
            )));
        }
    }
    Ok(())
}

/// Variables whose names look as if they held a secret, which belongs into a provider.
pub(crate) fn suspicious(environment: &BTreeMap<String, String>) -> Vec<&str> {
    let words = ["TOKEN", "SECRET", "PASSWORD", "API_KEY", "APIKEY", "CREDENTIAL", "PRIVATE_KEY"];
    let is_suspicious = |key: &&String| words.iter().any(|word| key.to_ascii_uppercase().contains(word));
    environment.keys().filter(is_suspicious).map(String::as_str).collect()
}

/// The limits as the template carries them: `{limits: {cpu, memory}}`, texts.
pub(crate) fn limits(cpu: Option<&str>, memory: Option<&str>) -> Option<Struct> {
    let limits: serde_json::Map<_, _> = [("cpu", cpu), ("memory", memory)]
        .into_iter()
        .filter_map(|(key, text)| Some((key.to_owned(), serde_json::Value::from(text?))))
        .collect();
    (!limits.is_empty()).then(|| structure(serde_json::Map::from_iter([("limits".to_owned(), limits.into())])))
}

/// The driver's configuration, which must be a JSON object.
pub(crate) fn driver_config(text: &str) -> Result<Struct, Failure> {
    match serde_json::from_str(text) {
        Ok(serde_json::Value::Object(fields)) => Ok(structure(fields)),
        Ok(_) => Err(Failure::new("--driver-config-json must be a JSON object")),
        Err(error) => Err(Failure::new("--driver-config-json is no JSON").because(&error)),
    }
}

fn structure(fields: serde_json::Map<String, serde_json::Value>) -> Struct {
    Struct { fields: fields.into_iter().map(|(key, field)| (key, value(field))).collect() }
}

fn value(json: serde_json::Value) -> Value {
    let kind = match json {
        serde_json::Value::Null => Kind::NullValue(0),
        serde_json::Value::Bool(value) => Kind::BoolValue(value),
        // Whole numbers beyond 2^53 lose digits: the wire form knows no others.
        serde_json::Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        serde_json::Value::String(text) => Kind::StringValue(text),
        serde_json::Value::Array(items) => {
            Kind::ListValue(ListValue { values: items.into_iter().map(value).collect() })
        }
        serde_json::Value::Object(fields) => Kind::StructValue(structure(fields)),
    };
    Value { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use super::{check_cpu, check_environment, check_memory, driver_config, limits, suspicious};

    #[test]
    fn quantities_are_above_zero_and_have_a_known_unit() {
        for text in ["2", "0.5", "500m"] {
            check_cpu(text).expect(text);
        }
        for text in ["", "0", "0m", "-1", "1.5m", "2x", "inf", "1e3"] {
            check_cpu(text).expect_err(text);
        }
        for text in ["1", "512Mi", "4G"] {
            check_memory(text).expect(text);
        }
        for text in ["", "0", "0Gi", "1.5Gi", "4gb", "Mi", "-1K"] {
            check_memory(text).expect_err(text);
        }
    }

    #[test]
    fn variables_are_names_and_not_the_gateways() {
        let environment = |key: &str| [(key.to_owned(), String::new())].into();
        check_environment(&environment("_A1")).expect("a name");
        for key in ["1A", "A-B", "OPENSHELL_X", "Ä"] {
            check_environment(&environment(key)).expect_err(key);
        }
        assert_eq!(suspicious(&environment("my_token")), ["my_token"]);
    }

    #[test]
    fn limits_are_sent_only_when_given_and_driver_configuration_is_an_object() {
        assert_eq!(limits(None, None), None);
        assert!(limits(Some("2"), None).is_some_and(|limits| limits.fields.contains_key("limits")));
        assert!(driver_config(r#"{"a": [1, null]}"#).expect("an object").fields.contains_key("a"));
        driver_config("[1]").expect_err("a list");
    }
}
