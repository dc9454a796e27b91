//! What the variables say: at most one bug, and at most one point with what happens there and when.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::bug::Bug;
use crate::point::Point;

/// Names a bug: `stale-reads`.
pub const BUG_VARIABLE: &str = "OPENSHELL_CHAOS_BUG";
/// Names a point, the how-manieth time that it is passed (the first), and what happens then (the process aborts):
/// `append.before_write`, `vote.after_save:3`, `writer.before_sync=sleep:2000`, `mark.before_rename:2=error`.
pub const POINT_VARIABLE: &str = "OPENSHELL_CHAOS_POINT";
/// Names a file. While it does not exist, passing the point does not count.
pub const FILE_VARIABLE: &str = "OPENSHELL_CHAOS_FILE";

/// What happens in this process.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) bug: Option<Bug>,
    trap: Option<Trap>,
    /// The trap is not set while this does not exist.
    file: Option<PathBuf>,
    passed: AtomicU64,
}

/// Something that happens once, at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Trap {
    point: Point,
    /// From 1.
    count: u64,
    action: Action,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// The process ends at once, as by a crash.
    Abort,
    /// The thread stands still.
    Sleep(Duration),
    /// The disk fails.
    Error,
}

impl Plan {
    /// Reads the variables, which `variable` knows by name. An empty one is none.
    ///
    /// # Errors
    /// A sentence about a variable that means nothing: the process must not start.
    pub(crate) fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let given = |name| variable(name).filter(|text| !text.is_empty());
        let bug = given(BUG_VARIABLE).map(|name| read_bug(&name)).transpose()?;
        let trap = given(POINT_VARIABLE).map(|text| Trap::read(&text)).transpose()?;
        Ok(Self { bug, trap, file: given(FILE_VARIABLE).map(PathBuf::from), passed: AtomicU64::new(0) })
    }

    /// The process passes a point.
    ///
    /// # Errors
    /// The one that was asked for.
    pub(crate) fn pass(&self, point: Point) -> io::Result<()> {
        let Some(trap) = self.trap.filter(|trap| trap.point == point) else { return Ok(()) };
        let is_set = self.file.as_deref().is_none_or(Path::exists);
        if !is_set || self.passed.fetch_add(1, Ordering::Relaxed) + 1 != trap.count {
            return Ok(());
        }
        // The harness looks for this line: a process that ends without it ended of something else.
        let _ = writeln!(io::stderr(), "chaos: {trap}");
        match trap.action {
            Action::Abort => std::process::abort(),
            Action::Sleep(time) => {
                std::thread::sleep(time);
                Ok(())
            }
            Action::Error => Err(io::Error::other(format!("chaos: an error was asked for at {}", point.name()))),
        }
    }
}

/// What is planted, in words.
impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.bug, self.trap) {
            (None, None) => write!(formatter, "nothing is planted"),
            (Some(bug), None) => write!(formatter, "planted: {}", bug.name()),
            (None, Some(trap)) => write!(formatter, "planted: {trap}"),
            (Some(bug), Some(trap)) => write!(formatter, "planted: {}; {trap}", bug.name()),
        }
    }
}

impl Trap {
    fn read(text: &str) -> Result<Self, String> {
        let (place, action) = match text.split_once('=') {
            Some((place, action)) => (place, Action::read(action)?),
            None => (text, Action::Abort),
        };
        let (name, count) = place.split_once(':').unwrap_or((place, "1"));
        let point = Point::named(name).ok_or_else(|| {
            let known = Point::ALL.map(Point::name).join(", ");
            format!("{POINT_VARIABLE}: there is no point {name:?}; there are {known}")
        })?;
        let count = count.parse().ok().filter(|count| *count > 0);
        let count = count.ok_or_else(|| format!("{POINT_VARIABLE}: after {name}: a number from 1 is expected"))?;
        if action == Action::Error && !point.can_fail() {
            return Err(format!("{POINT_VARIABLE}: nothing can fail at {name}; abort and sleep are possible"));
        }
        Ok(Self { point, count, action })
    }
}

impl fmt::Display for Trap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { point, count, action } = self;
        let name = point.name();
        match action {
            Action::Abort => write!(formatter, "{name}, passed {count} times, aborts"),
            Action::Sleep(time) => write!(formatter, "{name}, passed {count} times, sleeps {} ms", time.as_millis()),
            Action::Error => write!(formatter, "{name}, passed {count} times, fails"),
        }
    }
}

impl Action {
    fn read(text: &str) -> Result<Self, String> {
        let sleep = || {
            let milliseconds = text.strip_prefix("sleep:")?.parse().ok()?;
            Some(Action::Sleep(Duration::from_millis(milliseconds)))
        };
        match text {
            "abort" => Ok(Action::Abort),
            "error" => Ok(Action::Error),
            _ => sleep()
                .ok_or_else(|| format!("{POINT_VARIABLE}: {text:?} is none of abort, error and sleep:MILLISECONDS")),
        }
    }
}

fn read_bug(name: &str) -> Result<Bug, String> {
    Bug::named(name).ok_or_else(|| {
        let known = Bug::ALL.map(Bug::name).join(", ");
        format!("{BUG_VARIABLE}: there is no bug {name:?}; there are {known}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(variables: &[(&str, &str)]) -> Result<Plan, String> {
        Plan::read(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    fn trap(text: &str) -> Result<Trap, String> {
        plan(&[(POINT_VARIABLE, text)]).map(|plan| plan.trap.expect("a trap"))
    }

    #[test]
    fn a_bug_is_chosen_by_its_name() {
        for bug in Bug::ALL {
            assert_eq!(plan(&[(BUG_VARIABLE, bug.name())]).unwrap().bug, Some(bug));
        }
        let mistake = plan(&[(BUG_VARIABLE, "stale-read")]).unwrap_err();
        assert!(mistake.contains("\"stale-read\"") && mistake.contains("stale-reads, early-ack"), "{mistake}");
    }

    #[test]
    fn a_point_is_chosen_with_its_count_and_what_happens() {
        let expect = |point, count, action| Ok(Trap { point, count, action });
        assert_eq!(trap("append.before_write"), expect(Point::AppendBeforeWrite, 1, Action::Abort));
        assert_eq!(trap("vote.after_save:3"), expect(Point::VoteAfterSave, 3, Action::Abort));
        assert_eq!(trap("watch.before_send:2=abort"), expect(Point::WatchBeforeSend, 2, Action::Abort));
        let sleeps = Action::Sleep(Duration::from_millis(250));
        assert_eq!(trap("writer.before_sync:7=sleep:250"), expect(Point::BeforeSync, 7, sleeps));
        assert_eq!(trap("mark.before_rename=error"), expect(Point::MarkBeforeRename, 1, Action::Error));
    }

    #[test]
    fn what_means_nothing_is_refused_in_words() {
        for (text, words) in [
            ("append", "there is no point \"append\""),
            ("append.before_write:0", "a number from 1"),
            ("append.before_write:often", "a number from 1"),
            ("append.before_write=explode", "\"explode\" is none of"),
            ("append.before_write=sleep:long", "\"sleep:long\" is none of"),
            ("watch.before_send=error", "nothing can fail at watch.before_send"),
        ] {
            let mistake = trap(text).unwrap_err();
            assert!(mistake.starts_with(POINT_VARIABLE) && mistake.contains(words), "{text}: {mistake}");
        }
    }

    #[test]
    fn without_variables_nothing_happens() {
        for variables in [&[][..], &[(BUG_VARIABLE, ""), (POINT_VARIABLE, ""), (FILE_VARIABLE, "")]] {
            let plan = plan(variables).unwrap();
            assert_eq!((plan.bug, plan.trap), (None, None));
            assert!(Point::ALL.into_iter().all(|point| plan.pass(point).is_ok()));
            assert_eq!(plan.to_string(), "nothing is planted");
        }
    }

    #[test]
    fn a_trap_springs_once_at_its_count_and_at_no_other_point() {
        let plan = plan(&[(POINT_VARIABLE, "apply.begin:3=error")]).unwrap();
        let failed = |point| plan.pass(point).is_err();
        assert!(!failed(Point::ApplyBegin) && !failed(Point::ApplyBegin) && !failed(Point::ApplyBeforeWrite));
        assert!(plan.pass(Point::ApplyBegin).unwrap_err().to_string().contains("apply.begin"));
        assert!(!failed(Point::ApplyBegin), "it has sprung");
    }

    #[test]
    fn a_trap_with_a_file_is_set_once_the_file_is_there() {
        let file = std::env::temp_dir().join(format!("openshell-chaos-{}", std::process::id()));
        let name = file.display().to_string();
        let plan = plan(&[(POINT_VARIABLE, "apply.begin=error"), (FILE_VARIABLE, &name)]).unwrap();
        assert!(plan.pass(Point::ApplyBegin).is_ok(), "the file is not there");
        std::fs::write(&file, b"").unwrap();
        let sprung = plan.pass(Point::ApplyBegin);
        std::fs::remove_file(&file).unwrap();
        assert!(sprung.is_err());
    }

    #[test]
    fn what_is_planted_is_said_in_words() {
        let both = [(BUG_VARIABLE, "local-clock"), (POINT_VARIABLE, "vote.after_save:2=sleep:50")];
        let said = plan(&both).unwrap().to_string();
        assert_eq!(said, "planted: local-clock; vote.after_save, passed 2 times, sleeps 50 ms");
    }
}
