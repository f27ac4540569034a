//! Which row of a key stands in the table: the last one, however the rows are cut into batches.

use std::collections::BTreeMap;

use arrow::datatypes::TimeUnit;

use super::*;

on_each_database!(
    the_last_row_of_each_key_stands_however_rows_are_cut,
    a_row_that_is_replaced_must_fit_too,
    a_newer_row_in_the_table_stays,
    versions_count_as_the_table_has_them,
    integers_are_versions_in_the_order_of_their_column,
    no_row_of_another_key_is_updated_when_the_numbers_run_out,
    columns_that_only_order_rows_need_not_be_in_the_table,
    a_table_that_numbers_its_rows_beside_the_key_is_taken,
    rows_of_a_parent_are_those_of_its_last_message_however_rows_are_cut,
    rows_of_a_parent_stay_if_their_replacement_is_refused,
    two_rows_of_one_message_with_one_key_are_data,
    keys_that_may_be_equal_are_written_one_after_the_other,
);

/// A row with its place among the messages; `None` deletes.
#[derive(Clone, Copy, Debug)]
struct Row {
    key: i32,
    offset: i64,
    version: Option<i64>,
    value: Option<i64>,
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int32, false),
        Field::new("kafka_partition", DataType::Int32, false),
        Field::new("kafka_offset", DataType::Int64, false),
        Field::new("version", DataType::Int64, true),
        Field::new("value", DataType::Int64, true),
        Field::new("_delete", DataType::Boolean, true),
    ]))
}

/// The rows in another order than that of their messages.
fn batch(rows: &[Row]) -> RecordBatch {
    let mut rows = rows.to_vec();
    rows.sort_by_key(|row| (row.offset * 7) % 11);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.key))),
        Arc::new(Int32Array::from_iter_values(rows.iter().map(|_| 0))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.offset))),
        Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.version))),
        Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.value))),
        Arc::new(BooleanArray::from_iter(rows.iter().map(|row| Some(row.value.is_none())))),
    ];
    RecordBatch::try_new(schema(), columns).expect("columns fit")
}

fn ordered(only_newer: Option<&str>) -> Mode {
    let only_newer = only_newer.map(str::to_owned);
    Mode::Upsert(Upsert { only_newer, ..Upsert::by(["id"]) }.ordered(&schema()))
}

fn random_rows(count: i64, random: &mut fastrand::Rng, deletes: bool) -> Vec<Row> {
    let row = |offset| Row {
        key: random.i32(0..6),
        offset,
        version: (random.u8(0..5) > 0).then(|| random.i64(0..4)),
        value: (!deletes || random.u8(0..3) > 0).then_some(offset),
    };
    (0..count).map(row).collect()
}

/// What stands in the end when rows are written one by one: key, offset, version.
fn calculated(rows: &[Row], only_newer: bool) -> Vec<Vec<String>> {
    let mut table: BTreeMap<i32, &Row> = BTreeMap::new();
    for row in rows {
        let there = table.get(&row.key).and_then(|there| there.version);
        if only_newer && there.is_some() && row.version < there {
            continue;
        }
        match row.value {
            Some(_) => drop(table.insert(row.key, row)),
            None => drop(table.remove(&row.key)),
        }
    }
    let text = |value: Option<i64>| value.map_or("NULL".to_owned(), |value| value.to_string());
    table.values().map(|row| vec![row.key.to_string(), row.offset.to_string(), text(row.version)]).collect()
}

const ROWS: &str = "SELECT id, kafka_offset, version FROM rows_out ORDER BY id";

async fn the_last_row_of_each_key_stands_however_rows_are_cut(place: &Place) {
    let mut random = fastrand::Rng::with_seed(7);
    for (round, only_newer) in [(0, false), (1, true), (2, false), (3, true)] {
        let mode = ordered(only_newer.then_some("version"));
        let mut owner = place.owner(target(&schema(), mode)).await;
        place.run("DELETE FROM rows_out").await;
        let rows = random_rows(80, &mut random, true);
        let rows_max = if round < 2 { 80 } else { 5 };
        let commits = write_in_parts(&mut owner, &rows, || random.usize(1..=rows_max), batch).await;
        let expected = calculated(&rows, only_newer);
        assert!(expected.len() > 3, "{expected:?}");
        assert_eq!(place.rows(ROWS).await, expected, "round {round}");
        assert_eq!(rows_left(&owner, commits), expected.len());
    }
}

/// Writes the rows of all these, some at a time; returns those of each commit.
async fn write_in_parts<T>(
    owner: &mut Owner,
    mut left: &[T],
    mut count: impl FnMut() -> usize,
    rows: impl Fn(&[T]) -> RecordBatch,
) -> Vec<Vec<RecordBatch>> {
    let mut commits = Vec::new();
    while !left.is_empty() {
        let (now, rest) = left.split_at(count().min(left.len()));
        let batches = vec![rows(now)];
        owner.write(batches.clone()).await.expect("commits");
        commits.push(batches);
        left = rest;
    }
    commits
}

/// How many rows a rehearsal finds in the table after these commits.
fn rows_left(owner: &Owner, commits: Vec<Vec<RecordBatch>>) -> usize {
    owner.sink.tables().left(0, commits).expect("fits").iter().map(RecordBatch::num_rows).sum()
}

async fn a_row_that_is_replaced_must_fit_too(place: &Place) {
    place.run("CREATE TABLE rows_out (id INT NOT NULL PRIMARY KEY, name VARCHAR(9) NOT NULL)").await;
    let mode = Mode::Upsert(Upsert { order_by: vec!["name".into()], ..Upsert::by(["id"]) });
    let mut owner = place.owner(target(&people_schema(), mode)).await;
    let rows = people(&[(Some(1), Some("b")), (Some(1), None), (Some(2), Some("a"))]);
    let error = owner.write(vec![rows]).await.expect_err("a NULL");
    assert_eq!((error.fault(), error.place().as_str()), (Fault::Data, "rows_out.name"), "{error}");
    assert_eq!(place.count("rows_out").await, 0);
}

async fn a_newer_row_in_the_table_stays(place: &Place) {
    let mut owner = place.owner(target(&schema(), ordered(Some("version")))).await;
    let row = |key, offset, version, value| Row { key, offset, version, value };
    let steps: [(&[Row], &[[&str; 3]]); 6] = [
        (&[row(1, 1, Some(5), Some(1)), row(2, 1, None, Some(1))], &[["1", "1", "5"], ["2", "1", "NULL"]]),
        // Older, and without a version.
        (&[row(1, 2, Some(4), Some(1)), row(2, 2, None, Some(1))], &[["1", "1", "5"], ["2", "2", "NULL"]]),
        (&[row(1, 3, None, Some(1)), row(2, 3, Some(1), Some(1))], &[["1", "1", "5"], ["2", "3", "1"]]),
        // As new, and newer.
        (&[row(1, 4, Some(5), Some(1)), row(2, 4, Some(2), Some(1))], &[["1", "4", "5"], ["2", "4", "2"]]),
        // Deletions, older and newer; of a key that is not there.
        (&[row(1, 5, Some(4), None), row(2, 5, Some(3), None), row(3, 5, Some(3), None)], &[["1", "4", "5"]]),
        (&[row(1, 6, Some(5), None)], &[]),
    ];
    for (rows, expected) in steps {
        owner.write(vec![batch(rows)]).await.expect("commits");
        assert_eq!(place.rows(ROWS).await, expected, "{rows:?}");
    }
    // Many deletions in one statement.
    let rows: Vec<Row> = (0..1_000).map(|key| row(key, 7, Some(1), None)).collect();
    owner.write(vec![batch(&rows)]).await.expect("commits");
}

/// The table keeps whole seconds, so moments of one second are equally new.
async fn versions_count_as_the_table_has_them(place: &Place) {
    place
        .run("CREATE TABLE rows_out (id INT NOT NULL PRIMARY KEY, at DATETIME NULL, value BIGINT NULL)")
        .await;
    if !place.is_mysql() {
        return;
    }
    let moment = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let schema: SchemaRef = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int32, false),
        Field::new("at", moment, true),
        Field::new("value", DataType::Int64, true),
    ]));
    let order_by = vec!["value".to_owned()];
    let mode = Mode::Upsert(Upsert { order_by, only_newer: Some("at".into()), ..Upsert::by(["id"]) });
    let rows = |rows: &[(i64, i64)]| {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from_iter_values(rows.iter().map(|_| 1))),
            Arc::new(
                TimestampMillisecondArray::from_iter_values(rows.iter().map(|row| row.0))
                    .with_timezone("UTC"),
            ),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1))),
        ];
        RecordBatch::try_new(Arc::clone(&schema), columns).expect("columns fit")
    };
    let mut owner = place.owner(target(&schema, mode)).await;
    for cut in [vec![rows(&[(900, 1), (500, 2)])], vec![rows(&[(900, 1)]), rows(&[(500, 2)])]] {
        place.run("DELETE FROM rows_out").await;
        for batch in cut {
            owner.write(vec![batch]).await.expect("commits");
        }
        assert_eq!(place.rows("SELECT value FROM rows_out").await, [["2"]]);
    }
}

async fn integers_are_versions_in_the_order_of_their_column(place: &Place) {
    let kinds: &[&str] = match place.is_mysql() {
        true => &["DECIMAL(20,0)", "DECIMAL(20,2)", "DOUBLE", "FLOAT", "BIGINT"],
        false => &["DOUBLE", "NUMERIC", "BIGINT"],
    };
    for kind in kinds {
        place.run("DROP TABLE IF EXISTS rows_out").await;
        place
            .run(&format!(
                "CREATE TABLE rows_out (id INT NOT NULL PRIMARY KEY, kafka_partition INT, kafka_offset BIGINT, \
                 version {kind} NULL, value BIGINT NULL)"
            ))
            .await;
        let mut owner = place.owner(target(&schema(), ordered(Some("version")))).await;
        for (key, (first, second)) in (0..).zip([(9, 10), (10, 9), (-5, -3), (3, -2), (-2, 3), (0, -1)]) {
            let row = |offset, version| Row { key, offset, version: Some(version), value: Some(version) };
            let rows = [row(1, first), row(2, second)];
            owner.write(vec![batch(&rows)]).await.expect("commits");
            let newer = first.max(second).to_string();
            let stored = place.rows(&format!("SELECT value FROM rows_out WHERE id = {key}")).await;
            assert_eq!(stored, [[newer]], "{kind}: {first} and {second}");
            assert_eq!(rows_left(&owner, vec![vec![batch(&rows[..1])], vec![batch(&rows[1..])]]), 1);
        }
    }
    if place.is_mysql() {
        return;
    }
    // Decimals are text there.
    place.run("DROP TABLE rows_out").await;
    place
        .run(
            "CREATE TABLE rows_out (id INT NOT NULL PRIMARY KEY, kafka_partition INT, kafka_offset BIGINT, \
             version DECIMAL_TEXT(20,0), value BIGINT)",
        )
        .await;
    let refused = place.sink(&[target(&schema(), ordered(Some("version")))]).await.err().expect("refused");
    assert!(refused.to_string().contains("does not order values as the view does"), "{refused}");
}

/// A new row would get the number of the last one, which is the row of another key.
async fn no_row_of_another_key_is_updated_when_the_numbers_run_out(place: &Place) {
    if !place.is_mysql() {
        return;
    }
    place
        .run(
            "CREATE TABLE customers (no TINYINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, \
             customer_no VARCHAR(32) COLLATE utf8mb4_0900_bin NOT NULL UNIQUE, name VARCHAR(20))",
        )
        .await;
    place.run("INSERT INTO customers VALUES (1, 'C-0', 'first'), (254, 'C-1', 'before')").await;
    let to = Target { table: "customers".into(), ..target(&customers(), upsert(&["customer_no"])) };
    let mut owner = place.owner(to).await;
    let row = |no: &str, name: &str| {
        let columns: Vec<ArrayRef> =
            vec![Arc::new(StringArray::from(vec![no])), Arc::new(StringArray::from(vec![name]))];
        RecordBatch::try_new(customers(), columns).expect("columns fit")
    };
    let many = [row("C-0", "first"), row("C-1", "before")];
    owner.write(many.to_vec()).await.expect("rows that are there");
    owner.write(vec![row("C-2", "last")]).await.expect("has the number 255");
    for no in ["C-3", "C-4", "C-1"] {
        let error = owner.write(vec![row(no, "x")]).await.expect_err("no number is left");
        assert_eq!(error.fault(), Fault::Other, "{error}");
        assert!(error.to_string().contains("AUTO_INCREMENT column may have run out"), "{error}");
    }
    let stored = place.rows("SELECT no, customer_no, name FROM customers ORDER BY no").await;
    assert_eq!(stored, [["1", "C-0", "first"], ["254", "C-1", "before"], ["255", "C-2", "last"]]);
}

async fn columns_that_only_order_rows_need_not_be_in_the_table(place: &Place) {
    place
        .run("CREATE TABLE rows_out (id INT NOT NULL PRIMARY KEY, version BIGINT NULL, value BIGINT NULL)")
        .await;
    let mut owner = place.owner(target(&schema(), ordered(None))).await;
    let row = |offset, value| Row { key: 1, offset, version: None, value: Some(value) };
    let rows = batch(&[row(2, 20), row(3, 30), row(1, 10)]);
    owner.write(vec![rows]).await.expect("commits");
    assert_eq!(place.rows("SELECT id, value FROM rows_out").await, [["1", "30"]]);
}

fn customers() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(vec![text("customer_no"), text("name")]))
}

async fn a_table_that_numbers_its_rows_beside_the_key_is_taken(place: &Place) {
    let (number, text) = match place.is_mysql() {
        true => {
            ("BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY", "VARCHAR(32) COLLATE utf8mb4_0900_bin")
        }
        false => ("INTEGER PRIMARY KEY", "VARCHAR(32)"),
    };
    let create = |others: &str| {
        format!(
            "CREATE TABLE customers (id {number}, customer_no {text} NOT NULL UNIQUE, name VARCHAR(20){others})"
        )
    };
    let to = Target { table: "customers".into(), ..target(&customers(), upsert(&["customer_no"])) };
    place.run(&create(", code VARCHAR(9) NULL UNIQUE")).await;
    place.run("INSERT INTO customers (customer_no, name) VALUES ('C-0', 'there before')").await;
    let mut owner = place.owner(to.clone()).await;
    let row = |no: &str, name: &str| {
        let columns: Vec<ArrayRef> =
            vec![Arc::new(StringArray::from(vec![no])), Arc::new(StringArray::from(vec![name]))];
        RecordBatch::try_new(customers(), columns).expect("columns fit")
    };
    for (no, name) in [("C-1", "Ana"), ("C-0", "Rui"), ("C-1", "Eva")] {
        owner.write(vec![row(no, name)]).await.expect("commits");
    }
    let stored = place.rows("SELECT customer_no, name FROM customers ORDER BY customer_no").await;
    assert_eq!(stored, [["C-0", "Rui"], ["C-1", "Eva"]]);
    assert_eq!(
        place.rows("SELECT id FROM customers WHERE customer_no = 'C-0'").await,
        [["1"]],
        "it keeps its number"
    );
    // Each new row has the same value in the second index.
    place.run("DROP TABLE customers").await;
    place.run(&create(", code VARCHAR(9) NOT NULL DEFAULT 'x' UNIQUE")).await;
    let refused = place.sink(&[to]).await.err().expect("rows could collide").to_string();
    assert!(refused.contains("also unique by"), "{refused}");
}

#[tokio::test]
#[ignore = "needs MySQL: scripts/services up"]
async fn texts_that_the_server_takes_for_equal_are_one_row_with_the_last_values() {
    let place = Place::mysql().await;
    place
        .run("CREATE TABLE rows_out (name VARCHAR(20) COLLATE utf8mb4_0900_ai_ci PRIMARY KEY, id INT)")
        .await;
    let mode = Mode::Upsert(Upsert { order_by: vec!["id".into()], ..Upsert::by(["name"]) });
    let to = target(&people_schema(), mode);
    let found =
        Sink::check(place.address.clone(), "job", std::slice::from_ref(&to), true).await.expect("checks");
    assert_eq!((found.faults, found.warnings.len()), (Vec::new(), 1));
    let warning = found.warnings[0].to_string();
    assert!(warning.contains("rows_out.name") && warning.contains("only in case or accents"), "{warning}");
    let names = ["José", "jose", "JOSE", "Jose", "joSé"];
    let mut random = fastrand::Rng::with_seed(3);
    let mut owner = place.owner(to).await;
    for _ in 0..10 {
        place.run("DELETE FROM rows_out").await;
        let mut rows: Vec<(Option<i32>, Option<&str>)> =
            names.iter().enumerate().map(|(id, name)| (Some(id as i32), Some(*name))).collect();
        random.shuffle(&mut rows);
        owner.write(vec![people(&rows)]).await.expect("commits");
        assert_eq!(place.rows("SELECT id FROM rows_out").await, [["4"]], "{rows:?}");
    }
    // What has no last row is refused.
    let refused = place.sink(&[target(&people_schema(), upsert(&["name"]))]).await.err();
    let refused = refused.expect("refused").to_string();
    assert!(refused.contains("nothing says which of their rows is the last"), "{refused}");
    place.drop_database().await;
}

/// A message: its offset, the text that is its key, and its lines.
type Order = (i64, &'static str, Vec<i32>);

/// The lines of orders that a text names.
fn named_lines(orders: &[Order]) -> RecordBatch {
    let ids: Vec<(i32, i64, Vec<i32>)> =
        (0..).zip(orders).map(|(id, (offset, _, lines))| (id, *offset, lines.clone())).collect();
    let lines = lines(&ids);
    let ids = lines.column(0).as_primitive::<arrow::datatypes::Int32Type>();
    let names = StringArray::from_iter_values(ids.values().iter().map(|id| orders[*id as usize].1));
    let mut columns = lines.columns().to_vec();
    columns[0] = Arc::new(names);
    RecordBatch::try_new(named_lines_schema(), columns).expect("columns fit")
}

fn named_lines_schema() -> SchemaRef {
    let lines = lines_schema();
    let others = lines.fields().iter().skip(1).cloned();
    Arc::new(Schema::new(
        std::iter::once(Arc::new(Field::new("order_id", DataType::Utf8, false)))
            .chain(others)
            .collect::<Vec<_>>(),
    ))
}

async fn keys_that_may_be_equal_are_written_one_after_the_other(place: &Place) {
    let collation = if place.is_mysql() { "utf8mb4_0900_ai_ci" } else { "NOCASE" };
    place
        .run(&format!(
            "CREATE TABLE rows_out (order_id VARCHAR(20) COLLATE {collation} NOT NULL, line_no INT NOT NULL, \
             quantity BIGINT NOT NULL, PRIMARY KEY (order_id, line_no))"
        ))
        .await;
    let upsert = Upsert { parent: vec!["order_id".into()], ..Upsert::by(["order_id", "line_no"]) };
    let mode = Mode::Upsert(upsert.ordered(&named_lines_schema()));
    let mut owner = place.owner(target(&named_lines_schema(), mode)).await;
    let mut names = vec!["a-1", "A-1", "b-1", "B-1", "c"];
    if place.is_mysql() {
        names.extend(["\u{e1}-1", "\u{c7}"]);
    }
    let like = |name: &str| name.to_lowercase().replace('\u{e1}', "a").replace('\u{e7}', "c");
    let mut random = fastrand::Rng::with_seed(11);
    let (mut is_refused, mut table) = (false, BTreeMap::new());
    for round in 0..12 {
        let order = |n: i64| {
            let lines = (0..4).filter(|_| random.bool()).collect();
            (round * 10 + n, names[random.usize(0..names.len())], lines)
        };
        let orders: Vec<Order> = (0..8).map(order).collect();
        // As the engine does: parts of a batch that is refused, in their order.
        let mut left = vec![orders.as_slice()];
        while let Some(now) = left.pop() {
            if let Err(error) = owner.write(vec![named_lines(now)]).await {
                assert!(now.len() > 1 && error.fault() == Fault::Data, "{error}");
                is_refused |= error.to_string().contains("may take order_id = ");
                let (first, second) = now.split_at(now.len() / 2);
                left.extend([second, first]);
            }
        }
        for (offset, name, lines) in orders {
            table.insert(like(name), (offset, lines));
        }
        let rows = place.rows("SELECT LOWER(order_id), line_no, quantity FROM rows_out").await;
        let mut rows: Vec<Vec<String>> =
            rows.into_iter().map(|row| vec![like(&row[0]), row[1].clone(), row[2].clone()]).collect();
        rows.sort();
        let mut expected: Vec<Vec<String>> = table
            .iter()
            .flat_map(|(name, (offset, lines))| {
                lines.iter().map(move |line| vec![name.clone(), line.to_string(), offset.to_string()])
            })
            .collect();
        expected.sort();
        assert_eq!(rows, expected, "round {round}");
    }
    assert!(is_refused, "some batches hold keys that may be equal");
}

fn lines_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("order_id", DataType::Int32, false),
        Field::new("line_no", DataType::Int32, true),
        Field::new("quantity", DataType::Int64, true),
        Field::new("kafka_partition", DataType::Int32, false),
        Field::new("kafka_offset", DataType::Int64, false),
        Field::new("_delete", DataType::Boolean, true),
    ]))
}

/// The lines of orders, each with the offset of its message; an order without lines has one row that says so.
fn lines(orders: &[(i32, i64, Vec<i32>)]) -> RecordBatch {
    let rows: Vec<(i32, i64, Option<i32>)> = orders
        .iter()
        .rev()
        .flat_map(|(order, offset, lines)| {
            let none = lines.is_empty().then_some((*order, *offset, None));
            lines.iter().map(|line| (*order, *offset, Some(*line))).chain(none).collect::<Vec<_>>()
        })
        .collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.0))),
        Arc::new(Int32Array::from_iter(rows.iter().map(|row| row.2))),
        Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.2.map(|_| row.1)))),
        Arc::new(Int32Array::from_iter_values(rows.iter().map(|_| 0))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1))),
        Arc::new(BooleanArray::from_iter(rows.iter().map(|row| Some(row.2.is_none())))),
    ];
    RecordBatch::try_new(lines_schema(), columns).expect("columns fit")
}

fn replaced() -> Target {
    let upsert = Upsert { parent: vec!["order_id".into()], ..Upsert::by(["order_id", "line_no"]) };
    target(&lines_schema(), Mode::Upsert(upsert.ordered(&lines_schema())))
}

const LINES: &str = "CREATE TABLE rows_out (order_id INT NOT NULL, line_no INT NOT NULL, quantity BIGINT NOT NULL, \
                     PRIMARY KEY (order_id, line_no))";

async fn rows_of_a_parent_are_those_of_its_last_message_however_rows_are_cut(place: &Place) {
    place.run(LINES).await;
    let mut random = fastrand::Rng::with_seed(11);
    for round in 0..4 {
        let mut owner = place.owner(replaced()).await;
        place.run("DELETE FROM rows_out").await;
        let order = |offset| {
            let lines = (1..6).filter(|_| random.bool()).collect();
            (random.i32(0..4), offset, if random.u8(0..5) == 0 { Vec::new() } else { lines })
        };
        let orders: Vec<(i32, i64, Vec<i32>)> = (0..40).map(order).collect();
        let orders_max = if round < 2 { 40 } else { 4 };
        let commits = write_in_parts(&mut owner, &orders, || random.usize(1..=orders_max), lines).await;
        let last: BTreeMap<i32, &(i32, i64, Vec<i32>)> =
            orders.iter().map(|order| (order.0, order)).collect();
        let expected: Vec<Vec<String>> = last
            .values()
            .flat_map(|(order, offset, lines)| {
                lines.iter().map(|line| vec![order.to_string(), line.to_string(), offset.to_string()])
            })
            .collect();
        let stored = place.rows("SELECT order_id, line_no, quantity FROM rows_out ORDER BY 1, 2").await;
        assert_eq!(stored, expected, "round {round}");
        assert_eq!(rows_left(&owner, commits), expected.len());
    }
}

async fn rows_of_a_parent_stay_if_their_replacement_is_refused(place: &Place) {
    let checked = "quantity BIGINT NOT NULL CHECK (quantity < 10)";
    place.run(&LINES.replace("quantity BIGINT NOT NULL", checked)).await;
    let mut owner = place.owner(replaced()).await;
    let stored = async || place.rows("SELECT order_id, line_no, quantity FROM rows_out ORDER BY 1, 2").await;
    owner.write(vec![lines(&[(1, 1, vec![1, 2]), (2, 1, vec![7])])]).await.expect("commits");
    let before = [["1", "1", "1"], ["1", "2", "1"], ["2", "7", "1"]];
    assert_eq!(stored().await, before);
    // Both orders have new lines, and those of one have a quantity of 50.
    let error = owner.write(vec![lines(&[(1, 50, vec![3]), (2, 5, vec![8])])]).await.expect_err("refused");
    assert_eq!(error.fault(), Fault::Data, "{error}");
    assert_eq!(stored().await, before);
    owner.write(vec![lines(&[(1, 6, vec![3])])]).await.expect("the next try is not disturbed");
    assert_eq!(stored().await, [["1", "3", "6"], ["2", "7", "1"]]);
}

async fn two_rows_of_one_message_with_one_key_are_data(place: &Place) {
    place.run(LINES).await;
    let mut owner = place.owner(replaced()).await;
    let error = owner.write(vec![lines(&[(1, 5, vec![1, 2, 1])])]).await.expect_err("twins");
    assert_eq!(error.fault(), Fault::Data);
    assert!(
        error.to_string().contains("two rows of one message have the key order_id = 1, line_no = 1"),
        "{error}"
    );
}
