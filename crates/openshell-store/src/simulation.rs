//! For a simulation, which repeats a run from its seed: openraft's runtime with chance from a seed
//! that somebody chose. Everything else about it is tokio's.
//!
//! openraft's own seeded runtime hands its generator out in tasks that it spawned itself only, and
//! calls of peers come in others. So the seed is of the thread here: a simulation has one.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use openraft::rt::deterministic_rng::DeterministicRng;
use openraft::{AsyncRuntime, OptionalSend};

type Tokio = openraft::impls::TokioRuntime;
type Seeded = DeterministicRng<Tokio>;

thread_local! {
    static SEED: Cell<u64> = const { Cell::new(0) };
}

/// From now on what openraft draws on this thread follows from `seed`.
pub fn seed(seed: u64) {
    SEED.set(seed);
}

/// tokio, but for chance.
#[derive(Debug)]
pub struct Runtime(Tokio);

impl AsyncRuntime for Runtime {
    type JoinError = <Tokio as AsyncRuntime>::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = <Tokio as AsyncRuntime>::JoinHandle<T>;
    type Sleep = <Tokio as AsyncRuntime>::Sleep;
    type Instant = <Tokio as AsyncRuntime>::Instant;
    type TimeoutError = <Tokio as AsyncRuntime>::TimeoutError;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = <Tokio as AsyncRuntime>::Timeout<R, T>;
    type ThreadLocalRng = <Seeded as AsyncRuntime>::ThreadLocalRng;
    type Mpsc = <Tokio as AsyncRuntime>::Mpsc;
    type Watch = <Tokio as AsyncRuntime>::Watch;
    type Oneshot = <Tokio as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <Tokio as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        // One that panics stands still: the simulation has noted its words and ends, and its runtime must not,
        // since tokio cannot drop tasks that wake each other while it gives a runtime up.
        Tokio::spawn(async move {
            match AssertUnwindSafe(future).catch_unwind().await {
                Ok(output) => output,
                Err(_) => std::future::pending().await,
            }
        })
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        Tokio::sleep(duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        Tokio::sleep_until(deadline)
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(duration: Duration, future: F) -> Self::Timeout<R, F> {
        Tokio::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(deadline: Self::Instant, future: F) -> Self::Timeout<R, F> {
        Tokio::timeout_at(deadline, future)
    }

    fn is_panic(join_error: &Self::JoinError) -> bool {
        Tokio::is_panic(join_error)
    }

    fn thread_rng() -> Self::ThreadLocalRng {
        let seed = SEED.get();
        // The step of SplitMix64: every value once before one comes again.
        SEED.set(seed.wrapping_add(0x9e37_79b9_7f4a_7c15));
        let drawn = Seeded::scope(seed, async { Seeded::thread_rng() }).now_or_never();
        drawn.expect("nothing is waited for")
    }

    fn new(threads: usize) -> Self {
        Self(Tokio::new(threads))
    }

    fn block_on<F: Future<Output = T>, T>(&mut self, future: F) -> T {
        self.0.block_on(future)
    }
}
