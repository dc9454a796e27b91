//! Whether something works here is found out by doing it, and undoing it.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use openshell_tests::{Cut, Network, binary, on_path, run_program};

use super::clock::{self, Clock, Shift};
use super::link::{Late, inside, reset_connections};
use super::tracer::{Spoil, Tracer};
use super::{Capability, Descriptors, Disk, Group, Scarce, Thin, Uptime, mark, rootless};

/// For a socket that is to hear of its end.
const PATIENCE: Duration = Duration::from_secs(2);
const SYNCS_TRACED_FOR: Duration = Duration::from_millis(700);
const AN_HOUR_S: i64 = 3_600;
const A_STEP: Duration = Duration::from_millis(20);
/// Longer than the time of which a control group gives a share.
const FELT_AFTER: Duration = Duration::from_millis(400);
const DAYS_S: u64 = 100 * 24 * 3_600;

/// Tries it, and says what was tried.
///
/// # Errors
/// Why it does not work.
pub(super) fn attempt(capability: Capability) -> anyhow::Result<String> {
    let said = match capability {
        Capability::Namespaces => namespaces()?,
        Capability::RootlessNamespaces => rootless::attempt()?,
        Capability::Loopback => {
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            "listened"
        }
        Capability::PacketQueue => {
            let network = Network::new(1)?;
            Late::new(&network.namespace(1), 1, 0, 0)?.end()?;
            "queued and passed on"
        }
        Capability::ThinLinks => {
            let network = Network::new(1)?;
            Thin::new(&network.namespace(1), 64)?.widen()?;
            "made thin and wide again"
        }
        Capability::LinkShares => {
            let network = Network::new(2)?;
            Thin::toward(&network.namespace(1), 64, network.address(2).into())?.widen()?;
            "made thin and wide again"
        }
        Capability::SocketReset => socket_reset()?,
        Capability::LoopMounts => {
            Disk::new("trial")?;
            "made, mounted and unmounted"
        }
        Capability::Shutdown => shutdown()?,
        Capability::Freeze => {
            let disk = Disk::new("trial")?;
            disk.freeze()?;
            disk.thaw()?;
            "frozen and thawed"
        }
        Capability::EmergencyReadOnly => {
            let disk = Disk::new("trial")?;
            let _open = File::create(disk.data())?;
            disk.make_read_only()?;
            "refused writes while a file was open"
        }
        Capability::MemoryFiles => memory_files()?,
        Capability::SystemCallFaults => system_calls()?,
        Capability::FakeClock => fake_clock()?,
        Capability::TimeNamespaces => time_namespaces()?,
        Capability::ProcessLimits => process_limits()?,
        Capability::ControlGroups => control_groups()?,
        Capability::CrashPoints => crash_points()?,
    };
    Ok(said.to_owned())
}

fn namespaces() -> anyhow::Result<&'static str> {
    let network = Network::new(2)?;
    let address = network.address(1);
    let listener = inside(&network.namespace(1), || Ok(TcpListener::bind((address, 0))?))?;
    let place = listener.local_addr()?;
    let reaches = || {
        let connect = || Ok(TcpStream::connect_timeout(&place, Duration::from_millis(300)).is_ok());
        inside(&network.namespace(2), connect)
    };
    ensure!(reaches()?, "two nodes do not reach each other");
    network.cut(&Cut::Pairs(vec![(1, 2)]))?;
    ensure!(!reaches()?, "two nodes reach each other although they are cut apart");
    network.heal()?;
    ensure!(reaches()?, "two nodes do not reach each other although they are no longer cut apart");
    Ok("two nodes were connected, cut apart and healed")
}

fn socket_reset() -> anyhow::Result<&'static str> {
    let network = Network::new(1)?;
    let address = network.address(1);
    let listener = inside(&network.namespace(1), || Ok(TcpListener::bind((address, 0))?))?;
    let mut client = TcpStream::connect_timeout(&listener.local_addr()?, PATIENCE)?;
    let _server = listener.accept()?;
    let reset = reset_connections(&network.namespace(1))?;
    ensure!(reset > 0, "no connection was reset");
    client.set_read_timeout(Some(PATIENCE))?;
    let heard = client.read(&mut [0]);
    let is_reset = heard.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset);
    ensure!(is_reset, "the other side heard {heard:?}");
    Ok("a connection was reset")
}

/// What was synced is there afterwards, and what was not is gone.
fn shutdown() -> anyhow::Result<&'static str> {
    let disk = Disk::new("trial")?;
    let data = disk.data();
    fs::create_dir(&data)?;
    let mut synced = File::create(data.join("synced"))?;
    synced.write_all(b"synced")?;
    synced.sync_all()?;
    File::open(&data)?.sync_all()?;
    let mut lost = File::create(data.join("lost"))?;
    lost.write_all(b"not synced")?;
    drop((synced, lost));
    disk.lose_power()?;
    disk.remount()?;
    ensure!(fs::read(data.join("synced")).is_ok_and(|text| text == b"synced"), "what was synced is lost");
    ensure!(fs::read(data.join("lost")).is_err(), "what was not synced is there");
    Ok("kept what was synced and lost what was not")
}

fn memory_files() -> anyhow::Result<&'static str> {
    let folder = mark::folder_for("memory")?;
    let place = folder.path().to_str().context("a path that is no text")?;
    run_program("mount", &["-t", "tmpfs", "-o", "size=1m", "tmpfs", place], "")?;
    let full = fs::write(folder.path().join("file"), vec![0; 2 << 20]);
    run_program("umount", &[place], "")?;
    ensure!(full.is_err(), "two MiB went into one");
    Ok("mounted, filled and unmounted")
}

fn system_calls() -> anyhow::Result<&'static str> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("file");
    let script = "while true; do dd if=/dev/zero of=\"$0\" bs=1 count=1 conv=fdatasync 2>/dev/null; sleep 0.02; done";
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut shell = shell.spawn().context("starting a shell")?;
    let traced = Tracer::attach(shell.id(), Spoil::Fail, &folder.path().join("record")).and_then(|tracer| {
        std::thread::sleep(SYNCS_TRACED_FOR);
        tracer.detach()
    });
    shell.kill()?;
    shell.wait()?;
    let spoiled = traced?;
    ensure!(spoiled > 0, "no sync was spoiled");
    Ok("syncs of a process failed")
}

fn fake_clock() -> anyhow::Result<&'static str> {
    let library = clock::library().context("the package faketime is not installed")?;
    let folder = tempfile::tempdir()?;
    let wrong = Clock::in_file(folder.path().join("clock"));
    wrong.set(Shift::By(AN_HOUR_S))?;
    // Files keep when they are written and read in steps of a few milliseconds.
    std::thread::sleep(A_STEP);
    let now = |variables: &[(&str, String)]| -> anyhow::Result<i64> {
        let variables = variables.iter().map(|(name, value)| (*name, value.as_str()));
        let output = Command::new("date").arg("+%s").envs(variables).output().context("starting date")?;
        Ok(String::from_utf8(output.stdout)?.trim().parse()?)
    };
    let ahead = now(&wrong.variables(&library))? - now(&[])?;
    ensure!((AN_HOUR_S - 60..AN_HOUR_S + 60).contains(&ahead), "a clock was {ahead} s ahead and not an hour");
    let place = folder.path().display();
    ensure!(wrong.is_noticed()?, "whether a process reads its clock cannot be told in {place}: noatime");
    Ok("a process was an hour ahead")
}

/// A process that does nothing else gets a fifth of a core, and feels it.
fn control_groups() -> anyhow::Result<&'static str> {
    let mut busy = Command::new("sh").args(["-c", "while :; do :; done"]).spawn().context("starting a shell")?;
    let felt = Group::around(busy.id(), Scarce::Processor(20)).and_then(|group| {
        std::thread::sleep(FELT_AFTER);
        let memory = Group::around(busy.id(), Scarce::Memory(1 << 20))?;
        memory.end()?;
        group.end()
    });
    busy.kill()?;
    busy.wait()?;
    ensure!(felt? > 0, "a busy process did not feel its limit");
    Ok("a process got a fifth of a core")
}

fn process_limits() -> anyhow::Result<&'static str> {
    let mut idle = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("starting cat")?;
    let (mut input, mut output) = (idle.stdin.take().context("an input")?, idle.stdout.take().context("an output")?);
    // One that answers has loaded what it needs.
    input.write_all(b".")?;
    output.read_exact(&mut [0])?;
    let limited = Descriptors::limit(idle.id(), 0).and_then(|limited| {
        let are_used_up = limited.are_used_up();
        limited.lift()?;
        Ok(are_used_up)
    });
    idle.kill()?;
    idle.wait()?;
    ensure!(limited?, "a process had descriptors left");
    Ok("a process had no descriptors left")
}

fn time_namespaces() -> anyhow::Result<&'static str> {
    for up_s in [1, DAYS_S] {
        let words = Uptime::of_seconds(up_s)?.words();
        let (program, arguments) = words.split_first().context("no program")?;
        let output = Command::new(program).args(arguments).args(["cat", "/proc/uptime"]).output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let seconds = said.split('.').next().and_then(|seconds| seconds.parse::<u64>().ok());
        let is_right = seconds.is_some_and(|seconds| (up_s..up_s + 60).contains(&seconds));
        ensure!(is_right, "a process was told {said:?} {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok("processes found their machine up for a second, and for a hundred days")
}

fn crash_points() -> anyhow::Result<&'static str> {
    let output = Command::new(binary("openshell-gateway")?).arg("--version").stdin(Stdio::null()).output()?;
    let version = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(version.contains("chaos build"), "{} was built without them", version.trim());
    Ok("the gateway says so")
}

/// Which of these programs are missing; nothing when none is.
pub(super) fn missing(programs: &[&str]) -> Option<String> {
    let missing: Vec<&str> = programs.iter().copied().filter(|program| !on_path(program)).collect();
    (!missing.is_empty()).then(|| format!("not installed: {}", missing.join(", ")))
}
