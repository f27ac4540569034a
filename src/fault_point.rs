//! Places at which tests fail, stop or kill the program: before and after each statement that is sent to a database, and
//! between the stages of a trigger. A test counts the places that a run passes, and then runs it once for each of them.
//!
//! Why only where debug assertions are on: those are the builds that tests run. A release build has none of this, and
//! no feature has to be thought of. Why by thread: a test's job runs on the test's own thread, and on those that share in
//! its script, so tests that run beside it see nothing of its faults.

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
pub(crate) fn reach_blocking(_: &str) {}

#[cfg(not(debug_assertions))]
#[inline]
pub(crate) fn connected() {}

/// What the threads of one job share; nothing in a release build.
#[cfg(not(debug_assertions))]
pub(crate) struct Shared;

#[cfg(not(debug_assertions))]
#[inline]
pub(crate) fn share() -> Shared {
    Shared
}

#[cfg(not(debug_assertions))]
impl Shared {
    #[inline]
    pub fn join(self) {}
}

#[cfg(debug_assertions)]
pub use script::{Accident, begin, end, stop_at, stopped};
#[cfg(debug_assertions)]
pub(crate) use script::{connected, reach, reach_blocking, share};

#[cfg(debug_assertions)]
mod script {
    use std::cell::RefCell;
    use std::sync::{Arc, Mutex, PoisonError};

    use tokio::sync::Notify;

    use super::Injected;

    /// Characters of a statement that name its place.
    const NAME_CHARACTERS_MAX: usize = 48;

    /// What happens at a place.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Accident {
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
        at: Option<(usize, Accident)>,
        /// The place of this name stops the job whenever it is passed.
        stops_at: Option<&'static str>,
        passed: Vec<String>,
        /// Whether connections that were open are lost.
        is_lost: bool,
        stopped: Arc<Notify>,
    }

    thread_local! {
        static SCRIPT: RefCell<Shared> = const { RefCell::new(Shared(None)) };
    }

    /// A script that several threads pass.
    #[derive(Clone)]
    pub(crate) struct Shared(Option<Arc<Mutex<Script>>>);

    /// The script of this thread, for another one.
    pub(crate) fn share() -> Shared {
        SCRIPT.with_borrow(Shared::clone)
    }

    impl Shared {
        /// Lets this thread pass the same places.
        pub fn join(self) {
            SCRIPT.set(self);
        }
    }

    /// Does something with the script of this thread, if it has one.
    fn with<T>(change: impl FnOnce(&mut Script) -> T) -> Option<T> {
        let script = share().0?;
        let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
        Some(change(&mut script))
    }

    /// Counts the places that this thread passes from now on, and lets something happen at one of them.
    pub fn begin(at: Option<(usize, Accident)>) {
        let script = Script { at, ..Script::default() };
        Shared(Some(Arc::new(Mutex::new(script)))).join();
    }

    /// Stops whichever thread of the job passes the place of this name.
    pub fn stop_at(name: &'static str) {
        let script = Script { stops_at: Some(name), ..Script::default() };
        Shared(Some(Arc::new(Mutex::new(script)))).join();
    }

    /// Ends the counting; gives the names of the places that were passed, in order.
    pub fn end() -> Vec<String> {
        let passed = with(|script| std::mem::take(&mut script.passed)).unwrap_or_default();
        Shared(None).join();
        passed
    }

    /// Returns when a place has stopped the job.
    pub async fn stopped() {
        match with(|script| Arc::clone(&script.stopped)) {
            Some(stopped) => stopped.notified().await,
            None => std::future::pending().await,
        }
    }

    /// A connection was opened: the server is there again.
    pub(crate) fn connected() {
        with(|script| script.is_lost = false);
    }

    /// Passes a place: `when` is "before", "after" or the name of a stage.
    pub(crate) async fn reach(when: &str, what: &str) -> Option<Injected> {
        match with(|script| script.pass(when, what))?? {
            Accident::Lose => Some(Injected::Lost),
            Accident::Busy => Some(Injected::Busy),
            Accident::Stop => std::future::pending().await,
            Accident::Kill => std::process::abort(),
        }
    }

    /// Passes a place of a thread that waits for nothing else: it never comes back from where it is stopped.
    pub(crate) fn reach_blocking(when: &str) {
        if with(|script| script.pass(when, "")).flatten() == Some(Accident::Stop) {
            loop {
                std::thread::park();
            }
        }
    }

    impl Script {
        fn pass(&mut self, when: &str, what: &str) -> Option<Accident> {
            let number = self.passed.len();
            let what: String = what.chars().take(NAME_CHARACTERS_MAX).collect();
            self.passed.push(format!("{when} {what}").trim_end().to_owned());
            let fault = self.at.filter(|(at, _)| *at == number).map(|(_, fault)| fault);
            let fault = if self.stops_at == Some(when) { Some(Accident::Stop) } else { fault };
            match fault {
                Some(Accident::Lose) => self.is_lost = true,
                Some(Accident::Stop) => self.stopped.notify_one(),
                _ => {}
            }
            fault.or_else(|| self.is_lost.then_some(Accident::Lose))
        }
    }
}
