//! A recording instead of a broker: the same events and positions as Kafka gives, from messages in memory.
//! Tests drive the engine with it, cut where they want.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Bounds, Event, Fill, PartitionEnd, Source, SourceError};
use crate::batch::{Advance, Claim, Message, Messages, MessagesBuilder, Polled, TopicPartition};

/// Gives recorded messages in batches, then says that it has caught up.
#[derive(Clone, Debug)]
pub struct ReplaySource {
    messages: Messages,
    /// Messages of each batch, at most; the last counts for all that follow.
    sizes: Vec<usize>,
    /// Batches that were given.
    taken: usize,
    /// Places in `messages`, in the order in which they arrive.
    arrival: Vec<usize>,
    /// Where the next batch starts in `arrival`.
    position: usize,
    slots: BTreeMap<TopicPartition, Slot>,
    made_anew: Vec<Claim>,
    limit: usize,
    is_assigned: bool,
    has_joined: bool,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    epoch: i64,
    next: i64,
}

impl ReplaySource {
    /// `messages` in topic, partition, offset order, which is the order they arrive in; at most `rows_max` a batch.
    pub fn new(messages: Messages, rows_max: usize) -> Self {
        let arrival = (0..messages.len()).collect();
        Self::arriving(messages, arrival, vec![rows_max])
    }

    /// Messages that arrive in an order of their own, cut into batches of these sizes (the last size counts for all
    /// that follow). `arrival` holds each place in `messages` once, and those of one partition in their order.
    pub fn arriving(messages: Messages, arrival: Vec<usize>, sizes: Vec<usize>) -> Self {
        Self {
            messages,
            sizes,
            taken: 0,
            arrival,
            position: 0,
            slots: BTreeMap::new(),
            made_anew: Vec::new(),
            limit: usize::MAX,
            is_assigned: false,
            has_joined: false,
        }
    }

    fn bounds_of_recording(&self) -> Vec<Bounds> {
        let mut bounds: BTreeMap<TopicPartition, (i64, i64)> = BTreeMap::new();
        for message in self.messages.iter() {
            let partition = TopicPartition { topic: Arc::clone(message.topic), partition: message.partition };
            let (_, high) = bounds.entry(partition).or_insert((message.offset, message.offset));
            *high = message.offset + 1;
        }
        bounds.into_iter().map(|(partition, (low, high))| Bounds { partition, low, high }).collect()
    }

    fn slot(&self, position: usize) -> Option<&Slot> {
        let message = self.messages.get(self.arrival[position]);
        let partition = TopicPartition { topic: Arc::clone(message.topic), partition: message.partition };
        self.slots.get(&partition)
    }

    /// Whether the message that arrives at `position` stands before the claimed one, or in a partition nobody claimed.
    fn is_behind(&self, position: usize) -> bool {
        let offset = self.messages.get(self.arrival[position]).offset;
        self.slot(position).is_none_or(|slot| offset < slot.next)
    }

    fn rows_max(&self) -> usize {
        let size = self.sizes.get(self.taken).or(self.sizes.last());
        size.copied().unwrap_or(1).min(self.limit).max(1)
    }

    fn skip_what_is_stored(&mut self) {
        while self.position < self.arrival.len() && self.is_behind(self.position) {
            self.position += 1;
        }
    }
}

impl Source for ReplaySource {
    async fn next(&mut self, _: Fill) -> Result<Event, SourceError> {
        if !self.has_joined {
            self.has_joined = true;
            let partitions = self.bounds_of_recording().into_iter().map(|bounds| bounds.partition);
            return Ok(Event::Assigned(partitions.collect()));
        }
        if !self.is_assigned {
            // Invariant: the engine answers an assignment before it asks again.
            return Err(SourceError::Broken("the partitions were not claimed".into()));
        }
        if let Some(claim) = self.made_anew.pop() {
            self.slots.remove(&claim.partition);
            return Ok(Event::MadeAnew(claim));
        }
        self.skip_what_is_stored();
        Ok(if self.position < self.arrival.len() { Event::Ready } else { Event::CaughtUp })
    }

    async fn bounds(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Bounds>, SourceError> {
        let mut bounds = self.bounds_of_recording();
        bounds.retain(|bounds| partitions.contains(&bounds.partition));
        Ok(bounds)
    }

    fn assign(&mut self, claims: &[Claim], _: &[Bounds]) {
        self.is_assigned = true;
        for claim in claims {
            let contradicts = |message: Message<'_>| {
                let is_of_claim =
                    message.partition == claim.partition.partition && *message.topic == claim.partition.topic;
                is_of_claim && claim.is_contradicted_by(message.offset, message.timestamp_ms)
            };
            if self.messages.iter().any(contradicts) {
                self.made_anew.push(claim.clone());
            }
            let slot = Slot { epoch: claim.epoch, next: claim.next_offset };
            self.slots.insert(claim.partition.clone(), slot);
        }
    }

    fn release(&mut self) {}

    fn limit(&mut self, rows_max: usize) {
        self.limit = rows_max;
    }

    fn take(&mut self) -> Polled {
        let mut builder = MessagesBuilder::default();
        let mut advances: BTreeMap<TopicPartition, Advance> = BTreeMap::new();
        let rows_max = self.rows_max();
        self.taken += 1;
        while self.position < self.arrival.len() && builder.len() < rows_max {
            let message = self.messages.get(self.arrival[self.position]);
            let is_behind = self.is_behind(self.position);
            self.position += 1;
            if is_behind {
                continue;
            }
            builder.push(message);
            let partition = TopicPartition { topic: Arc::clone(message.topic), partition: message.partition };
            let Some(slot) = self.slots.get_mut(&partition) else { continue };
            let advance = advances.entry(partition.clone()).or_insert(Advance {
                partition,
                epoch: slot.epoch,
                from: slot.next,
                to: slot.next,
                message_time_ms: None,
            });
            advance.to = message.offset + 1;
            advance.message_time_ms = message.timestamp_ms;
            slot.next = message.offset + 1;
        }
        Polled { messages: builder.finish(), advances: advances.into_values().collect() }
    }

    fn rejoin(&mut self) {
        self.slots.clear();
        self.made_anew.clear();
        self.position = 0;
        self.has_joined = false;
        self.is_assigned = false;
    }

    fn stored(&mut self, _: &[Advance]) {}

    fn ends(&self) -> Vec<PartitionEnd> {
        let bounds = self.bounds_of_recording().into_iter();
        bounds.map(|bounds| PartitionEnd { partition: bounds.partition, end: bounds.high }).collect()
    }

    async fn close(self) {}
}
