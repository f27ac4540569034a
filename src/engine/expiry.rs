//! Housekeeping of state tables with a `ttl`: rows that were not written for that long, in message time, are deleted once
//! all partitions of the job are past it.
//!
//! The deletion is part of a batch's transaction, behind its fence, and bounded; what is left goes with the next ones.
//!
//! Invariant: one wrong clock of a producer expires nothing. A message time that is ahead of the database's clock is not
//! believed; if a partition is ahead at two looks in a row, its producers' clocks are, and the database's counts.

use std::time::Duration;

use tokio::time::Instant;

use super::error::EngineError;
use super::writer::Writer;
use crate::batch::{Claim, TopicPartition};
use crate::source::{Bounds, Source};

/// The least time between two looks at how far the partitions are.
const LOOK_INTERVAL: Duration = Duration::from_mins(1);
/// How far a message time may be ahead of the database's clock, since no two clocks agree.
pub(super) const AHEAD_MS_MAX: i64 = 5 * 60 * 1000;

/// What may be deleted, and when to look again.
#[derive(Debug)]
pub(super) struct Expiry {
    /// Of each state table.
    ttls: Vec<Option<Duration>>,
    /// Rows written last before this message time may be deleted; none: nothing is to be deleted now.
    before_ms: Vec<Option<i64>>,
    look_at: Option<Instant>,
    /// The database's clock as it was read last, in milliseconds, and when.
    clock: Option<(i64, Instant)>,
    /// Partitions whose message time was ahead of the clock at the last look.
    ahead: Vec<TopicPartition>,
}

impl Expiry {
    pub fn new(ttls: Vec<Option<Duration>>) -> Self {
        Self { ttls, before_ms: Vec::new(), look_at: None, clock: None, ahead: Vec::new() }
    }

    /// For each state table the message time before which rows go with the next commit.
    ///
    /// # Errors
    /// The database does not answer, or refuses the statement, as [`Writer::progress`]. A broker that does not answer
    /// only puts it off.
    pub async fn due<S: Source>(
        &mut self,
        writer: &mut Writer,
        source: &mut S,
    ) -> Result<Vec<Option<i64>>, EngineError> {
        let Some(shortest) = self.ttls.iter().flatten().min().copied() else { return Ok(Vec::new()) };
        if self.is_look_due() {
            self.look_at = Some(Instant::now() + LOOK_INTERVAL);
            let progress = writer.progress().await?;
            let now_ms = self.read_clock(writer).await?;
            let progress = self.believed(progress, now_ms + AHEAD_MS_MAX);
            let behind = behind(&progress, shortest);
            let bounds = match behind.is_empty() {
                true => Vec::new(),
                false => source.bounds(&behind).await.unwrap_or_else(|error| {
                    tracing::debug!("no rows of state expire for now: {error}");
                    Vec::new()
                }),
            };
            let passed = passed(&progress, &behind, &bounds);
            let before = |ttl: &Option<Duration>| Some(passed? - i64::try_from((*ttl)?.as_millis()).ok()?);
            self.before_ms = self.ttls.iter().map(before).collect();
        }
        Ok(self.before_ms.clone())
    }

    /// Whether the database's clock is not known and needed.
    pub fn needs_clock(&self) -> bool {
        self.clock.is_none() && self.ttls.iter().any(Option::is_some)
    }

    /// Reads the database's clock.
    ///
    /// # Errors
    /// The database does not answer, or refuses the statement, as [`Writer::clock_ms`].
    pub async fn read_clock(&mut self, writer: &mut Writer) -> Result<i64, EngineError> {
        let now_ms = writer.clock_ms().await?;
        self.clock = Some((now_ms, Instant::now()));
        Ok(now_ms)
    }

    /// The newest message time that a row of state may be written with; `None` if nothing expires.
    pub fn message_time_max_ms(&self) -> Option<i64> {
        let (read_ms, read_at) = self.clock?;
        Some(read_ms + i64::try_from(read_at.elapsed().as_millis()).unwrap_or(0) + AHEAD_MS_MAX)
    }

    /// The message times that are not ahead of `bound_ms`. One that is ahead is not known; at the second look in a row it
    /// is the bound.
    fn believed(&mut self, progress: Vec<Claim>, bound_ms: i64) -> Vec<Claim> {
        let mut ahead = Vec::new();
        let believed = progress.into_iter().map(|claim| match claim.message_time_ms {
            Some(time) if time > bound_ms => {
                ahead.push(claim.partition.clone());
                let message_time_ms = self.ahead.contains(&claim.partition).then_some(bound_ms);
                Claim { message_time_ms, ..claim }
            }
            _ => claim,
        });
        let believed = believed.collect();
        self.ahead = ahead;
        believed
    }

    /// Whether [`Expiry::due`] has something to ask or to give.
    pub fn is_due(&self) -> bool {
        self.ttls.iter().any(Option::is_some) && (!self.before_ms.is_empty() || self.is_look_due())
    }

    fn is_look_due(&self) -> bool {
        self.look_at.is_none_or(|at| at <= Instant::now())
    }

    /// A commit has deleted rows; `is_all`: no more than those were there.
    pub fn deleted(&mut self, is_all: bool) {
        if is_all {
            self.before_ms.clear();
        }
    }
}

/// Partitions that hold the others back: a question to the broker tells whether they only have nothing to read.
fn behind(progress: &[Claim], ttl: Duration) -> Vec<TopicPartition> {
    let newest = progress.iter().filter_map(|claim| claim.message_time_ms).max();
    let is_behind = |claim: &&Claim| match (claim.message_time_ms, newest) {
        (Some(time), Some(newest)) => u128::from((newest - time).unsigned_abs()) > ttl.as_millis(),
        _ => true,
    };
    progress.iter().filter(is_behind).map(|claim| claim.partition.clone()).collect()
}

/// The message time that all partitions are past; those at their end do not count. `None` where one has not begun.
fn passed(progress: &[Claim], behind: &[TopicPartition], bounds: &[Bounds]) -> Option<i64> {
    let is_at_end = |claim: &Claim| {
        let of_claim = |bounds: &&Bounds| bounds.partition == claim.partition;
        behind.contains(&claim.partition)
            && bounds.iter().find(of_claim).is_some_and(|bounds| claim.next_offset >= bounds.high)
    };
    let mut passed = None;
    for claim in progress.iter().filter(|claim| !is_at_end(claim)) {
        let time = claim.message_time_ms?;
        passed = Some(passed.map_or(time, |passed: i64| passed.min(time)));
    }
    // Where all are at their end, the newest message is what everything is past.
    passed.or_else(|| progress.iter().filter_map(|claim| claim.message_time_ms).max())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(partition: i32, next_offset: i64, message_time_ms: Option<i64>) -> Claim {
        let partition = TopicPartition { topic: "t".into(), partition };
        Claim { partition, epoch: 1, next_offset, message_time_ms, tally: crate::batch::Tally::default() }
    }

    /// What all are past, where the partitions end at offset 10.
    fn passed_of(progress: &[Claim]) -> Option<i64> {
        let behind = behind(progress, Duration::from_secs(5));
        let bounds = |partition: &TopicPartition| Bounds { partition: partition.clone(), low: 0, high: 10 };
        let bounds: Vec<Bounds> = behind.iter().map(bounds).collect();
        passed(progress, &behind, &bounds)
    }

    #[test]
    fn the_partition_that_is_furthest_behind_counts_unless_it_is_at_its_end() {
        assert_eq!(passed_of(&[claim(0, 10, Some(90_000)), claim(1, 4, Some(88_000))]), Some(88_000));
        assert_eq!(passed_of(&[claim(0, 10, Some(90_000)), claim(1, 4, Some(20_000))]), Some(20_000));
        assert_eq!(passed_of(&[claim(0, 10, Some(90_000)), claim(1, 10, Some(20_000))]), Some(90_000));
        assert_eq!(passed_of(&[claim(0, 5, Some(90_000)), claim(1, 4, None)]), None);
        assert_eq!(passed_of(&[claim(0, 5, Some(90_000)), claim(1, 10, None)]), Some(90_000));
        assert_eq!(passed_of(&[claim(0, 10, Some(20_000)), claim(1, 10, Some(90_000))]), Some(90_000));
    }

    #[test]
    fn a_message_time_ahead_of_the_clock_is_not_believed_at_once() {
        let mut expiry = Expiry::new(vec![Some(Duration::from_secs(5))]);
        let far = vec![claim(0, 5, Some(1_000_000)), claim(1, 5, Some(90_000))];
        let believed = expiry.believed(far.clone(), 100_000);
        assert_eq!(passed_of(&believed), None, "one wrong clock: nothing is known of its partition");
        assert_eq!(passed_of(&expiry.believed(far, 100_000)), Some(90_000));
        let alone = vec![claim(0, 5, Some(1_000_000))];
        assert_eq!(passed_of(&expiry.believed(alone, 100_000)), Some(100_000), "its clock is ahead for good");
        let right = vec![claim(0, 5, Some(99_000))];
        assert_eq!(passed_of(&expiry.believed(right, 100_000)), Some(99_000));
    }
}
