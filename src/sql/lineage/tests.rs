//! The masks of views whose SQL computes from a sensitive field in one way or another.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};

use super::*;
use crate::config::KeyPlace;
use crate::diagnostic::Place;
use crate::sql::{QuerySession, Scope, SqlError, StateView, Typed, ViewFiles};

const MEMORY_MAX: usize = 64 << 20;

fn batch() -> SchemaRef {
    let person = Fields::from(vec![
        Field::new("name", DataType::Utf8, true),
        Field::new("city", DataType::Utf8, true),
    ]);
    let names = DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)));
    Arc::new(Schema::new(vec![
        Field::new("secret", DataType::Utf8, true),
        Field::new("amount", DataType::Int64, true),
        Field::new("agency", DataType::Utf8, true),
        Field::new("person", DataType::Struct(person), true),
        Field::new("secrets", names, true),
        Field::new("kafka_offset", DataType::Int64, false),
    ]))
}

fn place(relation: &str, column: &str) -> KeyPlace {
    KeyPlace { relation: relation.to_owned(), column: column.to_owned() }
}

fn tables() -> Vec<TableSpec> {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let reference = |name: &str, key: &str, matches: &str| TableSpec {
        name: name.to_owned(),
        schema: Arc::new(Schema::new(vec![text(key), text("label"), text("boss")])),
        key: vec![key.to_owned()],
        matches: vec![vec![place("batch", matches)]],
        state: None,
        place: Place::default(),
    };
    let state = TableSpec {
        name: "seen".to_owned(),
        schema: Arc::new(Schema::empty()),
        key: vec!["agency".to_owned()],
        matches: vec![vec![place("batch", "agency")]],
        state: Some(StateView { view: "next_seen".to_owned(), follows_partition: false }),
        place: Place::default(),
    };
    vec![reference("accounts", "id", "secret"), reference("agencies", "agency", "agency"), state]
}

const NEXT_SEEN: &str = "SELECT b.agency, coalesce(max(b.secret), max(s.last)) AS last, count(b.secret) AS times \
                         FROM batch b LEFT JOIN seen s ON s.agency = b.agency GROUP BY b.agency";

fn sensitive() -> Sensitive {
    Sensitive::new(["secret", "secrets", "person.name"].map(str::to_owned).to_vec())
}

/// The masks of all relations, and the columns of one view.
async fn planned(views: &[(&str, &str)], view: &str) -> (Masks, SchemaRef) {
    let views = [views, &[("next_seen", NEXT_SEEN)]].concat();
    let files = ViewFiles::from_texts(&views).unwrap();
    let unknown = BTreeSet::new();
    let survey = Survey::of(&files, Some(batch()), tables(), &unknown, Scope::Whole(&[]), MEMORY_MAX).await;
    let faults: Vec<String> = survey.faults().map(ToString::to_string).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let schema = survey.columns(view).expect("it is planned").clone();
    (survey.masks(&sensitive()), schema)
}

/// The columns of a view that are masked, in their order; those of which a part is with a `.`.
async fn masked_of(sql: &str) -> String {
    let (masks, schema) = planned(&[("v", sql)], "v").await;
    let named = masks.of("v", &schema).into_iter().zip(schema.fields());
    let shown = named.filter_map(|(mask, field)| match mask {
        Mask::Clear => None,
        Mask::Parts(_) => Some(format!("{}.", field.name())),
        Mask::Whole => Some(field.name().clone()),
    });
    shown.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn what_is_computed_from_a_sensitive_field_is_masked() {
    for (sql, expected) in [
        ("SELECT secret, amount FROM batch", "secret"),
        ("SELECT * FROM batch", "secret person. secrets"),
        ("SELECT secret AS x, amount AS secret FROM batch", "x"),
        ("SELECT length(secret) AS n, upper(agency) AS a FROM batch", "n"),
        ("SELECT secret || '!' AS a, CAST(amount AS VARCHAR) AS b FROM batch", "a"),
        (
            "SELECT CASE WHEN secret = 'x' THEN 1 ELSE 2 END AS a, CASE WHEN amount > 1 THEN agency END AS b FROM batch",
            "a",
        ),
        ("SELECT CASE WHEN amount > 1 THEN secret ELSE agency END AS a FROM batch", "a"),
        ("SELECT secret IS NULL AS a, agency IS NULL AS b FROM batch", "a"),
        ("SELECT coalesce(agency, secret) AS a, nullif(agency, 'x') AS b FROM batch", "a"),
        ("SELECT x.a, x.b FROM (SELECT secret AS a, agency AS b FROM batch) x", "a"),
        (
            "WITH x AS (SELECT upper(secret) AS a, amount FROM batch), y AS (SELECT a AS z, amount FROM x) SELECT * FROM y",
            "z",
        ),
        ("SELECT secret AS a FROM batch WHERE amount = 1 UNION ALL SELECT agency FROM batch", "a"),
        ("SELECT agency AS a, amount AS n FROM batch UNION SELECT secret, amount FROM batch", "a"),
        ("SELECT DISTINCT secret AS a, agency AS b FROM batch", "a"),
        ("SELECT secret AS a, amount AS b FROM batch ORDER BY kafka_offset LIMIT 3", "a"),
        ("SELECT unnest(secrets) AS a, amount FROM batch", "a"),
    ] {
        assert_eq!(masked_of(sql).await, expected, "{sql}");
    }
}

#[tokio::test]
async fn groups_and_windows_pass_it_on_and_a_count_does_not() {
    for (sql, expected) in [
        ("SELECT secret, count(*) AS n FROM batch GROUP BY secret", "secret"),
        (
            "SELECT agency, max(secret) AS a, min(amount) AS b, count(secret) AS c, count(DISTINCT secret) AS d \
             FROM batch GROUP BY agency",
            "a",
        ),
        (
            "SELECT agency, sum(amount) FILTER (WHERE secret = 'x') AS a, sum(amount) AS b FROM batch GROUP BY agency",
            "a",
        ),
        ("SELECT agency, 1 + count(secret) AS a, length(max(secret)) AS b FROM batch GROUP BY agency", "b"),
        ("SELECT agency, array_agg(secret ORDER BY kafka_offset) AS a FROM batch GROUP BY agency", "a"),
        (
            "SELECT kafka_offset, first_value(secret) OVER (ORDER BY kafka_offset) AS a, \
             sum(amount) OVER (ORDER BY kafka_offset) AS b FROM batch",
            "a",
        ),
        (
            "SELECT kafka_offset, sum(amount) OVER (PARTITION BY secret ORDER BY kafka_offset) AS a, \
             count(*) OVER (PARTITION BY agency) AS b FROM batch",
            "a",
        ),
        (
            "SELECT kafka_offset, row_number() OVER (ORDER BY secret) AS a, \
             row_number() OVER (ORDER BY kafka_offset) AS b FROM batch",
            "a",
        ),
    ] {
        assert_eq!(masked_of(sql).await, expected, "{sql}");
    }
}

#[tokio::test]
async fn what_a_condition_makes_equal_is_masked() {
    for (sql, expected) in [
        ("SELECT a.id, a.label, b.amount FROM batch b JOIN accounts a ON a.id = b.secret", "id"),
        ("SELECT a.id, a.label FROM batch b LEFT JOIN accounts a ON b.secret = a.id AND b.amount > 1", "id"),
        (
            "SELECT a.label, a.boss FROM batch b JOIN accounts a ON a.id = b.secret WHERE a.boss = b.secret",
            "boss",
        ),
        ("SELECT g.agency, g.label, g.boss FROM batch b, agencies g WHERE upper(b.secret) = g.boss", "boss"),
        (
            "SELECT g.boss FROM agencies g JOIN batch b ON g.agency = b.agency WHERE g.boss IN (b.secret, 'x')",
            "boss",
        ),
        ("SELECT g.boss, g.label FROM agencies g WHERE g.boss IN (SELECT secret FROM batch)", "boss"),
        ("SELECT g.boss, g.label FROM agencies g WHERE g.boss IN (SELECT agency FROM batch)", ""),
        // What is equal to what is equal, however the joins are written.
        (
            "SELECT g.boss, h.boss AS other, h.label FROM agencies g JOIN agencies h ON h.boss = g.boss \
             JOIN batch b ON b.secret = g.boss",
            "boss other",
        ),
        (
            "SELECT b.amount, g.boss FROM batch b JOIN agencies g ON g.agency = b.agency WHERE b.secret > 'm'",
            "",
        ),
    ] {
        assert_eq!(masked_of(sql).await, expected, "{sql}");
    }
}

#[tokio::test]
async fn subqueries_are_followed() {
    for (sql, expected) in [
        (
            "SELECT amount, (SELECT max(secret) FROM batch) AS a, (SELECT max(amount) FROM batch) AS b FROM batch",
            "a",
        ),
        ("SELECT amount, EXISTS (SELECT 1 FROM agencies g WHERE g.boss = b.secret) AS a FROM batch b", "a"),
        ("SELECT amount, agency IN (SELECT secret FROM batch) AS a FROM batch", "a"),
        ("SELECT amount FROM batch b WHERE EXISTS (SELECT 1 FROM agencies g WHERE g.agency = b.agency)", ""),
        (
            "SELECT b.amount, (SELECT max(g.label) FROM agencies g WHERE g.agency = b.agency) AS a FROM batch b",
            "",
        ),
    ] {
        assert_eq!(masked_of(sql).await, expected, "{sql}");
    }
}

#[tokio::test]
async fn of_a_record_only_the_field_is_masked() {
    for (sql, expected) in [
        ("SELECT person, amount FROM batch", "person."),
        ("SELECT person['name'] AS a, person['city'] AS b FROM batch", "a"),
        ("SELECT x.person['name'] AS a, x.person['city'] AS b FROM (SELECT person FROM batch) x", "a"),
        ("SELECT upper(person['city']) AS a, person IS NULL AS b FROM batch", "b"),
    ] {
        assert_eq!(masked_of(sql).await, expected, "{sql}");
    }
}

#[tokio::test]
async fn tables_have_the_masks_of_their_keys_and_of_their_views() {
    let views = [
        ("first", "SELECT agency, last, times FROM seen"),
        ("second", "SELECT f.last AS again, f.times, f.agency FROM first f"),
    ];
    let (masks, _) = planned(&views, "first").await;
    let mask = |relation: &str, column: &str| masks.of_column(relation, column);
    assert_eq!((mask("accounts", "id"), mask("accounts", "label")), (Mask::Whole, Mask::Clear), "the key");
    assert_eq!((mask("agencies", "agency"), mask("agencies", "boss")), (Mask::Clear, Mask::Clear));
    assert_eq!((mask("seen", "last"), mask("seen", "times")), (Mask::Whole, Mask::Clear), "state");
    assert_eq!((mask("next_seen", "last"), mask("next_seen", "agency")), (Mask::Whole, Mask::Clear));
    assert_eq!((mask("second", "again"), mask("second", "times")), (Mask::Whole, Mask::Clear));
    assert_eq!(mask("nowhere", "x"), Mask::Whole, "what is not known");
}

#[tokio::test]
async fn nothing_is_masked_where_nothing_is_sensitive() {
    let files = ViewFiles::from_texts(&[("v", "SELECT * FROM batch"), ("next_seen", NEXT_SEEN)]).unwrap();
    let unknown = BTreeSet::new();
    let survey = Survey::of(&files, Some(batch()), tables(), &unknown, Scope::Whole(&[]), MEMORY_MAX).await;
    let masks = survey.masks(&Sensitive::default());
    assert!(!masks.is_on());
    assert!(masks.of("v", &batch()).iter().all(Mask::is_clear));
}

/// A query that was typed: what it answers is masked, and its errors quote nothing.
#[tokio::test]
async fn answers_of_typed_queries_are_masked() {
    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("MARKER"), None]));
    let amounts: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let rows = RecordBatch::try_from_iter([("secret", texts), ("amount", amounts)]).unwrap();
    let mut session = QuerySession::new(MEMORY_MAX).unwrap();
    let mut known = Masks::new(&sensitive());
    known.set(BATCH, &rows.schema(), sensitive().of_batch(&rows.schema()));
    session.mask(known);
    session.put(BATCH, rows.schema(), vec![rows]).unwrap();
    let ask = async |sql: &str| -> Result<Vec<RecordBatch>, SqlError> {
        let plan = session.plan(&Typed::parse("query", sql, sql).unwrap()).await.unwrap();
        let schema = plan.schema();
        let (mut answer, mut all) = (plan.run(), Vec::new());
        while let Some(rows) = answer.next().await? {
            assert_eq!(rows.schema().fields(), schema.fields(), "as it was announced");
            all.push(rows);
        }
        Ok(all)
    };
    let all = ask("SELECT secret, length(secret) AS n, amount, count(secret) OVER () AS c FROM batch")
        .await
        .unwrap();
    let text = arrow::util::pretty::pretty_format_batches(&all).unwrap().to_string();
    assert!(!text.contains("MARKER") && text.matches("***").count() == 4, "{text}");
    assert!(text.contains("| 1 "), "a count is clear: {text}");
    let error = ask("SELECT CAST(secret AS INT) AS n FROM batch").await.unwrap_err();
    assert!(!error.to_string().contains("MARKER") && error.to_string().contains("not shown"), "{error}");
}
