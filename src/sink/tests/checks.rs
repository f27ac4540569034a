//! Tables that are not as the outputs need them are said before the first message.

use super::*;

on_each_database!(
    all_faults_are_said_at_once,
    missing_tables_are_refused_where_ddl_is_not_allowed,
    checking_changes_nothing,
    the_tables_of_the_program_and_of_outputs_are_two_rights,
    created_tables_have_the_types_and_indexes_that_are_configured,
    a_state_table_must_give_back_what_is_written,
);

async fn faults(place: &Place, targets: &[Target], create: bool) -> Vec<String> {
    match Sink::connect(place.address.clone(), "job", targets.to_vec(), create).await {
        Err(SinkError::Check(faults)) => faults.iter().map(ToString::to_string).collect(),
        Err(other) => panic!("{other}"),
        Ok(_) => Vec::new(),
    }
}

fn assert_faults(found: &[String], expected: &[&str]) {
    for text in expected {
        assert!(found.iter().any(|fault| fault.contains(text)), "no `{text}` in\n{}", found.join("\n"));
    }
    assert_eq!(found.len(), expected.len(), "{}", found.join("\n"));
}

async fn all_faults_are_said_at_once(place: &Place) {
    place.run("CREATE TABLE a (id VARCHAR(10), must INT NOT NULL, name VARCHAR(10))").await;
    place.run("CREATE VIEW v AS SELECT 1 AS id, 'x' AS name").await;
    place.run("CREATE TABLE k (id INT NOT NULL, name VARCHAR(10))").await;
    place.run("CREATE TABLE twice (id INT PRIMARY KEY, name VARCHAR(10) UNIQUE)").await;
    let to = |table: &str, mode| Target { table: table.into(), ..target(&people_schema(), mode) };
    let more: SchemaRef = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Utf8, true),
        Field::new("absent", DataType::Utf8, true),
    ]));
    let targets = [
        to("a", Mode::Append),
        to("v", Mode::Append),
        to("k", upsert(&["id"])),
        to("twice", upsert(&["id"])),
        Target { table: "k".into(), name: "other".into(), ..target(&more, upsert(&["who"])) },
        to("dead_letters", Mode::Append),
    ];
    let found = faults(place, &targets, true).await;
    for text in [
        "a.id: varchar(10) cannot take Int32 exactly\nhint: its place is INT",
        "a.must: NOT NULL without a default, and view `rows` has no such column",
        "v: is a view, expected a table",
        "k: no primary or unique key over exactly (id)\nhint: add PRIMARY KEY (id)",
        "twice: besides the key (id) also unique by",
        "k: views `rows` and `other` are both written to it",
        "k: view `other` has no key column `who`, it has id, absent",
        "k.absent: no such column, view `other` needs it (Utf8); the table has id, name",
        "dead_letters: the name of a table of the program",
    ] {
        let text = if place.is_mysql() { text.to_string() } else { text.replace("is INT", "is INTEGER") };
        let is_said = found.iter().any(|fault| fault.to_lowercase().contains(&text.to_lowercase()));
        assert!(is_said, "no `{text}` in\n{}", found.join("\n"));
    }
}

async fn missing_tables_are_refused_where_ddl_is_not_allowed(place: &Place) {
    let found = faults(place, &[target(&people_schema(), Mode::Append)], false).await;
    assert_faults(
        &found,
        &[
            "realtime_offsets: no such table",
            "dead_letters: no such",
            "realtime_sql_versions: no such table",
            "realtime_sql_history: no such table",
            "realtime_fills: no such table",
            "rows_out: no such table",
        ],
    );
    // What the hint says can be run, and then all is well.
    for fault in &found {
        let (_, statement) = fault.split_once("create it with\n").expect("a hint");
        place.run(statement).await;
    }
    assert_faults(&faults(place, &[target(&people_schema(), Mode::Append)], false).await, &[]);
}

async fn the_tables_of_the_program_and_of_outputs_are_two_rights(place: &Place) {
    let targets = [target(&people_schema(), Mode::Append)];
    let own = async || match Sink::connect(place.address.clone(), "job", targets.to_vec(), CreateTables::Own)
        .await
    {
        Err(SinkError::Check(faults)) => faults.iter().map(ToString::to_string).collect(),
        Err(other) => panic!("{other}"),
        Ok(_) => Vec::new(),
    };
    assert_faults(&own().await, &["rows_out: no such table, and `create_tables` does not let"]);
    assert_eq!(place.count("realtime_offsets").await, 0, "it is there");
    place.run("CREATE TABLE rows_out (id INT, name VARCHAR(9))").await;
    assert_faults(&own().await, &[]);
}

/// Memory keeps what is computed, and a restart reads what the table made of it.
async fn a_state_table_must_give_back_what_is_written(place: &Place) {
    let moment = DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None);
    let schema: SchemaRef = Arc::new(Schema::new(vec![
        Field::new("k", DataType::Utf8, false),
        Field::new("at", moment, true),
        Field::new("note", DataType::Utf8, true),
    ]));
    let state = TargetKind::State { expires: false };
    let to = Target { kind: state, ..target(&schema, upsert(&["k"])) };
    let create = |key: &str, at: &str, note: &str| {
        format!("CREATE TABLE rows_out (k {key} NOT NULL PRIMARY KEY, at {at} NULL, note {note} NULL)")
    };
    let (text, whole) = match place.is_mysql() {
        true => ("VARCHAR(20) COLLATE utf8mb4_0900_bin", "DATETIME(6)"),
        false => ("VARCHAR(20)", "DATETIME(6)"),
    };
    place.run(&create(text, whole, "LONGTEXT")).await;
    assert_faults(&faults(place, std::slice::from_ref(&to), true).await, &[]);
    place.run("DROP TABLE rows_out").await;
    // Keys that the database takes for equal are one row of an output, and two in memory.
    let loose = if place.is_mysql() { "utf8mb4_0900_ai_ci" } else { "NOCASE" };
    place.run(&create(&format!("VARCHAR(20) COLLATE {loose}"), whole, "LONGTEXT")).await;
    let mode = Mode::Upsert(Upsert { order_by: vec!["at".into()], ..Upsert::by(["k"]) });
    let output = Target { mode, ..target(&schema, Mode::Append) };
    let same_of_state = Target { kind: TargetKind::State { expires: false }, ..output.clone() };
    let said = format!(
        "rows_out.k: its collation {loose} takes texts for equal that are not ('José' and 'jose', or with spaces at \
         the end), which a state table tells apart"
    );
    assert_faults(&faults(place, &[output], true).await, &[]);
    assert_faults(&faults(place, &[same_of_state], true).await, &[&said]);
    place.run("DROP TABLE rows_out").await;
    if !place.is_mysql() {
        place.run(&create(text, whole, "JSON")).await;
        assert_faults(&faults(place, &[to], true).await, &["rows_out.note: JSON may change values of Utf8"]);
        return;
    }
    place.run(&create("ENUM('a','1') COLLATE utf8mb4_0900_bin", "TIMESTAMP(3)", "JSON")).await;
    let found = faults(place, &[to], true).await;
    assert_faults(
        &found,
        &[
            "rows_out.k: enum('a','1') may change values of Utf8, and a state table must return them as they were",
            "rows_out.at: timestamp(3) may change values",
            "rows_out.note: json may change values of Utf8",
        ],
    );
    let hints = found.join("\n");
    assert!(
        hints.contains("VARCHAR(255)") && hints.contains("DATETIME(6)") && hints.contains("LONGTEXT"),
        "{hints}"
    );
}

async fn created_tables_have_the_types_and_indexes_that_are_configured(place: &Place) {
    let columns = [("name", "VARCHAR(40)"), ("note", "VARCHAR(9) NULL")];
    let columns = columns.map(|(name, kind)| (name.to_owned(), kind.to_owned())).into();
    let indexes = vec![vec!["city".to_owned()], vec!["city".to_owned(), "name".to_owned()]];
    let schema: SchemaRef = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int32, false),
        Field::new("name", DataType::Utf8, false),
        Field::new("note", DataType::Utf8, false),
        Field::new("city", DataType::Utf8, true),
    ]));
    let required = ["id".to_owned(), "name".to_owned(), "note".to_owned()].into();
    let created = Created { columns, indexes, required };
    let to = Target { created, ..target(&schema, Mode::Append) };
    assert_faults(&faults(place, std::slice::from_ref(&to), true).await, &[]);
    let mut connection = place.connection().await;
    let found = crate::database::table(&mut connection, "rows_out").await.expect("reads").expect("there");
    let shape = |name: &str| {
        let column = found.column(name).expect("a column");
        (column.declared.to_lowercase(), column.is_nullable)
    };
    assert!(!shape("id").1);
    assert_eq!((shape("name"), shape("note")), (("varchar(40)".into(), false), ("varchar(9)".into(), true)));
    let indexes = match place.is_mysql() {
        true => {
            "SELECT COUNT(DISTINCT index_name) FROM information_schema.statistics WHERE table_schema = DATABASE() \
                 AND table_name = 'rows_out' AND index_name <> 'PRIMARY'"
        }
        false => "SELECT COUNT(*) FROM pragma_index_list('rows_out')",
    };
    assert_eq!(place.rows(indexes).await, [["2"]]);
    let wrong = Created {
        columns: [("id".to_owned(), "VARCHAR(4)".to_owned()), ("absent".to_owned(), "INT".to_owned())].into(),
        indexes: vec![vec!["none".to_owned()]],
        ..Created::default()
    };
    let wrong = Target { table: "other".into(), created: wrong, ..to };
    assert_faults(
        &faults(place, &[wrong], true).await,
        &[
            "other.id: columns: VARCHAR(4) cannot take Int32 exactly",
            "other: columns: view `rows` has no column `absent`",
            "other: indexes: view `rows` has no column `none`",
        ],
    );
}

async fn checking_changes_nothing(place: &Place) {
    let targets = [target(&people_schema(), Mode::Append)];
    let checked = async |create| {
        Sink::check(place.address.clone(), "job", &targets, create).await.expect("a database").faults.len()
    };
    assert_eq!(checked(true).await, 0);
    assert_eq!(checked(false).await, 6);
}

#[tokio::test]
#[ignore = "needs MySQL: scripts/services up"]
async fn keys_of_text_need_an_exact_collation_and_tables_need_innodb() {
    let place = Place::mysql().await;
    place.run("CREATE TABLE loose (name VARCHAR(10) COLLATE utf8mb4_general_ci PRIMARY KEY, id INT)").await;
    place.run("CREATE TABLE padded (name VARCHAR(10) COLLATE utf8mb4_bin PRIMARY KEY, id INT)").await;
    place.run("CREATE TABLE prefix (name VARCHAR(200) NOT NULL, id INT, UNIQUE (name(10)))").await;
    place.run("CREATE TABLE memory (name VARCHAR(10), id INT) ENGINE=MEMORY").await;
    let to = |table: &str, mode| Target {
        table: table.into(),
        name: table.into(),
        ..target(&people_schema(), mode)
    };
    let by_name = || upsert(&["name"]);
    let targets = [
        to("loose", by_name()),
        to("padded", by_name()),
        to("prefix", by_name()),
        to("memory", Mode::Append),
    ];
    let found = faults(&place, &targets, true).await;
    for text in [
        "loose.name: its collation utf8mb4_general_ci takes texts for equal",
        "padded.name: its collation utf8mb4_bin",
        "prefix: no primary or unique key over exactly (name)",
        "memory: its engine is MEMORY, expected InnoDB",
    ] {
        assert!(found.iter().any(|fault| fault.contains(text)), "no `{text}` in\n{}", found.join("\n"));
    }
    place.drop_database().await;
}

#[tokio::test]
#[ignore = "needs MySQL: scripts/services up"]
async fn rights_that_are_missing_are_said_with_a_hint() {
    let mut place = Place::mysql().await;
    let Address::MySql(address) = &place.address else { panic!("MySQL") };
    let (mut limited, database) = (address.clone(), address.database.clone());
    limited.user = format!("reader_{database}");
    limited.password = Some("Only-reads-1".into());
    place.sink(&[target(&people_schema(), Mode::Append)]).await.expect("creates the tables");
    let user = format!("'{}'@'%'", limited.user);
    place.run(&format!("CREATE USER {user} IDENTIFIED BY 'Only-reads-1'")).await;
    place.run(&format!("GRANT SELECT ON {database}.* TO {user}")).await;
    let owner = std::mem::replace(&mut place.address, Address::MySql(limited));
    let found = faults(&place, &[target(&people_schema(), Mode::Append)], true).await;
    place.address = owner;
    place.run(&format!("DROP USER {user}")).await;
    // A statement of each kind is tried: offsets are moved and given up, so UPDATE is denied twice.
    let denied: Vec<(&str, &str)> = found
        .iter()
        .filter_map(|fault| {
            Some((fault.split_once(": ")?.0, fault.split_once("): ")?.1.split_once(" command denied")?.0))
        })
        .collect();
    let expected = [
        ("realtime_offsets", "INSERT, UPDATE"),
        ("realtime_offsets", "UPDATE"),
        ("realtime_offsets", "UPDATE"),
        ("dead_letters", "INSERT"),
        ("realtime_sql_versions", "INSERT, UPDATE"),
        ("realtime_sql_history", "DELETE"),
        ("realtime_sql_history", "INSERT"),
        ("realtime_fills", "DELETE"),
        ("realtime_fills", "INSERT"),
        ("realtime_fills", "UPDATE"),
        ("rows_out", "INSERT"),
    ];
    assert_eq!(denied, expected, "{found:?}");
    assert!(found.iter().all(|fault| fault.contains("denied") && fault.contains("hint: GRANT")), "{found:?}");
    place.drop_database().await;
}
