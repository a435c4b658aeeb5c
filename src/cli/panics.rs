//! Converts a panic, which is an error in git-pggit itself, into an ordinary failure with a request for
//! a report.

use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::{Mutex, PoisonError};

use crate::failure::{Code, Failure};

/// The first panic of the process, in any thread.
static FIRST: Mutex<Option<String>> = Mutex::new(None);

const REPORT: &str =
    "report this bug to the source of your git-pggit, with the command line and this message";

/// Runs `work`. Fails if it fails, or if it or a thread that it started panics.
pub(super) fn caught(work: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    std::panic::set_hook(Box::new(remember));
    let outcome = catch_unwind(AssertUnwindSafe(work));
    drop(std::panic::take_hook());
    let first = FIRST.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (outcome, first) {
        (Ok(result), None) => result,
        (_, first) => Err(failure(first.as_deref().unwrap_or("unknown cause"))),
    }
}

fn remember(info: &PanicHookInfo<'_>) {
    let place = info.location().map_or_else(String::new, |at| format!(" ({}:{})", at.file(), at.line()));
    let text = format!("{}{place}", info.payload_as_str().unwrap_or("unknown cause"));
    FIRST.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(text);
}

fn failure(text: &str) -> Failure {
    Failure::new(Code::Fatal, format!("internal error: {text}")).hint(REPORT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_failure_that_names_its_place() {
        let failure = caught(|| panic!("the sky fell")).unwrap_err();
        assert_eq!(failure.code(), Code::Fatal);
        assert!(failure.message().starts_with("internal error: the sky fell (src/cli/panics.rs:"));
        assert_eq!(failure.hints(), [REPORT]);
        let failure = caught(|| {
            drop(std::thread::spawn(|| panic!("in a thread")).join());
            Ok(())
        });
        assert!(failure.unwrap_err().message().contains("in a thread"));
        assert_eq!(caught(|| Ok(())), Ok(()));
    }
}
