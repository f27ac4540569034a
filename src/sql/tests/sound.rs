//! The sound part of views that are not all right: what is computed, and why the rest is not.

use std::collections::BTreeSet;

use super::*;
use crate::sql::{Faulty, Scope, StateView, Survey};

async fn sound(texts: &[(&str, &str)], tables: Vec<TableSpec>) -> (Pipeline, Faulty) {
    let files = ViewFiles::from_texts(texts).unwrap();
    let unknown = BTreeSet::new();
    let survey = Survey::of(&files, Some(batch_schema()), tables, &unknown, Scope::Whole(&[]), MEMORY_MAX);
    let (pipeline, faulty) = survey.await.into_sound_pipeline(Faulty::default());
    (pipeline.unwrap(), faulty)
}

fn seen_spec() -> TableSpec {
    TableSpec {
        name: "seen".to_owned(),
        schema: Arc::new(Schema::empty()),
        key: vec!["customer".to_owned()],
        matches: vec![vec![place("batch", "customer")]],
        state: Some(StateView { view: "next_seen".to_owned(), follows_partition: false }),
        place: Place::of_file("config.yaml"),
    }
}

#[tokio::test]
async fn a_faulty_view_leaves_out_itself_and_its_readers() {
    let (pipeline, faulty) = sound(
        &[
            ("good", "SELECT customer FROM batch"),
            ("better", "SELECT customer + 1 AS customer FROM good"),
            ("bad", "SELECT nothing FROM batch"),
            ("worse", "SELECT b.* FROM bad b JOIN good g ON true"),
            ("lost", "SELECT * FROM nowhere"),
        ],
        vec![accounts_spec()],
    )
    .await;
    assert_eq!(pipeline.views().collect::<Vec<_>>(), ["good", "better"]);
    assert_eq!(pipeline.tables_read(), [0], "a table that no view reads");
    assert_eq!(faulty.names().collect::<Vec<_>>(), ["bad", "lost", "worse"]);
    let of_worse = faulty.of("worse").unwrap();
    assert!(of_worse.starts_with("error: `worse` cannot be computed: it reads `bad`"), "{of_worse}");
    // What each reads is found again though places before it are left out.
    let steps: Vec<_> = pipeline.steps().collect();
    let better = steps.iter().find(|step| step.name == "better").unwrap();
    assert_eq!(better.reads.iter().map(|read| steps[*read].name).collect::<Vec<_>>(), ["good"]);
}

#[tokio::test]
async fn state_settles_beside_a_faulty_view() {
    let next_seen = "SELECT b.customer, max(coalesce(s.times, 0)) + count(*) AS times FROM batch b \
                     LEFT JOIN seen s ON s.customer = b.customer GROUP BY b.customer";
    let (pipeline, faulty) =
        sound(&[("next_seen", next_seen), ("bad", "SELECT nothing FROM batch")], vec![seen_spec()]).await;
    assert_eq!(faulty.names().collect::<Vec<_>>(), ["bad"]);
    let schema = &pipeline.states()[0].schema;
    assert!(schema.fields().iter().all(|field| !field.data_type().is_null()), "{schema}");
}

#[tokio::test]
async fn a_faulty_state_view_leaves_out_the_table_and_its_readers() {
    let (pipeline, faulty) = sound(
        &[
            ("next_seen", "SELECT customer, nothing AS times FROM batch"),
            ("reader", "SELECT * FROM seen"),
            ("good", "SELECT customer FROM batch"),
        ],
        vec![seen_spec()],
    )
    .await;
    assert_eq!(pipeline.views().collect::<Vec<_>>(), ["good"]);
    assert!(pipeline.states().is_empty());
    assert_eq!(faulty.names().collect::<Vec<_>>(), ["next_seen", "reader", "seen"]);
}

#[tokio::test]
async fn a_step_that_fails_is_set_aside_with_its_readers() {
    let (mut pipeline, _) = sound(
        &[
            ("good", "SELECT customer FROM batch"),
            ("halved", "SELECT 1 / (customer - 1) AS half FROM batch"),
            ("after", "SELECT * FROM halved"),
        ],
        vec![],
    )
    .await;
    pipeline.keep_rows(true);
    let batch = movements(&[(1, "a", 1.0), (2, "a", 2.0)]);
    let none = async |_: usize, _: Vec<RecordBatch>| Ok::<_, SqlError>(Vec::new());
    assert!(pipeline.run(batch.clone(), none).await.is_err());
    let step = pipeline.failed().unwrap();
    let readers = pipeline.set_aside(step);
    let names: Vec<&str> = pipeline.steps().map(|step| step.name).collect();
    assert_eq!(names[step], "halved");
    let readers: Vec<_> = readers.iter().map(|(reader, read)| (names[*reader], names[*read])).collect();
    assert_eq!(readers, [("after", "halved")]);
    let results = pipeline.run(batch, none).await.unwrap();
    let rows_of = |name: &str| {
        let relation = results.relations.iter().find(|relation| &*relation.name == name).unwrap();
        relation.rows.iter().map(RecordBatch::num_rows).sum::<usize>()
    };
    assert_eq!((rows_of("good"), rows_of("halved"), rows_of("after")), (2, 0, 0));
    assert_eq!(pipeline.failed(), None);
}
