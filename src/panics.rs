//! Panics: faults of the program itself. One must never leave a job that lives on and does nothing: whichever thread or task
//! panics, the job ends with exit code 1 and says so. Panics of libraries that messages and SQL can cause are caught where they
//! happen: the caller reports them, and they end nothing.

use std::any::Any;
use std::cell::Cell;
use std::future::poll_fn;
use std::panic::{self, AssertUnwindSafe};
use std::pin::pin;
use std::sync::{LazyLock, Once};
use std::task::Poll;

use tokio::sync::watch;

thread_local! {
    /// Whether a panic of this thread is caught and means nothing more.
    static IS_EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// The first panic that was not expected, with its place.
static FIRST: LazyLock<watch::Sender<Option<String>>> = LazyLock::new(|| watch::channel(None).0);

/// Notes panics from now on.
fn watch() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |happened| {
            if IS_EXPECTED.get() {
                return;
            }
            before(happened);
            let thread = std::thread::current();
            let message = format!("the thread {} {happened}", thread.name().unwrap_or("without a name"));
            FIRST.send_if_modified(|first| {
                let is_first = first.is_none();
                first.get_or_insert(message);
                is_first
            });
        }));
    });
}

/// Does something that may panic because of the data or the SQL. Such a panic is not shown, and ends nothing.
///
/// # Errors
/// The message of the panic.
pub(crate) fn expected<T>(attempt: impl FnOnce() -> T) -> Result<T, String> {
    watch();
    let before = IS_EXPECTED.replace(true);
    let done = survive(attempt);
    IS_EXPECTED.set(before);
    done
}

/// The same for a future, whichever threads it runs on.
///
/// # Errors
/// The message of the panic.
pub(crate) async fn expected_of<T>(attempt: impl Future<Output = T>) -> Result<T, String> {
    let mut attempt = pin!(attempt);
    poll_fn(|context| match expected(|| attempt.as_mut().poll(context)) {
        Ok(polled) => polled.map(Ok),
        Err(message) => Poll::Ready(Err(message)),
    })
    .await
}

/// Does something, and ends in good order if that panics.
///
/// # Errors
/// The message of the panic.
pub(crate) fn survive<T>(attempt: impl FnOnce() -> T) -> Result<T, String> {
    panic::catch_unwind(AssertUnwindSafe(attempt)).map_err(|payload| message(&*payload))
}

/// Returns when any thread of the program has panicked: what is to be said about it.
pub(crate) async fn first() -> String {
    watch();
    let mut first = FIRST.subscribe();
    loop {
        if let Some(message) = first.borrow_and_update().clone() {
            return message;
        }
        if first.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// What [`first`] says, if there was a panic.
#[cfg(test)]
pub(crate) fn noted() -> Option<String> {
    FIRST.borrow().clone()
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expected_panic_is_an_error_and_is_not_noted() {
        let why = format!("never shown: {}", std::process::id());
        assert_eq!(expected(|| 7), Ok(7));
        assert_eq!(expected(|| -> i32 { panic!("{why}") }), Err(why));
        let noted = noted().unwrap_or_default();
        assert!(!noted.contains("never shown"), "{noted}");
        assert!(!IS_EXPECTED.get());
    }

    #[tokio::test]
    async fn an_expected_panic_of_a_future_is_an_error_and_is_not_noted() {
        let later = async || tokio::task::yield_now().await;
        let right = async {
            later().await;
            7
        };
        assert_eq!(expected_of(right).await, Ok(7));
        let wrong = async {
            later().await;
            panic!("never shown")
        };
        assert_eq!(expected_of::<i32>(wrong).await, Err("never shown".to_owned()));
        let noted = noted().unwrap_or_default();
        assert!(!noted.contains("never shown"), "{noted}");
        assert!(!IS_EXPECTED.get());
    }

    #[tokio::test]
    async fn a_panic_of_any_thread_is_noted() {
        let noted = tokio::spawn(first());
        tokio::task::yield_now().await;
        watch();
        let ended = std::thread::Builder::new().name("other".into()).spawn(|| panic!("on purpose")).unwrap();
        assert!(ended.join().is_err());
        let noted = noted.await.unwrap();
        assert!(noted.contains("panicked at") && noted.contains("src/panics.rs"), "{noted}");
    }

    #[test]
    fn a_panic_that_is_survived_says_its_message() {
        let why = survive(|| -> i32 { panic!("on purpose: {}", 1) });
        assert_eq!(why, Err("on purpose: 1".to_owned()));
    }
}
