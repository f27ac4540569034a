//! What the engines and the polling thread share: for each lane the batch that is being collected and what its engine is
//! to hear, and for each partition how far it is and which lane it belongs to.
//!
//! Invariant: a partition stays in its lane from the moment the group gives it to this instance until it is taken away.
//! So a lane sees all of a partition's messages in their order, and its engine alone claims and releases it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::gaps::Gap;
use crate::batch::{Advance, Claim, Limits, MessagesBuilder, Polled, Position, PutBack, TopicPartition};
use crate::source::{Assignment, Bounds, Event, Fill, PartitionEnd, Recreated, SourceError};
use crate::telemetry::Telemetry;

/// A partition without a message for this long is quiet: what is before its end may hold no message.
const QUIET: Duration = Duration::from_secs(2);
/// The same for a job that ends when it has caught up.
const QUIET_AT_END: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// For each lane: told when its engine may have something to do.
    changed: Vec<Notify>,
    /// Told when there is room in a lane's batch again.
    pub room: Condvar,
    /// Told when a lane has released revoked partitions.
    pub released: Condvar,
    /// Whether the end matters: otherwise it is never said.
    pub until_caught_up: bool,
    /// Where assignments, ends of partitions and failures are reported.
    pub telemetry: Telemetry,
}

#[derive(Debug)]
pub(super) struct State {
    pub lanes: Vec<Lane>,
    /// Every partition that the group gave to this instance.
    pub places: BTreeMap<TopicPartition, LanePartition>,
    /// Assignments so far: the number of the last one.
    assignments: u64,
    /// Whether the group has said what this instance gets.
    pub has_joined: bool,
    /// Whether the group must be asked again, because its last answer could not be followed.
    pub is_rejoin_due: bool,
    /// Partitions that are quiet before their ends, as the last statistics have them.
    pub gaps: Vec<Gap>,
    /// What librdkafka said about the error that the next poll gives.
    pub reason: String,
}

/// What waits for the engine of one lane.
#[derive(Debug, Default)]
pub(super) struct Lane {
    events: VecDeque<Result<Event, SourceError>>,
    pub batch: MessagesBuilder,
    is_full: bool,
    /// Messages that the engine waits for.
    wanted: usize,
    /// Whether its partitions are paused, because it was full for long.
    is_paused: bool,
    /// Messages of one batch, at most, where that is fewer than configured.
    pub rows_limit: Option<usize>,
    /// Whether the engine still works on something of revoked partitions.
    pub is_releasing: bool,
    /// Whether a position has moved over offsets that hold no message.
    has_moved: bool,
    /// Whether the engine has gone: nobody takes or releases anything any more.
    is_closed: bool,
}

/// A partition in its lane.
#[derive(Debug)]
pub(super) struct LanePartition {
    pub lane: usize,
    /// The number of the assignment that gave it.
    pub assignment: u64,
    /// `None` until the engine has claimed it.
    pub cursor: Option<Cursor>,
}

/// How far a partition is.
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    /// What was claimed.
    pub claim: Claim,
    /// The offset behind the last batch that was taken.
    taken: i64,
    /// The offset behind the last message that was collected.
    pub next: i64,
    pub last_timestamp_ms: Option<i64>,
    /// The end when the partition was assigned.
    pub target: i64,
    /// The end as it was seen last.
    pub end: i64,
    /// `next` when it was looked at last, and since when it is that.
    seen: (i64, Instant),
    /// Whether it was put back, and is not read yet from there: what arrives is from before.
    is_put_back: bool,
}

impl Shared {
    pub fn new(lanes: usize, until_caught_up: bool, telemetry: Telemetry) -> Self {
        Self {
            telemetry,
            state: Mutex::new(State::new(lanes)),
            changed: (0..lanes).map(|_| Notify::new()).collect(),
            room: Condvar::new(),
            released: Condvar::new(),
            until_caught_up,
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        // Why: no code panics while it holds this lock, and the state is whole between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when the lane was told something since the last time.
    pub async fn told(&self, lane: usize) {
        self.changed[lane].notified().await;
    }

    pub fn tell(&self, lane: usize) {
        self.changed[lane].notify_one();
    }

    pub fn tell_all(&self) {
        self.changed.iter().for_each(Notify::notify_one);
    }
}

impl Cursor {
    /// Where a claim starts, in a partition that ends at `end` for now.
    pub fn new(claim: Claim, end: i64) -> Self {
        let next = claim.next_offset;
        Self {
            claim,
            taken: next,
            next,
            last_timestamp_ms: None,
            target: end,
            end,
            seen: (next, Instant::now()),
            is_put_back: false,
        }
    }

    /// Whether a message that comes is to be collected, or looked at, at all.
    pub fn is_read(&self) -> bool {
        !self.is_put_back
    }

    /// Whether no message was collected for a while, as far as the looks so far can tell.
    pub fn is_quiet(&mut self, until_caught_up: bool) -> bool {
        if self.seen.0 != self.next {
            self.seen = (self.next, Instant::now());
        }
        self.seen.1.elapsed() >= if until_caught_up { QUIET_AT_END } else { QUIET }
    }
}

impl Lane {
    /// A message was added to the batch; whether the engine should look.
    pub fn has_collected(&mut self, limits: Limits) -> bool {
        self.is_full = self.is_at(limits);
        self.is_full || self.batch.len() == self.wanted
    }

    /// Whether the batch that is being collected holds what one may hold.
    fn is_at(&self, limits: Limits) -> bool {
        let rows_max = limits.rows_max.min(self.rows_limit.unwrap_or(usize::MAX));
        self.batch.len() >= rows_max || self.batch.bytes() >= limits.bytes_max
    }

    /// Whether nothing is collected, and messages are waited for.
    pub fn is_waiting(&self) -> bool {
        self.batch.is_empty() && !self.is_paused && !self.is_closed
    }

    /// Drops what was collected of these partitions.
    fn drop_partitions(&mut self, partitions: &[TopicPartition]) {
        self.batch.drop_partitions(partitions);
        // Why: a batch that was full has room now, and only a full one stops the polling.
        self.is_full = false;
    }

    pub fn say(&mut self, event: Event) {
        self.events.push_back(Ok(event));
    }
}

impl State {
    pub fn new(lanes: usize) -> Self {
        Self {
            lanes: (0..lanes).map(|_| Lane::default()).collect(),
            places: BTreeMap::new(),
            assignments: 0,
            has_joined: false,
            is_rejoin_due: false,
            gaps: Vec::new(),
            reason: String::new(),
        }
    }

    /// The group gives partitions to this instance: each goes to the lane that has the fewest.
    pub fn give(&mut self, partitions: &[TopicPartition]) {
        self.has_joined = true;
        self.assignments += 1;
        let number = self.assignments;
        let mut given: BTreeMap<usize, Vec<TopicPartition>> = BTreeMap::new();
        for partition in partitions {
            self.places.remove(partition);
            let open = (0..self.lanes.len()).filter(|lane| !self.lanes[*lane].is_closed);
            let Some(lane) = open.min_by_key(|lane| self.partitions_of(*lane).count()) else { return };
            self.places.insert(partition.clone(), LanePartition { lane, assignment: number, cursor: None });
            given.entry(lane).or_default().push(partition.clone());
        }
        for (lane, partitions) in given {
            self.lanes[lane].say(Event::Assigned(Assignment { number, partitions }));
        }
    }

    /// All partitions of this instance, in topic, partition order.
    pub fn partitions(&self) -> Vec<TopicPartition> {
        let mut partitions: Vec<TopicPartition> = self.places.keys().cloned().collect();
        partitions.sort();
        partitions
    }

    /// Whether the partition is this instance's by the assignment with this number.
    pub fn is_assigned(&self, partition: &TopicPartition, assignment: u64) -> bool {
        self.places.get(partition).is_some_and(|place| place.assignment == assignment)
    }

    /// The engine has claimed partitions for an assignment. Returns each with the offset that reading starts at.
    ///
    /// Invariant: a claim serves one assignment. If the partition was taken away since, it is left out: another claim
    /// follows if it was given back. What was collected before the claim is dropped, since its advance begins at the claim.
    pub fn claimed(
        &mut self,
        assignment: u64,
        claims: &[Claim],
        bounds: &[Bounds],
    ) -> Vec<(TopicPartition, i64)> {
        let mut starts = Vec::with_capacity(claims.len());
        for claim in claims {
            if !self.is_assigned(&claim.partition, assignment) {
                continue;
            }
            let Some(place) = self.places.get_mut(&claim.partition) else { continue };
            let bounds = bounds.iter().find(|bounds| bounds.partition == claim.partition);
            let (low, high) = bounds.map_or((claim.next_offset, 0), |bounds| (bounds.low, bounds.high));
            // Why: the message before it is read too, if it still exists, to see whether it is the one that was processed.
            let is_known = claim.message_time_ms.is_some() && claim.next_offset > low;
            starts.push((claim.partition.clone(), claim.next_offset - i64::from(is_known)));
            place.cursor = Some(Cursor::new(claim.clone(), high));
            self.lanes[place.lane].drop_partitions(std::slice::from_ref(&claim.partition));
        }
        starts
    }

    /// The engine of a lane drops what it has: nothing of its partitions is collected until they are claimed again.
    pub fn drop_lane(&mut self, lane: usize) {
        let places = self.places.iter_mut().filter(|(_, place)| place.lane == lane);
        let partitions = places.map(|(partition, place)| {
            place.cursor = None;
            partition.clone()
        });
        let partitions: Vec<TopicPartition> = partitions.collect();
        self.lanes[lane].drop_partitions(&partitions);
    }

    /// The group takes partitions away: nothing that was collected of them counts. The lanes that had some of them have
    /// something to finish until they release it, unless nobody would wait for that.
    pub fn take_away(&mut self, partitions: &[TopicPartition], is_waited_for: bool) {
        let mut taken: BTreeMap<usize, Vec<TopicPartition>> = BTreeMap::new();
        for partition in partitions {
            let Some(LanePartition { lane, .. }) = self.places.remove(partition) else { continue };
            taken.entry(lane).or_default().push(partition.clone());
        }
        // With nothing left, the group is asked again: what it gives next counts.
        self.has_joined &= !self.places.is_empty();
        for (lane, partitions) in taken {
            let lane = &mut self.lanes[lane];
            lane.drop_partitions(&partitions);
            lane.is_releasing = is_waited_for && !lane.is_closed;
            lane.say(Event::Revoked(partitions));
        }
    }

    /// Whether a lane still works on something of revoked partitions.
    pub fn is_releasing(&self) -> bool {
        self.lanes.iter().any(|lane| lane.is_releasing)
    }

    /// Something that ends the job, which every lane hears.
    pub fn fail(&mut self, error: &SourceError) {
        for lane in &mut self.lanes {
            lane.events.push_back(Err(error.clone()));
        }
    }

    /// The engine of a lane has gone: its partitions are not read any more. Whether it was the last one.
    pub fn close(&mut self, lane: usize) -> bool {
        let is_paused = self.lanes[lane].is_paused;
        self.lanes[lane] = Lane { is_closed: true, is_paused, ..Lane::default() };
        for place in self.places.values_mut().filter(|place| place.lane == lane) {
            place.cursor = None;
        }
        self.lanes.iter().all(|lane| lane.is_closed)
    }

    pub fn next_event(
        &mut self,
        lane: usize,
        fill: Fill,
        until_caught_up: bool,
    ) -> Option<Result<Event, SourceError>> {
        if let Some(event) = self.lanes[lane].events.pop_front() {
            return Some(event.map(|event| self.without_revoked(event)));
        }
        let Lane { batch, is_full, wanted, has_moved, .. } = &mut self.lanes[lane];
        *wanted = match fill {
            Fill::Rows(rows) => rows.max(1),
            Fill::Full => usize::MAX,
        };
        let is_ready = *is_full || batch.len() >= *wanted || (*has_moved && batch.is_empty());
        if is_ready {
            return Some(Ok(Event::Ready));
        }
        (until_caught_up && self.is_caught_up()).then_some(Ok(Event::CaughtUp))
    }

    /// An assignment without the partitions that were taken away since: to claim them would take them from their new owner.
    fn without_revoked(&self, event: Event) -> Event {
        let Event::Assigned(Assignment { number, mut partitions }) = event else { return event };
        partitions.retain(|partition| self.is_assigned(partition, number));
        Event::Assigned(Assignment { number, partitions })
    }

    /// Whether every partition of every lane that is open was taken up to the end it had at the start.
    pub fn is_caught_up(&self) -> bool {
        let reached = |place: &LanePartition| {
            let is_reached = |cursor: &Cursor| cursor.taken >= cursor.target;
            self.lanes[place.lane].is_closed || place.cursor.as_ref().is_some_and(is_reached)
        };
        let is_empty = |lane: &Lane| lane.batch.is_empty();
        self.has_joined && self.lanes.iter().all(is_empty) && self.places.values().all(reached)
    }

    /// Takes what was collected for a lane.
    pub fn take(&mut self, lane: usize) -> Polled {
        let mut advances = Vec::new();
        for (partition, place) in self.places.iter_mut().filter(|(_, place)| place.lane == lane) {
            let Some(cursor) = &mut place.cursor else { continue };
            if cursor.next > cursor.taken {
                advances.push(Advance {
                    partition: partition.clone(),
                    epoch: cursor.claim.epoch,
                    from: cursor.taken,
                    to: cursor.next,
                    message_time_ms: cursor.last_timestamp_ms,
                });
                cursor.taken = cursor.next;
            }
        }
        let lane = &mut self.lanes[lane];
        lane.is_full = false;
        lane.has_moved = false;
        Polled { messages: lane.batch.finish(), advances }
    }

    /// Nothing of a partition counts that was taken or collected from a position on, and nothing more is collected of it.
    /// Returns its assignment.
    pub fn put_back(&mut self, position: &PutBack) -> Option<u64> {
        let LanePartition { lane, assignment, cursor } = self.places.get_mut(&position.partition)?;
        let cursor = cursor.as_mut()?;
        cursor.taken = position.next_offset;
        cursor.next = position.next_offset;
        cursor.last_timestamp_ms = position.message_time_ms;
        cursor.is_put_back = true;
        self.lanes[*lane].drop_partitions(std::slice::from_ref(&position.partition));
        Some(*assignment)
    }

    /// Which of these partitions were put back: their assignments, and where they go on.
    pub fn put_back_at(&self, partitions: &[TopicPartition]) -> Vec<(u64, (TopicPartition, i64))> {
        let position = |partition: &TopicPartition| {
            let place = self.places.get(partition)?;
            let cursor = place.cursor.as_ref().filter(|cursor| cursor.is_put_back)?;
            Some((place.assignment, (partition.clone(), cursor.next)))
        };
        partitions.iter().filter_map(position).collect()
    }

    /// A partition is read again from where it was put back to.
    pub fn is_going_on(&mut self, partition: &TopicPartition) {
        if let Some(cursor) = self.places.get_mut(partition).and_then(|place| place.cursor.as_mut()) {
            cursor.is_put_back = false;
        }
    }

    /// No message is between the last one of a partition and `end`: the position moves there with the next commit.
    pub fn move_over(&mut self, gap: &Gap, end: i64) {
        let Some(place) = self.places.get_mut(&gap.partition) else { return };
        let LanePartition { lane, assignment, cursor: Some(cursor) } = place else { return };
        // Invariant: what was found out belongs to this assignment and this position.
        if *assignment == gap.assignment && cursor.next == gap.from && cursor.next < end {
            cursor.next = end;
            self.lanes[*lane].has_moved = true;
        }
    }

    /// Where a lane is in its claimed partitions: after the last batch that was taken.
    pub fn carried(&self, lane: usize) -> Vec<Position> {
        let places = self.places.iter().filter(|(_, place)| place.lane == lane);
        let positions = places.filter_map(|(partition, place)| {
            let cursor = place.cursor.as_ref()?;
            let (epoch, next_offset) = (cursor.claim.epoch, cursor.taken);
            Some(Position { partition: partition.clone(), epoch, next_offset })
        });
        positions.collect()
    }

    /// Reads nothing more of a partition whose topic was deleted and created again: its engine decides where to go on.
    /// What was collected of it and is not taken is dropped.
    pub fn leave(&mut self, partition: &TopicPartition, how: Recreated) {
        let Some(place) = self.places.get_mut(partition) else { return };
        let Some(cursor) = place.cursor.take() else { return };
        let lane = &mut self.lanes[place.lane];
        lane.drop_partitions(std::slice::from_ref(partition));
        lane.say(Event::MadeAnew(Claim { next_offset: cursor.taken, ..cursor.claim }, how));
    }

    /// A topic has another id than before.
    pub fn made_anew(&mut self, topic: &str, (before, now): &(String, String)) {
        let partitions = self.places.keys().filter(|partition| partition.topic.as_ref() == topic);
        for partition in partitions.cloned().collect::<Vec<_>>() {
            self.leave(&partition, Recreated::OtherId { before: before.clone(), now: now.clone() });
        }
    }

    /// How far the claimed partitions of a lane go.
    pub fn ends(&self, lane: usize) -> Vec<PartitionEnd> {
        let places = self.places.iter().filter(|(_, place)| place.lane == lane);
        let ends = places.filter_map(|(partition, place)| {
            let cursor = place.cursor.as_ref()?;
            Some(PartitionEnd { partition: partition.clone(), end: cursor.end.max(cursor.next) })
        });
        ends.collect()
    }

    /// The partitions of a lane.
    pub fn partitions_of(&self, lane: usize) -> impl Iterator<Item = &TopicPartition> {
        self.places.iter().filter(move |(_, place)| place.lane == lane).map(|(partition, _)| partition)
    }

    /// Whether every lane's partitions are paused as they should be: those of a full one, and no others.
    pub fn is_flowing(&self) -> bool {
        self.lanes.iter().all(|lane| lane.is_full == lane.is_paused)
    }

    /// Whether a lane is full and not paused, while none that is paused could go on.
    pub fn is_blocked(&self) -> bool {
        self.lanes_to(true).next().is_some() && self.lanes_to(false).next().is_none()
    }

    /// The lanes to be paused (those that are full), or to be resumed.
    pub fn lanes_to(&self, pause: bool) -> impl Iterator<Item = usize> {
        let lanes = self.lanes.iter().enumerate();
        lanes
            .filter(move |(_, lane)| lane.is_full == pause && lane.is_paused != pause)
            .map(|(index, _)| index)
    }

    /// The lanes whose partitions are paused.
    pub fn paused_lanes(&self) -> Vec<usize> {
        let lanes = self.lanes.iter().enumerate().filter(|(_, lane)| lane.is_paused);
        lanes.map(|(index, _)| index).collect()
    }

    pub fn paused(&mut self, lane: usize, pause: bool) {
        self.lanes[lane].is_paused = pause;
    }
}

#[cfg(test)]
mod tests;
