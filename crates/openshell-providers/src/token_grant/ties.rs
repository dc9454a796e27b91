//! Which bindings of token grants tie. Most have nothing to compare: they are told apart by port and score, by
//! a host or a path that is no pattern, or are of one credential. What is left is compared within a budget.

use std::collections::{BTreeMap, BTreeSet};

use openshell_policy::Budget;

use super::{Ambiguity, GrantBinding};
use crate::selector::{comparison_cost, hosts_overlap, is_one_host, is_one_path, paths_overlap, score};

/// What looking at a list of bindings, or at one of them, costs.
const LOOK_COST: usize = 4;

/// Places by provider and credential, ascending.
type Owners<'a> = BTreeMap<(&'a str, &'a str), Vec<usize>>;

/// A host and a path; none for a pattern.
type Names<'a> = (Option<&'a str>, Option<&'a str>);

/// Bindings of equal port and score.
#[derive(Default)]
struct Group<'a> {
    buckets: BTreeMap<Names<'a>, Owners<'a>>,
    /// The hosts of the buckets, by their paths.
    hosts: BTreeMap<Option<&'a str>, BTreeSet<Option<&'a str>>>,
    owners: BTreeSet<(&'a str, &'a str)>,
}

/// The first pair, in list order, that ties, or that was not compared.
pub(super) fn first(bindings: &[GrantBinding], budget: &mut Budget) -> Option<Ambiguity> {
    let pair = |first: usize, second: usize, compared| {
        Some(Ambiguity { first: bindings[first].clone(), second: bindings[second].clone(), compared })
    };
    let mut groups: BTreeMap<(u32, u64), Group<'_>> = BTreeMap::new();
    let mut keys = Vec::with_capacity(bindings.len());
    for (at, binding) in bindings.iter().enumerate() {
        if !budget.spend(LOOK_COST + binding.host.len() + binding.path.len()) {
            return pair(0, at.max(1).min(bindings.len() - 1), false);
        }
        let key = (binding.port, score(&binding.host, &binding.path));
        keys.push(key);
        groups.entry(key).or_default().add(at, binding);
    }
    for (at, (binding, key)) in bindings.iter().zip(keys).enumerate() {
        let tie = groups[&key].tie(bindings, at, budget);
        if budget.is_spent() {
            // Two that were not compared: of the last one, with the first.
            let last = bindings.len() - 1;
            let other = tie.unwrap_or(if at < last { last } else { 0 });
            return pair(at.min(other), at.max(other), false);
        }
        if let Some(other) = tie {
            debug_assert_ne!(binding.owner(), bindings[other].owner());
            return pair(at, other, true);
        }
    }
    None
}

/// The host and the path that a binding names.
fn named(binding: &GrantBinding) -> Names<'_> {
    let host = is_one_host(&binding.host).then_some(&*binding.host);
    (host, is_one_path(&binding.path).then_some(&*binding.path))
}

impl<'a> Group<'a> {
    fn add(&mut self, at: usize, binding: &'a GrantBinding) {
        let (names, owner) = (named(binding), binding.owner());
        self.buckets.entry(names).or_default().entry(owner).or_default().push(at);
        self.hosts.entry(names.1).or_default().insert(names.0);
        self.owners.insert(owner);
    }

    /// The first binding after `at` that ties with it.
    fn tie(&self, bindings: &[GrantBinding], at: usize, budget: &mut Budget) -> Option<usize> {
        if self.owners.len() < 2 {
            return None;
        }
        let one = &bindings[at];
        let mut first: Option<usize> = None;
        for owners in self.meeting(named(one)) {
            if !budget.spend(LOOK_COST * owners.len()) {
                return first;
            }
            for places in owners.iter().filter(|(owner, _)| **owner != one.owner()).map(|(_, places)| places) {
                let after = &places[places.partition_point(|other| *other <= at)..];
                for other in after.iter().copied().take_while(|other| first.is_none_or(|first| *other < first)) {
                    let two = &bindings[other];
                    if !budget.spend(LOOK_COST + comparison_cost((&one.host, &one.path), (&two.host, &two.path))) {
                        return first;
                    }
                    if hosts_overlap(&one.host, &two.host) && paths_overlap(&one.path, &two.path) {
                        first = Some(other);
                        break;
                    }
                }
            }
        }
        first
    }

    /// The buckets whose bindings may meet one with these names: a pattern may meet everything.
    fn meeting<'g>(&'g self, (host, path): Names<'g>) -> Box<dyn Iterator<Item = &'g Owners<'a>> + 'g> {
        let get = move |names: Names<'g>| self.buckets.get(&names);
        match (host, path) {
            (None, None) => Box::new(self.buckets.values()),
            (None, path) => {
                let hosts = move |path| self.hosts.get(&path).into_iter().flatten().map(move |host| (*host, path));
                Box::new([path, None].into_iter().flat_map(hosts).filter_map(get))
            }
            (host, None) => Box::new([host, None].into_iter().flat_map(move |host| {
                let from_here = self.buckets.range((host, None)..);
                from_here.take_while(move |((other, _), _)| *other == host).map(|(_, owners)| owners)
            })),
            (host, path) => {
                Box::new([(host, path), (host, None), (None, path), (None, None)].into_iter().filter_map(get))
            }
        }
    }
}
