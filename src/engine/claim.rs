//! Taking partitions over: claimed in the database, compared with what Kafka has of them, then read from where they were
//! left. What Kafka no longer has stops the job, unless it may go on without.

use std::collections::BTreeSet;

use super::Engine;
use super::error::EngineError;
use super::expiry::Expiry;
use super::lost::{LostKind, LostMessages, lost_messages};
use super::retry::{KAFKA, persist};
use super::turn::Baton;
use super::writer::{Ended, Writer};
use crate::batch::{Advance, Claim, Commit, TopicPartition};
use crate::config::{LostData, StartingOffsets};
use crate::source::{Assignment, Bounds, Recreated, Source, SourceError};

impl<S: Source> Engine<S> {
    /// Claims partitions in the database and starts reading them where they were left.
    pub(super) async fn claim(&mut self, assignment: &Assignment) -> Result<(), EngineError> {
        let partitions = assignment.partitions.as_slice();
        if partitions.is_empty() {
            return Ok(());
        }
        // What is held of state may have been written by the instance that had the partitions.
        self.stages.states.forget();
        let bounds = self.bounds(partitions).await?;
        self.commits.all_idle().iter_mut().for_each(Writer::forget);
        let Some(writer) = self.commits.idle() else { return Ok(()) };
        let stored = writer.stored(partitions).await?;
        let mut starts = Vec::with_capacity(partitions.len());
        let mut lost = Vec::new();
        for (partition, stored) in partitions.iter().zip(stored) {
            let bounds = bounds_of(partition, &bounds)?;
            let start = match (stored, self.options.starting_offsets) {
                (Some(stored), _) => {
                    lost.extend(lost_messages(bounds, stored));
                    stored
                }
                (None, StartingOffsets::Earliest) => bounds.low,
                // A partition that is new in a known topic holds messages nobody has seen.
                (None, StartingOffsets::Latest) if writer.knows_topic(&partition.topic).await? => bounds.low,
                (None, StartingOffsets::Latest) => bounds.high,
            };
            starts.push((partition.clone(), start));
        }
        refuse(self.options.lost_data, &lost)?;
        let mut claims = writer.claim(&starts).await?;
        let waiting = writer.waiting().clone();
        self.leave_out(waiting);
        self.breaker.claimed(&claims);
        for lost in &lost {
            tracing::warn!("{lost}; going on with offset {}", lost.first_kept);
            if !self.skip(lost, &mut claims).await? {
                self.source.rejoin();
                return Ok(());
            }
        }
        let ends: Vec<_> = bounds.iter().map(|bounds| (bounds.partition.clone(), bounds.high)).collect();
        self.stop.telemetry().claimed(&claims, &ends);
        self.source.assign(assignment.number, &claims, &bounds);
        Ok(())
    }

    /// Does not write what waits for its fill, as the claims say; the other names are written from here on.
    fn leave_out(&mut self, waiting: BTreeSet<String>) {
        let list = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
        if self.waiting.is_subset(&waiting) && self.waiting != waiting {
            let names = list(&waiting);
            tracing::info!("not written before it is filled: {names}; `realtime-processor fill` does it");
        } else if self.waiting != waiting {
            tracing::info!("filled, and written from here on: {}", list(&(&self.waiting - &waiting)));
        }
        self.stages.pipeline.leave_out(&waiting);
        self.expiry = Expiry::new(self.stages.ttls());
        self.waiting = waiting;
    }

    /// A partition whose topic was deleted and created again is read from its first message, if that is wanted.
    pub(super) async fn go_anew(&mut self, claim: Claim, how: Recreated) -> Result<(), EngineError> {
        let bounds = self.bounds(std::slice::from_ref(&claim.partition)).await?;
        let bounds = bounds_of(&claim.partition, &bounds)?;
        let lost = LostMessages {
            partition: claim.partition.clone(),
            kind: LostKind::MadeAnew(Some(how)),
            stored: claim.next_offset,
            first_kept: bounds.low,
            end: bounds.high,
        };
        refuse(self.options.lost_data, std::slice::from_ref(&lost))?;
        tracing::warn!("{lost}; going on with offset {}", lost.first_kept);
        self.skip(&lost, &mut [claim]).await?;
        self.source.rejoin();
        Ok(())
    }

    /// Stores that a partition goes on behind messages that are lost; false where another instance has it by now.
    async fn skip(&mut self, lost: &LostMessages, claims: &mut [Claim]) -> Result<bool, EngineError> {
        let claim = claims.iter_mut().find(|claim| claim.partition == lost.partition);
        let (Some(claim), Some(writer)) = (claim, self.commits.idle()) else { return Ok(true) };
        if claim.next_offset != lost.stored {
            // Another instance has gone on in between; what it stored is looked at when it is claimed the next time.
            return Ok(false);
        }
        let advance = Advance {
            partition: claim.partition.clone(),
            epoch: claim.epoch,
            from: lost.stored,
            to: lost.first_kept,
            message_time_ms: None,
        };
        let commit = Commit { advances: vec![advance], ..Commit::default() };
        let prepared = self.written.prepare(commit)?;
        claim.next_offset = lost.first_kept;
        Ok(matches!(writer.deliver(&prepared, &mut Baton::of_nobody()).await?, Ended::Committed { .. }))
    }

    async fn bounds(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Bounds>, EngineError> {
        let Self { source, stop, .. } = self;
        persist(KAFKA, stop, async || source.bounds(partitions).await).await
    }
}

/// Stops the job where messages are lost, unless it may go on.
fn refuse(lost_data: LostData, lost: &[LostMessages]) -> Result<(), EngineError> {
    if lost.is_empty() || lost_data == LostData::Continue {
        return Ok(());
    }
    Err(EngineError::LostData(lost.iter().map(LostMessages::found).collect()))
}

fn bounds_of<'a>(partition: &TopicPartition, bounds: &'a [Bounds]) -> Result<&'a Bounds, EngineError> {
    bounds.iter().find(|bounds| bounds.partition == *partition).ok_or_else(|| {
        let message = format!("the broker says nothing about the offsets of {partition}");
        SourceError::Broken(message.into()).into()
    })
}
