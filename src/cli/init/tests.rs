//! A project of any schema is sound: `check` finds nothing wrong, with either database, and its test passes.

use std::path::Path;

use clap::Parser as _;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::project::Project;
use super::settings::Settings;
use crate::avro::Schema;
use crate::check::Findings;
use crate::cli::failure::Failure;
use crate::cli::{self, Command};
use crate::config::Config;
use crate::decode::tests::model::{any_record, schema_of};
use crate::diagnostic::render;
use crate::testing::Tests;

fn settings(more: &[&str]) -> Settings {
    let words = ["realtime-processor", "init"].iter().chain(more);
    let arguments = cli::Arguments::try_parse_from(words).expect("a command line");
    let Command::Init(arguments) = arguments.command else { panic!("another command") };
    Settings::of(&arguments, "movements").unwrap_or_else(|failure| panic!("{failure}"))
}

async fn write(dir: &Path, schema: &Value) -> Result<(), Failure> {
    let text = schema.to_string();
    let mut settings = settings(&[]);
    settings
        .name_schema(&Schema::parse(&text, "test").expect("a schema").root_record().expect("a record").name);
    let (written, ..) = Project { dir, settings: &settings, schema: &text }.write().await?;
    written.keep();
    Ok(())
}

/// What is wrong with a project, with SQLite and with MySQL.
async fn wrong_with(dir: &Path) -> String {
    let file = dir.join("config.yaml");
    let config = Config::load(&file).unwrap_or_else(|error| panic!("{error}"));
    let tests = Tests::prepare(&config, &[]).await;
    let report = tests.unwrap_or_else(|error| panic!("{error}")).run().await;
    let mut wrong = if report.failed() == 0 { String::new() } else { report.render(false) };
    assert_eq!(report.tests(), 1);
    let text = std::fs::read_to_string(&file).expect("a file");
    for database in ["sqlite://data/realtime.db", "mysql://u@127.0.0.1:1/n"] {
        let text = text.replace("${DATABASE_URL:-sqlite://data/realtime.db}", database);
        assert!(text.contains(database));
        std::fs::write(&file, text).expect("written");
        wrong += &render(&Findings::of(&file, true).await.diagnostics);
    }
    wrong
}

/// Words of SQL and of YAML, names that differ in case only, and names that no column of MySQL can have.
const NAMES: [&str; 12] = [
    "order",
    "select",
    "Order",
    "batch",
    "null",
    "y",
    "Größe",
    "value_1",
    "_id",
    "_delete",
    "kafka",
    "a_name_of_more_than_sixty_four_characters_that_is_legal_in_avro_all_the_same",
];

/// The same schema with other names of fields.
fn renamed(schema: &mut Value, names: &mut impl Iterator<Item = &'static str>) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(|item| renamed(item, names)),
        Value::Object(object) => {
            for (place, field) in
                object.get_mut("fields").and_then(Value::as_array_mut).into_iter().flatten().enumerate()
            {
                let name = names.next().unwrap_or_default();
                // The same name may come twice in a record.
                field["name"] = if place < 2 { name.into() } else { format!("{name}{place}").into() };
            }
            object.values_mut().for_each(|value| renamed(value, names));
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]
    #[test]
    fn a_project_of_any_schema_is_sound(ty in any_record(false), first in 0..NAMES.len()) {
        let mut schema = schema_of(&ty, true, &mut 0);
        renamed(&mut schema, &mut NAMES.iter().copied().cycle().skip(first));
        let folder = tempfile::tempdir().expect("a folder");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads");
        let wrong = runtime.block_on(async {
            match write(folder.path(), &schema).await {
                Ok(()) => wrong_with(folder.path()).await,
                Err(failure) => failure.to_string(),
            }
        });
        prop_assert!(wrong.is_empty(), "{schema}\n{wrong}");
    }
}

#[tokio::test]
async fn names_and_records_become_columns() {
    let address =
        json!({"type": "record", "name": "Address", "fields": [{"name": "city", "type": "string"}]});
    let buyer = json!({"type": "record", "name": "Buyer", "fields": [
        {"name": "name", "type": "string"}, {"name": "address", "type": ["null", address]}]});
    let schema = json!({"type": "record", "name": "bank.Order", "fields": [
        {"name": "select", "type": "int"},
        {"name": "buyer", "type": buyer},
        {"name": "buyer_name", "type": "string"},
        {"name": "batch", "type": {"type": "record", "name": "B", "fields": [{"name": "select", "type": "int"}]}},
        {"name": "wide", "type": {"type": "bytes", "logicalType": "decimal", "precision": 70, "scale": 2}},
        {"name": "parts", "type": {"type": "array", "items": "Address"}},
        {"name": "either", "type": ["int", "string"]},
        {"name": "kind", "type": {"type": "enum", "name": "K", "symbols": ["NO", "YES"]}}]});
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), &schema).await.unwrap_or_else(|failure| panic!("{failure}"));
    let read = |path: &str| std::fs::read_to_string(folder.path().join(path)).expect("a file");
    let view = read("sql/movements.sql");
    let (_, select) = view.split_once("SELECT\n").expect("a query");
    let columns: Vec<&str> = select.lines().map(|line| line.trim().trim_end_matches(',')).collect();
    let expected = [
        "kafka_topic",
        "kafka_partition",
        "kafka_offset",
        "\"select\"",
        "buyer.name AS buyer_name",
        "buyer.address.city AS buyer_address_city",
        "buyer_name AS buyer_name_2",
        "batch.batch.\"select\" AS batch_select",
        "CAST(wide AS VARCHAR) AS wide",
        "parts",
        "either",
        "kind",
        "FROM batch",
    ];
    assert_eq!(columns, expected);
    let test = read("sql/tests/movements.yaml");
    for line in [
        "    - select: 1\n      buyer: { name: name 1, address: { city: city 1 } }\n",
        "      wide: 1.5\n      parts: [{ city: city 1 }]\n      either: { int: 1 }\n      kind: \"NO\"\n",
        "buyer_address_city: city 1",
        "buyer_name_2: buyer_name 1",
        "parts: [{\"city\":\"city 1\"}]",
    ] {
        assert!(test.contains(line), "{line} is not in\n{test}");
    }
    assert_eq!(wrong_with(folder.path()).await, "");
}

#[tokio::test]
async fn a_table_takes_no_more_columns_than_it_can() {
    let of = |count: usize| {
        let fields: Vec<Value> =
            (0..count).map(|n| json!({"name": format!("c{n}"), "type": "string"})).collect();
        json!({"type": "record", "name": "R", "fields": fields})
    };
    let mut nested = of(3);
    nested["fields"][0]["type"] = json!({"type": "record", "name": "Inner", "fields": of(200)["fields"]});
    for (schema, columns, said) in
        [(nested, 3, ""), (of(200), 190, "Left out, because a table takes no more columns: c190, c191")]
    {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), &schema).await.unwrap_or_else(|failure| panic!("{failure}"));
        let view = std::fs::read_to_string(folder.path().join("sql/movements.sql")).expect("a file");
        assert_eq!(view.matches(",\n").count() + 1, columns + 3, "{view}");
        assert!(view.contains(said), "{view}");
        assert_eq!(wrong_with(folder.path()).await, "");
    }
}

#[tokio::test]
async fn nothing_is_left_of_a_project_that_cannot_be() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = || {
        let mut open = vec![folder.path().to_owned()];
        let mut files = Vec::new();
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() { open.push(path) } else { files.push(path) }
            }
        }
        files
    };
    // No column carries it.
    let empty = json!({"type": "record", "name": "R", "fields": [
        {"name": "a", "type": "int"}, {"name": "b", "type": {"type": "record", "name": "E", "fields": []}}]});
    let failure = write(folder.path(), &empty).await.expect_err("no column").to_string();
    assert!(failure.contains("has no fields"), "{failure}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    // A file that is there stays as it is.
    let view = folder.path().join("sql/movements.sql");
    std::fs::create_dir_all(view.parent().expect("a folder")).expect("created");
    std::fs::write(&view, "mine").expect("written");
    let good = json!({"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}]});
    let failure = write(folder.path(), &good).await.expect_err("it is there").to_string();
    assert!(failure.contains("sql/movements.sql exists already; nothing is written"), "{failure}");
    assert_eq!((files(), std::fs::read_to_string(&view).expect("a file").as_str()), (vec![view], "mine"));
}
