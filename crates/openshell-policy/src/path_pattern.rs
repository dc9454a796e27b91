//! Endpoint paths as patterns: whether one covers a path, and whether two share one. The two questions
//! have different rules on purpose: covering is what serves traffic, overlap is judged conservatively.

use crate::language::{self, Budget, CHARACTER_COST, CharSet, Token};

/// Whether an endpoint's path pattern covers a path.
///
/// Shape: equal strings match; empty, `**` and `/**` match everything; `X/**` matches `X` and all below;
/// otherwise a shell glob whose `*` and `?` cross `/`; an invalid glob matches only itself.
/// Source: providers.md 5.3, config.md EC-34.
pub fn matches(pattern: &str, path: &str) -> bool {
    matches_within(pattern, path, &mut Budget::for_policy())
}

/// As [`matches`], where many comparisons share one budget.
pub(crate) fn matches_within(pattern: &str, path: &str, budget: &mut Budget) -> bool {
    if pattern == path || covers_all(pattern) {
        return true;
    }
    if let Some(prefix) = pattern.strip_suffix("/**")
        && !crate::host_pattern::has_wildcard(prefix)
    {
        return path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    }
    let mut covered = |pattern: &str| {
        if !budget.spend(CHARACTER_COST * (pattern.len() + path.len())) {
            return true;
        }
        tokens(pattern).is_some_and(|tokens| language::meet(&tokens, &language::literal(path), budget))
    };
    // `X/**` covers `X` itself also when X is a glob.
    covered(pattern) || pattern.strip_suffix("/**").is_some_and(covered)
}

/// Whether some path is in both patterns.
///
/// Shape: empty, `**`, `/**` and invalid globs overlap everything; `*` and `**` cross `/`, `?` is any one
/// character, `[...]` and `[!...]` are classes. Source: config.md AM-5.
pub fn overlaps(left: &str, right: &str) -> bool {
    overlaps_within(left, right, &mut Budget::for_policy())
}

/// As [`overlaps`], where many comparisons share one budget.
pub(crate) fn overlaps_within(left: &str, right: &str, budget: &mut Budget) -> bool {
    if left == right || covers_all(left) || covers_all(right) {
        return true;
    }
    match (tokens(left), tokens(right)) {
        (Some(left), Some(right)) => language::meet(&left, &right, budget),
        (_, _) => true,
    }
}

/// Whether the pattern stands for every path.
pub(crate) fn covers_all(pattern: &str) -> bool {
    matches!(pattern, "" | "**" | "/**")
}

/// The tokens of a valid glob. Invalid is: more than two stars in a row, `**` that is not a whole
/// component, a class that is not closed (providers.md Appendix B).
fn tokens(pattern: &str) -> Option<Vec<Token>> {
    let letters: Vec<char> = pattern.chars().collect();
    let mut at = 0;
    while let Some(letter) = letters.get(at) {
        match letter {
            '[' => at = language::class(&letters, at + 1)?.1,
            '*' => {
                let stars = letters[at..].iter().take_while(|letter| **letter == '*').count();
                let whole =
                    (at == 0 || letters[at - 1] == '/') && letters.get(at + stars).is_none_or(|letter| *letter == '/');
                if stars > 2 || (stars == 2 && !whole) {
                    return None;
                }
                at += stars;
            }
            _ => at += 1,
        }
    }
    language::glob(pattern, &CharSet::any())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_what_is_below_it() {
        for (pattern, path, expected) in [
            ("", "/x", true),
            ("/**", "", true),
            ("/v1/**", "/v1", true),
            ("/v1/**", "/v1/a/b", true),
            ("/v1/**", "/v10", false),
            ("/v?/**", "/v1", true),
            ("/v?/**", "/v1/x", true),
            ("/v?/**", "/v1x", false),
            ("/a*z", "/a/b/z", true),
            ("/a[0-9]", "/a5", true),
            ("/a[0-9]", "/ab", false),
            ("/a[", "/a[", true),
            ("/a[", "/ab", false),
            ("/A", "/a", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn am_5_two_paths_overlap_when_a_path_fits_both() {
        for (left, right, expected) in [
            ("/v?", "/v1", true),
            ("/v[12]", "/v[23]", true),
            ("/v[12]", "/v[34]", false),
            ("/v[!1]", "/v1", false),
            ("/v[!1]", "/v2", true),
            ("/a/*", "/*/b", true),
            ("/a*", "/b*", false),
            ("", "/x", true),
            ("/a***", "/b", true),
            ("/a**", "/b", true),
            ("/a[", "/b", true),
            ("/a", "/a/", false),
        ] {
            assert_eq!(overlaps(left, right), expected, "{left} {right}");
            assert_eq!(overlaps(right, left), expected, "{right} {left}");
        }
    }
}
