//! Rates of the last seconds, and a point for each step of the last hour. Both follow from samples of the counters, which are
//! taken about once a second.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};

use super::counts::Totals;

/// The time between two points.
pub const STEP: Duration = Duration::from_secs(5);
/// Points of one hour.
const POINTS_MAX: usize = 720;
/// Rates are those of this last time.
const WINDOW: Duration = Duration::from_secs(10);

/// A second's worth of what the job does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Messages taken.
    pub taken: f64,
    /// Messages computed.
    pub computed: f64,
    /// Rows committed.
    pub rows: f64,
    /// By how many messages the lag shrinks; below 0 it grows.
    pub lag_shrinks: f64,
}

/// The rates of one step, and the lag at its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    pub at: SystemTime,
    pub rates: Rates,
    pub lag_messages: i64,
    pub lag_seconds: f64,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    totals: Totals,
    lag_messages: i64,
}

#[derive(Debug)]
pub(super) struct History {
    /// Those within the window, the oldest first.
    samples: VecDeque<Sample>,
    points: VecDeque<Point>,
    step: Sample,
}

impl History {
    pub fn new(now: Instant) -> Self {
        let step = Sample { at: now, totals: Totals::default(), lag_messages: 0 };
        Self { samples: VecDeque::from([step]), points: VecDeque::new(), step }
    }

    /// Adds a sample; returns the point of a step that has ended with it.
    pub fn sample(
        &mut self,
        at: Instant,
        totals: Totals,
        lag_messages: i64,
        lag_seconds: f64,
    ) -> Option<Point> {
        let sample = Sample { at, totals, lag_messages };
        self.samples.push_back(sample);
        // One sample at the far end of the window or before it stays, so that rates are those of the whole window.
        while self.samples.get(1).is_some_and(|second| at.duration_since(second.at) >= WINDOW) {
            self.samples.pop_front();
        }
        if at.duration_since(self.step.at) < STEP {
            return None;
        }
        let rates = between(&self.step, &sample);
        self.step = sample;
        let point = Point { at: SystemTime::now(), rates, lag_messages, lag_seconds };
        if self.points.len() >= POINTS_MAX {
            self.points.pop_front();
        }
        self.points.push_back(point.clone());
        Some(point)
    }

    pub fn rates(&self) -> Rates {
        match (self.samples.front(), self.samples.back()) {
            (Some(first), Some(last)) => between(first, last),
            _ => Rates::default(),
        }
    }

    pub fn points(&self) -> Vec<Point> {
        self.points.iter().cloned().collect()
    }
}

fn between(first: &Sample, last: &Sample) -> Rates {
    let seconds = last.at.duration_since(first.at).as_secs_f64();
    if seconds <= 0.0 {
        return Rates::default();
    }
    let rate = |of: fn(&Totals) -> u64| of(&last.totals).saturating_sub(of(&first.totals)) as f64 / seconds;
    Rates {
        taken: rate(|totals| totals.taken),
        computed: rate(|totals| totals.computed),
        rows: rate(|totals| totals.rows),
        lag_shrinks: (first.lag_messages - last.lag_messages) as f64 / seconds,
    }
}
