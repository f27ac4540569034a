//! What the engines and the polling thread share: for each lane the batch that is being collected and what its engine is
//! to hear, and for each partition how far it is and which lane it belongs to.
//!
//! Invariant: a partition stays in its lane from the moment the group gives it to this instance until it is taken away.
//! So a lane sees all of a partition's messages in their order, and its engine alone claims and releases it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::BatchLimits;
use super::gaps::Gap;
use crate::batch::{Advance, Claim, MessagesBuilder, Polled, Position, PutBack, TopicPartition};
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
    pub places: BTreeMap<TopicPartition, Place>,
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
    /// Whether the engine has something of revoked partitions in hand.
    pub is_releasing: bool,
    /// Whether a position has moved over offsets that hold no message.
    has_moved: bool,
    /// Whether the engine has gone: nobody takes or releases anything any more.
    is_closed: bool,
}

/// A partition in its lane.
#[derive(Debug)]
pub(super) struct Place {
    pub lane: usize,
    /// The number of the assignment that gave it.
    pub assignment: u64,
    /// `None` until the engine has claimed it.
    pub slot: Option<Slot>,
}

/// How far a partition is.
#[derive(Clone, Debug)]
pub(super) struct Slot {
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
    /// Whether it was put back, and is not read yet from there: what comes of it is of before.
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

impl Slot {
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
    pub fn has_collected(&mut self, limits: BatchLimits) -> bool {
        self.is_full = self.is_at(limits);
        self.is_full || self.batch.len() == self.wanted
    }

    /// Whether the batch that is being collected holds what one may hold.
    fn is_at(&self, limits: BatchLimits) -> bool {
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
            self.places.insert(partition.clone(), Place { lane, assignment: number, slot: None });
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
            place.slot = Some(Slot::new(claim.clone(), high));
            self.lanes[place.lane].drop_partitions(std::slice::from_ref(&claim.partition));
        }
        starts
    }

    /// The engine of a lane drops what it has: nothing of its partitions is collected until they are claimed again.
    pub fn drop_lane(&mut self, lane: usize) {
        let places = self.places.iter_mut().filter(|(_, place)| place.lane == lane);
        let partitions = places.map(|(partition, place)| {
            place.slot = None;
            partition.clone()
        });
        let partitions: Vec<TopicPartition> = partitions.collect();
        self.lanes[lane].drop_partitions(&partitions);
    }

    /// The group takes partitions away: nothing that was collected of them counts. The lanes that had some of them have
    /// something in hand until they release it, unless nobody would wait for that.
    pub fn take_away(&mut self, partitions: &[TopicPartition], is_waited_for: bool) {
        let mut taken: BTreeMap<usize, Vec<TopicPartition>> = BTreeMap::new();
        for partition in partitions {
            let Some(Place { lane, .. }) = self.places.remove(partition) else { continue };
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

    /// Whether a lane has something of revoked partitions in hand.
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
            place.slot = None;
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
        let reached = |place: &Place| {
            let is_reached = |slot: &Slot| slot.taken >= slot.target;
            self.lanes[place.lane].is_closed || place.slot.as_ref().is_some_and(is_reached)
        };
        let is_empty = |lane: &Lane| lane.batch.is_empty();
        self.has_joined && self.lanes.iter().all(is_empty) && self.places.values().all(reached)
    }

    /// Takes what was collected for a lane.
    pub fn take(&mut self, lane: usize) -> Polled {
        let mut advances = Vec::new();
        for (partition, place) in self.places.iter_mut().filter(|(_, place)| place.lane == lane) {
            let Some(slot) = &mut place.slot else { continue };
            if slot.next > slot.taken {
                advances.push(Advance {
                    partition: partition.clone(),
                    epoch: slot.claim.epoch,
                    from: slot.taken,
                    to: slot.next,
                    message_time_ms: slot.last_timestamp_ms,
                });
                slot.taken = slot.next;
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
        let Place { lane, assignment, slot } = self.places.get_mut(&position.partition)?;
        let slot = slot.as_mut()?;
        slot.taken = position.next_offset;
        slot.next = position.next_offset;
        slot.last_timestamp_ms = position.message_time_ms;
        slot.is_put_back = true;
        self.lanes[*lane].drop_partitions(std::slice::from_ref(&position.partition));
        Some(*assignment)
    }

    /// Which of these partitions were put back: their assignments, and where they go on.
    pub fn put_back_at(&self, partitions: &[TopicPartition]) -> Vec<(u64, (TopicPartition, i64))> {
        let position = |partition: &TopicPartition| {
            let place = self.places.get(partition)?;
            let slot = place.slot.as_ref().filter(|slot| slot.is_put_back)?;
            Some((place.assignment, (partition.clone(), slot.next)))
        };
        partitions.iter().filter_map(position).collect()
    }

    /// A partition is read again from where it was put back to.
    pub fn is_going_on(&mut self, partition: &TopicPartition) {
        if let Some(slot) = self.places.get_mut(partition).and_then(|place| place.slot.as_mut()) {
            slot.is_put_back = false;
        }
    }

    /// No message is between the last one of a partition and `end`: the position moves there with the next commit.
    pub fn move_over(&mut self, gap: &Gap, end: i64) {
        let Some(place) = self.places.get_mut(&gap.partition) else { return };
        let Place { lane, assignment, slot: Some(slot) } = place else { return };
        // Invariant: what was found out belongs to this assignment and this position.
        if *assignment == gap.assignment && slot.next == gap.from && slot.next < end {
            slot.next = end;
            self.lanes[*lane].has_moved = true;
        }
    }

    /// Where a lane is in its claimed partitions: after the last batch that was taken.
    pub fn carried(&self, lane: usize) -> Vec<Position> {
        let places = self.places.iter().filter(|(_, place)| place.lane == lane);
        let positions = places.filter_map(|(partition, place)| {
            let slot = place.slot.as_ref()?;
            let (epoch, next_offset) = (slot.claim.epoch, slot.taken);
            Some(Position { partition: partition.clone(), epoch, next_offset })
        });
        positions.collect()
    }

    /// Reads nothing more of a partition whose topic was made anew: its engine decides where to go on. What was collected of it
    /// and is not taken is dropped.
    pub fn leave(&mut self, partition: &TopicPartition, how: Recreated) {
        let Some(place) = self.places.get_mut(partition) else { return };
        let Some(slot) = place.slot.take() else { return };
        let lane = &mut self.lanes[place.lane];
        lane.drop_partitions(std::slice::from_ref(partition));
        lane.say(Event::MadeAnew(Claim { next_offset: slot.taken, ..slot.claim }, how));
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
            let slot = place.slot.as_ref()?;
            Some(PartitionEnd { partition: partition.clone(), end: slot.end.max(slot.next) })
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
mod tests {
    use super::*;
    use crate::batch::{Message, Tally};

    fn partition(partition: i32) -> TopicPartition {
        TopicPartition { topic: "t".into(), partition }
    }

    fn partitions(numbers: std::ops::Range<i32>) -> Vec<TopicPartition> {
        numbers.map(partition).collect()
    }

    fn claim(partition: TopicPartition) -> Claim {
        Claim { partition, epoch: 3, next_offset: 5, message_time_ms: None, tally: Tally::default() }
    }

    const NO_LIMITS: BatchLimits = BatchLimits { rows_max: usize::MAX, bytes_max: usize::MAX };

    /// Two partitions, claimed at offset 5, of which messages 7 and 9 were collected.
    fn collected(lanes: usize) -> State {
        let mut state = State::new(lanes);
        state.give(&partitions(0..2));
        for (partition, place) in &mut state.places {
            for offset in [7, 9] {
                let (timestamp_ms, key, payload) = (None, None, None);
                let (topic, partition) = (&partition.topic, partition.partition);
                let message = Message { topic, partition, offset, timestamp_ms, key, payload, headers: &[] };
                state.lanes[place.lane].batch.push(message);
                state.lanes[place.lane].has_collected(NO_LIMITS);
            }
            place.slot = Some(Slot { next: 10, ..Slot::new(claim(partition.clone()), 20) });
        }
        state
    }

    fn slot(state: &mut State, number: i32) -> &mut Slot {
        state.places.get_mut(&partition(number)).and_then(|place| place.slot.as_mut()).expect("claimed")
    }

    /// What a lane hears before anything else.
    fn heard(state: &mut State, lane: usize) -> Option<Event> {
        state.next_event(lane, Fill::Full, true).map(|event| event.expect("no error"))
    }

    #[test]
    fn positions_are_carried_and_not_derived_from_messages() {
        let mut state = collected(1);
        let Polled { messages, advances } = state.take(0);
        assert_eq!(messages.len(), 4);
        let moved: Vec<(i64, i64)> = advances.iter().map(|advance| (advance.from, advance.to)).collect();
        assert_eq!(moved, [(5, 10), (5, 10)]);
        assert!(state.take(0).advances.is_empty(), "they are moved once");
    }

    #[test]
    fn nothing_that_was_collected_of_a_revoked_partition_is_taken() {
        let mut state = collected(1);
        state.take_away(&[partition(0)], true);
        let Polled { messages, advances } = state.take(0);
        assert!(messages.iter().all(|message| message.partition == 1), "{messages:?}");
        assert_eq!((messages.len(), advances.len()), (2, 1));
    }

    #[test]
    fn a_claim_serves_the_assignment_that_it_was_made_for() {
        let mut state = State::new(1);
        let bounds = [Bounds { partition: partition(0), low: 0, high: 20 }];
        state.give(&[partition(0)]);
        let Some(Event::Assigned(first)) = heard(&mut state, 0) else { panic!("not assigned") };
        // The engine waits for the database while the partition goes and comes back.
        state.take_away(&[partition(0)], true);
        state.give(&[partition(0)]);
        assert_eq!(state.claimed(first.number, &[claim(partition(0))], &bounds), []);
        assert!(state.places[&partition(0)].slot.is_none(), "nothing is read before the second claim");
        assert_eq!(heard(&mut state, 0), Some(Event::Revoked(vec![partition(0)])));
        let Some(Event::Assigned(second)) = heard(&mut state, 0) else { panic!("not assigned again") };
        assert_eq!(second.partitions, [partition(0)]);
        assert_eq!(state.claimed(second.number, &[claim(partition(0))], &bounds), [(partition(0), 5)]);
    }

    #[test]
    fn what_was_collected_before_a_claim_is_dropped() {
        let mut state = collected(1);
        state.claimed(1, &[claim(partition(0))], &[]);
        let Polled { messages, advances } = state.take(0);
        assert!(messages.iter().all(|message| message.partition == 1), "{messages:?}");
        assert_eq!((messages.len(), advances.len()), (2, 1));
        let mut state = collected(1);
        state.drop_lane(0);
        let Polled { messages, advances } = state.take(0);
        assert_eq!((messages.len(), advances.len()), (0, 0));
    }

    #[test]
    fn a_partition_that_is_put_back_goes_on_where_it_was_put_back_to() {
        let mut state = collected(1);
        state.lanes[0].events.clear();
        state.take(0);
        let position = PutBack { partition: partition(0), next_offset: 7, message_time_ms: Some(3) };
        assert_eq!(state.put_back(&position), Some(1));
        assert!(!slot(&mut state, 0).is_read(), "what comes now is of before");
        assert!(slot(&mut state, 1).is_read());
        let carried: Vec<i64> = state.carried(0).iter().map(|position| position.next_offset).collect();
        assert_eq!(carried, [7, 10]);
        assert!(state.take(0).advances.is_empty());
        assert_eq!(state.put_back_at(&partitions(0..3)), [(1, (partition(0), 7))]);
        state.is_going_on(&partition(0));
        assert!(slot(&mut state, 0).is_read());
        assert_eq!(state.put_back_at(&partitions(0..3)), []);
        // It is not at its end, so a job that ends there has not caught up.
        slot(&mut state, 0).target = 10;
        slot(&mut state, 1).target = 10;
        assert!(!state.is_caught_up());
        // Of one that was taken away nothing is left to put back.
        state.take_away(&[partition(0)], true);
        assert_eq!(state.put_back(&position), None);
    }

    #[test]
    fn partitions_that_are_gone_are_not_claimed() {
        let mut state = State::new(1);
        state.give(&partitions(0..2));
        state.take_away(&[partition(1)], true);
        let assignment = Assignment { number: 1, partitions: vec![partition(0)] };
        assert_eq!(heard(&mut state, 0), Some(Event::Assigned(assignment)));
    }

    #[test]
    fn a_batch_is_bounded_in_messages_and_in_bytes() {
        let mut lane = collected(1).lanes.remove(0);
        let (rows_max, bytes_max) = (lane.batch.len(), lane.batch.bytes());
        let is_full = |lane: &Lane, rows_max, bytes_max| lane.is_at(BatchLimits { rows_max, bytes_max });
        assert!(!is_full(&lane, rows_max + 1, bytes_max + 1));
        assert!(is_full(&lane, rows_max, bytes_max + 1));
        assert!(is_full(&lane, rows_max + 1, bytes_max));
        lane.rows_limit = Some(rows_max);
        assert!(is_full(&lane, rows_max + 1, bytes_max + 1));
    }

    #[test]
    fn partitions_are_shared_out_among_the_lanes_and_stay_where_they_are() {
        let mut state = State::new(2);
        state.give(&partitions(0..5));
        let of =
            |state: &State, lane| -> Vec<i32> { state.partitions_of(lane).map(|p| p.partition).collect() };
        assert_eq!((of(&state, 0), of(&state, 1)), (vec![0, 2, 4], vec![1, 3]));
        let partitions_of_1 = vec![partition(1), partition(3)];
        let assignment = Assignment { number: 1, partitions: partitions_of_1 };
        assert_eq!(heard(&mut state, 1), Some(Event::Assigned(assignment)));
        state.take_away(&[partition(0), partition(2)], true);
        state.give(&partitions(5..8));
        assert_eq!((of(&state, 0), of(&state, 1)), (vec![4, 5, 6], vec![1, 3, 7]));
    }

    #[test]
    fn each_lane_takes_its_own_partitions_only() {
        let mut state = collected(2);
        for lane in [0, 1] {
            let Polled { messages, advances } = state.take(lane);
            assert_eq!((messages.len(), advances.len()), (2, 1));
            assert_eq!(advances[0].partition, partition(lane as i32));
            assert!(messages.iter().all(|message| message.partition == lane as i32));
        }
    }

    #[test]
    fn a_revocation_waits_for_every_lane_that_had_some_of_it() {
        let mut state = collected(3);
        state.take_away(&partitions(0..2), true);
        assert!(!state.lanes[2].is_releasing, "it had none of them");
        state.lanes[0].is_releasing = false;
        assert!(state.is_releasing(), "lane 1 has not released them yet");
        state.lanes[1].is_releasing = false;
        assert!(!state.is_releasing());
    }

    #[test]
    fn all_lanes_have_caught_up_or_none_has() {
        let mut state = collected(2);
        state.lanes.iter_mut().for_each(|lane| lane.events.clear());
        slot(&mut state, 0).target = 10;
        slot(&mut state, 1).target = 10;
        state.take(0);
        assert_eq!(heard(&mut state, 0), None, "lane 1 has messages to take");
        state.take(1);
        slot(&mut state, 1).target = 11;
        assert_eq!(heard(&mut state, 0), None, "lane 1 is not at its end");
        slot(&mut state, 1).target = 10;
        let caught_up = Some(Event::CaughtUp);
        assert_eq!((heard(&mut state, 0), heard(&mut state, 1)), (caught_up.clone(), caught_up));
    }

    #[test]
    fn positions_move_over_offsets_without_messages_and_no_further() {
        let mut state = collected(1);
        state.lanes[0].events.clear();
        state.take(0);
        assert_eq!(heard(&mut state, 0), None);
        let gap = |number, assignment, from| Gap { partition: partition(number), assignment, from };
        // Of another assignment, and of a position that a message has moved since.
        state.move_over(&gap(0, 2, 10), 15);
        state.move_over(&gap(1, 1, 9), 15);
        assert_eq!(heard(&mut state, 0), None);
        state.move_over(&gap(0, 1, 10), 15);
        assert_eq!(heard(&mut state, 0), Some(Event::Ready), "also without a message");
        let Polled { messages, advances } = state.take(0);
        assert!(messages.is_empty());
        let moved: Vec<(i32, i64, i64)> =
            advances.iter().map(|advance| (advance.partition.partition, advance.from, advance.to)).collect();
        assert_eq!(moved, [(0, 10, 15)]);
        assert_eq!(heard(&mut state, 0), None, "it is said once");
        let carried: Vec<i64> = state.carried(0).iter().map(|position| position.next_offset).collect();
        assert_eq!(carried, [15, 10]);
    }

    #[test]
    fn nothing_more_is_read_of_a_topic_that_was_made_anew() {
        let mut state = collected(1);
        state.lanes[0].events.clear();
        let ids = ("before".to_owned(), "now".to_owned());
        state.made_anew("another", &ids);
        assert_eq!(heard(&mut state, 0), None);
        state.take(0);
        state.made_anew("t", &ids);
        let how = Recreated::OtherId { before: ids.0, now: ids.1 };
        for number in 0..2 {
            let claim = Claim { next_offset: 10, ..claim(partition(number)) };
            assert_eq!(
                heard(&mut state, 0),
                Some(Event::MadeAnew(claim, how.clone())),
                "where it was taken to"
            );
        }
        assert!(state.carried(0).is_empty());
    }

    #[test]
    fn a_lane_whose_engine_has_gone_gets_nothing_and_holds_nobody_up() {
        let mut state = collected(2);
        state.lanes[1].events.clear();
        state.take(1);
        assert!(!state.close(0), "lane 1 is there");
        slot(&mut state, 1).target = 10;
        assert_eq!(heard(&mut state, 1), Some(Event::CaughtUp));
        state.take_away(&[partition(0)], true);
        assert!(!state.is_releasing());
        state.give(&partitions(2..4));
        assert_eq!(state.partitions_of(1).count(), 3, "lane 0 gets none");
        assert!(state.close(1), "it was the last one");
    }

    #[test]
    fn a_lane_that_is_full_stops_itself_and_not_the_others() {
        let mut state = collected(2);
        assert!(state.is_flowing());
        state.lanes[1].is_full = true;
        assert!(state.is_blocked());
        assert_eq!(state.lanes_to(true).collect::<Vec<_>>(), [1]);
        state.paused(1, true);
        assert!(state.is_flowing() && !state.is_blocked());
        state.take(1);
        state.lanes[0].is_full = true;
        assert!(!state.is_blocked(), "lane 1 can go on");
        assert_eq!(state.lanes_to(false).collect::<Vec<_>>(), [1]);
    }
}
