//! Which node to follow: the own zone first, then the shortest round trip. Pure: what is known of the
//! nodes is told, time and chance are arguments. Nothing is measured or connected here.
//!
//! Who is well served stays: another node is worth a move only when it is nearer by a margin, several
//! looks in a row. Who has to move chooses by chance among nodes that are about as near, so that the
//! sandboxes of a lost node spread over the others.

use std::time::Duration;

use openshell_client::EndpointUrl;
use rand::Rng;

/// Nodes whose round trip is at most this much longer than the shortest one are as near as that: both
/// have to be exceeded.
const AS_NEAR_FACTOR: f64 = 1.5;
const AS_NEAR_MS: f64 = 2.0;
/// So many looks in a row have to find another node nearer before it is worth a move.
const LOOKS: u32 = 3;
/// A node that has not heard of its cluster for so long is followed only when there is no other.
pub(crate) const OUT_OF_TOUCH: Duration = Duration::from_secs(5);
/// After its first failure a node is asked last for so long; each further one doubles it.
const SHUNNED: Duration = Duration::from_secs(1);
const SHUNNED_MAX: Duration = Duration::from_secs(60);
/// RFC 6298, section 2.3.
const SMOOTHING: f64 = 0.125;

/// What is known of one node.
#[derive(Clone, Debug)]
struct Candidate {
    endpoint: EndpointUrl,
    /// Given by whoever started this, not learned from the cluster: never forgotten.
    given: bool,
    /// Unknown until it has answered, or another has told.
    node: Option<u64>,
    zone: Option<String>,
    round_trip_ms: Option<f64>,
    age: Duration,
    /// Whether it answered when it was last looked for; unknown of one that never was.
    answers: Option<bool>,
    failures: u32,
    /// Asked last until then.
    shunned_until_ms: u64,
}

/// A member of the cluster, as the cluster says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Neighbour {
    /// Its id.
    pub(crate) node: u64,
    /// Where clients reach it.
    pub(crate) endpoint: EndpointUrl,
    /// Where it stands; empty when nobody said.
    pub(crate) zone: String,
}

/// The nodes that may be followed, and the one that is.
#[derive(Clone, Debug)]
pub(crate) struct Nearest {
    zone: Option<String>,
    candidates: Vec<Candidate>,
    followed: Option<EndpointUrl>,
    /// Looks in a row that found another one nearer.
    nearer_seen: u32,
}

impl Nearest {
    /// Chooses among these, and the members that are learned from them.
    #[must_use]
    pub(crate) fn new(endpoints: &[EndpointUrl], zone: Option<String>) -> Self {
        let candidates = endpoints.iter().map(|endpoint| Candidate::new(endpoint.clone(), true)).collect();
        let zone = zone.filter(|zone| !zone.is_empty());
        Self { zone, candidates, followed: None, nearer_seen: 0 }
    }

    /// Every endpoint that is known.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = &EndpointUrl> {
        self.candidates.iter().map(|candidate| &candidate.endpoint)
    }

    /// Takes over what a node says about who the members are. Whoever is no member any more is forgotten,
    /// but for what was given at the start. An endpoint in the clear is not taken over from the cluster
    /// where all that were given are TLS: a token must not be talked out of it.
    pub(crate) fn learn(&mut self, members: &[Neighbour]) {
        let all_secure = self.candidates.iter().all(|one| !one.given || one.endpoint.is_secure());
        let usable = |member: &&Neighbour| !all_secure || member.endpoint.is_secure();
        let members: Vec<&Neighbour> = members.iter().filter(usable).collect();
        let is_member = |one: &Candidate| members.iter().any(|member| one.is_at(&member.endpoint));
        self.candidates.retain(|one| one.given || is_member(one));
        for member in members {
            let known = self.candidates.iter_mut().find(|one| one.is_at(&member.endpoint) || one.is_given_as(member));
            let one = match known {
                Some(one) => one,
                None => {
                    self.candidates.push(Candidate::new(member.endpoint.clone(), false));
                    let Some(one) = self.candidates.last_mut() else { continue };
                    one
                }
            };
            one.node = Some(member.node);
            one.zone = Some(member.zone.clone()).filter(|zone| !zone.is_empty());
        }
    }

    /// Notes an answer of a node: how long it took, which node it was, how old what it knows is. That it
    /// answers a small question does not mean that it holds a stream: earlier failures count until
    /// [`Nearest::served`].
    pub(crate) fn answered(&mut self, endpoint: &EndpointUrl, round_trip: Duration, node: Option<u64>, age: Duration) {
        let Some(one) = self.candidate(endpoint) else { return };
        let measured_ms = round_trip.as_secs_f64() * 1000.0;
        let smoothed_ms = one.round_trip_ms.map_or(measured_ms, |old| old + SMOOTHING * (measured_ms - old));
        one.round_trip_ms = Some(smoothed_ms);
        (one.age, one.answers) = (age, Some(true));
        one.node = node.or(one.node);
    }

    /// Notes that a node did not answer a look: what is known of it is of before. Of the followed one the
    /// stream says more.
    pub(crate) fn unanswered(&mut self, endpoint: &EndpointUrl) {
        if self.followed.as_ref() == Some(endpoint) {
            return;
        }
        if let Some(one) = self.candidate(endpoint) {
            one.answers = Some(false);
        }
    }

    /// Notes how old what the followed node knows is.
    pub(crate) fn aged(&mut self, endpoint: &EndpointUrl, age: Duration) {
        if let Some(one) = self.candidate(endpoint) {
            one.age = age;
        }
    }

    /// Notes that a node served well: earlier failures no longer count.
    pub(crate) fn served(&mut self, endpoint: &EndpointUrl) {
        if let Some(one) = self.candidate(endpoint) {
            (one.failures, one.shunned_until_ms, one.answers) = (0, 0, Some(true));
        }
    }

    /// Notes that a node failed: it is asked last for a while, and that longer each time.
    pub(crate) fn failed(&mut self, endpoint: &EndpointUrl, now_ms: u64) {
        if let Some(one) = self.candidate(endpoint) {
            let shunned = SHUNNED.saturating_mul(2_u32.saturating_pow(one.failures)).min(SHUNNED_MAX);
            one.failures = one.failures.saturating_add(1);
            one.answers = Some(false);
            one.shunned_until_ms = now_ms.saturating_add(u64::try_from(shunned.as_millis()).unwrap_or(u64::MAX));
        }
        self.nearer_seen = 0;
    }

    /// Chooses anew, at the start or after a failure: any of those that are about as near as the nearest.
    /// None only without endpoints.
    pub(crate) fn choose(&mut self, now_ms: u64, random: &mut impl Rng) -> Option<EndpointUrl> {
        let nearest = self.as_near_as_the_nearest(now_ms, |_| true);
        let chosen = one_of(&nearest, random);
        self.followed.clone_from(&chosen);
        self.nearer_seen = 0;
        chosen
    }

    /// Looks whether another node is worth a move, and chooses it then. A look after each measurement: only a
    /// node that answered it is worth leaving a good stream for.
    pub(crate) fn reconsider(&mut self, now_ms: u64, random: &mut impl Rng) -> Option<EndpointUrl> {
        let is_followed = |one: &Candidate| self.followed.as_ref() == Some(&one.endpoint);
        let nearest = self.as_near_as_the_nearest(now_ms, |one| is_followed(one) || one.answers == Some(true));
        if nearest.is_empty() || nearest.iter().any(|one| is_followed(one)) {
            self.nearer_seen = 0;
            return None;
        }
        let chosen = one_of(&nearest, random);
        let followed = self.candidates.iter().find(|one| is_followed(one));
        let is_urgent = followed.is_none_or(|one| one.age > OUT_OF_TOUCH);
        self.nearer_seen += 1;
        if self.nearer_seen < LOOKS && !is_urgent {
            return None;
        }
        self.followed.clone_from(&chosen);
        self.nearer_seen = 0;
        chosen
    }

    /// Whether the last look found another one nearer and did not choose it: the next one should not be far.
    #[must_use]
    pub(crate) fn wants_another_look(&self) -> bool {
        self.nearer_seen > 0
    }

    /// Whether every node failed lately, so that asking at once is no use.
    #[must_use]
    pub(crate) fn all_shunned(&self, now_ms: u64) -> bool {
        self.candidates.iter().all(|one| one.shunned_until_ms > now_ms)
    }

    fn candidate(&mut self, endpoint: &EndpointUrl) -> Option<&mut Candidate> {
        self.candidates.iter_mut().find(|one| one.endpoint == *endpoint)
    }

    fn as_near_as_the_nearest(&self, now_ms: u64, may_be: impl Fn(&Candidate) -> bool) -> Vec<&Candidate> {
        let usable: Vec<&Candidate> = self.candidates.iter().filter(|one| may_be(one)).collect();
        let Some(rank) = usable.iter().map(|one| self.rank(one, now_ms)).min() else { return Vec::new() };
        let best: Vec<&Candidate> = usable.into_iter().filter(|one| self.rank(one, now_ms) == rank).collect();
        let shortest_ms = best.iter().filter_map(|one| one.round_trip_ms).min_by(f64::total_cmp).unwrap_or(0.0);
        let limit_ms = (shortest_ms * AS_NEAR_FACTOR).max(shortest_ms + AS_NEAR_MS);
        // Whoever was not measured yet may be as near as anyone.
        best.into_iter().filter(|one| one.round_trip_ms.is_none_or(|ms| ms <= limit_ms)).collect()
    }

    /// Less is better. Of nodes that failed lately, the one whose time is up first.
    fn rank(&self, one: &Candidate, now_ms: u64) -> (u64, bool, bool, bool) {
        let shunned_until_ms = if one.shunned_until_ms > now_ms { one.shunned_until_ms } else { 0 };
        let is_elsewhere = self.zone.is_some() && one.zone != self.zone;
        (shunned_until_ms, one.answers == Some(false), one.age > OUT_OF_TOUCH, is_elsewhere)
    }
}

/// Any of these, by chance.
fn one_of(nearest: &[&Candidate], random: &mut impl Rng) -> Option<EndpointUrl> {
    match nearest.len() {
        0 => None,
        count => Some(nearest[random.random_range(0..count)].endpoint.clone()),
    }
}

impl Candidate {
    fn new(endpoint: EndpointUrl, given: bool) -> Self {
        Self {
            endpoint,
            given,
            node: None,
            zone: None,
            round_trip_ms: None,
            age: Duration::ZERO,
            answers: None,
            failures: 0,
            shunned_until_ms: 0,
        }
    }

    fn is_at(&self, endpoint: &EndpointUrl) -> bool {
        (self.endpoint.host(), self.endpoint.port()) == (endpoint.host(), endpoint.port())
    }

    /// The same node under the name that it was given here. That one works from here; whether the one that
    /// the cluster has works too, nobody knows.
    fn is_given_as(&self, member: &Neighbour) -> bool {
        self.given && self.node == Some(member.node)
    }
}

#[cfg(test)]
mod tests;
