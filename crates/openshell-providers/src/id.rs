//! Profile ids: when one is canonical, and how a request argument becomes one. Whether an id is
//! taken is not known here.

/// Whether the text is a canonical profile id: groups of `[a-z0-9]` joined by single hyphens.
///
/// Source: providers.md ID-1, ID-3.
pub fn is_canonical(id: &str) -> bool {
    let group =
        |group: &str| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    id.split('-').all(group)
}

/// The canonical form of an id given as a request argument: trimmed and lower-cased, or nothing when
/// that still is no id. Ids inside a payload are held to [`is_canonical`] instead.
///
/// Source: providers.md ID-2.
pub fn normalise(id: &str) -> Option<String> {
    let id = id.trim().to_ascii_lowercase();
    is_canonical(&id).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_trimmed_and_lower_cased() {
        assert_eq!(normalise(" Alex-API ").as_deref(), Some("alex-api"));
        assert_eq!(normalise("a1-2b").as_deref(), Some("a1-2b"));
    }

    #[test]
    fn anything_but_kebab_case_is_no_id() {
        for id in ["", " ", "-", "alex_api", "-alex", "alex-", "alex--api", "al ex", "é"] {
            assert_eq!(normalise(id), None, "{id:?}");
        }
    }

    #[test]
    fn a_canonical_id_has_no_capitals_and_no_whitespace() {
        assert!(is_canonical("alex-api"));
        assert!(!is_canonical("Alex-api"));
        assert!(!is_canonical(" alex-api"));
    }
}
