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

const NO_LIMITS: Limits = Limits { rows_max: usize::MAX, bytes_max: usize::MAX };

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
        place.cursor = Some(Cursor { next: 10, ..Cursor::new(claim(partition.clone()), 20) });
    }
    state
}

fn cursor(state: &mut State, number: i32) -> &mut Cursor {
    state.places.get_mut(&partition(number)).and_then(|place| place.cursor.as_mut()).expect("claimed")
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
    assert!(state.places[&partition(0)].cursor.is_none(), "nothing is read before the second claim");
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
    assert!(!cursor(&mut state, 0).is_read(), "what comes now is of before");
    assert!(cursor(&mut state, 1).is_read());
    let carried: Vec<i64> = state.carried(0).iter().map(|position| position.next_offset).collect();
    assert_eq!(carried, [7, 10]);
    assert!(state.take(0).advances.is_empty());
    assert_eq!(state.put_back_at(&partitions(0..3)), [(1, (partition(0), 7))]);
    state.is_going_on(&partition(0));
    assert!(cursor(&mut state, 0).is_read());
    assert_eq!(state.put_back_at(&partitions(0..3)), []);
    // It is not at its end, so a job that ends there has not caught up.
    cursor(&mut state, 0).target = 10;
    cursor(&mut state, 1).target = 10;
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
    let is_full = |lane: &Lane, rows_max, bytes_max| lane.is_at(Limits { rows_max, bytes_max });
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
    let of = |state: &State, lane| -> Vec<i32> { state.partitions_of(lane).map(|p| p.partition).collect() };
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
    cursor(&mut state, 0).target = 10;
    cursor(&mut state, 1).target = 10;
    state.take(0);
    assert_eq!(heard(&mut state, 0), None, "lane 1 has messages to take");
    state.take(1);
    cursor(&mut state, 1).target = 11;
    assert_eq!(heard(&mut state, 0), None, "lane 1 is not at its end");
    cursor(&mut state, 1).target = 10;
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
        assert_eq!(heard(&mut state, 0), Some(Event::MadeAnew(claim, how.clone())), "where it was taken to");
    }
    assert!(state.carried(0).is_empty());
}

#[test]
fn a_lane_whose_engine_has_gone_gets_nothing_and_holds_nobody_up() {
    let mut state = collected(2);
    state.lanes[1].events.clear();
    state.take(1);
    assert!(!state.close(0), "lane 1 is there");
    cursor(&mut state, 1).target = 10;
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
