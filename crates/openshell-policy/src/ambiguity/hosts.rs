//! Which endpoints of a policy are compared with which: only those that may share a host. Whether they do is
//! judged by the comparison.

use std::collections::BTreeMap;

use super::Candidate;

/// Which endpoints may share a host at all: those of the same one, and every pattern. A policy of many hosts costs
/// no more than looking at each.
pub(super) struct Hosts<'a> {
    named: BTreeMap<&'a str, Vec<usize>>,
    patterns: Vec<usize>,
}

impl<'a> Hosts<'a> {
    pub(super) fn of(endpoints: &'a [Candidate<'_>]) -> Self {
        let mut hosts = Self { named: BTreeMap::new(), patterns: Vec::new() };
        for (at, one) in endpoints.iter().enumerate() {
            match one.one_host {
                true => hosts.named.entry(one.host.as_str()).or_default().push(at),
                false => hosts.patterns.push(at),
            }
        }
        hosts
    }

    /// The endpoints after `at`, which is `one`, that may share its host, in order.
    pub(super) fn later(&self, one: &Candidate<'_>, at: usize) -> Box<dyn Iterator<Item = usize> + '_> {
        if !one.one_host {
            let count = self.patterns.len() + self.named.values().map(Vec::len).sum::<usize>();
            return Box::new(at + 1..count);
        }
        let after = |list: &'_ Vec<usize>| list.partition_point(|other| *other <= at);
        let same = self.named.get(one.host.as_str()).map_or(&[][..], |list| &list[after(list)..]);
        let patterns = &self.patterns[after(&self.patterns)..];
        Box::new(merged(same, patterns))
    }
}

/// Two ascending lists without common members as one.
fn merged<'a>(left: &'a [usize], right: &'a [usize]) -> impl Iterator<Item = usize> + 'a {
    let (mut left, mut right) = (left.iter().copied().peekable(), right.iter().copied().peekable());
    std::iter::from_fn(move || match (left.peek(), right.peek()) {
        (Some(a), Some(b)) if a < b => left.next(),
        (Some(_), None) => left.next(),
        (_, _) => right.next(),
    })
}

/// Two hosts that end in different letters before either has a star have nothing in common.
pub(super) fn ends_apart(left: &str, right: &str) -> bool {
    let ends = left.chars().rev().zip(right.chars().rev());
    ends.take_while(|(a, b)| *a != '*' && *b != '*').any(|(a, b)| a != b)
}
