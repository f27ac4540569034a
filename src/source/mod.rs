//! Messages in. A source says which partitions it was given, waits for where to start in each, and then
//! collects what arrives until the engine takes it. It remembers positions and epochs, so that what it hands
//! out carries everything a commit needs; it stores nothing.

mod kafka;
mod replay;
mod start;

pub use kafka::{Browser, KafkaSource, Range};
pub(crate) use kafka::{
    LastFailure, Logged, TopicLookup, base_config, check_properties, consumer_config, first_ranges,
    last_ranges, no_answer, partition, push, refused, without_secrets,
};
pub use replay::ReplaySource;
pub use start::StartAt;

use crate::batch::{Advance, Claim, Fault, Polled, Position, PutBack, TopicPartition};
use crate::diagnostic::Finding;

/// What a source has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The group gives partitions to this instance: the engine claims them and calls [`Source::assign`].
    Assigned(Assignment),
    /// These partitions are taken away; what was collected of them is dropped. The group waits a moment: the
    /// engine brings to an end what it has taken of them and calls [`Source::release`].
    Revoked(Vec<TopicPartition>),
    /// The topic was deleted and created again, so the partition holds other messages than those that were processed.
    /// The claim is where this instance is in it; nothing more of it is read.
    MadeAnew(Claim, Recreated),
    /// Messages can be taken.
    Ready,
    /// Every partition was taken up to the end it had when it was assigned, and nothing waits. Said only where a
    /// job ends then.
    CaughtUp,
}

/// Partitions that the group gives to this instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Every assignment has another number. A claim serves the assignment that it was made for, and no other: a partition may
    /// be taken away and given back while the database is slow to answer.
    pub number: u64,
    pub partitions: Vec<TopicPartition>,
}

/// How it shows that a topic was deleted and created again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recreated {
    /// The message before the stored offset has another time than the one that was processed.
    OtherTime,
    /// The topic has another id.
    OtherId { before: String, now: String },
}

/// How much must wait before [`Event::Ready`] is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// This many messages, or a full batch.
    Rows(usize),
    /// As much as one batch may hold.
    Full,
}

/// The first and the next offset of a partition, as the broker knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub partition: TopicPartition,
    /// The first offset that can still be read.
    pub low: i64,
    /// The last stable offset: where reading ends for now.
    pub high: i64,
}

/// How far a partition goes, for reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionEnd {
    pub partition: TopicPartition,
    /// The last stable offset that was seen last.
    pub end: i64,
}

/// What went wrong with a source.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SourceError {
    /// The broker cannot be reached, or does not answer for now.
    #[error("{0}")]
    Unavailable(Finding),
    /// Waiting does not help: the topic, the rights or the offsets are not there.
    #[error("{0}")]
    Broken(Finding),
    /// librdkafka refuses the properties of the client.
    #[error("{0}")]
    Properties(Finding),
}

impl SourceError {
    pub fn fault(&self) -> Fault {
        match self {
            Self::Unavailable(_) => Fault::Infrastructure,
            Self::Broken(_) | Self::Properties(_) => Fault::Other,
        }
    }

    /// What went wrong, and what to do about it.
    pub fn found(&self) -> &Finding {
        let (Self::Unavailable(found) | Self::Broken(found) | Self::Properties(found)) = self;
        found
    }
}

/// Where messages come from: Kafka, or a recording for tests.
#[allow(async_fn_in_trait)] // Why: the engine is generic over its source and never sends it to another task.
pub trait Source {
    /// Waits for what happens next. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`SourceError::Broken`] where going on makes no sense.
    async fn next(&mut self, fill: Fill) -> Result<Event, SourceError>;

    /// Asks where these partitions begin and end now.
    ///
    /// # Errors
    /// [`SourceError::Unavailable`] where the broker does not answer.
    async fn bounds(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Bounds>, SourceError>;

    /// Starts reading the partitions of an assignment where the claims say. Partitions that were revoked since then are
    /// left out, also if a later assignment has given them back.
    fn assign(&mut self, assignment: u64, claims: &[Claim], bounds: &[Bounds]);

    /// Nothing of the revoked partitions is in progress any more: another instance may have them.
    fn release(&mut self);

    /// Lets batches have at most `rows_max` messages from now on; the configured number at most, one at least.
    fn limit(&mut self, rows_max: usize);

    /// Takes all that has been collected.
    fn take(&mut self) -> Polled;

    /// Takes nothing more of a partition before [`Source::go_on`]: what was taken from this position on is not processed.
    fn put_back(&mut self, position: &PutBack);

    /// Reads partitions that were put back, from where they were put back to. Those that are not, or were taken away
    /// since, are skipped.
    fn go_on(&mut self, partitions: &[TopicPartition]);

    /// Drops everything collected and joins the group again: all partitions are revoked, then assigned again.
    fn rejoin(&mut self);

    /// These advances are stored: the broker may be told, for people's tools.
    fn stored(&mut self, advances: &[Advance]);

    /// Where this instance is in its claimed partitions, by what it has taken.
    fn carried(&self) -> Vec<Position>;

    /// How far the assigned partitions go, in topic, partition order.
    fn ends(&self) -> Vec<PartitionEnd>;

    /// Leaves the group.
    async fn close(self);
}
