//! Host patterns of selectors and credential scopes: labels, each a glob, and `**` for one or more of
//! them. Endpoint ambiguity reads hosts character by character instead and has its own rule (AM-2).

use crate::language::{self, Budget, CHARACTER_COST, CharSet, Token};

/// A parsed host pattern (config.md PM-36).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern {
    /// Lowercased, since hosts are compared without regard to case.
    text: String,
    labels: Vec<Label>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Label {
    /// `**`: one label or more.
    Several,
    /// One label, matched within itself.
    Glob(Vec<Token>),
}

/// A host, taken literally, read once for many patterns.
#[derive(Debug)]
pub(crate) struct Host {
    labels: Vec<Label>,
}

impl Host {
    /// Reads a host; none for one with an empty label, and when the budget does not last.
    pub(crate) fn read(host: &str, budget: &mut Budget) -> Option<Self> {
        let host = host.to_ascii_lowercase();
        if host.split('.').any(str::is_empty) || !budget.spend(CHARACTER_COST * host.len()) {
            return None;
        }
        Some(Self { labels: host.split('.').map(|label| Label::Glob(language::literal(label))).collect() })
    }
}

impl HostPattern {
    /// Reads a pattern.
    ///
    /// Errors: a sentence without the pattern's place, when it is empty, has whitespace, braces or an empty
    /// label, has `**` inside a longer label, or does not close a class. Source: config.md PM-36.
    pub fn parse(text: &str) -> Result<HostPattern, String> {
        if text.is_empty() {
            return Err("host pattern is empty".to_owned());
        }
        if text.chars().any(char::is_whitespace) {
            return Err(format!("host pattern '{text}' contains whitespace"));
        }
        if text.contains(['{', '}']) {
            return Err(format!("host pattern '{text}' contains a brace; list the hosts one by one"));
        }
        let text = text.to_ascii_lowercase();
        let within = CharSet::except('.');
        let mut labels = Vec::new();
        for label in text.split('.') {
            labels.push(match label {
                "" => return Err(format!("host pattern '{text}' has an empty label")),
                "**" => Label::Several,
                _ if label.contains("**") => {
                    return Err(format!("host pattern '{text}': '**' must be a whole label"));
                }
                _ => Label::Glob(
                    language::glob(label, &within)
                        .ok_or_else(|| format!("host pattern '{text}': the class in label '{label}' is not closed"))?,
                ),
            });
        }
        Ok(HostPattern { text, labels })
    }

    /// The pattern in lowercase.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it names exactly one host: no `*`, `?` or `[`.
    pub fn is_concrete(&self) -> bool {
        !has_wildcard(&self.text)
    }

    /// Whether a host, taken literally, is matched. Case does not matter; a host with an empty label
    /// matches nothing.
    pub fn matches(&self, host: &str) -> bool {
        let mut budget = Budget::for_policy();
        match Host::read(host, &mut budget) {
            Some(host) => self.matches_host(&host, &mut budget),
            None => budget.is_spent(),
        }
    }

    /// As [`HostPattern::matches`], where many comparisons share one budget.
    pub(crate) fn matches_host(&self, host: &Host, budget: &mut Budget) -> bool {
        labels_meet(&self.labels, &host.labels, budget)
    }

    /// Whether some host is matched by both patterns.
    pub fn overlaps(&self, other: &HostPattern) -> bool {
        self.overlaps_within(other, &mut Budget::for_policy())
    }

    /// As [`HostPattern::overlaps`], where many comparisons share one budget.
    pub(crate) fn overlaps_within(&self, other: &HostPattern, budget: &mut Budget) -> bool {
        if self.is_concrete() && other.is_concrete() {
            return self.text == other.text;
        }
        labels_meet(&self.labels, &other.labels, budget)
    }
}

/// Whether a host or path is more than a literal.
pub(crate) fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// As `language::meet`, one floor up: positions are labels. `Several` takes one label and stays or goes.
fn labels_meet(left: &[Label], right: &[Label], budget: &mut Budget) -> bool {
    let mut row = vec![false; right.len() + 1];
    row[0] = true;
    for a in left {
        if !budget.spend(right.len() + 1) {
            return true;
        }
        let mut next = vec![false; right.len() + 1];
        for (column, b) in right.iter().enumerate() {
            if !row[column] {
                continue;
            }
            let together = match (a, b) {
                (Label::Glob(x), Label::Glob(y)) => language::meet(x, y, budget),
                (Label::Several, Label::Glob(_) | Label::Several) | (Label::Glob(_), Label::Several) => true,
            };
            if !together {
                continue;
            }
            next[column + 1] = true;
            if matches!(a, Label::Several) {
                row[column + 1] = true;
            }
            if matches!(b, Label::Several) {
                next[column] = true;
            }
        }
        row = next;
    }
    row[right.len()]
}

/// A selector: some include matches and no exclude does (config.md PM-36).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    /// Hosts that are selected.
    pub include: Vec<HostPattern>,
    /// Hosts that are not, whatever `include` says.
    pub exclude: Vec<HostPattern>,
}

impl Selector {
    /// Whether a host is selected.
    pub fn matches(&self, host: &str) -> bool {
        let any = |patterns: &[HostPattern]| patterns.iter().any(|pattern| pattern.matches(host));
        any(&self.include) && !any(&self.exclude)
    }

    /// Whether some host of an endpoint's pattern may be selected.
    ///
    /// In doubt yes: between two wildcards an exclude counts only when it is `**` or is written like the
    /// include or like the endpoint's host. Source: config.md PM-36.
    pub fn overlaps(&self, endpoint: &HostPattern) -> bool {
        self.overlaps_within(endpoint, &mut Budget::for_policy())
    }

    /// As [`Selector::overlaps`], where many comparisons share one budget.
    pub(crate) fn overlaps_within(&self, endpoint: &HostPattern, budget: &mut Budget) -> bool {
        self.include.iter().any(|include| {
            include.overlaps_within(endpoint, budget)
                && !self.exclude.iter().any(|exclude| {
                    if include.is_concrete() {
                        exclude.overlaps_within(include, budget)
                    } else if endpoint.is_concrete() {
                        exclude.overlaps_within(endpoint, budget)
                    } else {
                        [include.text(), endpoint.text(), "**"].contains(&exclude.text())
                    }
                })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> HostPattern {
        HostPattern::parse(text).unwrap_or_else(|error| panic!("{error}"))
    }

    fn selector(include: &[&str], exclude: &[&str]) -> Selector {
        let all = |texts: &[&str]| texts.iter().map(|text| pattern(text)).collect();
        Selector { include: all(include), exclude: all(exclude) }
    }

    #[test]
    fn pm_36_malformed_patterns_are_refused() {
        for text in ["", "a b", "{a,b}.com", "a..b", ".a", "a.", "x**.com", "***.com", "api[.example.com", "a[].b"] {
            assert!(HostPattern::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn pm_36_a_label_is_matched_within_itself() {
        for (text, host, expected) in [
            ("api.example.com", "API.example.COM", true),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "a.b.example.com", false),
            ("**.example.com", "a.b.example.com", true),
            ("**.example.com", "example.com", false),
            ("**", "a.b", true),
            ("a?.x", "ab.x", true),
            ("a?.x", "a.x", false),
            ("a[0-9].x", "a7.x", true),
            ("a[!0-9].x", "a7.x", false),
            ("[]x].a", "].a", true),
            ("*-api.x", "us-api.x", true),
            ("a.**.z", "a.z", false),
            ("a.**.z", "a.b.c.z", true),
            ("**", "a..b", false),
        ] {
            assert_eq!(pattern(text).matches(host), expected, "{text} {host}");
        }
    }

    #[test]
    fn pm_36_two_patterns_overlap_when_a_host_fits_both() {
        for (left, right, expected) in [
            ("*.example.com", "api.*.com", true),
            ("*.example.com", "*.example.org", false),
            ("a*.x", "*b.x", true),
            ("a[0-4].x", "a[5-9].x", false),
            ("**.com", "*.com", true),
            ("**.x", "a.**", true),
            ("*.*", "**.a.b", false),
            ("**", "**", true),
        ] {
            assert_eq!(pattern(left).overlaps(&pattern(right)), expected, "{left} {right}");
            assert_eq!(pattern(right).overlaps(&pattern(left)), expected, "{right} {left}");
        }
    }

    #[test]
    fn pm_36_an_exclude_counts_for_one_host_and_for_equal_words() {
        assert!(!selector(&["**"], &["*.internal.x"]).overlaps(&pattern("a.internal.x")));
        assert!(!selector(&["a.internal.x"], &["*.internal.x"]).overlaps(&pattern("**")));
        assert!(selector(&["**"], &["*.internal.x"]).overlaps(&pattern("*.*.x")));
        assert!(!selector(&["**"], &["*.x"]).overlaps(&pattern("*.X")));
        assert!(!selector(&["*.x"], &["**"]).overlaps(&pattern("a*.x")));
        assert!(!selector(&["*.x"], &["*.x"]).overlaps(&pattern("a*.x")));
        assert!(selector(&["a.x", "*.x"], &["b.x"]).matches("c.x"));
        assert!(!selector(&["a.x", "*.x"], &["b.x"]).matches("b.x"));
    }
}
