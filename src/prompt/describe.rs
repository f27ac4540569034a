//! Answers about the session itself, as tables: what can be read and where it comes from, columns, the batch, the graph
//! of the views.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Int32Type, TimestampMillisecondType};

use super::batch::{Batch, DEAD_LETTERS, Origin};
use super::refusal::Refusal;
use super::session::Session;
use super::whole::WHOLE;
use crate::config::{KeyPlace, TableOrigin};
use crate::diagnostic::Finding;
use crate::nearest::did_you_mean;
use crate::print::texts;
use crate::source::Range;
use crate::sql::{BATCH, type_name};

impl Session {
    /// Every relation: its name, what it is, its rows in this batch, where it comes from.
    ///
    /// # Errors
    /// None but where a table cannot be made.
    pub(super) async fn describe_all(&mut self) -> Result<RecordBatch, Refusal> {
        // Why: where the database is away its tables are not listed; a query of them says why.
        let _ = self.whole.look().await;
        let mut rows: Vec<[Option<String>; 3]> = Vec::new();
        let mut counts: Vec<String> = Vec::new();
        let mut names: Vec<String> = vec![BATCH.to_owned()];
        names.extend(self.config.reference_tables.iter().map(|table| table.name.clone()));
        names.extend(self.config.state_tables.iter().map(|table| table.name.clone()));
        names.extend(self.views.files().names().map(str::to_owned));
        names.extend(self.views.faulty().names().map(str::to_owned));
        names.push(DEAD_LETTERS.to_owned());
        let mut seen = std::collections::BTreeSet::new();
        for name in names.into_iter().filter(|name| seen.insert(name.clone())) {
            let is_faulty = self.views.faulty().has(&name);
            if !is_faulty && !self.queries.relations().contains_key(&name) {
                continue;
            }
            let (kind, mut origin) = self.origin_of(&name);
            if is_faulty {
                origin = format!("has a fault: `\\d {name}` shows it");
            }
            counts.push(self.count_of(&name).map_or("not read yet".to_owned(), |count| count.to_string()));
            rows.push([Some(name), Some(kind.to_owned()), Some(origin)]);
        }
        for name in self.whole_names() {
            let origin = self.config.database.redacted();
            rows.push([Some(format!("{WHOLE}.{name}")), Some("whole table".into()), Some(origin)]);
            counts.push("not counted".to_owned());
        }
        let column = |index: usize| texts(rows.iter().map(|row| row[index].clone()));
        let counts = texts(counts.into_iter().map(Some));
        table([("name", column(0)), ("kind", column(1)), ("rows", counts), ("comes from", column(2))])
    }

    /// The columns of one relation, and a line that says what it is.
    ///
    /// # Errors
    /// No such relation; the fault of one that has a fault.
    pub(super) async fn describe(&mut self, name: &str) -> Result<(RecordBatch, String), Refusal> {
        if let Some(fault) = self.views.faulty().of(name) {
            return Err(Refusal::Faults(fault));
        }
        if let Some(table) = name.strip_prefix(&format!("{WHOLE}.")) {
            self.whole.relation(table).await?;
        }
        let columns = self.columns();
        let Some(schema) = columns.get(name) else {
            let whole = self.whole_names().into_iter().map(|name| format!("{WHOLE}.{name}"));
            let known: Vec<String> = columns.keys().cloned().chain(whole).collect();
            let hint = did_you_mean(name, known.iter().map(String::as_str))
                .unwrap_or_else(|| "`\\d` lists all".into());
            return Err(Refusal::Found(Finding::new(format!("no view or table `{name}`")).with_hint(hint)));
        };
        let fields = schema.fields();
        let kind = |data_type: &DataType| Some(type_name(data_type));
        let rows = table([
            ("column", texts(fields.iter().map(|field| Some(field.name().clone())))),
            ("type", texts(fields.iter().map(|field| kind(field.data_type())))),
            ("null", texts(fields.iter().map(|field| Some(if field.is_nullable() { "yes" } else { "no" })))),
        ])?;
        let (kind, origin) = self.origin_of(name);
        Ok((rows, format!("`{name}`: {kind}, {origin}")))
    }

    fn count_of(&self, name: &str) -> Option<i64> {
        self.computed.as_ref()?;
        self.queries.count(name).and_then(|rows| i64::try_from(rows).ok())
    }

    /// What a relation is, and where it comes from.
    fn origin_of(&self, name: &str) -> (&'static str, String) {
        if name == BATCH {
            return ("batch", self.origin_of_batch());
        }
        if let Some(table) = self.config.reference_tables.iter().find(|table| table.name == name) {
            let from = match &table.origin {
                TableOrigin::File { path, .. } => path.display().to_string(),
                TableOrigin::Table(table) => format!("{} of {}", table, self.config.database.redacted()),
                TableOrigin::Query(_) => format!("a query of {}", self.config.database.redacted()),
            };
            return ("reference table", format!("{from}{}", matches(&table.key, &table.matches)));
        }
        if let Some(table) = self.config.state_tables.iter().find(|table| table.name == name) {
            let keys = matches(&table.key, &table.matches);
            return (
                "state table",
                format!("{}{keys}; written from `{}`", self.config.database.redacted(), table.view),
            );
        }
        if self.views.files().text(name).is_some() || self.views.faulty().has(name) {
            return ("view", self.config.sql.join(format!("{name}.sql")).display().to_string());
        }
        if name.starts_with(&format!("{WHOLE}.")) {
            return ("whole table", self.config.database.redacted());
        }
        ("dead letters", "messages of the batch that cannot be processed, with the reason".into())
    }

    fn origin_of_batch(&self) -> String {
        match self.batch.as_ref().map(|batch| &batch.origin) {
            Some(Origin::File(file)) => file.display().to_string(),
            Some(Origin::Job(url)) => format!("the last batches of the job at {url}"),
            Some(Origin::DeadLetters) => format!("dead letters of {}", self.config.database.redacted()),
            _ => format!("topic {}", self.config.kafka.topics.join(", ")),
        }
    }

    /// What each partition has of the batch, and a line that sums it up. `is_table`: a person reads it, so times are short.
    ///
    /// # Errors
    /// No broker answers, if the batch is not loaded yet.
    pub(super) async fn describe_batch(&mut self, is_table: bool) -> Result<(RecordBatch, String), Refusal> {
        let batch = self.load().await?.clone();
        Ok((partitions_table(&batch, is_table)?, self.batch_in_words().await?))
    }

    /// How large the batch is, and where it comes from.
    ///
    /// # Errors
    /// No broker answers, if the batch is not loaded yet.
    pub(super) async fn batch_in_words(&mut self) -> Result<String, Refusal> {
        let batch = self.load().await?;
        let (rows, letters) = (batch.rows.num_rows(), batch.dead_letters.num_rows());
        Ok(format!("{rows} rows from {}; dead letters: {letters}", self.origin_of_batch()))
    }

    /// The views in the order they are computed.
    ///
    /// # Errors
    /// No broker answers, if the batch is not loaded yet.
    pub(super) async fn graph(&mut self) -> Result<RecordBatch, Refusal> {
        let timings = self.timings().await?;
        let files = self.views.files();
        let reads = |name: &str| Some(files.reads(name).into_iter().collect::<Vec<_>>().join(", "));
        let faulty: Vec<&str> = files.names().filter(|name| self.views.faulty().has(name)).collect();
        let names = timings.iter().map(|timing| timing.view.to_string());
        let names: Vec<String> = names.chain(faulty.iter().map(|name| (*name).to_owned())).collect();
        let states = self.config.state_tables.iter();
        let states: BTreeMap<&str, &str> =
            states.map(|table| (table.view.as_str(), table.name.as_str())).collect();
        let outputs = crate::engine::outputs(&self.config, files);
        let goes_to = |name: &String| {
            let output =
                outputs.iter().find(|output| output.view == *name).map(|output| output.table.as_str());
            output.or(states.get(name.as_str()).copied()).map(str::to_owned)
        };
        let times = timings.iter().map(|timing| Some(timing.elapsed.as_secs_f64() * 1000.0));
        let times = times.map(|ms| ms.map(|ms| (ms * 1000.0).round() / 1000.0));
        let rows = timings.iter().map(|timing| i64::try_from(timing.rows).ok());
        let none = faulty.len();
        table([
            ("view", texts(names.iter().cloned().map(Some))),
            ("reads", texts(names.iter().map(|name| reads(name)))),
            ("written to", texts(names.iter().map(goes_to))),
            ("rows", Arc::new(Int64Array::from_iter(rows.chain(std::iter::repeat_n(None, none))))),
            ("ms", Arc::new(Float64Array::from_iter(times.chain(std::iter::repeat_n(None, none))))),
        ])
    }
}

/// ` by customer_id = batch.customer`; nothing for a table that is seen whole.
fn matches(key: &[String], matches: &[Vec<KeyPlace>]) -> String {
    let equal = |places: &Vec<KeyPlace>| {
        let pairs =
            key.iter().zip(places).map(|(key, place)| format!("{key} = {}.{}", place.relation, place.column));
        pairs.collect::<Vec<_>>().join(" and ")
    };
    let all: Vec<String> = matches.iter().map(equal).collect();
    if all.is_empty() { String::new() } else { format!(", by {}", all.join(" or ")) }
}

/// What a batch has of one partition.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    rows: i64,
    first_ms: Option<i64>,
    last_ms: Option<i64>,
}

fn partitions_table(batch: &Batch, is_table: bool) -> Result<RecordBatch, Refusal> {
    let column = |name: &str| batch.rows.column_by_name(name);
    let unread = || Refusal::error("the batch lacks the columns of Kafka");
    let topics = column("kafka_topic").and_then(|array| array.as_string_opt::<i32>()).ok_or_else(unread)?;
    let numbers = column("kafka_partition").and_then(|array| array.as_primitive_opt::<Int32Type>());
    let numbers = numbers.ok_or_else(unread)?;
    let times =
        column("kafka_timestamp").and_then(|array| array.as_primitive_opt::<TimestampMillisecondType>());
    let times = times.ok_or_else(unread)?;
    let mut found: BTreeMap<(&str, i32), Seen> = BTreeMap::new();
    for row in 0..batch.rows.num_rows() {
        let seen = found.entry((topics.value(row), numbers.value(row))).or_default();
        seen.rows += 1;
        if times.is_valid(row) {
            let time = times.value(row);
            seen.first_ms = Some(seen.first_ms.map_or(time, |first| first.min(time)));
            seen.last_ms = Some(seen.last_ms.map_or(time, |last| last.max(time)));
        }
    }
    let of = |range: &Range| {
        found.get(&(&*range.partition.topic, range.partition.partition)).copied().unwrap_or_default()
    };
    let ranges = &batch.ranges;
    let number = |value: &dyn Fn(&Range) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(ranges.iter().map(value)))
    };
    let column_of = |moment: Moment, value: fn(&Seen) -> Option<i64>| {
        texts(ranges.iter().map(|range| value(&of(range)).and_then(|ms| moment.text(ms))))
    };
    let (first, last) = Moment::of(is_table, found.values());
    let mut columns: Vec<(&str, ArrayRef)> = Vec::new();
    let has_topics = ranges.windows(2).any(|pair| pair[0].partition.topic != pair[1].partition.topic);
    if has_topics || !is_table {
        columns.push(("topic", texts(ranges.iter().map(|range| Some(range.partition.topic.to_string())))));
    }
    columns.extend([
        ("partition", number(&|range| i64::from(range.partition.partition))),
        ("from", number(&|range| range.from)),
        ("to", number(&|range| range.to)),
        ("rows", number(&|range| of(range).rows)),
        ("first time", column_of(first, |seen| seen.first_ms)),
        ("last time", column_of(last, |seen| seen.last_ms)),
    ]);
    table(columns)
}

/// How a time is written in the table of the batch, whose lines fit a terminal of 80 columns.
#[derive(Clone, Copy, Debug)]
enum Moment {
    Exact,
    Seconds,
    Minutes,
    TimeOfDay,
}

impl Moment {
    /// For the first and the last times of all partitions.
    fn of<'s>(is_table: bool, seen: impl Iterator<Item = &'s Seen>) -> (Self, Self) {
        if !is_table {
            return (Self::Exact, Self::Exact);
        }
        let day = |ms: i64| ms.div_euclid(24 * 60 * 60 * 1000);
        let is_one_day = seen.into_iter().all(|seen| seen.first_ms.map(day) == seen.last_ms.map(day));
        if is_one_day { (Self::Seconds, Self::TimeOfDay) } else { (Self::Minutes, Self::Minutes) }
    }

    fn text(self, ms: i64) -> Option<String> {
        let time = chrono::DateTime::from_timestamp_millis(ms)?;
        Some(match self {
            Self::Exact => time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true),
            Self::Seconds => time.format("%Y-%m-%d %H:%M:%S").to_string(),
            Self::Minutes => time.format("%Y-%m-%d %H:%M").to_string(),
            Self::TimeOfDay => time.format("%H:%M:%S").to_string(),
        })
    }
}

pub(super) fn table<'n>(
    columns: impl IntoIterator<Item = (&'n str, ArrayRef)>,
) -> Result<RecordBatch, Refusal> {
    let columns = columns.into_iter().map(|(name, array)| (name, array, true));
    RecordBatch::try_from_iter_with_nullable(columns).map_err(Refusal::error)
}
