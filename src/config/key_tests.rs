//! The table of keys against what is read, `config.yaml`, the documents, the JSON Schema and `config`.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::keys::{
    Absent, DATABASE, KEYS, Key, Kind, OUTPUT, REFERENCE_TABLE, REGISTRY, Reload, STATE_TABLE,
};
use super::tests::{HEAD, PASSWORDS, SEED, hides};
use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(Path::new("config.yaml"), text, &|_| None)
}

fn names(keys: &[Key]) -> BTreeSet<&str> {
    keys.iter().map(|key| key.name).collect()
}

/// Each section: its keys, and a text that puts keys in place of `<>`.
fn sections() -> [(&'static [Key], String); 6] {
    [
        (KEYS, format!("{SEED}<>\n")),
        (REFERENCE_TABLE, format!("{SEED}reference_tables: {{ r: {{ file: f.csv, <> }} }}\n")),
        (STATE_TABLE, format!("{SEED}state_tables: {{ s: {{ view: v, key: k, <> }} }}\n")),
        (OUTPUT, format!("{SEED}outputs: {{ o: {{ mode: replace, key: [a, b], parent: a, <> }} }}\n")),
        (REGISTRY, format!("{SEED}avro_framing: confluent\nschema_registry: {{ url: http://a, <> }}\n")),
        (DATABASE, format!("{HEAD}database: {{ host: h, user: u, name: n, <> }}\n")),
    ]
}

#[test]
fn the_keys_that_are_read_are_those_of_the_table() {
    for (keys, text) in sections() {
        let error = parse(&text.replace("<>", "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq: 1"));
        let error = error.expect_err("an unknown key").to_string();
        let (_, allowed) = error.split_once("allowed here: ").expect("a list of all keys");
        let allowed: BTreeSet<&str> = allowed.lines().next().expect("a line").split(", ").collect();
        assert_eq!(allowed, names(keys));
    }
}

#[test]
fn each_key_refuses_what_is_not_of_its_type_and_takes_each_of_its_words() {
    for (keys, text) in sections() {
        for key in keys {
            // The parts that are written already would be there twice.
            if text.contains(&format!("{}: ", key.name)) {
                continue;
            }
            let said = parse(&text.replace("<>", &format!("{}: [[[]]]", key.name))).map(|_| ());
            let said = said.expect_err(key.name).to_string();
            assert!(said.contains(key.name), "{}: {said}", key.name);
            let words = if let Kind::Choice(words) = key.kind { words } else { &[] };
            for word in words {
                let more = if *word == "avro" { "\navro_key_schema: k.avsc" } else { "" };
                let read = parse(&text.replace("<>", &format!("{}: {word}{more}", key.name)));
                assert!(read.is_ok(), "{}: {word}: {}", key.name, read.expect_err("a fault"));
            }
            if !words.is_empty() {
                let said = parse(&text.replace("<>", &format!("{}: zzz", key.name)));
                let said = said.map(|_| ()).expect_err(key.name).to_string();
                assert!(said.contains(&format!("expected {}", words.join(" or "))), "{said}");
            }
        }
    }
}

#[test]
fn the_configuration_that_ships_shows_each_key_with_its_default() {
    /// What the sample job has of its own.
    const OWN: [&str; 2] = ["reference_tables", "state_tables"];
    let text = std::fs::read_to_string("config.yaml").expect("it ships");
    let root = yaml::parse(&text).expect("YAML").expect("keys").to_json();
    let written: BTreeSet<&str> = root.as_object().expect("keys").keys().map(String::as_str).collect();
    assert_eq!(written, names(KEYS));
    for key in KEYS.iter().filter(|key| !OWN.contains(&key.name)) {
        if let Absent::Is(default) = key.absent {
            assert_eq!(root[key.name], yaml::to_json(default), "{}", key.name);
        }
    }
}

#[test]
fn the_page_of_the_configuration_says_what_the_table_says() {
    let page = std::fs::read_to_string("docs/configuration.md").expect("the page");
    let cell = |text: &str| if text.is_empty() { " ".to_owned() } else { format!(" {text} ") };
    let row = |key: &Key| {
        let default = match key.absent {
            Absent::Error => String::new(),
            Absent::Is(default) => format!("`{default}`"),
            Absent::Means(words) => words.to_owned(),
        };
        let reload = match key.reload {
            Reload::No => "",
            Reload::Yes => "yes",
            Reload::NewOnes => "new ones",
        };
        format!("| `{}` |{}|{}| {} |", key.name, cell(&default), cell(reload), key.meaning)
    };
    let (_, all) = page.split_once("## Every key\n").expect("a heading");
    let all = all.split("\n## ").next().unwrap_or(all).lines();
    let is_key = |line: &&str| line.starts_with("| `") && line.matches('|').count() == 5;
    let written: BTreeSet<String> = all.filter(is_key).map(str::to_owned).collect();
    assert_eq!(written, KEYS.iter().map(row).collect(), "the rows of docs/configuration.md");
    for (heading, keys) in [
        ("### A reference table", REFERENCE_TABLE),
        ("### A state table", STATE_TABLE),
        ("### An output", OUTPUT),
        ("### A schema registry", REGISTRY),
        ("## Database addresses", DATABASE),
    ] {
        let (_, section) = page.split_once(&format!("{heading}\n")).expect("a heading");
        let rows: Vec<&str> = section
            .lines()
            .skip_while(|line| !line.starts_with("| `"))
            .take_while(|line| line.starts_with("| `"))
            .collect();
        let expected: Vec<String> =
            keys.iter().map(|key| format!("| `{}` | {} |", key.name, key.meaning)).collect();
        assert_eq!(rows, expected, "{heading}");
    }
}

#[test]
fn the_schema_has_every_key_with_its_meaning_and_no_other() {
    fn check(schema: &Json, keys: &[Key]) {
        assert_eq!(schema["additionalProperties"], false);
        let properties = schema["properties"].as_object().expect("properties");
        assert_eq!(properties.keys().map(String::as_str).collect::<BTreeSet<_>>(), names(keys));
        for key in keys {
            let property = &properties[key.name];
            let meaning = property["description"].as_str().expect("a description");
            assert!(!meaning.is_empty() && !meaning.contains("]("), "{meaning}");
            let forms = property["anyOf"].as_array().expect("forms");
            let object = forms.iter().find(|form| form["type"] == "object");
            match key.kind {
                Kind::Section(keys) | Kind::Database(keys) => check(object.expect("a mapping"), keys),
                Kind::Named(keys) => {
                    check(&object.expect("a mapping")["additionalProperties"]["anyOf"][0], keys);
                }
                _ => {}
            }
        }
    }
    let schema = schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(
        schema["required"],
        serde_json::json!(["kafka_server", "kafka_topic", "avro_schema", "database"])
    );
    assert_eq!(schema["properties"]["memory_max"]["default"], "256MiB");
    assert_eq!(
        schema["properties"]["avro_framing"]["description"],
        "`raw`, `single_object` or `confluent`: Avro. A change needs a restart of the job."
    );
    check(&schema, KEYS);
}

#[test]
fn the_configuration_in_effect_is_the_same_configuration() {
    let nothing = |_: &str| None;
    let full = format!(
        "{SEED}avro_framing: confluent\nwriter_schemas: {{ 7: 'a#b.avsc' }}\njob: '0123'\nbatch_rows_max: 1_000\n\
         dead_letters_max_ratio: 0.25\ncreate_tables: false\nkafka_properties: {{ fetch.min.bytes: 1, enable.metrics.push: 'true' }}\n\
         schema_registry: {{ url: [http://a, http://b], timeout: 1s }}\nhttp: localhost:9464\n\
         reference_tables: {{ r: {{ query: 'SELECT \"a: b\" -- #', key: [a, b], matches: [[x, y], [v.x, v.y]] }} }}\n\
         state_tables: {{ s: {{ view: v, key: k, ttl: 90d, follows_partition: true }} }}\n\
         outputs: {{ plain: , o: {{ mode: replace, key: [a, b], parent: a, columns: {{ a: VARCHAR(9) }}, indexes: [[b]] }} }}\n"
    );
    let shipped = std::fs::read_to_string("config.yaml").expect("it ships");
    for text in [SEED, &shipped, &full] {
        let config = parse(text).expect("valid");
        let shown = config.effective(&nothing);
        let written = serde_yaml::to_string(&shown).expect("YAML");
        let again = parse(&written).unwrap_or_else(|error| panic!("{written}\n{error}"));
        assert_eq!(config.needs_restart(&again), [""; 0], "{written}");
        assert_eq!(format!("{config:?}"), format!("{again:?}"), "{written}");
        assert_eq!(again.effective(&nothing), shown);
        assert_eq!(shown.as_object().expect("keys").len(), KEYS.len());
    }
    let shown = parse(&full).expect("valid").effective(&nothing);
    assert_eq!(shown["batch_rows_max"], 1000);
    assert_eq!(shown["memory_max"], "256MiB");
    assert_eq!(shown["outputs"]["plain"]["mode"], "append");
    assert_eq!(shown["instance"], Json::Null);
}

#[test]
fn the_configuration_in_effect_shows_no_piece_of_a_secret() {
    let head = format!("{HEAD}avro_framing: confluent\n");
    for password in PASSWORDS {
        let variable = |name: &str| (name == "SECRET").then(|| password.to_owned());
        let literal = serde_json::to_string(&password.replace("${", "$${")).expect("text");
        let mut read = 0;
        for form in [
            "database: mysql://u:${SECRET}@h/n\n".to_owned(),
            "database: { host: h, user: u, name: n, password: '${SECRET}' }\n".to_owned(),
            format!("database: {{ host: h, user: u, name: n, password: {literal} }}\n"),
            "database: sqlite://a.db\nkafka_properties: { sasl.password: '${SECRET}', client.id: '${SECRET}' }\n".into(),
            format!("database: sqlite://a.db\nkafka_properties: {{ sasl.pasword: {literal}, ssl.key.pem: {literal} }}\n"),
            "database: sqlite://a.db\nhttp: 127.0.0.1:1\nhttp_token: '${SECRET}${SECRET}'\n".into(),
            "database: sqlite://a.db\nschema_registry: { url: http://a, username: u, password: '${SECRET}' }\n".into(),
            "database: sqlite://a.db\nschema_registry: { url: http://a, token: '${SECRET}' }\n".into(),
            "database: sqlite://a.db\nschema_registry: { url: http://a, token_url: http://o, client_id: c, client_secret: '${SECRET}' }\n".into(),
            "database: sqlite://a.db\nreference_tables: { r: { query: \"SELECT 'x://u:${SECRET}@h'\" } }\n".into(),
        ] {
            // Not every one of them may be a token.
            let Ok(config) = Config::parse(Path::new("config.yaml"), &format!("{head}{form}"), &variable) else {
                continue;
            };
            read += 1;
            let shown = config.effective(&variable);
            let shown = format!("{shown} {}", serde_yaml::to_string(&shown).expect("YAML"));
            assert!(shown.contains("***"), "{form}{shown}");
            hides(password, &shown, &form);
        }
        assert!(read >= 9, "{password}: {read} configurations were read");
    }
    let properties =
        "{ security.protocol: SASL_SSL, fetch.min.bytes: 1, session.timeout.ms: Zq7x, sasl.pasword: 1234 }";
    let text = format!("{head}database: sqlite://a.db\nkafka_properties: {properties}\n");
    let shown = parse(&text).expect("valid").effective(&|_| None);
    let expected = serde_json::json!({
        "security.protocol": "SASL_SSL",
        "fetch.min.bytes": "1",
        "session.timeout.ms": "***",
        "sasl.pasword": "***",
    });
    assert_eq!(shown["kafka_properties"], expected);
}
