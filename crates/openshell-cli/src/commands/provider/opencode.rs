//! The keys that opencode keeps in its configuration file: `provider.NAME.options.apiKey` there is the
//! credential `NAME_API_KEY` here (`cli.md` 2.5). A key that the file takes from a variable is read there.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The keys in the file; none without a file.
///
/// Errors: the file cannot be read, or is no JSON. The words hold nothing of its content.
pub(super) fn keys(variable: Variable<'_>) -> Result<BTreeMap<String, String>, String> {
    let path = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = path("XDG_CONFIG_HOME").or_else(|| path("HOME").map(|home| home.join(".config")));
    let Some(path) = config.map(|config| config.join("opencode/opencode.json")) else { return Ok(BTreeMap::new()) };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(format!("{} could not be read: {error}", path.display())),
    };
    let file = serde_json::from_str(&text).map_err(|error| format!("{} is no JSON: {error}", path.display()))?;
    Ok(keys_in(&file, variable))
}

fn keys_in(file: &Value, variable: Variable<'_>) -> BTreeMap<String, String> {
    let providers = file.get("provider").and_then(Value::as_object);
    let key = |(name, provider): (&String, &Value)| {
        let written = provider.pointer("/options/apiKey")?.as_str()?;
        let value = match written.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(place) => variable(place.strip_prefix("env:")?)?,
            None => written.to_owned(),
        };
        let name = variable_name(name)?;
        (!value.trim().is_empty()).then_some((name, value))
    };
    providers.into_iter().flatten().filter_map(key).collect()
}

/// `NAME_API_KEY`; none for a name that makes no variable.
fn variable_name(name: &str) -> Option<String> {
    let name: String = name
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' })
        .collect();
    (!name.is_empty() && !name.starts_with(|letter: char| letter.is_ascii_digit())).then(|| format!("{name}_API_KEY"))
}

#[cfg(test)]
mod tests {
    use super::{keys, keys_in};
    use serde_json::json;

    #[test]
    fn every_provider_with_a_key_gives_a_credential_of_its_name() {
        let variable = |name: &str| (name == "MY_KEY").then(|| "from-variable".to_owned());
        let file = json!({"model": "x", "provider": {
            "anthropic": {"options": {"apiKey": "a"}},
            "my-llm": {"options": {"apiKey": "{env:MY_KEY}"}},
            "blank": {"options": {"apiKey": " "}},
            "unset": {"options": {"apiKey": "{env:UNSET}"}},
            "file": {"options": {"apiKey": "{file:~/key}"}},
            "302ai": {"options": {"apiKey": "b"}},
            "other": {"options": {"baseURL": "https://llm.example"}},
        }});
        let found: Vec<_> = keys_in(&file, &variable).into_iter().collect();
        let expected = [("ANTHROPIC_API_KEY", "a"), ("MY_LLM_API_KEY", "from-variable")];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert!(keys_in(&json!([]), &variable).is_empty());
    }

    #[test]
    fn no_file_is_no_key_and_a_broken_one_is_said_without_its_content() {
        let home = tempfile::tempdir().expect("a folder");
        let variable = |name: &str| (name == "HOME").then(|| home.path().display().to_string());
        assert_eq!(keys(&variable), Ok([].into()));
        let folder = home.path().join(".config/opencode");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("opencode.json"), r#"{"provider": secret}"#).expect("a file");
        let words = keys(&variable).expect_err("no JSON");
        assert!(words.contains("opencode.json is no JSON") && !words.contains("secret"), "{words}");
        assert_eq!(keys(&|_: &str| None), Ok([].into()));
    }
}
