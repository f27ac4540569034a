//! What the documents say of the program, compared with the program: every command line in them is one that it takes, every
//! key of the configuration and every command is described, and the defaults are the defaults.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::error::ErrorKind;
use realtime_processor::cli::definition;
use realtime_processor::config::Config;

const PROGRAM: &str = "realtime-processor";

/// The documents for people, with their paths from the root.
fn documents() -> Vec<(PathBuf, String)> {
    let mut paths: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"].map(PathBuf::from).into();
    let pages = fs::read_dir("docs").expect("the manual").map(|entry| entry.expect("an entry").path());
    paths.extend(pages.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).expect("UTF-8"))).collect()
}

fn page(name: &str) -> String {
    fs::read_to_string(format!("docs/{name}.md")).expect("the page")
}

/// Text in single backticks.
fn in_backticks(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// A command line as a shell takes it apart, up to a comment, a pipe or the end of the command.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for character in line.chars() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, '|' | '>' | '<' | '&' | ';') => break,
            (None, '#') if word.is_none() => break,
            (None, ' ') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

/// The command lines of this program in a document: in code blocks (`$ ` and `\` at the end of a line are a shell's) and in
/// backticks.
fn command_lines(text: &str) -> Vec<String> {
    let (whole, begins) = (text.replace("\\\n", " "), format!("{PROGRAM} "));
    let (mut is_fenced, mut found) = (false, Vec::new());
    for line in whole.lines() {
        let code = line.trim_start();
        if code.starts_with("```") {
            is_fenced = !is_fenced;
        }
        let codes: Vec<&str> = match is_fenced || line.starts_with("    ") {
            true => vec![code.strip_prefix("$ ").unwrap_or(code)],
            false => in_backticks(line).collect(),
        };
        found.extend(codes.into_iter().filter(|code| code.starts_with(&begins)).map(str::to_owned));
    }
    found
}

/// What is wrong with a command line of this program.
fn refused(line: &str) -> Option<String> {
    let error = definition().try_get_matches_from(words(line)).err()?;
    let is_help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    (!is_help).then(|| format!("{line}: {error}"))
}

#[test]
fn every_command_line_in_the_documents_is_one_that_the_program_takes() {
    let (mut lines, mut wrong) = (0, Vec::new());
    for (path, text) in documents() {
        for line in command_lines(&text) {
            lines += 1;
            wrong.extend(refused(&line).map(|error| format!("{}: {error}", path.display())));
        }
    }
    assert!(lines > 50, "{lines} command lines were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn command_lines_are_found_and_faults_of_them_too() {
    let text = "Run `realtime-processor test --watch`:\n\n    $ realtime-processor sql -c 'SELECT 1; # no comment' \\\n      \
                --rows 3 | head   # a comment\n\nrealtime-processor is a program.\n";
    let found = command_lines(text);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0], "realtime-processor test --watch");
    let expected = ["realtime-processor", "sql", "-c", "SELECT 1; # no comment", "--rows", "3"];
    assert_eq!(words(&found[1]), expected);
    assert!(found.iter().all(|line| refused(line).is_none()));
    for wrong in ["realtime-processor tset", "realtime-processor test --wacth", "realtime-processor produce"]
    {
        assert!(refused(wrong).is_some(), "{wrong}");
    }
}

/// Flags of commands, of scripts and of Cargo.
#[test]
fn every_flag_in_the_documents_exists() {
    fn flags(command: &clap::Command, known: &mut BTreeSet<String>) {
        known.extend(
            command.get_arguments().filter_map(|argument| Some(format!("--{}", argument.get_long()?))),
        );
        command.get_subcommands().for_each(|command| flags(command, known));
    }
    let mut known: BTreeSet<String> =
        ["--help", "--release", "--profile", "--locked", "--features", "--bench", "--lib", "--test"]
            .map(str::to_owned)
            .into();
    flags(&definition(), &mut known);
    let scripts = fs::read_dir("scripts").expect("the scripts").map(|entry| entry.expect("an entry").path());
    let tools = scripts.chain(
        ["compare/arguments.py", "tests/differential/__main__.py", "tests/blackbox/chaos/run.py"]
            .map(PathBuf::from),
    );
    let tools: String = tools.filter_map(|tool| fs::read_to_string(tool).ok()).collect();
    let mut wrong = Vec::new();
    for (path, text) in documents() {
        for flag in text.lines().flat_map(in_backticks).flat_map(str::split_whitespace) {
            let flag = flag.split(['=', ',']).next().unwrap_or(flag);
            if flag.len() > 2 && flag.starts_with("--") && !known.contains(flag) && !tools.contains(flag) {
                wrong.push(format!("{}: {flag}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "flags that nothing takes: {wrong:#?}");
}

/// A name reaches every process that has it: other jobs, and prompts.
#[test]
fn signals_in_the_documents_go_to_a_process_id() {
    let (mut signals, mut wrong) = (0, Vec::new());
    for (path, text) in documents() {
        let place = path.display();
        let by_name = ["pidof", "pgrep", "pkill", "killall"].into_iter().filter(|tool| text.contains(tool));
        wrong.extend(by_name.map(|tool| format!("{place}: {tool}")));
        for (at, _) in text.match_indices("kill -") {
            let command = text[at..].lines().next().unwrap_or_default();
            let target = command.splitn(3, ' ').nth(2).unwrap_or_default();
            let is_id = ["PID", "$MAINPID", "\"$(cat "].iter().any(|id| target.starts_with(id));
            wrong.extend((!is_id).then(|| format!("{place}: {command}")));
            signals += 1;
        }
    }
    assert!(signals > 2, "{signals} signals were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_command_is_on_the_page_of_commands() {
    let page = page("commands");
    let missing: Vec<String> = definition()
        .get_subcommands()
        .map(|command| format!("| `{PROGRAM} {}", command.get_name()))
        .filter(|begins| !page.contains(begins.as_str()))
        .collect();
    assert!(missing.is_empty(), "docs/commands.md has no row for {missing:?}");
}

/// Commands of the prompt, with their backslash.
#[test]
fn every_command_of_the_prompt_in_its_page_exists() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("config.yaml");
    let schema = Path::new("schemas/customer.avsc").canonicalize().expect("it ships");
    let text =
        format!("{}avro_schema: {}\n", minimal().replace("avro_schema: s.avsc\n", ""), schema.display());
    fs::write(&config, text).expect("written");
    fs::create_dir(folder.path().join("sql")).expect("created");
    fs::write(folder.path().join("sql/v.sql"), "SELECT customer FROM batch").expect("written");
    let help = Command::new(env!("CARGO_BIN_EXE_realtime-processor"))
        .args(["--config", &config.to_string_lossy(), "sql", "-c", "\\?"])
        .output()
        .expect("started");
    let help = String::from_utf8(help.stdout).expect("UTF-8");
    let known: BTreeSet<&str> = help.split_whitespace().filter(|word| word.starts_with('\\')).collect();
    assert!(known.contains("\\diff"), "the help lists commands: {help}");
    let page = page("prompt");
    let named: BTreeSet<&str> = page
        .lines()
        .flat_map(in_backticks)
        .filter_map(|code| code.split_whitespace().next())
        .filter(|word| word.starts_with('\\'))
        .collect();
    let unknown: Vec<&&str> = named.difference(&known).collect();
    assert!(named.len() > 10 && unknown.is_empty(), "{unknown:?} of {named:?}");
}

fn minimal() -> String {
    "kafka_server: k:1\nkafka_topic: t\navro_schema: s.avsc\ndatabase: sqlite://x.db\n".to_owned()
}

fn parsed(more: &str) -> Result<Config, String> {
    let config = Config::parse(Path::new("config.yaml"), &format!("{}{more}", minimal()), &|_: &str| None);
    config.map_err(|error| error.to_string())
}

/// The keys that are allowed at the top level, as an error lists them.
fn allowed() -> BTreeSet<String> {
    let error = parsed("qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq: 1\n").expect_err("an unknown key");
    let (_, list) = error.split_once("allowed here: ").unwrap_or_else(|| panic!("no list in: {error}"));
    list.lines().next().unwrap_or_default().split(", ").map(str::to_owned).collect()
}

/// The rows of docs/configuration.md that are of keys at the top level: each cell as it is written.
fn every_key() -> Vec<Vec<String>> {
    let page = page("configuration");
    let (_, all) = page.split_once("## Every key\n").expect("a heading");
    let all = all.split("\n## ").next().unwrap_or(all);
    let cells = |line: &str| {
        let cells = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned());
        cells.collect::<Vec<_>>()
    };
    let rows = all.lines().filter(|line| line.starts_with("| `")).map(cells);
    rows.filter(|cells| cells.len() == 4).collect()
}

/// The code blocks of a document, fenced or indented, without their indentation.
fn blocks(text: &str) -> Vec<String> {
    let mut blocks: Vec<String> = Vec::new();
    let (mut is_fenced, mut indent) = (false, None);
    for line in text.lines() {
        let is_fence = line.trim_start().starts_with("```");
        is_fenced ^= is_fence;
        let is_code = !is_fence && (is_fenced || line.starts_with("    "));
        match (is_code, indent) {
            (false, _) => indent = None,
            (true, None) => {
                indent = Some(line.len() - line.trim_start().len());
                blocks.push(String::new());
            }
            (true, Some(_)) => {}
        }
        if let (true, Some(indent), Some(block)) = (is_code, indent, blocks.last_mut()) {
            block.push_str(line.get(indent..).unwrap_or_default());
            block.push('\n');
        }
    }
    blocks
}

#[test]
fn every_piece_of_configuration_in_the_documents_is_valid() {
    let keys = allowed();
    let key =
        |line: &str| line.split_once(':').map(|(key, _)| key.to_owned()).filter(|key| keys.contains(key));
    let (mut pieces, mut wrong) = (0, Vec::new());
    for (path, text) in documents() {
        let blocks = blocks(&text).into_iter().filter(|block| block.lines().next().and_then(key).is_some());
        for block in blocks {
            let written: BTreeSet<String> = block.lines().filter_map(key).collect();
            let rest = minimal();
            let rest = rest.lines().filter(|line| key(line).is_none_or(|key| !written.contains(&key)));
            let rest: String = rest.map(|line| format!("{line}\n")).collect();
            // A file with a password is not there.
            let text =
                format!("{rest}{}", block.replace("password_file: /run/secrets/db", "password: secret"));
            let config = Config::parse(Path::new("config.yaml"), &text, &|_: &str| {
                Some("the-value-of-a-variable".to_owned())
            });
            wrong.extend(config.err().map(|error| format!("{}: {block}{error}", path.display())));
            pieces += 1;
        }
    }
    assert!(pieces > 10, "{pieces} pieces were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A value of each key that differs from its default.
const OTHER_VALUES: &[(&str, &str)] = &[
    ("job", "other"),
    ("instance", "one"),
    ("starting_offsets", "latest"),
    ("lost_data", "continue"),
    ("kafka_properties", "{ client.id: x }"),
    ("avro_framing", "confluent"),
    ("avro_writer_schema", "old.avsc"),
    ("writer_schemas", "{ 1: old.avsc }\navro_framing: confluent"),
    ("tombstones", "skip"),
    ("key_format", "text"),
    ("avro_key_schema", "key.avsc\nkey_format: avro"),
    ("create_tables", "none"),
    ("bulk_load", "off"),
    ("write_connections", "2"),
    ("sql", "views"),
    ("reload", "watch"),
    ("reference_tables", "{ r: { file: f.csv } }"),
    ("state_tables", "{ s: { view: v, key: k } }"),
    ("outputs", "{ v: {} }"),
    ("trigger_interval", "1s"),
    ("batch_rows_max", "7"),
    ("batch_bytes_max", "1MiB"),
    ("memory_max", "1GiB"),
    ("dead_letters_max_ratio", "0.5"),
    ("dead_letters_window", "2000"),
    ("schema_registry", "{ url: http://127.0.0.1:8081 }\navro_framing: confluent"),
    ("http", "127.0.0.1:9464"),
    ("http_token", "0123456789abcdef\nhttp: 127.0.0.1:9464"),
    ("sensitive", "[customer]"),
];

#[test]
fn defaults_and_what_a_reload_takes_are_as_the_page_says() {
    // What a reload can take over of state tables and outputs are new ones: both must be written already.
    let written = "state_tables: { t: { view: w, key: k } }\noutputs: { w: {} }\n";
    let mut seen = BTreeSet::new();
    for cells in every_key() {
        let key = cells[0].trim_matches('`').to_owned();
        let (default, reload) = (cells[1].as_str(), cells[2].as_str());
        if default.is_empty() {
            assert!(minimal().contains(&format!("{key}:")), "{key} has no default on the page");
            continue;
        }
        if let Some(default) = default.strip_prefix('`').and_then(|default| default.strip_suffix('`')) {
            let (said, unsaid) = (parsed(&format!("{key}: {default}\n")), parsed(""));
            let (said, unsaid) = (said.expect("the default is allowed"), unsaid.expect("it is valid"));
            let kafka = |config: &Config| {
                let kafka = &config.kafka;
                format!("{:?} {:?} {:?} {config:?}", kafka.starting_offsets, kafka.lost_data, kafka.instance)
            };
            assert_eq!(kafka(&said), kafka(&unsaid), "{key}: {default} is its default");
        }
        let other = OTHER_VALUES.iter().find(|(known, _)| *known == key);
        let (_, other) = other.unwrap_or_else(|| panic!("{key}: OTHER_VALUES has another value of it"));
        let (before, after) = match reload {
            "new ones" => {
                let (name, more) = if key == "outputs" {
                    ("w: {}", "w: {}, v: {}")
                } else {
                    ("t:", "s: { view: v, key: k }, t:")
                };
                (parsed(written), parsed(&written.replacen(name, more, 1)))
            }
            _ => (parsed(""), parsed(&format!("{key}: {other}\n"))),
        };
        let (before, after) =
            (before.expect("valid"), after.unwrap_or_else(|error| panic!("{key}: {error}")));
        let refused = before.needs_restart(&after);
        assert_eq!(refused.is_empty(), !reload.is_empty(), "{key}: a reload refuses {refused:?}");
        seen.insert(key);
    }
    assert_eq!(seen.len(), OTHER_VALUES.len(), "every key was compared");
}

/// What `config` prints is a configuration, and the same one.
#[test]
fn the_configuration_in_effect_is_accepted_and_shows_no_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    let schema = fs::read_to_string("schemas/customer.avsc").expect("it ships");
    fs::create_dir(folder.path().join("sql")).expect("created");
    write("s.avsc", &schema);
    write("sql/v.sql", "SELECT customer, kafka_partition, kafka_offset FROM batch");
    write("config.yaml", &format!("{}batch_rows_max: ${{ROWS}}\noutputs: {{ v: }}\n", minimal()));
    let run = |config: &str, arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_realtime-processor"));
        command.current_dir(folder.path()).env("ROWS", "7").env("SECRET", "Zq7x@Wv9k");
        let done = command.args(["--config", config]).args(arguments).output().expect("started");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        (done.status.code(), text(done.stdout), text(done.stderr))
    };
    let (code, yaml, error) = run("config.yaml", &["config"]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    assert!(yaml.contains("\nbatch_rows_max: 7\n") && yaml.contains("\nmemory_max: 256MiB\n"), "{yaml}");
    write("effective.yaml", &yaml);
    let (code, _, error) = run("effective.yaml", &["check", "--offline"]);
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(run("effective.yaml", &["config"]).1, yaml);
    let (_, json, _) = run("effective.yaml", &["config", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&json["batch_rows_max"], &json["outputs"]["v"]["mode"]), (&7.into(), &"append".into()));
    let (code, schema, _) = run("absent.yaml", &["config", "--schema"]);
    let schema: serde_json::Value = serde_json::from_str(&schema).expect("JSON");
    assert_eq!((code, &schema["properties"]["reload"]["default"]), (Some(0), &"signal".into()));
    let secret = minimal().replace("sqlite://x.db", "mysql://u:${SECRET}@h/n");
    write("secret.yaml", &secret);
    let (code, yaml, error) = run("secret.yaml", &["config"]);
    assert!(code == Some(0) && yaml.contains("password: '***'") && !yaml.contains("Zq7x"), "{yaml}{error}");
    write("wrong.yaml", &format!("{secret}http: nowhere\n"));
    assert_eq!(run("wrong.yaml", &["config"]).0, Some(78));
}

/// The codes of findings below a heading, with their meanings, as `src/diagnostic.rs` has them.
fn codes(heading: &str) -> Vec<String> {
    let source = fs::read_to_string("src/diagnostic.rs").expect("the codes");
    let (_, list) = source.split_once("pub enum Code {").expect("the enum");
    let (list, _) = list.split_once("\n}").expect("its end");
    let (_, list) = list.split_once(&format!("// {heading}.\n")).expect("a heading");
    let lines = list.lines().map(str::trim).take_while(|line| !line.starts_with("// "));
    let (mut meaning, mut rows) = (Vec::new(), Vec::new());
    for line in lines {
        match (line.strip_prefix("/// "), line.strip_suffix(',')) {
            (Some(words), _) => meaning.push(words),
            (None, Some(name)) => {
                let dashed = name.chars().enumerate().map(|(place, letter)| {
                    match letter.is_uppercase() && place > 0 {
                        true => format!("-{}", letter.to_ascii_lowercase()),
                        false => letter.to_ascii_lowercase().to_string(),
                    }
                });
                rows.push(format!("| `{}` | {} |", dashed.collect::<String>(), meaning.join(" ")));
                meaning.clear();
            }
            _ => {}
        }
    }
    rows
}

#[test]
fn every_code_of_a_finding_is_on_the_page_of_messages() {
    let page = page("messages");
    for heading in ["Errors", "Warnings"] {
        let (_, rest) = page.split_once(&format!("## {heading}\n")).expect("a heading");
        let section = rest.split("\n## ").next().unwrap_or(rest);
        let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| `")).collect();
        let expected = codes(heading);
        assert!(expected.len() > 10 && expected.iter().all(|row| !row.ends_with("|  |")), "{expected:#?}");
        assert_eq!(rows, expected, "docs/messages.md, {heading}");
    }
}
