//! Where a token grant applies: host patterns, path patterns, and how specific they are. All of it is
//! the algorithm of providers.md 5.3; the wider host patterns of policy composition are another one.

use glob::Pattern;

/// No name in the DNS has more labels; a longer pattern matches nothing but itself. Bounds the work
/// that one pair of patterns can cause.
const LABELS_MAX: usize = 127;

/// Longer paths with wildcards count as overlapping: the glob matcher recurses once a wildcard.
const PATH_BYTES_MAX: usize = 2048;

/// How specific a host and path are together. Equal scores are what makes a tie possible.
pub(crate) fn score(host: &str, path: &str) -> u64 {
    host_score(host) + path_score(path)
}

fn host_score(host: &str) -> u64 {
    let stars = count(host.chars().filter(|letter| *letter == '*'));
    let labels = count(host.split('.').filter(|label| !label.is_empty()));
    let letters = count(host.chars().filter(|letter| *letter != '*'));
    100_000_u64.saturating_sub(10_000 * stars) + 100 * labels + letters
}

fn path_score(path: &str) -> u64 {
    if path.is_empty() || path == "**" {
        return 0;
    }
    1_000_000 + count(path.chars().filter(|letter| *letter != '*'))
}

fn count(items: impl Iterator) -> u64 {
    items.fold(0, |count, _| count + 1)
}

/// Whether a host stands for itself alone.
pub(crate) fn is_one_host(host: &str) -> bool {
    !host.contains('*')
}

/// Whether a path stands for itself alone.
pub(crate) fn is_one_path(path: &str) -> bool {
    !path.is_empty() && !path.contains(['*', '?', '['])
}

/// About how much work it is to say whether two hosts and two paths overlap, each pair host first: 0 for what
/// only has to be equal.
pub(crate) fn comparison_cost(left: (&str, &str), right: (&str, &str)) -> usize {
    let hosts = match is_one_host(left.0) && is_one_host(right.0) {
        true => 0,
        false => {
            let labels = |host: &str| host.split('.').count().min(LABELS_MAX);
            left.0.len() + right.0.len() + 4 * labels(left.0) * labels(right.0)
        }
    };
    let length = |path: &str| path.len().min(PATH_BYTES_MAX);
    let paths = match (left.1.contains('*'), right.1.contains('*')) {
        (false, false) if is_one_path(left.1) && is_one_path(right.1) => 0,
        (true, true) => left.1.len() + right.1.len(),
        (_, _) => left.1.len() + right.1.len() + length(left.1) * length(right.1),
    };
    hosts + paths
}

/// Whether a host pattern matches a host: equal whatever the case, or label by label, where `*` is
/// one label and `**` any number of them. A label such as `a*` is literal.
pub(crate) fn host_matches(pattern: &str, host: &str) -> bool {
    pattern.eq_ignore_ascii_case(host) || (pattern.contains('*') && labels_meet(pattern, host, Right::Literal))
}

/// Whether some host matches both.
pub(crate) fn hosts_overlap(left: &str, right: &str) -> bool {
    match (left.contains('*'), right.contains('*')) {
        (_, false) => host_matches(left, right),
        (false, true) => host_matches(right, left),
        (true, true) => left.eq_ignore_ascii_case(right) || labels_meet(left, right, Right::Pattern),
    }
}

/// How the right side of a comparison is read. The left side is always a pattern.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Right {
    Literal,
    Pattern,
}

/// Whether one sequence of labels fits both sides, found from the last labels backwards.
fn labels_meet(left: &str, right: &str, reading: Right) -> bool {
    if left.split('.').count() > LABELS_MAX || right.split('.').count() > LABELS_MAX {
        return false;
    }
    let left: Vec<&str> = left.split('.').collect();
    let right: Vec<&str> = right.split('.').collect();
    let many = |label: &str| reading == Right::Pattern && label == "**";
    let meets = |label: &str, other: &str| {
        label == "*" || (reading == Right::Pattern && other == "*") || label.eq_ignore_ascii_case(other)
    };
    // `below[j]`: the labels of the left side after the present one fit those of the right from `j` on.
    let mut below: Vec<bool> = (0..=right.len()).map(|from| right[from..].iter().all(|label| many(label))).collect();
    for label in left.iter().rev() {
        let mut here = vec![false; right.len() + 1];
        for from in (0..=right.len()).rev() {
            let rest = right.get(from).map(|other| (*other, here[from + 1], below[from + 1]));
            here[from] = match rest {
                None => *label == "**" && below[from],
                Some((_, skipped, _)) if *label == "**" => below[from] || skipped,
                Some((other, skipped, _)) if many(other) => below[from] || skipped,
                Some((other, _, both)) => both && meets(label, other),
            };
        }
        below = here;
    }
    below[0]
}

/// Whether some path may match both. In doubt it says yes, since a tie that is missed would let one
/// credential answer for another.
pub(crate) fn paths_overlap(left: &str, right: &str) -> bool {
    let everything = |path: &str| matches!(path, "" | "**" | "/**");
    if everything(left) || everything(right) {
        return true;
    }
    match (left.contains('*'), right.contains('*')) {
        // A `?` or a class may stand on either side.
        (false, false) => path_matches(left, right) || path_matches(right, left),
        (true, false) => path_matches(left, right),
        (false, true) => path_matches(right, left),
        (true, true) => match (left.strip_suffix("/**"), right.strip_suffix("/**")) {
            (Some(left), Some(right)) => is_below(left, right) || is_below(right, left),
            _ => true,
        },
    }
}

/// Whether `path` is `prefix` or lies below it.
fn is_below(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn path_matches(pattern: &str, path: &str) -> bool {
    if pattern == path {
        return true;
    }
    if let Some(prefix) = pattern.strip_suffix("/**") {
        return is_below(prefix, path);
    }
    if pattern.contains('*') && pattern.len().max(path.len()) > PATH_BYTES_MAX {
        return true;
    }
    Pattern::new(pattern).is_ok_and(|pattern| pattern.matches(path))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    fn host(labels: &'static [&'static str]) -> impl Strategy<Value = String> {
        vec(select(labels), 1..5).prop_map(|labels| labels.join("."))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn patterns_that_match_one_host_overlap(
            left in host(&["a", "b", "*", "**"]),
            right in host(&["a", "b", "*", "**"]),
            host in host(&["a", "b"]),
        ) {
            prop_assert_eq!(hosts_overlap(&left, &right), hosts_overlap(&right, &left));
            if host_matches(&left, &host) && host_matches(&right, &host) {
                prop_assert!(hosts_overlap(&left, &right));
            }
        }
    }

    #[test]
    fn scores_are_those_of_the_specification() {
        assert_eq!(host_score("*.example.com"), 90_312);
        assert_eq!(host_score("api.example.com"), 100_315);
        assert_eq!(host_score("*.*.*.*.*.*.*.*.*.*.*"), 1_100 + 10);
        assert_eq!(path_score(""), 0);
        assert_eq!(path_score("**"), 0);
        assert_eq!(path_score("/**"), 1_000_001);
        assert_eq!(path_score("/v1/**"), 1_000_004);
    }

    #[test]
    fn a_star_is_one_label_and_two_stars_any_number() {
        for (pattern, host, wanted) in [
            ("api.example.com", "API.example.COM", true),
            ("*.example.com", "api.example.com", true),
            ("*.example.com", "a.b.example.com", false),
            ("*.example.com", "example.com", false),
            ("**.example.com", "example.com", true),
            ("**.example.com", "a.b.example.com", true),
            ("a*.example.com", "api.example.com", false),
            ("**", "anything.at.all", true),
            ("api.**.com", "api.x.y.com", true),
            ("api.example.com", "*.example.com", false),
            ("*.example.com", "a*.example.com", true),
            ("*.a.example.com", "**.example.com", false),
        ] {
            assert_eq!(host_matches(pattern, host), wanted, "{pattern} {host}");
        }
    }

    #[test]
    fn patterns_overlap_when_one_host_fits_both() {
        for (left, right, wanted) in [
            ("*.example.com", "api.*.com", true),
            ("*.example.com", "*.example.org", false),
            ("**.com", "api.*.com", true),
            ("**.a.com", "b.**", true),
            ("*.com", "a.b.**", false),
            ("*.com", "**.b.**.com", true),
            ("*.com", "*.*.com", false),
            ("a*.com", "b*.com", false),
            ("a*.com", "*.com", true),
            ("**", "**", true),
            ("api.example.com", "*.example.com", true),
        ] {
            assert_eq!(hosts_overlap(left, right), wanted, "{left} {right}");
            assert_eq!(hosts_overlap(right, left), wanted, "{right} {left}");
        }
    }

    #[test]
    fn paths_overlap_as_globs_do() {
        for (left, right, wanted) in [
            ("", "/v1", true),
            ("/**", "/v1/*", true),
            ("/v1", "/v1", true),
            ("/v1", "/v2", false),
            ("/v1/**", "/v1", true),
            ("/v1/**", "/v1/a/b", true),
            ("/v1/**", "/v10", false),
            ("/v1/**", "/v2/**", false),
            ("/v1/**", "/v1/admin/**", true),
            ("/v1/*", "/v2/*", true),
            ("/v*/x", "/v1/a/x", true),
            ("/a***", "/ab", false),
            ("/[v*", "/[v*", true),
            ("/v?", "/v1", true),
            ("/v[12]", "/v3", false),
        ] {
            assert_eq!(paths_overlap(left, right), wanted, "{left} {right}");
            assert_eq!(paths_overlap(right, left), wanted, "{right} {left}");
        }
    }

    #[test]
    fn enormous_selectors_are_answered() {
        let host = "a.".repeat(100_000);
        assert!(!host_matches(&format!("*.{host}"), &format!("b.{host}")));
        let path = format!("/{}", "*a".repeat(100_000));
        assert!(paths_overlap(&path, &"a".repeat(100_000)));
    }
}
