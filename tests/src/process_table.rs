//! What the system says of processes and their threads, in the files `stat` of `/proc`.

use std::fs;
use std::path::Path;

/// What stands behind the name, which may hold spaces and brackets: first the state, a letter, then numbers. None when
/// there is no such process or thread.
fn after_name(folder: &Path) -> Option<String> {
    let stat = fs::read_to_string(folder.join("stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.trim_start().to_owned())
}

fn field<T: std::str::FromStr>(process: u32, at: usize) -> Option<T> {
    after_name(Path::new(&format!("/proc/{process}")))?.split_whitespace().nth(at)?.parse().ok()
}

/// The state of a process: T is stopped, D is in the kernel, Z and X have ended. None when there is none.
#[must_use]
pub fn process_state(process: u32) -> Option<char> {
    field(process, 0)
}

/// Who started it, or whoever took it over since.
#[must_use]
pub fn process_parent(process: u32) -> Option<u32> {
    field(process, 1)
}

/// When it began, in clock ticks from the system's start: with its id, that tells it from any other.
#[must_use]
pub fn process_began(process: u32) -> Option<u64> {
    field(process, 19)
}

/// The states of its threads, but for those that end meanwhile.
///
/// # Errors
/// When there is no such process.
pub fn thread_states(process: u32) -> anyhow::Result<Vec<char>> {
    let mut states = Vec::new();
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        states.extend(after_name(&thread?.path()).and_then(|rest| rest.chars().next()));
    }
    Ok(states)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_began_runs_and_has_a_parent() {
        let own = std::process::id();
        assert!(process_began(own).is_some_and(|ticks| ticks > 0));
        assert_eq!(process_parent(own), Some(std::os::unix::process::parent_id()));
        assert!(process_state(own).is_some_and(|state| "RSD".contains(state)));
        assert!(thread_states(own).unwrap().contains(&'R'), "this one runs");
        // Beyond every limit of the system.
        assert!(process_state(u32::MAX).is_none() && thread_states(u32::MAX).is_err());
    }
}
