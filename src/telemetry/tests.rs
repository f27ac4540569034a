use std::time::Duration;

use super::*;
use crate::batch::TopicPartition;

fn telemetry() -> Telemetry {
    Telemetry::of(About {
        job: "bank".into(),
        instance: "host:1".into(),
        database: "MySQL",
        memory_max: 256 << 20,
        started_at: SystemTime::now(),
    })
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn partition(number: i32) -> TopicPartition {
    TopicPartition { topic: "t".into(), partition: number }
}

/// A job that runs and has one partition, committed up to `committed` of `end`; its last message is of second 1,000.
fn standing(committed: i64, end: i64) -> Standing {
    let place = Partition {
        committed: Some(committed),
        end: Some(end),
        message_time_ms: Some(1_000_000),
        ..Partition::default()
    };
    Standing {
        phase: Phase::Running,
        has_joined: true,
        partitions: [(partition(0), place)].into(),
        last_message_at: Some(at(1_000)),
        ..Standing::default()
    }
}

fn told(standing: &Standing, lag_shrinks: f64, is_stopping: bool, now: u64) -> (State, String) {
    let rates = Rates { lag_shrinks, ..Rates::default() };
    let told = sentence::tell(standing, rates, "MySQL", is_stopping, at(now));
    (told.state, told.text)
}

#[test]
fn one_sentence_says_how_the_job_stands() {
    let said = |standing: &Standing, shrinks, now| told(standing, shrinks, false, now);
    assert_eq!(said(&Standing::default(), 0.0, 1), (State::Starting, "starting".into()));
    assert_eq!(said(&standing(10, 10), 0.0, 1_030), (State::KeepingUp, "keeping up".into()));
    assert_eq!(said(&standing(10, 10), 0.0, 1_300), (State::Idle, "idle: no message for 5 min".into()));
    assert_eq!(said(&standing(10, 20), 0.0, 1_009), (State::KeepingUp, "keeping up".into()));
    let behind = standing(0, 24_000);
    assert_eq!(said(&behind, 100.0, 1_100), (State::CatchingUp, "catching up, about 4 min left".into()));
    assert_eq!(said(&behind, 0.0, 1_100), (State::CatchingUp, "catching up: 24000 messages left".into()));
    let growing = "falling behind: 24000 messages are not processed yet, and more every second";
    assert_eq!(said(&behind, -5.0, 1_100), (State::CatchingUp, growing.into()));
    let mut waiting = standing(0, 10);
    waiting.waits.insert(Server::Database, Wait { since: at(43_390), error: "connection refused".into() });
    let text = "waiting for MySQL since 12:03:10: connection refused";
    assert_eq!(said(&waiting, 0.0, 43_400), (State::Waiting, text.into()));
    assert_eq!(told(&waiting, 0.0, true, 43_400), (State::Stopping, format!("stopping; {text}")));
    let stopping = "stopping after the current batch";
    assert_eq!(told(&standing(1, 2), 0.0, true, 1_100), (State::Stopping, stopping.into()));
    let failed = Standing { phase: Phase::Failed, ..waiting };
    assert_eq!(said(&failed, 0.0, 43_400).0, State::Failed);
    let alone = Standing { partitions: std::collections::BTreeMap::new(), ..standing(0, 0) };
    assert_eq!(said(&alone, 0.0, 1_001).1, "idle: the other instances have all partitions");
}

#[test]
fn lag_is_what_is_stored_against_the_end() {
    let mut place = Partition::default();
    assert_eq!((place.lag_messages(), place.lag_seconds(at(5))), (0, None));
    (place.end, place.committed, place.message_time_ms) = (Some(10), Some(7), Some(1_000_000));
    assert_eq!((place.lag_messages(), place.lag_seconds(at(1_060))), (3, Some(60.0)));
    // A message that follows an idle day has not waited for a day.
    place.caught_up_at = Some(at(1_058));
    assert_eq!(place.lag_seconds(at(1_060)), Some(2.0));
    place.committed = Some(10);
    assert_eq!((place.lag_messages(), place.lag_seconds(at(1_060))), (0, Some(0.0)));
}

#[test]
fn rates_are_those_of_the_last_seconds_and_history_is_bounded() {
    let start = Instant::now();
    let mut history = History::new(start);
    let totals = |taken| counts::Totals { taken, ..counts::Totals::default() };
    let mut points = 0;
    for second in 1..=4_000_u64 {
        let now = start + Duration::from_secs(second);
        points += usize::from(history.sample(now, totals(second.min(20) * 100), 0, 0.0).is_some());
        match second {
            5 | 20 => {
                assert!((history.rates().taken - 100.0).abs() < 1e-9, "{:?} at {second}", history.rates())
            }
            25 => assert!((history.rates().taken - 50.0).abs() < 1e-9, "{:?}", history.rates()),
            31 => assert!(history.rates().taken.abs() < 1e-9, "{:?}", history.rates()),
            _ => {}
        }
    }
    assert_eq!(points, 800, "one each five seconds");
    assert_eq!(history.points().len(), 720, "an hour");
}

#[test]
fn a_loop_that_does_not_beat_is_stalled() {
    let telemetry = telemetry();
    let job = telemetry.job().unwrap();
    let pulse = telemetry.pulse("lane 0", Duration::from_secs(30));
    let ended = telemetry.pulse("lane 1", Duration::from_secs(1));
    drop(ended);
    pulse.beat();
    assert_eq!(job.stalled(Instant::now()), Vec::<String>::new());
    let later = Instant::now() + Duration::from_secs(31);
    assert_eq!(job.stalled(later), ["lane 0 has not been seen for 31 s"]);
    drop(pulse);
    assert_eq!(job.stalled(later), Vec::<String>::new());
}

#[test]
fn what_repeats_is_one_event_and_only_the_last_are_kept() {
    let telemetry = telemetry();
    for _ in 0..1_000 {
        telemetry.conflict("seen");
    }
    let events = telemetry.job().unwrap().events().all();
    assert_eq!((events.len(), events[0].times), (1, 1_000));
    for number in 0..1_000 {
        telemetry.event(EventKind::Assigned, number.to_string());
    }
    let events = telemetry.job().unwrap().events().all();
    assert_eq!((events.len(), events[0].text.as_str()), (200, "800"));
}

#[test]
fn waiting_ends_when_the_server_answers() {
    let telemetry = telemetry();
    telemetry.waits(Server::Database, "connection refused\nmore");
    telemetry.waits(Server::Database, "connection refused");
    telemetry.waits(Server::Kafka, "no broker");
    let job = telemetry.job().unwrap();
    assert_eq!(job.standing().waits.len(), 2);
    telemetry.works_again(Server::Database);
    telemetry.works_again(Server::Database);
    let kinds: Vec<EventKind> = job.events().all().iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::Waiting, EventKind::Waiting, EventKind::Recovered]);
    assert!(job.standing().waits.contains_key(&Server::Kafka));
    let text = job.metrics(false).unwrap();
    assert!(text.contains("realtime_waiting{pipeline=\"bank\",for=\"kafka\"} 1"), "{text}");
    assert!(text.contains("realtime_waiting{pipeline=\"bank\",for=\"database\"} 0"), "{text}");
    assert!(text.contains("realtime_retries_total{pipeline=\"bank\",kind=\"database\"} 2"), "{text}");
}

#[test]
fn both_formats_are_whole_and_buckets_count_up() {
    let telemetry = telemetry();
    let job = telemetry.job().unwrap();
    job.counts.batch_rows.change([], series::Buckets::of_rows, |all| {
        [1.0, 7.0, 7.0, 2e6].into_iter().for_each(|rows| all.observe(rows));
    });
    let text = job.metrics(false).unwrap();
    for line in [
        "realtime_batch_rows_bucket{pipeline=\"bank\",le=\"1\"} 1",
        "realtime_batch_rows_bucket{pipeline=\"bank\",le=\"10\"} 3",
        "realtime_batch_rows_bucket{pipeline=\"bank\",le=\"+Inf\"} 4",
        "realtime_batch_rows_count{pipeline=\"bank\"} 4",
        "realtime_batches_total{pipeline=\"bank\",result=\"committed\"} 0",
    ] {
        assert!(text.contains(line), "no {line} in\n{text}");
    }
    let open = job.metrics(true).unwrap();
    assert!(open.contains("le=\"+Inf\"") && !open.contains("e+308") && open.ends_with("# EOF\n"), "{open}");
    assert_eq!(
        text.matches("realtime_batch_rows_bucket{").count(),
        10,
        "one for each bound and one for the rest"
    );
}

#[test]
fn an_empty_handle_keeps_nothing() {
    let telemetry = Telemetry::default();
    telemetry.waits(Server::Kafka, "gone");
    telemetry.taken(3);
    telemetry.pulse("lane", Duration::ZERO).beat();
    assert!(!telemetry.is_on() && telemetry.job().is_none());
}

#[test]
fn of_large_batches_a_few_rows_are_kept_unless_somebody_asks() {
    use arrow::array::{ArrayRef, Int64Array, RecordBatch};

    use crate::batch::{BatchRows, RelationRows};
    let rows = |count: i64| {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..count));
        let batch = RecordBatch::try_from_iter([("n", numbers)]).unwrap();
        let view =
            RelationRows { name: "v".into(), rows: vec![batch.clone()], masks: [].into(), is_cut: false };
        BatchRows { batch, relations: vec![view] }
    };
    let count = |kept: &Kept| -> Vec<usize> { kept.batches().map(|batch| batch.rows.num_rows()).collect() };
    let mut kept = Kept::new(256 << 20);
    let keep = |kept: &mut Kept, count| {
        let sample = kept.sample(rows(count));
        kept.keep(&sample);
    };
    keep(&mut kept, 1_000);
    assert_eq!((count(&kept), kept.relations()[0].is_cut), (vec![1_000], false));
    keep(&mut kept, 1_000_000);
    assert_eq!(count(&kept), [SAMPLE_ROWS]);
    let view = &kept.relations()[0];
    assert!(view.is_cut && view.rows[0].num_rows() == SAMPLE_ROWS);
    assert_eq!(view.rows[0], rows(1_000_000).batch.slice(999_900, 100), "the last rows");
    assert!(kept.bytes() < 10_000, "{} bytes", kept.bytes());
    assert!(!kept.want() && kept.want());
    for _ in 0..5 {
        keep(&mut kept, 40_000);
    }
    assert_eq!((count(&kept), kept.number()), (vec![40_000, 40_000], 7), "at most 100,000 messages");
}

/// The decoder makes room for more messages than come in a quiet second.
#[test]
fn small_batches_are_kept_by_what_they_hold() {
    use arrow::array::{ArrayRef, Int64Builder, RecordBatch};

    use crate::batch::BatchRows;
    let mut kept = Kept::new(256 << 20);
    kept.want();
    for number in 0..1_000 {
        let mut numbers = Int64Builder::with_capacity(8192);
        numbers.append_value(number);
        let numbers: ArrayRef = Arc::new(numbers.finish());
        let batch = RecordBatch::try_from_iter([("n", numbers)]).unwrap();
        kept.keep(&BatchRows { batch, relations: Vec::new() });
    }
    assert_eq!(kept.batches().count(), 1_000);
}
