//! Processes that end with this one, however it ends: nobody is left to kill them when it is killed itself, and where
//! nodes share the loopback address nobody would find them either.

use std::ffi::OsString;
use std::io;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{SyncSender, sync_channel};

/// Has the system send a signal to the process when its parent ends, and becomes the program. SIGKILL, since a process
/// that is paused hears no other.
const TIE: [&str; 4] = ["setpriv", "--pdeathsig", "KILL", "--"];

/// Whether that can be done here. The set of programs is that of `nsenter`, but an old one does not know the flag.
static CAN_TIE: LazyLock<bool> = LazyLock::new(|| {
    let mut command = Command::new(TIE[0]);
    command.args(&TIE[1..]).arg("true").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
});

type Order = (Command, SyncSender<io::Result<Child>>);

/// To the system, a parent is a thread: one that starts a process and ends takes it along. So one starts them all, and
/// lives as long as the program. Those of tests and of runtimes do not.
static STARTER: LazyLock<SyncSender<Order>> = LazyLock::new(|| {
    let (orders, all) = sync_channel::<Order>(1);
    std::thread::spawn(move || {
        for (mut command, answer) in all {
            // Whoever asked waits for it.
            let _ = answer.send(command.spawn());
        }
    });
    orders
});

/// The same program with the same words, as a process that is killed when this one ends; where the machine cannot do
/// that, it lives on then. Whatever else `command` was given is to be given to what this returns.
pub(crate) fn tied(command: &Command) -> Command {
    let mut words: Vec<OsString> = if *CAN_TIE { TIE.map(OsString::from).to_vec() } else { Vec::new() };
    words.push(command.get_program().to_owned());
    words.extend(command.get_args().map(ToOwned::to_owned));
    let mut tied = Command::new(&words[0]);
    tied.args(&words[1..]);
    tied
}

/// Starts a process.
///
/// # Errors
/// When the system refuses.
pub(crate) fn spawn(command: Command) -> io::Result<Child> {
    let gone = || io::Error::other("the thread that starts processes has ended");
    let (answer, child) = sync_channel(1);
    STARTER.send((command, answer)).map_err(|_| gone())?;
    child.recv().map_err(|_| gone())?
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};

    use super::*;

    #[test]
    fn a_process_outlives_the_thread_that_asked_for_it() {
        let ask = || {
            let mut command = tied(Command::new("cat").arg("-"));
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
            spawn(command).unwrap()
        };
        let mut child = std::thread::spawn(ask).join().unwrap();
        let (mut input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        writeln!(input, "alive").unwrap();
        let mut said = String::new();
        BufReader::new(output).read_line(&mut said).unwrap();
        assert_eq!(said, "alive\n");
        drop(input);
        assert!(child.wait().unwrap().success());
    }

    #[test]
    fn what_cannot_be_started_is_an_error() {
        assert!(spawn(Command::new("no-such-program-of-ours")).is_err());
    }
}
