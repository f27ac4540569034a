//! The rows of state and reference tables beside a batch: as the database has them, the same for both sides of a difference,
//! and state as of before the batch.

use rdkafka::mocking::MockCluster;

use super::*;
use crate::database::{Connection, Purpose};
use crate::prompt::StateOf;

#[tokio::test]
async fn state_is_read_as_the_database_has_it() {
    let views = [(
        "next_seen",
        "SELECT b.customer, max(coalesce(s.times, 0)) + count(*) AS times FROM batch b \
                   LEFT JOIN seen s ON s.customer = b.customer GROUP BY b.customer",
    )];
    let more = "state_tables: { seen: { view: next_seen, key: customer } }\noutputs: {}\n";
    let mut project = Project::with(&views, more).await;
    let query = "SELECT * FROM next_seen ORDER BY customer";
    assert!(project.asked(query).await.contains("        1 |     2"));
    assert!(!project.path("out.db").exists());
    let address = project.shell.session.config.database.clone();
    let mut database = Connection::open(&address, Purpose::Write { create: true }).await.unwrap();
    database
        .run("CREATE TABLE seen (customer INTEGER PRIMARY KEY, times INTEGER, _version INTEGER, _message_time TEXT)")
        .await
        .unwrap();
    database.run("INSERT INTO seen VALUES (1, 40, 7, NULL), (9, 1, 1, NULL)").await.unwrap();
    let answer = project.asked(&format!("\\reload\n{query}; SELECT * FROM seen")).await;
    assert!(answer.contains("        1 |    42") && answer.contains("        1 |    40"), "{answer}");
    assert!(!answer.contains("        9 "), "only the keys of the batch: {answer}");
}

const WHO: (&str, &str) =
    ("who", "SELECT b.customer, p.name FROM batch b LEFT JOIN people p ON p.id = b.customer");

#[tokio::test]
async fn both_sides_of_a_difference_see_the_same_rows_of_reference_tables() {
    // Each batch asks for its rows again.
    let more = "  people: { table: people, key: id, matches: customer, refresh_interval: 0ms }\n";
    let mut project = Project::with(&[WHO], more).await;
    let address = project.shell.session.config.database.clone();
    let mut database = Connection::open(&address, Purpose::Write { create: true }).await.unwrap();
    for statement in [
        "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT)",
        "INSERT INTO people VALUES (1, 'José'), (2, 'Ana')",
    ] {
        database.run(statement).await.unwrap();
    }
    project.asked("\\reload").await;
    let answer = project.asked("SELECT * FROM who").await;
    assert!(answer.contains("1 | José") && answer.contains("2 | Ana"), "{answer}");
    // The table changes when one side is computed, and the other is not yet.
    database.run("UPDATE people SET name = 'Eva'").await.unwrap();
    let session = &mut project.shell.session;
    let files = session.started.clone();
    let (other, _) = session.compute_with(files).await.unwrap();
    let one = session.computed.as_ref().unwrap();
    assert_eq!(other.relations["who"].rows, one.relations["who"].rows);
    // The view is edited as well: only the edit shows.
    std::fs::write(project.path("sql/who.sql"), format!("{} WHERE b.customer = 1", WHO.1)).unwrap();
    let difference = project.asked("\\diff who").await;
    assert!(difference.contains("- |        2 | Eva") && difference.contains("(1 row)"), "{difference}");
}

#[tokio::test]
async fn state_before_a_batch_is_refused_with_the_reason_if_it_cannot_be_computed() {
    let broker = MockCluster::new(1).unwrap();
    broker.create_topic("t", 1, 1).unwrap();
    let late = r#"{"customer":1,"value":1.0,"kafka_topic":"t","kafka_offset":6000000}"#;
    for (offsets, reason) in [
        ("latest", "the job began at the latest offsets, and where those were is not known"),
        ("earliest", "6000000 messages come before the batch; the limit is 5000000"),
    ] {
        let more = format!(
            "starting_offsets: {offsets}\nstate_tables: {{ seen: {{ view: next_seen, key: customer }} }}\noutputs: {{}}\n"
        );
        let mut project = Project::with(&[SEEN], &more).await;
        project.shell.session.config.kafka.server = broker.bootstrap_servers();
        project.shell.session.options.state = StateOf::Before;
        std::fs::write(project.path("late.jsonl"), format!("{late}\n")).unwrap();
        let load = format!("\\load {}\nSELECT * FROM next_seen", project.path("late.jsonl").display());
        let said = project.asked(&load).await;
        let expected = format!("error: the state before this batch cannot be computed: {reason}");
        assert!(said.contains(&expected), "{said}");
    }
}

#[tokio::test]
async fn both_sides_of_a_difference_have_one_clock() {
    let views =
        [("changed", "SELECT customer FROM batch"), ("clock", "SELECT customer, now() AS at FROM batch")];
    let mut project = Project::new(&views).await;
    project.asked("SELECT * FROM clock").await;
    std::fs::write(project.path("sql/changed.sql"), "SELECT customer + 1 AS customer FROM batch").unwrap();
    let difference = project.asked("\\diff").await;
    assert!(difference.contains("changed |") && !difference.contains("clock"), "{difference}");
}
