//! What panics said: a task of the simulation that panics ends the run, and its words are the finding.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::panic;
use std::sync::Once;

thread_local! {
    static NOTED: RefCell<Option<Option<String>>> = const { RefCell::new(None) };
    static SEED: Cell<u64> = const { Cell::new(0) };
}

/// Does something of a seed's run, and says with which words a panic on this thread began, if there was one. Nothing of
/// it is printed, unless a second one comes of it, which tokio may end the process with.
pub(crate) fn noted<T>(seed: u64, act: impl FnOnce() -> T) -> (T, Option<String>) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let is_first = NOTED.with_borrow_mut(|noted| match noted {
                Some(words @ None) => {
                    *words = Some(info.to_string());
                    true
                }
                Some(Some(_)) | None => false,
            });
            // A second one may end the process, and the first explains it.
            if !is_first {
                if let Some(first) = NOTED.with_borrow(|noted| noted.clone().flatten()) {
                    // Nowhere is left to say that it could not be said.
                    let _said = writeln!(std::io::stderr(), "seed {}: {first}", SEED.get());
                }
                before(info);
            }
        }));
    });
    SEED.set(seed);
    NOTED.set(Some(None));
    let outcome = act();
    (outcome, NOTED.take().flatten())
}

#[cfg(test)]
mod tests {
    use super::noted;

    #[test]
    fn the_first_words_are_noted() {
        let (outcome, words) = noted(1, || std::panic::catch_unwind(|| panic!("it is broken")));
        assert!(outcome.is_err() && words.expect("noted").contains("it is broken"));
        let (outcome, words) = noted(1, || 7);
        assert_eq!((outcome, words), (7, None));
    }
}
