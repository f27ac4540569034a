//! What a query does while a person waits: after a second, one line on stderr says the step, its rows and the time. It
//! goes away before anything else is printed.

use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::print::cut;

/// A query that ends sooner shows no progress.
const SHOWN_AFTER: Duration = Duration::from_secs(1);
/// How often the line is drawn.
const DRAWN_EVERY: Duration = Duration::from_millis(200);
/// Erases the line of the cursor.
const ERASED: &str = "\r\x1b[K";

/// The step that a query is at; shared by the query, which tells it, and the task that draws it.
#[derive(Debug, Default)]
pub(super) struct Progress(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// `None`: nothing is to be drawn.
    since: Option<Instant>,
    step: &'static str,
    rows: u64,
    is_drawn: bool,
}

impl Progress {
    /// A person waits from now on.
    pub fn start(&self) {
        let mut state = self.lock();
        *state = State { since: Some(Instant::now()), step: "planning", ..State::default() };
    }

    /// The next step begins.
    pub fn step(&self, step: &'static str) {
        let mut state = self.lock();
        (state.step, state.rows) = (step, 0);
    }

    /// This many more rows of this step have come.
    pub fn add_rows(&self, rows: usize) {
        self.lock().rows += rows as u64;
    }

    /// Something else is printed now: the line goes away and does not come back before the next start.
    pub fn hide(&self) {
        let mut state = self.lock();
        state.since = None;
        if std::mem::take(&mut state.is_drawn) {
            put(ERASED);
        }
    }

    /// Draws the line until the task is aborted. `width` is asked each time, since a window may be resized.
    pub async fn draw(self: Arc<Self>, width: impl Fn() -> usize) {
        loop {
            tokio::time::sleep(DRAWN_EVERY).await;
            let mut state = self.lock();
            if let Some(line) = state.line() {
                // One column stays free: a full line would wrap.
                put(&format!("{ERASED}{}", cut(&line, width().saturating_sub(1))));
                state.is_drawn = true;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn line(&self) -> Option<String> {
        let elapsed = self.since?.elapsed();
        if elapsed < SHOWN_AFTER {
            return None;
        }
        let rows = if self.rows > 0 { format!(", {} rows", self.rows) } else { String::new() };
        Some(format!("{}{rows}, {:.1} s (Ctrl-C cancels)", self.step, elapsed.as_secs_f64()))
    }
}

fn put(text: &str) {
    let mut out = io::stderr().lock();
    // Why: there is nowhere to say that stderr is closed.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_shown_before_a_second_and_after_the_first_row_is_printed() {
        let progress = Progress::default();
        assert_eq!(progress.lock().line(), None);
        progress.start();
        assert_eq!(progress.lock().line(), None);
        progress.lock().since = Instant::now().checked_sub(Duration::from_millis(2500));
        progress.step("running the query");
        progress.add_rows(1024);
        assert_eq!(progress.lock().line().unwrap(), "running the query, 1024 rows, 2.5 s (Ctrl-C cancels)");
        progress.hide();
        assert_eq!(progress.lock().line(), None);
    }
}
