//! A panic is a bug in pimc, and says so.

use std::panic::{catch_unwind, set_hook, AssertUnwindSafe};
use std::sync::Mutex;

/// What the first panic said, and where: later ones follow from it.
static FIRST: Mutex<Option<String>> = Mutex::new(None);

/// Runs `f`; the message of a panic instead of its result, if it or a thread that it waits for
/// panics.
pub fn caught<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    set_hook(Box::new(|info| {
        let place = info.location().map(|l| format!(" ({}:{})", l.file(), l.line()));
        let payload = info.payload();
        let message = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("a panic without a message");
        if let Ok(mut first) = FIRST.lock() {
            first.get_or_insert(format!("{message}{}", place.unwrap_or_default()));
        }
    }));
    catch_unwind(AssertUnwindSafe(f)).map_err(|_| {
        let first = FIRST.lock().ok().and_then(|f| f.clone());
        first.unwrap_or_else(|| "a panic without a message".into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Failure, Status};

    #[test]
    fn a_panic_is_reported_as_a_bug_with_its_place_and_status_3() {
        let what = caught(|| {
            let worker = std::thread::spawn(|| panic!("index {} is out", 7));
            worker.join().map_err(|_| panic!("the worker died")).is_ok()
        })
        .unwrap_err();
        assert!(what.starts_with("index 7 is out") && what.contains("bug.rs:"), "{what}");
        let failure = Failure::bug(what);
        assert_eq!(failure.status(), Status::Bug);
        assert_eq!(failure.status() as u8, 3);
        assert!(failure.render(false).contains("this is a bug in pimc"));
    }
}
