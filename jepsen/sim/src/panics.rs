//! What panics said: a task of the simulation that panics ends the run, and its words are the finding.

use std::cell::RefCell;
use std::panic;
use std::sync::Once;

thread_local! {
    static NOTED: RefCell<Option<Option<String>>> = const { RefCell::new(None) };
}

/// Does something, and says with which words a panic on this thread began, if there was one. Nothing of
/// it is printed.
pub(crate) fn noted<T>(act: impl FnOnce() -> T) -> (T, Option<String>) {
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
                NOTED.with_borrow(|noted| noted.clone().flatten().inspect(|first| tracing::error!("{first}")));
                before(info);
            }
        }));
    });
    NOTED.set(Some(None));
    let outcome = act();
    (outcome, NOTED.take().flatten())
}

#[cfg(test)]
mod tests {
    use super::noted;

    #[test]
    fn the_first_words_are_noted() {
        let (outcome, words) = noted(|| std::panic::catch_unwind(|| panic!("it is broken")));
        assert!(outcome.is_err() && words.expect("noted").contains("it is broken"));
        let (outcome, words) = noted(|| 7);
        assert_eq!((outcome, words), (7, None));
    }
}
