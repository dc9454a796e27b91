//! What a node sends: late, or out of order; and its connections, reset. All of it happens inside
//! of the node's network namespace, and goes with it.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use nfq::{Message, Queue, Verdict};
use nix::sched::{CloneFlags, setns};
use openshell_tests::run_program_inside;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// The device that leads out of a node's namespace.
pub(super) const DEVICE: &str = "eth0";
const QUEUE: u16 = 0;
const QUEUE_MAX: u32 = 4_096;
/// Between two looks into the queue.
const LOOK_EVERY: Duration = Duration::from_micros(500);

/// Resets all connections of a node, and says how many there were.
///
/// # Errors
/// When the system refuses.
pub(crate) fn reset_connections(namespace: &str) -> anyhow::Result<usize> {
    let shown = run_program_inside(namespace, "ss", &["-HtK", "state", "established"], "")?;
    Ok(shown.lines().count())
}

/// What became of packets that were kept for a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Passed {
    /// All of them.
    pub(crate) late: u64,
    /// Those that were passed on behind one that was sent after them.
    pub(crate) overtaken: u64,
}

impl AddAssign for Passed {
    fn add_assign(&mut self, other: Self) {
        self.late += other.late;
        self.overtaken += other.overtaken;
    }
}

/// The same, while a thread counts.
#[derive(Debug, Default)]
struct Counts {
    late: AtomicU64,
    overtaken: AtomicU64,
    /// The last one that was sent, of those that were passed on.
    newest: AtomicU64,
}

impl Counts {
    /// One is passed on; they are numbered from 1 as they were sent.
    fn passes(&self, number: u64) {
        self.late.fetch_add(1, Ordering::Relaxed);
        if self.newest.fetch_max(number, Ordering::Relaxed) > number {
            self.overtaken.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn so_far(&self) -> Passed {
        Passed { late: self.late.load(Ordering::Relaxed), overtaken: self.overtaken.load(Ordering::Relaxed) }
    }
}

/// Packets that come late: a thread of this process, with a queue in the node's namespace, keeps each for its time.
/// Dropping it lets them pass again.
#[derive(Debug)]
pub(crate) struct Late {
    namespace: String,
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
    thread: Option<JoinHandle<()>>,
}

impl Late {
    /// Delays everything that a node sends by so many milliseconds, give or take `jitter_ms`: those that are given
    /// less overtake the others.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn new(namespace: &str, delay_ms: i64, jitter_ms: i64, seed: u64) -> anyhow::Result<Self> {
        let (stop, counts) = (Arc::new(AtomicBool::new(false)), Arc::new(Counts::default()));
        let queue = inside(namespace, open)?;
        let delays = Delays { delay_ms, jitter_ms, random: StdRng::seed_from_u64(seed) };
        let (until, counting) = (Arc::clone(&stop), Arc::clone(&counts));
        let thread = std::thread::Builder::new().name("packets".to_owned());
        let thread = thread.spawn(move || delays.work(queue, &until, &counting))?;
        let late = Self { namespace: namespace.to_owned(), stop, counts, thread: Some(thread) };
        late.rule("-A")?;
        Ok(late)
    }

    /// Lets packets pass at once again, and says how many were late or overtaken.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn end(mut self) -> anyhow::Result<Passed> {
        self.rule("-D")?;
        self.join();
        Ok(self.counts.so_far())
    }

    /// Adds the rule that queues what is sent, or takes it away. Without this process, packets pass.
    fn rule(&self, act: &str) -> anyhow::Result<()> {
        let queue = QUEUE.to_string();
        let rule = ["OUTPUT", "-o", DEVICE, "-j", "NFQUEUE", "--queue-num", &queue, "--queue-bypass"];
        let arguments = [&["-w", "5", act][..], &rule].concat();
        run_program_inside(&self.namespace, "iptables", &arguments, "").map(drop)
    }

    fn join(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // One that failed has let go of its packets.
            let _ = thread.join();
        }
    }
}

impl Drop for Late {
    fn drop(&mut self) {
        if self.thread.is_some() {
            // Nobody is left to hear of a failure.
            let _ = self.rule("-D");
            self.join();
        }
    }
}

/// Does something on a thread that stands in a network namespace. Sockets stay where they were made.
///
/// # Errors
/// When the namespace cannot be entered, and as `work` does.
pub(crate) fn inside<T: Send>(namespace: &str, work: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
    let place = File::open(format!("/run/netns/{namespace}")).context("the namespace")?;
    let entered = || {
        setns(place, CloneFlags::CLONE_NEWNET).context("entering the namespace")?;
        work()
    };
    std::thread::scope(|scope| scope.spawn(entered).join()).map_err(|_| anyhow!("the thread ended"))?
}

/// The queue of a namespace.
fn open() -> anyhow::Result<Queue> {
    let mut queue = Queue::open().context("a packet queue")?;
    queue.bind(QUEUE).context("a packet queue")?;
    queue.set_queue_max_len(QUEUE, QUEUE_MAX)?;
    queue.set_nonblocking(true);
    Ok(queue)
}

struct Delays {
    delay_ms: i64,
    jitter_ms: i64,
    random: StdRng,
}

impl Delays {
    /// Keeps packets for their time until it is stopped; then all that are left pass.
    fn work(mut self, mut queue: Queue, stop: &AtomicBool, counts: &Counts) {
        let mut waiting: BTreeMap<(Instant, u64), Message> = BTreeMap::new();
        let mut number = 0;
        loop {
            let is_over = stop.load(Ordering::Relaxed);
            while let Ok(message) = queue.recv() {
                number += 1;
                waiting.insert((Instant::now() + self.draw(), number), message);
            }
            let now = Instant::now();
            while let Some(entry) = waiting.first_entry().filter(|entry| is_over || entry.key().0 <= now) {
                counts.passes(entry.key().1);
                let mut message = entry.remove();
                message.set_verdict(Verdict::Accept);
                if queue.verdict(message).is_err() {
                    return;
                }
            }
            if is_over {
                return;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn draw(&mut self) -> Duration {
        let jitter = if self.jitter_ms > 0 { self.random.random_range(-self.jitter_ms..=self.jitter_ms) } else { 0 };
        Duration::from_millis(u64::try_from(self.delay_ms + jitter).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_passed_on_behind_a_later_one_was_overtaken() {
        let in_order = Counts::default();
        (1..=4).for_each(|number| in_order.passes(number));
        assert_eq!(in_order.so_far(), Passed { late: 4, overtaken: 0 });
        let mixed = Counts::default();
        [2, 1, 5, 3, 4, 6].into_iter().for_each(|number| mixed.passes(number));
        assert_eq!(mixed.so_far(), Passed { late: 6, overtaken: 3 });
    }
}
