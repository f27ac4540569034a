//! What a running job reports about itself: counts, waits, heartbeats, events and its last batch. The source and the engine
//! write it through a [`Telemetry`]; the module `watch` reads it.
//!
//! Everything is kept in memory, in structures of bounded size. A job that nobody can watch has an empty handle, whose
//! methods return at once. There is no global state: two jobs of one process (tests) do not see each other.

mod counts;
mod events;
mod gauges;
mod history;
mod kept;
mod process;
mod pulse;
mod relation;
mod sentence;
mod series;
mod standing;
mod tell;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use prometheus_client::registry::Registry;

pub use counts::{BatchResult, Stage};
pub use events::{Event, EventKind};
pub use history::{Point, Rates, STEP};
pub use kept::{Kept, KeptBatch, SAMPLE_ROWS};
pub use process::resident_bytes;
pub use relation::{Relation, RelationKind};
pub use sentence::{State, Told as Sentence, name_of};
pub use standing::{BatchFacts, Partition, Phase, Server, Standing, ViewTotals, Wait};
pub use tell::{Committed, Held, HeldTable};

use counts::Counts;
use events::Events;
use gauges::Gauges;
use history::History;
use pulse::Pulses;

/// Writes what happens; clones write to the same place. Empty by default: then nothing is kept.
#[derive(Clone, Default)]
pub struct Telemetry(Option<Arc<Job>>);

/// What is fixed about a job while it runs.
#[derive(Clone, Debug)]
pub struct About {
    pub job: String,
    /// The name of this process among the instances of the job.
    pub instance: String,
    /// What the database is called: `MySQL`.
    pub database: &'static str,
    pub memory_max: usize,
    pub started_at: SystemTime,
}

/// All that is kept of a job.
pub struct Job {
    pub about: About,
    counts: Counts,
    standing: Arc<Mutex<Standing>>,
    events: Events,
    pulses: Pulses,
    history: Mutex<History>,
    kept: Mutex<Kept>,
    registry: Registry,
}

impl Telemetry {
    /// A place to keep what is reported about this job.
    pub fn of(about: About) -> Self {
        let counts = Counts::default();
        let standing = Arc::new(Mutex::new(Standing::default()));
        let mut registry = Registry::with_labels([("pipeline".into(), about.job.clone().into())].into_iter());
        counts.register(&mut registry);
        registry.register_collector(Box::new(Gauges::new(Arc::clone(&standing), about.memory_max)));
        let kept = Kept::new(about.memory_max);
        let job = Job {
            about,
            counts,
            standing,
            events: Events::default(),
            pulses: Pulses::default(),
            history: Mutex::new(History::new(Instant::now())),
            kept: Mutex::new(kept),
            registry,
        };
        Self(Some(Arc::new(job)))
    }

    /// What is kept; `None` if nobody can watch the job.
    pub fn job(&self) -> Option<&Arc<Job>> {
        self.0.as_ref()
    }

    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Telemetry({})", if self.is_on() { "on" } else { "off" })
    }
}

impl Job {
    /// The state of the job.
    pub fn standing(&self) -> MutexGuard<'_, Standing> {
        lock(&self.standing)
    }

    /// The last batch.
    pub fn kept(&self) -> MutexGuard<'_, Kept> {
        lock(&self.kept)
    }

    pub fn events(&self) -> &Events {
        &self.events
    }

    /// All metrics, in OpenMetrics' text format or in Prometheus' older one.
    ///
    /// # Errors
    /// None in practice: text is written to memory.
    pub fn metrics(&self, is_open_metrics: bool) -> Result<String, fmt::Error> {
        use prometheus_client::encoding::{prometheus_text, text};
        let mut out = String::new();
        match is_open_metrics {
            true => text::encode(&mut out, &self.registry)?,
            false => prometheus_text::encode(&mut out, &self.registry)?,
        }
        Ok(out)
    }

    /// The loops that have not been seen for too long; none if all is well.
    pub fn stalled(&self, now: Instant) -> Vec<String> {
        self.pulses.stalled(now)
    }

    /// Takes a sample of the counts, to be called about once a second. Returns a point if a step of the history has ended.
    pub fn sample(&self, now: Instant) -> Option<Point> {
        let totals = self.counts.totals();
        let (lag_messages, lag_seconds) = self.standing().lag(SystemTime::now());
        lock(&self.history).sample(now, totals, lag_messages, lag_seconds)
    }

    /// Rates of the last seconds.
    pub fn rates(&self) -> Rates {
        lock(&self.history).rates()
    }

    /// The points of the last hour, the oldest first.
    pub fn points(&self) -> Vec<Point> {
        lock(&self.history).points()
    }

    /// Dead letters that this process has stored.
    pub fn dead_letters(&self) -> u64 {
        self.counts.dead_letters.sum()
    }

    /// The state of the job, in one sentence.
    pub fn sentence(&self, is_stopping: bool) -> Sentence {
        let rates = self.rates();
        let now = SystemTime::now();
        let mut standing = self.standing();
        let told = sentence::tell(&standing, rates, self.about.database, is_stopping, now);
        standing.is_in(told.state, now);
        told
    }
}

/// Why a poisoned lock is taken: what is kept is whole between any two statements, and no job must end for it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
