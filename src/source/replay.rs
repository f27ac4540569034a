//! A recording instead of a broker: the same events and positions as Kafka gives, from messages in memory.
//! Tests drive the engine with it, cut where they want.

use std::sync::Arc;

use super::{Assignment, Bounds, Event, Fill, PartitionEnd, Recreated, Source, SourceError};
use crate::batch::{
    Advance, Claim, Message, Messages, MessagesBuilder, Polled, Position, PutBack, TopicPartition,
};

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
    /// The recorded partitions, in their order.
    bounds: Vec<Bounds>,
    /// For each message the place of its partition among `bounds`.
    places: Vec<usize>,
    /// What was claimed of each of `bounds`.
    cursors: Vec<Option<Cursor>>,
    made_anew: Vec<Claim>,
    limit: usize,
    is_assigned: bool,
    /// The number of the last assignment, and of the last one of each of `bounds`.
    assignment: u64,
    assignments: Vec<u64>,
    has_joined: bool,
}

#[derive(Clone, Copy, Debug)]
struct Cursor {
    epoch: i64,
    next: i64,
    is_put_back: bool,
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
        let (bounds, places) = bounds_of(&messages);
        Self {
            messages,
            sizes,
            taken: 0,
            arrival,
            position: 0,
            cursors: vec![None; bounds.len()],
            assignments: vec![0; bounds.len()],
            bounds,
            places,
            made_anew: Vec::new(),
            limit: usize::MAX,
            is_assigned: false,
            assignment: 0,
            has_joined: false,
        }
    }

    /// Assigns partitions, as a group does that has taken them away before.
    pub fn give(&mut self, partitions: Vec<TopicPartition>) -> Assignment {
        self.assignment += 1;
        for place in partitions.iter().filter_map(|partition| self.place(partition)).collect::<Vec<_>>() {
            self.cursors[place] = None;
            self.assignments[place] = self.assignment;
        }
        Assignment { number: self.assignment, partitions }
    }

    /// The place of a partition among those that were recorded.
    fn place(&self, partition: &TopicPartition) -> Option<usize> {
        self.bounds.iter().position(|bounds| bounds.partition == *partition)
    }

    /// Whether the message that arrives at `position` comes before the claimed one, or in a partition nobody claimed.
    fn is_behind(&self, position: usize) -> bool {
        let index = self.arrival[position];
        let offset = self.messages.get(index).offset;
        self.cursors[self.places[index]].is_none_or(|cursor| cursor.is_put_back || offset < cursor.next)
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
            let partitions = self.bounds.iter().map(|bounds| bounds.partition.clone()).collect();
            return Ok(Event::Assigned(self.give(partitions)));
        }
        if !self.is_assigned {
            // Invariant: the engine answers an assignment before it asks again.
            return Err(SourceError::Broken("the partitions were not claimed".into()));
        }
        if let Some(claim) = self.made_anew.pop() {
            if let Some(place) = self.place(&claim.partition) {
                self.cursors[place] = None;
            }
            return Ok(Event::MadeAnew(claim, Recreated::OtherTime));
        }
        self.skip_what_is_stored();
        if self.position < self.arrival.len() {
            return Ok(Event::Ready);
        }
        if self.cursors.iter().flatten().any(|cursor| cursor.is_put_back) {
            // Until the engine lets it go on, nothing can happen.
            std::future::pending::<()>().await;
        }
        Ok(Event::CaughtUp)
    }

    async fn bounds(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Bounds>, SourceError> {
        let is_asked_for = |bounds: &&Bounds| partitions.contains(&bounds.partition);
        Ok(self.bounds.iter().filter(is_asked_for).cloned().collect())
    }

    fn assign(&mut self, assignment: u64, claims: &[Claim], _: &[Bounds]) {
        self.is_assigned = true;
        for claim in claims {
            let Some(place) = self.place(&claim.partition) else { continue };
            if self.assignments[place] != assignment {
                continue;
            }
            let contradicts = |message: Message<'_>| {
                let is_of_claim =
                    message.partition == claim.partition.partition && *message.topic == claim.partition.topic;
                is_of_claim && claim.is_contradicted_by(message.offset, message.timestamp_ms)
            };
            if self.messages.iter().any(contradicts) {
                self.made_anew.push(claim.clone());
            }
            self.cursors[place] =
                Some(Cursor { epoch: claim.epoch, next: claim.next_offset, is_put_back: false });
        }
    }

    fn release(&mut self) {}

    fn limit(&mut self, rows_max: usize) {
        self.limit = rows_max;
    }

    fn take(&mut self) -> Polled {
        let mut builder = MessagesBuilder::default();
        let mut advances: Vec<Option<Advance>> = vec![None; self.bounds.len()];
        let rows_max = self.rows_max();
        self.taken += 1;
        while self.position < self.arrival.len() && builder.len() < rows_max {
            let index = self.arrival[self.position];
            let (message, place) = (self.messages.get(index), self.places[index]);
            self.position += 1;
            let is_next = |cursor: &&mut Cursor| !cursor.is_put_back && message.offset >= cursor.next;
            let Some(cursor) = self.cursors[place].as_mut().filter(is_next) else { continue };
            builder.push(message);
            let advance = advances[place].get_or_insert_with(|| Advance {
                partition: self.bounds[place].partition.clone(),
                epoch: cursor.epoch,
                from: cursor.next,
                to: cursor.next,
                message_time_ms: None,
            });
            advance.to = message.offset + 1;
            advance.message_time_ms = message.timestamp_ms;
            cursor.next = message.offset + 1;
        }
        Polled { messages: builder.finish(), advances: advances.into_iter().flatten().collect() }
    }

    fn put_back(&mut self, position: &PutBack) {
        let Some(place) = self.place(&position.partition) else { return };
        if let Some(cursor) = &mut self.cursors[place] {
            *cursor = Cursor { next: position.next_offset, is_put_back: true, ..*cursor };
        }
    }

    fn go_on(&mut self, partitions: &[TopicPartition]) {
        for place in partitions.iter().filter_map(|partition| self.place(partition)).collect::<Vec<_>>() {
            if let Some(cursor) = &mut self.cursors[place] {
                cursor.is_put_back = false;
            }
        }
        // What is behind the positions is skipped.
        self.position = 0;
    }

    fn rejoin(&mut self) {
        self.cursors.fill(None);
        self.made_anew.clear();
        self.position = 0;
        self.has_joined = false;
        self.is_assigned = false;
    }

    fn stored(&mut self, _: &[Advance]) {}

    fn carried(&self) -> Vec<Position> {
        let cursors = self.bounds.iter().zip(&self.cursors);
        let positions = cursors.filter_map(|(bounds, cursor)| {
            let Cursor { epoch, next, .. } = cursor.as_ref()?;
            Some(Position { partition: bounds.partition.clone(), epoch: *epoch, next_offset: *next })
        });
        positions.collect()
    }

    fn ends(&self) -> Vec<PartitionEnd> {
        let bounds = self.bounds.iter();
        bounds.map(|bounds| PartitionEnd { partition: bounds.partition.clone(), end: bounds.high }).collect()
    }

    async fn close(self) {}
}

/// Where the partitions of a recording begin and end, in their order, and for each message the place of its partition
/// among them.
fn bounds_of(messages: &Messages) -> (Vec<Bounds>, Vec<usize>) {
    let (mut all, mut places): (Vec<Bounds>, Vec<usize>) = (Vec::new(), Vec::with_capacity(messages.len()));
    for Message { topic, partition, offset, .. } in messages.iter() {
        // Invariant: messages of one partition stand together, in the order of their offsets.
        let is_same =
            |last: &&mut Bounds| last.partition.partition == partition && last.partition.topic == *topic;
        match all.last_mut().filter(is_same) {
            Some(last) => last.high = offset + 1,
            None => {
                let partition = TopicPartition { topic: Arc::clone(topic), partition };
                all.push(Bounds { partition, low: offset, high: offset + 1 });
            }
        }
        places.push(all.len() - 1);
    }
    (all, places)
}
