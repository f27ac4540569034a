//! New SQL for a job: between two runs, and while it runs. The database says which version made which row.

mod support;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use realtime_processor::engine::ReloadError;
use realtime_processor::source::ReplaySource;
use support::{Project, Recorder, encoder, reloadable, reloaded_before_the_fourth_batch};

const SCHEMA: &str = r#"{"type": "record", "name": "r", "fields": [{"name": "id", "type": "int"}]}"#;
const TOTALS: &str = "SELECT b.id, coalesce(t.n, 0) + count(*) AS n FROM batch b LEFT JOIN totals t ON t.id = b.id \
    GROUP BY b.id, t.n";
const CONFIG: &str = "state_tables:\n  totals: { view: next_totals, key: id }\n";

/// A view whose rows say which text of it made them.
fn rule(rule: u32) -> String {
    format!("SELECT kafka_partition, kafka_offset, id, {rule} AS rule FROM batch")
}

fn project() -> Project {
    Project::new(&[
        ("schema.avsc", SCHEMA),
        ("sql/ruled.sql", &rule(1)),
        ("sql/next_totals.sql", TOTALS),
        ("config.yaml", CONFIG),
    ])
}

/// Messages of two partitions, with ids from 0 to 9. Those that were committed before are not read again.
fn source(project: &Project, count: i64, rows_max: usize) -> ReplaySource {
    let (encode, mut recorder) = (encoder(&project.schema()), Recorder::new("t"));
    for partition in 0..2 {
        for offset in 0..count / 2 {
            recorder.push(partition, &encode(&serde_json::json!({"id": offset % 10})));
        }
    }
    ReplaySource::new(recorder.finish(), rows_max)
}

/// The version that the history has for each row, beside the row's own word.
const BY_HISTORY: &str = "SELECT r.rule, (SELECT h.version FROM realtime_sql_history h \
    WHERE h.kafka_partition = r.kafka_partition AND h.from_offset <= r.kafka_offset \
    ORDER BY h.from_offset DESC LIMIT 1) AS version, count(*) AS n FROM ruled r GROUP BY 1, 2 ORDER BY 1";

/// Each version has made the rows of its own rule, and its text says so.
async fn assert_rules_are_known(project: &Project, rows: i64) -> usize {
    let made = project.rows(BY_HISTORY).await;
    let mut total = 0;
    for line in &made {
        let [rule, version, n] = line.split(',').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let texts = project
            .rows(&format!(
                "SELECT count(*) FROM realtime_sql_versions WHERE version = '{version}' AND files LIKE '%id, {rule} AS rule %'"
            ))
            .await;
        assert_eq!(texts, ["1"], "the rows of rule {rule} are said to be of version {version}");
        total += n.parse::<i64>().expect("a number");
    }
    assert_eq!(total, rows, "{made:?}");
    made.len()
}

#[tokio::test]
async fn the_version_of_the_sql_is_kept_where_it_changes() {
    let project = project();
    project.run(source(&project, 20, 3)).await.expect("runs");
    project.run(source(&project, 40, 3)).await.expect("runs");
    let history = "SELECT kafka_partition, from_offset FROM realtime_sql_history ORDER BY 1, 2";
    assert_eq!(project.rows(history).await, ["0,0", "1,0"], "the same SQL leaves no second row");
    project.write("sql/ruled.sql", &rule(2));
    project.run(source(&project, 60, 3)).await.expect("runs");
    assert_eq!(project.rows(history).await, ["0,0", "0,20", "1,0", "1,20"]);
    assert_eq!(assert_rules_are_known(&project, 60).await, 2);
    assert_eq!(project.rows("SELECT count(*) FROM realtime_sql_versions").await, ["2"]);
}

#[tokio::test]
async fn offsets_that_were_reset_have_the_version_that_computed_them_last() {
    let project = project();
    project.run(source(&project, 40, 5)).await.expect("runs");
    project.write("sql/ruled.sql", &rule(2));
    project.run(source(&project, 60, 5)).await.expect("runs");
    project
        .execute(&["UPDATE realtime_offsets SET next_offset = 0, epoch = epoch + 1", "DELETE FROM ruled"])
        .await;
    project.write("sql/ruled.sql", &rule(3));
    project.run(source(&project, 60, 5)).await.expect("runs");
    assert_eq!(
        project.rows("SELECT kafka_partition, from_offset FROM realtime_sql_history ORDER BY 1, 2").await,
        ["0,0", "1,0"]
    );
    assert_eq!(assert_rules_are_known(&project, 60).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_has_the_value_of_its_recorded_version_while_sql_changes() {
    const MESSAGES: i64 = 4_000;
    let project = project();
    let view = project.folder.path().join("sql/ruled.sql");
    let (engine, mut running, sender) = reloadable(&project.config, source(&project, MESSAGES, 4)).await;
    let (batches, mut seen) = tokio::sync::watch::channel(0);
    let changes = tokio::spawn(async move {
        let mut refused = 0;
        for turn in 2_u32.. {
            // A few batches later, for the change to have rows of its own.
            let next = *seen.borrow() + 20;
            if seen.wait_for(|batches| *batches >= next).await.is_err() {
                break;
            }
            let is_right = turn.is_multiple_of(2);
            let text = if is_right { rule(turn) } else { format!("{} WHERE nothing", rule(turn)) };
            std::fs::write(&view, text).expect("written");
            match running.reload(&sender).await {
                Ok(_) | Err(ReloadError::Ended) => {}
                Err(error) => {
                    assert!(error.to_string().contains("no column `nothing`"), "{error}");
                    refused += 1;
                }
            }
        }
        refused
    });
    engine.run(&mut |report| _ = batches.send(report.batch_id + 1)).await.expect("the job ends well");
    drop(batches);
    let refused = changes.await.expect("they ended");
    let versions = assert_rules_are_known(&project, MESSAGES).await;
    assert!(versions >= 4 && refused >= 3, "{versions} versions in use, {refused} refused");
    assert_eq!(project.rows("SELECT sum(n) FROM totals").await, [MESSAGES.to_string()], "state goes on");
}

/// Changes files while the job runs, and reads them again before its fourth batch; gives what came of it.
async fn reloaded(project: &Project, files: &[(&str, &str)]) -> Result<(), String> {
    let job = reloadable(&project.config, source(project, 400, 4)).await;
    let folder = project.folder.path().to_owned();
    let files: Vec<_> = files.iter().map(|(path, text)| (folder.join(path), (*text).to_owned())).collect();
    let change = move || files.iter().for_each(|(path, text)| std::fs::write(path, text).expect("written"));
    reloaded_before_the_fourth_batch(job, change).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_takes_new_columns_and_keeps_its_rows() {
    let project = project();
    let more = TOTALS.replace(" FROM batch", ", max(b.kafka_offset) AS last FROM batch");
    reloaded(&project, &[("sql/next_totals.sql", &more)]).await.expect("taken over");
    assert_eq!(project.rows("SELECT sum(n), count(*), max(last) FROM totals").await, ["400,10,199"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outputs_and_state_that_are_new_are_written_from_the_reload_on() {
    let project = Project::new(&[
        ("schema.avsc", SCHEMA),
        ("sql/ruled.sql", &rule(1)),
        ("sql/next_totals.sql", TOTALS),
        ("config.yaml", &format!("{CONFIG}outputs:\n  ruled: {{}}\n")),
    ]);
    let config = std::fs::read_to_string(project.folder.path().join("config.yaml")).expect("read");
    let states = "state_tables:\n  counts: { view: next_counts, key: id }\n";
    let config = config.replace("state_tables:\n", states) + "  plain: {}\n";
    let counts = TOTALS.replace("totals", "counts");
    let plain = "SELECT kafka_partition, kafka_offset, id FROM batch";
    let files = [("config.yaml", &*config), ("sql/next_counts.sql", &*counts), ("sql/plain.sql", plain)];
    reloaded(&project, &files).await.expect("taken over");
    // The last version of the SQL is the one that has them.
    let first = "SELECT kafka_partition, max(from_offset) AS first FROM realtime_sql_history GROUP BY 1";
    let of_version = project.rows(&format!("{first} ORDER BY 1")).await;
    assert_ne!(of_version, ["0,0", "1,0"], "three batches came before");
    let written = "SELECT kafka_partition, min(kafka_offset) FROM plain GROUP BY 1 ORDER BY 1";
    assert_eq!(project.rows(written).await, of_version);
    let rest = project.rows(&format!("SELECT 400 - sum(q.first) FROM ({first}) q")).await;
    assert_eq!(project.rows("SELECT count(*) FROM plain").await, rest);
    assert_eq!(project.rows("SELECT sum(n) FROM counts").await, rest);
    assert_eq!(project.rows("SELECT sum(n) FROM totals").await, ["400"], "the others go on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_that_would_lose_a_column_is_kept() {
    let project = project();
    let other = TOTALS.replace(" AS n ", " AS m ").replace("t.n", "t.m");
    let error = reloaded(&project, &[("sql/next_totals.sql", &other)]).await.expect_err("refused");
    assert!(error.contains("totals.n: view `next_totals` no longer returns the column"), "{error}");
    assert_eq!(project.rows("SELECT sum(n) FROM totals").await, ["400"]);
    let project = self::project();
    let text = TOTALS.replace("coalesce(t.n, 0) + count(*) AS n", "CAST(coalesce(t.n, '0') AS VARCHAR) AS n");
    let error = reloaded(&project, &[("sql/next_totals.sql", &text)]).await.expect_err("refused");
    assert!(
        error.contains("totals.n: view `next_totals` now returns Utf8, but the state has Int64"),
        "{error}"
    );
    assert_eq!(project.rows("SELECT sum(n) FROM totals").await, ["400"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_running_job_cannot_take_over_is_named() {
    let project = project();
    let config = std::fs::read_to_string(project.folder.path().join("config.yaml")).expect("read");
    let changed =
        format!("# a line more\n{config}memory_max: 64MiB\nbatch_rows_max: 7\ndead_letters_window: 5000\n");
    let error = reloaded(&project, &[("config.yaml", &changed)]).await.expect_err("refused");
    assert!(error.contains("needs a restart: batch_rows_max, memory_max\n"), "{error}");
    let project = self::project();
    let thresholds =
        format!("# a line more\n{config}dead_letters_max_ratio: 0.5\ndead_letters_window: 5000\n");
    reloaded(&project, &[("config.yaml", &thresholds)]).await.expect("thresholds are taken over");
    let project = self::project();
    let schema = SCHEMA.replace("\"int\"", "\"long\"");
    let error =
        reloaded(&project, &[("config.yaml", &config), ("schema.avsc", &schema)]).await.expect_err("refused");
    assert!(error.contains("needs a restart: the columns of avro_schema"), "{error}");
}

/// The demo's broker, database and page are not those of its `config.yaml`, and are no reason to refuse new SQL.
#[test]
fn the_demo_takes_new_sql_at_sighup() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut demo = Command::new(env!("CARGO_BIN_EXE_realtime-processor"))
        .args(["demo", "--for", "0", "--rate", "50", "--dir"])
        .arg(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let id = demo.id().to_string();
    let signal = |name: &str| {
        let sent = Command::new("kill").args([name, &id]).status().expect("kill is there");
        assert!(sent.success(), "{name}");
    };
    let mut lines = BufReader::new(demo.stderr.take().expect("piped")).lines();
    let mut said = String::new();
    let mut wait_for = |words: &str| {
        for line in lines.by_ref() {
            let line = line.expect("UTF-8");
            said += &format!("{line}\n");
            if line.contains(words) {
                return line;
            }
        }
        panic!("it ended and did not say `{words}`:\n{said}");
    };
    let told = wait_for("kill -HUP");
    assert!(told.contains(&format!("`kill -HUP {id}`")), "{told}");
    signal("-HUP");
    wait_for("the SQL is the same");
    let view = folder.path().join("sql/assessed_movements.sql");
    let text = std::fs::read_to_string(&view).expect("the demo's view");
    std::fs::write(&view, text.replace("credit_score >= 300", "credit_score >= 900")).expect("written");
    signal("-HUP");
    wait_for("read again: new SQL");
    std::fs::write(&view, "SELECT").expect("written");
    signal("-HUP");
    wait_for("the job continues with the SQL of version");
    std::fs::write(&view, text).expect("written");
    signal("-INT");
    for line in lines.by_ref() {
        said += &format!("{}\n", line.expect("UTF-8"));
    }
    assert!(demo.wait().expect("it ended").success(), "{said}");
}
