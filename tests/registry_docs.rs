//! docs/registry.md, word by word: its files are written, its commands are run in their order, and they print what the page
//! says.

mod registry_support;

use std::path::Path;
use std::process::{Command, Stdio};

use rdkafka::mocking::MockCluster;

use registry_support::FakeRegistry;

const MOVEMENT: &str = r#"{"type": "record", "name": "movement", "fields": [
    {"name": "customer", "type": "int"}, {"name": "amount", "type": "double"}]}"#;

/// What the page has for its reader to do.
#[derive(Debug)]
enum Step {
    File {
        path: String,
        text: String,
    },
    /// A command, and what it prints.
    Command {
        line: String,
        prints: String,
    },
}

fn steps(page: &str) -> Vec<Step> {
    let (mut steps, mut path) = (Vec::new(), None);
    let mut lines = page.lines().map(str::trim_end);
    while let Some(line) = lines.next() {
        let indent = line.len() - line.trim_start().len();
        let text = line.trim_start();
        if let Some(named) = text.strip_prefix('`').and_then(|line| line.strip_suffix("`:")) {
            path = Some(named.to_owned());
        } else if let Some(language) = text.strip_prefix("```") {
            let block = lines.by_ref().map(|line| line.get(indent..).unwrap_or_default());
            let block: Vec<&str> = block.take_while(|line| *line != "```").collect();
            if language == "console" {
                steps.extend(commands(&block));
            } else {
                let path = path.take().unwrap_or_else(|| panic!("a block without a path: {block:?}"));
                steps.push(Step::File { path, text: block.join("\n") + "\n" });
            }
        }
    }
    steps
}

fn commands(block: &[&str]) -> Vec<Step> {
    let mut found = Vec::new();
    for line in block {
        match (line.strip_prefix("$ "), found.last_mut()) {
            (Some(command), _) => {
                found.push(Step::Command { line: command.to_owned(), prints: String::new() });
            }
            (None, Some(Step::Command { prints, .. })) => prints.push_str(&format!("{line}\n")),
            _ => panic!("an output without a command: {line}"),
        }
    }
    found
}

fn registry() -> FakeRegistry {
    let registry = FakeRegistry::start();
    let version = |subject: &str, version: u32, id: u32, schema: &str| {
        let schema = serde_json::Value::from(schema);
        format!(r#"{{"subject": "{subject}", "version": {version}, "id": {id}, "schema": {schema}}}"#)
    };
    registry.answer("/subjects", r#"["movements-value", "accounts-value"]"#);
    let movements = version("movements-value", 2, 42, MOVEMENT);
    registry.answer("/subjects/movements-value/versions/latest", &movements);
    registry.answer("/subjects/movements-value", &movements);
    registry.answer("/subjects/accounts-value/versions/latest", &version("accounts-value", 1, 11, "\"int\""));
    registry.answer("/compatibility/subjects/movements-value/versions/latest", r#"{"is_compatible": true}"#);
    registry.schema(42, MOVEMENT, "");
    registry
}

/// Runs a line of a shell; its stdout, if it ends well.
fn run(folder: &Path, line: &str) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_realtime-processor"));
    let path = std::env::var("PATH").unwrap_or_default();
    let folder_of_program = program.parent().expect("a folder").display().to_string();
    let done = Command::new("sh")
        .args(["-c", line])
        .current_dir(folder)
        .env("PATH", format!("{folder_of_program}:{path}"))
        .stdin(Stdio::null())
        .output()
        .expect("a shell");
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{line}: {}\n{out}\n{err}", done.status);
    out.into_owned()
}

#[test]
fn the_page_leads_from_an_address_to_rows() {
    let page = std::fs::read_to_string("docs/registry.md").expect("the page");
    let broker = MockCluster::new(1).expect("a broker");
    broker.create_topic("movements", 1, 1).expect("a topic");
    let registry = registry();
    let folder = tempfile::tempdir().expect("a folder");
    let (mut files, mut commands) = (0, 0);
    for step in steps(&page) {
        match step {
            Step::File { path, text } => {
                let text = text.replace("http://127.0.0.1:8081", &registry.url);
                let text = text.replace("127.0.0.1:9092", &broker.bootstrap_servers());
                std::fs::write(folder.path().join(path), text).expect("written");
                files += 1;
            }
            Step::Command { line, prints } => {
                let found = run(folder.path(), &line);
                assert!(prints.is_empty() || found == prints, "{line} prints\n{found}instead of\n{prints}");
                commands += 1;
            }
        }
    }
    assert!(files >= 3 && commands >= 8, "{files} files and {commands} commands");
    assert_eq!(registry.count("/schemas/ids/42"), 1);
}

#[test]
fn what_schema_and_produce_say_when_something_is_wrong() {
    let registry = registry();
    let folder = tempfile::tempdir().expect("a folder");
    let schema = |fields: &str| {
        let text = format!(r#"{{"type": "record", "name": "movement", "fields": [{fields}]}}"#);
        std::fs::write(folder.path().join("schema.avsc"), text).expect("written");
    };
    let config = format!(
        "kafka_server: 127.0.0.1:1\nkafka_topic: movements\navro_schema: schema.avsc\navro_framing: confluent\n\
         schema_registry: {{ url: {} }}\ndatabase: sqlite://out.db\n",
        registry.url
    );
    std::fs::write(folder.path().join("config.yaml"), config).expect("written");
    std::fs::write(folder.path().join("one.json"), r#"{"customer": 1}"#).expect("written");
    let run = |arguments: &str| {
        let done = Command::new(env!("CARGO_BIN_EXE_realtime-processor"))
            .args(arguments.split(' '))
            .current_dir(folder.path())
            .output()
            .expect("it starts");
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    // A field that writers send and the project does not read: a warning.
    schema(r#"{"name": "customer", "type": "int"}"#);
    let (code, said) = run("schema check");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("version 2 of `movements-value` (id 42) has the field `amount`"), "{said}");
    // A field that cannot be read: an error.
    schema(r#"{"name": "customer", "type": "int"}, {"name": "branch", "type": "string"}"#);
    registry.answer(
        "/compatibility/subjects/movements-value/versions/latest",
        r#"{"is_compatible": false, "messages": ["branch has no default"]}"#,
    );
    let (code, said) = run("schema check");
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("messages of version 2 of `movements-value` (id 42) cannot be read"), "{said}");
    assert!(
        said.contains("could not become the next version") && said.contains("branch has no default"),
        "{said}"
    );
    // Nothing is registered by itself.
    let (code, said) = run("produce one.json --subject nowhere");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("has no version with this schema") && said.contains("--register"), "{said}");
    let (code, said) = run("schema pull nowhere");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("the registry has no subject `nowhere`: Schema not found (40403)"), "{said}");
    // A registry that is away is no fault of the project.
    registry.is(registry_support::Mood::Status(503));
    let (code, said) = run("schema check");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("answers with status 503"), "{said}");
}

/// Every way to fail with every way to log in, at the most talkative: the secrets are nowhere.
#[test]
fn no_failing_path_shows_a_secret() {
    use base64::Engine as _;
    use registry_support::Mood;
    const SECRET: &str = "hunter2-of-the-bank";
    let coded = base64::engine::general_purpose::STANDARD.encode(format!("u:{SECRET}"));
    let client = base64::engine::general_purpose::STANDARD.encode(format!("c:{SECRET}"));
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("schema.avsc"), MOVEMENT).expect("written");
    std::fs::write(folder.path().join("secret"), SECRET).expect("written");
    let moods = [
        Mood::Status(401),
        Mood::Status(403),
        Mood::Status(404),
        Mood::Status(500),
        Mood::Cut,
        Mood::CutHalfWay,
        Mood::Html,
        Mood::Redirects,
    ];
    let logins = [
        format!("username: u, password: {SECRET}"),
        "username: u, password_file: secret".to_owned(),
        format!("token: {SECRET}"),
        "token: '${SECRET}'".to_owned(),
        format!("token_url: URL/token, client_id: c, client_secret: {SECRET}"),
        "username: u, password_file: nowhere".to_owned(),
        format!("username: u, password: {SECRET}, token: {SECRET}"),
        format!("username: u, pasword: {SECRET}"),
    ];
    let mut runs = 0;
    for login in &logins {
        for mood in moods {
            let registry = registry();
            registry.answer("/token", &format!(r#"{{"access_token": "{SECRET}"}}"#));
            registry.is(mood);
            registry.is_ill_for("/token", login.contains("token_url").then_some(Mood::Good));
            let login = login.replace("URL", &registry.url);
            let config = format!(
                "kafka_server: 127.0.0.1:1\nkafka_topic: movements\navro_schema: schema.avsc\n\
                 avro_framing: confluent\nschema_registry: {{ url: {}, timeout: 1s, {login} }}\n\
                 database: sqlite://out.db\n",
                registry.url
            );
            std::fs::write(folder.path().join("config.yaml"), config).expect("written");
            let command = if runs % 2 == 0 { "list" } else { "check" };
            let done = Command::new(env!("CARGO_BIN_EXE_realtime-processor"))
                .args(["schema", command])
                .current_dir(folder.path())
                .env("RUST_LOG", "debug")
                .env("SECRET", SECRET)
                .output()
                .expect("it starts");
            let said =
                [String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr)].concat();
            assert!(!done.status.success(), "{login}, {mood:?}: {said}");
            for secret in [SECRET, &coded, &client] {
                assert!(!said.contains(secret), "{login}, {mood:?}: {said}");
            }
            runs += 1;
        }
    }
    assert_eq!(runs, logins.len() * moods.len());
}
