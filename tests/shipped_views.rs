//! The views that ship, over the accounts that ship: every rule, at its edges, against a calculation of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use realtime_processor::batch::ViewResults;
use realtime_processor::config::{KeyPlace, ReferenceTableConfig, TableOrigin};
use realtime_processor::database::Address;
use realtime_processor::diagnostic::Place;
use realtime_processor::sql::{Pipeline, SqlError, StateView, TableSpec, ViewFiles};
use realtime_processor::tables::ReferenceTables;

const MEMORY_MAX: usize = 64 << 20;

#[derive(Clone, Debug)]
struct Movement {
    customer: i32,
    value: f64,
    kind: i32,
    balance: f64,
}

struct Account {
    name: String,
    age: i64,
    kind: String,
    score: i64,
}

fn schema() -> SchemaRef {
    let field = |name: &str, kind: DataType| Field::new(name, kind, false);
    Arc::new(Schema::new(vec![
        field("customer", DataType::Int32),
        field("agency", DataType::Utf8),
        field("operation_value", DataType::Float64),
        field("operation_type", DataType::Int32),
        field("date", DataType::Utf8),
        field("account_balance", DataType::Float64),
        field("kafka_topic", DataType::Utf8),
        field("kafka_partition", DataType::Int32),
        field("kafka_offset", DataType::Int64),
    ]))
}

fn batch(movements: &[Movement]) -> RecordBatch {
    let rows = movements.len();
    let text = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text; rows])) };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(movements.iter().map(|m| m.customer).collect::<Int32Array>()),
        text("0001"),
        Arc::new(movements.iter().map(|m| m.value).collect::<Float64Array>()),
        Arc::new(movements.iter().map(|m| m.kind).collect::<Int32Array>()),
        text("2024-05-31 10:00:00"),
        Arc::new(movements.iter().map(|m| m.balance).collect::<Float64Array>()),
        text("customer_movements"),
        Arc::new(Int32Array::from(vec![0; rows])),
        Arc::new((0..).take(rows).collect::<Int64Array>()),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}

fn accounts() -> BTreeMap<i32, Account> {
    let text = std::fs::read_to_string("data/accounts.csv").unwrap();
    let rows = text.lines().skip(1).map(|line| {
        let parts: Vec<&str> = line.split(',').collect();
        let [customer, name, age, _manager, kind, score] = parts[..] else { panic!("{line}") };
        let (age, score) = (age.parse().unwrap(), score.parse().unwrap());
        let account = Account { name: name.to_owned(), age, kind: kind.to_owned(), score };
        (customer.parse().unwrap(), account)
    });
    rows.collect()
}

fn expected(movement: &Movement, account: Option<&Account>) -> Vec<&'static str> {
    let mut reactions = Vec::new();
    if movement.kind == 1 && movement.value > movement.balance {
        reactions.push("unavailable balance");
    }
    if account.is_some_and(|account| account.kind == "premium" && account.score >= 300) {
        reactions.push("personal loan campaign");
    }
    if account.is_some_and(|account| account.age >= 30 || account.score <= 200) {
        reactions.push("debt renegotiation");
    }
    reactions
}

/// `account_state`, of which nothing is known yet.
fn account_state() -> TableSpec {
    TableSpec {
        name: "account_state".to_owned(),
        schema: Arc::new(Schema::empty()),
        key: vec!["customer".to_owned()],
        matches: vec![vec![KeyPlace { relation: "batch".to_owned(), column: "customer".to_owned() }]],
        state: Some(StateView { view: "next_account_state".to_owned(), follows_partition: false }),
        place: Place::default(),
    }
}

async fn prepare() -> (Pipeline, ReferenceTables) {
    let files = ViewFiles::read(Path::new("sql")).unwrap();
    let config = ReferenceTableConfig {
        name: "accounts".to_owned(),
        origin: TableOrigin::File { path: "data/accounts.csv".into(), delimiter: b',' },
        key: vec!["customer_id".to_owned()],
        matches: vec![vec![KeyPlace { relation: "batch".to_owned(), column: "customer".to_owned() }]],
        refresh_interval: std::time::Duration::from_secs(60),
    };
    let read = files.read_by_any();
    let database = Address::Sqlite { path: "unused.db".into() };
    let tables =
        ReferenceTables::open(&[config], &|name| read.contains(name), &database, MEMORY_MAX).await.unwrap();
    let specs = tables.specs().iter().map(|spec| TableSpec {
        name: spec.name.clone(),
        schema: Arc::clone(&spec.schema),
        key: spec.key.clone(),
        matches: spec.matches.clone(),
        state: None,
        place: Place::default(),
    });
    let specs = specs.chain([account_state()]).collect();
    let pipeline = Pipeline::prepare(&files, schema(), specs, None, MEMORY_MAX).await.unwrap();
    (pipeline, tables)
}

async fn run(pipeline: &mut Pipeline, tables: &mut ReferenceTables, movements: &[Movement]) -> ViewResults {
    tables.begin_batch().await.unwrap();
    let no_state = RecordBatch::new_empty(Arc::clone(&pipeline.states()[0].schema));
    let rows_of = async |table, keys: Vec<RecordBatch>| match table == tables.specs().len() {
        true => Ok::<_, SqlError>(vec![no_state.clone()]),
        false => Ok(tables.gather(table, &keys).await.unwrap()),
    };
    pipeline.run(batch(movements), rows_of).await.unwrap()
}

/// Of an output: offset -> its texts in the column, in order.
fn texts(rows: &[RecordBatch], column: &str) -> BTreeMap<i64, Vec<Option<String>>> {
    let mut texts: BTreeMap<i64, Vec<Option<String>>> = BTreeMap::new();
    if rows.is_empty() {
        return texts;
    }
    let rows = concat_batches(&rows[0].schema(), rows).unwrap();
    let offsets = rows.column_by_name("kafka_offset").unwrap().as_primitive::<Int64Type>();
    let column = rows.column_by_name(column).unwrap().as_string::<i32>();
    for (row, offset) in offsets.values().iter().enumerate() {
        let text = column.is_valid(row).then(|| column.value(row).to_owned());
        texts.entry(*offset).or_default().push(text);
    }
    texts
}

#[tokio::test]
async fn the_outputs_are_the_views_that_no_other_view_reads() {
    let (pipeline, _tables) = prepare().await;
    let outputs: Vec<String> = pipeline
        .outputs()
        .iter()
        .map(|(name, schema)| {
            let columns: Vec<String> = schema
                .fields()
                .iter()
                .map(|field| format!("{} {}", field.name(), field.data_type()))
                .collect();
            format!("{name}: {}", columns.join(", "))
        })
        .collect();
    assert_eq!(
        outputs,
        [
            "classified_movements: kafka_topic Utf8, kafka_partition Int32, kafka_offset Int64, customer Int32, \
             name Utf8, agency Utf8, operation_type Int32, operation_value Float64, account_balance Float64, \
             date Utf8, movement Utf8, reaction Utf8, movements_before Int64, refused_in_a_row_before Int64, \
             previous_movement Utf8, previous_balance Float64",
            "reactions: kafka_topic Utf8, kafka_partition Int32, kafka_offset Int64, customer Int32, date Utf8, \
             movement Utf8, reaction Utf8",
        ]
    );
}

#[tokio::test]
async fn every_movement_gets_the_reactions_that_a_calculation_of_its_own_gives() {
    let accounts = accounts();
    assert_eq!(accounts.len(), 500);
    // Every account, and customers without one; a withdrawal below, at and above the balance; a deposit; a kind
    // of operation that nobody knows.
    let operations = [(1, 10.0, 20.0), (1, 20.0, 20.0), (1, 20.01, 20.0), (0, 99.0, 1.0), (2, 99.0, 1.0)];
    let movements: Vec<Movement> = (-3..=510)
        .flat_map(|customer| {
            operations.map(|(kind, value, balance)| Movement { customer, value, kind, balance })
        })
        .collect();
    let (mut pipeline, mut tables) = prepare().await;
    for movements in [&movements[..], &movements[..1], &movements[7..900], &movements[..]] {
        let results = run(&mut pipeline, &mut tables, movements).await;
        let classified = texts(&results.outputs[0], "reaction");
        let names = texts(&results.outputs[0], "name");
        let mut reactions = texts(&results.outputs[1], "reaction");
        assert_eq!(classified.len(), movements.len());
        for (offset, movement) in (0_i64..).zip(movements) {
            let account = accounts.get(&movement.customer);
            let wanted = expected(movement, account);
            let joined = (!wanted.is_empty()).then(|| wanted.join("/"));
            assert_eq!(classified[&offset], [joined], "{movement:?}");
            assert_eq!(names[&offset], [account.map(|account| account.name.clone())], "{movement:?}");
            let mut single = reactions.remove(&offset).unwrap_or_default();
            single.sort();
            let mut wanted: Vec<Option<String>> =
                wanted.iter().map(|text| Some((*text).to_owned())).collect();
            wanted.sort();
            assert_eq!(single, wanted, "{movement:?}");
        }
        assert!(reactions.is_empty());
    }
}

#[test]
fn the_sample_accounts_show_every_case() {
    let accounts = accounts();
    for kind in ["basic", "plus", "premium"] {
        assert!(accounts.values().any(|account| account.kind == kind));
    }
    assert!(accounts.values().all(|account| (18..=90).contains(&account.age)));
    assert!(accounts.values().all(|account| (0..=1000).contains(&account.score)));
    for edge in [200, 201, 299, 300] {
        assert!(accounts.values().any(|account| account.score == edge), "a score of {edge}");
    }
}
