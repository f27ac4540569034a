//! How many messages a batch takes, and when the next one is computed while a commit is in flight.
//!
//! A job that keeps up takes whatever has arrived. One that lags takes as many as are committed in a certain time:
//! more of them are hardly faster, need more memory, hold locks longer and are seen later. With state, a batch costs by
//! its keys as well as by its messages, so there it pays to take more that share them. What a commit takes whatever its size,
//! on a slow disk or over a long way, is no reason to take fewer.
//!
//! Computing ahead of a commit hides the time of computing, but what is taken early leaves out what arrives until the
//! commit has ended. So a few messages are left to grow; how many are worth it follows from who had to wait for whom.

use std::time::Duration;

/// How long a full batch's commit takes, within a factor of two; without state, and with it.
const COMMIT_TARGET: Duration = Duration::from_millis(50);
const STATE_COMMIT_TARGET: Duration = Duration::from_millis(400);
/// How much longer a commit takes while the server takes two: up to half as long again on two cores, or hardly.
const SHARED: f64 = 1.25;
/// A commit of half as many messages takes less than this part of the time, if the messages are what takes it.
const HELPED: f64 = 0.75;
/// Messages of a full batch at the start, and at least.
const ROWS_START: usize = 6 << 10;
const STATE_ROWS_START: usize = 32 << 10;
const ROWS_MIN: usize = 256;
/// So few messages are computed in less time than a durable commit takes.
const AHEAD_MIN: usize = 512;

#[derive(Debug)]
pub(super) struct Pace {
    commit_target: Duration,
    /// Messages of a full batch.
    rows_max: usize,
    /// What the last full batch took, if full batches are half as large since then.
    halved_at: Option<Duration>,
    /// What a commit takes whatever its size, if that was found to be much.
    fixed: Duration,
    /// Messages that are worth computing while a commit is in flight.
    ahead: usize,
}

impl Pace {
    /// Of a job that writes state tables, or none.
    pub fn new(has_state: bool) -> Self {
        let (commit_target, rows_max) = match has_state {
            true => (STATE_COMMIT_TARGET, STATE_ROWS_START),
            false => (COMMIT_TARGET, ROWS_START),
        };
        Self { commit_target, rows_max, halved_at: None, fixed: Duration::ZERO, ahead: AHEAD_MIN }
    }

    pub fn rows_max(&self) -> usize {
        self.rows_max
    }

    pub fn ahead(&self) -> usize {
        self.ahead.min(self.rows_max)
    }

    /// A batch of this many messages was committed. Returns whether the size of full batches has changed. `is_shared`: the
    /// server took the rows of another one meanwhile, or a part of them.
    pub fn committed(&mut self, rows: usize, elapsed: Duration, is_shared: bool) -> bool {
        let elapsed = if is_shared { elapsed.div_f64(SHARED) } else { elapsed };
        let before = self.rows_max;
        // A smaller batch says nothing: it took what there was.
        if rows >= self.rows_max / 2 {
            let has_helped = self.halved_at.take().is_none_or(|before| elapsed < before.mul_f64(HELPED));
            // Why not at once: one fast commit is no proof.
            let faster_by = self.fixed.saturating_sub(elapsed);
            self.fixed = if has_helped { self.fixed - faster_by / 4 } else { elapsed };
            let target = self.commit_target + self.fixed;
            let elapsed = elapsed.mul_f64(self.rows_max as f64 / rows as f64);
            if !has_helped || elapsed < target / 2 {
                self.rows_max = self.rows_max.saturating_mul(2);
            } else if elapsed > target * 2 && self.rows_max > ROWS_MIN {
                self.rows_max = (self.rows_max / 2).max(ROWS_MIN);
                self.halved_at = Some(elapsed);
            }
        }
        self.rows_max != before
    }

    /// A batch that was computed ahead has waited for the commit before it: it could have grown meanwhile.
    pub fn was_early(&mut self) {
        self.ahead = self.ahead.saturating_mul(2).min(self.rows_max);
    }

    /// A commit has ended before so much was there that computing ahead was worth it.
    pub fn was_late(&mut self) {
        self.ahead = (self.ahead / 2).max(AHEAD_MIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_batches_grow_and_shrink_until_their_commit_takes_its_time() {
        let mut pace = Pace::new(false);
        let commit =
            |rows: usize, rows_a_second: f64| Duration::from_secs_f64(0.002 + rows as f64 / rows_a_second);
        for rows_a_second in [170_000.0, 5_000.0, 1_000_000.0] {
            for _ in 0..20 {
                pace.committed(pace.rows_max(), commit(pace.rows_max(), rows_a_second), false);
            }
            let took = commit(pace.rows_max(), rows_a_second);
            assert!((COMMIT_TARGET / 2..=COMMIT_TARGET * 2).contains(&took), "{took:?} at {rows_a_second}/s");
        }
    }

    #[test]
    fn a_commit_that_is_slow_whatever_its_size_makes_no_batch_smaller() {
        let mut pace = Pace::new(false);
        let commit = |rows: usize, fixed: f64| Duration::from_secs_f64(fixed + rows as f64 / 170_000.0);
        let settle = |pace: &mut Pace, fixed: f64| {
            for _ in 0..20 {
                pace.committed(pace.rows_max(), commit(pace.rows_max(), fixed), false);
            }
            pace.rows_max()
        };
        let usual = settle(&mut pace, 0.002);
        for fixed in [0.15, 0.4] {
            let slow = settle(&mut pace, fixed);
            assert!(slow >= usual, "{slow} messages, and {usual} if a commit takes 2 ms");
        }
        // What was found is left behind as far as commits are faster.
        let took = commit(settle(&mut pace, 0.002), 0.002);
        assert!(took <= COMMIT_TARGET * 4, "{took:?} where a commit takes 2 ms again");
    }

    #[test]
    fn batches_that_were_not_full_say_nothing() {
        let mut pace = Pace::new(false);
        assert!(!pace.committed(ROWS_START / 4, Duration::from_millis(1), false));
        assert!(!pace.committed(1, Duration::from_secs(5), false));
        assert_eq!(pace.rows_max(), ROWS_START);
    }

    #[test]
    fn computing_ahead_is_left_where_there_is_little_to_compute() {
        let mut pace = Pace::new(false);
        pace.was_early();
        assert_eq!(pace.ahead(), AHEAD_MIN * 2);
        for _ in 0..20 {
            pace.was_late();
        }
        assert_eq!(pace.ahead(), AHEAD_MIN);
        for _ in 0..20 {
            pace.was_early();
        }
        assert_eq!(pace.ahead(), pace.rows_max(), "a full batch waits for nothing");
    }
}
