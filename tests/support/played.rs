//! A recording in which a test plays what Kafka and other instances do to a job.

use realtime_processor::batch::{Advance, Claim, Polled, Position, PutBack, TopicPartition};
use realtime_processor::source::{Bounds, Event, Fill, PartitionEnd, ReplaySource, Source, SourceError};

/// What happens, and when. What a test does not play is as in the recording.
#[allow(async_fn_in_trait)] // Why: as in `Source`.
pub trait Play {
    async fn next(&mut self, recording: &mut ReplaySource, fill: Fill) -> Result<Event, SourceError> {
        recording.next(fill).await
    }

    /// The engine is in the middle of a claim.
    fn claims(&mut self, _: &mut ReplaySource, _: &[TopicPartition]) {}

    fn claimed(&mut self, _assignment: u64, _: &[Claim]) {}

    fn takes(&mut self) {}

    fn released(&mut self) {}

    fn rejoins(&mut self) {}
}

pub struct Played<P> {
    pub recording: ReplaySource,
    pub play: P,
}

impl<P: Play> Source for Played<P> {
    async fn next(&mut self, fill: Fill) -> Result<Event, SourceError> {
        self.play.next(&mut self.recording, fill).await
    }

    async fn bounds(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Bounds>, SourceError> {
        self.play.claims(&mut self.recording, partitions);
        self.recording.bounds(partitions).await
    }

    fn assign(&mut self, assignment: u64, claims: &[Claim], bounds: &[Bounds]) {
        self.play.claimed(assignment, claims);
        self.recording.assign(assignment, claims, bounds);
    }

    fn release(&mut self) {
        self.play.released();
    }

    fn limit(&mut self, rows_max: usize) {
        self.recording.limit(rows_max);
    }

    fn take(&mut self) -> Polled {
        self.play.takes();
        self.recording.take()
    }

    fn put_back(&mut self, position: &PutBack) {
        self.recording.put_back(position);
    }

    fn go_on(&mut self, partitions: &[TopicPartition]) {
        self.recording.go_on(partitions);
    }

    fn rejoin(&mut self) {
        self.play.rejoins();
        self.recording.rejoin();
    }

    fn stored(&mut self, _: &[Advance]) {}

    fn carried(&self) -> Vec<Position> {
        self.recording.carried()
    }

    fn ends(&self) -> Vec<PartitionEnd> {
        self.recording.ends()
    }

    async fn close(self) {}
}
