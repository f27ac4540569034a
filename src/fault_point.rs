//! Places at which tests fail, stop or kill the program: before and after each statement that is sent to a database, and
//! between the stages of a trigger. A test counts the places that a run passes, and then runs it once for each of them.
//!
//! Why only where debug assertions are on: those are the builds that tests run. A release build has none of this, and
//! no feature has to be thought of. Why by thread: a test's job runs on the test's own thread, so tests that run beside
//! it see nothing of its faults.

/// What a place did to the statement that passed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(debug_assertions), allow(dead_code))] // Why: a release build injects nothing.
pub(crate) enum Injected {
    /// The connection is gone: what was sent is not done, or its answer is lost.
    Lost,
    /// The server refuses it for now.
    Busy,
}

#[cfg(not(debug_assertions))]
#[inline]
pub(crate) async fn reach(_: &str, _: &str) -> Option<Injected> {
    None
}

#[cfg(not(debug_assertions))]
#[inline]
pub(crate) fn connected() {}

#[cfg(debug_assertions)]
pub use script::{Fault, begin, end, stopped};
#[cfg(debug_assertions)]
pub(crate) use script::{connected, reach};

#[cfg(debug_assertions)]
mod script {
    use std::cell::RefCell;
    use std::sync::Arc;

    use tokio::sync::Notify;

    use super::Injected;

    /// Characters of a statement that name its place.
    const NAME_CHARACTERS_MAX: usize = 48;

    /// What happens at a place.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Fault {
        /// The connection is lost, and with it every other one of the thread.
        Lose,
        /// The server says that it cannot for now.
        Busy,
        /// Nothing goes on from here: [`stopped`] tells, and the test drops the job.
        Stop,
        /// The process ends at once.
        Kill,
    }

    #[derive(Default)]
    struct Script {
        /// The number of the place, counted from 0, and what happens there.
        at: Option<(usize, Fault)>,
        passed: Vec<String>,
        /// Whether connections that were open are lost.
        is_lost: bool,
        stopped: Arc<Notify>,
    }

    thread_local! {
        static SCRIPT: RefCell<Option<Script>> = const { RefCell::new(None) };
    }

    /// Counts the places that this thread passes from now on, and lets something happen at one of them.
    pub fn begin(at: Option<(usize, Fault)>) {
        SCRIPT.with_borrow_mut(|script| *script = Some(Script { at, ..Script::default() }));
    }

    /// Ends the counting; gives the names of the places that were passed, in order.
    pub fn end() -> Vec<String> {
        SCRIPT.with_borrow_mut(Option::take).map(|script| script.passed).unwrap_or_default()
    }

    /// Returns when a place has stopped the job.
    pub async fn stopped() {
        let stopped = SCRIPT.with_borrow(|script| script.as_ref().map(|script| Arc::clone(&script.stopped)));
        match stopped {
            Some(stopped) => stopped.notified().await,
            None => std::future::pending().await,
        }
    }

    /// A connection was opened: the server is there again.
    pub(crate) fn connected() {
        SCRIPT.with_borrow_mut(|script| {
            if let Some(script) = script {
                script.is_lost = false;
            }
        });
    }

    /// Passes a place: `when` is "before", "after" or the name of a stage.
    pub(crate) async fn reach(when: &str, what: &str) -> Option<Injected> {
        let fault = SCRIPT.with_borrow_mut(|script| script.as_mut()?.pass(when, what));
        match fault? {
            Fault::Lose => Some(Injected::Lost),
            Fault::Busy => Some(Injected::Busy),
            Fault::Stop => std::future::pending().await,
            Fault::Kill => std::process::abort(),
        }
    }

    impl Script {
        fn pass(&mut self, when: &str, what: &str) -> Option<Fault> {
            let number = self.passed.len();
            let what: String = what.chars().take(NAME_CHARACTERS_MAX).collect();
            self.passed.push(format!("{when} {what}").trim_end().to_owned());
            let fault = self.at.filter(|(at, _)| *at == number).map(|(_, fault)| fault);
            match fault {
                Some(Fault::Lose) => self.is_lost = true,
                Some(Fault::Stop) => self.stopped.notify_one(),
                _ => {}
            }
            fault.or_else(|| self.is_lost.then_some(Fault::Lose))
        }
    }
}
