//! How a sandbox's phase moves, as functions of its status alone: `None` where nothing changes. Who may ask
//! for a move is known elsewhere; what only a compute driver sees (its snapshots, `config.md` SR-42) is not
//! here, as there is none.

use openshell_proto::v1::{Sandbox, SandboxCondition, SandboxPhase, SandboxStatus};

const READY: &str = "Ready";
const TRUE: &str = "True";
const FALSE: &str = "False";

/// Runs no more and is not to. There is no driver to wait for, so that STOPPING is passed through.
///
/// Source: config.md SR-39.
#[must_use]
pub fn stopped(before: &SandboxStatus, time_ms: i64) -> Option<SandboxStatus> {
    let mut after = before.clone();
    after.set_phase(SandboxPhase::Stopped);
    after.exit_code = None;
    ready(&mut after, FALSE, "Stopped", "the sandbox is stopped", time_ms);
    changed(before, after)
}

/// Is to run again; it does once its supervisor is connected.
///
/// Source: config.md SR-40.
#[must_use]
pub fn starting(before: &SandboxStatus, time_ms: i64) -> Option<SandboxStatus> {
    let mut after = before.clone();
    after.set_phase(SandboxPhase::Starting);
    ready(&mut after, FALSE, "Starting", "the sandbox is starting", time_ms);
    changed(before, after)
}

/// A supervisor is connected, which runs this instance of the main process. Who is going, stopped or failed
/// does not become ready by it.
///
/// Source: config.md SR-41.
#[must_use]
pub fn connected(before: &SandboxStatus, instance_id: &str, time_ms: i64) -> Option<SandboxStatus> {
    match before.phase() {
        SandboxPhase::Deleting | SandboxPhase::Error | SandboxPhase::Stopping | SandboxPhase::Stopped => return None,
        SandboxPhase::Unspecified
        | SandboxPhase::Provisioning
        | SandboxPhase::Ready
        | SandboxPhase::Unknown
        | SandboxPhase::Starting => {}
    }
    let mut after = before.clone();
    after.set_phase(SandboxPhase::Ready);
    instance_id.clone_into(&mut after.main_process_instance_id);
    after.exit_code = None;
    ready(&mut after, TRUE, "DependenciesReady", "the supervisor is connected", time_ms);
    changed(before, after)
}

/// Whether a supervisor that is connected makes the sandbox ready, which it is not yet.
///
/// Source: config.md SR-41.
#[must_use]
pub fn awaits_connection(sandbox: &Sandbox) -> bool {
    let becomes_ready = |status: &SandboxStatus| connected(status, &status.main_process_instance_id, 0).is_some();
    !is_ready(sandbox) && sandbox.status.as_ref().is_none_or(becomes_ready)
}

/// Whether the record says that the supervisor is connected.
#[must_use]
pub fn is_ready(sandbox: &Sandbox) -> bool {
    sandbox.status.as_ref().is_some_and(|status| status.phase() == SandboxPhase::Ready)
}

/// The supervisor's current connection has ended.
///
/// Source: config.md SR-41.
#[must_use]
pub fn disconnected(before: &SandboxStatus, time_ms: i64) -> Option<SandboxStatus> {
    if before.phase() != SandboxPhase::Ready {
        return None;
    }
    let mut after = before.clone();
    after.set_phase(SandboxPhase::Provisioning);
    ready(&mut after, FALSE, "DependenciesNotReady", "the supervisor is not connected", time_ms);
    changed(before, after)
}

/// The main process has ended by itself, which is an error whatever its exit code. A report of another
/// instance than the recorded one, or of a sandbox that is stopped or going, is about the past.
///
/// Source: config.md SR-43.
#[must_use]
pub fn exited(before: &SandboxStatus, instance_id: &str, exit_code: i32, time_ms: i64) -> Option<SandboxStatus> {
    match before.phase() {
        SandboxPhase::Deleting | SandboxPhase::Stopping | SandboxPhase::Stopped => return None,
        SandboxPhase::Unspecified
        | SandboxPhase::Provisioning
        | SandboxPhase::Ready
        | SandboxPhase::Error
        | SandboxPhase::Unknown
        | SandboxPhase::Starting => {}
    }
    if before.main_process_instance_id != instance_id {
        return None;
    }
    let mut after = before.clone();
    after.set_phase(SandboxPhase::Error);
    after.exit_code = Some(exit_code);
    let message = format!("the main process exited with code {exit_code}");
    ready(&mut after, FALSE, "MainProcessExited", &message, time_ms);
    changed(before, after)
}

/// Sets the condition `Ready`. Its time is that of the last change between true and false.
fn ready(status: &mut SandboxStatus, value: &str, reason: &str, message: &str, time_ms: i64) {
    let before = status.conditions.iter_mut().find(|condition| condition.r#type == READY);
    let last_transition_time = match &before {
        Some(before) if before.status == value => before.last_transition_time.clone(),
        Some(_) | None => utc(time_ms),
    };
    let condition = SandboxCondition {
        r#type: READY.to_owned(),
        status: value.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_transition_time,
    };
    match before {
        Some(before) => *before = condition,
        None => status.conditions.push(condition),
    }
}

fn changed(before: &SandboxStatus, after: SandboxStatus) -> Option<SandboxStatus> {
    (after != *before).then_some(after)
}

/// A time as RFC 3339 has it, to the second. The calendar is counted from a 1 March, so that the leap day is
/// the last of its year.
fn utc(time_ms: i64) -> String {
    const DAY: i64 = 86_400;
    const DAYS_TO_EPOCH: i64 = 719_468;
    const ERA: i64 = 146_097;
    let seconds = time_ms.div_euclid(1000);
    let days = seconds.div_euclid(DAY) + DAYS_TO_EPOCH;
    let (era, day_of_era) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let second = seconds.rem_euclid(DAY);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::utc;

    #[test]
    fn times_are_written_as_people_read_them() {
        for (time_ms, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_700_000_000_999, "2023-11-14T22:13:20Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00Z"),
            (4_102_444_799_000, "2099-12-31T23:59:59Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc(time_ms), text);
        }
    }
}
