use std::path::PathBuf;

use super::*;
use crate::config::Config;
use crate::prompt::{Seek, SessionOptions};
use crate::source::StartAt;

mod moments;

const SCHEMA: &str = r#"{"type":"record","name":"R","fields":[
    {"name":"customer","type":"int"},{"name":"value","type":"double"}]}"#;
const LINES: &str = r#"{"customer":1,"value":10.0,"kafka_offset":0}
{"customer":2,"value":-4.5,"kafka_offset":1}
{"customer":1,"value":0.0,"kafka_offset":2}
"#;

/// A project in a folder, and a shell whose answers go into a file.
struct Project {
    folder: tempfile::TempDir,
    shell: Shell,
}

impl Project {
    async fn new(views: &[(&str, &str)]) -> Self {
        Self::with(views, "").await
    }

    async fn with(views: &[(&str, &str)], more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("schema.avsc", SCHEMA);
        write("batch.jsonl", LINES);
        write("names.csv", "id,name\n1,José\n2,Ana\n3,Eva\n");
        let config = "kafka_server: nowhere:1\nkafka_topic: t\navro_schema: schema.avsc\n\
                      database: sqlite://out.db\nreference_tables:\n  names: { file: names.csv, key: id, matches: customer }\n";
        write("config.yaml", &format!("{config}{more}"));
        write("sql/.keep", "");
        views.iter().for_each(|(name, text)| write(&format!("sql/{name}.sql"), text));
        let config = Config::load(&folder.path().join("config.yaml")).unwrap();
        let options = SessionOptions {
            from: Seek::To(StartAt::Beginning),
            rows_max: None,
            dead_letters: false,
            state: crate::prompt::StateOf::Auto,
        };
        let session = Session::open(config, options).await.unwrap();
        let mut shell = Shell::new(session, Format::Table, false, Screen::default());
        let batch = folder.path().join("batch.jsonl");
        shell.execute("query", &format!("\\load {}", batch.display())).await.unwrap();
        shell.output.redirect(Some(&folder.path().join("answer"))).unwrap();
        Self { folder, shell }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What is printed for a text, or what is said where it fails.
    async fn asked(&mut self, text: &str) -> String {
        self.shell.output.redirect(Some(&self.path("answer"))).unwrap();
        let ended = self.shell.execute("query", text).await;
        let folder = self.folder.path().display().to_string();
        let text = match ended {
            Ok(_) => std::fs::read_to_string(self.path("answer")).unwrap(),
            Err(refusal) => refusal.to_string(),
        };
        text.replace(&folder, "DIR")
    }
}

const NAMED: (&str, &str) =
    ("named", "SELECT b.customer, n.name, b.value FROM batch b LEFT JOIN names n ON n.id = b.customer");
const TOTALS: (&str, &str) = ("totals", "SELECT name, sum(value) AS total FROM named GROUP BY name");

#[tokio::test]
async fn queries_read_the_batch_the_tables_and_the_views() {
    let mut project = Project::new(&[NAMED, TOTALS]).await;
    insta::assert_snapshot!(project.asked("SELECT * FROM totals ORDER BY name; SELECT count(*) AS n FROM names").await, @r"
     name | total
    ------+-------
     Ana  |  -4.5
     José |  10.0
    (2 rows)
     n
    ---
     2
    (1 row)
    ");
    insta::assert_snapshot!(project.asked("\\d").await, @r"
     name         | kind            | rows | comes from
    --------------+-----------------+------+-----------------------------------------------------------------
     batch        | batch           | 3    | DIR/batch.jsonl
     names        | reference table | 2    | DIR/names.csv, by id = batch.customer
     named        | view            | 3    | DIR/sql/named.sql
     totals       | view            | 2    | DIR/sql/totals.sql
     dead_letters | dead letters    | 0    | messages of the batch that cannot be processed, with the reason
    (5 rows)
    ");
    assert!(!project.path("out.db").exists(), "no database file is made");
}

#[tokio::test]
async fn a_query_that_fails_on_a_row_says_of_which_message_it_is() {
    let mut project = Project::new(&[NAMED]).await;
    let failed = project.asked("SELECT 10 / (customer - 2) AS x FROM batch").await;
    assert!(failed.contains("query:1:14: error: "), "{failed}");
    assert!(failed.ends_with("partition 0, offset 1"), "{failed}");
    // No message alone makes the sum of all of them.
    let failed = project.asked("SELECT 1 / (sum(customer) - 4) AS x FROM batch").await;
    assert!(failed.contains("divide by zero") && !failed.contains("message:"), "{failed}");
    assert!(project.asked("SELECT count(*) AS n FROM batch").await.contains("3\n(1 row)"));
}

#[tokio::test]
async fn a_view_with_a_fault_keeps_no_other_back() {
    let broken = ("broken", "SELECT custmer FROM batch");
    let after = ("after", "SELECT * FROM broken");
    let halved = ("halved", "SELECT 1 / (customer - 1) AS half FROM batch");
    let mut project = Project::with(&[NAMED, broken, after, halved], "outputs: { named: {} }\n").await;
    insta::assert_snapshot!(project.shell.session.faults().unwrap().replace(&project.folder.path().display().to_string(), "DIR"), @r"
    DIR/sql/broken.sql:1:8: error: no column `custmer`
      |
    1 | SELECT custmer FROM batch
      |        ^^^^^^^
    hint: did you mean `customer`?
    not computed, because they read what has a fault: `after`
    ");
    assert!(project.asked("SELECT count(*) AS n FROM named").await.contains("3\n(1 row)"));
    insta::assert_snapshot!(project.asked("SELECT * FROM after").await, @r"
    error: `after` cannot be computed: it reads `broken`, which has a fault
    DIR/sql/broken.sql:1:8: error: no column `custmer`
      |
    1 | SELECT custmer FROM batch
      |        ^^^^^^^
    hint: did you mean `customer`?
    ");
    insta::assert_snapshot!(project.asked("SELECT * FROM halved").await, @r"
    DIR/sql/halved.sql:1:13: error: `1 / (batch.customer - 1)`: divide by zero
      |
    1 | SELECT 1 / (customer - 1) AS half FROM batch
      |             ^^^^^^^^
    hint: `x / nullif(y, 0)` is NULL where y is 0
    message: file, partition 0, offset 0
    ");
    // Mended in its file, it is there after \reload.
    std::fs::write(project.path("sql/broken.sql"), "SELECT customer FROM batch").unwrap();
    let answer = project.asked("\\reload\nSELECT count(*) AS n FROM after").await;
    assert!(answer.contains("3\n(1 row)"), "{answer}");
}

#[tokio::test]
async fn syntax_errors_circles_and_missing_tables_keep_no_other_back() {
    let mut project = Project::new(&[
        NAMED,
        ("typo", "SELEC 1 AS a"),
        ("a", "SELECT * FROM b"),
        ("b", "SELECT * FROM a"),
        ("nowhere", "SELECT * FROM nothing"),
    ])
    .await;
    let faults = project.shell.session.faults().unwrap();
    for name in ["typo.sql:1:1", "nowhere.sql:1:15", "circle"] {
        assert!(faults.contains(name), "{name}: {faults}");
    }
    assert!(project.asked("SELECT count(*) AS n FROM named").await.contains("3\n(1 row)"));
    assert!(project.asked("SELECT * FROM a").await.contains("circle"));
}

#[tokio::test]
async fn what_an_edit_changes_is_shown_as_rows() {
    let mut project = Project::new(&[NAMED, TOTALS]).await;
    let said = project.asked("\\diff totals against last").await;
    assert!(said.starts_with("error: no view was edited since the start"), "{said}");
    assert_eq!(project.asked("\\diff\n\\diff totals").await, "", "nothing has changed");
    // On disk, as another program may do it.
    std::fs::write(
        project.path("sql/named.sql"),
        "SELECT b.customer, n.name, b.value * 2 AS value FROM batch b LEFT JOIN names n ON n.id = b.customer",
    )
    .unwrap();
    insta::assert_snapshot!(project.asked("\\diff named").await, @r"
     ± | customer | name | value
    ---+----------+------+-------
     - |        1 | José | *10.0
     + |        1 | José | *20.0
     - |        2 | Ana  | *-4.5
     + |        2 | Ana  | *-9.0
    (4 rows)
    ");
    insta::assert_snapshot!(project.asked("\\diff").await, @r"
     view   | changed | removed | added | as before
    --------+---------+---------+-------+-----------
     named  |       2 |       0 |     0 |         1
     totals |       2 |       0 |     0 |         0
    (2 rows)
    ");
    // What reads it has changed with it.
    let totals = project.asked("\\diff totals").await;
    assert!(totals.contains("+ | José | *20.0") && totals.contains("- | Ana  | *-4.5"), "{totals}");
    // A version with a fault is nothing to compare with.
    std::fs::write(project.path("sql/named.sql"), "SELECT nothing FROM batch").unwrap();
    assert!(project.asked("\\diff named").await.contains("no column `nothing`"));
    std::fs::write(project.path("sql/named.sql"), NAMED.1).unwrap();
    let again = project.asked("\\diff named against last").await;
    assert!(again.contains("- |        1 | José | *20.0"), "{again}");
    assert_eq!(project.asked("\\diff named").await, "", "as at the start");
}

#[tokio::test]
async fn the_editor_is_started_and_the_view_read_again() {
    let mut project = Project::new(&[NAMED, TOTALS]).await;
    let script = project.path("editor.sh");
    std::fs::write(&script, "#!/bin/sh\nsed -i 's/sum(value)/max(value)/' \"$1\"\n").unwrap();
    let view = project.path("sql/totals.sql");
    project.shell.edit_with(&format!("sh {}", script.display()), "totals").await.unwrap();
    assert!(std::fs::read_to_string(&view).unwrap().contains("sum(value)"), "the job's file is as it was");
    assert!(project.asked("\\view totals").await.contains("max(value)"));
    // José has two rows of 10 and 0.
    assert!(project.asked("\\diff totals").await.is_empty());
    project.asked("\\apply").await;
    assert!(std::fs::read_to_string(&view).unwrap().contains("max(value)"));
    assert!(project.asked("\\apply").await.contains("no view was edited"));
    assert_eq!(project.shell.session.note_of_unused(&["totals"]), None, "it is an output");
    // An editor that changes nothing leaves no draft, and one that is reverted is forgotten.
    project.shell.edit_with("true", "totals").await.unwrap();
    assert!(project.asked("\\revert").await.contains("no view was edited"));
    std::fs::write(&script, "sed -i 's/max(value)/min(value)/' \"$1\"\n").unwrap();
    project.shell.edit_with(&format!("sh {}", script.display()), "totals").await.unwrap();
    assert!(project.asked("SELECT * FROM totals").await.contains("José |   0.0"));
    // Somebody else has changed the file meanwhile: nothing of theirs is lost.
    std::fs::write(&view, "SELECT name, 1.5 AS total FROM named").unwrap();
    assert!(project.asked("\\apply totals").await.contains("was changed since"));
    project.asked("\\revert totals").await;
    assert!(project.asked("SELECT * FROM totals").await.contains("1.5"));
    assert!(project.shell.edit_with("false", "totals").await.is_err());
    assert!(project.asked("\\edit ../x").await.contains("is no name of a view"));
}

#[tokio::test]
async fn a_view_that_the_job_does_not_compute_is_shown_and_warned_of() {
    let aside = ("aside", "SELECT customer FROM batch");
    let more = "outputs: { named: { table: named } }\n";
    let project = &mut Project::with(&[NAMED, aside], more).await;
    assert!(project.asked("SELECT count(*) AS n FROM aside").await.contains("3\n(1 row)"));
    assert_eq!(project.shell.session.note_of_unused(&["named"]), None);
    insta::assert_snapshot!(project.shell.session.note_of_unused(&["aside", "named"]).unwrap(), @r"
    warning: the job does not compute `aside`: no output, state table or other view needs it
    hint: name it under `outputs` in the configuration
    ");
}

#[tokio::test]
async fn messages_that_a_view_of_the_job_refuses_are_left_out() {
    let halved = ("halved", "SELECT *, 10 / (customer - 2) AS half FROM batch");
    let plain = ("plain", "SELECT customer FROM batch");
    let outputs = "outputs: { halved: {}, plain: {} }\n";
    let mut project = Project::with(&[NAMED, halved, plain], outputs).await;
    let note = "note: `halved` refuses 1 message, so no view has it; `dead_letters` says why";
    let typed = Typed::parse("query", "SELECT 1", "SELECT 1").unwrap();
    project.shell.session.ready().await.unwrap();
    assert_eq!(project.shell.session.plan(&typed).await.unwrap().1, [note]);
    assert_eq!(project.shell.session.plan(&typed).await.unwrap().1, Vec::<String>::new(), "once");
    assert!(project.asked("SELECT customer FROM plain").await.contains("(2 rows)"));
    assert!(project.asked("SELECT half FROM halved").await.contains("(2 rows)"));
    assert!(project.asked("SELECT count(*) AS n FROM batch").await.contains(" 3\n(1 row)"));
    let letters = project.asked("\\x\nSELECT * FROM dead_letters;\n\\x").await;
    for part in [
        "kafka_offset    | 1\n",
        "payload         | NULL\n",
        "stage           | sql\n",
        "place           | DIR/sql/halved.sql:1:17\n",
        "`10 / (batch.customer - 2)`: divide by zero",
    ] {
        assert!(letters.contains(part), "{letters}");
    }
    assert!(project.asked("\\d").await.contains("dead letters    | 1 "));
    // After an edit that refuses another message, the notes name both.
    std::fs::write(project.path("sql/halved.sql"), "SELECT *, 10 / kafka_offset AS half FROM batch").unwrap();
    let notes = project.shell.session.diff(Some("halved"), Base::Start).await.unwrap().notes;
    assert!(notes.iter().any(|note| note.starts_with("`halved` refuses 1 message,")), "{notes:?}");
    assert!(
        notes.iter().any(|note| note.starts_with("`halved` as of the start refuses 1 message,")),
        "{notes:?}"
    );
}

#[tokio::test]
async fn a_view_that_refuses_many_messages_is_at_fault() {
    let halved = ("halved", "SELECT *, 10 / (customer - 1) AS half FROM batch");
    let mut project = Project::with(&[NAMED, halved], "outputs: { halved: {} }\n").await;
    let line = "{\"customer\":1,\"value\":1.0}\n";
    std::fs::write(project.path("same.jsonl"), line.repeat(11)).unwrap();
    let same = project.path("same.jsonl").display().to_string();
    let asked = project.asked(&format!("\\load {same}\nSELECT * FROM halved")).await;
    assert!(
        asked.contains("divide by zero") && asked.ends_with("message: file, partition 0, offset 0"),
        "{asked}"
    );
    assert!(project.asked("SELECT count(*) AS n FROM named").await.contains("11\n(1 row)"));
}

#[tokio::test]
async fn conditions_that_cannot_fail_are_checked_before_joins() {
    let mut project = Project::new(&[NAMED]).await;
    let mut joins = async |query: &str| {
        let plan = project.asked(&format!("\\explain {query}")).await;
        let logical = plan.split("physical_plan").next().unwrap().to_owned();
        assert!(plan.contains("HashJoinExec") && !plan.contains("NestedLoopJoinExec"), "{plan}");
        let (above, below) = logical.split_once("Join:").unwrap();
        (above.contains("Filter:"), below.contains("Filter:"))
    };
    let on = "FROM batch a JOIN names b ON a.customer = b.id WHERE";
    for (condition, is_moved) in [
        ("a.value > 1", true),
        ("TRY_CAST(b.name AS INT) > 1", true),
        ("substr(b.name, 1, 2) = 'ab'", true),
        ("CAST(b.name AS INT) > 1", false),
        ("substr(b.name, 1, b.id) = 'ab'", false),
    ] {
        let found = joins(&format!("SELECT a.customer {on} {condition}")).await;
        assert_eq!(found, (!is_moved, is_moved), "{condition}");
    }
    // A cast is the key of a hash join.
    joins("SELECT a.customer FROM batch a JOIN batch b ON CAST(a.value AS INT) = b.customer").await;
}

#[tokio::test]
async fn a_table_that_no_view_reads_is_there() {
    let mut project = Project::new(&[("plain", "SELECT customer FROM batch")]).await;
    assert!(project.asked("SELECT name FROM names ORDER BY name").await.contains("(2 rows)"));
    assert!(!project.asked("\\graph").await.contains("names"), "it is no view");
}

#[tokio::test]
async fn faults_met_in_a_batch_leave_out_what_reads_them() {
    let halved = ("halved", "SELECT 1 / (customer - 1) AS half FROM batch");
    let after = ("after", "SELECT half FROM halved");
    let other = ("other", "SELECT 1 / (customer - 2) AS half FROM batch");
    let mut project = Project::with(&[NAMED, halved, after, other], "outputs: { named: {} }\n").await;
    assert!(project.asked("SELECT count(*) AS n FROM named").await.contains("3\n(1 row)"));
    let asked = project.asked("SELECT * FROM after").await;
    assert!(asked.starts_with("error: `after` cannot be computed: it reads `halved`"), "{asked}");
    assert!(asked.ends_with("message: file, partition 0, offset 0"), "{asked}");
    let asked = project.asked("SELECT * FROM other").await;
    assert!(asked.ends_with("message: file, partition 0, offset 1"), "{asked}");
}

#[tokio::test]
async fn whole_tables_of_the_database_are_read_only_when_asked_for() {
    let mut project = Project::new(&[NAMED]).await;
    let address = project.shell.session.config.database.clone();
    let write = crate::database::Purpose::Write { create: true };
    let mut database = crate::database::Connection::open(&address, write).await.unwrap();
    database.run("CREATE TABLE kept (n INTEGER, name TEXT)").await.unwrap();
    database.run("INSERT INTO kept VALUES (1, 'a'), (2, 'b'), (3, NULL)").await.unwrap();
    insta::assert_snapshot!(project.asked("SELECT name, n FROM db.kept WHERE n > 1").await, @r"
     name | n
    ------+---
     b    | 2
     NULL | 3
    (2 rows)
    ");
    assert!(
        project
            .asked("SELECT count(*) AS n FROM db.kept k JOIN batch b ON b.customer = k.n")
            .await
            .contains("3\n")
    );
    let plan = project.asked("EXPLAIN SELECT name FROM db.kept WHERE n = 2 LIMIT 1").await;
    assert!(plan.contains(r#"DatabaseScan: "kept" columns=[n, name], n = Int(2)"#), "{plan}");
    assert!(project.asked("SELECT * FROM db.kpet").await.contains("no table `db.kpet`"));
    assert!(project.asked("\\d db.kept").await.contains("bigint"));
    assert!(project.asked("INSERT INTO db.kept VALUES (9, 'x')").await.contains("expected a query"));
}

#[tokio::test]
async fn files_formats_and_plans() {
    let mut project = Project::new(&[NAMED]).await;
    let saved = project.path("kept.arrow");
    project.asked(&format!("\\save {}\n\\load {}", saved.display(), saved.display())).await;
    assert_eq!(
        project.asked("\\format csv\nSELECT customer, value FROM batch LIMIT 1").await,
        "customer,value\n1,10.0\n"
    );
    assert_eq!(project.asked("\\format json\nSELECT count(*) AS n FROM named").await, "{\"n\":3}\n");
    assert_eq!(project.asked("\\view named\n").await, format!("{}\n", NAMED.1));
    let plan = project.asked("\\format table\n\\explain named").await;
    assert!(plan.starts_with("logical_plan\n") && plan.contains("HashJoinExec"), "{plan}");
    let out = project.path("out.txt");
    project.asked(&format!("\\o {}\nSELECT 1 AS one;\\o", out.display())).await;
    assert!(std::fs::read_to_string(out).unwrap().contains("one"));
    assert!(project.asked("\\next").await.contains("this batch does not come from the topic"));
    assert!(project.asked("\\d nmaed").await.contains("did you mean `named`?"));
    let batch = project.asked("\\batch").await;
    assert!(batch.contains("0 |    0 |  3 |    3") && batch.contains("(1 row)"), "{batch}");
    assert!(project.asked("\\format csv\n\\batch").await.starts_with("topic,partition,from,to,rows"));
}

#[tokio::test]
async fn the_last_query_is_asked_again() {
    let mut project = Project::new(&[NAMED]).await;
    assert!(project.asked("\\g").await.contains("no query was run yet"));
    assert!(project.asked("SELECT count(*) AS n FROM named \\g").await.contains(" 3\n(1 row)"));
    assert!(project.asked("\\g").await.contains(" 3\n(1 row)"));
    assert!(project.asked("\\gx").await.starts_with("-[ row 1 ]"));
    assert!(project.asked("\\g").await.starts_with(" n\n"), "only once as records");
    let out = project.path("n.csv");
    project.asked(&format!("SELECT count(*) AS n FROM batch\n\\g {}", out.display())).await;
    assert_eq!(std::fs::read_to_string(out).unwrap(), "n\n3\n");
}

#[tokio::test]
async fn a_query_that_is_watched_runs_until_it_is_cancelled() {
    let mut project = Project::new(&[NAMED]).await;
    project.shell.output.redirect(Some(&project.path("answer"))).unwrap();
    let watched = project.shell.execute("query", "SELECT count(*) AS n FROM named \\watch 0.1");
    assert!(tokio::time::timeout(Duration::from_secs(2), watched).await.is_err());
    let answers = std::fs::read_to_string(project.path("answer")).unwrap();
    assert!(answers.matches("(1 row)").count() >= 2, "{answers}");
    assert!(project.asked("SELECT 42 AS n").await.contains("42"), "the session can be asked again");
}

#[tokio::test]
async fn files_of_queries_are_included() {
    let mut project = Project::new(&[NAMED]).await;
    let (outer, inner) = (project.path("outer.sql"), project.path("inner.sql"));
    std::fs::write(&inner, "SELECT 2 AS two;").unwrap();
    std::fs::write(&outer, format!("SELECT 1 AS one;\n\\i {}\n", inner.display())).unwrap();
    let answer = project.asked(&format!("\\i {}", outer.display())).await;
    assert!(answer.contains("one") && answer.contains("two"), "{answer}");
    std::fs::write(&inner, "SELECT custmer FROM batch").unwrap();
    assert!(
        project.asked(&format!("\\i {}", inner.display())).await.starts_with("DIR/inner.sql:1:8: error:")
    );
    std::fs::write(&inner, format!("\\i {}", inner.display())).unwrap();
    let answer = project.asked(&format!("\\i {}", inner.display())).await;
    assert!(answer.contains("more than 8 deep"), "{answer}");
    assert!(project.asked("\\i nowhere.sql").await.contains("nowhere.sql cannot be read"));
}

#[tokio::test]
async fn rows_are_copied_into_files() {
    let mut project = Project::new(&[NAMED]).await;
    let path = |name: &str| project.path(name);
    let (csv, lines, rows, other) = (path("out.csv"), path("out.jsonl"), path("out.arrow"), path("out.xlsx"));
    project.asked(&format!("\\copy (SELECT customer, name FROM named) TO '{}'", csv.display())).await;
    assert_eq!(std::fs::read_to_string(csv).unwrap(), "customer,name\n1,José\n2,Ana\n1,José\n");
    project.asked(&format!("\\copy SELECT customer FROM named LIMIT 1 to {}", lines.display())).await;
    assert_eq!(std::fs::read_to_string(lines).unwrap(), "{\"customer\":1}\n");
    project.asked(&format!("\\copy named TO {}", rows.display())).await;
    let file = std::fs::File::open(rows).unwrap();
    let read: Vec<RecordBatch> =
        arrow::ipc::reader::FileReader::try_new(file, None).unwrap().map(Result::unwrap).collect();
    assert_eq!(read.iter().map(RecordBatch::num_rows).sum::<usize>(), 3);
    assert!(project.asked(&format!("\\copy named TO {}", other.display())).await.contains("NAME.arrow"));
    // A query that fails half-way leaves no file.
    let answer = project
        .asked(&format!("\\copy SELECT 1 / (customer - 1) AS half FROM batch TO {}", path_of(&project)))
        .await;
    assert!(answer.contains("divide by zero"), "{answer}");
    let left: Vec<_> =
        std::fs::read_dir(project.folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("half")), "{left:?}");
    // A batch is kept as CSV too, for other programs.
    let kept = project.path("batch.csv");
    project.asked(&format!("\\save {}", kept.display())).await;
    assert!(std::fs::read_to_string(&kept).unwrap().starts_with("customer,value,kafka_topic,"));
    assert!(project.asked(&format!("\\load {}", kept.display())).await.contains("NAME.arrow or NAME.jsonl"));
}

fn path_of(project: &Project) -> String {
    project.path("half.csv").display().to_string()
}

#[tokio::test]
async fn functions_are_described() {
    let mut project = Project::new(&[NAMED]).await;
    let all = project.asked("\\df").await;
    assert!(all.contains("concat") && all.contains("row_number") && all.contains("json_get"), "{all}");
    let some = project.asked("\\df to_timestamp_").await;
    assert!(some.contains("to_timestamp_millis") && !some.contains("concat"), "{some}");
    let one = project.asked("\\df concat").await;
    assert!(
        one.starts_with("concat(str[, ..., str_n])   (scalar function)") && one.contains("> select"),
        "{one}"
    );
    assert!(project.asked("\\df conact").await.contains("did you mean `concat`?"));
}

#[tokio::test]
async fn what_is_typed_is_checked() {
    let mut project = Project::new(&[NAMED]).await;
    let warnings = |project: &mut Project, query: &str| {
        let typed = Typed::parse("query", query, query).unwrap();
        let planned = futures::executor::block_on(project.shell.session.plan(&typed));
        planned.map(|(_, notes)| notes.join("\n")).unwrap()
    };
    let said = warnings(&mut project, "SELECT customer / 2 AS half FROM batch");
    assert!(said.starts_with("query:1:8: warning: a division of integers"), "{said}");
    assert_eq!(warnings(&mut project, "SELECT customer FROM batch LIMIT 1"), "");
    assert_eq!(warnings(&mut project, "EXPLAIN SELECT customer / 2 AS half FROM batch"), "");
    let plan = project.asked("\\explain analyze SELECT count(*) AS n FROM named").await;
    assert!(plan.contains("output_rows=1"), "{plan}");
}

#[tokio::test]
async fn names_that_are_wrong_are_told_where_names_come_from() {
    let mut project = Project::new(&[NAMED]).await;
    let address = project.shell.session.config.database.clone();
    let write = crate::database::Purpose::Write { create: true };
    let mut database = crate::database::Connection::open(&address, write).await.unwrap();
    database.run("CREATE TABLE reactions (n INTEGER)").await.unwrap();
    let answer = project.asked("SELECT * FROM db.reaction").await;
    assert!(answer.contains("hint: did you mean `db.reactions`?"), "{answer}");
    let answer = project.asked("SELECT * FROM reactions").await;
    assert!(answer.contains("the table of the database is `db.reactions`"), "{answer}");
    let answer = project.asked("SELECT * FROM merchants").await;
    assert!(answer.contains("under `reference_tables`"), "{answer}");
    assert!(project.asked("SELECT * FROM nmaed").await.contains("did you mean `named`?"));
}

#[tokio::test]
async fn the_batch_fits_a_narrow_terminal() {
    let mut project = Project::new(&[NAMED]).await;
    let lines: String = (0..2000)
        .map(|n| {
            format!(
                "{{\"customer\":1,\"value\":1.0,\"kafka_topic\":\"customer_movements\",\"kafka_partition\":{},\
                 \"kafka_offset\":{},\"kafka_timestamp\":\"2026-03-0{}T12:00:01.123Z\"}}\n",
                n / 500, 123_000_000 + n, 1 + n % 2
            )
        })
        .collect();
    std::fs::write(project.path("long.jsonl"), lines).unwrap();
    let load = format!("\\load {}\n\\batch", project.path("long.jsonl").display());
    let batch = project.asked(&load).await;
    assert!(batch.lines().all(|line| line.chars().count() <= 80), "{batch}");
    assert!(batch.contains("2026-03-01 12:00") && batch.contains("2026-03-02 12:00"), "{batch}");
}

/// Two totals of `seen` by customer, written by a job as the messages come.
const SEEN: (&str, &str) = (
    "next_seen",
    "SELECT b.customer, max(coalesce(s.times, 0)) + count(*) AS times FROM batch b LEFT JOIN seen s \
     ON s.customer = b.customer GROUP BY b.customer",
);

#[tokio::test]
async fn both_sides_of_a_difference_see_one_moment_of_state() {
    let more = "state_tables: { seen: { view: next_seen, key: customer } }\noutputs: {}\n";
    let mut project = Project::with(&[SEEN], more).await;
    let address = project.shell.session.config.database.clone();
    let write = crate::database::Purpose::Write { create: true };
    let mut database = crate::database::Connection::open(&address, write).await.unwrap();
    for statement in [
        "CREATE TABLE seen (customer INTEGER PRIMARY KEY, times INTEGER, _version INTEGER, _message_time TEXT)",
        "INSERT INTO seen VALUES (1, 40, 7, NULL)",
    ] {
        database.run(statement).await.unwrap();
    }
    project.asked("\\reload").await;
    assert!(project.asked("SELECT * FROM next_seen ORDER BY customer").await.contains("1 |    42"));
    // The job goes on, and the views are edited: only the edit shows.
    database.run("UPDATE seen SET times = 1000").await.unwrap();
    std::fs::write(project.path("sql/next_seen.sql"), format!("{} HAVING count(*) > 1", SEEN.1)).unwrap();
    let difference = project.asked("\\diff next_seen").await;
    assert!(difference.contains("- |        2 |     1") && difference.contains("(1 row)"), "{difference}");
    assert!(project.asked("SELECT * FROM next_seen").await.contains("1 |  1002"), "as of the difference");
}

#[tokio::test]
async fn the_configuration_is_read_again() {
    let mut project = Project::new(&[NAMED]).await;
    let config = std::fs::read_to_string(project.path("config.yaml")).unwrap();
    std::fs::write(project.path("other.csv"), "id,name\n1,Other\n").unwrap();
    std::fs::write(project.path("config.yaml"), config.replace("names.csv", "other.csv")).unwrap();
    let answer = project.asked("\\reload\nSELECT DISTINCT name FROM named WHERE customer = 1").await;
    assert!(answer.contains("Other"), "{answer}");
    std::fs::write(project.path("config.yaml"), "kafka_topik: t\n").unwrap();
    assert!(project.asked("\\reload").await.contains("did you mean `kafka_topic`?"));
    assert!(project.asked("SELECT count(*) AS n FROM named").await.contains(" 3\n"), "all is as before");
    std::fs::write(project.path("config.yaml"), config.replace("schema.avsc", "other.avsc")).unwrap();
    let other = SCHEMA.replace("customer", "client");
    std::fs::write(project.path("other.avsc"), other).unwrap();
    project.asked("\\reload").await;
    assert!(project.asked("\\d batch").await.contains("client"));
}
