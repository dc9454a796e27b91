//! Settings as text: which keys the client knows, how their values are written, how they are shown.

use openshell_proto::sandbox::SettingValue;
use openshell_proto::sandbox::setting_value::Value;

use crate::failure::Failure;

/// What a value may be.
enum Kind {
    Bool,
    Words(&'static [&'static str]),
}

/// Keys in the order in which they are listed to people (`cli.md` 2.11).
const KEYS: [(&str, Kind); 4] = [
    ("providers_v2_enabled", Kind::Bool),
    ("ocsf_json_enabled", Kind::Bool),
    ("agent_policy_proposals_enabled", Kind::Bool),
    ("proposal_approval_mode", Kind::Words(&["manual", "auto"])),
];

/// The value that `text` means for `key`.
///
/// Errors: an unknown key (the known ones are listed), a text that the key does not take.
pub(crate) fn parse_setting(key: &str, text: &str) -> Result<SettingValue, Failure> {
    let Some((_, kind)) = KEYS.iter().find(|(known, _)| *known == key) else {
        let known: Vec<_> = KEYS.iter().map(|(key, _)| *key).collect();
        return Err(Failure::new(format!("unknown setting key '{key}': the keys are {}", known.join(", "))));
    };
    let value = match kind {
        Kind::Bool => match text.to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" | "y" | "on" => Value::BoolValue(true),
            "0" | "false" | "no" | "n" | "off" => Value::BoolValue(false),
            _ => return Err(Failure::new(format!("setting {key} is a bool: '{text}' is neither true nor false"))),
        },
        Kind::Words(words) if words.contains(&text) => Value::StringValue(text.to_owned()),
        Kind::Words(words) => {
            return Err(Failure::new(format!("setting {key} cannot be '{text}': it is one of {}", words.join(", "))));
        }
    };
    Ok(SettingValue { value: Some(value) })
}

/// The value as text; nothing when it is unset.
pub(crate) fn setting_text(value: Option<&SettingValue>) -> Option<String> {
    Some(match value?.value.as_ref()? {
        Value::StringValue(text) => text.clone(),
        Value::BoolValue(value) => value.to_string(),
        Value::IntValue(value) => value.to_string(),
        Value::BytesValue(bytes) => format!("<{} bytes>", bytes.len()),
    })
}

#[cfg(test)]
mod tests {
    use super::{parse_setting, setting_text};

    #[test]
    fn cli_scenario_72_unknown_keys_list_the_known_ones_and_bad_values_are_refused() {
        let failure = parse_setting("nope", "x").expect_err("unknown");
        assert!(failure.message.contains("providers_v2_enabled, ocsf_json_enabled"), "{}", failure.message);
        parse_setting("policy", "x").expect_err("reserved");
        parse_setting("ocsf_json_enabled", "maybe").expect_err("no bool");
        parse_setting("proposal_approval_mode", "Auto").expect_err("exact words only");
    }

    #[test]
    fn bools_have_many_words_and_one_text() {
        for (word, text) in [("YES", "true"), ("1", "true"), ("on", "true"), ("Off", "false"), ("n", "false")] {
            let value = parse_setting("ocsf_json_enabled", word).expect("a bool");
            assert_eq!(setting_text(Some(&value)).as_deref(), Some(text));
        }
        assert_eq!(setting_text(None), None);
    }
}
