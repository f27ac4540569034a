use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    let variable = |name: &str| match name {
        "ROWS" => Some("500".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    };
    Config::parse(Path::new("conf/config.yaml"), text, &variable)
}

fn faults(text: &str) -> String {
    parse(text).expect_err("the configuration has faults").to_string()
}

const SEED: &str = "kafka_server: 127.0.0.1:9092\nkafka_topic: customer_movements\n\
                    avro_schema: schemas/customer.avsc\ndatabase: sqlite://data/realtime.db\n";

#[test]
fn the_three_keys_of_the_spark_job_and_a_database_are_enough() {
    let config = parse(SEED).expect("valid");
    assert_eq!(config.kafka.topics, ["customer_movements"]);
    assert_eq!(config.avro.schema, Path::new("conf/schemas/customer.avsc"));
    assert_eq!(config.avro.framing, Framing::Raw { writer_schema: None });
    assert_eq!(config.job, "realtime-processor");
    assert_eq!(config.trigger.rows_max, 100_000);
    assert_eq!(config.trigger.bytes_max, 64 * MIB);
    assert_eq!(config.memory_max, 256 * MIB);
    assert!(config.outputs.is_none());
    assert_eq!(config.reference_tables[0].name, "accounts");
}

#[test]
fn several_faults_are_reported_at_once_each_with_its_line() {
    let text = "kafka_server: [a]\nkafka_topik: movements\navro_schema: a.avsc\nbatch_rows_max: many\n\
                trigger_interval: 5\nwrite_connections: 20\njob: ${NO_JOB}\ndatabase: ${NO_DATABASE}\n";
    insta::assert_snapshot!(faults(text));
}

#[test]
fn a_job_has_a_lane_for_each_write_connection_with_enough_memory_and_one_on_sqlite() {
    let text = SEED.replace("sqlite://data/realtime.db", "mysql://u:p@h/d");
    assert_eq!(parse(&text).expect("valid").lanes(), 1);
    let four = format!("{text}write_connections: 4\n");
    let config = parse(&four).expect("valid");
    assert_eq!((config.lanes(), config.write_connections.line), (4, 5));
    assert_eq!(parse(&format!("{SEED}write_connections: 4\n")).expect("valid").lanes(), 1);
    let changed = parse(&text).expect("valid").needs_restart(&config);
    assert_eq!(changed, ["write_connections"]);
    let said = faults(&format!("{four}memory_max: 100MiB\n"));
    assert!(
        said.contains("config.yaml:5:1: error: write_connections: 4 lanes share memory_max, found 100MiB"),
        "{said}"
    );
    assert!(said.contains("hint: each needs 32MiB: `memory_max: 128MiB`, or fewer connections"), "{said}");
}

#[test]
fn environment_references_are_resolved_before_types_are_checked() {
    let text = format!("{SEED}batch_rows_max: ${{ROWS}}\njob: ${{NO_JOB:-nightly}}-1\n");
    let config = parse(&text).expect("valid");
    assert_eq!(config.trigger.rows_max, 500);
    assert_eq!(config.job, "nightly-1");
    let text = format!("{SEED}job: ${{NO_JOB}}\ninstance: ${{EMPTY}}\n");
    insta::assert_snapshot!(faults(&text));
}

#[test]
fn keys_match_by_column_view_and_alternative() {
    let text = format!(
        "{SEED}reference_tables:\n\
         \x20 a: {{ file: a.csv, key: id, matches: [payer, payee] }}\n\
         \x20 b: {{ table: branches, key: [bank, branch], matches: [accounts.bank, accounts.branch] }}\n\
         \x20 c: {{ query: SELECT 1, refresh_interval: 5m }}\n\
         \x20 d: {{ file: d.tsv, key: id }}\n"
    );
    let config = parse(&text).expect("valid");
    let place = |relation: &str, column: &str| KeyPlace { relation: relation.into(), column: column.into() };
    let tables = &config.reference_tables;
    assert_eq!(tables[0].matches, [[place("batch", "payer")], [place("batch", "payee")]]);
    assert_eq!(tables[1].matches, [[place("accounts", "bank"), place("accounts", "branch")]]);
    assert!(tables[2].matches.is_empty() && tables[2].key.is_empty());
    assert_eq!(tables[2].refresh_interval, Duration::from_secs(300));
    assert_eq!(tables[3].origin, TableOrigin::File { path: "conf/d.tsv".into(), delimiter: b'\t' });
    assert_eq!(tables[3].matches, [[place("batch", "id")]]);
}

#[test]
fn outputs_say_how_their_rows_are_written() {
    let text = format!("{SEED}outputs:\n  a:\n  b: {{ table: t, mode: upsert, key: [x, y] }}\n");
    let outputs = parse(&text).expect("valid").outputs.expect("written");
    assert_eq!((outputs[0].table.as_str(), &outputs[0].mode), ("a", &Mode::Append));
    assert_eq!(outputs[1].mode, Mode::Upsert { key: vec!["x".into(), "y".into()] });
    let text = format!(
        "{SEED}outputs:\n  a: {{ mode: upsert }}\n  b: {{ mode: replace, tabel: x }}\n  c: {{ table: a }}\n"
    );
    insta::assert_snapshot!(faults(&text));
}

#[test]
fn what_the_program_owns_and_broken_yaml_are_refused() {
    let text = format!("{SEED}kafka_properties: {{ group.id: x, fetch.min.bytes: 1 }}\n");
    insta::assert_snapshot!(faults(&text));
    insta::assert_snapshot!(faults("kafka_server: a\n  b: c\n"));
    insta::assert_snapshot!(faults("a: 1\na: 2\n"));
    insta::assert_snapshot!(faults("- a\n"));
}

#[test]
fn sizes_and_times_carry_their_unit() {
    assert_eq!(read_duration("1.5s"), Some(Duration::from_millis(1500)));
    assert_eq!(read_duration("0"), Some(Duration::ZERO));
    assert_eq!(read_duration("5"), None);
    assert_eq!(read_duration("-5s"), None);
    assert_eq!(nearest("kafka_topik", ["kafka_topic", "job"].into_iter()), Some("kafka_topic"));
    assert_eq!(nearest("zzz", ["kafka_topic", "job"].into_iter()), None);
}

#[test]
fn secrets_are_not_shown() {
    let said =
        faults("kafka_server: a\nkafka_topic: t\navro_schema: a\ndatabase: oracle://user:hidden@host/x\n");
    assert!(said.contains("config.yaml:4:11: error: database: "), "{said}");
    let text = format!("{SEED}kafka_properties:\n  sasl.password: [hidden]\n");
    let said = format!("{said}\n{}", faults(&text));
    assert!(said.contains("config.yaml:6:3: error: kafka_properties: "), "{said}");
    assert!(!said.contains("hidden"), "{said}");
}
