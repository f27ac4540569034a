//! What stands in the database after a commit, and after none.

use arrow::datatypes::TimeUnit;

use super::*;
use crate::batch::{Extent, MESSAGE_TIME_COLUMN, StateChange, Tally, VERSION_COLUMN};

on_each_database!(
    rows_and_offsets_move_together,
    a_claim_takes_the_partition_away_from_its_owner,
    offsets_that_moved_elsewhere_fence,
    a_batch_with_a_message_that_no_advance_covers_is_refused,
    the_outcome_of_a_lost_commit_is_read_from_the_offsets,
    many_rows_are_cut_into_statements,
    an_upsert_keeps_one_row_a_key,
    dead_letters_keep_everything,
    nothing_is_written_without_rows,
    a_new_row_of_state_does_not_overwrite_one_that_is_there,
    a_duplicate_that_a_trigger_makes_is_no_conflict,
    parents_are_written_before_children_and_deleted_after_them,
);

async fn rows_and_offsets_move_together(place: &Place) {
    let mut sink = place.sink(&[target(&people_schema(), Mode::Append)]).await.expect("connects");
    assert!(!sink.knows_topic("movements").await.expect("reads"));
    assert_eq!(sink.stored(&[partition(0)]).await.expect("reads"), [None]);
    let claims = sink.claim(&[(partition(1), 5), (partition(0), 100)]).await.expect("claims");
    assert_eq!((claims[0].epoch, claims[0].next_offset, claims[0].message_time_ms), (1, 100, None));
    assert_eq!((claims[1].epoch, claims[1].next_offset, claims[1].tally), (1, 5, Tally::default()));

    let batch = people(&[(Some(1), Some("José")), (None, None)]);
    let mut both = commit(&claims[0], vec![vec![batch]]);
    both.advances.push(advance(&claims[1], 1));
    let committed = sink.prepare_and_commit(&both).await.expect("commits");
    assert_eq!(committed, Committed { statements: 5, rows: 2, expired: 0 });
    assert_eq!(sink.stored(&[partition(1), partition(0)]).await.expect("reads"), [Some(6), Some(110)]);
    assert!(sink.knows_topic("movements").await.expect("reads"));
    let rows = place.rows("SELECT * FROM rows_out ORDER BY id DESC").await;
    assert_eq!(rows, [["1", "José"], ["NULL", "NULL"]], "the row's number does not show");

    // The same batch again: its offsets are behind.
    let again = sink.prepare_and_commit(&both).await.expect_err("is fenced");
    assert_eq!(again.fault(), Fault::Fenced);
    assert_eq!(place.count("rows_out").await, 2);
}

async fn a_claim_takes_the_partition_away_from_its_owner(place: &Place) {
    let targets = [target(&people_schema(), Mode::Append)];
    let mut old = place.sink(&targets).await.expect("connects");
    let mut new = place.sink(&targets).await.expect("connects");
    let of_old = claim_one(&mut old).await;
    let rows = vec![vec![people(&[(Some(1), None)])]];
    old.prepare_and_commit(&commit(&of_old, rows.clone())).await.expect("commits");
    let of_new = claim_one(&mut new).await;
    assert_eq!((of_new.epoch, of_new.next_offset), (of_old.epoch + 1, 110));

    let late = Claim { next_offset: 110, ..of_old };
    let error = old.prepare_and_commit(&commit(&late, rows.clone())).await.expect_err("is fenced");
    assert_eq!(error.fault(), Fault::Fenced, "{error}");
    assert_eq!(place.count("rows_out").await, 1);
    new.prepare_and_commit(&commit(&of_new, rows)).await.expect("the new owner commits");
    assert_eq!(place.count("rows_out").await, 2);
}

/// One row of a state table, as the engine hands it over.
fn total(n: i64, version: i64, is_new: bool) -> StateChange {
    let schema = totals_target().schema;
    let message_time = TimestampMillisecondArray::from(vec![1_700_000_000_000]).with_timezone("UTC");
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from(vec![1])),
        Arc::new(Int64Array::from(vec![n])),
        Arc::new(Int64Array::from(vec![version])),
        Arc::new(message_time),
    ];
    let rows = RecordBatch::try_new(schema, columns).expect("a row");
    // Nothing that was read is compared: the row may be written after that, and before this one.
    StateChange { rows, new_keys: BooleanArray::from(vec![is_new]), read: None }
}

fn totals_target() -> Target {
    let schema = Schema::new(vec![
        Field::new("customer", DataType::Int32, true),
        Field::new("n", DataType::Int64, true),
        Field::new(VERSION_COLUMN, DataType::Int64, true),
        Field::new(MESSAGE_TIME_COLUMN, DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), true),
    ]);
    Target {
        name: "next_totals".into(),
        table: "totals".into(),
        mode: upsert(&["customer"]),
        schema: Arc::new(schema),
        kind: TargetKind::State { expires: false },
        created: Created::default(),
    }
}

async fn a_new_row_of_state_does_not_overwrite_one_that_is_there(place: &Place) {
    let mut sink = place.sink(&[totals_target()]).await.expect("connects");
    let claim = claim_one(&mut sink).await;
    let with = |claim: &Claim, change| Commit { states: vec![change], ..commit(claim, Vec::new()) };
    sink.prepare_and_commit(&with(&claim, total(5, 1, true))).await.expect("commits");
    let next = Claim { next_offset: 110, ..claim };
    let error = sink
        .prepare_and_commit(&with(&next, total(7, 1, true)))
        .await
        .expect_err("another instance was quicker");
    assert_eq!(error.fault(), Fault::Conflict, "{error}");
    assert_eq!(place.rows("SELECT customer, n, _version FROM totals").await, [["1", "5", "1"]]);
    sink.prepare_and_commit(&with(&next, total(7, 2, false))).await.expect("commits");
    assert_eq!(place.rows("SELECT customer, n, _version FROM totals").await, [["1", "7", "2"]]);
}

async fn a_duplicate_that_a_trigger_makes_is_no_conflict(place: &Place) {
    let mut sink = place.sink(&[totals_target()]).await.expect("connects");
    let claim = claim_one(&mut sink).await;
    // The same name of the key as the state table's own.
    place.run("CREATE TABLE seen (customer INT PRIMARY KEY)").await;
    place.run("INSERT INTO seen VALUES (1)").await;
    let insert = "INSERT INTO seen VALUES (NEW.customer)";
    let trigger = match place.is_mysql() {
        true => format!("CREATE TRIGGER audit AFTER INSERT ON totals FOR EACH ROW {insert}"),
        false => format!("CREATE TRIGGER audit AFTER INSERT ON totals BEGIN {insert}; END"),
    };
    place.run(&trigger).await;
    let batch = Commit { states: vec![total(5, 1, true)], ..commit(&claim, Vec::new()) };
    let error = sink.prepare_and_commit(&batch).await.expect_err("the trigger refuses it");
    assert_eq!((error.fault(), error.place().as_str()), (Fault::Data, "totals"), "{error}");
    assert_eq!(place.count("totals").await, 0);
}

/// Orders and their lines, each with `_delete`.
async fn parents_are_written_before_children_and_deleted_after_them(place: &Place) {
    place.run("CREATE TABLE orders (id INT PRIMARY KEY)").await;
    let child = "CREATE TABLE order_lines (id INT PRIMARY KEY, order_id INT, FOREIGN KEY (order_id) REFERENCES orders (id))";
    place.run(child).await;
    let with_delete = |names: &[&str]| -> SchemaRef {
        let mut fields: Vec<Field> =
            names.iter().map(|name| Field::new(*name, DataType::Int32, true)).collect();
        fields.push(Field::new("_delete", DataType::Boolean, true));
        Arc::new(Schema::new(fields))
    };
    let (orders, lines) = (with_delete(&["id"]), with_delete(&["id", "order_id"]));
    let rows = |schema: &SchemaRef, rows: &[(&[i32], bool)]| {
        let width = schema.fields().len() - 1;
        let mut columns: Vec<ArrayRef> = (0..width)
            .map(|column| {
                Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.0[column]))) as ArrayRef
            })
            .collect();
        columns.push(Arc::new(BooleanArray::from_iter(rows.iter().map(|row| Some(row.1)))));
        vec![RecordBatch::try_new(Arc::clone(schema), columns).expect("columns fit")]
    };
    let named = |name: &str, schema: &SchemaRef| Target {
        name: name.into(),
        table: name.into(),
        ..target(schema, upsert(&["id"]))
    };
    // The child first, as the configuration may have it.
    for children_first in [true, false] {
        let mut targets = vec![named("order_lines", &lines), named("orders", &orders)];
        let outputs = |of_lines: &[(&[i32], bool)], of_orders: &[(&[i32], bool)]| {
            let mut outputs = vec![rows(&lines, of_lines), rows(&orders, of_orders)];
            if !children_first {
                outputs.reverse();
            }
            outputs
        };
        if !children_first {
            targets.reverse();
        }
        let mut sink = place.sink(&targets).await.expect("connects");
        let mut claim = claim_one(&mut sink).await;
        let first = outputs(&[(&[10, 1], false), (&[20, 2], false)], &[(&[1], false), (&[2], false)]);
        sink.prepare_and_commit(&commit(&claim, first)).await.expect("parents come first");
        claim.next_offset += 10;
        // Order 1 goes with its line, line 20 moves to the new order 3, and order 2 goes.
        let second =
            outputs(&[(&[10, 1], true), (&[20, 3], false)], &[(&[1], true), (&[2], true), (&[3], false)]);
        sink.prepare_and_commit(&commit(&claim, second)).await.expect("children go first");
        assert_eq!(place.rows("SELECT id, order_id FROM order_lines").await, [["20", "3"]]);
        assert_eq!(place.rows("SELECT id FROM orders").await, [["3"]]);
        place.run("DELETE FROM order_lines").await;
        place.run("DELETE FROM orders").await;
        place.run("DELETE FROM realtime_offsets").await;
    }
}

async fn offsets_that_moved_elsewhere_fence(place: &Place) {
    let mut owner = place.owner(target(&people_schema(), Mode::Append)).await;
    place.run("UPDATE realtime_offsets SET next_offset = 7").await;
    let error = owner.write(vec![people(&[(Some(1), None)])]).await.expect_err("is fenced");
    assert_eq!(error.fault(), Fault::Fenced);
    assert!(error.to_string().contains("movements[0]"), "{error}");
    assert_eq!(place.count("rows_out").await, 0);
}

async fn a_batch_with_a_message_that_no_advance_covers_is_refused(place: &Place) {
    let mut sink = place.sink(&[target(&people_schema(), Mode::Append)]).await.expect("connects");
    let claim = claim_one(&mut sink).await;
    let rows = vec![vec![people(&[(Some(1), None)])]];
    let holding = |number, first, last| Commit {
        extents: vec![Extent { partition: partition(number), first, last }],
        ..commit(&claim, rows.clone())
    };
    // The advance moves partition 0 from 100 to 110.
    for (number, first, last) in [(0, 99, 99), (0, 100, 110), (0, 99, 105), (1, 100, 101)] {
        let refused = sink.prepare_and_commit(&holding(number, first, last)).await.expect_err("is refused");
        assert!(matches!(refused, SinkError::Uncovered(_)), "{refused}");
        assert_eq!(refused.fault(), Fault::Other);
    }
    let none = Commit { advances: Vec::new(), ..holding(0, 100, 109) };
    assert!(matches!(sink.prepare_and_commit(&none).await, Err(SinkError::Uncovered(_))));
    assert_eq!(place.count("rows_out").await, 0);
    assert_eq!(sink.stored(&[partition(0)]).await.expect("reads"), [Some(100)]);
    sink.prepare_and_commit(&holding(0, 100, 109)).await.expect("commits");
    assert_eq!(place.count("rows_out").await, 1);
}

async fn the_outcome_of_a_lost_commit_is_read_from_the_offsets(place: &Place) {
    let targets = [target(&people_schema(), Mode::Append)];
    let mut sink = place.sink(&targets).await.expect("connects");
    let claim = claim_one(&mut sink).await;
    let batch = commit(&claim, vec![vec![people(&[(Some(1), None)])]]);
    assert_eq!(sink.outcome(&batch.advances).await.expect("reads"), Outcome::NotCommitted);
    sink.prepare_and_commit(&batch).await.expect("commits");
    assert_eq!(sink.outcome(&batch.advances).await.expect("reads"), Outcome::Committed);
    claim_one(&mut place.sink(&targets).await.expect("connects")).await;
    assert_eq!(sink.outcome(&batch.advances).await.expect("reads"), Outcome::Fenced);
}

async fn many_rows_are_cut_into_statements(place: &Place) {
    let sink = place.sink(&[target(&people_schema(), Mode::Append)]).await.expect("connects");
    let mut owner = Owner::of(sink.with_bulk_load(BulkLoad::Off)).await;
    let ids: Vec<i32> = (0..2500).collect();
    let batch = |ids: &[i32]| people(&ids.iter().map(|id| (Some(*id), Some("x"))).collect::<Vec<_>>());
    // Statements go across record batches: 1024, 1024, 452.
    let parts = vec![batch(&ids[..700]), batch(&[]), batch(&ids[700..1900]), batch(&ids[1900..])];
    let committed = owner.write(parts).await.expect("commits");
    assert_eq!(committed, Committed { statements: 3 + 3, rows: 2500, expired: 0 });
    let sum = place.rows("SELECT COUNT(DISTINCT id), MIN(id), MAX(id) FROM rows_out").await;
    assert_eq!(sum, [["2500", "0", "2499"]]);
}

async fn an_upsert_keeps_one_row_a_key(place: &Place) {
    let schema: SchemaRef = Arc::new(Schema::new(vec![
        Field::new("name", DataType::Utf8, true),
        Field::new("Größe", DataType::Int64, true),
        Field::new("_delete", DataType::Boolean, true),
    ]));
    let rows = |rows: &[(Option<&str>, i64, Option<bool>)]| {
        let names = StringArray::from_iter(rows.iter().map(|row| row.0));
        let sizes = Int64Array::from_iter_values(rows.iter().map(|row| row.1));
        let deletes = BooleanArray::from_iter(rows.iter().map(|row| row.2));
        RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(names), Arc::new(sizes), Arc::new(deletes)])
            .expect("columns fit")
    };
    let mut owner = place.owner(target(&schema, upsert(&["name"]))).await;
    let first = rows(&[(Some("José"), 1, None), (Some("jose"), 2, Some(false)), (Some("jose "), 3, None)]);
    owner.write(vec![first]).await.expect("commits");
    let second =
        rows(&[(Some("jose"), 20, None), (Some("José"), 0, Some(true)), (Some("none"), 0, Some(true))]);
    owner.write(vec![second]).await.expect("commits");
    let stored = place.rows("SELECT * FROM rows_out ORDER BY name").await;
    assert_eq!(stored, [["jose", "20"], ["jose ", "3"]]);

    let twins = vec![rows(&[(Some("a"), 1, None)]), rows(&[(Some("a"), 2, Some(true))])];
    let error = owner.write(twins).await.expect_err("two rows for one key");
    assert_eq!(error.fault(), Fault::Other);
    assert!(error.to_string().contains("view `rows` has two rows for the key name = \"a\""), "{error}");
    let error = owner.write(vec![rows(&[(None, 1, None)])]).await.expect_err("no key");
    assert_eq!((error.fault(), error.place().as_str()), (Fault::Data, "rows_out.name"));
    assert_eq!(place.count("rows_out").await, 2);
    // Only a key: nothing to update.
    let keys: SchemaRef = Arc::new(Schema::new(vec![Field::new("k", DataType::Int32, false)]));
    let seen = Target { table: "seen".into(), ..target(&keys, upsert(&["k"])) };
    let mut owner = place.owner(seen).await;
    for _ in 0..2 {
        let batch = RecordBatch::try_new(Arc::clone(&keys), vec![Arc::new(Int32Array::from(vec![1, 2]))]);
        owner.write(vec![batch.expect("fits")]).await.expect("commits");
    }
    assert_eq!(place.count("seen").await, 2);
}

async fn dead_letters_keep_everything(place: &Place) {
    let mut owner = place.owner(target(&people_schema(), Mode::Append)).await;
    let mut letters = vec![dead_letter(100), dead_letter(101), dead_letter(102)];
    letters[1].payload = None;
    letters[1].key = None;
    letters[1].headers.clear();
    letters[1].timestamp_ms = Some(i64::MAX);
    letters[2].headers.push(("bytes".into(), Some(vec![0xff])));
    let batch = Commit { dead_letters: letters, ..owner.batch(Vec::new()) };
    owner.sink.prepare_and_commit(&batch).await.expect("commits");
    let rows = place
        .rows(
            "SELECT job, kafka_topic, kafka_partition, kafka_offset, HEX(kafka_key), HEX(payload), stage, place, \
             reason, replayed_at FROM dead_letters ORDER BY id",
        )
        .await;
    let same = ["decode", "byte 17", "bytes are left over", "NULL"];
    assert_eq!(rows[0], [&["job", "movements", "0", "100", "00FF", "FF00275C"][..], &same[..]].concat());
    assert_eq!(rows[1][..4], ["job", "movements", "0", "101"]);
    assert!(
        rows[1][8].ends_with("(the message's timestamp, 9223372036854775807 ms, is beyond the year 9999)")
    );
    let headers = place.rows("SELECT kafka_headers FROM dead_letters ORDER BY id").await;
    let parsed: serde_json::Value = serde_json::from_str(&headers[2][0]).expect("is JSON");
    let expected = serde_json::json!([{"key": "trace", "value": "7"}, {"key": "bytes", "base64": "/w=="}]);
    assert_eq!(parsed, expected);
    let missing =
        place.rows("SELECT COUNT(*) FROM dead_letters WHERE payload IS NULL AND kafka_timestamp IS NULL");
    assert_eq!(missing.await, [["1"]]);
    let time = place.rows("SELECT CAST(kafka_timestamp AS CHAR) FROM dead_letters ORDER BY id").await;
    assert!(time[0][0].starts_with("2024-01-02 03:04:05.678"), "{time:?}");
}

async fn nothing_is_written_without_rows(place: &Place) {
    let mut owner = place.owner(target(&people_schema(), upsert(&["id"]))).await;
    let committed = owner.write(vec![people(&[])]).await.expect("commits");
    assert_eq!(committed, Committed { statements: 3, rows: 0, expired: 0 });
    assert_eq!(owner.sink.stored(&[partition(0)]).await.expect("reads"), [Some(110)]);
}

/// Not a law but a measure: `cargo test --release -- --ignored --nocapture rows_a_second`.
#[tokio::test]
#[ignore = "needs MySQL: scripts/services up; a measurement"]
async fn rows_a_second() {
    const ROWS: usize = 100_000;
    let place = Place::mysql().await;
    let mut fields = vec![Field::new("id", DataType::Int64, false)];
    let mut columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from_iter_values(0..ROWS as i64))];
    for index in 0..4 {
        let texts = (0..ROWS).map(|row| format!("text {index} of row {row}"));
        columns.push(Arc::new(StringArray::from_iter_values(texts)));
        columns.push(Arc::new(Float64Array::from_iter_values((0..ROWS).map(|row| row as f64 / 7.0))));
        let times = (0..ROWS).map(|row| 1_704_164_645_000_000 + row as i64);
        columns.push(Arc::new(TimestampMicrosecondArray::from_iter_values(times)));
        let kinds = columns.iter().rev().take(3).rev().enumerate();
        fields.extend(
            kinds.map(|(kind, c)| Field::new(format!("c{index}_{kind}"), c.data_type().clone(), true)),
        );
    }
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).expect("columns fit");
    let mut owner = place.owner(target(&schema, Mode::Append)).await;
    for _ in 0..3 {
        let started = std::time::Instant::now();
        let committed = owner.write(vec![batch.clone()]).await.expect("commits");
        let rate = ROWS as f64 / started.elapsed().as_secs_f64();
        println!("{rate:.0} rows/s of {} columns, {committed:?}", schema.fields().len());
    }
    let one = batch.slice(0, 1);
    let mut times: Vec<_> = Vec::new();
    for _ in 0..200 {
        let started = std::time::Instant::now();
        owner.write(vec![one.clone()]).await.expect("commits");
        times.push(started.elapsed());
    }
    times.sort();
    println!("one row: {:?} at the median, {:?} at the 99th percentile", times[100], times[198]);
    place.drop_database().await;
}
