use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    let variable = |name: &str| match name {
        "ROWS" => Some("500".to_owned()),
        "PASSWORD" => Some("s3cr3t!".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    };
    Config::parse(Path::new("conf/config.yaml"), text, &variable)
}

fn faults(text: &str) -> String {
    parse(text).expect_err("the configuration has faults").to_string()
}

pub(super) const SEED: &str = "kafka_server: 127.0.0.1:9092\nkafka_topic: customer_movements\n\
                    avro_schema: schemas/customer.avsc\ndatabase: sqlite://data/realtime.db\n";
/// All that is needed but a database.
pub(super) const HEAD: &str = "kafka_server: h:9092\nkafka_topic: t\navro_schema: a.avsc\n";

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
    assert!(config.reference_tables.is_empty() && config.state_tables.is_empty());
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
    assert_eq!((config.lanes(), config.write_connections), (4, 4));
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
    assert_eq!(outputs[1].mode, Mode::Upsert(Upsert::by(["x", "y"])));
    let text = format!(
        "{SEED}outputs:\n  a: {{ mode: upsert }}\n  b: {{ mode: replica, tabel: x }}\n  c: {{ table: a }}\n"
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
fn statistics_are_the_programs_own() {
    let found = faults(&format!("{SEED}kafka_properties: {{ statistics.interval.ms: 0 }}\n"));
    assert!(
        found.contains("statistics.interval.ms") && found.contains("to know when it has caught up"),
        "{found}"
    );
}

#[test]
fn keys_in_avro_need_a_schema_and_are_framed_as_payloads_are() {
    let key = |more: &str| parse(&format!("{SEED}{more}")).expect("valid").avro.key;
    let path = |name: &str| Path::new("conf").join(name);
    assert_eq!(key(""), KeyFormat::Bytes);
    assert_eq!(key("key_format: long\n"), KeyFormat::Long);
    let avro = "key_format: avro\navro_key_schema: k.avsc\n";
    let raw = KeyFormat::Avro { schema: path("k.avsc"), framing: Framing::NONE };
    // The older schema of raw payloads is not that of keys.
    assert_eq!(key(&format!("{avro}avro_writer_schema: old.avsc\n")), raw);
    let text = format!("{SEED}{avro}avro_framing: confluent\nwriter_schemas: {{ 1: k.avsc, 2: c.avsc }}\n");
    let config = parse(&text).expect("valid");
    let framing = Framing::Confluent { writer_schemas: [(1, path("k.avsc")), (2, path("c.avsc"))].into() };
    assert_eq!(config.avro.key, KeyFormat::Avro { schema: path("k.avsc"), framing: framing.clone() });
    let files = ["schemas/customer.avsc", "k.avsc", "k.avsc", "c.avsc"].map(path);
    assert_eq!(config.avro.schema_files(), files.iter().map(PathBuf::as_path).collect::<Vec<_>>());
    // Messages of our own take the ids of files for payloads alone.
    let own = config.avro.of_own_messages();
    assert_eq!((own.framing, own.key), (framing, raw.clone()));
    let of_registry = format!("{SEED}{avro}avro_framing: confluent\n");
    let own = parse(&of_registry).expect("valid").avro.of_own_messages();
    assert_eq!((own.framing, own.key), (Framing::NONE, raw));

    let found = faults(&format!("{SEED}key_format: avro\n"));
    assert!(found.contains("config.yaml:5:1: error: key_format: avro needs avro_key_schema"), "{found}");
    let found = faults(&format!("{SEED}avro_key_schema: k.avsc\nkey_format: text\n"));
    assert!(
        found.contains("config.yaml:5:1: error: avro_key_schema goes with `key_format: avro` only"),
        "{found}"
    );
    let found = faults(&format!("{SEED}key_format: string\n"));
    assert!(found.contains("key_format: found `string`") && found.contains("avro"), "{found}");
    let changed = |more: &str| parse(SEED).expect("valid").needs_restart(&parse(more).expect("valid"));
    assert_eq!(changed(&format!("{SEED}key_format: int\n")), ["key_format or avro_key_schema"]);
    // A change of frames is named once.
    let framed = parse(&of_registry).expect("valid");
    let before = parse(&format!("{SEED}{avro}")).expect("valid");
    assert_eq!(before.needs_restart(&framed), ["avro_framing or the writers' schemas"]);
}

#[test]
fn secrets_are_not_shown() {
    let said =
        faults("kafka_server: a\nkafka_topic: t\navro_schema: a\ndatabase: oracle://user:hidden@host/x\n");
    assert!(said.contains("config.yaml:4:1: error: database: "), "{said}");
    let text = format!("{SEED}kafka_properties:\n  sasl.password: [hidden]\n");
    let said = format!("{said}\n{}", faults(&text));
    assert!(said.contains("config.yaml:6:3: error: kafka_properties: "), "{said}");
    assert!(!said.contains("hidden"), "{said}");
}

#[test]
fn the_place_of_a_key_is_that_of_the_key_whatever_else_is_in_its_line() {
    let text = format!(
        "{SEED}# outputs: kafka_topic\noutputs: # a: b\n  table: {{ table: mode, mode: append }} # mode: append\n\
         state_tables: {{ key: {{ view: key, key: key }} }}\n"
    );
    let file = parse(&text).expect("valid").file;
    let at = |names: &[&str]| {
        let span = file.place(names).span.expect("a key");
        (span.line, span.column, span.width)
    };
    assert_eq!(at(&["kafka_topic"]), (2, 1, 11));
    assert_eq!(at(&["outputs"]), (6, 1, 7));
    assert_eq!(at(&["outputs", "table"]), (7, 3, 5));
    assert_eq!(at(&["outputs", "table", "table"]), (7, 12, 5));
    assert_eq!(at(&["outputs", "table", "mode"]), (7, 25, 4));
    assert_eq!(at(&["state_tables", "key", "key"]), (8, 35, 3));
    assert_eq!(at(&["outputs", "table", "order_by"]), (7, 3, 5), "the last that is written");
    assert_eq!(file.place(&["reload"]).span, None);
    assert_eq!(file.place_if_written(&["outputs", "other"]), None);
    assert_eq!(at(&["database"]), (4, 1, 1), "the length of a secret is one, too");
}

/// Each is made of pieces that no message has by chance.
pub(super) const PASSWORDS: [&str; 16] = [
    "Zq7x@Wv9k@Jj3f",
    "Zq7x/Wv9k/Jj3f",
    "12/Zq7xWv9kJj3f",
    "Zq7x:Wv9k:Jj3f",
    "1234:Zq7xWv9k",
    "Zq7x#Wv9kJj3f",
    "12#Zq7xWv9k",
    "Zq7x%Wv9k%41Jj3f%",
    "Zq7x?Wv9k=Jj3f&Pp5d",
    "Zq7x Wv9k Jj3f",
    "\"Zq7x'Wv9k\\Jj3f`",
    "Zq7x\u{fc}Wv9k\u{6f22}\u{5b57}Jj3f",
    "Zq7x@12/Wv9k?Jj3f=1#Pp5d",
    "Zq7x${Wv9k",
    "[Zq7x]{Wv9k}",
    "//Zq7x@Wv9k:33/Jj3f",
];

/// No piece of a password is in what is shown of a configuration of this form.
pub(super) fn hides(password: &str, shown: &str, form: &str) {
    const PIECE: usize = 4;
    let characters: Vec<char> = password.chars().collect();
    for piece in characters.windows(PIECE) {
        let piece: String = piece.iter().collect();
        assert!(!shown.contains(&piece), "{piece} of {form}:\n{shown}");
    }
}

#[test]
fn no_fault_shows_a_piece_of_a_password() {
    let parts = "host: h, user: u, name: n";
    for password in PASSWORDS {
        let quoted = serde_json::to_string(password).expect("text");
        let address = |text: &str| {
            let text = text.replace("<>", password);
            format!("database: {}\n", serde_json::to_string(&text).expect("text"))
        };
        let forms = [
            address("mysql://u:<>@h/n"),
            address("mysql://u:<>@h/n?ssl-mode=none"),
            address("mysql://u:<>"),
            address("mysql://us@er:<>@h/n"),
            address("mysql://<>"),
            address("mysql://<>@h"),
            address("mysql://u:x@h/n?<>"),
            address("mysql://u:x@h/n?ssl-mode=<>"),
            address("oracle://u:<>@h/n"),
            address("u:<>@tcp(h:3306)/n"),
            address("<>"),
            format!("database: [{quoted}]\n"),
            format!("databse: {quoted}\n"),
            format!("database: {{ {parts}, port: {quoted} }}\n"),
            format!("database: {{ {parts}, ssl-mode: {quoted} }}\n"),
            format!("database: {{ {parts}, passwrd: {quoted} }}\n"),
            format!("database:\n  host: h\n  user: u\n  name: n\n  passwrd: {quoted}\n"),
            format!("database:\n  host: h\n  pw:\n    - {quoted}\n"),
            format!("database: {{ {parts}, password: [{quoted}] }}\n"),
            format!("database: {{ {parts}, password: {quoted}, password_file: f }}\n"),
            format!("database: sqlite://a.db\nkafka_properties: {quoted}\n"),
            format!("database: sqlite://a.db\nkafka_properties: [{quoted}]\n"),
            format!("database: sqlite://a.db\nkafka_properties:\n  sasl.pasword: [{quoted}]\n"),
            format!("database: sqlite://a.db\nkafka_properties:\n  group.id: {quoted}\n"),
        ];
        for form in forms {
            let shown = match parse(&format!("{HEAD}{form}")) {
                Ok(config) => format!("{config:?} {}", config.database.redacted()),
                Err(error) => format!("{error} {error:?}"),
            };
            hides(password, &shown, &form);
        }
    }
}

#[test]
fn a_database_may_be_a_mapping_of_its_parts() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("secret"), "p@ss/w\u{f6}rd \n").expect("written");
    let read = |database: &str| {
        let text = format!("{HEAD}database: {database}\n");
        Config::parse(&folder.path().join("config.yaml"), &text, &|_| None).map(|config| config.database)
    };
    let given = |database: &str| match read(database).expect("valid") {
        Address::MySql(address) => address,
        Address::Sqlite { .. } => panic!("expected a server"),
    };
    let address =
        given("{ host: db.bank, user: u, password: 'a%40:b', name: n, ssl-mode: verify_ca, ssl-ca: ca.pem }");
    assert_eq!((address.host.as_str(), address.port, address.user.as_str()), ("db.bank", 3306, "u"));
    assert_eq!((address.password.as_deref(), address.database.as_str()), (Some("a%40:b"), "n"));
    assert_eq!(
        (address.tls, address.tls_ca),
        (crate::database::TlsMode::VerifyCa, Some(folder.path().join("ca.pem")))
    );
    let address = given("{ host: 127.0.0.1, port: 3307, user: u, password_file: secret, name: n }");
    assert_eq!((address.port, address.password.as_deref()), (3307, Some("p@ss/w\u{f6}rd ")));
    assert_eq!(address.tls, crate::database::TlsMode::Disabled);
    for (database, expected) in [
        ("{ user: u, name: n }", "the key `database.host` is missing"),
        ("{ host: h, user: u, name: n, password_file: none }", "none cannot be read"),
        ("{ host: h, user: u, name: n, password: a, password_file: secret }", "expected one of them"),
        ("{ host: h, user: u, name: n, port: none }", "database.port: expected a number"),
        ("{ host: h, user: u, name: n, ssl-key: k }", "expected both or neither"),
        ("{ host: h, user: u, name: n, pasword: k }", "did you mean `password`?"),
        ("[a]", "expected an address or a mapping"),
    ] {
        let said = read(database).expect_err(database).to_string();
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn outputs_with_a_key_say_which_row_is_the_last() {
    let read = |outputs: &str| parse(&format!("{SEED}{outputs}"));
    let outputs = |text: &str| read(text).expect("valid").outputs.expect("written");
    let found = outputs("outputs: { a: { mode: upsert, key: x, order_by: [y, z], only_newer: y } }");
    let expected =
        Upsert { order_by: vec!["y".into(), "z".into()], only_newer: Some("y".into()), ..Upsert::by(["x"]) };
    assert_eq!(found[0].mode, Mode::Upsert(expected));
    let found = outputs(
        "outputs: { a: { mode: replace, key: [x, y], parent: x, columns: { x: VARCHAR(9) }, indexes: [[x], [y, x]] } }",
    );
    assert_eq!(found[0].mode, Mode::Upsert(Upsert { parent: vec!["x".into()], ..Upsert::by(["x", "y"]) }));
    assert_eq!(found[0].created.columns["x"], "VARCHAR(9)");
    assert_eq!(found[0].created.indexes, [vec!["x"], vec!["y", "x"]]);
    for (wrong, said) in [
        ("{ order_by: x }", "outputs.a.order_by: rows that are appended have no key"),
        ("{ mode: upsert, key: x, only_newer: x }", "outputs.a.only_newer: `x` is a column of the key"),
        ("{ mode: upsert, key: x, parent: x }", "outputs.a.parent: goes with `mode: replace` only"),
        ("{ mode: replace, key: [x, y], parent: y }", "needs a `parent`: the first columns of `key`"),
        ("{ mode: replace, key: x, parent: x }", "needs a `parent`: the first columns of `key`"),
        ("{ mode: replace, key: [x, y], parent: x, only_newer: z }", "have no common version"),
        ("{ columns: 7 }", "expected `column: TYPE` for each column"),
        ("{ indexes: x }", "expected a list of lists of columns"),
    ] {
        let error = read(&format!("outputs: {{ a: {wrong} }}")).map(|_| ()).expect_err(wrong).to_string();
        assert!(error.contains(said), "{wrong}: {error}");
    }
}

#[test]
fn tables_to_create_are_all_those_of_the_program_or_none() {
    for (text, expected) in [
        ("", CreateTables::All),
        ("create_tables: true", CreateTables::All),
        ("create_tables: own", CreateTables::Own),
        ("create_tables: none", CreateTables::None),
        ("create_tables: false", CreateTables::None),
    ] {
        assert_eq!(parse(&format!("{SEED}{text}\n")).expect("valid").create_tables, expected);
    }
}

#[test]
fn a_registry_may_be_read_in_all_its_forms_and_shows_no_secret() {
    let read =
        |registry: &str| parse(&format!("{SEED}avro_framing: confluent\nschema_registry: {registry}\n"));
    let registry = |text: &str| read(text).expect("valid").registry.expect("a registry");
    let plain = registry("{ url: http://a:8081/apis/ccompat/v7 }");
    assert!(plain.login == Login::Nobody && plain.ca.is_none() && plain.identity.is_none());
    assert_eq!((plain.urls.len(), plain.timeout), (1, Duration::from_secs(10)));
    let full = registry(
        "{ url: [https://a, https://b/c/], username: u, password: '${PASSWORD}', ca: ca.pem, certificate: c.pem, \
         key: k.pem, timeout: 500ms }",
    );
    assert!(full.login == Login::Basic { username: "u".into(), password: Secret::Text("s3cr3t!".into()) });
    assert_eq!((full.urls.len(), full.timeout), (2, Duration::from_millis(500)));
    let by_file = registry("{ url: http://a, token_file: t }");
    assert!(by_file.login == Login::Bearer(Secret::File("conf/t".into())));
    let oauth = registry(
        "{ url: http://a, token_url: https://o/token, client_id: c, client_secret: s3cr3t!, scope: x }",
    );
    assert!(matches!(oauth.login, Login::OAuth { .. }));
    assert!(!format!("{full:?} {oauth:?}").contains("s3cr3t!"));
    for (wrong, says) in [
        ("http://u:s3cr3t!@a", "expected a mapping"),
        ("{}", "schema_registry.url is missing"),
        ("{ url: 'http://u:s3cr3t!@a' }", "expected the keys username and password"),
        ("{ url: 's3cr3t!' }", "expected an address"),
        ("{ url: 'ftp://a/s3cr3t!' }", "neither http nor https"),
        ("{ url: http://a, passwrd: s3cr3t! }", "did you mean `password`?"),
        ("{ url: http://a, password: s3cr3t! }", "password without a username"),
        ("{ url: http://a, username: u }", "username without a password"),
        ("{ url: http://a, username: u, password: s3cr3t!, password_file: f }", "expected one of them"),
        ("{ url: http://a, token: s3cr3t!, username: u, password: x }", "several ways to log in"),
        ("{ url: http://a, token_url: http://o, client_secret: s3cr3t! }", "OAuth needs more"),
        ("{ url: http://a, token: [s3cr3t!] }", "found a list"),
        ("{ url: http://a, certificate: c.pem }", "expected both"),
        ("{ url: http://a, timeout: 0ms }", "at least 1ms"),
    ] {
        let said = read(wrong).expect_err(wrong).to_string();
        assert!(said.contains(says), "{wrong}:\n{said}");
        assert!(!said.contains("s3cr3t!"), "{wrong}:\n{said}");
    }
    let said = faults(&format!("{SEED}schema_registry: {{ url: http://a }}\n"));
    assert!(said.contains("goes with `avro_framing: confluent` only"), "{said}");
}
