//! A sign of life for what takes long: nothing for half a second, then a spinner on stderr, and a clean line
//! afterwards. Only where a person watches stderr, wherever stdout goes: what is logged gets none.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// What is faster needs no sign.
const PATIENCE: Duration = Duration::from_millis(500);
/// Between two pictures.
const TICK: Duration = Duration::from_millis(100);

/// Takes away what stands on the line: what comes there is not to be mixed with it.
const CLEAR: &str = "\r\x1b[K";

/// The spinner of one session, at rest until something begins.
pub(crate) struct Spinner {
    shared: Arc<Mutex<Shown>>,
    ticking: Option<JoinHandle<()>>,
    /// Whether stderr is a terminal, on whose last line a command's own progress may stand.
    is_watched: bool,
}

#[derive(Default)]
struct Shown {
    since: Option<Instant>,
    words: String,
    bar: Option<ProgressBar>,
}

impl Spinner {
    /// A spinner, or none that is ever seen when `is_wanted` is false or nobody watches.
    pub(crate) fn new(is_wanted: bool) -> Self {
        let is_watched = std::io::stderr().is_terminal();
        let shared = Arc::new(Mutex::new(Shown::default()));
        let runtime = Handle::try_current().ok().filter(|_| is_wanted && is_watched);
        let ticking = runtime.map(|runtime| runtime.spawn(tick(Arc::clone(&shared))));
        Self { shared, ticking, is_watched }
    }

    /// Something begins.
    pub(crate) fn begin(&self, words: &str) {
        let mut shown = lock(&self.shared);
        shown.since = Some(Instant::now());
        words.clone_into(&mut shown.words);
    }

    /// What is waited for now.
    pub(crate) fn say(&self, words: &str) {
        let mut shown = lock(&self.shared);
        words.clone_into(&mut shown.words);
        if let Some(bar) = &shown.bar {
            bar.set_message(words.to_owned());
        }
    }

    /// It is over; the line is clean again.
    pub(crate) fn end(&self) {
        let mut shown = lock(&self.shared);
        shown.since = None;
        if let Some(bar) = shown.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// A line on stderr, not in the middle of the spinner.
    pub(crate) fn line(&self, text: &str) {
        let start = if self.is_watched { CLEAR } else { "" };
        // A reader that hangs up is not an error.
        let write = || drop(writeln!(std::io::stderr(), "{start}{text}"));
        match &lock(&self.shared).bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.end();
        if let Some(ticking) = self.ticking.take() {
            ticking.abort();
        }
    }
}

/// Shows it once it has taken long enough, and keeps it moving.
async fn tick(shared: Arc<Mutex<Shown>>) {
    let mut interval = tokio::time::interval(TICK);
    loop {
        interval.tick().await;
        let mut shown = lock(&shared);
        if shown.since.is_none_or(|since| since.elapsed() < PATIENCE) {
            continue;
        }
        let words = shown.words.clone();
        let begun = || {
            // As above.
            drop(write!(std::io::stderr(), "{CLEAR}"));
            bar(words)
        };
        shown.bar.get_or_insert_with(begun).tick();
    }
}

fn bar(words: String) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})");
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.set_message(words);
    bar
}

fn lock(shared: &Mutex<Shown>) -> MutexGuard<'_, Shown> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
