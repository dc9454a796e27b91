//! What may be installed, and what becomes of it as time passes. Pure: never back, what is left in place
//! of what a node could not compose, and when what is installed counts as stale or must not be used.

use std::time::Duration;

use openshell_proto::sandbox::GetSandboxConfigResponse;
use openshell_proto::v1::GetSandboxProviderEnvironmentResponse;

use crate::clock;
use crate::configuration::Configuration;
use crate::position::Position;

/// A node says where it is every 2 s. Whoever heard nothing newer for so long is stale.
pub(crate) const FRESH_MAX: Duration = Duration::from_secs(10);

/// What to do with a configuration that nobody has confirmed for longer than the maximum age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenStale {
    /// It stays in force, and is said to be stale.
    #[default]
    RetainLastValid,
    /// It is taken out of force: better no network than an old policy.
    FailClosed,
}

/// How what is installed stands to what the cluster has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing was ever installed.
    Empty,
    /// A node is followed, and knows that it is current.
    Current,
    /// Nobody says that it is current.
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
    /// is no policy at all. With it, why it is not all that was asked for; empty when it is.
    pub(crate) fn onto(&self, last: Option<&Configuration>) -> (Option<Configuration>, String) {
        let reason = |part: &str, reason: &String| format!("the gateway could not compose the {part}: {reason}");
        let reasons = [
            self.config.as_ref().err().map(|why| reason("configuration", why)),
            self.environment.as_ref().err().map(|why| reason("environment", why)),
        ];
        let problem = reasons.into_iter().flatten().collect::<Vec<_>>().join("; ");
        if self.config.is_err() && self.environment.is_err() {
            return (None, problem);
        }
        let config = self.config.as_ref().ok().or(last.map(|last| &last.config));
        let Some(config) = config.cloned() else { return (None, problem) };
        let environment = self.environment.as_ref().ok().or(last.map(|last| &last.environment));
        let environment = environment.cloned().unwrap_or_default();
        (Some(Configuration { position: self.position, config, environment }), problem)
    }
}

impl AgePolicy {
    /// What is installed as of `as_of_ms`, while a node is followed or not. Clocks that were set back make
    /// nothing older than it is.
    pub(crate) fn standing(&self, is_installed: bool, is_followed: bool, as_of_ms: i64, now_ms: i64) -> Standing {
        let age = clock::span(now_ms.saturating_sub(as_of_ms));
        match (self.max_age, self.when_stale) {
            _ if !is_installed => Standing::Empty,
            _ if is_followed && age < FRESH_MAX => Standing::Current,
            (Some(max_age), WhenStale::FailClosed) if age >= max_age => Standing::Closed,
            _ => Standing::Stale,
        }
    }

    /// When [`AgePolicy::standing`] may next say something else without anything being heard.
    pub(crate) fn next_change_ms(&self, as_of_ms: i64, now_ms: i64) -> Option<i64> {
        let spans = [Some(FRESH_MAX), self.max_age.filter(|_| self.when_stale == WhenStale::FailClosed)];
        let times = spans.into_iter().flatten().map(|span| as_of_ms.saturating_add(clock::ms(span)));
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

        let (whole, problem) = offer(Ok(config(2)), Ok(environment(2))).onto(Some(&last));
        assert_eq!((whole.expect("installed").revisions(), problem.as_str()), ((2, 2), ""));
        let (part, problem) = offer(Ok(config(2)), refused()).onto(Some(&last));
        assert_eq!(part.expect("the policy is not held up").revisions(), (2, 1));
        assert_eq!(problem, "the gateway could not compose the environment: provider 'acme' is missing");
        let (part, problem) = offer(refused(), Ok(environment(2))).onto(Some(&last));
        assert_eq!((part.expect("installed").revisions(), problem.is_empty()), ((1, 2), false));
        assert_eq!(offer(refused(), refused()).onto(Some(&last)).0, None);
        assert_eq!(offer(refused(), Ok(environment(2))).onto(None).0, None, "no credentials without a policy");
        let (part, _) = offer(Ok(config(2)), refused()).onto(None);
        assert_eq!(part.expect("installed").revisions(), (2, 0));
    }

    #[test]
    fn what_is_old_follows_the_declared_mode() {
        let minute = Duration::from_secs(60);
        let closing = AgePolicy { max_age: Some(minute), when_stale: WhenStale::FailClosed };
        let retaining = AgePolicy { max_age: Some(minute), when_stale: WhenStale::RetainLastValid };
        assert_eq!(closing.standing(false, true, 0, 90_000), Standing::Empty);
        assert_eq!(closing.standing(true, true, 0, 9_999), Standing::Current);
        assert_eq!(closing.standing(true, false, 0, 9_999), Standing::Stale);
        // A node that is followed and has not heard of its cluster is no better.
        assert_eq!(closing.standing(true, true, 0, 59_999), Standing::Stale);
        assert_eq!(closing.standing(true, true, 0, 60_000), Standing::Closed);
        assert_eq!(retaining.standing(true, false, 0, 60_000), Standing::Stale);
        assert_eq!(closing.standing(true, false, 500, 400), Standing::Stale, "a clock set back");
        assert_eq!(closing.next_change_ms(0, 0), Some(10_000));
        assert_eq!(closing.next_change_ms(0, 10_000), Some(60_000));
        assert_eq!(retaining.next_change_ms(0, 10_000), None);
    }
}
