//! What the product asks where a fault may be planted. Without the feature each answer is a constant.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::bug::Bug;
use crate::plan::Plan;
use crate::point::Point;

/// Whether faults can be planted in this build at all.
pub const COMPILED_IN: bool = cfg!(feature = "chaos");

/// The variables of this process, as they were when somebody first asked.
fn plan() -> &'static Plan {
    static PLAN: OnceLock<Plan> = OnceLock::new();
    // A program that says what is planted has refused what means nothing.
    PLAN.get_or_init(|| read().unwrap_or_default())
}

fn read() -> Result<Plan, String> {
    Plan::read(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
}

/// What a program has to say at its start; nothing in a build without chaos.
///
/// # Errors
/// A sentence about a variable that means nothing: the program must not start.
pub fn announcement() -> Result<Option<String>, String> {
    if !COMPILED_IN {
        return Ok(None);
    }
    let plan = read()?;
    Ok(Some(format!(
        "CHAOS BUILD: variables can make this program lose data, answer wrongly and crash; it is for tests and must hold \
         nothing of value ({plan})"
    )))
}

/// Whether a bug is planted.
#[inline]
#[must_use]
pub fn bug(bug: Bug) -> bool {
    COMPILED_IN && plan().bug == Some(bug)
}

/// Whether a bug is planted and `value` is another one than it was asked about last, if it was: a fault that
/// is met at a change.
#[inline]
#[must_use]
pub fn changes(planted: Bug, value: u64) -> bool {
    static LAST: AtomicU64 = AtomicU64::new(u64::MAX);
    bug(planted) && ![value, u64::MAX].contains(&LAST.swap(value, Ordering::Relaxed))
}

/// The process passes a point where nothing can fail.
#[inline]
pub fn point(point: Point) {
    // An error can be asked for at other points only.
    let _ = disk_point(point);
}

/// The process passes a point where the disk can fail.
///
/// # Errors
/// The one that was asked for.
#[inline]
pub fn disk_point(point: Point) -> io::Result<()> {
    if COMPILED_IN { plan().pass(point) } else { Ok(()) }
}

/// The clock of this machine, which nothing that is applied may read: milliseconds since the Unix epoch.
#[must_use]
pub fn local_time_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_without_the_variables_has_no_fault() {
        assert!(Bug::ALL.into_iter().all(|one| !bug(one) && !changes(one, 1) && !changes(one, 2)));
        assert!(Point::ALL.into_iter().all(|point| disk_point(point).is_ok()));
    }

    #[test]
    fn a_build_with_chaos_says_so_and_one_without_says_nothing() {
        let said = announcement().unwrap();
        assert_eq!(said.is_some(), COMPILED_IN);
        assert!(said.is_none_or(|said| said.starts_with("CHAOS BUILD") && said.contains("nothing is planted")));
    }
}
