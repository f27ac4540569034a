//! The examples of docs/sql.md, each a project of its own: those to copy pass their tests, however their messages are
//! cut, and have no warning; those not to copy are found, by their tests and by `check`. And the queries of
//! docs/coming-from-other-databases.md, each with its answer.

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

/// Runs the tests of an example, and checks it. What its configuration does not say is nothing, not what ships.
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
    for key in ["reference_tables", "state_tables"] {
        if !config.contains(key) {
            config.push_str(&format!("{key}: {{}}\n"));
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
