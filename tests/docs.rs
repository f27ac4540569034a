//! The examples of docs/sql.md, each a project of its own: those to copy pass their tests, however their messages are
//! cut, and have no warning; those not to copy are found, by their tests and by `check`. The rule of README.md, with its
//! input and output rows. And the queries of docs/coming-from-other-databases.md, each with its answer.

mod support;

use arrow::util::display::{ArrayFormatter, FormatOptions};
use realtime_processor::check::Findings;
use realtime_processor::diagnostic::{Code, Diagnostic, render};
use realtime_processor::sql::{QuerySession, Typed};
use realtime_processor::testing::{Report, Tests};
use support::Project;

/// A section with at least one example: its heading, and its files by their paths.
struct Example {
    heading: String,
    files: Vec<(String, String)>,
}

/// The sections of the page; a file is a line with its path in backticks, then a fenced block.
fn examples() -> Vec<Example> {
    let page = std::fs::read_to_string("docs/sql.md").expect("the page");
    let mut examples: Vec<Example> = Vec::new();
    let mut lines = page.lines();
    let mut path = None;
    while let Some(line) = lines.next() {
        if let Some(heading) = line.strip_prefix("## ").or_else(|| line.strip_prefix("### ")) {
            examples.push(Example { heading: heading.to_owned(), files: Vec::new() });
        } else if let Some(named) = line.strip_prefix('`').and_then(|line| line.strip_suffix("`:")) {
            path = Some(named.to_owned());
        } else if line.starts_with("```") {
            let text: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            let path = path.take().unwrap_or_else(|| panic!("a block without a path: {text:?}"));
            examples.last_mut().expect("a heading").files.push((path, text.join("\n") + "\n"));
        }
    }
    examples.retain(|example| !example.files.is_empty());
    examples
}

/// Runs the tests of an example, and checks it.
async fn run(example: &Example, schema: &str) -> (Report, Vec<Diagnostic>) {
    let mut files = vec![("schema.avsc", schema.to_owned())];
    let mut config = String::new();
    for (path, text) in &example.files {
        if path == "config.yaml" {
            config.push_str(text);
        } else {
            files.push((path, text.clone()));
        }
    }
    files.push(("config.yaml", config));
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let project = Project::new(&files);
    let tests = Tests::prepare(&project.config, &[]).await;
    let report = tests.unwrap_or_else(|error| panic!("{}: {error}", example.heading)).run().await;
    let findings = Findings::of(&project.folder.path().join("config.yaml"), true).await;
    (report, findings.diagnostics)
}

#[tokio::test]
async fn the_examples_do_what_the_page_says() {
    let examples = examples();
    let (first, examples) = examples.split_first().expect("examples");
    let [(path, schema)] = &first.files[..] else { panic!("the schema comes first") };
    assert_eq!(path, "schema.avsc");
    let (mut good, mut bad) = (0, 0);
    for example in examples {
        let (report, found) = run(example, schema).await;
        let told = render(&found);
        let (heading, text) = (&example.heading, report.render(false));
        assert!(report.tests() > 0, "{heading} has no test");
        // Below `What not to do`, headings say what is wrong.
        if example.heading.starts_with("A ") || example.heading.starts_with("Duplicates") {
            assert_eq!(report.failed(), report.tests(), "{heading} is not found:\n{text}");
            assert!(text.contains("depends on where batches are cut"), "{heading}: another fault:\n{text}");
            let is_of_cuts = |found: &Diagnostic| matches!(found.code, Code::CutDependent | Code::NoOrder);
            assert!(found.iter().any(is_of_cuts), "{heading} is not warned of:\n{told}");
            bad += 1;
        } else {
            assert_eq!(report.failed(), 0, "{heading}:\n{text}");
            assert_eq!(told, "", "{heading} is warned of");
            good += 1;
        }
    }
    assert!(good >= 8 && bad >= 4, "{good} patterns and {bad} mistakes were run");
}

/// The first table after `mark`, its header first.
fn table(page: &str, mark: &str) -> Vec<Vec<String>> {
    let (_, rest) = page.split_once(mark).unwrap_or_else(|| panic!("the page has `{mark}`"));
    let lines =
        rest.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    lines.filter(|line| !line.starts_with("|--")).map(cells).collect()
}

/// The rows of a table as a list of YAML.
fn yaml_rows(table: &[Vec<String>]) -> String {
    let value = |cell: &str| match cell.parse::<f64>() {
        Ok(_) => cell.to_owned(),
        Err(_) => format!("\"{cell}\""),
    };
    let row = |row: &Vec<String>| {
        let pairs = table[0].iter().zip(row).map(|(name, cell)| format!("{name}: {}", value(cell)));
        format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
    };
    format!("[{}]", table[1..].iter().map(row).collect::<Vec<_>>().join(", "))
}

#[tokio::test]
async fn the_rule_of_the_readme_has_the_rows_that_it_shows() {
    let page = std::fs::read_to_string("README.md").expect("the README");
    let (_, rule) = page.split_once("```sql\n").expect("a rule");
    let (rule, _) = rule.split_once("```").expect("its end");
    let accounts = table(&page, "The reference table `accounts`");
    let accounts: String = accounts.iter().map(|row| row.join(",") + "\n").collect();
    let (messages, rows) =
        (table(&page, "SQL sees the messages from Kafka"), table(&page, "New rows in the MySQL table"));
    assert!(messages.len() > 2 && rows.len() > 1, "there are rows");
    let (messages, rows) = (yaml_rows(&messages), yaml_rows(&rows));
    let test = format!("- name: the rule\n  messages: {messages}\n  expect: {{ loan_offers: {rows} }}\n");
    let config =
        "reference_tables: { accounts: { file: accounts.csv, key: customer_id, matches: customer } }\n";
    let files = [
        ("config.yaml", config),
        ("accounts.csv", accounts.as_str()),
        ("sql/loan_offers.sql", rule),
        ("sql/tests/rule.yaml", test.as_str()),
    ];
    let files = files.map(|(path, text)| (path.to_owned(), text.to_owned())).into();
    let schema = std::fs::read_to_string("schemas/customer.avsc").expect("it ships");
    let (report, found) = run(&Example { heading: "README.md".into(), files }, &schema).await;
    assert_eq!((report.tests(), report.failed()), (1, 0), "{test}\n{}", report.render(false));
    assert_eq!(render(&found), "", "the rule is warned of");
}

/// The queries of docs/coming-from-other-databases.md, each with the answer that the page gives.
fn queries() -> Vec<(String, String)> {
    let page = std::fs::read_to_string("docs/coming-from-other-databases.md").expect("the page");
    let mut is_sql = false;
    let mut queries = Vec::new();
    for line in page.lines() {
        if line.starts_with("```") {
            is_sql = line == "```sql";
        } else if is_sql {
            let (query, answer) = line.split_once(";").expect("a query ends with a semicolon");
            let answer = answer.trim().strip_prefix("-- ").unwrap_or_else(|| panic!("no answer: {line}"));
            queries.push((query.to_owned(), answer.to_owned()));
        }
    }
    queries
}

async fn answer(session: &QuerySession, query: &str) -> String {
    let typed = Typed::parse("query", query, query).unwrap_or_else(|errors| panic!("{errors:?}"));
    let plan = session.plan(&typed).await.unwrap_or_else(|errors| panic!("{errors:?}"));
    let options = FormatOptions::default().with_null("NULL");
    let (mut rows, mut texts) = (plan.run(), Vec::new());
    while let Some(batch) = rows.next().await.unwrap_or_else(|error| panic!("{query}: {error}")) {
        for row in 0..batch.num_rows() {
            let values = batch.columns().iter().map(|column| {
                let formatter = ArrayFormatter::try_new(column, &options).expect("a printable column");
                formatter.value(row).to_string()
            });
            texts.push(values.collect::<Vec<_>>().join(", "));
        }
    }
    texts.join("; ")
}

#[tokio::test]
async fn what_is_different_from_other_databases_is_as_the_page_says() {
    let session = QuerySession::new(64 << 20).expect("a session");
    let queries = queries();
    assert!(queries.len() >= 20, "{} queries", queries.len());
    let mut wrong = Vec::new();
    for (query, expected) in queries {
        let found = answer(&session, &query).await;
        if found != expected {
            wrong.push(format!("{query}: {found}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
