//! Provider types: the words people use for a service, and the profile each of them means. Whether
//! such a profile exists is not known here.

use crate::id;

/// The canonical type of a word that has one, whatever its case and surrounding whitespace; nothing
/// for a word that is no alias, among them `aws`, `cursor` and every custom id.
///
/// Source: providers.md 2.3.
pub fn alias(word: &str) -> Option<&'static str> {
    Some(match word.trim().to_ascii_lowercase().as_str() {
        "openai" => "openai",
        "anthropic" => "anthropic",
        "nvidia" => "nvidia",
        "deepinfra" => "deepinfra",
        "aws-bedrock" => "aws-bedrock",
        "google-vertex-ai" | "vertex" | "vertex-ai" | "google-vertex" | "gcp-vertex" => "google-vertex-ai",
        "claude" | "claude-code" | "claude_code" => "claude-code",
        "codex" => "codex",
        "copilot" => "copilot",
        "opencode" => "opencode",
        "gcp" | "google-cloud" => "google-cloud",
        "generic" => "generic",
        "gitlab" | "glab" => "gitlab",
        "github" | "gh" => "github",
        "outlook" => "outlook",
        _ => return None,
    })
}

/// The profile id that a stored provider type means: its alias, else its canonical id, else the raw
/// text, which then matches no profile.
///
/// Source: providers.md TYPE-2, TYPE-4, and D.2 for using it everywhere.
pub fn profile_id(raw_type: &str) -> String {
    match alias(raw_type) {
        Some(canonical) => canonical.to_owned(),
        None => id::normalise(raw_type).unwrap_or_else(|| raw_type.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ec_23_every_word_of_the_table_has_its_type() {
        let table = [
            ("google-vertex-ai", "vertex vertex-ai google-vertex gcp-vertex google-vertex-ai"),
            ("claude-code", "claude claude-code claude_code"),
            ("google-cloud", "gcp google-cloud"),
            ("gitlab", "gitlab glab"),
            ("github", "github gh"),
        ];
        for (canonical, words) in table {
            for word in words.split(' ') {
                assert_eq!(alias(word), Some(canonical), "{word}");
                assert_eq!(alias(&format!(" {} ", word.to_uppercase())), Some(canonical), "{word}");
            }
        }
        let themselves = "openai anthropic nvidia deepinfra aws-bedrock codex copilot opencode generic outlook";
        for word in themselves.split(' ') {
            assert_eq!(alias(word), Some(word));
        }
        for word in ["aws", "aws-s3", "cursor", "pypi", "custom-api", ""] {
            assert_eq!(alias(word), None, "{word}");
        }
    }

    #[test]
    fn ec_23_a_type_without_alias_is_its_own_profile() {
        assert_eq!(profile_id("gh"), "github");
        assert_eq!(profile_id(" Custom-API "), "custom-api");
        assert_eq!(profile_id("my_thing"), "my_thing");
    }
}
