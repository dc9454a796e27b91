//! What may be installed, and what becomes of it as time passes. Pure: never back, what is left in place
//! of what a node could not compose, and when what is installed counts as stale or must not be used.

use std::collections::BTreeSet;
use std::time::Duration;

use openshell_proto::sandbox::GetSandboxConfigResponse;
use openshell_proto::v1::GetSandboxProviderEnvironmentResponse;

use crate::clock;
use crate::configuration::Configuration;
use crate::position::Position;

/// A node says where it is every 2 s. Whoever heard nothing newer for so long is stale.
pub(crate) const FRESH_MAX: Duration = Duration::from_secs(10);

/// What to do with what nobody has confirmed for longer than the maximum age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenStale {
    /// It stays in force, and is said to be stale.
    #[default]
    RetainLastValid,
    /// It is taken out of force: better no network than an old policy, and no credentials than old ones. Where
    /// only the environment could not be composed for so long, only that goes.
    FailClosed,
}

/// How what is installed stands to what the cluster has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing was ever installed.
    Empty,
    /// A node is followed, and knows that all of it is current.
    Current,
    /// Nobody says that all of it is current.
    Stale,
    /// Stale beyond the maximum age, and taken out of force.
    Closed,
}

/// When a configuration is old, and what to do then.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AgePolicy {
    pub(crate) max_age: Option<Duration>,
    pub(crate) when_stale: WhenStale,
}

/// When either part was last known to be current, milliseconds since the Unix epoch; 0 is never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AsOf {
    /// Policy and settings.
    pub(crate) config_ms: i64,
    pub(crate) environment_ms: i64,
}

/// What a node could not compose, and is as it was before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lack {
    pub(crate) config: bool,
    pub(crate) environment: bool,
    /// Why; empty when nothing is lacking.
    pub(crate) reason: String,
}

/// The newest position that was accepted. Nothing older is, whichever node says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Floor(pub(crate) Option<Position>);

/// Why something is not installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TooOld {
    #[error("the node is at {offered}, and {floor} is installed")]
    Behind { offered: Position, floor: Position },
    #[error("the gateway does not say of which revision its answer is, and {floor} is installed")]
    Unknown { floor: Position },
}

/// What a node composed from one state; what it could not, with its reason.
#[derive(Clone)]
pub(crate) struct Offer {
    pub(crate) position: Option<Position>,
    pub(crate) config: Result<GetSandboxConfigResponse, String>,
    pub(crate) environment: Result<GetSandboxProviderEnvironmentResponse, String>,
}

impl Floor {
    /// Accepts a position, and nothing older from then on. The same one is accepted: time alone changes
    /// what is composed at it.
    pub(crate) fn accept(&mut self, offered: Option<Position>) -> Result<(), TooOld> {
        match (self.0, offered) {
            (Some(floor), Some(offered)) if offered < floor => Err(TooOld::Behind { offered, floor }),
            (Some(floor), None) => Err(TooOld::Unknown { floor }),
            (_, offered) => {
                self.0 = offered;
                Ok(())
            }
        }
    }
}

impl Offer {
    /// What to install, given what is: a part that could not be composed stays as it is. Nothing when there
    /// is no policy at all. With it, what is lacking of what was asked for.
    pub(crate) fn onto(&self, last: Option<&Configuration>) -> (Option<Configuration>, Lack) {
        let reason = |part: &str, reason: &String| format!("the gateway could not compose the {part}: {reason}");
        let reasons = [
            self.config.as_ref().err().map(|why| reason("configuration", why)),
            self.environment.as_ref().err().map(|why| reason("environment", why)),
        ];
        let lack = Lack {
            config: self.config.is_err(),
            environment: self.environment.is_err(),
            reason: reasons.into_iter().flatten().collect::<Vec<_>>().join("; "),
        };
        if lack.config && lack.environment {
            return (None, lack);
        }
        let config = self.config.as_ref().ok().or(last.map(|last| &last.config));
        let Some(config) = config.cloned() else { return (None, lack) };
        let environment = self.environment.as_ref().ok().or(last.map(|last| &last.environment));
        let environment = environment.cloned().unwrap_or_default();
        (Some(Configuration { position: self.position, config, environment }), lack)
    }
}

impl AsOf {
    /// The later of both, part by part.
    pub(crate) fn later(self, other: Self) -> Self {
        Self {
            config_ms: self.config_ms.max(other.config_ms),
            environment_ms: self.environment_ms.max(other.environment_ms),
        }
    }

    /// Nothing is known of the future.
    pub(crate) fn until(self, now_ms: i64) -> Self {
        Self { config_ms: self.config_ms.min(now_ms), environment_ms: self.environment_ms.min(now_ms) }
    }
}

impl Lack {
    /// Of what an earlier run left: what it knew for longer than the rest.
    pub(crate) fn left(as_of: AsOf) -> Self {
        let environment = as_of.environment_ms < as_of.config_ms;
        let reason = if environment { "the environment is older than the policy" } else { "" };
        Self { config: false, environment, reason: reason.to_owned() }
    }

    /// When the parts of an offer were last known to be current that a node made at `said_ms`: what is lacking
    /// is as old as it was `before`.
    pub(crate) fn as_of(&self, said_ms: i64, before: AsOf) -> AsOf {
        AsOf {
            config_ms: if self.config { before.config_ms } else { said_ms },
            environment_ms: if self.environment { before.environment_ms } else { said_ms },
        }
    }
}

impl AgePolicy {
    /// What is installed as of `as_of`, while a node is followed or not: as its policy stands, and current only
    /// when its environment is. Clocks that were set back make nothing older than it is.
    pub(crate) fn standing(&self, is_installed: bool, is_followed: bool, as_of: AsOf, now_ms: i64) -> Standing {
        let is_fresh = |as_of_ms: i64| clock::span(now_ms.saturating_sub(as_of_ms)) < FRESH_MAX;
        match is_installed {
            false => Standing::Empty,
            true if is_followed && is_fresh(as_of.config_ms) && is_fresh(as_of.environment_ms) => Standing::Current,
            true if is_followed && is_fresh(as_of.config_ms) => Standing::Stale,
            true if self.is_over(as_of.config_ms, now_ms) => Standing::Closed,
            true => Standing::Stale,
        }
    }

    /// Whether the declared mode takes out of force what was last known to be current then.
    pub(crate) fn is_over(&self, as_of_ms: i64, now_ms: i64) -> bool {
        let age = clock::span(now_ms.saturating_sub(as_of_ms));
        self.when_stale == WhenStale::FailClosed && self.max_age.is_some_and(|max_age| age >= max_age)
    }

    /// A configuration without what may not be used any more at `now_ms`: credentials that expired, and all of an
    /// environment that is lacking, as it stayed from before, and too old. With it, the names of what is left
    /// out; nothing when all of it may be used.
    pub(crate) fn usable(
        &self,
        whole: &Configuration,
        lack: &Lack,
        as_of: AsOf,
        now_ms: i64,
    ) -> Option<(Configuration, BTreeSet<String>)> {
        if lack.environment && self.is_over(as_of.environment_ms, now_ms) {
            return whole.without_environment();
        }
        whole.without_expired(now_ms)
    }

    /// When anything of this may next say something else without anything being heard.
    pub(crate) fn next_change_ms(&self, as_of: AsOf, now_ms: i64) -> Option<i64> {
        let spans = [Some(FRESH_MAX), self.max_age.filter(|_| self.when_stale == WhenStale::FailClosed)];
        let times = spans.into_iter().flatten().flat_map(|span| {
            [as_of.config_ms, as_of.environment_ms].map(|as_of_ms| as_of_ms.saturating_add(clock::ms(span)))
        });
        times.filter(|time_ms| *time_ms > now_ms).min()
    }
}

impl Standing {
    /// One word: `empty`, `current`, `stale` or `closed`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Current => "current",
            Self::Stale => "stale",
            Self::Closed => "closed",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(epoch: u64, revision: u64) -> Option<Position> {
        Some(Position { epoch, revision })
    }

    fn config(revision: u64) -> GetSandboxConfigResponse {
        GetSandboxConfigResponse { config_revision: revision, ..Default::default() }
    }

    fn environment(revision: u64) -> GetSandboxProviderEnvironmentResponse {
        GetSandboxProviderEnvironmentResponse { provider_env_revision: revision, ..Default::default() }
    }

    proptest! {
        #[test]
        fn what_is_installed_never_goes_back_and_the_newest_is_never_missed(
            offered in prop::collection::vec((1_u64..4, 0_u64..50), 1..60),
        ) {
            let mut floor = Floor::default();
            let mut installed = Vec::new();
            for (epoch, revision) in offered.iter().copied() {
                if floor.accept(at(epoch, revision)).is_ok() {
                    installed.push((epoch, revision));
                }
            }
            prop_assert!(installed.is_sorted(), "{installed:?}");
            prop_assert_eq!(installed.last(), offered.iter().max());
        }
    }

    #[test]
    fn a_new_epoch_is_taken_from_the_start_and_an_old_one_no_more() {
        let mut floor = Floor(at(1, 900));
        floor.accept(at(1, 899)).expect_err("older");
        floor.accept(at(1, 900)).expect("the same");
        floor.accept(at(2, 5)).expect("a cluster made from a backup");
        let error = floor.accept(at(1, 901)).expect_err("the cluster before").to_string();
        assert!(error.contains("revision 901 of epoch 1") && error.contains("revision 5 of epoch 2"), "{error}");
        floor.accept(None).expect_err("nobody knows how old");
        Floor::default().accept(None).expect("a released gateway");
    }

    #[test]
    fn a_part_that_cannot_be_composed_stays_as_it_was() {
        fn refused<T>() -> Result<T, String> {
            Err("provider 'acme' is missing".to_owned())
        }
        let last = Configuration { position: at(1, 1), config: config(1), environment: environment(1) };
        let offer = |config, environment| Offer { position: at(1, 2), config, environment };

        let (whole, lack) = offer(Ok(config(2)), Ok(environment(2))).onto(Some(&last));
        assert_eq!((whole.expect("installed").revisions(), lack), ((2, 2), Lack::default()));
        let (part, lack) = offer(Ok(config(2)), refused()).onto(Some(&last));
        assert_eq!(part.expect("the policy is not held up").revisions(), (2, 1));
        assert_eq!(lack.reason, "the gateway could not compose the environment: provider 'acme' is missing");
        let before = AsOf { config_ms: 5, environment_ms: 7 };
        assert_eq!(lack.as_of(90, before), AsOf { config_ms: 90, environment_ms: 7 });
        let (part, lack) = offer(refused(), Ok(environment(2))).onto(Some(&last));
        assert_eq!((part.expect("installed").revisions(), lack.environment), ((1, 2), false));
        assert_eq!(lack.as_of(90, before), AsOf { config_ms: 5, environment_ms: 90 });
        assert_eq!(offer(refused(), refused()).onto(Some(&last)).0, None);
        assert_eq!(offer(refused(), Ok(environment(2))).onto(None).0, None, "no credentials without a policy");
        let (part, _) = offer(Ok(config(2)), refused()).onto(None);
        assert_eq!(part.expect("installed").revisions(), (2, 0));
    }

    fn both(ms: i64) -> AsOf {
        AsOf { config_ms: ms, environment_ms: ms }
    }

    #[test]
    fn what_is_old_follows_the_declared_mode() {
        let minute = Duration::from_secs(60);
        let closing = AgePolicy { max_age: Some(minute), when_stale: WhenStale::FailClosed };
        let retaining = AgePolicy { max_age: Some(minute), when_stale: WhenStale::RetainLastValid };
        assert_eq!(closing.standing(false, true, both(0), 90_000), Standing::Empty);
        assert_eq!(closing.standing(true, true, both(0), 9_999), Standing::Current);
        assert_eq!(closing.standing(true, false, both(0), 9_999), Standing::Stale);
        // A node that is followed and has not heard of its cluster is no better.
        assert_eq!(closing.standing(true, true, both(0), 59_999), Standing::Stale);
        assert_eq!(closing.standing(true, true, both(0), 60_000), Standing::Closed);
        assert_eq!(retaining.standing(true, false, both(0), 60_000), Standing::Stale);
        assert_eq!(closing.standing(true, false, both(500), 400), Standing::Stale, "a clock set back");
        assert_eq!(closing.next_change_ms(both(0), 0), Some(10_000));
        assert_eq!(closing.next_change_ms(both(0), 10_000), Some(60_000));
        assert_eq!(retaining.next_change_ms(both(0), 10_000), None);
    }

    #[test]
    fn an_environment_that_is_too_old_goes_by_itself_where_the_mode_is_to_close() {
        let max_age = Some(Duration::from_secs(60));
        let closing = AgePolicy { max_age, when_stale: WhenStale::FailClosed };
        let retaining = AgePolicy { max_age, when_stale: WhenStale::RetainLastValid };
        let variables = [("TOKEN".to_owned(), "not-a-real-secret".to_owned())].into();
        let environment = GetSandboxProviderEnvironmentResponse { environment: variables, ..environment(3) };
        let whole = Configuration { position: at(1, 1), config: config(2), environment };
        let lack = Lack { environment: true, ..Lack::default() };
        let (as_of, now_ms) = (AsOf { config_ms: 59_000, environment_ms: 0 }, 60_000);
        assert_eq!(closing.standing(true, true, as_of, now_ms), Standing::Stale, "the policy is current");
        assert_eq!(closing.next_change_ms(as_of, 59_999), Some(60_000), "it is looked at in time");
        assert_eq!(closing.usable(&whole, &lack, as_of, 59_999), None);
        let (left, names) = closing.usable(&whole, &lack, as_of, now_ms).expect("it is too old");
        assert_eq!(names, BTreeSet::from(["TOKEN".to_owned()]));
        assert_eq!((left.revisions(), left.environment.environment.len()), ((2, 0), 0));
        assert_eq!(closing.usable(&left, &lack, as_of, now_ms), None, "there is nothing left of it");
        assert_eq!(closing.usable(&whole, &Lack::default(), as_of, now_ms), None, "a node stands for it");
        assert_eq!(retaining.usable(&whole, &lack, as_of, now_ms), None);
        assert!(Lack::left(as_of).environment);
        assert_eq!(Lack::left(both(5)), Lack::default());
    }
}
